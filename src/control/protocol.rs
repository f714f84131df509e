//! What the command line and the supervisor say to each other by the control socket.
//!
//! A call is one datagram ([`crate::wire`]), at most 96 KiB long, with the descriptors that it needs; an answer is one
//! message, however long. A connection may make one call after another. The version stands in every call: a
//! supervisor answers those that it understands, and says to all others which it would.

use super::agent::ShownJob;
use super::roles::Verb;
use crate::gate::protocol::Counts;
use crate::host;
use crate::planning::Wanted;
use crate::terminal::size::Size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which version of the protocol it is of.
    pub version: u32,
    /// What is asked for.
    pub request: Request,
}

/// As much of a call as every version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnyCall {
    /// Which version of the protocol it is of.
    pub version: u32,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// All agents that the caller has a role for.
    List,
    /// All about one.
    Status {
        /// Which.
        agent: String,
    },
    /// What is on its screen.
    Screen {
        /// Which.
        agent: String,
    },
    /// The newest lines of its journal.
    Logs {
        /// Which.
        agent: String,
        /// How many.
        lines: u32,
    },
    /// The newest lines of the journal of what was refused to it.
    Denials {
        /// Which.
        agent: String,
        /// How many.
        lines: u32,
    },
    /// The newest alerts, of one agent or of all that the caller has a role for.
    Alerts {
        /// Which; all of them where there is none.
        agent: Option<String>,
        /// How many.
        lines: u32,
    },
    /// Have sinks told of an alert about nothing.
    TryAlerts {
        /// Which; all of them where there are none.
        sinks: Vec<String>,
    },
    /// Its session, on a line that comes with the answer.
    Attach {
        /// Which.
        agent: String,
        /// Whether what the caller types is for the agent.
        types: bool,
        /// The size of the caller's terminal.
        size: Size,
    },
    /// Start one.
    Start {
        /// Its jail.
        wanted: Box<Wanted>,
        /// Who asks, in their own words: of those who are not root only the directory counts.
        caller: Box<host::Caller>,
        /// When it is started again, as in the configuration.
        restart: Option<String>,
    },
    /// End one.
    Stop {
        /// Which.
        agent: String,
        /// How many milliseconds it may take, where the caller says so.
        patience: Option<u64>,
    },
    /// End one and start it again.
    Restart {
        /// Which.
        agent: String,
    },
    /// The jobs that one has declared.
    Jobs {
        /// Which.
        agent: String,
    },
    /// End a job of one.
    StopJob {
        /// Which.
        agent: String,
        /// The job.
        number: u32,
    },
    /// Let one wait.
    Freeze {
        /// Which.
        agent: String,
    },
    /// Let it go on.
    Thaw {
        /// Which.
        agent: String,
    },
    /// A further command in its jail, on a line that comes with the answer. Its standard descriptors that are no terminal
    /// come with the call, in their order.
    Exec {
        /// Which.
        agent: String,
        /// Program and arguments.
        words: Vec<String>,
        /// Which of its standard descriptors are a terminal, one of the jail's.
        terminals: [bool; 3],
        /// The size of that.
        size: Size,
    },
    /// Forget one that does not run.
    Remove {
        /// Which.
        agent: String,
    },
    /// Start what the configuration names.
    Up,
    /// Read the configuration anew.
    Reload,
}

impl Request {
    /// For whose permission it is looked.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Self::List => Verb::List,
            Self::Status { .. } | Self::Jobs { .. } => Verb::Status,
            Self::Screen { .. } => Verb::Screen,
            Self::Logs { .. } | Self::Denials { .. } => Verb::Logs,
            Self::Alerts { .. } => Verb::Alerts,
            Self::TryAlerts { .. } => Verb::TryAlerts,
            Self::Attach { types: false, .. } => Verb::Watch,
            Self::Attach { types: true, .. } => Verb::Attach,
            Self::Start { .. } => Verb::Start,
            Self::Stop { .. } | Self::StopJob { .. } => Verb::Stop,
            Self::Restart { .. } => Verb::Restart,
            Self::Freeze { .. } => Verb::Freeze,
            Self::Thaw { .. } => Verb::Thaw,
            Self::Exec { .. } => Verb::Exec,
            Self::Remove { .. } => Verb::Remove,
            Self::Up => Verb::Up,
            Self::Reload => Verb::Reload,
        }
    }

    /// Whether descriptors may come along.
    #[must_use]
    pub fn takes_descriptors(&self) -> bool {
        matches!(self, Self::Exec { .. })
    }

    /// The agent that it is about, if it is about one.
    #[must_use]
    pub fn agent(&self) -> Option<String> {
        match self {
            Self::List | Self::Up | Self::Reload | Self::TryAlerts { .. } => None,
            Self::Alerts { agent, .. } => agent.clone(),
            Self::Start { wanted, .. } => Some(name_of(wanted)),
            Self::Status { agent }
            | Self::Screen { agent }
            | Self::Logs { agent, .. }
            | Self::Denials { agent, .. }
            | Self::Attach { agent, .. }
            | Self::Stop { agent, .. }
            | Self::Restart { agent }
            | Self::Jobs { agent }
            | Self::StopJob { agent, .. }
            | Self::Freeze { agent }
            | Self::Thaw { agent }
            | Self::Exec { agent, .. }
            | Self::Remove { agent } => Some(agent.clone()),
        }
    }
}

/// What an agent is called where nobody gives it a name: as its profile.
#[must_use]
pub fn name_of(wanted: &Wanted) -> String {
    let file = wanted.profile.rsplit('/').next().unwrap_or_default();
    let profile = file.strip_suffix(".toml").unwrap_or(file);
    wanted.name.clone().unwrap_or_else(|| profile.to_owned())
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::List`].
    Agents(Vec<Shown>),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Screen`].
    Screen(String),
    /// To [`Request::Logs`], [`Request::Denials`] and [`Request::Alerts`]: lines as they were written, oldest first.
    Logs(Vec<serde_json::Value>),
    /// To [`Request::Jobs`].
    Jobs(Vec<ShownJob>),
    /// To [`Request::TryAlerts`].
    Sinks(Vec<SinkTold>),
    /// To [`Request::Attach`] and [`Request::Exec`]: the line comes along.
    Line,
    /// It is done; what there is to say about it, one sentence each.
    Done(Vec<String>),
    /// It is not done.
    Failed {
        /// Why.
        cause: String,
        /// What to do about it; empty where there is nothing to add.
        hint: String,
        /// The exit status that tells of it.
        status: u8,
    },
}

impl Answer {
    /// That something is not done, for such a reason.
    #[must_use]
    pub fn failed(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), hint: hint.into(), status: 125 }
    }
}

/// How it went to tell a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkTold {
    /// Its name.
    pub sink: String,
    /// How it is told.
    pub way: String,
    /// Why it was not; none where it was.
    pub failed: Option<String>,
    /// How long that took, in milliseconds.
    pub millis: u64,
}

/// How an agent is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its jail is being made.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// It waits until somebody lets it go on.
    Frozen,
    /// It was asked to end.
    Stopping,
    /// It has ended, and is started again in a while.
    Waiting,
    /// It has ended.
    Ended,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Stopping => "stopping",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is used of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// How much: bytes, or a number.
    pub used: u64,
    /// Of how much, where it is limited.
    pub limit: Option<u64>,
}

/// Bytes that went to disks and came from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes.
    pub read: u64,
    /// Bytes.
    pub written: u64,
    /// The most of each a second, where it is limited.
    pub limit: Option<u64>,
}

/// An agent in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its profile.
    pub profile: String,
    /// How it is.
    pub state: State,
    /// Since when, in seconds since 1970-01-01 UTC.
    pub since: u64,
    /// The agent's uid, once it is known.
    pub uid: Option<u32>,
    /// How many people look at it.
    pub people: u32,
    /// How often it was started again by itself.
    pub restarts: u32,
    /// Its memory.
    pub memory: Option<Used>,
    /// Its tasks.
    pub tasks: Option<Used>,
    /// Processor time that it has used, in microseconds.
    pub cpu: Option<u64>,
    /// How much of it it may use, in hundredths of a processor, where that is limited.
    pub cpu_limit: Option<u64>,
    /// What it has read and written on disks, where the kernel counts that.
    pub io: Option<Traffic>,
    /// Bytes on disk: of its bounded trees, those that have least left.
    pub disk: Option<Used>,
    /// When its figures were read, in microseconds of the host's monotonic clock: a rate is the difference of two counts through
    /// that of these.
    pub at: u64,
    /// Whom it may reach: `none`, `loopback`, `allowlist` or `host`; empty where it does not run.
    pub network: String,
    /// What its gate counted, where it has one; a moment old, and nothing until somebody has asked before.
    pub counts: Option<Counts>,
    /// How it ended the last time, if it has.
    pub how: Option<String>,
    /// What the watch has found at it in the last hour, as far as this supervisor has heard of it.
    pub findings: u32,
}

/// A person who looks at an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// Their uid.
    pub uid: u32,
    /// What they do.
    pub verb: String,
    /// Since when, in seconds since 1970-01-01 UTC.
    pub since: u64,
}

/// How the watch sees the processes of agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sees", rename_all = "kebab-case")]
pub enum Sight {
    /// By the kernel's events, each as it comes.
    Events,
    /// By looking at all of them once a second.
    Scans {
        /// Why.
        why: String,
    },
    /// Not at all, for a moment: it is started again.
    #[default]
    Nothing,
}

/// All about an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// As in a list.
    pub shown: Shown,
    /// What was asked for.
    pub wanted: Wanted,
    /// When it is started again, as in the configuration.
    pub restart: String,
    /// When it is started again by itself, in seconds from now.
    pub again: Option<u64>,
    /// Walls that do not stand, and why.
    pub without: Vec<(String, String)>,
    /// PID 1 of its jail, by its number outside.
    pub init: Option<i32>,
    /// Who looks.
    pub people: Vec<Looks>,
    /// What it uses of each limit, as `cellblock limits --json` prints it.
    pub figures: serde_json::Value,
    /// Whom it may reach, as `cellblock network --json` prints it; null where it has no gate, or one that has not said
    /// what it counts.
    pub network: serde_json::Value,
    /// The newest events, oldest first, as in the journal.
    pub events: Vec<serde_json::Value>,
    /// How it is watched, where it has processes.
    #[serde(default)]
    pub watch: Option<Sight>,
    /// What the watch has found last, oldest first, as in the journal.
    #[serde(default)]
    pub findings: Vec<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_without_a_name_is_called_as_its_profile() {
        let wanted = |profile: &str| Wanted { profile: profile.to_owned(), ..Wanted::default() };
        assert_eq!(name_of(&wanted("claude")), "claude");
        assert_eq!(name_of(&wanted("/etc/x/build.toml")), "build");
        let named = Wanted { name: Some("a".to_owned()), ..wanted("claude") };
        assert_eq!(name_of(&named), "a");
    }

    #[test]
    fn every_version_tells_which_it_is() {
        let call =
            Call { version: 7, request: Request::Stop { agent: "a".into(), patience: None } };
        let text = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<AnyCall>(&text).unwrap().version, 7);
        let newer = "{\"version\":8,\"request\":{\"Unknown\":1},\"more\":true}";
        assert_eq!(serde_json::from_str::<AnyCall>(newer).unwrap().version, 8);
        assert!(serde_json::from_str::<Call>(newer).is_err());
    }
}
