//! `cellblock explain`: the whole plan, step by step, with where each value comes from.

use super::error::CliError;
use super::options::Options;
use super::output::Output;
use crate::exit::Exit;
use crate::host;
use crate::plan::{self, Draft, Mode, Plan};
use crate::planning;
use clap::{Args, ValueEnum};
use serde::Serialize;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Explain what this verb would do
    #[arg(long, value_enum, default_value_t)]
    verb: Launcher,
    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "\
Nothing is changed, and root is not needed. What keeps the plan from being launched here
is told at its end.

Examples:
  cellblock explain claude
  cellblock explain --json demo
  cellblock explain --workspace ~/project --name reviewer claude
  cellblock explain --verb exec --without seccomp base -- make test";

/// A verb that launches.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Launcher {
    /// One command, no tmux.
    Exec,
    /// The agent in its tmux session.
    #[default]
    Run,
}

impl From<Launcher> for Mode {
    fn from(launcher: Launcher) -> Self {
        match launcher {
            Launcher::Exec => Self::Exec,
            Launcher::Run => Self::Run,
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Explained<'a> {
    plan: &'a Plan,
    steps: Vec<String>,
    hindrances: Vec<String>,
}

impl<'a> From<&'a Draft> for Explained<'a> {
    fn from(draft: &'a Draft) -> Self {
        let plan = draft.preview();
        let steps = plan::steps(plan).iter().map(|step| step.told(plan).to_string()).collect();
        let hindrances = draft.hindrances().iter().map(ToString::to_string).collect();
        Self { plan, steps, hindrances }
    }
}

impl Explain {
    /// Prints the plan.
    ///
    /// # Errors
    /// Every problem of the profile, its policy and the command line.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let draft =
            planning::draft(&self.options.wanted(), self.verb.into(), &host::probe::caller())?;
        if self.json {
            out.json(&Explained::from(&draft));
        } else {
            out.text(&plan::explain_draft(&draft));
        }
        Ok(Exit::Success)
    }
}
