//! `[slice]`: what all agents may use together.

use super::Checker;
use crate::config::raw::RawSlice;
use crate::config::{Ceiling, Share, Slice};
use crate::document::Located;
use crate::profile::types::{Bytes, Cpus};

/// The least memory and the fewest tasks with which one agent can start.
const LEAST_MEMORY: u64 = 16 << 20;
const LEAST_TASKS: u64 = 16;

pub(super) fn slice(check: &mut Checker, raw: &RawSlice) -> Slice {
    let default = Slice::default();
    Slice {
        memory: ceiling(check, raw.memory.as_ref(), memory, default.memory),
        memory_high: ceiling(check, raw.memory_high.as_ref(), memory, default.memory_high),
        swap: ceiling(check, raw.swap.as_ref(), bytes, default.swap),
        tasks: ceiling(check, raw.tasks.as_ref(), tasks, default.tasks),
        cpu: ceiling(check, raw.cpu.as_ref(), Cpus::parse, default.cpu),
    }
}

/// The value of `raw`: `none`, or what `parse` makes of it; `default` where it is not set.
fn ceiling<T>(
    check: &mut Checker,
    raw: Option<&Located<String>>,
    parse: fn(&str) -> Result<T, String>,
    default: Located<Ceiling<T>>,
) -> Located<Ceiling<T>> {
    match raw {
        Some(raw) if raw.value == "none" => raw.with(Ceiling::None),
        Some(_) | None => check.or(raw, |text| parse(text).map(Ceiling::At), default),
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
