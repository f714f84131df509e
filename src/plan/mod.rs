//! The plan: every value final, nothing decided later.
//!
//! [`questions`] says what must be known about the host, [`resolve()`] turns profile, facts and
//! request into a [`Plan`], [`steps()`] turns the plan into the list of privileged actions in their
//! order. All pure: no file is touched here, no environment read. `explain` prints a plan, `launch`
//! performs it, golden tests compare it.
//!
//! Each file decides one thing; the file of the same name in `jail/` performs it.

#![forbid(unsafe_code)]

mod command;
mod disk;
mod egress;
mod environ;
mod explain;
mod filter;
mod identity;
mod landlock;
mod limits;
mod mounts;
mod outline;
mod policies;
mod refusal;
mod request;
mod resolve;
mod steps;
mod terminal;
mod tree;
mod types;
mod walls;
pub mod why;
mod workspace;

pub use egress::MOST_PORTS;
pub use explain::{explain, explain_draft};
pub use filter::Filter;
pub use landlock::LOGS as LANDLOCK_LOGS;
pub use outline::{Outline, OutlineEgress, OutlineLimit, OutlineSeccomp, digest};
pub use policies::Policies;
pub use refusal::{PlanError, Refusal};
pub use request::{Mode, Request, questions};
pub use resolve::{Draft, draft, resolve};
pub use steps::{Phase, Step, steps};
pub use types::{
    ApiPlan, CgroupPlan, CommandPlan, Content, DiskBound, DiskPlan, DiskTree, EgressPlan,
    HelperPlan, Identity, Idmap, JobsPlan, LandlockPlan, LandlockRule, Limit, Log, Mask, MaskKind,
    Mount, Node, Parent, Plan, RecordPlan, Rights, Rlimit, RlimitName, SeccompPlan, Source,
    TerminalPlan, TreeBound, Value, Variable, WallPlan, WallState,
};
pub use walls::{Ability, abilities};

/// Why the kernel records nothing where the admin does not want it.
const AUDIT_IS_OFF: &str = "audit = \"off\" in [watch] of the configuration";

/// Where the jail keeps what is its own.
pub const OWN: &str = "/run/cellblock";
/// Where this program is in a jail, for the agent.
pub const OWN_PROGRAMS: &str = "/run/cellblock/bin";

/// Where the tmux server's socket is, in a directory of its own in memory.
pub const TMUX_DIRECTORY: &str = "/run/cellblock/tmux";
/// Where the workspace is.
pub const WORKSPACE: &str = "/workspace";
/// An empty file that nobody can open: what covers hidden files.
pub const BLANK_FILE: &str = "/run/cellblock/blank-file";
/// An empty directory that nobody can open: what covers hidden directories.
pub const BLANK_DIRECTORY: &str = "/run/cellblock/blank-directory";
/// A file that exists and is readable by everybody, and that no Landlock rule allows: reading it must
/// fail. It shows in every jail that the ruleset stands.
pub use crate::denial::LANDLOCK_CANARY;
