//! What the watch gives up before it looks at a process of an agent.

use super::proc;
use crate::confine::{self, Bounds, Reach};
use caps::Capability;
use std::path::PathBuf;

/// What it may use: descriptors of the files that freeze agents and of what it reads, and memory for the processes of a storm.
const BOUNDS: Bounds = Bounds { descriptors: 8192, memory: 2 << 30, file: 4096 };

/// Becomes `uid`, with the right to signal processes, and on a host that hides processes with the right to see them.
pub(super) fn confine(uid: u32) -> Result<(), String> {
    let hides = proc::hides();
    let told = |error: confine::ConfineError| format!("the watch {error}");
    confine::bound(BOUNDS).map_err(told)?;
    let kept: &[Capability] = if hides {
        &[Capability::CAP_KILL, Capability::CAP_SYS_PTRACE]
    } else {
        &[Capability::CAP_KILL]
    };
    confine::give_up_rights_but(uid, true, kept).map_err(told)?;
    let mount = crate::host::cgroups::probe().mount;
    let folders: Vec<PathBuf> = [PathBuf::from("/proc")].into_iter().chain(mount).collect();
    // Who is behind Landlock may not see what the host hides, whatever right it has (Documentation/userspace-api/landlock.rst,
    // ptrace restrictions): there the filter of system calls alone lets it do nothing but read.
    let landlock = !hides && crate::sys::landlock_abi().is_some();
    confine::restrict("watch", landlock, &Reach::Look(&folders)).map_err(told)
}
