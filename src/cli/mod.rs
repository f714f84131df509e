//! The command line: one file per verb.
//!
//! Decides: what the words of the command line mean, what is printed, and the exit status. Never
//! does: anything to a jail by itself; a verb that launches hands a plan to `launch`.
//!
//! [`options`] are the arguments that verbs share; [`crate::planning`] is the way from them to a plan.
//! [`output`] is the only place that prints.

#![forbid(unsafe_code)]

pub mod agent;
pub mod agents;
pub mod check;
pub mod completion;
pub mod denials;
pub mod doctor;
pub mod error;
pub mod exec;
pub mod explain;
mod follow;
pub mod limits;
pub mod man;
pub mod network;
pub mod options;
pub mod output;
pub mod play;
pub mod profiles;
pub mod run;
pub mod score;
pub mod verify;
pub mod why;

use crate::exit::Exit;
use clap::{CommandFactory as _, Parser, Subcommand};
use error::CliError;
use output::{ColorChoice, Output};
use std::ffi::OsString;

/// Jails for AI coding agents: every agent behind walls of its own, in a tmux session of its own.
#[derive(Debug, Parser)]
#[command(name = "cellblock", version, color = clap::ColorChoice::Never, after_help = EXAMPLES)]
pub struct Cli {
    /// When to use colours; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        display_order = 100,
        value_enum,
        default_value_t,
        value_name = "WHEN"
    )]
    pub color: ColorChoice,
    /// Tell on standard error what is done; twice for more
    #[arg(long, short, global = true, display_order = 101, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  sudo cellblock run claude       Claude Code on the current directory, in a jail
  sudo cellblock exec demo -- id  one command in a jail
  sudo cellblock supervise        keep agents; then: start, attach, ls, stop
  sudo cellblock limits           what running agents use of each limit
  sudo cellblock denials claude   what was refused to an agent, and how to allow it
  cellblock why claude /etc/hosts whether an agent may, by which rule, and what would allow it
  sudo cellblock play claude      what an agent's recorded session showed
  sudo cellblock verify demo      attempts to get out of a jail, and what stops each
  cellblock doctor                which walls this host can stand
  cellblock profiles              the profiles there are
  cellblock explain demo          everything that would be done to jail the demo agent

Exit status:
  0 done; 1 problems were found; 2 the command line is not understood;
  125 cellblock failed or refused; 126 the command cannot be run; 127 it is not there.
  exec and run pass the command's own status on, and 128 + n where signal n ended it.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run an agent in a jail, in a tmux session of its own, on this terminal
    Run(run::Run),
    /// Run one command in a jail, without tmux
    Exec(exec::Exec),
    /// Run the agents of an installation
    Supervise(agents::supervise::Supervise),
    /// Start the agents that the configuration names
    Up(agents::up::Up),
    /// Start an agent that the supervisor keeps
    Start(agents::start::Start),
    /// Show the agents of the supervisor
    Ls(agents::ls::Ls),
    /// Show the agents of the supervisor as they change
    Top(agents::top::Top),
    /// Show all about one agent
    Status(agents::status::Status),
    /// Show an agent's session on this terminal
    Attach(agents::attach::Attach),
    /// Print what an agent's session shows
    Screen(agents::screen::Screen),
    /// Print an agent's journal
    Logs(agents::logs::Logs),
    /// Show the jobs that agents have declared, and end them
    Job(agents::job::Job),
    /// Show alerts, and try their sinks
    Alerts(agents::alerts::Alerts),
    /// Have agents wait
    Freeze(agents::freeze::Freeze),
    /// Have frozen agents go on
    Thaw(agents::thaw::Thaw),
    /// End agents and start them again
    Restart(agents::restart::Restart),
    /// End agents
    Stop(agents::stop::Stop),
    /// Forget agents that have ended
    Rm(agents::rm::Rm),
    /// Have the supervisor read its configuration anew
    Reload(agents::reload::Reload),
    /// Show what running agents use of each limit, and change limits
    Limits(limits::Limits),
    /// Show whom running agents may reach, and what they sent; change it
    Network(network::Network),
    /// Show what was refused to an agent, and how to allow it
    Denials(denials::Denials),
    /// Say whether an agent may do something, by which rule, and what would allow it
    Why(why::Why),
    /// Show what an agent's session showed, as it was recorded
    Play(play::Play),
    /// Try to get out of a profile's jail, and show what stops each attempt
    Verify(verify::Verify),
    /// Show which walls this host can stand, and what to do where one cannot
    Doctor(doctor::Doctor),
    /// Report every problem of profiles
    Check(check::Check),
    /// Show the whole plan of a profile's jail, step by step
    Explain(explain::Explain),
    /// List the profiles that can be named
    Profiles(profiles::Profiles),
    /// For agents, inside their jails: declare jobs, have texts typed later
    Agent(agent::Agent),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Print the manual, or write its pages into a directory
    #[command(hide = true)]
    Man(man::Man),
}

/// The whole command, for its help, manual and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what `words` say (the first is the program's name).
#[must_use]
pub fn main(words: impl Iterator<Item = OsString>) -> Exit {
    match Cli::try_parse_from(words) {
        Ok(cli) => {
            let told = matches!(cli.verb, Verb::Supervise(_));
            output::trace(cli.verbose, told);
            let mut out = Output::new(cli.color);
            let exit = perform(&cli.verb, &mut out).unwrap_or_else(|error| {
                out.complain(&error);
                error.exit()
            });
            finish(out, exit)
        }
        Err(told) => {
            let mut out = Output::new(ColorChoice::Never);
            let exit = if told.use_stderr() { Exit::Usage } else { Exit::Success };
            let text = told.to_string();
            if told.use_stderr() {
                out.error_text(&text)
            } else {
                out.text(&text)
            }
            finish(out, exit)
        }
    }
}

fn perform(verb: &Verb, out: &mut Output) -> Result<Exit, CliError> {
    match verb {
        Verb::Run(verb) => verb.perform(out),
        Verb::Exec(verb) => verb.perform(out),
        Verb::Supervise(verb) => verb.perform(out),
        Verb::Up(verb) => verb.perform(out),
        Verb::Start(verb) => verb.perform(out),
        Verb::Ls(verb) => verb.perform(out),
        Verb::Top(verb) => verb.perform(out),
        Verb::Status(verb) => verb.perform(out),
        Verb::Attach(verb) => verb.perform(out),
        Verb::Screen(verb) => verb.perform(out),
        Verb::Logs(verb) => verb.perform(out),
        Verb::Job(verb) => verb.perform(out),
        Verb::Agent(verb) => verb.perform(out),
        Verb::Alerts(verb) => verb.perform(out),
        Verb::Freeze(verb) => verb.perform(out),
        Verb::Thaw(verb) => verb.perform(out),
        Verb::Restart(verb) => verb.perform(out),
        Verb::Stop(verb) => verb.perform(out),
        Verb::Rm(verb) => verb.perform(out),
        Verb::Reload(verb) => verb.perform(out),
        Verb::Limits(verb) => verb.perform(out),
        Verb::Network(verb) => verb.perform(out),
        Verb::Denials(verb) => verb.perform(out),
        Verb::Why(verb) => verb.perform(out),
        Verb::Play(verb) => verb.perform(out),
        Verb::Verify(verb) => verb.perform(out),
        Verb::Doctor(verb) => Ok(verb.perform(out)),
        Verb::Check(verb) => Ok(verb.perform(out)),
        Verb::Explain(verb) => verb.perform(out),
        Verb::Profiles(verb) => Ok(verb.perform(out)),
        Verb::Completion(verb) => Ok(verb.perform(out)),
        Verb::Man(verb) => verb.perform(out),
    }
}

/// An output that was not written is a failure, whatever else went well.
fn finish(out: Output, exit: Exit) -> Exit {
    match out.finish() {
        Ok(()) => exit,
        Err(error) => {
            let mut last = Output::new(ColorChoice::Never);
            last.complain(&format_args!("cannot write to standard output: {error}"));
            Exit::Failed
        }
    }
}
