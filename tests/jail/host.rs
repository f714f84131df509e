//! What is on the host of an agent: processes, cgroups, records, mounts.

use crate::harness;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where cgroup v2 is mounted.
pub(crate) fn cgroup_mount() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// Whether cgroup v2 has `controller` here.
pub(crate) fn has_controller(controller: &str) -> bool {
    let file = cgroup_mount().map(|mount| mount.join("cgroup.controllers"));
    let text = file.map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
    text.split_whitespace().any(|name| name == controller)
}

/// The uid that the book gives to `agent`.
pub(crate) fn uid_of(agent: &str) -> Option<u32> {
    let book = std::fs::read_to_string("/var/lib/cellblock/uids").ok()?;
    book.lines().find_map(|line| line.strip_prefix(agent)?.strip_prefix(' ')?.parse().ok())
}

/// The processes of `uid`, with their names. One without memory has ended: the kernel or the host's
/// init is about to forget it, and it is no process of its cgroup any more.
pub(crate) fn processes(uid: u32) -> Vec<(i32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let owner = status(pid, "Uid")?.split_whitespace().next()?.parse::<u32>().ok()?;
        status(pid, "VmSize")?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        (owner == uid).then(|| (pid, name.trim().to_owned()))
    };
    entries.filter_map(of).collect()
}

/// The processes of all users, by uid: each with whether it is the first one of a jail. Those without memory are left out, as in
/// [`processes`].
pub(crate) fn processes_by_uid() -> BTreeMap<u32, Vec<(i32, bool)>> {
    let mut found: BTreeMap<u32, Vec<(i32, bool)>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(text) = pid.and(std::fs::read_to_string(entry.path().join("status")).ok()) else {
            continue;
        };
        let words = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_whitespace().collect::<Vec<_>>())
        };
        let uid = words("Uid").and_then(|uids| uids.first()?.parse().ok());
        if let (Some(uid), Some(pid), Some(_)) = (uid, pid, words("VmSize")) {
            let first = words("NSpid").is_some_and(|pids| pids.len() > 1 && pids.ends_with(&["1"]));
            found.entry(uid).or_default().push((pid, first));
        }
    }
    found
}

/// PID 1 of the jail of `uid`, by its number outside. Not the lowest of the numbers: those begin anew at some time.
pub(crate) fn init_of(uid: u32) -> Option<i32> {
    let all = processes_by_uid().remove(&uid)?;
    all.into_iter().find_map(|(pid, is_first)| is_first.then_some(pid))
}

/// A line of `/proc/PID/status`.
pub(crate) fn status(pid: i32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What begins with the agent's name and a dot in `folder`.
fn entries_of(folder: &Path, agent: &str) -> Vec<String> {
    let prefix = format!("{agent}.");
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// The slice of all agents.
pub(crate) fn slice() -> PathBuf {
    cgroup_mount().unwrap_or_default().join("cellblock.slice")
}

/// The cgroups of `agent`, and the scopes that hold them.
pub(crate) fn cgroups(agent: &str) -> Vec<String> {
    let mut found = entries_of(&slice(), agent);
    found.extend(scopes(agent));
    found
}

/// Where the processes of the one jail of `agent` are: in the slice, or in its scope.
pub(crate) fn own_cgroup(agent: &str) -> PathBuf {
    let scopes = scopes(agent).into_iter().map(|scope| slice().join(scope));
    let found = scopes.chain([slice()]).find_map(|folder| {
        let name = entries_of(&folder, agent).into_iter().next()?;
        Some(folder.join(name))
    });
    found.unwrap_or_else(|| panic!("{agent} has no cgroup"))
}

/// The scopes of systemd that launchers of `agent` are in.
pub(crate) fn scopes(agent: &str) -> Vec<String> {
    let of = |name: &String| {
        let rest = name.strip_prefix("cellblock-").and_then(|name| name.strip_prefix(agent));
        let pid = rest.and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".scope"));
        pid.is_some_and(|pid| pid.parse::<u32>().is_ok())
    };
    let names = std::fs::read_dir(slice()).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(of).collect()
}

/// The records of launches of `agent`.
pub(crate) fn records(agent: &str) -> Vec<String> {
    entries_of(Path::new("/run/cellblock/launches"), agent)
}

/// Everything that is left of `agent`, whose jails have ended, one line each; nothing where it left nothing. A
/// scope is systemd's to remove, a moment after its last process, and is waited for.
#[track_caller]
pub(crate) fn left_of(agent: &str) -> Vec<String> {
    harness::eventually(&format!("the end of the scopes of {agent}"), || {
        scopes(agent).is_empty().then_some(())
    });
    let mut left = Vec::new();
    let processes = uid_of(agent).map(processes).unwrap_or_default();
    left.extend(processes.iter().map(|(pid, name)| format!("process {pid} {name}")));
    left.extend(cgroups(agent).iter().map(|name| format!("cgroup {name}")));
    left.extend(records(agent).iter().map(|name| format!("record {name}")));
    let outlines = entries_of(Path::new("/run/cellblock/outlines"), agent);
    left.extend(outlines.iter().map(|name| format!("outline {name}")));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = mounts.lines().filter(|line| line.contains("/run/cellblock"));
    left.extend(ours.map(|line| format!("mount {line}")));
    left
}

/// Fails where `agent` has left something.
#[track_caller]
pub(crate) fn expect_nothing_left(agent: &str) {
    assert_eq!(left_of(agent), [""; 0], "{agent} left this behind");
}

/// The uid and gid of a file.
pub(crate) fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    (meta.uid(), meta.gid())
}
