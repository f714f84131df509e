//! `cellblock alerts`: the newest alerts, and whether sinks can be told.

use super::{Supervisor, table};
use crate::alerts::event::Severity;
use crate::cli::denials::span;
use crate::cli::error::CliError;
use crate::cli::follow;
use crate::cli::output::{Output, Tone};
use crate::control::protocol::{Answer, Request, SinkTold};
use crate::control::socket::{Client, ClientError};
use crate::exit::Exit;
use crate::limits::journal;
use clap::{Args, Subcommand};
use serde_json::Value;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Alerts {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only those about this agent
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// How many, the newest ones
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    lines: u32,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Print each as a line of JSON, as sinks are told it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    supervisor: Supervisor,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have sinks told of an alert about nothing, and say how that went
    Test(Test),
}

/// The arguments of `test`.
#[derive(Args, Debug)]
struct Test {
    /// Only these sinks
    #[arg(value_name = "SINK")]
    sinks: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
Rules say what is an alert, and sinks are told of it: [[alerts.rules]] and [[alerts.sinks]] of the
configuration. Shown are those about agents that you have a role for. `alerts -- test` shows those of
an agent that is called so. `alerts test` ends with 1 where a sink was not told.

Examples:
  cellblock alerts
  cellblock alerts --follow reviewer
  cellblock alerts --json -n 1000 | jq -r 'select(.severity == \"critical\") | .told'
  sudo cellblock alerts test
  sudo cellblock alerts test pager";

impl Alerts {
    /// Prints them, oldest first; or has sinks told.
    ///
    /// # Errors
    /// Where the supervisor is not reached, or the alerts cannot be read.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        match &self.action {
            Some(Action::Test(test)) => self.test(test, out),
            None => self.list(out),
        }
    }

    fn list(&self, out: &mut Output) -> Result<Exit, CliError> {
        let client = self.supervisor.connect()?;
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        let newest = |most| self.ask(&client, u32::try_from(most).unwrap_or(u32::MAX));
        let shown = follow::list(out, lines, self.follow, newest, |out, new| {
            new.iter().for_each(|line| self.print(out, line));
        })?;
        if shown == 0 && !self.follow && !self.json {
            out.line("there was no alert");
        }
        Ok(Exit::Success)
    }

    fn ask(&self, client: &Client, lines: u32) -> Result<Vec<Value>, CliError> {
        let request = Request::Alerts { agent: self.name.clone(), lines };
        match client.call(request, &[])? {
            (Answer::Logs(lines), _) => Ok(lines),
            (_, _) => Err(ClientError::Other.into()),
        }
    }

    fn print(&self, out: &mut Output, line: &Value) {
        if self.json {
            return out.json_line(line);
        }
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let ago = journal::now().saturating_sub(line["time"].as_u64().unwrap_or_default());
        let when = (Tone::Plain, format!("{:>10} ago  ", span(ago)));
        let severity = text("severity");
        let tone = match Severity::parse(&severity) {
            Ok(Severity::Critical | Severity::High) => Tone::Bad,
            Ok(Severity::Warning) => Tone::Warning,
            Ok(Severity::Info) | Err(_) => Tone::Plain,
        };
        let severity = (tone, format!("{severity:<8}  "));
        let about = match text("agent") {
            agent if agent.is_empty() => text("rule"),
            agent => format!("{} of {agent}", text("rule")),
        };
        out.cells(&[when, severity, (Tone::Plain, format!("{about}: {}", text("told")))]);
    }

    fn test(&self, test: &Test, out: &mut Output) -> Result<Exit, CliError> {
        let config = test.supervisor.config.clone().or_else(|| self.supervisor.config.clone());
        let supervisor = Supervisor { config };
        let request = Request::TryAlerts { sinks: test.sinks.clone() };
        let (Answer::Sinks(told), _) = supervisor.ask(request, &[])? else {
            return Err(ClientError::Other.into());
        };
        if test.json || self.json {
            out.json(&told);
        } else {
            let mut table = table::Table::new(&["SINK", "KIND", "TOOK", "TOLD"]);
            told.iter().for_each(|sink| table.row(row(sink)));
            // Whole: the last column says what to do about it.
            table.lines(None).iter().for_each(|line| out.line(line));
        }
        let all = told.iter().all(|sink| sink.failed.is_none());
        Ok(if all { Exit::Success } else { Exit::FoundProblems })
    }
}

fn row(told: &SinkTold) -> Vec<String> {
    let SinkTold { sink, way, failed, millis } = told;
    let outcome = failed.as_ref().map_or("yes".to_owned(), |cause| format!("no: {cause}"));
    vec![sink.clone(), way.clone(), format!("{millis} ms"), outcome]
}
