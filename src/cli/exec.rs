//! `cellblock exec`: one command in a jail, its exit status passed on.

use super::agents::{Supervisor, attach};
use super::error::CliError;
use super::options::Options;
use super::output::Output;
use super::run::{self, Timing};
use crate::control::protocol::Request;
use crate::exit::Exit;
use crate::host;
use crate::plan::Mode;
use crate::planning::{self, wrong};
use crate::shim;
use crate::shim::client::{self, Client, Left, Typing};
use crate::shim::protocol::End;
use crate::shim::wait::Waiter;
use crate::terminal::size::Size;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Exec {
    #[command(flatten)]
    options: Options,
    /// In the jail of the running agent that stands in the place of PROFILE, beside what runs there
    #[arg(long, conflicts_with_all = ["name", "workspace", "without"])]
    running: bool,
    #[command(flatten)]
    timing: Timing,
}

const EXAMPLES: &str = "\
Exit status: the command's own; 128 + n where signal n ended it; 125 where cellblock failed
or refused; 126 where the command cannot be run; 127 where it is not in the jail.

Standard descriptors that are a terminal become one of the jail's own, and the others are the
command's as they are. With --running those must be pipes, files or /dev/null, but for root.

Examples:
  sudo cellblock exec demo -- sh -c 'id; ls /'
  sudo cellblock exec --workspace ~/project demo -- make test
  sudo cellblock exec --without landlock demo -- cat /etc/passwd
  cellblock exec --running reviewer -- git log --oneline
  cellblock exec --running reviewer -- git diff > review.patch";

impl Exec {
    /// Runs the command.
    ///
    /// # Errors
    /// Every problem of the profile and the command line, every wall that cannot stand, and what
    /// fails on the way.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        if self.running {
            return self.perform_running(out);
        }
        let planned = planning::plan(&self.options.wanted(), Mode::Exec, &host::probe::caller())?;
        run::tell_relaxations(&planned.plan, out);
        let mut timings = planned.timings;
        let ended = shim::exec::exec(&planned.plan, &mut timings);
        self.timing.tell(&timings, out);
        Ok(run::tell_end(&ended?, out))
    }

    /// A further command in a jail that the supervisor keeps.
    fn perform_running(&self, out: &mut Output) -> Result<Exit, CliError> {
        let Options { profile, command, choice, .. } = &self.options;
        if command.is_empty() {
            return Err(wrong(
                "COMMAND",
                "is missing",
                "as in: cellblock exec --running reviewer -- ls",
            )
            .into());
        }
        let waiter = Waiter::new()?;
        // A terminal is never passed on itself: the command has one of the jail's in its place.
        let terminals = client::terminals();
        let size = client::size().unwrap_or(Size::DEFAULT);
        let supervisor = Supervisor { config: choice.config.clone() };
        let (agent, words) = (profile.clone(), command.clone());
        let request = Request::Exec { agent, words, terminals, size };
        let standard = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        let along = standard.into_iter().zip(terminals).filter(|(_, is_terminal)| !is_terminal);
        let along: Vec<_> = along.map(|(fd, _)| fd).collect();
        let line = attach::line(supervisor.ask(request, &along)?)?;
        let left = Client::show(line, Typing::Command, terminals)?.attend(&waiter)?;
        Ok(tell(&left, out))
    }
}

/// Says what the status does not, and gives that.
fn tell(left: &Left, out: &mut Output) -> Exit {
    match left {
        Left::End(End::Command { status, cause }) => {
            cause.iter().for_each(|cause| out.complain(cause));
            Exit::Command(*status)
        }
        Left::Signal(signal) => Exit::Signal(u8::try_from(*signal as i32).unwrap_or(125)),
        Left::TerminalGone => Exit::Signal(1),
        Left::End(End::SentAway { why }) => {
            out.complain(why);
            Exit::Failed
        }
        Left::End(End::Detached | End::Jail { .. }) | Left::Detached | Left::Lost => {
            out.complain(&"the jail ended before the command did");
            Exit::Command(137)
        }
    }
}
