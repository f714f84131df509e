//! The folder of an agent's recordings, out of its reach.

use super::error::{LaunchError, cannot};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::path::Path;

/// Opens `folder` for the process of uid `keeper`, which alone writes there; it and those above are made where they are
/// missing.
///
/// # Errors
/// [`LaunchError`]; also where somebody but root could have put something else there.
pub fn recordings(folder: &str, keeper: u32) -> Result<OwnedFd, LaunchError> {
    let path = Path::new(folder);
    let parent = path.parent().unwrap_or(Path::new("/"));
    for above in [parent.parent().unwrap_or(parent), parent] {
        make(above, 0o750)?;
    }
    make(path, 0o700)?;
    // Only root has been here so far: no link can stand there.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
    let opened = opened.map_err(cannot("open", folder))?;
    rustix::fs::fchown(&opened, Some(Uid::from_raw(keeper)), Some(Gid::from_raw(keeper)))
        .map_err(cannot("give away", folder))?;
    Ok(opened)
}

fn make(path: &Path, mode: u32) -> Result<(), LaunchError> {
    let shown = path.display().to_string();
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(cannot("make", &shown)(errno)),
    }
}
