//! Reads refusals out of the lines of journals.

use super::{Denial, GATE, Opening, Process, limit};
use serde::Serialize;
use serde_json::Value;

/// A refusal as a journal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Seconds since 1970-01-01 UTC.
    pub time: u64,
    /// What kind of line it is: `denial`, or `limit` where a limit was reached.
    pub event: String,
    /// The agent.
    pub agent: String,
    /// The name of the jail: `AGENT.run` or `AGENT.exec.PID`.
    pub jail: String,
    /// What was refused.
    #[serde(flatten)]
    pub denial: Denial,
    /// Whom the agent wanted to reach, by the gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// On which port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u64>,
    /// Why the gate refused it, as a word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to write into the profile; empty where [`Denial::opening`] is no line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub allow: String,
    /// The process as it is shown, `NAME (PID)`.
    #[serde(skip_serializing_if = "Option::is_none", rename = "process")]
    pub shown: Option<String>,
    /// All of it in a sentence.
    pub told: String,
}

/// The refusal in a line of a journal; nothing where it tells of something else.
#[must_use]
pub fn read(line: &Value) -> Option<Told> {
    let text = |key: &str| line[key].as_str().map(str::to_owned);
    let denial = match line["event"].as_str()? {
        "denial" => of_denial(line),
        "limit" => limit::denial(line)?,
        _ => return None,
    };
    let shown = text("process").or_else(|| denial.process.as_ref().map(ToString::to_string));
    let allow = match &denial.opening {
        Some(opening) => opening.text().to_owned(),
        None => text("allow").unwrap_or_default(),
    };
    Some(Told {
        time: line["time"].as_u64().unwrap_or_default(),
        event: text("event").unwrap_or_default(),
        agent: text("agent").unwrap_or_default(),
        jail: text("jail").unwrap_or_default(),
        to: text("to"),
        port: line["port"].as_u64(),
        reason: text("reason"),
        allow,
        shown,
        told: text("told").unwrap_or_else(|| denial.told()),
        denial,
    })
}

/// A line of today has all keys; one of an earlier version only those of the gate.
fn of_denial(line: &Value) -> Denial {
    let mut denial: Denial = serde_json::from_value(line.clone()).unwrap_or_default();
    if denial.process.is_none() {
        denial.process = line["process"].as_str().and_then(Process::parse);
    }
    denial.times = denial.times.max(1);
    if denial.wall == GATE && denial.action.is_empty() {
        let refusal = Refusal {
            to: line["to"].as_str().unwrap_or_default(),
            port: line["port"].as_u64().and_then(|port| u16::try_from(port).ok()),
            why: line["why"].as_str().unwrap_or_default(),
            cure: line["allow"].as_str().unwrap_or_default(),
        };
        let (process, times) = (denial.process, denial.times);
        denial = Denial { process, times, ..Denial::of_gate(&refusal) };
    }
    denial
}

/// What the gate says of a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'r> {
    /// Whom the agent wanted to reach.
    pub to: &'r str,
    /// On which port; none for a question about a name.
    pub port: Option<u16>,
    /// Why, in words.
    pub why: &'r str,
    /// What to write into `[network]` to allow it; empty where nothing can be written.
    pub cure: &'r str,
}

impl Denial {
    /// What the gate refused.
    #[must_use]
    pub fn of_gate(refusal: &Refusal<'_>) -> Self {
        let Refusal { to, port, why, cure } = refusal;
        let (action, object) = match port {
            Some(port) => ("connect", format!("{to}:{port}")),
            None => ("look-up", (*to).to_owned()),
        };
        let is_line =
            ["allow = ", "connections = ", "rate = "].iter().any(|key| cure.starts_with(key));
        let opening = if is_line {
            Opening::line("network", (*cure).to_owned())
        } else if cure.is_empty() {
            Opening::nothing("it is not a matter of rules")
        } else {
            Opening::Change { what: (*cure).to_owned() }
        };
        Self {
            wall: GATE.to_owned(),
            action: action.to_owned(),
            object,
            rule: (*why).to_owned(),
            why: (*why).to_owned(),
            process: None,
            times: 1,
            opening: Some(opening),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As it was written before there were other walls in it.
    #[test]
    fn a_line_of_an_earlier_version_is_read() {
        let line = json!({ "time": 7, "agent": "a", "jail": "a.run", "event": "denial",
            "to": "pypi.org", "port": 443, "wall": "gate", "reason": "unlisted",
            "why": "no rule names it", "allow": "allow = [\"pypi.org:443\"]",
            "process": "pip (4711)", "times": 3, "told": "pypi.org:443 was refused" });
        let told = read(&line).unwrap();
        assert_eq!((told.time, &*told.jail, told.port), (7, "a.run", Some(443)));
        assert_eq!(told.allow, "allow = [\"pypi.org:443\"]");
        let denial = &told.denial;
        assert_eq!(
            (&*denial.wall, &*denial.action, &*denial.object),
            ("gate", "connect", "pypi.org:443")
        );
        assert_eq!(denial.process, Process::parse("pip (4711)"));
        assert_eq!(denial.times, 3);
        let opening = denial.opening.as_ref().unwrap().to_string();
        assert_eq!(opening, "[network] allow = [\"pypi.org:443\"]");
        // What programs read stays where it was.
        let shown = serde_json::to_value(&told).unwrap();
        for key in [
            "event", "time", "agent", "jail", "to", "port", "wall", "reason", "why", "allow",
            "process", "times", "told",
        ] {
            assert_eq!(shown[key], line[key], "{key}");
        }
    }

    #[test]
    fn a_change_of_rules_is_no_line_and_what_no_rule_decides_has_none() {
        let of = |cure| {
            let refusal = Refusal { to: "a.test", port: None, why: "x", cure };
            Denial::of_gate(&refusal).opening.unwrap()
        };
        assert!(matches!(of("take \"a.test\" out of `deny` (x)"), Opening::Change { .. }));
        assert!(matches!(of(""), Opening::Nothing { .. }));
        assert_eq!(of("rate = 400"), Opening::line("network", "rate = 400".to_owned()));
    }

    #[test]
    fn other_events_and_strange_lines_are_passed_over() {
        for line in [
            json!({ "event": "limit-changed", "limit": "tasks" }),
            json!({ "event": "started" }),
            json!({}),
            json!([]),
            json!("denial"),
        ] {
            assert_eq!(read(&line), None, "{line}");
        }
        let strange = json!({ "event": "denial", "wall": 7, "times": -1, "process": ["x"] });
        assert_eq!(read(&strange).unwrap().denial.times, 1);
    }
}
