//! `cellblock run`: an agent in a jail, in its tmux session, on this terminal.

use super::error::CliError;
use super::options::Options;
use super::output::Output;
use crate::exit::Exit;
use crate::host;
use crate::plan::{Mode, Plan, WallState};
use crate::planning;
use crate::shim::{self, Ending};
use clap::Args;
use std::fmt::Write as _;
use std::time::Duration;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    timing: Timing,
}

const EXAMPLES: &str = "\
Ctrl-] and then d leaves the session while the agent goes on; Enter comes back to it, Ctrl-C
then ends it. The end of the agent's command ends the jail. Without a terminal, cellblock waits
for the end and prints the last screen.

Exit status: the command's own; 128 + n where signal n ended it; 125 where cellblock failed
or refused.

Examples:
  cd project && sudo cellblock run claude
  sudo cellblock run --name reviewer --workspace ~/project claude
  sudo cellblock run demo -- bash";

/// For measuring a launch.
#[derive(Args, Clone, Debug)]
pub(super) struct Timing {
    /// Print how long each step of the launch took, in microseconds
    #[arg(long, hide = true)]
    timings: bool,
}

impl Timing {
    pub(super) fn tell(&self, timings: &[(String, Duration)], out: &mut Output) {
        if self.timings {
            let mut text = String::new();
            for (step, took) in timings {
                if writeln!(text, "timing {step} {}", took.as_micros()).is_err() {
                    break;
                }
            }
            out.error_text(&text);
        }
    }
}

/// What the person reads on their own terminal while the agent goes on.
struct Notices<'o>(&'o mut Output);

impl shim::run::Notices for Notices<'_> {
    fn detached(&mut self, agent: &str) {
        let keys = "Enter comes back to it, Ctrl-C ends it";
        self.0.complain(&format_args!("{agent} goes on: {keys}"));
    }

    fn frozen(&mut self, agent: &str, why: &str) {
        let keys = "Enter lets it go on, Ctrl-C ends it";
        self.0.complain(&format_args!("{agent} stands still: {why}: {keys}"));
    }
}

impl Run {
    /// Runs the agent.
    ///
    /// # Errors
    /// As for `exec`.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let planned = planning::plan(&self.options.wanted(), Mode::Run, &host::probe::caller())?;
        tell_relaxations(&planned.plan, out);
        let mut timings = planned.timings;
        let ended = shim::run::run(&planned.plan, &mut Notices(out), &mut timings);
        self.timing.tell(&timings, out);
        Ok(tell_end(&ended?, out))
    }
}

/// Says which walls do not stand, at every start: a relaxation is never silent.
pub(super) fn tell_relaxations(plan: &Plan, out: &mut Output) {
    for wall in &plan.walls {
        if let WallState::Without(why) = &wall.state {
            out.complain(&format_args!("without the wall `{}`: {why}", wall.wall));
        }
    }
}

/// Tells how it ended and gives the status.
pub(super) fn tell_end(ending: &Ending, out: &mut Output) -> Exit {
    for line in &ending.screen {
        out.line(line);
    }
    for told in &ending.told {
        out.complain(told);
    }
    Exit::Command(ending.status)
}
