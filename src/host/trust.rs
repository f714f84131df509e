//! Reads files that decide over others: profiles, policies, secrets.
//!
//! A file that somebody else can write or replace decides what that somebody wants. So it is opened
//! once, without following symbolic links, and its owner and the owners of every directory above it
//! are checked on the way. The check is made only where the caller is root: anybody else decides
//! over nothing but themselves.

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
pub const MAX_SIZE: u64 = 256 << 10;

/// Who may have written a file.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Whether it is checked at all.
    check: bool,
    /// The person behind `sudo`, besides root.
    person: u32,
}

impl Trust {
    /// For a process of effective uid `euid` started by `person`.
    #[must_use]
    pub fn for_caller(euid: u32, person: u32) -> Self {
        Self { check: euid == 0, person }
    }

    /// Root alone.
    #[must_use]
    pub fn root_only() -> Self {
        Self { check: true, person: 0 }
    }

    /// The same without the person: for what is found without having been named by its path. The
    /// person's files may be an agent's work, as their workspace is.
    #[must_use]
    pub fn without_person(&self) -> Self {
        Self { person: 0, ..self.clone() }
    }

    fn allows(&self, stat: &Stat) -> bool {
        let sticky_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && stat.st_mode & 0o1000 != 0;
        let others_write = stat.st_mode & 0o022 != 0 && !sticky_directory;
        let owner = stat.st_uid == 0 || stat.st_uid == self.person;
        !self.check || (owner && !others_write)
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A call failed.
    #[error("cannot {verb} {path}: {errno}")]
    Call {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Somebody else could have written it.
    #[error("{path} can be written by others than root and you ({mode:04o}, owner {uid})")]
    Writable {
        /// The file or a directory above it.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
    },
    /// Not a regular file.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What is none.
        path: PathBuf,
    },
    /// Too large.
    #[error("{path} is larger than {most} bytes")]
    TooLarge {
        /// What is too large.
        path: PathBuf,
        /// How large it may be.
        most: u64,
    },
    /// Not text.
    #[error("{path} is not UTF-8 text")]
    NotText {
        /// What is none.
        path: PathBuf,
    },
}

impl TrustError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Call { errno: Errno::LOOP, .. } => {
                "a symbolic link is not followed here: give the path it leads to".to_owned()
            }
            Self::Call { errno: Errno::NOENT, .. } => {
                "make the file, or correct its path".to_owned()
            }
            Self::Writable { path, .. } => {
                format!("chown root {0} && chmod go-w {0}", path.display())
            }
            Self::Call { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. } => String::new(),
        }
    }
}

/// Reads the text file at `path`, of at most [`MAX_SIZE`] bytes.
///
/// # Errors
/// [`TrustError`] names the path and the cause.
pub fn read(path: &Path, trust: &Trust) -> Result<String, TrustError> {
    let bytes = read_bytes(path, trust, MAX_SIZE)?;
    String::from_utf8(bytes).map_err(|_| TrustError::NotText { path: path.to_owned() })
}

/// Reads the file at `path`, of at most `most` bytes.
///
/// # Errors
/// [`TrustError`] names the path and the cause.
pub fn read_bytes(path: &Path, trust: &Trust, most: u64) -> Result<Vec<u8>, TrustError> {
    let call = |verb| move |errno| TrustError::Call { verb, path: path.to_owned(), errno };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file =
        rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve).map_err(call("open"))?;
    let stat = rustix::fs::fstat(&file).map_err(call("look at"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(TrustError::NotAFile { path: path.to_owned() });
    }
    check(path, &stat, trust)?;
    check_parents(path, trust)?;
    let mut bytes = Vec::new();
    let mut file = std::fs::File::from(file).take(most + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| call("read")(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    if bytes.len() as u64 > most {
        return Err(TrustError::TooLarge { path: path.to_owned(), most });
    }
    Ok(bytes)
}

fn check(path: &Path, stat: &Stat, trust: &Trust) -> Result<(), TrustError> {
    if trust.allows(stat) {
        return Ok(());
    }
    Err(TrustError::Writable {
        path: path.to_owned(),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
    })
}

/// Whoever can write a directory above the file can put another file in its place.
fn check_parents(path: &Path, trust: &Trust) -> Result<(), TrustError> {
    if !trust.check {
        return Ok(());
    }
    let call =
        |errno| TrustError::Call { verb: "name the directory of", path: path.to_owned(), errno };
    let absolute = std::path::absolute(path)
        .map_err(|error| call(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    for parent in absolute.ancestors().skip(1) {
        let stat = rustix::fs::stat(parent).map_err(|errno| TrustError::Call {
            verb: "look at",
            path: parent.to_owned(),
            errno,
        })?;
        check(parent, &stat, trust)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), "schema = 1").unwrap();
        folder
    }

    fn mine() -> Trust {
        Trust { check: true, person: rustix::process::geteuid().as_raw() }
    }

    #[test]
    fn reads_what_only_the_caller_can_write() {
        let folder = folder();
        assert_eq!(read(&folder.path().join("a.toml"), &mine()).unwrap(), "schema = 1");
    }

    #[test]
    fn refuses_what_others_can_write_or_replace() {
        let folder = folder();
        let file = folder.path().join("a.toml");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        assert!(matches!(read(&file, &mine()), Err(TrustError::Writable { .. })));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(read(&file, &mine()), Err(TrustError::Writable { .. })));
        let unchecked = Trust { check: false, person: 0 };
        assert!(read(&file, &unchecked).is_ok());
    }

    #[test]
    fn refuses_links_pipes_and_giants() {
        let folder = folder();
        let link = folder.path().join("link.toml");
        symlink(folder.path().join("a.toml"), &link).unwrap();
        let error = read(&link, &mine()).unwrap_err();
        assert!(matches!(&error, TrustError::Call { errno: Errno::LOOP, .. }), "{error}");
        assert!(matches!(read(folder.path(), &mine()), Err(TrustError::NotAFile { .. })));
        let giant = folder.path().join("giant.toml");
        std::fs::write(&giant, vec![b' '; usize::try_from(MAX_SIZE).unwrap() + 1]).unwrap();
        assert!(matches!(read(&giant, &mine()), Err(TrustError::TooLarge { .. })));
    }
}
