//! Calls to the supervisor that are not waited for: each has a connection of its own. One that takes no more calls is, for some
//! seconds.

use crate::control::protocol::{Answer, Request};
use crate::control::socket::{Client, ClientError};
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// So many calls are on their way at once.
const MOST: usize = 16;
/// A supervisor that has not told of its agents for so long is said to be silent, and one that takes no call so long is given up.
const SILENT: Duration = Duration::from_secs(5);

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The agents.
    Agents,
    /// A journal of the agent: of what was refused to it, or of the other.
    Journal { agent: String, denials: bool },
    /// Something is to be done.
    Do,
}

/// A call that waits for its answer.
#[derive(Debug)]
struct Call {
    client: Client,
    purpose: Purpose,
    since: Instant,
}

/// The way to a supervisor.
#[derive(Debug)]
pub(super) struct Link {
    path: PathBuf,
    calls: Vec<Call>,
}

/// What a call was for, and what came of it.
pub(super) type Came = (Purpose, Result<Answer, ClientError>);

impl Link {
    /// To the supervisor whose control socket is at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, calls: Vec::new() }
    }

    /// A connection of its own.
    pub(super) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect_for(&self.path, Some(SILENT))
    }

    /// Asks. What was asked for to be shown is not asked again before that is answered, and tells nothing then.
    pub(super) fn ask(&mut self, purpose: Purpose, request: Request) -> Result<(), ClientError> {
        let shows = purpose != Purpose::Do;
        if shows && self.calls.iter().any(|call| call.purpose == purpose) {
            return Ok(());
        }
        if self.calls.len() >= MOST {
            return Err(ClientError::Failed {
                cause: format!("{MOST} calls wait for an answer already"),
                hint: String::new(),
                status: 125,
            });
        }
        let client = self.connect()?;
        client.ask(request, &[])?;
        self.calls.push(Call { client, purpose, since: Instant::now() });
        Ok(())
    }

    /// Whether the agents were asked for so long ago that the answer does not seem to come.
    pub(super) fn is_silent(&self) -> bool {
        let late = |call: &Call| call.purpose == Purpose::Agents && call.since.elapsed() > SILENT;
        self.calls.iter().any(late)
    }

    /// What to wait for; [`Link::turn`] takes what came, in the same order.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.calls.iter().map(|call| (call.client.as_fd(), PollFlags::IN)).collect()
    }

    /// The answers that came.
    pub(super) fn turn(&mut self, came: &[PollFlags]) -> Vec<Came> {
        let mut waiting = Vec::new();
        let mut answers = Vec::new();
        let flags = came.iter().copied().chain(std::iter::repeat(PollFlags::empty()));
        for (call, flags) in std::mem::take(&mut self.calls).into_iter().zip(flags) {
            if flags.is_empty() {
                waiting.push(call);
            } else {
                answers.push((call.purpose, call.client.hear().map(|(answer, _)| answer)));
            }
        }
        self.calls = waiting;
        answers
    }
}
