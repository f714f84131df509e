//! `cellblock start`: an agent in a jail, kept by the supervisor.

use super::{Supervisor, Telling};
use crate::cli::error::CliError;
use crate::cli::options::Options;
use crate::cli::output::Output;
use crate::control::protocol::Request;
use crate::exit::Exit;
use crate::host;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Start {
    #[command(flatten)]
    options: Options,
    /// When it is started again after it has ended: never, on-failure or always
    #[arg(long, value_name = "WHEN")]
    restart: Option<String>,
    #[command(flatten)]
    telling: Telling,
}

const EXAMPLES: &str = "\
It returns when the agent's session is there, or says why it is not. Who is not root chooses among
the profiles of /etc/cellblock and those that come with cellblock, and a workspace of their own.

Examples:
  cd project && cellblock start claude
  cellblock start --name reviewer --workspace ~/project claude
  cellblock start --restart on-failure --name build demo -- make watch";

impl Start {
    /// Asks for it, and waits until it runs.
    ///
    /// # Errors
    /// Where the supervisor is not reached, or the agent is not started.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let mut wanted = self.options.wanted();
        // The supervisor has a configuration, and takes no other.
        let supervisor = Supervisor { config: wanted.config.take() };
        // It has no directory of its own: what is named here is named from here.
        let absolute = |path: std::path::PathBuf| std::path::absolute(&path).unwrap_or(path);
        wanted.workspace = wanted.workspace.map(absolute);
        if wanted.profile.contains('/') || wanted.profile.ends_with(".toml") {
            let path = std::path::absolute(&wanted.profile).ok();
            let path = path.and_then(|path| path.to_str().map(str::to_owned));
            wanted.profile = path.unwrap_or(wanted.profile);
        }
        let caller = Box::new(host::probe::caller());
        let restart = self.restart.clone();
        let request = Request::Start { wanted: Box::new(wanted), caller, restart };
        supervisor.have_done(request, self.telling.json, out)
    }
}
