//! The descriptors that a caller hands over for a command in a jail.
//!
//! Decides: which of them may go in. A jail is given ways for bytes: pipes, files and /dev/null. What could be more than that
//! is refused: a socket hands on descriptors and says who is at its other end, a directory leads to files, and an object of
//! the kernel (a process, a namespace, a ring of requests) acts on what it was made for. Never a terminal, whoever calls.
//!
//! Root is believed in all else, as with a jail of its own. Does not protect against what a file's own mode allows: a command
//! may read and overwrite what the caller has opened for that.

#![forbid(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, fstatfs, major, minor};
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

/// File systems by which the kernel shows itself: what is opened there is no file with bytes (linux/magic.h, and
/// for some the file system's own source).
const KERNELS_OWN: &[u32] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
    0x6265_6570, // configfs
    0x6e73_6673, // nsfs
    0x5049_4446, // pidfs
    0x0904_1934, // anon_inodefs
    0x1980_0202, // mqueue
    0x4249_4e4d, // binfmt_misc
    0x6c6f_6f70, // binderfs
    0x6573_5543, // fusectl
    0x0765_5821, // resctrl
    0x5345_434d, // secretmem
    0x444d_4142, // dma-buf
];

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

fn check_one(root: bool, which: Which, fd: BorrowedFd<'_>) -> Result<(), HandedError> {
    let failed = |errno| HandedError::Call { which, errno };
    let refused = |kind| Err(HandedError::Kind { which, kind });
    let flags = fcntl_getfl(fd).map_err(failed)?;
    if flags.contains(OFlags::PATH) {
        return refused("a path that is not open");
    }
    if rustix::termios::isatty(fd) {
        return refused("a terminal");
    }
    if root {
        return Ok(());
    }
    let stat = fstat(fd).map_err(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => {}
        FileType::RegularFile if is_kernels_own(fd).map_err(failed)? => {
            return refused("no file, but something of the kernel's");
        }
        FileType::RegularFile if is_memory(fd).map_err(failed)? => {
            return refused("a file in memory");
        }
        FileType::RegularFile => {}
        // However it is open: nothing comes from there, and nothing arrives.
        FileType::CharacterDevice if (major(stat.st_rdev), minor(stat.st_rdev)) == NULL => {
            return Ok(());
        }
        FileType::CharacterDevice | FileType::BlockDevice => return refused("a device"),
        FileType::Directory => return refused("a directory"),
        FileType::Socket => return refused("a socket"),
        FileType::Symlink => return refused("a symbolic link"),
        FileType::Unknown => return refused("no file, but something of the kernel's"),
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

fn is_kernels_own(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    // The type has another width and sign on each architecture; the numbers have 32 bits.
    let number = fstatfs(fd)?.f_type;
    Ok(KERNELS_OWN.iter().any(|own| i128::from(*own) == i128::from(number) & 0xffff_ffff))
}

/// A file of memfd_create(2): it could be run where no rule names a program, as it has no place.
fn is_memory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let target = rustix::fs::readlink(path, Vec::new())?;
    Ok(target.to_bytes().starts_with(b"/memfd:"))
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
        let own = "no file, but something of the kernel's";
        for path in ["/proc/self/status", "/proc/self/ns/net", "/proc/self/mem"] {
            assert_eq!(kind(opened(path, OFlags::RDONLY)), own, "{path}");
        }
        for object in [
            pidfd_open(getpid(), PidfdFlags::empty()).unwrap(),
            eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
            epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
        ] {
            assert_eq!(kind(object), own);
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
