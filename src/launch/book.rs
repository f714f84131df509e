//! Writes the uid of a new agent into the book, before anything is made with it.

use super::error::{LaunchError, cannot, cannot_io};
use super::record::AllRecords;
use crate::host::AutoUid;
use crate::host::uids::{self, BOOK, UidRange};
use crate::plan::Plan;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Enters the plan's uids, as far as they are new. The lock over all launches keeps others from choosing.
pub(super) fn enter(plan: &Plan, _all: &AllRecords) -> Result<(), LaunchError> {
    let identity = &plan.identity;
    let agent = identity.new_uid.then(|| (plan.agent.clone(), identity.uid));
    let gate = plan.egress.as_ref().map(|egress| egress.gate).filter(|gate| gate.new_uid);
    let gate = gate.map(|gate| (uids::gate_of(&plan.agent), gate.uid));
    let shim = plan.terminal.as_ref().map(|terminal| terminal.shim).filter(|shim| shim.new_uid);
    let shim = shim.map(|shim| (uids::shim_of(&plan.agent), shim.uid));
    agent.into_iter().chain(gate).chain(shim).try_for_each(|(name, uid)| enter_one(&name, uid))
}

/// The uid of cellblock's own process called `name`, which has one from now on.
///
/// # Errors
/// [`LaunchError`] where none is free, or the book cannot be written.
pub fn uid_of_own(name: &str, range: UidRange) -> Result<u32, LaunchError> {
    // One that it has is nobody's to change: no launch that is under way is waited for.
    if let AutoUid::Assigned(uid) = uids::of_helper(name, range, &[]) {
        return Ok(uid);
    }
    let _all = super::record::lock_alone()?;
    match uids::of_helper(name, range, &[]) {
        AutoUid::Assigned(uid) => Ok(uid),
        AutoUid::Next(uid) => enter_one(name, uid).map(|()| uid),
        AutoUid::None(cause) => {
            Err(LaunchError::Unusable(format!("{name} needs a uid of its own: {cause}")))
        }
    }
}

/// Enters the uid of a process of cellblock itself, if it is new.
pub(super) fn enter_helper(name: &str, uid: u32, _all: &AllRecords) -> Result<(), LaunchError> {
    enter_one(name, uid)
}

fn enter_one(name: &str, uid: u32) -> Result<(), LaunchError> {
    make_folder()?;
    let text = match std::fs::read_to_string(BOOK) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot_io("read", BOOK)(error)),
    };
    let book =
        uids::parse(&text).map_err(|cause| LaunchError::Unusable(format!("{BOOK}: {cause}")))?;
    match book.get(name) {
        Some(known) if *known == uid => return Ok(()),
        None if !book.values().any(|used| *used == uid) => {}
        Some(_) | None => {
            let cause = format!("uid {uid} was given to another agent a moment ago: try again");
            return Err(LaunchError::Unusable(cause));
        }
    }
    replace(&format!("{text}{name} {uid}\n"))
}

fn make_folder() -> Result<(), LaunchError> {
    let folder = Path::new(BOOK).parent().unwrap_or(Path::new("/"));
    match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(cannot("make", &folder.display().to_string())(errno)),
    }
}

/// Puts a new text in the place of the old one, whole or not at all.
fn replace(text: &str) -> Result<(), LaunchError> {
    let new = format!("{BOOK}.new");
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&new, flags, Mode::from_raw_mode(0o644));
    let mut file = File::from(file.map_err(cannot("open", &new))?);
    flock(&file, FlockOperation::LockExclusive).map_err(cannot("lock", &new))?;
    file.write_all(text.as_bytes()).map_err(cannot_io("write", &new))?;
    file.sync_all().map_err(cannot_io("write", &new))?;
    std::fs::rename(&new, BOOK).map_err(cannot_io("replace", BOOK))
}
