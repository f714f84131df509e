//! Where the cgroup v2 hierarchy is and what it offers (cgroups(7), proc_pid_mountinfo(5)).

use super::facts::{Cgroups, Keeper, SLICE};
use super::text;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Reads the facts of this host.
#[must_use]
pub fn probe() -> Cgroups {
    let mounts = text::read("/proc/self/mountinfo").unwrap_or_default();
    let mount = find_mount(&mounts);
    let controllers = mount.as_deref().map(controllers).unwrap_or_default();
    let keeper = keeper(mount.as_deref());
    Cgroups { mount, controllers, held_by_v1: held_by_v1(&mounts), keeper }
}

/// systemd marks what it has handed over with this attribute.
const DELEGATED: &str = "trusted.delegate";

fn keeper(mount: Option<&Path>) -> Keeper {
    // As sd_booted(3) asks.
    if !Path::new("/run/systemd/system").is_dir() {
        return Keeper::Nobody;
    }
    let own = text::read("/proc/self/cgroup").ok().and_then(|text| path_in(&text));
    let handed_over = |path: &&Path| mount.is_some_and(|mount| is_delegated(mount, path));
    let delegated = own.as_deref().and_then(|own| {
        let within = Path::new(own).ancestors().take_while(|path| is_below_slice(path));
        within.into_iter().find(handed_over)
    });
    Keeper::Systemd { delegated: delegated.map(|path| path.display().to_string()) }
}

fn is_below_slice(path: &Path) -> bool {
    path.strip_prefix("/").is_ok_and(|path| path.starts_with(SLICE) && path != Path::new(SLICE))
}

fn is_delegated(mount: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix("/") else { return false };
    let mut value = [0; 8];
    let length = rustix::fs::lgetxattr(mount.join(below), DELEGATED, &mut value);
    length.is_ok_and(|length| value.get(..length) == Some(b"1"))
}

/// The path in the version 2 hierarchy that `/proc/PID/cgroup` tells (cgroups(7)).
#[must_use]
pub fn path_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
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
    fn only_what_is_inside_the_slice_of_agents_is_ours() {
        let inside = ["/cellblock.slice/a.scope", "/cellblock.slice/a.service/b"];
        assert!(inside.iter().all(|path| is_below_slice(Path::new(path))));
        let outside =
            ["/", "/cellblock.slice", "/user.slice/cellblock.slice/a", "/cellblock.slices/a"];
        assert!(!outside.iter().any(|path| is_below_slice(Path::new(path))));
        let text = "12:pids:/x\n0::/cellblock.slice/a.run\n";
        assert_eq!(path_in(text).as_deref(), Some("/cellblock.slice/a.run"));
        assert_eq!(path_in("1:name=systemd:/\n"), None);
    }

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
