//! One agent, with what it was in the last moments.

use super::history::{History, per_second};
use crate::control::protocol::{Shown, State, Traffic};
use crate::gate::protocol::Counts;

/// An agent as it was told last, and its histories.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) shown: Shown,
    /// Hundredths of a processor.
    pub(super) cpu: History,
    /// Bytes.
    pub(super) memory: History,
    pub(super) tasks: History,
    /// Bytes a second, read and written.
    pub(super) io: History,
    /// Bytes a second, sent and received.
    pub(super) network: History,
    /// Connections and names that were refused since the time before.
    pub(super) refused: History,
}

/// Bytes of both directions.
fn traffic(io: Traffic) -> u64 {
    io.read.saturating_add(io.written)
}

fn carried(counts: Counts) -> u64 {
    counts.sent.saturating_add(counts.received)
}

impl Row {
    /// An agent that is seen for the first time.
    pub(super) fn new(shown: Shown) -> Self {
        let mut row = Self::default();
        row.remember(&shown);
        Self { shown, ..row }
    }

    /// The same agent a moment later.
    pub(super) fn update(&mut self, now: Shown) {
        // Figures that are the same reading tell nothing new.
        if now.at != self.shown.at {
            self.rates(&now);
            self.remember(&now);
        }
        self.shown = now;
    }

    fn remember(&mut self, now: &Shown) {
        now.memory.iter().for_each(|memory| self.memory.push(memory.used));
        now.tasks.iter().for_each(|tasks| self.tasks.push(tasks.used));
    }

    fn rates(&mut self, now: &Shown) {
        let before = &self.shown;
        let micros = now.at.saturating_sub(before.at);
        let rate = |before: Option<u64>, now: Option<u64>| per_second(before?, now?, micros);
        let cpu = rate(before.cpu, now.cpu).map(|used| used / 10_000);
        let io = rate(before.io.map(traffic), now.io.map(traffic));
        let network = rate(before.counts.map(carried), now.counts.map(carried));
        let refused = |shown: &Shown| shown.counts.map(|counts| counts.refused);
        let new = refused(before).zip(refused(now)).and_then(|(old, new)| new.checked_sub(old));
        cpu.into_iter().for_each(|rate| self.cpu.push(rate));
        io.into_iter().for_each(|rate| self.io.push(rate));
        network.into_iter().for_each(|rate| self.network.push(rate));
        new.into_iter().for_each(|new| self.refused.push(new));
    }

    /// Hundredths of a processor that it uses now.
    pub(super) fn cpu_now(&self) -> Option<u64> {
        self.cpu.last().filter(|_| self.shown.cpu.is_some())
    }

    /// Bytes a second to and from disks now.
    pub(super) fn io_now(&self) -> Option<u64> {
        self.io.last().filter(|_| self.shown.io.is_some())
    }

    /// Bytes a second through its gate now.
    pub(super) fn network_now(&self) -> Option<u64> {
        self.network.last().filter(|_| self.shown.counts.is_some())
    }

    /// What its gate refused so far.
    pub(super) fn refusals(&self) -> Option<u64> {
        self.shown.counts.map(|counts| counts.refused)
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.shown.state == State::Frozen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Used;

    fn at(seconds: u64, cpu: u64, bytes: u64, refused: u64) -> Shown {
        Shown {
            name: "a".to_owned(),
            at: seconds * 1_000_000,
            cpu: Some(cpu),
            memory: Some(Used { used: bytes, limit: None }),
            io: Some(Traffic { read: bytes, written: bytes, limit: None }),
            counts: Some(Counts { sent: bytes, refused, ..Counts::default() }),
            ..Shown::default()
        }
    }

    #[test]
    fn rates_come_of_counts_and_of_the_time_they_were_read() {
        let mut row = Row::new(at(10, 0, 0, 5));
        assert_eq!((row.cpu_now(), row.io_now(), row.refusals()), (None, None, Some(5)));
        // Two seconds, three of a processor, 4096 bytes each way.
        row.update(at(12, 3_000_000, 4096, 7));
        assert_eq!(row.cpu_now(), Some(150));
        assert_eq!((row.io_now(), row.network_now()), (Some(4096), Some(2048)));
        assert_eq!((row.refused.last(), row.refusals()), (Some(2), Some(7)));
    }

    #[test]
    fn the_same_reading_and_a_new_jail_are_no_rate() {
        let mut row = Row::new(at(10, 500, 100, 0));
        row.update(at(10, 500, 100, 0));
        assert_eq!(row.cpu_now(), None);
        row.update(at(11, 400, 10, 0));
        assert_eq!((row.cpu_now(), row.io_now()), (None, None));
        row.update(at(12, 20_400, 10, 0));
        assert_eq!((row.cpu_now(), row.io_now()), (Some(2), Some(0)));
        // What has ended uses nothing.
        row.update(Shown { at: 0, ..Shown::default() });
        assert_eq!((row.cpu_now(), row.io_now(), row.network_now()), (None, None, None));
    }
}
