//! Use against limits as plain data.

use serde::Serialize;

/// Everything a jail uses, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// What is counted: memory, tasks, files in memory, terminals, descriptors.
    pub gauges: Vec<Gauge>,
    /// Processor time, where it is limited.
    pub cpu: Option<Throttle>,
    /// How long processes waited, for each of `memory`, `cpu` and `io`.
    pub pressure: Vec<Pressure>,
    /// Bytes read and written, where disks are counted.
    pub io: Option<Traffic>,
    /// How often the agent's own memory ran out.
    pub ooms: u64,
    /// Processes that the kernel ended because memory ran out: the agent's, all agents' or the host's.
    pub oom_kills: u64,
}

impl Figures {
    /// The gauge called `name`.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<&Gauge> {
        self.gauges.iter().find(|gauge| gauge.name == name)
    }
}

/// How the names of gauges of trees on disk begin.
pub const DISK: &str = "disk ";

/// The gauges of the ceiling, which all agents share.
pub const ALL_TASKS: &str = "tasks of all agents";
/// As [`ALL_TASKS`].
pub const ALL_MEMORY: &str = "memory of all agents";

/// One thing that is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// What: the key of `[limits]`, or a path for what is kept there.
    pub name: String,
    /// In what.
    pub unit: Unit,
    /// How much now.
    pub used: u64,
    /// The most so far, where the kernel keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// The limit, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How often it was reached, where the kernel counts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
    /// Who holds the limit, where it is not the cgroup: weaker, or of each process alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<&'static str>,
    /// The process that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

impl Gauge {
    /// A gauge with nothing but its use and its limit.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: Unit, used: u64, limit: Option<u64>) -> Self {
        let name = name.into();
        let (peak, hits, held_by, process) = (None, None, None, None);
        Self { name, unit, used, peak, limit, hits, held_by, process }
    }

    /// Whether nothing is left; on disk, whether so little is left that a write may have been refused: xfs
    /// refuses one as a whole that would not fit, and the kernel counts no refusals.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let spared = |limit: u64| if self.name.starts_with(DISK) { limit / 8 } else { 0 };
        self.limit.is_some_and(|limit| limit > 0 && self.used >= limit - spared(limit))
    }
}

/// What a gauge counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

/// Processor time against its limit (`cpu.stat`, `cpu.max`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Throttle {
    /// Microseconds used so far.
    pub used_usec: u64,
    /// The limit in hundredths of a processor, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_percent: Option<u64>,
    /// Periods in which it ran, and those in which it was held back.
    pub periods: u64,
    /// Periods in which it was held back.
    pub throttled: u64,
    /// Microseconds for which it was held back.
    pub throttled_usec: u64,
}

/// Disk traffic so far (`io.stat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes.
    pub read: u64,
    /// Bytes.
    pub written: u64,
    /// The limit of each a second, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// How long processes waited (Documentation/accounting/psi.rst).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pressure {
    /// For what: `memory`, `cpu` or `io`.
    pub resource: &'static str,
    /// Microseconds in which some process waited.
    pub some_usec: u64,
    /// Microseconds in which all of them waited at once.
    pub full_usec: u64,
    /// Share of the last ten seconds in which some process waited, in hundredths of a percent.
    pub some_avg10: u64,
}
