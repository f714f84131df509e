//! A configuration whose every value is checked.

use crate::document::{Located, Place};
use crate::host::uids::UidRange;
use crate::profile::Wall;
use crate::profile::types::{AgentName, Bytes, Cpus};
use std::time::Duration;

mod alerts;
mod roles;

pub use alerts::{Alerts, Auth, Listen, Metrics, SinkEntry, Url, Way};
pub use roles::{NamePattern, Principal, Role, RoleEntry};

/// What the admin of an installation sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What all agents together may use.
    pub slice: Slice,
    /// Where the supervisor keeps what is its own.
    pub paths: Paths,
    /// The supervisor.
    pub supervisor: Supervisor,
    /// What bounds the watch.
    pub watch: Watch,
    /// The uids that agents get.
    pub uids: UidRange,
    /// What holds where an agent says nothing.
    pub defaults: Defaults,
    /// Who may do what by the control socket, besides root.
    pub roles: Vec<RoleEntry>,
    /// The agents that the supervisor starts.
    pub agents: Vec<AgentEntry>,
    /// Who is told of what happens to agents.
    pub alerts: Alerts,
    /// Who may see figures.
    pub metrics: Metrics,
}

/// Where the supervisor keeps what is its own: absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The control socket, and what is needed until the next boot.
    pub run: Located<String>,
    /// What the supervisor knows of its agents.
    pub state: Located<String>,
    /// Journals.
    pub log: Located<String>,
}

/// The supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervisor {
    /// The group whose members may connect to the control socket; root alone where there is none.
    pub group: Option<Located<Principal>>,
    /// How many agents there may be at a time.
    pub max_agents: Located<u32>,
    /// How many agents may be known, those that have ended among them, where somebody who is not root starts one more.
    pub max_known: Located<u32>,
    /// How many names one person who is not root may give to agents; each takes uids for ever.
    pub max_names: Located<u32>,
    /// How long an agent that is stopped may take before everything of it is ended.
    pub patience: Located<Duration>,
}

/// What bounds the watch, and what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Events of processes on the whole host that it reads a second; with more it only scans for a while.
    pub events_per_second: Located<u32>,
    /// What becomes of the kernel's records of refusals.
    pub audit: Located<Audit>,
}

/// What becomes of the kernel's records of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// The kernel is asked for none, and none is read.
    Off,
    /// What the kernel records is read.
    Read,
    /// The kernel is also made to record what it only does with auditing switched on.
    Enable,
}

impl Audit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Read, Self::Enable];

    /// The word for it in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Read => "read",
            Self::Enable => "enable",
        }
    }

    /// Finds one by its word.
    ///
    /// # Errors
    /// A clause that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|audit| audit.word() == text)
            .ok_or_else(|| format!("`{}` is not off, read or enable", text.escape_debug()))
    }
}

/// What holds where an agent says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// When an agent that has ended is started again.
    pub restart: Located<Restart>,
    /// The profile.
    pub profile: Option<Located<String>>,
}

/// An agent that the supervisor starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEntry {
    /// Its name; no other has it.
    pub name: Located<AgentName>,
    /// Its profile: a name, or the absolute path of a file.
    pub profile: Located<String>,
    /// The directory that appears at `/workspace`, absolute.
    pub workspace: Option<Located<String>>,
    /// The command in place of the profile's.
    pub command: Option<Located<Vec<String>>>,
    /// Walls that are taken away.
    pub without: Vec<Located<Wall>>,
    /// When it is started again after it has ended.
    pub restart: Located<Restart>,
}

/// When an agent that has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    Never,
    /// After any end but one with status 0.
    OnFailure,
    /// After every end that nobody asked for.
    Always,
}

impl Restart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Never, Self::OnFailure, Self::Always];

    /// The word for it in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }

    /// Finds one by its word.
    ///
    /// # Errors
    /// A clause that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|restart| restart.word() == text)
            .ok_or_else(|| format!("`{}` is not never, on-failure or always", text.escape_debug()))
    }
}

/// The ceiling of all agents together: settings of the slice that holds their cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Memory (`memory.max`).
    pub memory: Located<Ceiling<Share<Bytes>>>,
    /// Memory above which all agents are slowed down (`memory.high`).
    pub memory_high: Located<Ceiling<Share<Bytes>>>,
    /// Swap (`memory.swap.max`).
    pub swap: Located<Ceiling<Share<Bytes>>>,
    /// Processes and threads (`pids.max`).
    pub tasks: Located<Ceiling<Share<u64>>>,
    /// Processors' worth of time (`cpu.max`).
    pub cpu: Located<Ceiling<Cpus>>,
}

/// A ceiling, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling<T> {
    /// No ceiling but the machine's.
    None,
    /// At most this.
    At(T),
}

/// A part of what the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share<T> {
    /// So much.
    Amount(T),
    /// So many hundredths of what the machine has, 1 to 100.
    Percent(u64),
}

/// What is left to everything else on the machine where nobody says otherwise.
const MEMORY: u64 = 80;
const TASKS: u64 = 50;
/// More agents than one machine has memory for, and few enough to list.
const AGENTS: u32 = 256;
/// Few enough to list, and four ended ones for each that may run.
const KNOWN: u32 = 1024;
/// Two or three uids each: fifty people who take all of theirs leave some of the range.
const NAMES: u32 = 64;
/// Forks, execs and ends: a host that is busy with builds has five thousand.
const EVENTS: u32 = 20_000;
const PATIENCE: Duration = Duration::from_secs(10);

fn default<T>(key: &str, value: T) -> Located<T> {
    Located { value, place: Place::outside("default", key) }
}

impl Default for Slice {
    fn default() -> Self {
        Self {
            memory: default("slice.memory", Ceiling::At(Share::Percent(MEMORY))),
            memory_high: default("slice.memory_high", Ceiling::None),
            swap: default("slice.swap", Ceiling::None),
            tasks: default("slice.tasks", Ceiling::At(Share::Percent(TASKS))),
            cpu: default("slice.cpu", Ceiling::None),
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            run: default("paths.run", "/run/cellblock".to_owned()),
            state: default("paths.state", "/var/lib/cellblock/agents".to_owned()),
            log: default("paths.log", "/var/log/cellblock".to_owned()),
        }
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            group: None,
            max_agents: default("supervisor.max_agents", AGENTS),
            max_known: default("supervisor.max_known", KNOWN),
            max_names: default("supervisor.max_names", NAMES),
            patience: default("supervisor.patience", PATIENCE),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            events_per_second: default("watch.events_per_second", EVENTS),
            audit: default("watch.audit", Audit::Read),
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self { restart: default("defaults.restart", Restart::Never), profile: None }
    }
}
