//! `cellblock attach`: an agent's session on this terminal.

use super::Supervisor;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::{Answer, Request};
use crate::control::socket::ClientError;
use crate::exit::Exit;
use crate::planning::wrong;
use crate::shim::client::{self, Client, Left, Typing};
use crate::shim::protocol::{End, Line};
use crate::shim::wait::Waiter;
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
        let (agent, types) = (self.name.clone(), !self.read_only);
        let request = Request::Attach { agent, types, size: client::size()? };
        let line = line(self.supervisor.ask(request, &[])?)?;
        let client = Client::show(line, Typing::Session, [true; 3])?;
        let left = client.attend(&waiter)?;
        Ok(tell(&self.name, &left, out))
    }
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

/// Says how it came to its end, and gives the status.
fn tell(name: &str, left: &Left, out: &mut Output) -> Exit {
    match left {
        Left::Detached => Exit::Success,
        Left::End(End::Detached) => {
            out.complain(&format_args!("{name} goes on"));
            Exit::Success
        }
        Left::End(End::Jail { status: Some(status), .. }) => {
            out.complain(&format_args!("{name} ended with exit status {status}"));
            Exit::Command(u8::try_from(status & 0xff).unwrap_or(125))
        }
        Left::End(End::Jail { signal: Some(signal), .. }) => {
            out.complain(&format_args!("{name} ended by signal {signal}"));
            Exit::Signal(u8::try_from(*signal).unwrap_or(125))
        }
        Left::End(End::Jail { .. } | End::Command { .. }) | Left::Lost => {
            out.complain(&format_args!("{name} was ended"));
            Exit::Failed
        }
        Left::TerminalGone => Exit::Success,
        Left::Signal(signal) => Exit::Signal(u8::try_from(*signal as i32).unwrap_or(125)),
    }
}
