//! What `/proc` tells of single processes (proc_pid_stat(5), proc_pid_status(5)).
//!
//! A process may end at any moment: what is gone has no figures.

use crate::host::{cgroups, text};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// One process, as far as its rank depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its session's.
    pub session: i32,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
}

/// The processes in the cgroup at `path`, and in those below it: an agent's jobs.
#[must_use]
pub fn in_cgroup(path: &Path) -> Vec<i32> {
    let text = text::read(path.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    pids.extend(below.flat_map(|entry| in_cgroup(&entry.path())));
    pids
}

/// The process `pid`.
#[must_use]
pub fn look(pid: i32) -> Option<Process> {
    parse(pid, &stat(pid)?)
}

fn stat(pid: i32) -> Option<String> {
    // A name may be any bytes; only what follows it is of use here.
    let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The fields behind the name, which may hold spaces and parentheses itself; the first is field 3.
fn fields(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace())
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    let fields: Vec<_> = fields(stat)?.collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    let id = |field| i32::try_from(number(field)?).ok();
    let start = u64::try_from(number(22)?).ok()?;
    Some(Process { pid, parent: id(4)?, session: id(6)?, start })
}

/// Whether the process `pid` is there and has not ended: one that nobody has waited for yet has.
#[must_use]
pub fn is_running(pid: i32) -> bool {
    let state = stat(pid).and_then(|stat| fields(&stat)?.next().map(str::to_owned));
    state.is_some_and(|state| state != "Z" && state != "X")
}

/// How many threads the process `pid` has.
#[must_use]
pub fn threads(pid: i32) -> Option<u64> {
    fields(&stat(pid)?)?.nth(20 - 3)?.parse().ok()
}

/// How many descriptors the process `pid` has open: since Linux 6.2 the size of the directory says so.
#[must_use]
pub fn descriptors(pid: i32) -> Option<u64> {
    let folder = format!("/proc/{pid}/fd");
    match std::fs::metadata(&folder).ok()?.size() {
        0 => Some(std::fs::read_dir(&folder).ok()?.count() as u64),
        count => Some(count),
    }
}

/// The process `pid` in words.
#[must_use]
pub fn named(pid: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", String::from_utf8_lossy(&name).trim_end().escape_debug()))
}

/// Raises the `oom_score_adj` of the process `pid` to `score`, if it is in the cgroup `cgroup` (its path
/// below the mount) or one below it and has a lower one. By a descriptor of its directory, which never comes to mean
/// another process; where it has ended, there is nothing to raise.
///
/// # Errors
/// The kernel's answer, but for a process that has ended.
pub fn raise_score(pid: i32, cgroup: &str, score: i32) -> Result<(), Errno> {
    let gone = |result| match result {
        Err(Errno::NOENT | Errno::SRCH) => Ok(()),
        other => other,
    };
    gone(try_raise_score(pid, cgroup, score))
}

fn try_raise_score(pid: i32, cgroup: &str, score: i32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
    let text = |name: &str| -> Result<String, Errno> {
        let file = openat(&process, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut bytes = [0; 4096];
        let length = rustix::io::read(&file, &mut bytes)?;
        Ok(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
    };
    let path = cgroups::path_in(&text("cgroup")?);
    let below = path.as_deref().and_then(|path| path.strip_prefix(cgroup));
    if !below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
        return Ok(());
    }
    let name = "oom_score_adj";
    if text(name)?.trim().parse::<i32>().is_ok_and(|now| now >= score) {
        return Ok(());
    }
    let file = openat(&process, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, score.to_string().as_bytes()).map(|_| ())
}

/// Bytes that a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Memory of its own.
    pub anonymous: u64,
    /// Shared memory and files in memory that it maps; each process that maps it counts it.
    pub shared: u64,
}

/// What the process `pid` holds. Where its first thread has ended, the kernel tells nothing of it
/// there, though the others live on in the same memory: then one of them is asked.
#[must_use]
pub fn held_memory(pid: i32) -> Option<Held> {
    let of = |folder: &Path| held_by(&folder.join("status"));
    let process = PathBuf::from(format!("/proc/{pid}"));
    of(&process).or_else(|| {
        let threads = std::fs::read_dir(process.join("task")).ok()?.flatten();
        threads.map(|thread| thread.path()).find_map(|thread| of(&thread))
    })
}

fn held_by(status: &Path) -> Option<Held> {
    let text = text::read(status).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    };
    Some(Held { anonymous: bytes("RssAnon:")?, shared: bytes("RssShmem:")? })
}

/// Bytes in files without a name (memfd_create(2)) that the process `pid` has open; a file that is in
/// `seen` already is not counted again.
#[must_use]
pub fn memory_files(pid: i32, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let is_memory = |path: &PathBuf| {
        let target = std::fs::read_link(path);
        target.is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"))
    };
    let files = entries.map(|entry| entry.path()).filter(is_memory);
    let found = files.filter_map(|path| std::fs::metadata(path).ok());
    // A block is 512 bytes, whatever the file system's are (stat(3type)).
    found.filter(|file| seen.insert((file.dev(), file.ino()))).map(|file| file.blocks() * 512).sum()
}

/// The name that most of the tasks of `pids` have, and how many have it.
#[must_use]
pub fn most_common(pids: &[i32]) -> Option<(String, u64)> {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for pid in pids {
        let Some(stat) = stat(*pid) else { continue };
        let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
        let threads = fields(&stat).and_then(|mut fields| fields.nth(20 - 3)?.parse().ok());
        if let Some((name, _)) = name {
            *counts.entry(name.escape_debug().to_string()).or_default() += threads.unwrap_or(1);
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "77 (a) S (b c) S 5 6 7 8 9 0 0 0 0 0 0 0 0 0 20 0 3 0 4242 0 0";
        let process = Process { pid: 77, parent: 5, session: 7, start: 4242 };
        assert_eq!(parse(77, stat), Some(process));
        assert_eq!(parse(77, "77 (x"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(threads(me).unwrap() >= 1 && descriptors(me).unwrap() >= 3);
        assert!(held_memory(me).unwrap().anonymous > 0);
        assert_eq!(look(me).unwrap().pid, me);
        assert!(is_running(me) && !is_running(0));
        assert!(most_common(&[me]).unwrap().1 >= 1);
        let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&file, &[1; 5000]).unwrap();
        let mut seen = BTreeSet::new();
        assert!(memory_files(me, &mut seen) >= 5000);
        assert_eq!(memory_files(me, &mut seen), 0, "counted once");
        assert_eq!(threads(0), None);
        // In another cgroup than the one named, nothing is changed.
        raise_score(me, "/none", 1000).unwrap();
        raise_score(0, "/none", 1000).unwrap();
        assert_eq!(
            text::read("/proc/self/oom_score_adj").unwrap().trim().parse::<i32>().unwrap().max(999),
            999
        );
    }
}
