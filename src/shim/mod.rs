//! Keeps one jail from its start to its end: relays its terminal, passes signals on, watches what no
//! controller limits, and tells how it ended.
//!
//! [`exec`] is one command, [`run`] an agent's tmux session. Both wait for the same things in the same
//! way ([`wait`]) and differ in what they do about them.

pub mod exec;
pub mod run;

mod asker;
mod gatekeeper;
mod person;
mod wait;

use std::fmt;

/// What there is to say when a jail has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The exit status to pass on.
    pub status: u8,
    /// What happened, one sentence a line; empty where the status says all.
    pub told: Vec<String>,
    /// The last screen, line by line, where nobody saw it.
    pub screen: Vec<String>,
}

/// Why a jail could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The launch failed, or the jail's end did.
    #[error(transparent)]
    Launch(#[from] crate::launch::LaunchError),
    /// The person's terminal failed.
    #[error(transparent)]
    Terminal(#[from] crate::terminal::TerminalError),
    /// Waiting failed.
    #[error("cannot wait for the jail: {0}")]
    Wait(rustix::io::Errno),
    /// The command or init failed behind the walls.
    #[error("{cause}")]
    Failed {
        /// What init says happened.
        cause: String,
        /// The exit status: 125, 126 or 127.
        status: u8,
    },
    /// tmux ended before it showed anything.
    #[error("tmux ended with status {status} before it showed the session{}", Said(.said))]
    NoSession {
        /// Its exit status.
        status: i32,
        /// What it said.
        said: Vec<String>,
    },
}

/// The keeper of the jail's gate, where it has one.
fn keeper(
    jail: &mut crate::launch::Jail,
    plan: &crate::plan::Plan,
) -> Result<Option<gatekeeper::Gatekeeper>, ShimError> {
    let (Some(gate), Some(egress)) = (jail.take_gate(), &plan.egress) else { return Ok(None) };
    let keeper = gatekeeper::Gatekeeper::new(&jail.name(), jail.kept(), gate, egress)?;
    Ok(Some(keeper))
}

struct Said<'a>(&'a [String]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.join(" ")) }
    }
}

impl ShimError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Launch(error) => error.hint(),
            Self::NoSession { .. } => {
                "tmux 3.1 or later and a UTF-8 locale (C.UTF-8) must be in the jail; see `cellblock doctor`"
                    .to_owned()
            }
            Self::Failed { status: 127, .. } => {
                "only what the profile's `execute` names can be run".to_owned()
            }
            Self::Failed { .. } | Self::Terminal(_) | Self::Wait(_) => String::new(),
        }
    }

    /// The exit status that tells of it.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Failed { status, .. } => *status,
            Self::Launch(_) | Self::Terminal(_) | Self::Wait(_) | Self::NoSession { .. } => 125,
        }
    }
}
