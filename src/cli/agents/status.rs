//! `cellblock status`: all about one agent.

use super::One;
use crate::cli::denials::span;
use crate::cli::error::CliError;
use crate::cli::output::{Output, Tone};
use crate::control::protocol::{Answer, Request, Sight, State, Status as Told};
use crate::control::socket::ClientError;
use crate::exit::Exit;
use crate::limits::journal;
use clap::Args;
use serde_json::Value;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    #[command(flatten)]
    one: One,
}

const EXAMPLES: &str = "\
Examples:
  cellblock status reviewer
  cellblock status --json reviewer | jq .figures.gauges
  cellblock status --json reviewer | jq -r '.findings[].told'";

impl Status {
    /// Prints it.
    ///
    /// # Errors
    /// Where the supervisor is not reached, or there is no such agent.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let One { name, json, supervisor } = &self.one;
        let request = Request::Status { agent: name.clone() };
        let (Answer::Status(told), _) = supervisor.ask(request, &[])? else {
            return Err(ClientError::Other.into());
        };
        if *json {
            out.json(&told)
        } else {
            print(out, &told)
        }
        Ok(Exit::Success)
    }
}

fn print(out: &mut Output, told: &Told) {
    let Told { shown, wanted, .. } = told;
    let now = journal::now();
    let ago = |time: u64| span(now.saturating_sub(time));
    let tone = match shown.state {
        State::Running => Tone::Good,
        State::Starting | State::Frozen | State::Stopping | State::Waiting => Tone::Warning,
        State::Ended => Tone::Plain,
    };
    out.cells(&[
        (Tone::Plain, shown.name.clone()),
        (tone, shown.state.to_string()),
        (Tone::Plain, format!("for {}", ago(shown.since))),
    ]);
    let mut row = |name: &str, text: String| {
        if !text.is_empty() {
            out.line(&format!("  {name:<12} {text}"));
        }
    };
    row("profile", shown.profile.clone());
    row(
        "workspace",
        wanted.workspace.as_ref().map(|it| it.display().to_string()).unwrap_or_default(),
    );
    row("command", wanted.command.join(" "));
    row("uid", shown.uid.map(|uid| uid.to_string()).unwrap_or_default());
    row("init", told.init.map(|pid| pid.to_string()).unwrap_or_default());
    let again = told.again.map(|seconds| format!(", again in {seconds} s")).unwrap_or_default();
    row("restart", format!("{} ({} times{again})", told.restart, shown.restarts));
    row("last end", shown.how.clone().unwrap_or_default());
    for (wall, why) in &told.without {
        row("without", format!("{wall}: {why}"));
    }
    for gauge in told.figures["gauges"].as_array().into_iter().flatten() {
        row("uses", used(gauge));
    }
    let counts = &told.network["counts"];
    if counts.is_object() {
        let of = |key: &str| counts[key].as_u64().unwrap_or_default();
        let (open, refused) = (of("open"), of("refused"));
        row(
            "network",
            format!("{open} connections open, {refused} refused: cellblock network {}", shown.name),
        );
    }
    row("watch", told.watch.as_ref().map(watched).unwrap_or_default());
    for finding in &told.findings {
        row("finding", event(finding));
    }
    for person in &told.people {
        row("looks", format!("uid {}, {}, for {}", person.uid, person.verb, ago(person.since)));
    }
    // Findings have lines of their own.
    for other in told.events.iter().filter(|line| line["event"] != "finding") {
        row("event", event(other));
    }
}

/// How it is watched, in words.
fn watched(sight: &Sight) -> String {
    match sight {
        Sight::Events => "sees processes as they start".to_owned(),
        Sight::Scans { why } => format!("looks at all processes once a second: {why}"),
        Sight::Nothing => "is started again".to_owned(),
    }
}

/// A line of the journal.
fn event(line: &Value) -> String {
    let told = line["told"].as_str().unwrap_or_default();
    let ago = journal::now().saturating_sub(line["time"].as_u64().unwrap_or_default());
    format!("{:>8} ago  {told}", span(ago))
}

/// A gauge in words.
fn used(gauge: &Value) -> String {
    let bytes = gauge["unit"] == "bytes";
    let shown = |value: &Value| {
        let number = value.as_u64()?;
        Some(if bytes {
            crate::profile::types::Bytes(number).to_string()
        } else {
            number.to_string()
        })
    };
    let limit = shown(&gauge["limit"]).map(|limit| format!(" of {limit}")).unwrap_or_default();
    let name = gauge["name"].as_str().unwrap_or_default();
    format!("{name}: {}{limit}", shown(&gauge["used"]).unwrap_or_default())
}
