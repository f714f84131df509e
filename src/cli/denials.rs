//! `cellblock denials`: what was refused to agents, and what to write to allow it.

use super::error::CliError;
use super::output::{Output, Tone};
use crate::exit::Exit;
use crate::host;
use crate::launch::LaunchError;
use crate::limits::journal;
use crate::planning::{self, wrong};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Denials {
    /// Print each as a line of JSON, as it was written down
    #[arg(long)]
    json: bool,
    /// How many, the newest ones
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    lines: usize,
    /// The installation's configuration instead of /etc/cellblock/config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The agent
    #[arg(value_name = "NAME")]
    name: String,
}

const EXAMPLES: &str = "\
What is shown is kept in /var/log/cellblock/NAME.denials.jsonl, out of the agent's reach, and stays
when the agent has ended.

Examples:
  sudo cellblock denials reviewer
  sudo cellblock denials reviewer -n 100 --json | jq -r .allow | sort | uniq -c";

impl Denials {
    /// Prints them, oldest first.
    ///
    /// # Errors
    /// Where it is not root, or the file cannot be read.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        if !rustix::process::geteuid().is_root() {
            return Err(LaunchError::NotShown.into());
        }
        let name = &self.name;
        if let Err(cause) = crate::profile::types::AgentName::parse(name) {
            return Err(CliError::from(wrong("NAME", cause, "")));
        }
        let config = planning::config(self.config.as_deref(), &host::probe::caller())?;
        let folder = Path::new(&config.paths.log.value);
        let denials = journal::last(folder, &journal::denials_of(name), self.lines);
        let denials = denials.map_err(|errno| {
            let file = journal::path(folder, &journal::denials_of(name));
            wrong("NAME", format!("cannot read {}: {errno}", file.display()), "")
        })?;
        if self.json {
            denials.iter().for_each(|denial| out.json_line(denial));
            return Ok(Exit::Success);
        }
        if denials.is_empty() {
            out.line(&format!("nothing was refused to {name}"));
        }
        denials.iter().for_each(|denial| print(out, denial));
        Ok(Exit::Success)
    }
}

fn print(out: &mut Output, denial: &Value) {
    let text = |key: &str| denial[key].as_str().unwrap_or_default().to_owned();
    let ago = journal::now().saturating_sub(denial["time"].as_u64().unwrap_or_default());
    let times = match denial["times"].as_u64() {
        Some(0 | 1) | None => String::new(),
        Some(times) => format!(", {times} times"),
    };
    let process = match text("process") {
        process if process.is_empty() => process,
        process => format!(", by {process}"),
    };
    let when = (Tone::Plain, format!("{:>10} ago ", span(ago)));
    out.cells(&[when, (Tone::Warning, format!("{}{times}{process}", text("told")))]);
    if !text("allow").is_empty() {
        out.line(&format!("               to allow it: {}", text("allow")));
    }
}

/// Seconds in the largest unit that says something.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
