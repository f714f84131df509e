//! Verbs about the agents of a supervisor: one file each.
//!
//! [`Supervisor`] is what they share: which one is asked, and how it is asked.

pub mod attach;
pub mod freeze;
pub mod logs;
pub mod ls;
pub mod reload;
pub mod restart;
pub mod rm;
pub mod screen;
pub mod start;
pub mod status;
pub mod stop;
pub mod supervise;
pub mod thaw;
pub mod up;

mod table;

use super::error::CliError;
use super::output::Output;
use crate::control::protocol::{Answer, Request};
use crate::control::socket::{self, Client, ClientError};
use crate::exit::Exit;
use crate::host;
use crate::planning;
use clap::Args;
use rustix::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Which supervisor is asked.
#[derive(Args, Clone, Debug, Default)]
pub struct Supervisor {
    /// The installation's configuration instead of /etc/cellblock/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Supervisor {
    /// A connection to it.
    ///
    /// # Errors
    /// [`ClientError`], or every problem of the configuration.
    pub fn connect(&self) -> Result<Client, CliError> {
        let config = planning::config(self.config.as_deref(), &host::probe::caller())?;
        Ok(Client::connect(&socket::path(Path::new(&config.paths.run.value)))?)
    }

    /// Asks, and gives the answer with what comes along.
    ///
    /// # Errors
    /// As [`Supervisor::connect`], and where it was not done.
    pub fn ask(
        &self,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>), CliError> {
        Ok(self.connect()?.call(request, descriptors)?)
    }

    /// Asks for each of `agents`, and says what was done; those that fail do not keep the others from it.
    ///
    /// # Errors
    /// Where the supervisor is not reached; what fails for an agent is told, and is the status.
    pub fn ask_each(
        &self,
        agents: &[String],
        request: impl Fn(String) -> Request,
        out: &mut Output,
    ) -> Result<Exit, CliError> {
        let client = self.connect()?;
        let mut exit = Exit::Success;
        for agent in agents {
            match client.call(request(agent.clone()), &[]) {
                Ok((answer, _)) => told(&answer)?.iter().for_each(|told| out.line(told)),
                Err(error @ ClientError::Failed { .. }) => {
                    let error = CliError::from(error);
                    out.complain(&error);
                    exit = Exit::Failed;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(exit)
    }
}

/// What there is to say about something that is done.
fn told(answer: &Answer) -> Result<&[String], CliError> {
    match answer {
        Answer::Done(told) => Ok(told),
        Answer::Agents(_)
        | Answer::Status(_)
        | Answer::Screen(_)
        | Answer::Logs(_)
        | Answer::Line
        | Answer::Failed { .. } => Err(ClientError::Other.into()),
    }
}

/// The arguments of verbs that show one agent.
#[derive(Args, Clone, Debug, Default)]
pub struct One {
    /// The agent
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Which supervisor.
    #[command(flatten)]
    pub supervisor: Supervisor,
}

/// The agents of verbs that take several.
#[derive(Args, Clone, Debug, Default)]
pub struct Agents {
    /// The agents
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Which supervisor.
    #[command(flatten)]
    pub supervisor: Supervisor,
}

/// Defines a verb that asks for one thing to be done to each of several agents.
macro_rules! each {
    ($(#[$about:meta])* $verb:ident, $examples:expr, $request:expr) => {
        $(#[$about])*
        #[derive(clap::Args, Debug)]
        #[command(after_help = $examples)]
        pub struct $verb {
            #[command(flatten)]
            agents: super::Agents,
        }

        impl $verb {
            /// Asks for it.
            ///
            /// # Errors
            /// Where the supervisor is not reached.
            pub fn perform(
                &self,
                out: &mut crate::cli::output::Output,
            ) -> Result<crate::exit::Exit, crate::cli::error::CliError> {
                let super::Agents { names, supervisor } = &self.agents;
                supervisor.ask_each(names, $request, out)
            }
        }
    };
}
use each;
