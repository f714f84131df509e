//! A walk through a tree that others may be changing meanwhile.
//!
//! Everything is reached from the descriptor of the directory it is in, one name at a time, so that no
//! symbolic link is followed and no way leads out. Only directories and regular files are opened, the
//! latter by way of a bare location: opening a pipe or a device would be an act. Depth costs no
//! descriptors, and width no memory: whoever writes in a tree may have made it as deep and as wide as the
//! disk holds.
//!
//! Knows nothing of what is done to the files.

use super::disk::DiskError;
use super::error::{LaunchError, cannot};
use crate::host::paths;
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

/// How many directories above the present one are kept open; those further up are reached by `..`.
const KEPT: usize = 64;
/// How many names of directories are noted at a time.
const NOTED: usize = 1024;

/// What is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Visited {
    /// A directory, before what is in it.
    Directory,
    /// A regular file.
    File,
}

/// What is done to each; the first error ends the walk.
pub(super) type Visit<'v> = dyn FnMut(&OwnedFd, Visited) -> Result<(), LaunchError> + 'v;

/// A directory on the way from the root to the present one.
struct Level {
    /// The open directory, while it is near enough.
    opened: Option<OwnedFd>,
    /// Device and inode, to know it by.
    identity: (u64, u64),
    /// Names of directories in it that are still to be walked through, of those read so far.
    left: Vec<CString>,
    /// Where to read on; `None` after its end.
    next: Option<i64>,
}

/// Where `opened` is now, for a message.
pub(super) fn path_of(opened: &OwnedFd) -> PathBuf {
    let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
    std::fs::read_link(link).unwrap_or_default()
}

/// Opens `root`, which is a directory or a regular file, for reading.
///
/// # Errors
/// [`LaunchError::Call`]; `STALE` where it is something else by now.
pub(super) fn open(root: &Path) -> Result<(OwnedFd, Stat), LaunchError> {
    let shown = root.display().to_string();
    let place = paths::open(root).map_err(cannot("open", &shown))?;
    let stat = fstat(&place).map_err(cannot("look at", &shown))?;
    match visited(&stat) {
        Some(_) => Ok((reopen(&place).map_err(cannot("open", &shown))?, stat)),
        None => Err(cannot("find a file or a directory at", &shown)(Errno::STALE)),
    }
}

/// Visits `root` and everything below it on the same file system.
///
/// # Errors
/// The first error of `visit`, or of the walk; [`DiskError::Mounted`] where something is mounted in it.
pub(super) fn walk(root: &Path, visit: &mut Visit<'_>) -> Result<(), LaunchError> {
    let (opened, stat) = open(root)?;
    if visited(&stat) == Some(Visited::File) {
        return visit(&opened, Visited::File);
    }
    let mut levels = vec![enter(opened, visit)?];
    while let Some(level) = levels.last_mut() {
        let Some(here) = &level.opened else { return Err(lost(root)) };
        match level.left.pop() {
            Some(name) => {
                let Some(next) = directory(here, &name)? else { continue };
                levels.push(enter(next, visit)?);
                if let Some(far) = levels.len().checked_sub(KEPT + 1) {
                    levels[far].opened = None;
                }
            }
            None if level.next.is_some() => read_on(level, visit)?,
            None => leave(&mut levels, root)?,
        }
    }
    Ok(())
}

/// Visits the directory, before anything in it is read: what is made in it from then on is as it is.
fn enter(opened: OwnedFd, visit: &mut Visit<'_>) -> Result<Level, LaunchError> {
    let failed = |errno| cannot("read", &path_of(&opened).display().to_string())(errno);
    let identity = identity(&opened).map_err(failed)?;
    visit(&opened, Visited::Directory)?;
    Ok(Level { opened: Some(opened), identity, left: Vec::new(), next: Some(0) })
}

/// Visits files in the directory and notes directories, until there are enough of them.
fn read_on(level: &mut Level, visit: &mut Visit<'_>) -> Result<(), LaunchError> {
    let (Some(opened), Some(from)) = (&level.opened, level.next) else { return Ok(()) };
    let left = &mut level.left;
    let failed = |errno| cannot("read", &path_of(opened).display().to_string())(errno);
    let mut entries = Dir::read_from(opened).map_err(failed)?;
    entries.seek(from).map_err(failed)?;
    level.next = None;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match entry.file_type() {
            FileType::Directory => left.push(name.to_owned()),
            FileType::RegularFile | FileType::Unknown => {
                left.extend(file(opened, name, visit)?.then(|| name.to_owned()));
            }
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice => {}
        }
        if left.len() >= NOTED {
            level.next = Some(entry.offset());
            break;
        }
    }
    Ok(())
}

/// Goes back to the directory above.
fn leave(levels: &mut Vec<Level>, root: &Path) -> Result<(), LaunchError> {
    let below = levels.pop().and_then(|level| level.opened);
    let (Some(above), Some(below)) = (levels.last_mut(), below) else { return Ok(()) };
    if above.opened.is_none() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&below, "..", flags, Mode::empty()).map_err(|_| lost(root))?;
        // Somebody may have moved the directory elsewhere, and `..` with it.
        if identity(&opened).map_err(|_| lost(root))? != above.identity {
            return Err(lost(root));
        }
        above.opened = Some(opened);
    }
    Ok(())
}

fn lost(root: &Path) -> LaunchError {
    DiskError::Moving(root.to_owned()).into()
}

fn identity(opened: &OwnedFd) -> Result<(u64, u64), Errno> {
    fstat(opened).map(|stat| (stat.st_dev, stat.st_ino))
}

fn visited(stat: &Stat) -> Option<Visited> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Some(Visited::Directory),
        FileType::RegularFile => Some(Visited::File),
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => None,
    }
}

/// Opens the directory `name` in `above`; `None` where it is gone or something else by now.
fn directory(above: &OwnedFd, name: &CStr) -> Result<Option<OwnedFd>, LaunchError> {
    step(above, name, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Visits `name` in `above` if it is a regular file; whether it is a directory instead.
fn file(above: &OwnedFd, name: &CStr, visit: &mut Visit<'_>) -> Result<bool, LaunchError> {
    let Some(place) = step(above, name, OFlags::PATH)? else { return Ok(false) };
    let failed = |errno| cannot("open", &path_of(&place).display().to_string())(errno);
    match visited(&fstat(&place).map_err(failed)?) {
        Some(Visited::File) => {
            visit(&reopen(&place).map_err(failed)?, Visited::File).map(|()| false)
        }
        Some(Visited::Directory) => Ok(true),
        None => Ok(false),
    }
}

/// Opens `name` in `above`, not beyond a mount and not through a symbolic link.
fn step(above: &OwnedFd, name: &CStr, flags: OFlags) -> Result<Option<OwnedFd>, LaunchError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_XDEV
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS;
    let path =
        || path_of(above).join(Path::new(std::str::from_utf8(name.to_bytes()).unwrap_or("?")));
    match openat2(above, name, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(Some(opened)),
        // Gone, or another kind of file since it was listed.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(Errno::XDEV) => Err(DiskError::Mounted(path()).into()),
        Err(errno) => Err(cannot("open", &path().display().to_string())(errno)),
    }
}

/// Opens for reading the file or directory that `place` refers to, and no other.
fn reopen(place: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let link = format!("/proc/self/fd/{}", place.as_raw_fd());
    openat(CWD, link.as_str(), flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, mknodat};
    use std::os::unix::fs::symlink;

    fn walked(root: &Path) -> Vec<(String, Visited)> {
        let mut seen = Vec::new();
        let mut visit = |opened: &OwnedFd, visited| {
            let path = path_of(opened);
            let below = path.strip_prefix(root).unwrap().display().to_string();
            seen.push((below, visited));
            Ok(())
        };
        walk(root, &mut visit).unwrap();
        seen.sort();
        seen
    }

    #[test]
    fn files_and_directories_are_visited_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/file"), "").unwrap();
        std::fs::write(at("top"), "").unwrap();
        symlink("/etc", at("a/link")).unwrap();
        symlink("a", at("inner")).unwrap();
        mknodat(CWD, at("a/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let seen = walked(folder.path());
        let expected = ["", "a", "a/b", "a/b/file", "top"];
        assert_eq!(seen.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(walked(&at("top")), [(String::new(), Visited::File)]);
        let mut nothing = |_: &OwnedFd, _| Ok(());
        assert!(walk(&at("inner"), &mut nothing).is_err(), "a link was followed");
        assert!(walk(&at("a/pipe"), &mut nothing).is_err(), "a pipe was opened");
    }

    #[test]
    fn depth_costs_neither_descriptors_nor_length_of_paths() {
        const DEPTH: usize = 5000;
        let folder = tempfile::tempdir().unwrap();
        let open_names = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = rustix::fs::open(folder.path(), flags, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            mkdirat(&here, "d", Mode::RWXU).unwrap();
            here = openat(&here, "d", flags, Mode::empty()).unwrap();
        }
        let (mut count, mut most) = (0, 0);
        let mut visit = |_: &OwnedFd, _| {
            count += 1;
            if count % 500 == 0 {
                most = most.max(open_names());
            }
            Ok(())
        };
        walk(folder.path(), &mut visit).unwrap();
        assert_eq!(count, DEPTH + 1);
        // Other tests of this process have descriptors of their own.
        assert!(most < KEPT + 500, "{most} descriptors");
        // Its own end would go by paths, which are too long.
        unnest(folder.path());
    }

    #[test]
    fn all_of_a_wide_directory_is_visited_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = vec![String::new()];
        for number in 0..3 * NOTED {
            let name = format!("d{number}");
            std::fs::create_dir(folder.path().join(&name)).unwrap();
            std::fs::write(folder.path().join(&name).join("file"), "").unwrap();
            expected.extend([format!("{name}/file"), name]);
        }
        expected.sort();
        let seen: Vec<_> = walked(folder.path()).into_iter().map(|(path, _)| path).collect();
        assert_eq!(seen, expected);
    }

    /// Removes a chain of directories called `d` from its deep end: halves of it are brought up first.
    fn unnest(root: &Path) {
        let steps = 100;
        while root.join("d").exists() {
            let mut cut = root.join("d");
            for _ in 0..steps {
                if !cut.join("d").exists() {
                    break;
                }
                cut.push("d");
            }
            if cut.join("d").exists() {
                std::fs::rename(cut.join("d"), root.join("rest")).unwrap();
            }
            std::fs::remove_dir_all(root.join("d")).unwrap();
            if root.join("rest").exists() {
                std::fs::rename(root.join("rest"), root.join("d")).unwrap();
            }
        }
    }

    #[test]
    fn what_is_mounted_in_a_tree_is_not_walked_into() {
        // What every host mounts in /dev; nothing is mounted for this.
        let mut visit = |_: &OwnedFd, _| Ok(());
        let found = walk(Path::new("/dev"), &mut visit);
        let told = matches!(&found, Err(LaunchError::Disk(DiskError::Mounted(path))) if path.starts_with("/dev"));
        assert!(told || !Path::new("/dev/pts/ptmx").exists(), "{found:?}");
    }
}
