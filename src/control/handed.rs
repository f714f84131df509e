//! The descriptors that a caller hands over for a command in a jail.
//!
//! Decides: which of them may go in. A jail is given ways for bytes: pipes, files and /dev/null. What could be more than that
//! is refused: a socket hands on descriptors and says who is at its other end, a directory leads to files, and an object of
//! the kernel (a process, a namespace, a ring of requests) acts on what it was made for. Never a terminal, whoever calls.
//!
//! Root is believed in all else, as with a jail of its own. Does not protect against what a file's own mode allows: a command
//! may read and overwrite what the caller has opened for that.

#![forbid(unsafe_code)]

use crate::host::text;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, fcntl_getfl, statx};
use rustix::io::Errno;
use std::fmt;

/// A standard descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// 0.
    Input,
    /// 1.
    Output,
    /// 2.
    Errors,
}

impl Which {
    const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Errors];
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "standard input",
            Self::Output => "standard output",
            Self::Errors => "standard error",
        })
    }
}

/// Why descriptors are not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandedError {
    /// There are too few, or too many.
    #[error("cannot hand on {given} descriptors: the command takes {wanted}")]
    Count {
        /// Those that came.
        given: usize,
        /// Those that are no terminal.
        wanted: usize,
    },
    /// It is something else than a way for bytes.
    #[error("cannot hand on {which}: it is {kind}")]
    Kind {
        /// Which.
        which: Which,
        /// What it is.
        kind: &'static str,
    },
    /// It was opened for something else.
    #[error("cannot hand on {which}: it is not open for {what}")]
    Access {
        /// Which.
        which: Which,
        /// What it is not open for.
        what: &'static str,
    },
    /// It cannot be looked at.
    #[error("cannot look at {which}: {errno}")]
    Call {
        /// Which.
        which: Which,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl HandedError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Count { .. } => "use the same release of cellblock for both",
            Self::Kind { .. } => {
                "put a pipe in its place, as with `cat |` before it and `| cat` after it"
            }
            Self::Access { .. } => {
                "redirect it as `< FILE` does for input, and `> FILE` for output"
            }
            Self::Call { .. } => "redirect it to a pipe or a file",
        }
    }
}

/// File systems by which the kernel shows itself, as mountinfo names them: what is opened there is no file with bytes.
const KERNELS_OWN: &[&str] = &[
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "efivarfs",
    "fusectl",
    "mqueue",
    "proc",
    "pstore",
    "resctrl",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

/// What is no file, and what is one of somewhere else.
const KERNEL: &str = "no file, but something of the kernel's";
const UNMOUNTED: &str = "something of the kernel's, or of another mount namespace";

/// /dev/null (null(4)), by its numbers.
const NULL: (u32, u32) = (1, 3);

/// Whether the descriptors that the user `uid` hands over for a command may go into a jail. Those of its standard descriptors
/// that are `terminals` are none of them; `given` are the others, in their order.
///
/// # Errors
/// [`HandedError`] for the first that may not.
pub fn check(uid: u32, terminals: [bool; 3], given: &[OwnedFd]) -> Result<(), HandedError> {
    let others = Which::ALL.into_iter().zip(terminals).filter(|(_, is_terminal)| !is_terminal);
    let wanted = others.clone().count();
    if given.len() != wanted {
        return Err(HandedError::Count { given: given.len(), wanted });
    }
    others.zip(given).try_for_each(|((which, _), fd)| check_one(uid == 0, which, fd.as_fd()))
}

/// Nothing is asked of a file system: one of somebody's own (FUSE) answers when it likes.
fn check_one(root: bool, which: Which, fd: BorrowedFd<'_>) -> Result<(), HandedError> {
    let failed = |errno| HandedError::Call { which, errno };
    let refused = |kind| Err(HandedError::Kind { which, kind });
    let flags = fcntl_getfl(fd).map_err(failed)?;
    if flags.contains(OFlags::PATH) {
        return refused("a path that is not open");
    }
    let known = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = statx(fd, "", known, StatxFlags::TYPE).map_err(failed)?;
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    if kind == FileType::CharacterDevice && rustix::termios::isatty(fd) {
        return refused("a terminal");
    }
    if root {
        return Ok(());
    }
    match kind {
        FileType::Fifo => {}
        FileType::RegularFile => {
            if let Some(kind) = unfit(fd).map_err(failed)? {
                return refused(kind);
            }
        }
        // However it is open: nothing comes from there, and nothing arrives.
        FileType::CharacterDevice if (stat.stx_rdev_major, stat.stx_rdev_minor) == NULL => {
            return Ok(());
        }
        FileType::CharacterDevice | FileType::BlockDevice => return refused("a device"),
        FileType::Directory => return refused("a directory"),
        FileType::Socket => return refused("a socket"),
        FileType::Symlink => return refused("a symbolic link"),
        FileType::Unknown => return refused(KERNEL),
    }
    let (closed, what) = match which {
        Which::Input => (OFlags::WRONLY, "reading"),
        Which::Output | Which::Errors => (OFlags::RDONLY, "writing"),
    };
    if flags & OFlags::ACCMODE == closed {
        return Err(HandedError::Access { which, what });
    }
    Ok(())
}

/// What a regular file is that may not be handed on.
fn unfit(fd: BorrowedFd<'_>) -> Result<Option<&'static str>, Errno> {
    // A file of memfd_create(2): it could be run where no rule names a program, as it has no place.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    if rustix::fs::readlink(path, Vec::new())?.to_bytes().starts_with(b"/memfd:") {
        return Ok(Some("a file in memory"));
    }
    let unfit = match file_system(fd)?.as_deref() {
        None => Some(UNMOUNTED),
        Some(name) if KERNELS_OWN.contains(&name) => Some(KERNEL),
        // What its owner does not answer, who uses it waits for.
        Some(name) if name.starts_with("fuse") => Some("a file of a FUSE file system"),
        Some(_) => None,
    };
    Ok(unfit)
}

/// The name of the file system that it is on; nothing where that is not mounted in this mount namespace (proc_pid_fdinfo(5),
/// proc_pid_mountinfo(5)).
fn file_system(fd: BorrowedFd<'_>) -> Result<Option<String>, Errno> {
    let info = text::read(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    let mounts = text::read("/proc/self/mountinfo")?;
    let found = mounts.lines().find(|line| line.split(' ').next() == mount);
    let name = found.and_then(|line| line.split_once(" - ")?.1.split(' ').next());
    Ok(name.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, epoll, eventfd};
    use rustix::fs::{MemfdFlags, Mode, memfd_create, open};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    const SOMEBODY: u32 = 1000;

    fn opened(path: impl AsRef<std::path::Path>, flags: OFlags) -> OwnedFd {
        open(path.as_ref(), flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn alone(uid: u32, which: Which, fd: OwnedFd) -> Result<(), HandedError> {
        let terminals = Which::ALL.map(|other| other != which);
        check(uid, terminals, &[fd])
    }

    fn kind(fd: OwnedFd) -> &'static str {
        match alone(SOMEBODY, Which::Input, fd) {
            Err(error @ HandedError::Kind { kind, .. }) => {
                assert!(error.hint().contains("pipe"));
                kind
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ways_for_bytes_are_handed_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (reads, writes) = rustix::pipe::pipe().unwrap();
        let null = || opened("/dev/null", OFlags::WRONLY);
        assert_eq!(check(SOMEBODY, [false; 3], &[reads, writes, null()]), Ok(()));
        for (which, flags) in [
            (Which::Input, OFlags::RDONLY),
            (Which::Input, OFlags::RDWR),
            (Which::Output, OFlags::WRONLY),
            (Which::Output, OFlags::WRONLY | OFlags::APPEND),
            (Which::Errors, OFlags::RDWR),
        ] {
            assert_eq!(alone(SOMEBODY, which, opened(file.path(), flags)), Ok(()));
        }
        // nohup(1) leaves one that cannot be read.
        assert_eq!(alone(SOMEBODY, Which::Input, null()), Ok(()));
    }

    #[test]
    fn what_is_more_than_a_way_for_bytes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, _other) = crate::wire::pair().unwrap();
        assert_eq!(kind(socket), "a socket");
        assert_eq!(kind(opened(folder.path(), OFlags::DIRECTORY)), "a directory");
        let path = opened(folder.path(), OFlags::PATH);
        assert_eq!(kind(path), "a path that is not open");
        assert_eq!(kind(opened("/dev/zero", OFlags::RDONLY)), "a device");
        assert_eq!(kind(memfd_create("x", MemfdFlags::CLOEXEC).unwrap()), "a file in memory");
        for path in ["/proc/self/status", "/proc/self/mem"] {
            assert_eq!(kind(opened(path, OFlags::RDONLY)), KERNEL, "{path}");
        }
        assert_eq!(kind(opened("/proc/self/ns/net", OFlags::RDONLY)), UNMOUNTED);
        for object in [
            pidfd_open(getpid(), PidfdFlags::empty()).unwrap(),
            eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
            epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
        ] {
            // A process is a file of a file system that is mounted nowhere, since Linux 6.9.
            let kind = kind(object);
            assert!([KERNEL, UNMOUNTED].contains(&kind), "{kind}");
        }
    }

    #[test]
    fn a_terminal_is_handed_on_for_nobody_and_all_else_for_root() {
        let pty = || crate::terminal::testing::Pty::open();
        for uid in [0, SOMEBODY] {
            for end in [pty().slave, pty().master] {
                let refused = alone(uid, Which::Output, end).unwrap_err();
                assert_eq!(refused.to_string(), "cannot hand on standard output: it is a terminal");
            }
        }
        let (socket, _other) = crate::wire::pair().unwrap();
        assert_eq!(alone(0, Which::Output, socket), Ok(()));
        let path = opened("/", OFlags::PATH);
        assert!(alone(0, Which::Input, path).is_err());
    }

    #[test]
    fn each_is_open_for_what_it_is_for_and_there_are_as_many_as_it_takes() {
        let (reads, writes) = rustix::pipe::pipe().unwrap();
        let wrong = alone(SOMEBODY, Which::Output, reads).unwrap_err();
        assert_eq!(wrong.to_string(), "cannot hand on standard output: it is not open for writing");
        let wrong = alone(SOMEBODY, Which::Input, writes).unwrap_err();
        assert_eq!(wrong.to_string(), "cannot hand on standard input: it is not open for reading");
        for uid in [0, SOMEBODY] {
            let wrong = check(uid, [true, false, true], &[]).unwrap_err();
            assert_eq!(wrong, HandedError::Count { given: 0, wanted: 1 });
        }
    }
}
