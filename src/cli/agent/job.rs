//! `cellblock agent job`: commands that run beside the session, each with a lease.

use super::{duration, have_done, left, unexpected};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::agent::{Answer, Request, ShownJob};
use crate::exit::Exit;
use crate::jobs::enter::{self, AgentError};
use clap::{Args, Subcommand};
use rustix::io::Errno;
use std::path::PathBuf;

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Job {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start one
    Start(Start),
    /// Show those that run
    Ls(Ls),
    /// End one
    Stop(Stop),
    /// Print what one has said
    Log(Log),
}

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = START)]
struct Start {
    /// How long it may run, as in 30m; the longest that the profile allows where it is not given
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lease: Option<u64>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// The command
    #[arg(value_name = "COMMAND", required = true, last = true)]
    words: Vec<String>,
}

const START: &str = "\
What it says is kept in ~/.cellblock/jobs; all that it starts ends with it, at the latest when its
time is over. It is no finding of the watch.

Exit status: 0 once it runs; 126 or 127 where the command cannot be run, or is not there;
125 where it is refused.

Examples:
  cellblock agent job start --for 2h -- npm run dev
  cellblock agent job start -- sh -c 'make -k; make report'";

/// The arguments.
#[derive(Args, Debug)]
struct Ls {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

/// The arguments.
#[derive(Args, Debug)]
struct Stop {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: u32,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// The arguments.
#[derive(Args, Debug)]
struct Log {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: u32,
}

impl Job {
    pub(super) fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        match &self.verb {
            Verb::Start(verb) => verb.perform(out),
            Verb::Ls(verb) => verb.perform(out),
            Verb::Stop(verb) => have_done(Request::StopJob { number: verb.number }, verb.json, out),
            Verb::Log(verb) => verb.perform(out),
        }
    }
}

/// Where what a job says is kept.
fn output(number: u32) -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    home.join(".cellblock/jobs").join(format!("{number}.log"))
}

impl Start {
    fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let request = Request::StartJob { words: self.words.clone(), lease: self.lease };
        let (answer, mut along) = enter::ask(request)?;
        let (Answer::Job(job), Some(door)) = (&answer, along.pop()) else {
            return Err(unexpected(&answer));
        };
        let file = output(job.number);
        let started = make_folder(&file).and_then(|()| enter::start(&self.words, &door, &file));
        if let Err(error) = started {
            // Nothing is in it, and its place is free again at once.
            drop(door);
            enter::ask(Request::StopJob { number: job.number })?;
            return Err(error.into());
        }
        if self.json {
            let file = file.display().to_string();
            out.json(
                &serde_json::json!({ "number": job.number, "until": job.until, "output": file }),
            );
        } else {
            let (number, until, file) = (job.number, left(job.until), file.display());
            out.line(&format!(
                "job {number} runs; it ends {until} at the latest; {file} has what it says"
            ));
        }
        Ok(Exit::Success)
    }
}

fn make_folder(file: &std::path::Path) -> Result<(), AgentError> {
    let folder = file.parent().unwrap_or(std::path::Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| AgentError::Call {
        what: format!("make {}", folder.display()),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })
}

impl Ls {
    fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let answer = enter::ask(Request::Jobs)?.0;
        let Answer::Jobs(jobs) = &answer else { return Err(unexpected(&answer)) };
        show(jobs, self.json, out);
        Ok(Exit::Success)
    }
}

/// Shows jobs, one a line.
pub(in crate::cli) fn show(jobs: &[ShownJob], json: bool, out: &mut Output) {
    if json {
        return out.json(&jobs);
    }
    if jobs.is_empty() {
        return out.line("no jobs");
    }
    for job in jobs {
        let words = job.words.join(" ").escape_debug().to_string();
        let cpu = crate::limits::hits::seconds(job.cpu);
        let (number, processes, until) = (job.number, job.processes, left(job.until));
        out.line(&format!(
            "{number:>4}  ends {until:<12} {processes:>4} processes  {cpu:>10}  {words}"
        ));
    }
}

impl Log {
    fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let file = output(self.number);
        let text = std::fs::read(&file).map_err(|error| AgentError::Call {
            what: format!("read {}", file.display()),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        out.text(&String::from_utf8_lossy(&text));
        Ok(Exit::Success)
    }
}
