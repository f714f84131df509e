//! What is on the host of an agent: processes, cgroups, records, mounts.

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

/// The cgroups of `agent`.
pub(crate) fn cgroups(agent: &str) -> Vec<String> {
    cgroup_mount()
        .map(|mount| entries_of(&mount.join("cellblock.slice"), agent))
        .unwrap_or_default()
}

/// The records of launches of `agent`.
pub(crate) fn records(agent: &str) -> Vec<String> {
    entries_of(Path::new("/run/cellblock/launches"), agent)
}

/// Everything of `agent` that there is, one line each; nothing where it left nothing.
pub(crate) fn left_of(agent: &str) -> Vec<String> {
    let mut left = Vec::new();
    let processes = uid_of(agent).map(processes).unwrap_or_default();
    left.extend(processes.iter().map(|(pid, name)| format!("process {pid} {name}")));
    left.extend(cgroups(agent).iter().map(|name| format!("cgroup {name}")));
    left.extend(records(agent).iter().map(|name| format!("record {name}")));
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
