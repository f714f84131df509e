//! What the referee sees of a process from outside.

use super::prober::NAME;
use super::world::World;
use crate::host::text;
use crate::plan::Plan;

/// The prober after its attack, still alive, and the world around it.
#[derive(Debug)]
pub struct Look<'a> {
    /// The prober's pid outside.
    pub pid: i32,
    /// What the prober told.
    pub told: &'a [u8],
    /// The plan of the jail, if there is one.
    pub plan: Option<&'a Plan>,
    /// The world of the attempt.
    pub world: &'a World,
}

impl Look<'_> {
    /// A file of the prober's directory in `/proc`; empty where it cannot be read.
    #[must_use]
    pub fn proc(&self, file: &str) -> String {
        text::read(format!("/proc/{}/{file}", self.pid)).unwrap_or_default()
    }

    /// A line of the prober's status (proc_pid_status(5)).
    #[must_use]
    pub fn status(&self, key: &str) -> String {
        line(&self.proc("status"), key)
    }

    /// A file of the victim's directory in `/proc`; empty where it has ended.
    #[must_use]
    pub fn victim_file(&self, file: &str) -> String {
        text::read(format!("/proc/{}/{file}", self.world.victim())).unwrap_or_default()
    }

    /// A line of the victim's status; empty where it has ended.
    #[must_use]
    pub fn victim_status(&self, key: &str) -> String {
        line(&self.victim_file("status"), key)
    }

    /// Whether the victim has ended.
    #[must_use]
    pub fn victim_ended(&self) -> bool {
        matches!(self.victim_status("State").chars().next(), None | Some('Z' | 'X'))
    }

    /// Whether the prober's namespace `name` is the host's own.
    #[must_use]
    pub fn shares(&self, name: &str) -> bool {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let (own, host) = (of(&self.pid.to_string()), of("self"));
        own.is_some() && own == host
    }

    /// The status files of the prober's children.
    #[must_use]
    pub fn children(&self) -> Vec<String> {
        let own = self.pid.to_string();
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let statuses = all.filter_map(|entry| text::read(entry.path().join("status")).ok());
        statuses.filter(|status| line(status, "PPid") == own).collect()
    }

    /// What the prober's descriptors lead to.
    #[must_use]
    pub fn descriptors(&self) -> Vec<(i32, String)> {
        let folder = format!("/proc/{}/fd", self.pid);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries
            .filter_map(|entry| {
                let number = entry.file_name().to_str()?.parse().ok()?;
                let target = std::fs::read_link(entry.path()).ok()?;
                Some((number, target.display().to_string()))
            })
            .collect();
        all.sort_unstable();
        all
    }
}

/// Whether the process `pid` has not ended.
#[must_use]
pub(super) fn is_there(pid: i32) -> bool {
    let status = text::read(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !line(&status, "State").starts_with(['Z', 'X'])
}

/// The children of process `parent`.
pub(super) fn children_of(parent: i32) -> Vec<rustix::process::Pid> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let status = text::read(format!("/proc/{pid}/status")).unwrap_or_default();
        line(&status, "PPid") == parent.to_string()
    };
    pids.filter(is_child).filter_map(rustix::process::Pid::from_raw).collect()
}

/// A process that has `uid` as any of its ids and has not ended, if there is one.
pub(super) fn process_of(uid: u32) -> Option<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let uid = uid.to_string();
    pids.find(|pid| {
        let status = text::read(format!("/proc/{pid}/status")).unwrap_or_default();
        let ended = line(&status, "State").starts_with(['Z', 'X']);
        !ended && line(&status, "Uid").split_whitespace().any(|id| id == uid)
    })
}

/// The process of the prober whose own pid is `inner`, where it runs with `uid`.
#[must_use]
pub fn find(inner: i32, uid: u32) -> Option<i32> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let status = text::read(format!("/proc/{pid}/status")).unwrap_or_default();
        let words = text::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let own = |key| line(&status, key).split_whitespace().last().map(str::to_owned);
        own("NSpid") == Some(inner.to_string())
            && own("Uid") == Some(uid.to_string())
            && words.split('\0').any(|word| word.ends_with(NAME))
    })
}

/// The value of the line `key: value` in `text`.
#[must_use]
pub fn line(text: &str, key: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == key);
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}
