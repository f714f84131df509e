//! `cellblock agent schedule`: a text that is typed into the session later.

use super::{duration, have_done, left, unexpected};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::agent::{Answer, Request};
use crate::exit::Exit;
use crate::jobs::enter;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Schedule {
    /// How long from now, as in 15m
    #[arg(value_name = "TIME", value_parser = duration, required_unless_present_any = ["list", "cancel"])]
    after: Option<u64>,
    /// The text
    #[arg(value_name = "TEXT", required_unless_present_any = ["list", "cancel"])]
    text: Option<String>,
    /// Show the texts that wait
    #[arg(long, conflicts_with_all = ["after", "text", "cancel"])]
    list: bool,
    /// Do not type the one of this number
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["after", "text"])]
    cancel: Option<u32>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
It is typed as one that is pasted, with what says where it is from before it, and Enter after it.

Examples:
  cellblock agent schedule 15m \"continue\"
  cellblock agent schedule --list
  cellblock agent schedule --cancel 3";

impl Schedule {
    pub(super) fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        if let Some(number) = self.cancel {
            return have_done(Request::Cancel { number }, self.json, out);
        }
        match (self.after, &self.text) {
            (Some(after), Some(text)) => self.schedule(after, text, out),
            (_, _) => self.show(out),
        }
    }

    fn schedule(&self, after: u64, text: &str, out: &mut Output) -> Result<Exit, CliError> {
        let answer = enter::ask(Request::Schedule { after, text: text.to_owned() })?.0;
        let Answer::Note(note) = &answer else { return Err(unexpected(&answer)) };
        if self.json {
            out.json(note);
        } else {
            out.line(&format!("note {} is typed {}", note.number, left(note.at)));
        }
        Ok(Exit::Success)
    }

    fn show(&self, out: &mut Output) -> Result<Exit, CliError> {
        let answer = enter::ask(Request::Notes)?.0;
        let Answer::Notes(notes) = &answer else { return Err(unexpected(&answer)) };
        if self.json {
            out.json(notes);
            return Ok(Exit::Success);
        }
        if notes.is_empty() {
            out.line("no notes");
        }
        for note in notes {
            let text = note.text.escape_debug().to_string();
            out.line(&format!("{:>4}  {:<12} {text}", note.number, left(note.at)));
        }
        Ok(Exit::Success)
    }
}
