//! Limits: what is set, by whom, and what a larger one would be.

use super::{Answer, Verdict};
use crate::denial::Opening;
use crate::plan::outline::Outline;
use crate::profile::types::Bytes;

/// The limits that can be asked about, by their keys in `[limits]` of a profile.
pub const LIMITS: &[&str] = &[
    "memory",
    "memory_high",
    "swap",
    "tasks",
    "cpu",
    "io",
    "disk",
    "open_files",
    "file_size",
    "core",
];

/// What the plan says of the limit called `key`.
#[must_use]
pub fn limit(outline: &Outline, key: &str) -> Answer {
    let Some(limit) = outline.limits.iter().find(|limit| limit.key == key) else {
        let rule = "no limit is set; what all agents together may use still bounds it";
        return Answer::allowed("use", key, rule, "");
    };
    let by = if limit.by.is_empty() { String::new() } else { format!(", held by {}", limit.by) };
    let rule = format!("limits.{key} = {}{by}", limit.value);
    let mut answer = Answer::allowed("use", key, rule, &limit.origin);
    answer.verdict = Verdict::Depends;
    answer.wall = wall(key).to_owned();
    answer.opening = Some(larger(key, &limit.value));
    answer.note(format!("up to {} it is allowed", limit.value))
}

fn wall(key: &str) -> &'static str {
    match key {
        "tasks" => "tasks",
        "cpu" => "cpu",
        "io" => "io",
        "disk" => "disk",
        "memory" | "memory_high" | "swap" => "memory",
        _ => "rlimits",
    }
}

fn larger(key: &str, value: &str) -> Opening {
    let line = match (value.parse::<u64>(), Bytes::parse(value)) {
        (Ok(number), _) if matches!(key, "tasks" | "open_files") => {
            format!("{key} = {}", number.saturating_mul(2))
        }
        (_, Ok(Bytes(0))) => format!("{key} = \"1G\""),
        (_, Ok(Bytes(bytes))) => format!("{key} = \"{}\"", Bytes(bytes.saturating_mul(2))),
        (_, Err(_)) => return Opening::Change { what: format!("a larger `{key}` in [limits]") },
    };
    Opening::line("limits", line)
}
