//! What the supervisor must know of its agents when it comes back: a file for each, written before what it tells of is done.
//!
//! A file is replaced whole or not at all, so that one who dies at any moment leaves the old text or the new one.

use super::names::Names;
use crate::host::Caller;
use crate::jobs::ledger::Ledger;
use crate::limits::Kept;
use crate::planning::Wanted;
use crate::shim::protocol::{GateMemory, Report, Seen};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The version of these files that this program writes and reads.
pub(super) const SCHEMA: u32 = 1;
/// The longest file that is read, in bytes.
const LONGEST: u64 = 4 << 20;

/// How far an agent had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// Its shim was about to be started, or is making the jail.
    #[default]
    Starting,
    /// Its session was there.
    Running,
    /// It has ended.
    Ended,
}

/// An agent as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// The version.
    pub(super) schema: u32,
    /// Its name.
    pub(super) name: String,
    /// Its jail.
    pub(super) wanted: Wanted,
    /// For whom it is planned.
    pub(super) caller: Caller,
    /// When it is started again, as in the configuration.
    pub(super) restart: String,
    /// Whether it is to run: nobody has asked it to end.
    pub(super) goes: bool,
    /// Whether it is to be started again once it has ended, as somebody asked for.
    pub(super) again: bool,
    /// How far it had come.
    pub(super) stage: Stage,
    /// The boot of the host in which that was.
    pub(super) boot: String,
    /// Since when it is so, in seconds since 1970-01-01 UTC.
    pub(super) since: u64,
    /// How often it was started again by itself, and how often of that in a row.
    pub(super) restarts: u32,
    /// See `restarts`.
    pub(super) row: u32,
    /// The jail, once it stands.
    pub(super) kept: Option<Kept>,
    /// What its gate works by now.
    pub(super) gate: Option<GateMemory>,
    /// Whether somebody wants it to stand still.
    pub(super) frozen: bool,
    /// Its jobs and notes.
    pub(super) ledger: Option<Ledger>,
    /// How it ended the last time.
    pub(super) outcome: Option<Outcome>,
}

/// How an agent ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// In a sentence.
    pub(super) how: String,
    /// The exit status that tells of it.
    pub(super) status: u8,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A call failed.
    #[error("cannot {verb} {}: {errno}", path.display())]
    Call {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A newer cellblock wrote it.
    #[error("{} was written by a newer cellblock (schema {found}, and this one knows {SCHEMA})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is not what this program writes.
    #[error("cannot understand {}: {cause}", path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Others could have written it.
    #[error("{} is not a directory that only root can write", .0.display())]
    Open(PathBuf),
}

impl StateError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Newer { .. } => {
                "use that release again, or end its agents and move the folder away".to_owned()
            }
            Self::NotUnderstood { .. } => {
                "correct the line, or move the file away: names that people have taken do not count then".to_owned()
            }
            Self::Open(path) => format!("chown root {0} && chmod go-w {0}", path.display()),
            Self::Call { errno: Errno::NOSPC | Errno::DQUOT, path, .. } => {
                format!("make room on the disk of {}", path.display())
            }
            Self::Call { .. } => String::new(),
        }
    }
}

pub(super) fn cannot(verb: &'static str, path: &Path) -> impl FnOnce(Errno) -> StateError {
    move |errno| StateError::Call { verb, path: path.to_owned(), errno }
}

pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The two folders: what stays, and what is needed until the next boot.
#[derive(Debug)]
pub(super) struct Folders {
    state: PathBuf,
    shims: PathBuf,
}

impl Folders {
    /// Makes them where they are missing.
    pub(super) fn open(state: &Path, run: &Path) -> Result<Self, StateError> {
        let shims = run.join("shims");
        for (path, mode) in [(run, 0o755), (state, 0o700), (&shims, 0o700)] {
            make(path, mode)?;
        }
        Ok(Self { state: state.to_owned(), shims })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.json"))
    }

    /// Where the owners of the shim of `name` come back.
    pub(super) fn socket(&self, name: &str) -> PathBuf {
        self.shims.join(name)
    }

    /// What that shim sees while it has no owner.
    pub(super) fn seen(&self, name: &str) -> PathBuf {
        self.shims.join(format!("{name}.seen"))
    }

    /// An empty file for it.
    pub(super) fn new_seen(&self, name: &str) -> Result<File, StateError> {
        let path = self.seen(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600));
        file.map(File::from).map_err(cannot("make", &path))
    }

    /// What the shim of `name` has written there: reports, or why it launched no jail.
    pub(super) fn read_seen(&self, name: &str) -> Vec<Result<Seen, Refused>> {
        let text = read_bounded(&self.seen(name));
        let line = |line: &str| {
            let seen = serde_json::from_str(line).ok().map(Ok);
            seen.or_else(|| Some(Err(Refused::from_line(line)?)))
        };
        text.lines().filter_map(line).collect()
    }

    /// How an agent ended whose shim is gone, as far as that was written down.
    pub(super) fn end_of(&self, name: &str) -> Option<Outcome> {
        let seen = self.read_seen(name);
        let mut said = None;
        for one in seen {
            match one {
                Ok(Seen { report: Report::Said(report), .. }) => said = Some(report),
                Ok(Seen { report: Report::Over { status }, .. }) => {
                    return Some(super::agent::outcome(name, said.as_ref(), status));
                }
                Ok(_) => {}
                Err(Refused { cause, status }) => return Some(Outcome { how: cause, status }),
            }
        }
        None
    }

    /// Empties what was seen, when it is read.
    pub(super) fn forget_seen(&self, name: &str) -> Result<(), StateError> {
        let path = self.seen(name);
        match rustix::fs::open(
            &path,
            OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(cannot("empty", &path)(errno)),
        }
    }

    /// Writes `record` down.
    pub(super) fn save(&self, record: &Record) -> Result<(), StateError> {
        let path = self.file(&record.name);
        let text = serde_json::to_vec(record).map_err(|_| cannot("write", &path)(Errno::INVAL))?;
        replace(&path, &text)
    }

    /// The names that people have taken.
    pub(super) fn names(&self) -> Result<Names, StateError> {
        Names::read(&self.state.join("names"))
    }

    /// Forgets an agent.
    pub(super) fn remove(&self, name: &str) -> Result<(), StateError> {
        for path in [self.file(name), self.socket(name), self.seen(name)] {
            match rustix::fs::unlink(&path) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(cannot("remove", &path)(errno)),
            }
        }
        Ok(())
    }

    /// All agents. One whose file cannot be read is told of and left out: it stays as it is, and nobody gets its name.
    pub(super) fn load(&self) -> Result<(Vec<Record>, Vec<String>), StateError> {
        let entries = std::fs::read_dir(&self.state);
        let entries = entries.map_err(|error| cannot("read", &self.state)(errno(&error)))?;
        let (mut records, mut unread) = (Vec::new(), Vec::new());
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match read(&path)? {
                Some(record) if record.name == name => records.push(record),
                Some(_) | None => {
                    tracing::error!(path = %path.display(), "cannot be read, and its agent is left alone");
                    unread.push(name);
                }
            }
        }
        Ok((records, unread))
    }
}

/// Puts a new text in the place of the old one, whole or not at all.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<(), StateError> {
    let new = path.with_extension("new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&new, flags, Mode::from_raw_mode(0o600));
    let mut file = File::from(file.map_err(cannot("write", &new))?);
    let written = file.write_all(text).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // Half a file is of use to nobody, and takes room.
        rustix::fs::unlink(&new).map_err(cannot("remove", &new))?;
        return Err(cannot("write", path)(errno(&error)));
    }
    rustix::fs::rename(&new, path).map_err(cannot("replace", path))
}

/// The text of a file that somebody without rights writes, as far as it is bounded.
fn read_bounded(path: &Path) -> String {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return String::new() };
    let mut bytes = Vec::new();
    // What is read up to an error is read.
    match File::from(file).take(LONGEST).read_to_end(&mut bytes) {
        Ok(_) | Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// A shim's word that there is no jail, as it wrote it down.
pub(super) struct Refused {
    cause: String,
    status: u8,
}

impl Refused {
    fn from_line(line: &str) -> Option<Self> {
        use crate::shim::protocol::Greeting;
        match serde_json::from_str(line).ok()? {
            Greeting::Failed { cause, status, .. } => Some(Self { cause, status }),
            Greeting::Born(_) => None,
        }
    }
}

/// The record in a file; `None` where it is none.
fn read(path: &Path) -> Result<Option<Record>, StateError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let mut text = String::new();
    let opened =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty());
    let file = File::from(opened.map_err(cannot("open", path))?);
    if file.take(LONGEST).read_to_string(&mut text).is_err() {
        return Ok(None);
    }
    let version = serde_json::from_str::<Version>(&text).ok();
    match version {
        Some(Version { schema }) if schema > SCHEMA => {
            Err(StateError::Newer { path: path.to_owned(), found: schema })
        }
        Some(_) => Ok(serde_json::from_str(&text).ok()),
        None => Ok(None),
    }
}

fn make(path: &Path, mode: u32) -> Result<(), StateError> {
    if let Err(error) = std::fs::create_dir_all(path.parent().unwrap_or(path)) {
        return Err(cannot("make", path)(errno(&error)));
    }
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(cannot("make", path)(errno)),
    }
    let stat = rustix::fs::lstat(path).map_err(cannot("look at", path))?;
    let directory = stat.st_mode & 0o170_000 == 0o040_000;
    if stat.st_uid != 0 || !directory || stat.st_mode & 0o022 != 0 {
        return Err(StateError::Open(path.to_owned()));
    }
    Ok(())
}

/// This boot of the host, by its name.
pub(super) fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(at: &Path) -> Folders {
        std::fs::create_dir(at.join("shims")).unwrap();
        Folders { state: at.to_owned(), shims: at.join("shims") }
    }

    fn record(name: &str) -> Record {
        Record { schema: SCHEMA, name: name.to_owned(), goes: true, ..Record::default() }
    }

    #[test]
    fn what_is_saved_is_loaded_and_what_is_removed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let folders = folders(folder.path());
        folders.save(&record("a")).unwrap();
        folders.save(&Record { row: 3, ..record("a") }).unwrap();
        folders.save(&record("b")).unwrap();
        folders.remove("b").unwrap();
        let (records, unread) = folders.load().unwrap();
        assert_eq!((records.len(), records[0].row, unread.len()), (1, 3, 0));
    }

    #[test]
    fn a_newer_folder_is_not_touched_and_a_broken_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folders = folders(folder.path());
        std::fs::write(folder.path().join("torn.json"), "{\"schema\":1,\"na").unwrap();
        folders.save(&record("a")).unwrap();
        let (records, unread) = folders.load().unwrap();
        assert_eq!((records.len(), &unread[..]), (1, &["torn".to_owned()][..]));
        std::fs::write(folder.path().join("new.json"), "{\"schema\":2,\"more\":[]}").unwrap();
        let error = folders.load().unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 2, .. }), "{error}");
        assert!(!error.hint().is_empty());
    }

    #[test]
    fn a_full_disk_leaves_the_old_text() {
        let folder = tempfile::tempdir().unwrap();
        let folders = folders(folder.path());
        folders.save(&record("a")).unwrap();
        // What stands where the new text would go cannot be written.
        std::fs::create_dir(folder.path().join("a.new")).unwrap();
        folders.save(&Record { row: 9, ..record("a") }).unwrap_err();
        assert_eq!(folders.load().unwrap().0[0].row, 0);
    }

    #[test]
    fn the_end_is_found_in_what_was_seen() {
        use crate::jail::protocol::Report as Said;
        let folder = tempfile::tempdir().unwrap();
        let folders = folders(folder.path());
        assert!(folders.end_of("a").is_none());
        let ended = Said::Ended { status: Some(3), signal: None, screen: String::new() };
        let lines = [Report::Said(ended), Report::Over { status: 3 }]
            .map(|report| serde_json::to_string(&Seen { time: 1, report }).unwrap());
        std::fs::write(folders.seen("a"), lines.join("\n")).unwrap();
        let end = folders.end_of("a").unwrap();
        assert_eq!((end.how.as_str(), end.status), ("a ended with exit status 3", 3));
        folders.forget_seen("a").unwrap();
        assert!(folders.end_of("a").is_none());
    }
}
