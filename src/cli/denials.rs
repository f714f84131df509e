//! `cellblock denials`: what was refused to agents, by whichever wall, and what to write to allow it.

use super::error::CliError;
use super::follow;
use super::output::{Output, Tone};
use super::why::{Known, Subject, print_opening};
use crate::denial::{self, Told};
use crate::exit::Exit;
use crate::host;
use crate::launch::LaunchError;
use crate::limits::journal;
use crate::plan::why;
use crate::planning::{self, wrong};
use clap::Args;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Denials {
    /// Print each as a line of JSON
    #[arg(long)]
    json: bool,
    /// How many, the newest ones
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    lines: usize,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Only those of this wall, or of the gate; can be given more than once
    #[arg(long, value_name = "WALL")]
    wall: Vec<String>,
    /// The installation's configuration instead of /etc/cellblock/config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The agent
    #[arg(value_name = "NAME")]
    name: String,
}

const EXAMPLES: &str = "\
What is shown is kept in /var/log/cellblock/NAME.denials.jsonl and NAME.jsonl, out of the agent's
reach, and stays when the agent has ended. The gate, limits, Landlock and the system call filter
tell what they refuse, the last two as far as this kernel's audit does (cellblock doctor). What the
mounts refuse nobody records: cellblock why NAME PATH answers that.

Examples:
  sudo cellblock denials reviewer
  sudo cellblock denials reviewer --follow
  sudo cellblock denials reviewer --wall seccomp --wall landlock
  sudo cellblock denials reviewer -n 100 --json | jq -r .allow | sort | uniq -c";

impl Denials {
    /// Prints them, oldest first.
    ///
    /// # Errors
    /// Where it is not root, a wall is none, or a file cannot be read.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let name = &self.name;
        if let Err(cause) = crate::profile::types::AgentName::parse(name) {
            return Err(CliError::from(wrong("NAME", cause, "")));
        }
        self.check_walls()?;
        let asked = |told: &Told| self.wall.is_empty() || self.wall.contains(&told.denial.wall);
        let newest = |most| journal_of(name, self.config.as_deref(), most, asked);
        let shown = follow::list(out, self.lines, self.follow, newest, |out, new| {
            self.print(out, new);
        })?;
        if shown == 0 && !self.follow && !self.json {
            out.line(&format!("nothing was refused to {name}"));
        }
        Ok(Exit::Success)
    }

    fn print(&self, out: &mut Output, mut denials: Vec<Told>) {
        explain(&self.name, self.config.as_deref(), &mut denials);
        for denial in &denials {
            if self.json {
                out.json_line(denial);
            } else {
                print_denial(out, denial);
            }
        }
    }

    fn check_walls(&self) -> Result<(), CliError> {
        for wall in self.wall.iter().filter(|wall| *wall != denial::GATE) {
            if let Err(cause) = crate::profile::Wall::parse(wall) {
                let hint = "gate, landlock, seccomp, tasks, memory, disk, rlimits or mount";
                return Err(CliError::from(wrong("--wall", cause, hint)));
            }
        }
        Ok(())
    }
}

/// The newest denials of `agent` that are asked for, at most `most`, oldest first, out of both of its journals.
///
/// # Errors
/// Where it is not root, or a file cannot be read.
pub(super) fn journal_of(
    agent: &str,
    config: Option<&Path>,
    most: usize,
    asked: impl Fn(&Told) -> bool,
) -> Result<Vec<Told>, CliError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LaunchError::NotShown.into());
    }
    let config = planning::config(config, &host::probe::caller())?;
    let folder = Path::new(&config.paths.log.value);
    let mut denials = Vec::new();
    for file in [journal::denials_of(agent), agent.to_owned()] {
        let pick = |line| denial::read(&line).filter(&asked);
        let told = journal::last_of(folder, &file, most, pick);
        denials.extend(told.map_err(|errno| {
            let file = journal::path(folder, &file);
            wrong("NAME", format!("cannot read {}: {errno}", file.display()), "")
        })?);
    }
    denials.sort_by_key(|told| told.time);
    let older = denials.len().saturating_sub(most);
    Ok(denials.split_off(older))
}

/// Says what would allow those that do not say so themselves, by the jail that runs or else as planned now. Where neither is
/// known they stay as they are.
fn explain(agent: &str, config: Option<&Path>, denials: &mut [Told]) {
    let silent = |told: &&mut Told| told.denial.opening.is_none();
    let mut known: Option<Option<Known>> = None;
    for told in denials.iter_mut().filter(silent) {
        if let Some(opening) = why::opening_of(&told.denial) {
            told.denial.opening = Some(opening);
            continue;
        }
        let Some(question) = why::question_of(&told.denial) else { continue };
        let subject = Subject {
            name: agent,
            profile: None,
            workspace: None,
            without: &[],
            config,
            planned: false,
        };
        let known = known.get_or_insert_with(|| Known::of(&subject).ok());
        let Some(Known { outline, policy, .. }) = known else { continue };
        let answer = why::answer(outline, policy, &question);
        told.denial.opening = answer.opening;
        told.denial.why = answer.rule;
        told.told = told.denial.told();
        if let Some(opening) = &told.denial.opening {
            opening.text().clone_into(&mut told.allow);
        }
    }
}

/// One of them, with what would allow it.
pub(super) fn print_denial(out: &mut Output, told: &Told) {
    let ago = journal::now().saturating_sub(told.time);
    let times = match told.denial.times {
        0 | 1 => String::new(),
        times => format!(", {times} times"),
    };
    let process = told.shown.as_ref().map(|it| format!(", by {it}")).unwrap_or_default();
    let when = (Tone::Plain, format!("{:>10} ago ", span(ago)));
    let wall = (Tone::Plain, format!("{:<9}", told.denial.wall));
    out.cells(&[when, wall, (Tone::Warning, format!("{}{times}{process}", told.told))]);
    if let Some(opening) = &told.denial.opening {
        print_opening(out, opening, "               to allow it: ");
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
