//! `cellblock attach`: an agent's session on this terminal.

use super::Supervisor;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::{Answer, Request};
use crate::control::socket::{Client as Supervising, ClientError};
use crate::exit::Exit;
use crate::planning::wrong;
use crate::shim::client::{self, Client, Left, Typing};
use crate::shim::protocol::{End, Line};
use crate::shim::wait::Waiter;
use crate::shim::{ended, was_ended};
use clap::Args;
use rustix::fd::OwnedFd;
use rustix::termios::isatty;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Attach {
    /// The agent
    #[arg(value_name = "NAME")]
    name: String,
    /// Only look: nothing that is typed reaches the agent
    #[arg(long, short)]
    read_only: bool,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
Ctrl-] and then d leaves; the agent goes on, and so it does when this terminal is closed. Several
people can look at once, each in their terminal's size.

Exit status: 0 where the session was left, the status of the agent's command where that ended
meanwhile.

Examples:
  cellblock attach reviewer
  cellblock attach --read-only reviewer";

impl Attach {
    /// Shows it until it is left, or ends.
    ///
    /// # Errors
    /// Where the supervisor is not reached, the agent does not run, or this is no terminal.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        if !isatty(rustix::stdio::stdin()) || !isatty(rustix::stdio::stdout()) {
            let hint = "cellblock screen prints what it shows";
            return Err(wrong("attach", "needs a terminal", hint).into());
        }
        let waiter = Waiter::new()?;
        let line = open(&self.supervisor.connect()?, &self.name, !self.read_only)?;
        let left = show(line, &waiter)?;
        if let Some(told) = told(&self.name, &left) {
            out.complain(&told);
        }
        Ok(exit(&left))
    }
}

/// A line to the session of the agent `name`, as `client` gives it, to type on or only to look.
///
/// # Errors
/// Where it is refused, the agent does not run, or standard output is no terminal.
pub(super) fn open(client: &Supervising, name: &str, types: bool) -> Result<Line, CliError> {
    let request = Request::Attach { agent: name.to_owned(), types, size: client::size()? };
    line(client.call(request, &[])?)
}

/// Shows the session on this terminal until it is left, or ends; the terminal is as before then.
///
/// # Errors
/// Where the terminal fails.
pub(super) fn show(line: Line, waiter: &Waiter) -> Result<Left, CliError> {
    Ok(Client::show(line, Typing::Session, [true; 3])?.attend(waiter)?)
}

/// The line that comes with an answer.
pub(in crate::cli) fn line(
    (answer, descriptors): (Answer, Vec<OwnedFd>),
) -> Result<Line, CliError> {
    match (answer, <[OwnedFd; 2]>::try_from(descriptors)) {
        (Answer::Line, Ok([bytes, news])) => Ok(Line { bytes, news }),
        (_, _) => Err(ClientError::Other.into()),
    }
}

/// How it came to its end, in words; nothing where the person knows that.
pub(super) fn told(name: &str, left: &Left) -> Option<String> {
    match left {
        Left::End(End::Detached) => Some(format!("{name} goes on")),
        Left::End(End::SentAway { why }) => Some(why.clone()),
        Left::End(End::Jail { status, signal }) if status.or(*signal).is_some() => {
            Some(ended(name, *status, *signal))
        }
        Left::End(End::Jail { .. } | End::Command { .. }) | Left::Lost => Some(was_ended(name)),
        Left::Detached | Left::TerminalGone | Left::Signal(_) => None,
    }
}

fn exit(left: &Left) -> Exit {
    let code = |number: i32| u8::try_from(number & 0xff).unwrap_or(125);
    match left {
        Left::Detached | Left::End(End::Detached) | Left::TerminalGone => Exit::Success,
        Left::End(End::Jail { status: Some(status), signal: None }) => Exit::Command(code(*status)),
        Left::End(End::Jail { signal: Some(signal), .. }) => Exit::Signal(code(*signal)),
        Left::End(End::Jail { .. } | End::Command { .. } | End::SentAway { .. }) | Left::Lost => {
            Exit::Failed
        }
        Left::Signal(signal) => Exit::Signal(u8::try_from(*signal as i32).unwrap_or(125)),
    }
}
