//! `cellblock screen`: what an agent's session shows, as text.

use super::One;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::{Answer, Request};
use crate::control::socket::ClientError;
use crate::exit::Exit;
use clap::Args;
use serde_json::json;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Screen {
    #[command(flatten)]
    one: One,
}

const EXAMPLES: &str = "\
Examples:
  cellblock screen reviewer
  cellblock screen reviewer | tail -n 5";

impl Screen {
    /// Prints it.
    ///
    /// # Errors
    /// Where the supervisor is not reached, or the agent does not run.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let One { name, json, supervisor } = &self.one;
        let request = Request::Screen { agent: name.clone() };
        let (Answer::Screen(text), _) = supervisor.ask(request, &[])? else {
            return Err(ClientError::Other.into());
        };
        if *json {
            let lines: Vec<&str> = text.lines().collect();
            out.json(&json!({ "agent": name, "lines": lines }));
        } else {
            out.text(text.trim_end());
        }
        Ok(Exit::Success)
    }
}
