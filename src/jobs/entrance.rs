//! The way into a job: its cgroup, and the descriptor that lets in.
//!
//! Protects against: a descriptor that one agent hands to another. Who writes to `cgroup.procs` is judged by who opened it: whether
//! that one may write the `cgroup.procs` of the lowest cgroup above both where a process is and where it goes (cgroups(7);
//! Linux 5.16, and earlier kernels since CVE-2021-4197). Root might bring anybody from anywhere. So it is opened in the name of
//! a user to whom that file belongs in the agent's cgroup and in the job's, and nowhere else.

use nix::unistd::{Uid, setfsuid};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, chown};
use rustix::io::Errno;
use std::path::Path;

const PROCS: &str = "cgroup.procs";

/// Makes the cgroup `folder` directly below the agent's; the descriptor to which processes of the agent may write `0`, and with
/// that be in it, opened in the name of `uid`.
///
/// # Errors
/// The kernel's answer.
pub(super) fn make(folder: &Path, uid: u32) -> Result<OwnedFd, Errno> {
    let agents = folder.parent().ok_or(Errno::INVAL)?;
    rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755))?;
    let made = open(agents, folder, uid);
    // Nobody is in it yet.
    if made.is_err()
        && let Err(errno) = rustix::fs::rmdir(folder)
    {
        tracing::warn!(%errno, folder = %folder.display(), "the cgroup of no job stays");
    }
    made
}

fn open(agents: &Path, folder: &Path, uid: u32) -> Result<OwnedFd, Errno> {
    let entrance = folder.join(PROCS);
    for file in [&agents.join(PROCS), &entrance] {
        chown(file, Some(rustix::fs::Uid::from_raw(uid)), None)?;
    }
    in_the_name_of(uid, || {
        rustix::fs::open(&entrance, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    })?
}

/// Does `what` as `uid` would to the file system, without root's rights there (setfsuid(2)).
fn in_the_name_of<T>(uid: u32, what: impl FnOnce() -> T) -> Result<T, Errno> {
    let own = setfsuid(Uid::from_raw(uid));
    let done = what();
    // The call has no errors: it tells who this was until now.
    let was = setfsuid(own);
    if was.as_raw() == uid { Ok(done) } else { Err(Errno::PERM) }
}
