//! `cellblock supervise`: runs the agents of an installation.

use super::Supervisor;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::exit::Exit;
use crate::host;
use crate::planning;
use crate::supervisor;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Supervise {
    #[command(flatten)]
    supervisor: Supervisor,
    /// Start the agents that the configuration names
    #[arg(long)]
    up: bool,
}

const EXAMPLES: &str = "\
It stays in the foreground, says on standard error what happens, and ends on SIGTERM and SIGINT.
Agents go on when it ends, in whichever way: the next one takes them over. SIGHUP has it read its
configuration anew.

Examples:
  sudo cellblock supervise
  sudo cellblock supervise --up --config ./config.toml";

impl Supervise {
    /// Supervises until it is told to end.
    ///
    /// # Errors
    /// Where it cannot begin, or go on.
    pub fn perform(&self, _out: &mut Output) -> Result<Exit, CliError> {
        let caller = host::probe::caller();
        let named = self.supervisor.config.as_deref();
        let config = planning::config(named, &caller)?;
        let read = || planning::config(named, &caller).map_err(|problems| problems.to_string());
        // Shims have another directory.
        let path = named.and_then(|named| std::path::absolute(named).ok());
        supervisor::supervise(config, path, &read, self.up)?;
        Ok(Exit::Success)
    }
}
