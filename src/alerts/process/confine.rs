//! What the process gives up: its rights before it hears a word, all else before it tells one.

use crate::confine::{self, Bounds, ConfineError, Reach};
use crate::gate;
use rustix::fd::{AsFd as _, OwnedFd};

/// Descriptors: a few for each sink, and for each who collects figures.
const DESCRIPTORS: u64 = 256;
/// Bytes of address space.
const MEMORY: u64 = 1 << 30;

fn told(error: &ConfineError) -> String {
    format!("the process that tells alerts {error}")
}

/// Becomes `uid`, without any capability, for good. It outlives the supervisor for the few seconds that it takes to tell what it
/// has: the end of the supervisor's socket is what ends it.
pub(super) fn give_up_rights(uid: u32) -> Result<(), String> {
    let bounds =
        Bounds { descriptors: DESCRIPTORS, memory: MEMORY, file: super::log::LONGEST_FILE };
    confine::bound(bounds).map_err(|error| told(&error))?;
    confine::give_up_rights(uid, false).map_err(|error| told(&error))
}

/// Nothing but reading what stands beside the resolver's files, and writing in the folder `log`.
pub(super) fn restrict(landlock: bool, log: Option<&OwnedFd>) -> Result<(), String> {
    let reads = gate::resolver_folders();
    let writes = log.into_iter().map(|folder| folder.as_fd()).collect();
    let reach = Reach::Both(&reads, writes);
    confine::restrict("alerts", landlock, &reach).map_err(|error| told(&error))
}
