//! User namespaces that belong to root of the host and hold one id.
//!
//! The map is written from outside, by root, while the process that made the namespace has ended and
//! is not yet reaped: nobody ever runs in it before the jail enters it.

use super::error::{LaunchError, cannot};
use crate::sys;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::WaitOptions;

/// A map of one id: `inside` in the namespace is `outside` in the caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneId {
    pub(super) inside: u32,
    pub(super) outside: u32,
}

/// Makes a namespace with these maps (user_namespaces(7)).
pub(super) fn make(uid: OneId, gid: OneId) -> Result<OwnedFd, LaunchError> {
    let holder = sys::user_namespace_holder().map_err(cannot("make", "a user namespace"))?;
    let made = describe(holder.pid.as_raw_nonzero().get(), uid, gid);
    rustix::process::waitpid(Some(holder.pid), WaitOptions::empty())
        .map_err(cannot("reap", "the maker of a user namespace"))?;
    made
}

fn describe(pid: i32, uid: OneId, gid: OneId) -> Result<OwnedFd, LaunchError> {
    // Before the gid map, so that groups can never be set in it.
    write(pid, "setgroups", "deny")?;
    write(pid, "uid_map", &format!("{} {} 1", uid.inside, uid.outside))?;
    write(pid, "gid_map", &format!("{} {} 1", gid.inside, gid.outside))?;
    let path = format!("/proc/{pid}/ns/user");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, &path, flags, Mode::empty()).map_err(cannot("open", &path))
}

fn write(pid: i32, file: &str, text: &str) -> Result<(), LaunchError> {
    let path = format!("/proc/{pid}/{file}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(CWD, &path, flags, Mode::empty()).map_err(cannot("open", &path))?;
    rustix::io::write(&file, text.as_bytes()).map_err(cannot("write", &path))?;
    Ok(())
}
