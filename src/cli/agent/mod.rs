//! `cellblock agent`: what an agent asks its supervisor for, from inside its jail.

mod job;
mod schedule;

pub(super) use job::show as show_jobs;

use super::error::CliError;
use super::output::Output;
use crate::control::agent::{Answer, Request};
use crate::exit::Exit;
use crate::jobs::enter;
use clap::{Args, Subcommand};
use serde_json::json;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Agent {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
These are for agents: they work inside the jail of `cellblock run` and of the supervisor, where the
program is /run/cellblock/bin/cellblock. What an agent may have is in [jobs] of its profile.

Examples:
  cellblock agent whoami
  cellblock agent job start --for 2h -- npm run dev
  cellblock agent job ls
  cellblock agent schedule 15m \"continue\"";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the agent's name and profile
    Whoami(Whoami),
    /// Have a command run beside the session, for a time
    Job(job::Job),
    /// Have a text typed into the session later
    Schedule(schedule::Schedule),
}

/// The arguments.
#[derive(Args, Debug)]
struct Whoami {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Agent {
    /// Asks for it.
    ///
    /// # Errors
    /// Where this is no jail, or it is refused.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        match &self.verb {
            Verb::Whoami(verb) => verb.perform(out),
            Verb::Job(verb) => verb.perform(out),
            Verb::Schedule(verb) => verb.perform(out),
        }
    }
}

impl Whoami {
    fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let answer = enter::ask(Request::WhoAmI)?.0;
        let Answer::Me { agent, profile } = &answer else { return Err(unexpected(&answer)) };
        if self.json {
            out.json(&json!({ "agent": agent, "profile": profile }));
        } else {
            out.line(&format!("{agent} by profile {profile}"));
        }
        Ok(Exit::Success)
    }
}

/// What was answered is no answer to what was asked.
fn unexpected(answer: &Answer) -> CliError {
    let cause = format!("the supervisor answers something else: {answer:?}");
    CliError::from(enter::AgentError::Refused { cause, hint: String::new() })
}

/// Does what is answered by a sentence, and prints that.
fn have_done(request: Request, json: bool, out: &mut Output) -> Result<Exit, CliError> {
    let answer = enter::ask(request)?.0;
    let Answer::Done(told) = &answer else { return Err(unexpected(&answer)) };
    if json {
        out.json(&json!({ "done": true, "told": told }));
    } else {
        out.line(told);
    }
    Ok(Exit::Success)
}

/// A duration of the command line.
fn duration(text: &str) -> Result<u64, String> {
    crate::document::duration::parse(text).map(|duration| duration.as_secs())
}

/// Seconds from now until `at`, or since then.
fn left(at: u64) -> String {
    let now = crate::limits::journal::now();
    let seconds = std::time::Duration::from_secs(at.abs_diff(now));
    let shown = crate::document::duration::shown(seconds);
    if at >= now { format!("in {shown}") } else { format!("{shown} ago") }
}
