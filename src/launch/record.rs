//! What a launcher must not take with it when it is killed.
//!
//! Each launch has a record: a file that says what was made on the host, locked as long as the
//! launcher lives. A record that nobody locks belongs to a launcher that is gone: the next launch
//! removes what it tells of, and then the record. One lock over all keeps two launches from doing
//! either at once.

use super::error::{LaunchError, cannot, cannot_io};
use super::gate::GateBorn;
use super::{RUN, cgroup, disk, orders, outlines, stubs};
use crate::limits::Kept;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::{DupFlags, Errno};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one launch made on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// The agent's cgroup.
    pub cgroup: Option<PathBuf>,
    /// Stubs in trees of the host.
    pub stubs: Vec<stubs::Stub>,
    /// Bounds on what trees of the host hold on disk.
    pub disk: Vec<disk::Bound>,
    /// What must be known to read the jail's figures, once it runs.
    pub kept: Option<Kept>,
    /// Where its gate takes orders, if it has one that does.
    pub orders: Option<PathBuf>,
    /// What must be known to keep that gate, once it runs.
    pub gate: Option<GateBorn>,
    /// The process that the launcher ends with, where there is one.
    pub with: Option<i32>,
}

/// A jail that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its name: `AGENT.run`, or `AGENT.exec.PID`.
    pub name: String,
    /// What it is.
    pub kept: Kept,
}

/// The jails that run, by the records of launchers that live. Only root may look.
///
/// # Errors
/// [`LaunchError::NotShown`], [`LaunchError::Call`].
pub fn running() -> Result<Vec<Running>, LaunchError> {
    let folder = folder();
    let shown = folder.display().to_string();
    if !rustix::process::geteuid().is_root() {
        return Err(LaunchError::NotShown);
    }
    // Who looks must not be taken for a launcher that lives: a look is a lock, too.
    let _all = lock_alone()?;
    let entries = std::fs::read_dir(&folder).map_err(cannot_io("read", &shown))?;
    let mut running: Vec<_> = entries.flatten().filter_map(|it| running_one(&it.path())).collect();
    running.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(running)
}

/// The jail of one record; none where its launcher is gone, or the jail is only being made.
fn running_one(path: &Path) -> Option<Running> {
    let mut file = open(path, OFlags::empty()).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {}
        Ok(()) | Err(_) => return None,
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let made: Made = serde_json::from_str(&text).ok()?;
    let name = path.file_name()?.to_str()?.to_owned();
    Some(Running { name, kept: made.kept? })
}

/// The record of this launch; removed by [`Record::close`].
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    file: OwnedFd,
    made: Made,
}

/// The lock over all records, held while it lives.
#[derive(Debug)]
pub(super) struct AllRecords {
    _lock: File,
}

fn folder() -> PathBuf {
    Path::new(RUN).join("launches")
}

/// A directory that only root can look into; `/run` itself belongs to root.
fn make_folder(path: &Path, mode: u32) -> Result<(), LaunchError> {
    let shown = path.display().to_string();
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(cannot("make", &shown)(errno)),
    }
    let stat = rustix::fs::lstat(path).map_err(cannot("look at", &shown))?;
    if stat.st_uid != 0 || stat.st_mode & 0o170_022 != 0o040_000 {
        let cause = format!("{shown} is not a directory that only root can write");
        return Err(LaunchError::Unusable(cause));
    }
    Ok(())
}

fn open(path: &Path, flags: OFlags) -> Result<File, Errno> {
    let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map(File::from)
}

/// Takes the lock, and removes what launchers that are gone have left.
///
/// # Errors
/// [`LaunchError::Call`]. What cannot be removed is logged and left for the next launch.
pub(super) fn lock() -> Result<AllRecords, LaunchError> {
    let all = lock_alone()?;
    all.sweep()?;
    Ok(all)
}

/// Takes the lock.
///
/// # Errors
/// [`LaunchError::Call`].
pub(super) fn lock_alone() -> Result<AllRecords, LaunchError> {
    make_folder(Path::new(RUN), 0o755)?;
    make_folder(&folder(), 0o700)?;
    let path = Path::new(RUN).join("lock");
    let shown = path.display().to_string();
    let file = open(&path, OFlags::CREATE).map_err(cannot("open", &shown))?;
    flock(&file, FlockOperation::LockExclusive).map_err(cannot("lock", &shown))?;
    Ok(AllRecords { _lock: file })
}

/// Takes the lock, if nobody has it.
///
/// # Errors
/// [`LaunchError`].
pub(super) fn lock_at_once() -> Result<AllRecords, LaunchError> {
    make_folder(Path::new(RUN), 0o755)?;
    let path = Path::new(RUN).join("lock");
    let shown = path.display().to_string();
    let file = open(&path, OFlags::CREATE).map_err(cannot("open", &shown))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(AllRecords { _lock: file }),
        Err(Errno::WOULDBLOCK) => {
            Err(LaunchError::Unusable("a launch is under way at this moment".to_owned()))
        }
        Err(errno) => Err(cannot("lock", &shown)(errno)),
    }
}

/// Removes what launchers that are gone have left: to be called before the host is looked at, for
/// what is found then must still be there at the launch.
///
/// # Errors
/// As for a launch.
pub fn sweep() -> Result<(), LaunchError> {
    lock().map(drop)
}

/// How long a launcher is waited for that is about to end, with a process that has ended.
const DYING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);
/// The longest record that is looked at for that, in bytes.
const LONGEST: u64 = 16 << 20;

/// Takes the lock of a record, unless its launcher lives; one that is about to end is waited for.
///
/// # Errors
/// `EWOULDBLOCK` where it lives.
fn lock_of_the_dead(file: &File) -> Result<(), Errno> {
    let take = || flock(file, FlockOperation::NonBlockingLockExclusive);
    let begun = Instant::now();
    loop {
        match take() {
            Err(Errno::WOULDBLOCK) if begun.elapsed() < DYING && is_dying(file) => {
                std::thread::sleep(PAUSE);
            }
            taken => return taken,
        }
    }
}

/// Whether the launcher of a record ends with a process that is gone.
fn is_dying(file: &File) -> bool {
    let length = rustix::fs::fstat(file).map_or(0, |stat| stat.st_size.cast_unsigned());
    // Many rules make a long one.
    let mut text = vec![0; usize::try_from(length.min(LONGEST)).unwrap_or(0)];
    let count = rustix::io::pread(file, &mut text[..], 0).unwrap_or(0);
    let made: Option<Made> = serde_json::from_slice(&text[..count]).ok();
    let with = made.and_then(|made| made.with);
    with.is_some_and(|pid| !crate::limits::processes::is_running(pid))
}

/// What the record of the jail called `name` tells of it, which stands, and of its gate: nothing is written to it any more,
/// so that nobody is waited for.
///
/// # Errors
/// [`LaunchError::Call`] where there is none, or it is not whole.
pub fn kept(name: &str) -> Result<(Kept, Option<GateBorn>), LaunchError> {
    let path = folder().join(name);
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(cannot_io("read", &shown))?;
    let made: Option<Made> = serde_json::from_str(&text).ok();
    let kept = made.and_then(|made| Some((made.kept?, made.gate)));
    kept.ok_or_else(|| cannot("understand", &shown)(Errno::PROTO))
}

/// Removes what the launcher of the jail called `name` has made, which has ended or is about to.
///
/// # Errors
/// [`LaunchError::Running`] where it lives; else the first thing that could not be removed, and the record stays for the
/// next launch.
pub fn finish(name: &str) -> Result<(), LaunchError> {
    let path = folder().join(name);
    let begun = Instant::now();
    loop {
        let all = lock_alone()?;
        let taken = match open(&path, OFlags::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(cannot("open", &path.display().to_string())(errno)),
            Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive),
        };
        match taken {
            Ok(()) => return all.sweep_one(&path),
            // The kernel lets go of its locks when it closes what the process had open.
            Err(Errno::WOULDBLOCK) if begun.elapsed() < DYING => {
                drop(all);
                std::thread::sleep(PAUSE);
            }
            Err(Errno::WOULDBLOCK) => return Err(LaunchError::Running(name.to_owned())),
            Err(errno) => return Err(cannot("lock", &path.display().to_string())(errno)),
        }
    }
}

impl AllRecords {
    /// Removes what is left of launchers that are gone.
    fn sweep(&self) -> Result<(), LaunchError> {
        let folder = folder();
        let shown = folder.display().to_string();
        for entry in std::fs::read_dir(&folder).map_err(cannot_io("read", &shown))? {
            let path = entry.map_err(cannot_io("read", &shown))?.path();
            if let Err(error) = self.sweep_one(&path) {
                tracing::warn!(record = %path.display(), %error, "left for the next launch");
            }
        }
        Ok(())
    }

    fn sweep_one(&self, path: &Path) -> Result<(), LaunchError> {
        let shown = path.display().to_string();
        let mut file = match open(path, OFlags::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(cannot("open", &shown)(errno)),
        };
        match lock_of_the_dead(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(errno) => return Err(cannot("lock", &shown)(errno)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(cannot_io("read", &shown))?;
        // A record is written before anything is made: an empty one stands for nothing.
        if !text.is_empty() {
            let made: Made = serde_json::from_str(&text).map_err(|error| {
                let cause = "is no record of this version, and what it tells of may be left";
                LaunchError::Unusable(format!("{shown} {cause}: {error}"))
            })?;
            tracing::info!(record = %shown, "removing what a launcher left behind");
            undo(&made, &self.besides(path))?;
        }
        outlines::remove(path)?;
        std::fs::remove_file(path).map_err(cannot_io("remove", &shown))
    }

    /// What other records still tell of, by the names of their launches.
    fn besides(&self, mine: &Path) -> Vec<(String, Made)> {
        let entries = std::fs::read_dir(folder()).into_iter().flatten().flatten();
        let others = entries.map(|entry| entry.path()).filter(|path| path != mine);
        let read = |path: PathBuf| {
            let made = serde_json::from_str(&std::fs::read_to_string(&path).ok()?).ok()?;
            Some((path.file_name()?.to_string_lossy().into_owned(), made))
        };
        others.filter_map(read).collect()
    }

    /// What other launches have announced.
    pub(super) fn others(&self, mine: &Record) -> Vec<(String, Made)> {
        self.besides(&mine.path)
    }

    /// Stubs that other launches have announced.
    pub(super) fn stubs_of_others(&self, mine: &Record) -> Vec<stubs::Stub> {
        self.others(mine).into_iter().flat_map(|(_, made)| made.stubs).collect()
    }

    /// Opens the record `name`; fails where a living launcher has it.
    pub(super) fn open(&self, name: &str, agent: &str) -> Result<Record, LaunchError> {
        let path = folder().join(name);
        let shown = path.display().to_string();
        let make = || open(&path, OFlags::CREATE | OFlags::EXCL);
        let file = make().or_else(|errno| match errno {
            // Of a launcher that is gone: why it is still there is told.
            Errno::EXIST => self.sweep_one(&path).and_then(|()| {
                make().map_err(|errno| match errno {
                    Errno::EXIST => LaunchError::Running(agent.to_owned()),
                    other => cannot("make", &shown)(other),
                })
            }),
            other => Err(cannot("make", &shown)(other)),
        })?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(cannot("lock", &shown))?;
        Ok(Record { path, file: file.into(), made: Made::default() })
    }
}

impl Record {
    /// Says what is about to be made, before it is made. The lock over all records keeps others from reading
    /// half a text: whose stubs a record tells of must be known to who removes them.
    ///
    /// # Errors
    /// [`LaunchError::Call`], as on a full disk.
    pub(super) fn announce(
        &mut self,
        _all: &AllRecords,
        change: impl FnOnce(&mut Made),
    ) -> Result<(), LaunchError> {
        change(&mut self.made);
        let shown = self.path.display().to_string();
        let text = serde_json::to_string(&self.made)
            .map_err(|error| LaunchError::Unusable(format!("cannot write {shown}: {error}")))?;
        // The longer text is written over the shorter one: at every moment a reader finds the old
        // text, the new one, or something that is none.
        let mut written = 0;
        while written < text.len() {
            let rest = &text.as_bytes()[written..];
            let count = rustix::io::pwrite(&self.file, rest, written as u64);
            written += count.map_err(cannot("write", &shown))?;
        }
        Ok(())
    }

    /// Lets go of the record in the child, which has a copy of each descriptor: the lock says that the
    /// launcher lives, and must not outlast it in a child that is about to die. `other` takes its place.
    pub(super) fn leave_to_parent(&mut self, other: impl AsFd) -> Result<(), Errno> {
        rustix::io::dup3(other, &mut self.file, DupFlags::CLOEXEC)
    }

    /// Holds the lock by a descriptor that cannot write. The lock over all records keeps others from taking it for one
    /// that nobody holds.
    pub(super) fn give_up_writing(&mut self) -> Result<(), LaunchError> {
        let shown = self.path.display().to_string();
        let _all = lock_alone()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&self.path, flags, Mode::empty());
        let file = file.map_err(cannot("open", &shown))?;
        flock(&self.file, FlockOperation::Unlock).map_err(cannot("let go of", &shown))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(cannot("lock", &shown))?;
        self.file = file;
        Ok(())
    }

    /// The descriptor that holds the lock.
    pub(super) fn descriptor(&self) -> i32 {
        use rustix::fd::AsRawFd as _;
        self.file.as_raw_fd()
    }

    /// The jail's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// What was announced.
    #[must_use]
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// Removes what was made and the record.
    ///
    /// # Errors
    /// [`LaunchError::Call`] for the first thing that could not be removed; the record then stays, and
    /// the next launch tries again.
    pub fn close(self) -> Result<(), LaunchError> {
        // What others may share is looked at, and undone, by one launcher at a time, who holds the lock until
        // its record is gone: two that end at once would each leave the stubs to the other.
        let shared = !self.made.stubs.is_empty() || !self.made.disk.is_empty();
        let all = if shared { Some(lock()?) } else { None };
        let others = all.as_ref().map(|all| all.besides(&self.path)).unwrap_or_default();
        undo(&self.made, &others)?;
        outlines::remove(&self.path)?;
        let shown = self.path.display().to_string();
        std::fs::remove_file(&self.path).map_err(cannot_io("remove", &shown))
    }
}

/// Undoes all that can be undone, and nothing where the agent does not end: what holds it stays as long.
///
/// # Errors
/// The first thing that could not be.
fn undo(made: &Made, others: &[(String, Made)]) -> Result<(), LaunchError> {
    made.cgroup.as_deref().map_or(Ok(()), cgroup::remove)?;
    let mut first = made.orders.as_deref().map_or(Ok(()), orders::remove);
    for stub in made.stubs.iter().rev() {
        // By path: what another launch took for a file may be a directory here.
        let mut theirs = others.iter().flat_map(|(_, other)| &other.stubs);
        if !theirs.any(|other| other.path == stub.path) {
            first = first.and(stubs::remove(stub));
        }
    }
    // Last: by now nothing of the agent writes any more.
    for bound in &made.disk {
        first = first.and(disk::remove(bound, others));
    }
    first
}
