//! Where the cgroup v2 hierarchy is and what it offers (cgroups(7), proc_pid_mountinfo(5)).

use super::facts::Cgroups;
use super::text;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Reads the facts of this host.
#[must_use]
pub fn probe() -> Cgroups {
    let mounts = text::read("/proc/self/mountinfo").unwrap_or_default();
    let mount = find_mount(&mounts);
    let controllers = mount.as_deref().map(controllers).unwrap_or_default();
    Cgroups { mount, controllers, held_by_v1: held_by_v1(&mounts) }
}

fn controllers(mount: &Path) -> BTreeSet<String> {
    let text = text::read(mount.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The file system type, mount point and super options of a line of mountinfo.
fn fields(line: &str) -> Option<(&str, &str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    Some((right.next()?, left.split(' ').nth(4)?, right.nth(1)?))
}

/// The first mount of type cgroup2.
fn find_mount(mountinfo: &str) -> Option<PathBuf> {
    let found = mountinfo.lines().filter_map(fields).find(|(kind, ..)| *kind == "cgroup2");
    found.map(|(_, at, _)| PathBuf::from(at))
}

/// Controllers that version 1 hierarchies hold, and version 2 therefore cannot offer.
fn held_by_v1(mountinfo: &str) -> BTreeSet<String> {
    let v1 = mountinfo.lines().filter_map(fields).filter(|(kind, ..)| *kind == "cgroup");
    let known = ["memory", "pids", "cpu", "cpuset", "blkio"];
    let options = v1.flat_map(|(_, _, options)| options.split(','));
    options.filter(|option| known.contains(option)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_host_is_told_from_a_unified_one() {
        assert_eq!(find_mount(HYBRID), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(held_by_v1(HYBRID), ["memory", "pids"].map(str::to_owned).into());
        let unified = "25 20 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(find_mount(unified), Some(PathBuf::from("/sys/fs/cgroup")));
        assert!(held_by_v1(unified).is_empty());
        assert_eq!(find_mount(""), None);
    }
}
