//! An alert as it is told: to sinks, in the history, and to who asks.

#![forbid(unsafe_code)]

use super::event::Severity;
use serde::{Deserialize, Serialize};

/// An alert. Its fields are those of its JSON, and stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// No other alert has it; one that may be told twice has the same.
    pub id: String,
    /// When, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// The name of the machine.
    pub host: String,
    /// By which rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// About which agent; none where it is about all of them.
    pub agent: Option<String>,
    /// About what: a kind of event, or a figure.
    pub event: String,
    /// How many events, since the alert before where there was one.
    pub count: u64,
    /// In a sentence.
    pub told: String,
    /// Whether it may have been told before: who was to tell it was ended meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Whether it is about nothing: somebody tries the sinks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
}

#[cfg(test)]
pub(super) fn example() -> Alert {
    Alert {
        id: "5-1".to_owned(),
        time: 1_700_000_000,
        host: "h".to_owned(),
        rule: "denial-spike".to_owned(),
        severity: Severity::Warning,
        agent: Some("a".to_owned()),
        event: "denial".to_owned(),
        count: 51,
        told: "51 events of a within 1m".to_owned(),
        repeated: false,
        test: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_json_has_the_documented_fields() {
        let json = serde_json::to_value(example()).unwrap();
        let fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["agent", "count", "event", "host", "id", "rule", "severity", "time", "told"];
        assert_eq!(fields, expected);
        let marked = Alert { repeated: true, test: true, ..example() };
        let json = serde_json::to_value(&marked).unwrap();
        assert_eq!((&json["repeated"], &json["test"]), (&true.into(), &true.into()));
        assert_eq!(serde_json::from_value::<Alert>(json).unwrap(), marked);
    }
}
