//! What `/proc` and the cgroup files tell of an agent's processes, for what [`super::state`] asks.
//!
//! A process may end at any moment, and another one may get its number: what was read of it is true only where it is still the
//! same afterwards, which its start tells.

use super::state::Look;
use crate::host::{cgroups, text};
use crate::jobs::{self, FOLDER};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most bytes that are read of a process' words.
const MOST_WORDS: usize = 1024;
/// The most bytes of its other files.
const MOST: usize = 8192;

/// SIGHUP in the sets of `status`.
const HANGUP: u64 = 1;

/// One process, by the fields of `stat` (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether nothing of it runs any more.
    pub is_ended: bool,
    /// Its parent.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// Its terminal; 0 where it has none.
    pub terminal: i64,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
    /// Processor time of itself and of the children that it has waited for, in clock ticks.
    pub ticks: u64,
}

/// Where an agent's processes are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its cgroup's folder, where it has one.
    pub cgroup: Option<PathBuf>,
    /// The same as `/proc/PID/cgroup` has it, or those below it.
    pub cgroup_path: String,
    /// Its uid.
    pub uid: u32,
    /// The first process of its jail.
    pub init: i32,
}

fn read(pid: i32, name: &str, most: usize) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(format!("/proc/{pid}/{name}"), flags, Mode::empty()).ok()?;
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match rustix::io::read(&file, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(filled);
    Some(bytes)
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&String::from_utf8_lossy(&read(pid, "stat", MOST)?))
}

/// Reads `stat`.
#[must_use]
pub fn parse_stat(text: &str) -> Option<Stat> {
    // A name may hold anything; the last parenthesis ends it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at)?.parse::<i64>().ok();
    let id = |at| i32::try_from(number(at)?).ok();
    let ticks = (14..=17).filter_map(number).fold(0_i64, i64::saturating_add);
    Some(Stat {
        // Others of its threads may go on where the first has ended.
        is_ended: field(3)? == "X" || field(3)? == "Z" && number(20)? <= 1,
        parent: id(4)?,
        session: id(6)?,
        terminal: number(7)?,
        start: u64::try_from(number(22)?).ok()?,
        ticks: u64::try_from(ticks).ok()?,
    })
}

/// Whether it ignores SIGHUP, and its number in the innermost pid namespace.
fn status(pid: i32) -> Option<(bool, i32)> {
    let text = read(pid, "status", MOST)?;
    parse_status(&String::from_utf8_lossy(&text))
}

/// Reads `status`.
#[must_use]
pub fn parse_status(text: &str) -> Option<(bool, i32)> {
    // The name comes first, with its line breaks escaped.
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let ignored = u64::from_str_radix(line("SigIgn:")?.trim(), 16).ok()?;
    let inside = line("NSpid:").and_then(|pids| pids.split_whitespace().last()?.parse().ok());
    Some((ignored & HANGUP != 0, inside.unwrap_or(0)))
}

/// The process `pid`, as it is now.
#[must_use]
pub fn look(pid: i32) -> Option<Look> {
    let now = stat(pid)?;
    let (ignores_hangup, inside) = status(pid)?;
    let mut look = Look {
        start: now.start,
        parent: now.parent,
        session: now.session,
        has_terminal: now.terminal != 0,
        is_ended: now.is_ended,
        ignores_hangup,
        inside,
        ..Look::default()
    };
    // Asked only where it matters: most ignore nothing.
    if ignores_hangup {
        look.parent_ignores_hangup = status(now.parent).is_some_and(|(ignores, _)| ignores);
    }
    if now.session == pid && now.terminal == 0 {
        look.parent_session = stat(now.parent).map_or(0, |parent| parent.session);
    }
    Some(look)
}

/// When the process `pid` started, in clock ticks since the boot.
#[must_use]
pub fn start(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.start)
}

/// Whether the process `pid` is of the agent at `place`, and the one that started at `start`.
#[must_use]
pub fn is_of(pid: i32, start: u64, place: &Place) -> bool {
    whose(pid, start, place).is_some()
}

/// The same, and whether it is in a job of the agent.
#[must_use]
pub fn whose(pid: i32, start: u64, place: &Place) -> Option<Part> {
    let path = cgroup_path(pid);
    let part = match (&place.cgroup, path) {
        (Some(_), path) => match path?.strip_prefix(place.cgroup_path.as_str())? {
            "" => Part::Session,
            below if below.starts_with(&format!("/{FOLDER}")) => Part::Job,
            below if below.starts_with('/') => Part::Session,
            _ => return None,
        },
        // Without one of its own: all processes of a pid namespace descend from its first one (pid_namespaces(7)).
        (None, _) => {
            let is_inside = uid(pid)? == place.uid && descends_from(pid, place.init);
            is_inside.then_some(Part::Session)?
        }
    };
    (stat(pid)?.start == start).then_some(part)
}

/// Where a process of an agent belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To its session.
    Session,
    /// To a job that it has declared.
    Job,
}

/// Where the process `pid` is, as a path below the mount of cgroups.
#[must_use]
pub fn cgroup_path(pid: i32) -> Option<String> {
    cgroups::path_in(&String::from_utf8_lossy(&read(pid, "cgroup", MOST)?))
}

fn uid(pid: i32) -> Option<u32> {
    let text = read(pid, "status", MOST)?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Its words, separated by spaces; its name in brackets where it has none.
#[must_use]
pub fn words(pid: i32) -> Option<String> {
    let words = words_in(&read(pid, "cmdline", MOST_WORDS)?);
    if words.is_some() {
        return words;
    }
    let name = read(pid, "comm", MOST_WORDS)?;
    Some(format!("[{}]", String::from_utf8_lossy(&name).trim_end()))
}

/// The words in the bytes of `cmdline`; nothing where there are none.
#[must_use]
pub fn words_in(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let words = text.trim_end_matches('\0').replace('\0', " ");
    (!words.trim().is_empty()).then_some(words)
}

/// Processor time of `pids` and of the children that they have waited for, in clock ticks.
#[must_use]
pub fn ticks(pids: &[i32]) -> u64 {
    pids.iter().filter_map(|pid| stat(*pid)).map(|stat| stat.ticks).sum()
}

/// The processes of the agent at `place`, those in cgroups below its own among them; nothing where that cannot be read.
#[must_use]
pub fn members(place: &Place) -> Option<BTreeSet<i32>> {
    let Some(cgroup) = &place.cgroup else { return by_descent(place) };
    let mut found = BTreeSet::new();
    add_members(cgroup, &mut found)?;
    Some(found)
}

/// Those of them that are in jobs.
#[must_use]
pub fn in_jobs(place: &Place) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let below =
        place.cgroup.iter().flat_map(|cgroup| std::fs::read_dir(cgroup).into_iter().flatten());
    let jobs = below
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER)));
    jobs.for_each(|entry| {
        add_members(&entry.path(), &mut found);
    });
    found
}

/// Those in the job of this number.
#[must_use]
pub fn in_job(place: &Place, number: u32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let folder = place.cgroup.as_ref().map(|cgroup| jobs::folder(cgroup, number));
    folder.and_then(|folder| add_members(&folder, &mut found));
    found
}

fn add_members(folder: &Path, found: &mut BTreeSet<i32>) -> Option<()> {
    let text = text::read(folder.join("cgroup.procs")).ok()?;
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    let below = std::fs::read_dir(folder).ok()?.flatten();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    // One that has just been removed has none.
    below.for_each(|entry| {
        add_members(&entry.path(), found);
    });
    Some(())
}

/// How deep a line of descent is followed.
const DEEPEST: usize = 4096;

fn descends_from(pid: i32, init: i32) -> bool {
    let mut at = pid;
    for _ in 0..DEEPEST {
        if at == init {
            return true;
        }
        match stat(at) {
            Some(stat) if stat.parent > 1 => at = stat.parent,
            Some(_) | None => return false,
        }
    }
    false
}

fn by_descent(place: &Place) -> Option<BTreeSet<i32>> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let inside = |pid: &i32| uid(*pid) == Some(place.uid) && descends_from(*pid, place.init);
    Some(pids.filter(inside).collect())
}

/// The processor time that the agent at `place` has used, in microseconds.
#[must_use]
pub fn used(place: &Place) -> Option<u64> {
    let text = text::read(place.cgroup.as_ref()?.join("cpu.stat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())
}

/// The name that most of `pids` have, and how many have it.
#[must_use]
pub fn most_common(pids: &[i32]) -> Option<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for name in pids.iter().filter_map(|pid| read(*pid, "comm", MOST_WORDS)) {
        let name = String::from_utf8_lossy(&name).trim_end().escape_debug().to_string();
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

/// Whether this host's `/proc` hides what others run (proc(5), `hidepid`).
#[must_use]
pub fn hides() -> bool {
    let mounts = text::read("/proc/self/mounts").unwrap_or_default();
    let mut own = mounts.lines().filter(|line| line.split(' ').nth(1) == Some("/proc"));
    own.next_back().is_some_and(|line| {
        line.split(['=', ',', ' '])
            .skip_while(|word| *word != "hidepid")
            .nth(1)
            .is_some_and(|value| !matches!(value, "0" | "off"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let text = "7 (a) Z 1 (b\n) S 5 6 7 34816 9 0 0 0 0 0 1 2 3 4 20 0 1 0 4242 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.session, stat.terminal, stat.ticks), (5, 7, 34816, 10));
        assert_eq!((stat.start, stat.is_ended), (4242, false));
        assert_eq!(parse_stat("7 (a"), None);
        let text = "Name:\tSigIgn:\\nx\nNSpid:\t100\t7\nSigIgn:\t0000000000001001\n";
        assert_eq!(parse_status(text), Some((true, 7)));
        assert_eq!(parse_status("NSpid:\t1\n"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let me = i32::try_from(std::process::id()).unwrap();
        let look = look(me).unwrap();
        assert!(look.start > 0 && !look.is_ended && look.inside > 0);
        assert!(words(me).unwrap().contains("cellblock"));
        let uid = rustix::process::getuid().as_raw();
        let init = me;
        let place = Place { cgroup: None, cgroup_path: String::new(), uid, init };
        assert!(is_of(me, look.start, &place) && !is_of(me, look.start + 1, &place));
        assert!(!is_of(me, look.start, &Place { uid: uid + 1, ..place.clone() }));
        let in_cgroup = Place { cgroup: Some("/none".into()), ..place.clone() };
        assert!(!is_of(me, look.start, &Place { cgroup_path: "/none".to_owned(), ..in_cgroup }));
        assert!(members(&place).unwrap().contains(&me));
    }
}
