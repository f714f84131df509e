//! What an agent and its supervisor say to each other by the agent's own socket, inside its jail.
//!
//! A call is one datagram ([`crate::wire`]), and so is its answer; one call at a time on a connection. The shim takes them, and knows
//! by the socket whose they are: nobody outside of the jail reaches it. What an agent says is its own word, bounded here.

use serde::{Deserialize, Serialize};

/// Where the socket is in the jail.
pub const SOCKET: &str = "/run/cellblock/agent";

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The most words of a job, and the longest of all together, in bytes.
pub const MOST_WORDS: usize = 256;
/// See [`MOST_WORDS`].
pub const LONGEST_WORDS: usize = 16 << 10;
/// The longest note, in bytes.
pub const LONGEST_NOTE: usize = 4 << 10;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which version of the protocol it is of.
    pub version: u32,
    /// What is asked for.
    pub request: Request,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who the agent is.
    WhoAmI,
    /// A job of these words: what counts it comes with the answer, and whoever writes `0` there is of the job from then on.
    StartJob {
        /// Program and arguments, as they are told of.
        words: Vec<String>,
        /// Seconds that it may take; as long as the profile allows where it is not said.
        lease: Option<u64>,
    },
    /// The jobs that there are.
    Jobs,
    /// End a job.
    StopJob {
        /// Which.
        number: u32,
    },
    /// Have a text typed into the agent's session.
    Schedule {
        /// Seconds from now.
        after: u64,
        /// The text.
        text: String,
    },
    /// The texts that wait.
    Notes,
    /// Do not type one.
    Cancel {
        /// Which.
        number: u32,
    },
}

/// A job, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownJob {
    /// Its number.
    pub number: u32,
    /// Program and arguments.
    pub words: Vec<String>,
    /// Since when, in seconds since 1970-01-01 UTC.
    pub since: u64,
    /// Until when it may run, as above.
    pub until: u64,
    /// Its processes.
    pub processes: u64,
    /// Processor time, in microseconds.
    pub cpu: u64,
}

/// A text that waits, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownNote {
    /// Its number.
    pub number: u32,
    /// When it is typed, in seconds since 1970-01-01 UTC.
    pub at: u64,
    /// The text.
    pub text: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::WhoAmI`].
    Me {
        /// The agent's name.
        agent: String,
        /// Its profile's.
        profile: String,
    },
    /// To [`Request::StartJob`].
    Job(ShownJob),
    /// To [`Request::Jobs`].
    Jobs(Vec<ShownJob>),
    /// To [`Request::Schedule`].
    Note(ShownNote),
    /// To [`Request::Notes`].
    Notes(Vec<ShownNote>),
    /// It is done; in a sentence.
    Done(String),
    /// It is not done.
    Failed {
        /// Why.
        cause: String,
        /// What to do about it; empty where there is nothing to add.
        hint: String,
    },
}

impl Answer {
    /// It is not done, for this reason.
    #[must_use]
    pub fn failed(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), hint: hint.into() }
    }
}
