//! Limits of a running agent that are changed from outside.
//!
//! Pure: [`parse`] reads what is wished, [`check`] holds it against the agent's use and the ceiling.

use super::figures::Figures;
use super::hits::amount;
use crate::profile::types::{Bytes, Cpus};

/// Length of the period in which processor time is counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;
/// The least memory and the fewest tasks a jail can go on with.
const LEAST_MEMORY: u64 = 64 << 10;
const LEAST_TASKS: u64 = 4;

/// The limits that can be changed, by their key in `[limits]`, with their interface file.
pub const KEYS: &[(&str, &str)] = &[
    ("memory", "memory.max"),
    ("memory_high", "memory.high"),
    ("swap", "memory.swap.max"),
    ("tasks", "pids.max"),
    ("cpu", "cpu.max"),
    ("cpu_weight", "cpu.weight"),
];

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key in `[limits]`.
    pub key: &'static str,
    /// The interface file.
    pub file: &'static str,
    /// The new limit: bytes, a count, hundredths of a processor, or a weight.
    pub number: u64,
}

impl Change {
    /// What is written to the interface file.
    #[must_use]
    pub fn value(&self) -> String {
        match self.key {
            "cpu" => format!("{} {CPU_PERIOD}", self.number * CPU_PERIOD / 100),
            _ => self.number.to_string(),
        }
    }

    fn shown(&self, number: u64) -> String {
        match self.key {
            "memory" | "memory_high" | "swap" => amount(super::Unit::Bytes, number),
            "cpu" => format!("{number}%"),
            _ => number.to_string(),
        }
    }
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// A clause that says what is wrong.
pub fn parse(text: &str) -> Result<Change, String> {
    let shown = text.escape_debug();
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{shown}` is not KEY=VALUE"))?;
    let Some((key, file)) = KEYS.iter().find(|(known, _)| *known == key) else {
        let known: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        let key = key.escape_debug();
        return Err(format!("`{key}` cannot be changed; what can is {}", known.join(", ")));
    };
    let named = |cause| format!("{key}: {cause}");
    let number = match *key {
        "cpu" => u64::from(Cpus::parse(value).map_err(named)?.0),
        "memory" | "memory_high" | "swap" => Bytes::parse(value).map_err(named)?.0,
        _ => value
            .parse()
            .map_err(|_| named(format!("`{}` is not a number", value.escape_debug())))?,
    };
    let least = match *key {
        "memory" | "memory_high" => LEAST_MEMORY,
        "tasks" => LEAST_TASKS,
        "swap" => 0,
        _ => 1,
    };
    if number < least || (*key == "cpu_weight" && number > 10_000) {
        return Err(format!("`{shown}` is out of range"));
    }
    Ok(Change { key, file, number })
}

/// What stands against `changes` of an agent with these figures, under the ceiling of all agents; each a
/// clause and its cure.
#[must_use]
pub fn check(changes: &[Change], now: &Figures, ceiling: &Figures) -> Vec<(String, String)> {
    changes.iter().filter_map(|change| objection(change, changes, now, ceiling)).collect()
}

fn objection(
    change: &Change,
    all: &[Change],
    now: &Figures,
    ceiling: &Figures,
) -> Option<(String, String)> {
    let Change { key, number, .. } = change;
    let shown = |number| change.shown(number);
    let most = match *key {
        "cpu" => ceiling.cpu.and_then(|cpu| cpu.limit_percent),
        "memory_high" => ceiling.gauge("memory").and_then(|gauge| gauge.limit),
        key => ceiling.gauge(key).and_then(|gauge| gauge.limit),
    };
    if let Some(most) = most.filter(|most| number > most) {
        let cause =
            format!("{key}={} is above the ceiling of all agents, {}", shown(*number), shown(most));
        return Some((
            cause,
            "raise it in [slice] of the configuration, or ask for less".to_owned(),
        ));
    }
    let used = now.gauge(key).map(|gauge| gauge.used);
    if *key == "memory" && used.is_some_and(|used| *number < used) {
        let used = shown(used.unwrap_or(0));
        let cause = format!("memory={} is below what the agent uses, {used}", shown(*number));
        return Some((
            cause,
            "the kernel would end processes: have the agent free memory first".to_owned(),
        ));
    }
    let wished =
        |key: &str| all.iter().find(|change| change.key == key).map(|change| change.number);
    let limit = |key: &str| now.gauge(key).and_then(|gauge| gauge.limit);
    let high = wished("memory_high").or_else(|| limit("memory_high"))?;
    let max = wished("memory").or_else(|| limit("memory"))?;
    let about_both = *key == "memory" || (*key == "memory_high" && wished("memory").is_none());
    if about_both && high > max {
        let cause = format!("memory_high, {}, would be above memory, {}", shown(high), shown(max));
        return Some((cause, "change both: --set memory=… --set memory_high=…".to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Gauge, Unit};
    use super::*;

    fn figures(limits: &[(&str, u64, u64)]) -> Figures {
        let gauge = |(name, used, limit): &(&str, u64, u64)| {
            Gauge::new(*name, Unit::Bytes, *used, Some(*limit))
        };
        Figures { gauges: limits.iter().map(gauge).collect(), ..Figures::default() }
    }

    fn objections(wishes: &[&str], now: &[(&str, u64, u64)]) -> Vec<String> {
        let changes: Vec<_> = wishes.iter().map(|wish| parse(wish).unwrap()).collect();
        let ceiling = figures(&[("memory", 0, 4 << 30), ("tasks", 0, 1000)]);
        check(&changes, &figures(now), &ceiling).into_iter().map(|(cause, _)| cause).collect()
    }

    #[test]
    fn reads_what_a_profile_would_say() {
        let of = |text| parse(text).map(|change| (change.file, change.value()));
        assert_eq!(of("memory=3G"), Ok(("memory.max", (3_u64 << 30).to_string())));
        assert_eq!(of("cpu=1.5"), Ok(("cpu.max", "150000 100000".to_owned())));
        assert_eq!(of("tasks=64"), Ok(("pids.max", "64".to_owned())));
        for bad in
            ["memory", "memory=", "memory=1K", "tasks=3", "cpu=0", "uid=0", "cpu_weight=10001"]
        {
            parse(bad).unwrap_err();
        }
    }

    #[test]
    fn the_ceiling_the_use_and_the_threshold_stand_against_it() {
        let now = [("memory", 1 << 30, 2 << 30), ("memory_high", 1 << 30, 1536 << 20)];
        assert_eq!(objections(&["memory=3G"], &now), [""; 0]);
        assert_eq!(
            objections(&["memory=5G"], &now),
            ["memory=5G is above the ceiling of all agents, 4G"]
        );
        assert_eq!(objections(&["tasks=1001"], &now).len(), 1);
        assert_eq!(
            objections(&["memory=512M"], &now),
            ["memory=512M is below what the agent uses, 1G"]
        );
        let above = "memory_high, 1536M, would be above memory, 1300M";
        assert_eq!(objections(&["memory=1300M"], &now), [above]);
        assert_eq!(objections(&["memory=1300M", "memory_high=1200M"], &now), [""; 0]);
        assert_eq!(objections(&["memory_high=3G"], &now).len(), 1);
        assert_eq!(objections(&["memory_high=3G", "memory=4G"], &now), [""; 0]);
    }
}
