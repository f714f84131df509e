//! Verbs about the agents of a supervisor: one file each.
//!
//! [`Supervisor`] is what they share: which one is asked, and how it is asked.

pub mod alerts;
pub mod attach;
pub mod freeze;
pub mod job;
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
pub mod top;
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
use serde_json::json;
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
        Ok(Client::connect(&self.socket()?)?)
    }

    /// Its control socket.
    ///
    /// # Errors
    /// Every problem of the configuration.
    pub fn socket(&self) -> Result<PathBuf, CliError> {
        let config = planning::config(self.config.as_deref(), &host::probe::caller())?;
        Ok(socket::path(Path::new(&config.paths.run.value)))
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

    /// Asks for something to be done, and says what was.
    ///
    /// # Errors
    /// As [`Supervisor::ask`].
    pub fn have_done(
        &self,
        request: Request,
        json: bool,
        out: &mut Output,
    ) -> Result<Exit, CliError> {
        // One without a name gets it from the configuration, which is the supervisor's.
        let agent = request.agent().filter(|agent| !agent.is_empty());
        let answer = self.connect()?.call(request, &[]);
        if json && let Err(ClientError::Failed { cause, hint, .. }) = &answer {
            out.json(&json!({ "agent": agent, "done": false, "cause": cause, "hint": hint }));
        }
        let (answer, _) = answer?;
        let told = told(&answer)?;
        if json {
            out.json(&json!({ "agent": agent, "done": true, "told": told }));
        } else {
            told.iter().for_each(|told| out.line(told));
        }
        Ok(Exit::Success)
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
        | Answer::Jobs(_)
        | Answer::Sinks(_)
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

/// The agents of verbs that have something done to several.
#[derive(Args, Clone, Debug, Default)]
pub struct Agents {
    /// The agents
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    supervisor: Supervisor,
}

/// How verbs that have something done tell of it.
#[derive(Args, Clone, Debug, Default)]
pub struct Telling {
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

impl Agents {
    /// Asks for it for each of them, and says what was done; those that fail do not keep the others from it.
    ///
    /// # Errors
    /// Where the supervisor is not reached; what fails for an agent is told, and is the status.
    pub fn have_done(
        &self,
        request: impl Fn(String) -> Request,
        out: &mut Output,
    ) -> Result<Exit, CliError> {
        let client = self.supervisor.connect()?;
        let (mut exit, mut outcomes) = (Exit::Success, Vec::new());
        let answers = self.names.iter().map(|agent| {
            let answer = client.call(request(agent.clone()), &[]);
            (agent, answer)
        });
        for (agent, answer) in answers {
            let mut outcome = json!({ "agent": agent, "done": answer.is_ok() });
            match answer {
                Ok((answer, _)) => {
                    let told = told(&answer)?;
                    outcome["told"] = json!(told);
                    if !self.telling.json {
                        told.iter().for_each(|told| out.line(told));
                    }
                }
                Err(error @ ClientError::Failed { .. }) => {
                    (outcome["cause"], outcome["hint"]) =
                        (json!(error.to_string()), json!(error.hint()));
                    out.complain(&CliError::from(error));
                    exit = Exit::Failed;
                }
                Err(error) => {
                    // What was done before is told.
                    if self.telling.json {
                        out.json(&outcomes);
                    }
                    return Err(error.into());
                }
            }
            outcomes.push(outcome);
        }
        if self.telling.json {
            out.json(&outcomes);
        }
        Ok(exit)
    }
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
                self.agents.have_done($request, out)
            }
        }
    };
}
use each;
