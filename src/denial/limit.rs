//! Limits that were reached, as refusals.

use super::{Denial, Opening, Process};
use crate::profile::types::Bytes;
use serde_json::Value;

/// The words of a journal that say that something was refused to the agent, and not only told of.
const REFUSED: &[&str] = &["refused", "ended", "ended-for-others", "ended-by-watch", "full"];

/// The refusal in a line about a limit that was reached; nothing where nobody was refused anything.
pub(super) fn denial(line: &Value) -> Option<Denial> {
    let limit = line["limit"].as_str()?;
    let what = line["what"].as_str().filter(|what| REFUSED.contains(what))?;
    let max = line["max"].as_u64();
    let bytes = line["unit"] == "bytes";
    let shown = max.map(|max| if bytes { Bytes(max).to_string() } else { max.to_string() });
    let process = line["processes"].as_array().and_then(|all| all.first()?.as_str());
    let (wall, action) = meaning(limit);
    Some(Denial {
        wall: wall.to_owned(),
        action: action.to_owned(),
        object: match &shown {
            Some(shown) => format!("{limit} beyond {shown}"),
            None => limit.to_owned(),
        },
        rule: rule(limit, shown.as_deref()),
        why: line["told"].as_str().unwrap_or_default().to_owned(),
        process: process.and_then(Process::parse),
        times: line["count"].as_u64().unwrap_or(1),
        opening: Some(opening(limit, what, max)),
    })
}

/// The wall of the limit called so, and what is done where it refuses.
fn meaning(limit: &str) -> (&'static str, &'static str) {
    match limit.split(' ').next().unwrap_or(limit) {
        "tasks" => ("tasks", "start"),
        "memory" | "memory_high" | "swap" => ("memory", "hold"),
        "disk" => ("disk", "write"),
        "cpu" => ("cpu", "run"),
        "open_files" => ("rlimits", "open"),
        // Terminals, and trees in memory by their path.
        _ => ("mount", "make"),
    }
}

fn rule(limit: &str, shown: Option<&str>) -> String {
    let key = key(limit).map_or_else(|| limit.to_owned(), |(table, key)| format!("{table}.{key}"));
    shown.map_or(key.clone(), |shown| format!("{key} = {shown}"))
}

/// The key of a profile that sets the limit called so, with its table.
fn key(limit: &str) -> Option<(&'static str, &'static str)> {
    match limit {
        "tasks" => Some(("limits", "tasks")),
        "memory" => Some(("limits", "memory")),
        "swap" => Some(("limits", "swap")),
        "open_files" => Some(("limits", "open_files")),
        "/tmp" => Some(("filesystem", "tmp_size")),
        _ if limit.starts_with("disk ") => Some(("limits", "disk")),
        _ => None,
    }
}

fn opening(limit: &str, what: &str, max: Option<u64>) -> Opening {
    if limit.ends_with(" of all agents") || what == "ended-for-others" {
        let key = limit.split(' ').next().unwrap_or(limit);
        let what = format!("a larger `{key}` in [slice] of the configuration, or fewer agents");
        return Opening::Change { what };
    }
    let Some((table, key)) = key(limit) else {
        return match limit {
            "terminals" => Opening::nothing("a jail has a fixed number of terminals"),
            "/dev/shm" => Opening::nothing("its size is the same in every jail"),
            _ if limit.starts_with('/') => Opening::Change {
                what: "a larger `home_size` in [filesystem], by which trees in memory are bounded"
                    .to_owned(),
            },
            _ => Opening::nothing("no key of a profile sets it"),
        };
    };
    let twice = max.map(|max| max.saturating_mul(2).max(1));
    let value = match (twice, key) {
        (None, _) => return Opening::Change { what: format!("a larger `{key}` in [{table}]") },
        (Some(twice), "tasks" | "open_files") => twice.to_string(),
        (Some(twice), _) => format!("\"{}\"", Bytes(twice)),
    };
    Opening::line(table, format!("{key} = {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(line: Value) -> Option<(String, String, String)> {
        let denial = denial(&line)?;
        Some((denial.wall, denial.rule, denial.opening.unwrap().to_string()))
    }

    #[test]
    fn a_limit_that_refused_says_which_larger_one_would_not() {
        let tasks = json!({ "limit": "tasks", "what": "refused", "max": 512, "unit": "count",
            "count": 3, "processes": ["512 are sh"], "told": "tasks: refused 3 times" });
        let expected = ("tasks", "limits.tasks = 512", "[limits] tasks = 1024");
        let (wall, rule, opening) = of(tasks.clone()).unwrap();
        assert_eq!((&*wall, &*rule, &*opening), expected);
        let denial = denial(&tasks).unwrap();
        assert_eq!((denial.times, denial.process, &*denial.action), (3, None, "start"));
        let memory = json!({ "limit": "memory", "what": "ended", "max": 4_u64 << 30,
            "unit": "bytes", "processes": ["perl (7)"] });
        let expected = ("memory", "limits.memory = 4G", "[limits] memory = \"8G\"");
        let (wall, rule, opening) = of(memory.clone()).unwrap();
        assert_eq!((&*wall, &*rule, &*opening), expected);
        assert_eq!(super::denial(&memory).unwrap().process.unwrap().to_string(), "perl (7)");
    }

    #[test]
    fn what_is_not_the_profiles_is_said_to_be_others() {
        for (limit, what, word) in [
            ("tasks of all agents", "refused", "[slice]"),
            ("memory", "ended-for-others", "[slice]"),
            ("terminals", "full", "nothing"),
            ("/home/agent", "full", "home_size"),
            ("disk /srv/a", "full", "[limits] disk"),
            ("/tmp", "full", "[filesystem] tmp_size"),
        ] {
            let line = json!({ "limit": limit, "what": what, "max": 1024, "unit": "bytes" });
            let (.., opening) = of(line).unwrap();
            assert!(opening.contains(word), "{limit}: {opening}");
        }
        for what in ["reached", "waited", "held-back", "unknown"] {
            assert_eq!(of(json!({ "limit": "memory", "what": what })), None, "{what}");
        }
    }
}
