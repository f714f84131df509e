//! `cellblock reload`: the supervisor reads its configuration anew.

use super::{Supervisor, Telling};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::Request;
use crate::exit::Exit;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Reload {
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
Roles and defaults hold at once; agents that run go on as they are. A configuration with a mistake
changes nothing: cellblock check --config FILE shows it beforehand.

Examples:
  sudo cellblock reload";

impl Reload {
    /// Asks for it.
    ///
    /// # Errors
    /// Where the supervisor is not reached.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        self.supervisor.have_done(Request::Reload, self.telling.json, out)
    }
}
