//! `cellblock exec`: one command in a jail, its exit status passed on.

use super::error::CliError;
use super::options::Options;
use super::output::Output;
use super::run::{self, Timing};
use crate::exit::Exit;
use crate::host;
use crate::plan::Mode;
use crate::planning;
use crate::shim;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Exec {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    timing: Timing,
}

const EXAMPLES: &str = "\
Exit status: the command's own; 128 + n where signal n ended it; 125 where cellblock failed
or refused; 126 where the command cannot be run; 127 where it is not in the jail.

Examples:
  sudo cellblock exec demo -- sh -c 'id; ls /'
  sudo cellblock exec --workspace ~/project demo -- make test
  sudo cellblock exec --without landlock demo -- cat /etc/passwd";

impl Exec {
    /// Runs the command.
    ///
    /// # Errors
    /// Every problem of the profile and the command line, every wall that cannot stand, and what
    /// fails on the way.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let planned = planning::plan(&self.options.wanted(), Mode::Exec, &host::probe::caller())?;
        run::tell_relaxations(&planned.plan, out);
        let mut timings = planned.timings;
        let ended = shim::exec::exec(&planned.plan, &mut timings);
        self.timing.tell(&timings, out);
        Ok(run::tell_end(&ended?, out))
    }
}
