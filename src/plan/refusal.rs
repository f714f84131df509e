//! Why there is no plan.

use crate::document::Problems;
use crate::profile::Wall;
use std::fmt;

/// Why a request cannot become a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Something in the profile or on the command line does not fit this host.
    #[error("{0}")]
    Problems(Problems),
    /// Walls cannot stand here; what else does not fit is told with them.
    #[error("{}", told(.0, .1))]
    Refused(Vec<Refusal>, Problems),
    /// The command does not exist in the jail.
    #[error("there is no command `{command}` in the jail: {cause}")]
    NoCommand {
        /// The command.
        command: String,
        /// Where it was looked for.
        cause: String,
    },
    /// The command is there and is no program.
    #[error(
        "cannot run `{command}`: it is not a file with the permission to execute it\n  hint: chmod +x, or run it by the program it is for, as in sh {command}"
    )]
    CannotRun {
        /// The command.
        command: String,
    },
}

/// One wall that cannot stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub wall: Wall,
    /// Why not.
    pub reason: String,
    /// What to do.
    pub cure: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the wall `{}` cannot stand: {}\n  hint: {}", self.wall, self.reason, self.cure)
    }
}

fn told(refusals: &[Refusal], problems: &Problems) -> String {
    let refusals = refusals.iter().map(ToString::to_string);
    let problems = problems.0.iter().map(ToString::to_string);
    refusals.chain(problems).collect::<Vec<_>>().join("\n")
}
