//! The parent's half of a launch: the privileged part outside the jail.
//!
//! [`launch()`] performs the steps of a plan up to the clone, lets the child do the rest, reads the
//! walls back from outside ([`confirm`]) and only then tells init to start. What fails at any point
//! ends the child and removes what was made; what a killed launcher leaves behind is removed by the
//! next one ([`record`]).
//!
//! Decides nothing: the plan did.

pub mod confirm;
pub mod disk;
pub mod error;
pub mod jail;
pub mod record;
pub mod telling;

mod api;
mod book;
mod cgroup;
mod change;
mod gate;
mod helper;
mod memory;
mod netlink;
mod openings;
mod orders;
mod outlines;
mod program;
mod pts;
mod recordings;
mod secrets;
mod session;
mod start;
mod stubs;
mod tree;
mod trees;
mod user_namespace;

pub use book::uid_of_own;
pub use cgroup::{Switches, kill as end_all};
pub use change::set_limits;
pub use error::LaunchError;
pub use gate::{Gate, GateBorn, GateKept};
pub use helper::start_own;
pub use jail::Jail;
pub use orders::gates;
pub use outlines::outline;
pub use recordings::recordings;
pub use session::Session;
pub use start::{SESSION, Standard, Timings, launch, session_of};

/// Where launchers keep what they must remember while they run.
pub const RUN: &str = "/run/cellblock";
