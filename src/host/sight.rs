//! What a person can see: a path looked at with their rights and no others.
//!
//! Root asks for somebody who names a path: whether it is there, and where it leads, must not be told to who could not find that
//! out. A child takes the person's ids, looks, and ends; this process keeps its own.

use super::facts::PathAnswer;
use super::{accounts, paths};
use crate::sys;
use caps::CapSet;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::fs::File;
use std::io::Read as _;

/// The group of who has no account: the kernel's own for nobody (`kernel.overflowgid`).
const NOBODY: u32 = 65_534;

/// What stands at `path` as far as the user `person` can see, who is in the groups that the host's lists give them.
///
/// The caller must have no second thread, and the right to change its ids.
///
/// # Errors
/// The kernel's answer, where it could not be looked.
pub fn look(person: u32, path: &str) -> Result<PathAnswer, Errno> {
    let groups = accounts::groups_of(person);
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = sys::fork(|| {
        let said = become_person(person, &groups).and_then(|()| {
            let answer = serde_json::to_vec(&paths::look(path)).map_err(|_| Errno::INVAL)?;
            let written = rustix::io::write(&write, &answer)?;
            if written == answer.len() { Ok(()) } else { Err(Errno::NOBUFS) }
        });
        said.map_or_else(Errno::raw_os_error, |()| 0)
    })?;
    drop(write);
    let mut text = Vec::new();
    let heard = File::from(read).read_to_end(&mut text);
    let ended = waitpid(Some(child.pid), WaitOptions::empty())?;
    heard.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    match ended.and_then(|(_, status)| status.exit_status()) {
        Some(0) => serde_json::from_slice(&text).map_err(|_| Errno::PROTO),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
        None => Err(Errno::CHILD),
    }
}

/// Groups first, as it takes root to set them; the rights of root go with its uid, and are taken away all the same.
fn become_person(person: u32, groups: &[u32]) -> Result<(), Errno> {
    let gid = Gid::from_raw(groups.first().copied().unwrap_or(NOBODY));
    let uid = Uid::from_raw(person);
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|_| Errno::PERM)?;
    }
    Ok(())
}
