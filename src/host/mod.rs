//! What this host has: facts, read and never changed.
//!
//! [`probe`] answers the questions a profile raises ([`Questions`]) with [`HostFacts`], plain data
//! from which `plan` decides everything. Nothing here decides, and nothing here writes.

pub mod accounts;
pub mod audit;
pub mod cgroups;
pub mod disks;
pub mod essentials;
pub mod facts;
pub mod paths;
pub mod probe;
pub mod sight;
pub mod text;
pub mod tmux;
pub mod trust;
pub mod uids;
pub mod walk;

pub use audit::Audit;
pub use facts::{
    Account, AutoUid, Caller, Cgroups, Disk, Essentials, HostFacts, Keeper, Kernel, Kind,
    PathAnswer, PathFact, Person, ProjectQuota, Questions, SLICE, Tmux, Walk,
};
pub use probe::probe;
