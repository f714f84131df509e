//! Figures for who collects them, in the text format of Prometheus 0.0.4.
//!
//! Pure. [`METRICS`] is the list of all that there are, with names that stay; `docs/metrics.md` is made of it, and a test compares.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Whether a figure only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It grows, and begins anew with the supervisor.
    Counter,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// What it is.
    pub help: &'static str,
}

/// Defines the metrics.
macro_rules! metrics {
    ($($id:ident $kind:ident $name:literal $help:literal,)+) => {
        /// Which metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Id {
            $(#[doc = $help] $id,)+
        }

        impl Id {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$id),+];

            /// Which one it is.
            #[must_use]
            pub fn metric(self) -> Metric {
                match self {
                    $(Self::$id => Metric { name: $name, kind: Kind::$kind, help: $help },)+
                }
            }
        }
    };
}

metrics! {
    Build Gauge "cellblock_build_info" "1, with the version of the supervisor.",
    Started Gauge "cellblock_supervisor_start_time_seconds" "When the supervisor began, in seconds since 1970-01-01 UTC.",
    Cpu Counter "cellblock_supervisor_cpu_seconds_total" "Processor time that the supervisor itself has used.",
    Agents Gauge "cellblock_agents" "Agents that are known, by their state.",
    Memory Gauge "cellblock_agent_memory_bytes" "Memory that an agent uses.",
    MemoryLimit Gauge "cellblock_agent_memory_limit_bytes" "Memory that an agent may use.",
    Tasks Gauge "cellblock_agent_tasks" "Processes and threads of an agent.",
    TasksLimit Gauge "cellblock_agent_tasks_limit" "Processes and threads that an agent may have.",
    CpuSeconds Counter "cellblock_agent_cpu_seconds_total" "Processor time that an agent has used.",
    CpuLimit Gauge "cellblock_agent_cpu_limit_cores" "Processors that an agent may use.",
    DiskRead Counter "cellblock_agent_disk_read_bytes_total" "Bytes that an agent has read from disks.",
    DiskWritten Counter "cellblock_agent_disk_written_bytes_total" "Bytes that an agent has written to disks.",
    Disk Gauge "cellblock_agent_disk_bytes" "Bytes on disk, of an agent's bounded trees those that have least left.",
    DiskLimit Gauge "cellblock_agent_disk_limit_bytes" "Bytes that may be there.",
    People Gauge "cellblock_agent_people" "People who look at an agent.",
    Restarts Counter "cellblock_agent_restarts_total" "How often an agent was started again by itself.",
    Events Counter "cellblock_agent_events_total" "Events of an agent, by their kind.",
    Denials Counter "cellblock_agent_denials_total" "What was refused to an agent, by wall.",
    LimitHits Counter "cellblock_agent_limit_hits_total" "How often an agent reached a limit, by limit.",
    Findings Counter "cellblock_agent_findings_total" "What the watch found about an agent, by its rule.",
    GateOpen Gauge "cellblock_agent_gate_connections" "Connections that are open through an agent's gate.",
    GateOpened Counter "cellblock_agent_gate_connections_total" "Connections that were opened through an agent's gate.",
    GateRefused Counter "cellblock_agent_gate_refused_total" "Connections and names that an agent's gate has refused.",
    GateSent Counter "cellblock_agent_gate_sent_bytes_total" "Bytes that an agent has sent through its gate.",
    GateReceived Counter "cellblock_agent_gate_received_bytes_total" "Bytes that an agent has received through its gate.",
    RefusedCalls Counter "cellblock_refused_calls_total" "Calls by the control socket that were refused to their callers.",
    Alerts Counter "cellblock_alerts_total" "Alerts, by rule and severity.",
    SinkDelivered Counter "cellblock_sink_delivered_total" "Alerts that a sink has taken.",
    SinkFailed Counter "cellblock_sink_failed_total" "Alerts that a sink did not take, however often it was asked.",
    SinkLost Counter "cellblock_sink_lost_total" "Alerts that were given up before a sink was asked: too many waited, or who was to tell them has ended twice.",
    SinkQueue Gauge "cellblock_sink_queue" "Alerts that wait for a sink, or are being told.",
    SinkStarts Counter "cellblock_sink_process_starts_total" "How often the process that tells sinks was started.",
}

/// One figure: which, of what, how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Which metric.
    pub id: Id,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// How much.
    pub value: f64,
}

/// All figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures(pub Vec<Sample>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, id: Id, labels: &[(&str, &str)], value: f64) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.0.push(Sample { id, labels: labels.iter().map(own).collect(), value });
    }

    /// Adds one that is a count.
    #[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
    pub fn count(&mut self, id: Id, labels: &[(&str, &str)], value: u64) {
        self.add(id, labels, value as f64);
    }

    /// The text, each metric with its help even where there is no figure of it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut by_id: BTreeMap<Id, Vec<&Sample>> = BTreeMap::new();
        for sample in &self.0 {
            by_id.entry(sample.id).or_default().push(sample);
        }
        let mut text = String::new();
        for id in Id::ALL {
            let Metric { name, kind, help } = id.metric();
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.word()));
            for sample in by_id.get(id).into_iter().flatten() {
                line(&mut text, name, sample);
            }
        }
        text
    }
}

fn line(text: &mut String, name: &str, sample: &Sample) {
    text.push_str(name);
    for (index, (label, value)) in sample.labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(label);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    if !sample.labels.is_empty() {
        text.push('}');
    }
    // Writing to a string does not fail.
    if write!(text, " {}", sample.value).is_ok() {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_format_and_each_is_there_once() {
        for id in Id::ALL {
            let Metric { name, kind, help } = id.metric();
            assert!(name.starts_with("cellblock_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.') && !help.contains('\n'), "{name}");
            let same = Id::ALL.iter().filter(|other| other.metric().name == name).count();
            assert_eq!(same, 1, "{name}");
        }
    }

    #[test]
    fn values_and_labels_are_written_so_that_they_are_read_back() {
        let mut figures = Figures::default();
        figures.count(Id::LimitHits, &[("agent", "a"), ("limit", "disk \"x\\\n")], 3);
        figures.add(Id::CpuSeconds, &[("agent", "a")], 1.25);
        figures.count(Id::Started, &[], 1_700_000_000);
        let text = figures.text();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "cellblock_supervisor_start_time_seconds 1700000000",
            "cellblock_agent_cpu_seconds_total{agent=\"a\"} 1.25",
            "cellblock_agent_limit_hits_total{agent=\"a\",limit=\"disk \\\"x\\\\\\n\"} 3",
        ];
        assert_eq!(lines, expected);
        let types = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(types, Id::ALL.len());
    }
}
