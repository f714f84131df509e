//! The report for tools that gather results of analyses: SARIF 2.1.0 (OASIS Standard, 27 March 2020).
//!
//! Each probe is a rule; each escape, hollow wall, unclear and granted attempt is a result of its rule.
//! What is denied or skipped has nothing to report.

use super::{Finding, Report, advice, shown, told};
use crate::verify::campaign::Verdict;
use serde::Serialize;

/// The version of the format.
const VERSION: &str = "2.1.0";
/// The schema of that version, as its section 3.13.3 proposes to name it.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log: one run.
#[derive(Debug, Serialize)]
pub struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    invocations: [Invocation<'a>; 1],
    automation_details: Id,
    results: Vec<Entry>,
    column_kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Debug, Serialize)]
struct Driver<'a> {
    name: &'static str,
    version: &'a str,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    properties: Tags,
}

#[derive(Debug, Serialize)]
struct Tags {
    tags: [&'static str; 2],
}

#[derive(Debug, Serialize)]
struct Text {
    text: String,
}

#[derive(Debug, Serialize)]
struct Id {
    id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    execution_successful: bool,
    start_time_utc: &'a str,
    properties: Properties<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    profile: &'a str,
    host: String,
    without: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: Fingerprint,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    logical_locations: [Logical; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

/// Two runs' results are the same one where this is the same.
#[derive(Debug, Serialize)]
struct Fingerprint {
    #[serde(rename = "subjectAndProbe/v1")]
    subject: String,
}

/// How grave a verdict is; none where there is nothing to report.
fn level(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Escaped(_) => Some("error"),
        Verdict::Hollow(_) | Verdict::Unclear(_) => Some("warning"),
        Verdict::Granted(_) => Some("note"),
        Verdict::Denied | Verdict::Skipped(_) => None,
    }
}

/// `report` as a log.
#[must_use]
pub fn log<'a>(report: &Report<'a>) -> Log<'a> {
    let header = report.header;
    let invocation = Invocation {
        execution_successful: true,
        start_time_utc: &header.date,
        properties: Properties {
            profile: &header.profile,
            host: header.host(),
            without: header.without.iter().map(|wall| wall.name()).collect(),
        },
    };
    let results = report.findings.iter().enumerate();
    let results = results.filter_map(|(index, finding)| result(index, finding, report)).collect();
    let rules = report.findings.iter().map(rule).collect();
    let driver = Driver { name: "cellblock verify", version: &header.version, rules };
    let peer = header.peer.map_or("jail", crate::verify::setting::Peer::name);
    Log {
        schema: SCHEMA,
        version: VERSION,
        runs: [Run {
            tool: Tool { driver },
            invocations: [invocation],
            automation_details: Id { id: format!("cellblock-verify/{peer}/{}/", header.profile) },
            results,
            column_kind: "unicodeCodePoints",
        }],
    }
}

fn text(text: &str) -> Text {
    Text { text: shown(text) }
}

fn rule(finding: &Finding) -> Rule {
    let probe = finding.probe;
    let walls: Vec<_> = probe.claims.iter().map(|claim| claim.layer.name()).collect();
    Rule {
        id: probe.id,
        short_description: text(probe.title),
        full_description: text(probe.attack),
        help: text(&format!("Stopped alone by: {}. Source: {}", walls.join(", "), probe.source)),
        properties: Tags { tags: ["security", finding.family.name] },
    }
}

fn result(index: usize, finding: &Finding, report: &Report<'_>) -> Option<Entry> {
    let (probe, verdict) = (finding.probe, &finding.verdict);
    let level = level(verdict)?;
    let subject = report.header.subject();
    let reason = verdict.reason().unwrap_or_default();
    let attempts = finding.cells.iter().map(|(setting, it)| format!("{setting}: {}", told(it)));
    let attempts = attempts.collect::<Vec<_>>().join("; ");
    let advice = advice(finding, report.header);
    let advice = if advice.is_empty() { advice } else { format!(" To do: {advice}.") };
    let message = format!(
        "{} {}, {}: {reason}. Attempts: {attempts}.{advice}",
        probe.id,
        verdict.name(),
        probe.title
    );
    let logical = Logical {
        name: shown(&report.header.profile),
        fully_qualified_name: shown(&subject),
        kind: "profile",
    };
    Some(Entry {
        rule_id: probe.id,
        rule_index: index,
        level,
        message: text(&message),
        locations: [Location { logical_locations: [logical] }],
        partial_fingerprints: Fingerprint { subject: format!("{subject}/{}", probe.id) },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, header};
    use super::*;
    use serde_json::Value;

    fn written() -> Value {
        let (header, findings) = (header(), findings());
        serde_json::to_value(log(&Report { header: &header, findings: &findings })).unwrap()
    }

    /// What the schema requires of the objects that are used here.
    #[test]
    fn the_structure_is_that_of_the_standard() {
        let log = written();
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().unwrap().ends_with("sarif-schema-2.1.0.json"));
        let run = &log["runs"][0];
        assert!(run["tool"]["driver"]["name"].is_string());
        assert!(run["invocations"][0]["executionSuccessful"].is_boolean());
        assert!(run["automationDetails"]["id"].as_str().unwrap().ends_with('/'));
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for rule in rules {
            assert!(rule["id"].is_string());
            for text in ["shortDescription", "fullDescription", "help"] {
                assert!(rule[text]["text"].as_str().is_some_and(|text| !text.is_empty()));
            }
        }
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            assert!(result["locations"][0]["logicalLocations"][0]["name"].is_string());
        }
    }

    #[test]
    fn each_verdict_has_its_level_and_what_holds_is_no_result() {
        let log = written();
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap().iter();
        let levels: Vec<_> = results
            .map(|it| (it["ruleId"].as_str().unwrap(), it["level"].as_str().unwrap()))
            .collect();
        let expected = [
            ("XX-01.escape", "error"),
            ("XX-02.hollow", "warning"),
            ("XX-03.unclear", "warning"),
            ("XX-04.granted", "note"),
        ];
        assert_eq!(levels, expected);
        assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), findings().len());
    }
}
