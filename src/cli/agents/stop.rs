//! `cellblock stop`: an agent is asked to end, and ended where it does not.

use super::Agents;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::Request;
use crate::exit::Exit;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Stop {
    #[command(flatten)]
    agents: Agents,
    /// End everything of it at once
    #[arg(long)]
    now: bool,
    /// Seconds it may take, instead of `patience` of the configuration
    #[arg(long, value_name = "SECONDS", conflicts_with = "now")]
    patience: Option<u32>,
}

const EXAMPLES: &str = "\
The agent's command gets SIGTERM and SIGHUP; what still runs after the patience is ended.

Examples:
  cellblock stop reviewer
  cellblock stop --patience 60 reviewer builder
  cellblock stop --now reviewer";

impl Stop {
    /// Asks for it, and waits for the end.
    ///
    /// # Errors
    /// Where the supervisor is not reached.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let seconds = if self.now { Some(0) } else { self.patience };
        let patience = seconds.map(|seconds| u64::from(seconds) * 1000);
        self.agents.have_done(|agent| Request::Stop { agent, patience }, out)
    }
}
