//! `cellblock network`: whom running agents may reach, and what went through their gates; changes it.

use super::error::CliError;
use super::output::{Output, Tone};
use crate::control::network::{Answer, Request, Shown, ask};
use crate::document::{Located, Place, Problems};
use crate::egress::rules::Change;
use crate::exit::Exit;
use crate::launch::{self, record::Running};
use crate::planning::{COMMAND_LINE, wrong};
use crate::policy::network::{Denial, RawRule, Rule, denial};
use crate::profile::types::Bytes;
use clap::Args;
use rustix::io::Errno;
use serde::Serialize;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Network {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Allow this from now on; can be given more than once
    #[arg(long, value_name = "RULE", requires = "name")]
    allow: Vec<String>,
    /// Refuse this from now on, and break off what is open to it; can be given more than once
    #[arg(long, value_name = "RULE", requires = "name")]
    deny: Vec<String>,
    /// Go back to the rules of the start first
    #[arg(long, requires = "name")]
    reset: bool,
    /// The agent; all that run where it is not given
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

const EXAMPLES: &str = "\
A RULE is written as in a profile's `allow` and `deny`: NAME, NAME:PORT, *.NAME, ADDRESS:PORT or
host:PORT. The port is 443 where none is written; a denial without one is for every port. A change
holds for every jail of the agent until it ends, and does not change the profile.

Examples:
  sudo cellblock network
  sudo cellblock network reviewer --allow registry.example.com --allow host:5432
  sudo cellblock network reviewer --deny '*.example.com'
  sudo cellblock network reviewer --reset
  sudo cellblock network --json reviewer | jq '.[].counts'";

/// What to do about a jail that cannot be asked.
const AGAIN: &str = "where a gate has ended, a new start of the agent brings one";

/// One jail, as it is printed.
#[derive(Debug, Serialize)]
struct Told {
    jail: String,
    agent: String,
    #[serde(flatten)]
    shown: Shown,
}

impl Network {
    /// Shows whom agents may reach, after the changes.
    ///
    /// # Errors
    /// Where it is not root, no such agent runs, or a change is refused.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let mut running = launch::record::running()?;
        if let Some(name) = &self.name {
            running.retain(|jail| jail.kept.agent == *name || jail.name == *name);
        }
        let (mut told, mut problems) = show_all(&running);
        if let (Some(name), true, true) = (&self.name, told.is_empty(), problems.0.is_empty()) {
            let cause = format!("no agent named `{}` is running with a gate", name.escape_debug());
            let hint = "a gate is there where the profile says mode = \"allowlist\"";
            return Err(CliError::from(wrong("NAME", cause, hint)));
        }
        if self.reset || !self.allow.is_empty() || !self.deny.is_empty() {
            // Those that can be changed are, whatever the others say.
            told = self.change(&told, &mut problems)?;
        }
        if self.json {
            out.json(&told);
        } else if told.is_empty() && problems.0.is_empty() {
            out.line("no agent with a gate is running");
        } else {
            told.iter().for_each(|jail| print(out, jail));
        }
        Ok(problems.into_result(Exit::Success)?)
    }

    /// Changes all jails of the agent.
    fn change(&self, jails: &[Told], failed: &mut Problems) -> Result<Vec<Told>, CliError> {
        let (allow, deny) = self.rules()?;
        let mut problems = Problems::default();
        for rule in &allow {
            for jail in jails {
                let rules = jail.shown.rules.changed(&allow, &deny);
                if let Some(denial) = rules.refusing(rule) {
                    let cause = format!("{rule} would be refused all the same, by {denial}");
                    problems.push(wrong(
                        "--allow",
                        cause,
                        "--reset takes back what was denied while it ran",
                    ));
                }
            }
        }
        problems.into_result(())?;
        let request = Request::Change(Change { allow, deny, reset: self.reset });
        // Every jail is told, also where one of them cannot do it: what is to be refused is refused in the others.
        let answers: Vec<_> = jails.iter().map(|jail| (jail, ask(&jail.jail, &request))).collect();
        for (jail, answer) in answers {
            let cause = match answer {
                Ok(Answer::Done) => continue,
                // It has ended since it was looked for.
                Err(Errno::NOENT | Errno::CONNREFUSED | Errno::CONNRESET) => continue,
                Ok(Answer::Failed(cause)) => cause,
                Ok(Answer::Shown(_)) => "its keeper says something else".to_owned(),
                Err(errno) => errno.to_string(),
            };
            failed.push(wrong("NAME", format!("{} was not changed: {cause}", jail.jail), AGAIN));
        }
        let mut running = launch::record::running()?;
        running.retain(|jail| jails.iter().any(|told| told.jail == jail.name));
        Ok(show_all(&running).0)
    }

    fn rules(&self) -> Result<(Vec<Rule>, Vec<Denial>), Problems> {
        let mut problems = Problems::default();
        let located = |option: &str, text: &String| Located {
            value: text.clone(),
            place: Place::outside(COMMAND_LINE, option),
        };
        let mut allow = Vec::new();
        for text in &self.allow {
            let to = located("--allow", text);
            let raw = RawRule { to, tls: None, http: None, addresses: Vec::new(), reason: None };
            allow.extend(raw.check(&mut problems));
        }
        let mut deny = Vec::new();
        for text in &self.deny {
            match denial(&located("--deny", text)) {
                Ok(denial) => deny.push(denial),
                Err(problem) => problems.push(problem),
            }
        }
        problems.into_result((allow, deny))
    }
}

/// The networks of `jails`, and what is wrong with those that do not say.
fn show_all(jails: &[Running]) -> (Vec<Told>, Problems) {
    let mut problems = Problems::default();
    let mut told = Vec::new();
    for jail in jails {
        match show(jail) {
            Ok(shown) => told.extend(shown),
            Err(cause) => {
                problems.push(wrong("NAME", format!("{}: {cause}", jail.name), AGAIN));
            }
        }
    }
    (told, problems)
}

/// The network of `jail`; nothing where it has no gate, or has ended meanwhile.
fn show(jail: &Running) -> Result<Option<Told>, String> {
    match ask(&jail.name, &Request::Show) {
        Ok(Answer::Shown(shown)) => {
            let (jail, agent) = (jail.name.clone(), jail.kept.agent.clone());
            Ok(Some(Told { jail, agent, shown: *shown }))
        }
        Err(Errno::NOENT | Errno::CONNREFUSED | Errno::CONNRESET) => Ok(None),
        Ok(Answer::Failed(cause)) => Err(cause),
        Ok(Answer::Done) => Err("its keeper says something else".to_owned()),
        Err(errno) => Err(errno.to_string()),
    }
}

fn print(out: &mut Output, told: &Told) {
    let Told { jail, shown: Shown { rules, counts }, .. } = told;
    out.cells(&[(Tone::Good, jail.clone())]);
    let bytes = |bytes: u64| Bytes(bytes).to_string();
    out.line(&format!(
        "  {} connections open of {} opened, {} refused, {} sent, {} received, {} names",
        counts.open,
        counts.opened,
        counts.refused,
        bytes(counts.sent),
        bytes(counts.received),
        counts.names,
    ));
    if counts.lost > 0 {
        out.line(&format!("  {} refusals were not written down: there were too many", counts.lost));
    }
    for rule in &rules.allow {
        let name = (Tone::Plain, format!("  allow {:<40}", rule.to_string()));
        out.cells(&[name, (Tone::Plain, format!("[{}] {}", rule.origin, rule.reason))]);
    }
    for denial in &rules.deny {
        let name = (Tone::Warning, format!("  deny  {:<40}", denial.to_string()));
        out.cells(&[name, (Tone::Plain, format!("[{}]", denial.origin))]);
    }
}
