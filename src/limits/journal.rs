//! Where hits are written down: a file of JSON lines for each agent, out of its reach, bounded.

use super::hits::{Hit, What};
use crate::alerts::event::{Event, Kind, Label, Teller};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file of this many bytes becomes the old one; there is one old one.
const MOST: u64 = 1 << 20;

/// How often the lock is tried, and how long is rested between: whoever writes many journals must not wait for one who is stopped.
const TRIES: u32 = 100;
const REST: Duration = Duration::from_millis(5);

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a, T> {
    /// Seconds since 1970-01-01 UTC.
    time: u64,
    agent: &'a str,
    /// The name of the jail: `AGENT.run` or `AGENT.exec.PID`.
    jail: &'a str,
    event: &'static str,
    #[serde(flatten)]
    what: T,
    /// The same in a sentence.
    told: String,
}

/// A limit that was changed.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    limit: &'a str,
    to: &'a str,
    by_uid: u32,
}

/// The journal of `agent` in `folder`.
#[must_use]
pub fn path(folder: &Path, agent: &str) -> PathBuf {
    folder.join(format!("{agent}.jsonl"))
}

/// The journal of a jail, and who hears of what is written there. The one place by which a supervisor writes down what happens:
/// what is written is told, and told also where it cannot be written.
#[derive(Clone, Debug)]
pub struct Journal {
    folder: PathBuf,
    agent: String,
    jail: String,
    teller: Teller,
}

impl Journal {
    /// Of the jail called `jail` of `agent`, in `folder`.
    #[must_use]
    pub fn new(folder: &Path, (agent, jail): (&str, &str), teller: Teller) -> Self {
        Self { folder: folder.to_owned(), agent: agent.to_owned(), jail: jail.to_owned(), teller }
    }

    /// The name of the jail.
    #[must_use]
    pub fn jail(&self) -> &str {
        &self.jail
    }

    /// Writes `event` down, with what belongs to it.
    ///
    /// # Errors
    /// The kernel's answer, as on a full disk: what was written before stays. `EAGAIN` where another one writes for too long.
    pub fn write(&self, event: Event, what: impl Serialize) -> Result<(), Errno> {
        self.write_to(&self.agent, event, what)
    }

    /// Writes `hits` down.
    ///
    /// # Errors
    /// As for [`Journal::write`].
    pub fn write_hits(&self, hits: &[Hit]) -> Result<(), Errno> {
        let lines = hits.iter().map(|hit| self.line(Kind::Limit.name(), hit, &hit.told()));
        let lines: Vec<_> = lines.collect();
        for hit in hits {
            self.teller.tell(of_hit(&self.agent, hit));
        }
        append(&self.folder, &self.agent, lines.into_iter())
    }

    /// Writes down that something was refused, in a journal of its own: however much is refused, what happened at limits
    /// stays.
    ///
    /// # Errors
    /// As for [`Journal::write`].
    pub fn write_denial(&self, event: Event, what: impl Serialize) -> Result<(), Errno> {
        self.write_to(&denials_of(&self.agent), event, what)
    }

    fn write_to(&self, name: &str, event: Event, what: impl Serialize) -> Result<(), Errno> {
        let line = self.line(event.kind.name(), what, &event.text);
        self.teller.tell(event);
        append(&self.folder, name, std::iter::once(line))
    }

    fn line(
        &self,
        event: &'static str,
        what: impl Serialize,
        told: &str,
    ) -> Result<Vec<u8>, Errno> {
        line(&self.agent, &self.jail, event, what, told.to_owned())
    }
}

/// A limit that was reached, as rules see it. What takes time happened once, and so did that the kernel took memory back: it counts
/// every look for some.
fn of_hit(agent: &str, hit: &Hit) -> Event {
    let times = match hit.what {
        What::HeldBack | What::Waited | What::Reached => 1,
        What::Ended | What::EndedForOthers | What::EndedByWatch | What::Refused | What::Full => {
            hit.count
        }
    };
    let event = Event::new(Kind::Limit, Some(agent), &hit.told()).times(times);
    event.with(Label::Limit, hit.limit.clone()).with(Label::Outcome, hit.what.word())
}

/// Writes down that the person `by_uid` changed limits of the jail called `jail`, each a key and a value.
///
/// # Errors
/// As for [`Journal::write`].
pub fn write_changes<'a>(
    folder: &Path,
    agent: &str,
    jail: &str,
    by_uid: u32,
    changes: impl Iterator<Item = (&'a str, String)>,
) -> Result<(), Errno> {
    let line = |(limit, to): (&str, String)| {
        let told = format!("{limit} was set to {to} by uid {by_uid}");
        line(agent, jail, "limit-changed", Changed { limit, to: &to, by_uid }, told)
    };
    append(folder, agent, changes.map(line))
}

/// What the journal of what was refused to `agent` is called.
#[must_use]
pub fn denials_of(agent: &str) -> String {
    format!("{agent}.denials")
}

/// By what name the alerts of all agents are written down: no agent can be called so.
pub const ALERTS: &str = "cellblock.alerts";

/// Writes down what is about no jail, in the journal called `name`.
///
/// # Errors
/// As for [`Journal::write`].
pub fn write_line(folder: &Path, name: &str, line: &impl Serialize) -> Result<(), Errno> {
    let mut text = serde_json::to_vec(line).map_err(|_| Errno::INVAL)?;
    text.push(b'\n');
    append(folder, name, std::iter::once(Ok(text)))
}

/// The time as the journals have it: seconds since 1970-01-01 UTC.
#[must_use]
pub fn now() -> u64 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    time.map_or(0, |time| time.as_secs())
}

fn line(
    agent: &str,
    jail: &str,
    event: &'static str,
    what: impl Serialize,
    told: String,
) -> Result<Vec<u8>, Errno> {
    let line = Line { time: now(), agent, jail, event, what, told };
    let mut text = serde_json::to_vec(&line).map_err(|_| Errno::INVAL)?;
    text.push(b'\n');
    Ok(text)
}

fn append(
    folder: &Path,
    agent: &str,
    lines: impl Iterator<Item = Result<Vec<u8>, Errno>>,
) -> Result<(), Errno> {
    let text = lines.collect::<Result<Vec<_>, Errno>>()?.concat();
    if text.is_empty() {
        return Ok(());
    }
    match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o750)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let path = path(folder, agent);
    let io = |error: std::io::Error| errno(&error);
    let _lock = lock(folder)?;
    let mut file = open(&path)?;
    let mut length = file.metadata().map_err(io)?.len();
    if length >= MOST {
        std::fs::rename(&path, path.with_extension("jsonl.old")).map_err(io)?;
        (file, length) = (open(&path)?, 0);
    }
    file.write_all(&text).map_err(|error| {
        // Half a line would swallow the next one. Where that fails too, it is the disk that is told of.
        let cut = file.set_len(length);
        errno(&cut.err().unwrap_or(error))
    })
}

/// The newest lines of the jail called `jail`, at most `most`, oldest first.
#[must_use]
pub fn newest(folder: &Path, agent: &str, jail: &str, most: usize) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path(folder, agent)).unwrap_or_default();
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
    let own = lines.filter(|line: &serde_json::Value| line["jail"] == jail);
    let mut newest: Vec<_> = own.take(most).collect();
    newest.reverse();
    newest
}

/// The newest events called `event` of the jail called `jail`, at most `most`, oldest first.
#[must_use]
pub fn newest_of(
    folder: &Path,
    agent: &str,
    (jail, event): (&str, &str),
    most: usize,
) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path(folder, agent)).unwrap_or_default();
    // Lines are as they were written: not each has to be read.
    let mark = format!("\"event\":\"{event}\"");
    let lines = text.lines().rev().filter(|line| line.contains(&mark));
    let lines = lines.filter_map(|line| serde_json::from_str(line).ok());
    let own =
        lines.filter(|line: &serde_json::Value| line["jail"] == jail && line["event"] == event);
    let mut newest: Vec<_> = own.take(most).collect();
    newest.reverse();
    newest
}

/// The newest lines of the journal called `name`, at most `most`, oldest first, those of the old file among them.
///
/// # Errors
/// The kernel's answer; a journal that is not there is empty.
pub fn last(folder: &Path, name: &str, most: usize) -> Result<Vec<serde_json::Value>, Errno> {
    last_of(folder, name, most, Some)
}

/// As [`last()`], of those lines that `pick` makes something of.
///
/// # Errors
/// As for [`last()`].
pub fn last_of<T>(
    folder: &Path,
    name: &str,
    most: usize,
    pick: impl Fn(serde_json::Value) -> Option<T>,
) -> Result<Vec<T>, Errno> {
    let path = path(folder, name);
    let mut newest = Vec::new();
    for file in [path.clone(), path.with_extension("jsonl.old")] {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(errno(&error)),
        };
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        newest.extend(lines.filter_map(&pick).take(most - newest.len()));
    }
    newest.reverse();
    Ok(newest)
}

fn open(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))?))
}

/// Held while a journal of `folder` is written: two jails of one agent may write at once, and a file becomes the old one once.
/// A file of its own, that root alone opens: who may read a journal could lock that (flock(2)).
fn lock(folder: &Path) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(0o600);
    let lock = File::from(rustix::fs::open(folder.join(".lock"), flags, mode)?);
    for _ in 1..TRIES {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(REST),
            locked => return locked.map(|()| lock),
        }
    }
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map(|()| lock)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::super::Unit;
    use super::super::hits::What;
    use super::*;

    fn hit() -> Hit {
        Hit {
            limit: "tasks".to_owned(),
            what: What::Refused,
            count: 3,
            max: Some(16),
            peak: Some(16),
            unit: Unit::Count,
            processes: vec!["a\nb".to_owned()],
        }
    }

    fn write_one(folder: &Path) -> Result<(), Errno> {
        Journal::new(folder, ("a", "a.run"), Teller::default()).write_hits(&[hit()])
    }

    #[test]
    fn each_hit_is_one_line_with_its_figures() {
        let folder = tempfile::tempdir().unwrap();
        let teller = Teller::heard();
        let journal = Journal::new(folder.path(), ("a", "a.run"), teller.clone());
        journal.write_hits(&[hit(), hit()]).unwrap();
        journal.write_hits(&[hit()]).unwrap();
        // And each is told.
        let told = teller.take();
        assert_eq!((told.len(), told[0].count, told[0].label(Label::Limit)), (3, 3, Some("tasks")));
        assert_eq!(told[0].label(Label::Outcome), Some("refused"));
        let text = std::fs::read_to_string(path(folder.path(), "a")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["limit"], "tasks");
        assert_eq!((&lines[0]["count"], &lines[0]["max"]), (&3.into(), &16.into()));
        write_changes(folder.path(), "a", "a.run", 7, [("tasks", "9".to_owned())].into_iter())
            .unwrap();
        let newest = newest(folder.path(), "a", "a.run", 2);
        assert_eq!(newest[1]["told"], "tasks was set to 9 by uid 7");
        assert_eq!((newest.len(), &newest[0]["event"]), (2, &"limit".into()));
        let of = |jail, event| super::newest_of(folder.path(), "a", (jail, event), 1);
        let changed = of("a.run", "limit-changed");
        assert_eq!((changed.len(), &changed[0]["told"]), (1, &newest[1]["told"]));
        assert!(of("a.run", "finding").is_empty() && of("b.run", "limit").is_empty());
        assert!(lines[0]["time"].as_u64().unwrap() > 1_700_000_000);
    }

    #[test]
    fn who_waited_for_the_lock_writes_into_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = path(folder.path(), "a");
        std::fs::write(&file, "old").unwrap();
        let holder = lock(folder.path()).unwrap();
        let waiter = {
            let folder = folder.path().to_owned();
            let write = move || {
                let journal = Journal::new(&folder, ("a", "a.run"), Teller::default());
                // Again, where the holder of a slow machine took longer than anybody waits.
                while journal.write_hits(&[hit()]).is_err() {}
            };
            std::thread::spawn(write)
        };
        std::thread::sleep(Duration::from_millis(50));
        std::fs::rename(&file, file.with_extension("jsonl.old")).unwrap();
        assert!(!file.exists(), "nobody writes meanwhile");
        drop(holder);
        waiter.join().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
        assert_eq!(std::fs::read_to_string(file.with_extension("jsonl.old")).unwrap(), "old");
    }

    #[test]
    fn who_reads_a_journal_holds_nobody_up_and_who_writes_for_ever_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        write_one(folder.path()).unwrap();
        let reader = File::open(path(folder.path(), "a")).unwrap();
        flock(&reader, FlockOperation::NonBlockingLockExclusive).unwrap();
        write_one(folder.path()).unwrap();
        let holder = lock(folder.path()).unwrap();
        assert_eq!(write_one(folder.path()), Err(Errno::AGAIN));
        drop(holder);
        write_one(folder.path()).unwrap();
        assert_eq!(last(folder.path(), "a", 9).unwrap().len(), 3);
        let mode = folder.path().join(".lock").metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
    }

    #[test]
    fn it_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = path(folder.path(), "a");
        std::fs::write(&file, vec![b'\n'; usize::try_from(MOST).unwrap()]).unwrap();
        write_one(folder.path()).unwrap();
        assert!(file.metadata().unwrap().len() < 1000);
        assert_eq!(file.with_extension("jsonl.old").metadata().unwrap().len(), MOST);
    }
}
