//! `cellblock job`: the jobs that agents have declared.

use super::{Supervisor, Telling};
use crate::cli::agent::show_jobs;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::{Answer, Request};
use crate::control::socket::ClientError;
use crate::exit::Exit;
use clap::{Args, Subcommand};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Job {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
An agent declares a job inside its jail, by `cellblock agent job start`. What one has said is read
there: cellblock exec --running NAME -- cat .cellblock/jobs/1.log

Examples:
  cellblock job ls reviewer
  cellblock job stop reviewer 1";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the jobs of an agent
    Ls(super::One),
    /// End a job
    Stop(Stop),
}

/// The arguments.
#[derive(Args, Debug)]
struct Stop {
    /// The agent
    #[arg(value_name = "NAME")]
    name: String,
    /// The job's number
    #[arg(value_name = "NUMBER")]
    number: u32,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    supervisor: Supervisor,
}

impl Job {
    /// Asks for it.
    ///
    /// # Errors
    /// Where the supervisor is not reached, or does not do it.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        match &self.verb {
            Verb::Ls(one) => {
                let request = Request::Jobs { agent: one.name.clone() };
                let (Answer::Jobs(jobs), _) = one.supervisor.ask(request, &[])? else {
                    return Err(ClientError::Other.into());
                };
                show_jobs(&jobs, one.json, out);
                Ok(Exit::Success)
            }
            Verb::Stop(Stop { name, number, telling, supervisor }) => {
                let request = Request::StopJob { agent: name.clone(), number: *number };
                supervisor.have_done(request, telling.json, out)
            }
        }
    }
}
