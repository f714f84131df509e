//! The process that tells alerts to sinks, and shows figures to who collects them.
//!
//! ```text
//!  supervisor ─ Order ─ keep ─┬─ a queue for each sink ─ log | journald | command | webhook
//!             ◁ Report ───────┤
//!                             └─ scrape ◁ who collects figures
//! ```
//!
//! It runs as a uid of its own without any right, behind Landlock and a filter of system calls: it writes the files of one
//! folder, sends datagrams to the journal, and opens connections. What is slow, hangs or lies on the other side holds up that
//! sink alone. It ends with the supervisor, and takes a few seconds then to tell what it has.
//!
//! Does not protect against: what a receiver does with what it is told; a disk that hangs, which holds up all sinks, but never
//! the supervisor.

mod command;
mod confine;
mod journald;
mod keep;
mod line;
mod log;
mod queue;
mod scrape;
mod webhook;

#[cfg(test)]
mod tests;

use super::alert::Alert;
use super::protocol::{Order, Report, Start};
use crate::wire;
use rustix::fd::OwnedFd;
use std::ffi::OsString;
use std::rc::Rc;

/// The name by which the program knows that it is to tell alerts.
pub const NAME: &str = "cellblock-alerts";

/// The status of one that could not go on.
const FAILED: u8 = 125;

/// Why an alert was not told, and whether that may change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    cause: String,
    again: bool,
}

impl Failure {
    /// It may be another time.
    fn for_now(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), again: true }
    }

    /// It will be so the next time.
    fn for_good(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), again: false }
    }
}

/// Tells alerts until the supervisor is gone. The words are the name and the uid; the standard input is the supervisor's socket,
/// on which the first order comes.
#[must_use]
pub fn main(words: &[OsString]) -> u8 {
    let uid = words.get(1).and_then(|word| word.to_str()).and_then(|word| word.parse().ok());
    let Some(uid) = uid else { return FAILED };
    let Ok(supervisor) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return FAILED;
    };
    match serve(&Rc::new(supervisor), uid) {
        Ok(()) => 0,
        Err((supervisor, cause)) => {
            // Where the supervisor is gone, nobody is left to be told.
            let told = wire::say_now(&*supervisor, &Report::Failed { cause });
            if told.is_ok() { FAILED } else { FAILED - 1 }
        }
    }
}

fn serve(supervisor: &Rc<OwnedFd>, uid: u32) -> Result<(), (Rc<OwnedFd>, String)> {
    let failed = |cause: String| (Rc::clone(supervisor), cause);
    confine::give_up_rights(uid).map_err(failed)?;
    let (start, descriptors) = match wire::receive_sealed::<Order>(&**supervisor) {
        Ok(Some((Order::Start(start), descriptors))) => (start, descriptors),
        // It went away before it had begun.
        Ok(None) => return Ok(()),
        Ok(Some((Order::Tell(_) | Order::Figures(_) | Order::Listen(_), _))) => {
            return Err(failed("the supervisor said something out of its turn".to_owned()));
        }
        Err(errno) => return Err(failed(format!("cannot understand the supervisor: {errno}"))),
    };
    let Start { landlock, .. } = *start;
    let given = Given::of(&start, descriptors).map_err(failed)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("cannot wait for events: {error}")))?;
    confine::restrict(landlock, given.log.as_ref()).map_err(failed)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, keep::keep(supervisor, *start, given)).map_err(failed)
}

/// The descriptors that come with the first order.
struct Given {
    /// The folder of log files.
    log: Option<OwnedFd>,
    /// The lines to processes that run commands, in the order of their sinks.
    commands: Vec<OwnedFd>,
}

impl Given {
    fn of(start: &Start, descriptors: Vec<OwnedFd>) -> Result<Self, String> {
        use super::protocol::WayStart;
        let mut rest = descriptors.into_iter();
        let logs = start.sinks.iter().any(|sink| sink.way == WayStart::Log);
        let log = logs.then(|| rest.next()).flatten();
        let commands: Vec<_> = rest.collect();
        let wanted = start.sinks.iter().filter(|sink| sink.way == WayStart::Command).count();
        if log.is_some() != logs || commands.len() != wanted {
            return Err("not everything came along that the sinks need".to_owned());
        }
        Ok(Self { log, commands })
    }
}

/// An alert as a line of JSON, without the end of the line.
fn json(alert: &Alert) -> Result<Vec<u8>, Failure> {
    let text = serde_json::to_vec(alert);
    text.map_err(|error| Failure::for_good(format!("cannot write it as JSON: {error}")))
}
