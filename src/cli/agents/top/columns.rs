//! The columns of the table: what stands in each, and how agents are ordered by it.
//!
//! A further column is a further variant.

use super::row::Row;
use crate::control::protocol::{State, Used};
use crate::terminal::plain::plain_within;
use std::cmp::Ordering;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Good,
    Warning,
    Bad,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    State,
    Cpu,
    /// What the processor time was in the last moments.
    CpuHistory,
    Memory,
    /// What memory was in the last moments.
    MemoryHistory,
    Tasks,
    Io,
    Network,
    Refused,
}

/// So many moments stand in a row of the table.
pub(super) const MOMENTS: usize = 6;

impl Column {
    /// All of them, from left to right.
    pub(super) const ALL: [Self; 10] = [
        Self::Name,
        Self::State,
        Self::Cpu,
        Self::CpuHistory,
        Self::Memory,
        Self::MemoryHistory,
        Self::Tasks,
        Self::Io,
        Self::Network,
        Self::Refused,
    ];

    /// Those without which a narrow terminal does, the first ones first.
    pub(super) const SPARED: [Self; 8] = [
        Self::MemoryHistory,
        Self::CpuHistory,
        Self::Tasks,
        Self::Io,
        Self::Network,
        Self::Refused,
        Self::Memory,
        Self::Cpu,
    ];

    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::State => "STATE",
            Self::Cpu => "CPU",
            Self::Memory => "MEMORY",
            Self::Tasks => "TASKS",
            Self::Io => "IO/S",
            Self::Network => "NET/S",
            Self::Refused => "REFUSED",
            Self::CpuHistory | Self::MemoryHistory => "",
        }
    }

    /// In words, for who chooses an order.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Cpu | Self::CpuHistory => "processor time",
            Self::Memory | Self::MemoryHistory => "memory",
            Self::Tasks => "tasks",
            Self::Io => "disk traffic",
            Self::Network => "network traffic",
            Self::Refused => "refusals",
        }
    }

    /// Whether agents can be ordered by it.
    pub(super) fn is_order(self) -> bool {
        !matches!(self, Self::CpuHistory | Self::MemoryHistory)
    }

    /// Whether it has numbers, which stand at its right.
    pub(super) fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::State | Self::CpuHistory | Self::MemoryHistory)
    }

    /// The least width.
    pub(super) fn least(self) -> usize {
        match self {
            Self::Name | Self::State => 8,
            Self::Cpu => 5,
            Self::CpuHistory | Self::MemoryHistory => MOMENTS,
            Self::Memory => 9,
            Self::Tasks => 6,
            Self::Io | Self::Network => 5,
            Self::Refused => 7,
        }
    }

    /// What stands there for `row`, with bars of `steps`.
    pub(super) fn cell(self, row: &Row, steps: &[char]) -> (String, Tone) {
        let shown = &row.shown;
        let dash = || ("-".to_owned(), Tone::Faint);
        let bytes = |number: Option<u64>| number.map_or_else(dash, |it| (short(it), Tone::Plain));
        match self {
            Self::Name => (plain_within(&shown.name, 64), Tone::Plain),
            Self::State => (shown.state.word().to_owned(), state_tone(shown.state)),
            Self::Cpu => row.cpu_now().map_or_else(dash, |now| {
                let of = Used { used: now, limit: shown.cpu_limit };
                (against(of, |number| number.to_string()) + "%", tone(of))
            }),
            Self::Memory => shown.memory.map_or_else(dash, |of| (against(of, short), tone(of))),
            Self::Tasks => {
                let text = |of| against(of, |number: u64| number.to_string());
                shown.tasks.map_or_else(dash, |of| (text(of), tone(of)))
            }
            Self::Io => bytes(row.io_now()),
            Self::Network => bytes(row.network_now()),
            Self::Refused => row.refusals().map_or_else(dash, |count| {
                (count.to_string(), if count > 0 { Tone::Warning } else { Tone::Plain })
            }),
            Self::CpuHistory => {
                let most = shown.cpu_limit.or(Some(100));
                let bars = row.cpu_now().map(|_| row.cpu.bars(MOMENTS, most, steps));
                (bars.unwrap_or_default(), Tone::Faint)
            }
            Self::MemoryHistory => {
                let bars = shown.memory.map(|of| row.memory.bars(MOMENTS, of.limit, steps));
                (bars.unwrap_or_default(), Tone::Faint)
            }
        }
    }

    /// The order of two agents: by name as letters are, by numbers the highest first.
    pub(super) fn order(self, one: &Row, other: &Row) -> Ordering {
        let by = |of: fn(&Row) -> Option<u64>| of(other).cmp(&of(one));
        let order = match self {
            Self::Name => Ordering::Equal,
            Self::State => place(one.shown.state).cmp(&place(other.shown.state)),
            Self::Cpu | Self::CpuHistory => by(Row::cpu_now),
            Self::Memory | Self::MemoryHistory => by(|row| row.shown.memory.map(|of| of.used)),
            Self::Tasks => by(|row| row.shown.tasks.map(|of| of.used)),
            Self::Io => by(Row::io_now),
            Self::Network => by(Row::network_now),
            Self::Refused => by(Row::refusals),
        };
        order.then_with(|| one.shown.name.cmp(&other.shown.name))
    }
}

/// Those who do something come first.
fn place(state: State) -> u8 {
    match state {
        State::Running => 0,
        State::Starting => 1,
        State::Stopping => 2,
        State::Frozen => 3,
        State::Waiting => 4,
        State::Ended => 5,
    }
}

fn state_tone(state: State) -> Tone {
    match state {
        State::Running => Tone::Good,
        State::Starting | State::Frozen | State::Stopping | State::Waiting => Tone::Warning,
        State::Ended => Tone::Faint,
    }
}

/// How near something is to its limit.
pub(super) fn tone(of: Used) -> Tone {
    let Some(limit) = of.limit.filter(|limit| *limit > 0) else { return Tone::Plain };
    match u128::from(of.used) * 100 / u128::from(limit) {
        0..75 => Tone::Plain,
        75..90 => Tone::Warning,
        _ => Tone::Bad,
    }
}

/// What is used of how much.
pub(super) fn against(of: Used, text: impl Fn(u64) -> String) -> String {
    match of.limit {
        Some(limit) => format!("{}/{}", text(of.used), text(limit)),
        None => text(of.used),
    }
}

/// Bytes in five characters at most, rounded down.
pub(super) fn short(bytes: u64) -> String {
    let units = [(60, 'E'), (50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let Some((shift, unit)) = units.into_iter().find(|(shift, _)| bytes >> shift > 0) else {
        return bytes.to_string();
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    match (tenths / 10, tenths % 10) {
        (whole, tenth) if whole < 10 && tenth > 0 => format!("{whole}.{tenth}{unit}"),
        (whole, _) => format!("{whole}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Shown;

    #[test]
    fn bytes_are_short() {
        let cases = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (1536, "1.5K"),
            (10_485_760, "10M"),
            (1_073_741_823, "1023M"),
            (1 << 30, "1G"),
            (u64::MAX, "15E"),
        ];
        for (bytes, text) in cases {
            assert_eq!(short(bytes), text);
        }
    }

    #[test]
    fn who_is_near_a_limit_is_seen() {
        let of = |used, limit| tone(Used { used, limit });
        assert_eq!((of(74, Some(100)), of(75, Some(100))), (Tone::Plain, Tone::Warning));
        assert_eq!((of(90, Some(100)), of(500, Some(100))), (Tone::Bad, Tone::Bad));
        assert_eq!((of(9, None), of(u64::MAX, Some(0))), (Tone::Plain, Tone::Plain));
    }

    #[test]
    fn each_column_is_spared_once_but_name_and_state() {
        let kept = Column::ALL.into_iter().filter(|column| !Column::SPARED.contains(column));
        assert_eq!(kept.collect::<Vec<_>>(), [Column::Name, Column::State]);
    }

    #[test]
    fn numbers_are_ordered_from_the_highest_and_equals_by_name() {
        let row = |name: &str, tasks| {
            let tasks = Some(Used { used: tasks, limit: None });
            Row::new(Shown { name: name.to_owned(), tasks, ..Shown::default() })
        };
        let (a, b, c) = (row("a", 1), row("b", 5), row("c", 1));
        assert_eq!(Column::Tasks.order(&b, &a), Ordering::Less);
        assert_eq!(Column::Tasks.order(&a, &c), Ordering::Less);
        assert_eq!(Column::Name.order(&b, &a), Ordering::Greater);
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        let row = Row::new(Shown { name: "a\x1b[2J\u{202e}".to_owned(), ..Shown::default() });
        assert_eq!(Column::Name.cell(&row, &[' ']).0, "a\\x1b[2J\\u{202e}");
    }
}
