//! What a verb can fail with, in words, and the exit status it means.

use crate::control::socket::ClientError;
use crate::document::{Problem, Problems};
use crate::exit::Exit;
use crate::jobs::enter::AgentError;
use crate::launch::LaunchError;
use crate::planning::PlanningError;
use crate::shim::ShimError;
use crate::supervisor::SuperviseError;
use crate::terminal::TerminalError;
use crate::terminal::recording::ReadError;
use crate::terminal::recording::stage::PlayError;
use crate::verify::referee::RefereeError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Something in files or on the command line is wrong.
    #[error("{0}")]
    Problems(#[from] Problems),
    /// There is no plan.
    #[error("{0}")]
    Planning(#[from] PlanningError),
    /// The jail could not be launched or kept.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Shim(#[from] ShimError),
    /// Something about running jails could not be done.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Launch(#[from] LaunchError),
    /// No attempt to get out of a jail can be made.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Referee(#[from] RefereeError),
    /// A recording cannot be read.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Recording(#[from] ReadError),
    /// The terminal failed while a recording was played on it.
    #[error("{0}")]
    Terminal(#[from] TerminalError),
    /// The supervisor was not reached, or did not do what it was asked.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Client(#[from] ClientError),
    /// The agent's own socket was not reached, or what it asks for was not done.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Agent(#[from] AgentError),
    /// There is no supervisor.
    #[error("{0}{hint}", hint = Hint(.0.hint()))]
    Supervise(#[from] SuperviseError),
    /// A file was not written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl CliError {
    /// The status it means.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let of = |status| match status {
            126 => Exit::CannotRun,
            127 => Exit::NotFound,
            _ => Exit::Failed,
        };
        match self {
            Self::Planning(error) => of(error.status()),
            Self::Shim(error) => of(error.status()),
            Self::Client(error) => of(error.status()),
            Self::Agent(error) => of(error.status()),
            Self::Problems(_)
            | Self::Supervise(_)
            | Self::Launch(_)
            | Self::Referee(_)
            | Self::Recording(_)
            | Self::Terminal(_)
            | Self::Write { .. } => Exit::Failed,
        }
    }
}

/// A hint on a line of its own, where there is one.
struct Hint(String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "\n  hint: {}", self.0) }
    }
}

impl From<PlayError> for CliError {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::Read(error) => Self::Recording(error),
            PlayError::Terminal(error) => Self::Terminal(error),
        }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Self::Problems(Problems(vec![problem]))
    }
}
