//! Keeps one jail from its start to its end.
//!
//! ```text
//!  run, supervisor ─ owner ─ link ─ shim: stay ─ keep ─ views ─ lines ─ client ─ the person's terminal
//!       (root)        │             (no rights)    └─ jail init, gate
//!                     ├─ limits::Meter   what it uses
//!                     └─ gatekeeper      what its gate refuses
//! ```
//!
//! A session is kept by a process of its own, the shim: [`stay`] launches it as root and gives up every right, `keep`
//! holds what the jail needs to live. What needs rights is its owner's ([`owner`]): the figures, the journals, the proof
//! that the session is the agent's, terminals for those who look. An owner may go and another one come; with `run` the
//! shim ends with its owner. [`client`] is the person's side. [`exec`] is one command without a session, kept by its
//! launcher.

pub mod client;
mod door;
pub mod exec;
pub mod owner;
pub mod protocol;
pub mod run;
pub mod stay;

mod asker;
mod gatekeeper;
mod keep;
mod person;
mod record;
mod view;
pub mod wait;

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

/// How an agent's command ended, in a sentence.
#[must_use]
pub fn ended(agent: &str, status: Option<i32>, signal: Option<i32>) -> String {
    match (status, signal) {
        (_, Some(signal)) => format!("{agent} ended by signal {signal}"),
        (Some(status), None) => format!("{agent} ended with exit status {status}"),
        (None, None) => format!("{agent} ended, and its tmux server did not tell how"),
    }
}

/// That an agent's jail ended, whose init has said nothing of its command.
#[must_use]
pub fn was_ended(agent: &str) -> String {
    format!("{agent} was ended")
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
    /// The shim cannot give up its rights.
    #[error("the shim {0}")]
    Confine(crate::confine::ConfineError),
    /// There is no jail, as its shim says.
    #[error("{cause}")]
    Refused {
        /// Why.
        cause: String,
        /// What to do about it.
        hint: String,
        /// The exit status.
        status: u8,
    },
    /// The shim ended and said nothing.
    #[error("the process that keeps the jail ended before it said anything")]
    NoShim,
    /// tmux ended before it showed anything.
    #[error("tmux ended with status {status} before it showed the session{}", Said(.said))]
    NoSession {
        /// Its exit status.
        status: i32,
        /// What it said.
        said: Vec<String>,
    },
}

/// Whether something can be read now, or an end be seen.
fn is_readable(fd: impl rustix::fd::AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
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
            Self::Refused { hint, .. } => hint.clone(),
            Self::NoShim => "look at the kernel's log: it may have been ended for want of memory".to_owned(),
            Self::Failed { .. } | Self::Terminal(_) | Self::Wait(_) | Self::Confine(_) => {
                String::new()
            }
        }
    }

    /// The exit status that tells of it.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Failed { status, .. } | Self::Refused { status, .. } => *status,
            Self::Launch(_)
            | Self::Terminal(_)
            | Self::Wait(_)
            | Self::Confine(_)
            | Self::NoShim
            | Self::NoSession { .. } => 125,
        }
    }
}
