//! Turns the text of a configuration into checked values, reporting every problem at once.

use super::{Ceiling, Config, RawConfig, Share};
use crate::document::{Located, Place, Problem, Problems};
use crate::profile::types::{Bytes, Cpus};

/// The version of the configuration's format that this program reads.
const SCHEMA: i64 = 1;
/// The least memory and the fewest tasks with which one agent can start.
const LEAST_MEMORY: u64 = 16 << 20;
const LEAST_TASKS: u64 = 16;

/// Reads and checks the configuration `text`, called `name` in messages.
///
/// # Errors
/// Every problem of syntax, keys and values, in the order of lines.
pub fn parse(name: &str, text: &str) -> Result<Config, Problems> {
    let (raw, problems) = RawConfig::parse_whole(name, text);
    let mut check = Checker { problems };
    check.schema(name, raw.schema.as_ref());
    let default = Config::default().slice;
    let mut config = Config::default();
    let slice = &mut config.slice;
    slice.memory = check.value(raw.memory.as_ref(), memory, default.memory);
    slice.memory_high = check.value(raw.memory_high.as_ref(), memory, default.memory_high);
    slice.swap = check.value(raw.swap.as_ref(), bytes, default.swap);
    slice.tasks = check.value(raw.tasks.as_ref(), tasks, default.tasks);
    slice.cpu = check.value(raw.cpu.as_ref(), Cpus::parse, default.cpu);
    check.problems.into_result(config)
}

struct Checker {
    problems: Problems,
}

impl Checker {
    fn schema(&mut self, name: &str, schema: Option<&Located<i64>>) {
        match schema {
            // That it is no number is told already.
            None if self.problems.0.iter().any(|problem| problem.place.key == "schema") => {}
            None => self.problems.push(Problem::new(
                &Place::outside(name, "schema"),
                "is missing",
                "write `schema = 1` as the first line",
            )),
            Some(schema) if schema.value != SCHEMA => self.problems.push(schema.problem(
                format!("is {}, and this program reads schema {SCHEMA}", schema.value),
                "write the configuration for schema 1, or use the release that knows its schema",
            )),
            Some(_) => {}
        }
    }

    /// The value of `raw`: `none`, or what `parse` makes of it; `default` where it is not set.
    fn value<T>(
        &mut self,
        raw: Option<&Located<String>>,
        parse: fn(&str) -> Result<T, String>,
        default: Located<Ceiling<T>>,
    ) -> Located<Ceiling<T>> {
        let Some(raw) = raw else { return default };
        if raw.value == "none" {
            return raw.with(Ceiling::None);
        }
        match parse(&raw.value) {
            Ok(value) => raw.with(Ceiling::At(value)),
            Err(cause) => {
                self.problems.push(raw.problem(cause, hint(&raw.place.key)));
                default
            }
        }
    }
}

fn hint(key: &str) -> &'static str {
    match key {
        "slice.tasks" => {
            "write a number, a share of what the machine has as in \"50%\", or \"none\""
        }
        "slice.cpu" => "write processors, as in 2 or 1.5, or \"none\"",
        _ => "write a size as in \"12G\", a share of the machine's as in \"80%\", or \"none\"",
    }
}

fn percent(text: &str) -> Option<Result<u64, String>> {
    let number = text.strip_suffix('%')?;
    let number = number.parse().ok().filter(|number| (1..=100).contains(number));
    Some(number.ok_or_else(|| format!("`{}` is not a share of 1% to 100%", text.escape_debug())))
}

fn bytes(text: &str) -> Result<Share<Bytes>, String> {
    match percent(text) {
        Some(percent) => percent.map(Share::Percent),
        None => Bytes::parse(text).map(Share::Amount),
    }
}

fn memory(text: &str) -> Result<Share<Bytes>, String> {
    match bytes(text)? {
        Share::Amount(amount) if amount.0 < LEAST_MEMORY => {
            Err(format!("is {amount}, and no agent starts with less than {}", Bytes(LEAST_MEMORY)))
        }
        share @ (Share::Amount(_) | Share::Percent(_)) => Ok(share),
    }
}

fn tasks(text: &str) -> Result<Share<u64>, String> {
    if let Some(percent) = percent(text) {
        return percent.map(Share::Percent);
    }
    match text.parse() {
        Ok(number) if number >= LEAST_TASKS => Ok(Share::Amount(number)),
        Ok(number) => {
            Err(format!("is {number}, and no agent starts with fewer than {LEAST_TASKS}"))
        }
        Err(_) => Err(format!("`{}` is not a number of tasks", text.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_a_share_of_the_machine() {
        let config = parse("c", "schema = 1\n").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.slice.memory.value, Ceiling::At(Share::Percent(80)));
    }

    #[test]
    fn amounts_shares_and_none() {
        let text = "schema = 1\n[slice]\nmemory = '12G'\nmemory_high = '60%'\nswap = 0\n\
            tasks = 4000\ncpu = 'none'\n";
        let slice = parse("c", text).unwrap().slice;
        assert_eq!(slice.memory.value, Ceiling::At(Share::Amount(Bytes(12 << 30))));
        assert_eq!(slice.memory_high.value, Ceiling::At(Share::Percent(60)));
        assert_eq!(slice.swap.value, Ceiling::At(Share::Amount(Bytes(0))));
        assert_eq!(slice.tasks.value, Ceiling::At(Share::Amount(4000)));
        assert_eq!(slice.cpu.value, Ceiling::None);
        assert_eq!(slice.tasks.place.to_string(), "c:6:9");
    }

    #[test]
    fn every_mistake_is_told_with_its_cure() {
        let text = "[slice]\nmemory = '1M'\nmemory_high = '0%'\nswap = 'much'\ntasks = 3\n\
            cpu = 0\ncpus = 1\n[slices]\n";
        let problems = parse("c", text).unwrap_err().0;
        let keys: Vec<_> = problems.iter().map(|problem| problem.place.key.as_str()).collect();
        let expected = ["schema", "slice.memory", "slice.memory_high", "slice.swap"];
        assert_eq!(keys[..4], expected);
        assert_eq!(keys[4..], ["slice.tasks", "slice.cpu", "slice.cpus", "slices"]);
        assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{problems:?}");
        assert_eq!(parse("c", "schema = 2").unwrap_err().0.len(), 1);
        assert_eq!(parse("c", "schema = 'x'").unwrap_err().0.len(), 1);
    }
}
