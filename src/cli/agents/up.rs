//! `cellblock up`: the agents that the configuration names are started.

use super::{Supervisor, Telling};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::Request;
use crate::exit::Exit;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Up {
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
Those that run already go on as they are.

Examples:
  sudo cellblock up";

impl Up {
    /// Asks for it.
    ///
    /// # Errors
    /// Where the supervisor is not reached.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        self.supervisor.have_done(Request::Up, self.telling.json, out)
    }
}
