//! `cellblock logs`: an agent's journal.

use super::Supervisor;
use crate::cli::denials::span;
use crate::cli::error::CliError;
use crate::cli::output::{Output, Tone};
use crate::control::protocol::{Answer, Request};
use crate::control::socket::{Client, ClientError};
use crate::exit::Exit;
use crate::limits::journal;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// How often it is asked again where it is followed.
const PERIOD: Duration = Duration::from_millis(500);
/// How many lines are asked for then.
const FOLLOWED: u32 = 1000;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Logs {
    /// The agent
    #[arg(value_name = "NAME")]
    name: String,
    /// How many, the newest ones
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    lines: u32,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Print each as a line of JSON, as it was written down
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
The journal tells of starts and ends, of those who came and left, of limits that were reached and of
what was refused to callers; `cellblock denials` tells what was refused to the agent.

Examples:
  cellblock logs reviewer
  cellblock logs --follow reviewer
  cellblock logs -n 1000 --json reviewer | jq -r .told";

impl Logs {
    /// Prints them, oldest first.
    ///
    /// # Errors
    /// Where the supervisor is not reached, or the journal cannot be read.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let client = self.supervisor.connect()?;
        // Where it is followed, what is new is told by what was the newest.
        let mut shown = self.ask(&client, self.lines.max(u32::from(self.follow)))?;
        if shown.is_empty() && !self.follow && !self.json {
            out.line(&format!("nothing is known of {}", self.name));
        }
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        shown.iter().take(lines).for_each(|line| self.print(out, line));
        while self.follow && !out.has_failed() {
            std::thread::sleep(PERIOD);
            let newest = self.ask(&client, FOLLOWED)?;
            // What was shown last may be gone by now: then all is new.
            let known = shown.last().and_then(|last| newest.iter().rposition(|line| line == last));
            let new = newest.get(known.map_or(0, |at| at + 1)..).unwrap_or_default().to_vec();
            new.iter().for_each(|line| self.print(out, line));
            if !new.is_empty() {
                shown = new;
            }
        }
        Ok(Exit::Success)
    }

    fn ask(&self, client: &Client, lines: u32) -> Result<Vec<Value>, CliError> {
        let request = Request::Logs { agent: self.name.clone(), lines };
        match client.call(request, &[])? {
            (Answer::Logs(lines), _) => Ok(lines),
            (_, _) => Err(ClientError::Other.into()),
        }
    }

    fn print(&self, out: &mut Output, line: &Value) {
        if self.json {
            return out.json_line(line);
        }
        let now = journal::now();
        let ago = now.saturating_sub(line["time"].as_u64().unwrap_or_default());
        let when = (Tone::Plain, format!("{:>10} ago ", span(ago)));
        let told = line["told"].as_str().unwrap_or_default().to_owned();
        out.cells(&[when, (Tone::Plain, told)]);
    }
}
