//! `cellblock ls`: the agents of a supervisor.

use super::{Supervisor, table};
use crate::cli::denials::span;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::{Answer, Request, Shown, State, Used};
use crate::control::socket::ClientError;
use crate::exit::Exit;
use crate::limits::journal;
use crate::profile::types::Bytes;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Ls {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
Shown are the agents that you have a role for. FOUND counts what the watch has found in the last
hour: cellblock status NAME.

Examples:
  cellblock ls
  cellblock ls --json | jq -r '.[] | select(.state == \"running\") | .name'";

const HEADINGS: [&str; 9] =
    ["NAME", "STATE", "SINCE", "PROFILE", "TASKS", "MEMORY", "PEOPLE", "FOUND", "LAST END"];

impl Ls {
    /// Prints them.
    ///
    /// # Errors
    /// Where the supervisor is not reached.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let (Answer::Agents(agents), _) = self.supervisor.ask(Request::List, &[])? else {
            return Err(ClientError::Other.into());
        };
        if self.json {
            out.json(&agents);
            return Ok(Exit::Success);
        }
        let mut table = table::Table::new(&HEADINGS);
        agents.iter().for_each(|agent| table.row(row(agent)));
        table.lines(table::width()).iter().for_each(|line| out.line(line));
        Ok(Exit::Success)
    }
}

fn row(agent: &Shown) -> Vec<String> {
    let now = journal::now();
    let dash = || "-".to_owned();
    let count = |used: Used| match used.limit {
        Some(limit) => format!("{}/{limit}", used.used),
        None => used.used.to_string(),
    };
    let bytes = |used: Used| match used.limit {
        Some(limit) => format!("{}/{}", Bytes(used.used), Bytes(limit)),
        None => Bytes(used.used).to_string(),
    };
    let how = agent.how.clone().filter(|_| agent.state != State::Running || agent.restarts > 0);
    vec![
        agent.name.clone(),
        agent.state.to_string(),
        span(now.saturating_sub(agent.since)),
        agent.profile.clone(),
        agent.tasks.map_or_else(dash, count),
        agent.memory.map_or_else(dash, bytes),
        agent.people.to_string(),
        if agent.findings == 0 { dash() } else { agent.findings.to_string() },
        how.unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
    ]
}
