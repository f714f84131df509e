//! Stubs for protected paths that do not exist: the kernel mounts only on what exists.
//!
//! A stub is a file or an empty directory in the person's tree, there as long as a jail covers it. It
//! is removed only if it still holds what it was made with.

use super::error::{LaunchError, cannot};
use crate::host::paths;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One stub. Two stubs at one path are the same stub: two jails may share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    /// Its path on the host.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub directory: bool,
}

/// What a stub at `path` holds. git takes the repository's own directory for the common one where
/// `commondir` says so, as it does where there is no such file; an empty one it refuses.
fn text(path: &Path) -> &'static [u8] {
    if path.ends_with(".git/commondir") { b".\n" } else { b"" }
}

fn parent(path: &Path) -> Result<(OwnedFd, &std::ffi::OsStr), LaunchError> {
    let shown = path.display().to_string();
    let missing = || cannot("find the directory of", &shown)(Errno::INVAL);
    let above = path.parent().ok_or_else(missing)?;
    let name = path.file_name().ok_or_else(missing)?;
    let directory = paths::open(above).map_err(cannot("open", &above.display().to_string()))?;
    Ok((directory, name))
}

/// Makes the stub, which belongs to whom its directory belongs to. One that exists is left as it is.
pub(super) fn make(stub: &Stub) -> Result<(), LaunchError> {
    let shown = stub.path.display().to_string();
    let (above, name) = parent(&stub.path)?;
    let made = if stub.directory {
        mkdirat(&above, name, Mode::from_raw_mode(0o755)).and_then(|()| own_and_empty(&above, name))
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&above, name, flags, Mode::from_raw_mode(0o644)).and_then(|file| {
            rustix::io::write(&file, text(&stub.path))?;
            Ok(file)
        })
    };
    let made = match made {
        Ok(made) => made,
        Err(Errno::EXIST) => return Ok(()),
        Err(errno) => return Err(cannot("make the stub", &shown)(errno)),
    };
    let owner = fstat(above.as_fd()).map_err(cannot("look at the directory of", &shown))?;
    let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
    // By descriptor: under that name another jail may have put something else of root's by now.
    rustix::fs::fchown(&made, Some(uid), Some(gid)).map_err(cannot("give away the stub", &shown))
}

/// The directory just made under `name`, or another that could as well be it: ours, and empty.
fn own_and_empty(above: &OwnedFd, name: &std::ffi::OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(above, name, flags, Mode::empty())?;
    let ours = fstat(&made)?.st_uid == rustix::process::geteuid().as_raw();
    for entry in rustix::fs::Dir::read_from(&made)? {
        let is_dot = matches!(entry?.file_name().to_bytes(), b"." | b"..");
        if !is_dot {
            return Err(Errno::STALE);
        }
    }
    if ours { Ok(made) } else { Err(Errno::STALE) }
}

/// Removes the stub, unless it is gone or somebody has filled it since.
pub(super) fn remove(stub: &Stub) -> Result<(), LaunchError> {
    let shown = stub.path.display().to_string();
    let (above, name) = match parent(&stub.path) {
        Ok(parent) => parent,
        // The directory is gone, and the stub with it; what a link in its place leads to is not ours.
        Err(LaunchError::Call { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let flags = if stub.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    if !stub.directory {
        match statat(&above, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_mode & 0o170_000 == 0o100_000 && is_as_made(&above, name, stub) => {
            }
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(cannot("look at the stub", &shown)(errno)),
        }
    }
    match unlinkat(&above, name, flags) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::NOTDIR | Errno::EXIST) => Ok(()),
        Err(errno) => Err(cannot("remove the stub", &shown)(errno)),
    }
}

/// Whether the file holds what it was made with, or the beginning of it: who made it may have been killed, or
/// found no room.
fn is_as_made(above: &OwnedFd, name: &std::ffi::OsStr, stub: &Stub) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut buffer = [0; 16];
    let read = openat(above, name, flags, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut buffer));
    read.is_ok_and(|count| text(&stub.path).starts_with(&buffer[..count]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_goes_as_far_as_it_was_made_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".git/commondir");
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        let stub = Stub { path: path.clone(), directory: false };
        make(&stub).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), ".\n");
        for (text, stays) in [(".\n", false), (".", false), ("", false), ("..\n", true)] {
            std::fs::write(&path, text).unwrap();
            remove(&stub).unwrap();
            assert_eq!(path.exists(), stays, "{text:?}");
        }
    }
}
