//! The program that becomes PID 1 of the jail: this one, opened once.

use super::error::{LaunchError, cannot};
use crate::jail::init::NAME;
use crate::plan::{Plan, WallState};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use std::ffi::CString;

/// This program's file, for exec by descriptor: in the jail it has no path.
pub(super) fn open() -> Result<OwnedFd, LaunchError> {
    let path = "/proc/self/exe";
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(cannot("open", path))
}

/// The words that init is started with, as `jail::init` reads them.
pub(super) fn arguments(plan: &Plan, control: &OwnedFd) -> Result<Vec<CString>, LaunchError> {
    let standing = plan.walls.iter().filter(|wall| matches!(wall.state, WallState::Stands(_)));
    let own_root = plan.stands(crate::profile::Wall::Mount);
    // Without a root of its own the jail has no canary for Landlock.
    let tested =
        standing.map(|wall| wall.wall.name()).filter(|name| own_root || *name != "landlock");
    let walls = tested.collect::<Vec<_>>().join(",");
    let mut words = vec![NAME.to_owned(), control.as_raw_fd().to_string(), walls];
    match &plan.terminal {
        None => words.push("exec".to_owned()),
        Some(terminal) => words.extend([
            "run".to_owned(),
            terminal.tmux.clone(),
            terminal.socket.clone(),
            terminal.config.clone(),
            terminal.session.clone(),
            terminal.size.0.to_string(),
            terminal.size.1.to_string(),
        ]),
    }
    words.extend(plan.command.words.iter().cloned());
    let nul = |_| LaunchError::Unusable("the command has a NUL character in it".to_owned());
    words.into_iter().map(|word| CString::new(word).map_err(nul)).collect()
}
