//! The file systems that writable trees are on: the disk below, and what they do about project quotas.

use super::facts::{Disk, ProjectQuota};
use super::{paths, text};
use crate::sys;
use rustix::fd::OwnedFd;
use rustix::fs::{fstat, fstatfs, major, minor};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where the kernel tells of each block device by its numbers.
const BLOCK: &str = "/sys/dev/block";
/// The files by which a cgroup gets a share of the disks: of the controller, and of the scheduler BFQ.
const WEIGHTS: [&str; 2] = ["io.weight", "io.bfq.weight"];

/// Looks at the file systems of `trees`. Reads only, and needs no privilege where the paths need none.
#[must_use]
pub fn probe(trees: &BTreeSet<String>) -> BTreeMap<String, Result<Disk, String>> {
    if trees.is_empty() {
        return BTreeMap::new();
    }
    let mounts = text::read("/proc/self/mountinfo").unwrap_or_default();
    let look = |tree: &String| match paths::open(Path::new(tree)) {
        Ok(opened) => Some((tree.clone(), disk(&opened, tree, &mounts).map_err(|e| e.to_string()))),
        // Told of by whoever looks at the path for its own sake.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => None,
        Err(errno) => Some((tree.clone(), Err(errno.to_string()))),
    };
    trees.iter().filter_map(look).collect()
}

fn disk(opened: &OwnedFd, path: &str, mounts: &str) -> Result<Disk, Errno> {
    let stat = fstat(opened)?;
    let device = (major(stat.st_dev), minor(stat.st_dev));
    let mount = mount_of(mounts, device, path);
    let kind = match &mount {
        Some(mount) => mount.kind.to_owned(),
        None => kind_by_number(fstatfs(opened)?.f_type as u64),
    };
    let named = |name: fn(&Mounted<'_>) -> String| mount.as_ref().map(name).unwrap_or_default();
    Ok(Disk {
        device,
        block: whole_disk(Path::new(BLOCK), device),
        kind,
        source: named(|mount| mount.source.to_owned()),
        mount: named(|mount| mount.at.to_owned()),
        quota: quota(opened),
    })
}

/// What the file system says of project quotas. An answer that is none counts as none.
fn quota(opened: &OwnedFd) -> ProjectQuota {
    match sys::project_quotas(opened) {
        Ok(quotas) if quotas.enforced => ProjectQuota::Enforced,
        Ok(quotas) if quotas.counted => ProjectQuota::Counted,
        Err(Errno::NOSYS) if !sys::has_quotas() => ProjectQuota::NotInKernel,
        Ok(_) | Err(_) => ProjectQuota::None,
    }
}

/// The disk that `device` is on or is a part of: the kernel limits whole disks (`io.max` answers ENODEV
/// for a partition). Major number 0 is a file system without a block device (overlay, tmpfs, btrfs,
/// network). A device that the kernel tells nothing of is taken for a disk: writing the limit will tell.
fn whole_disk(block: &Path, device: (u32, u32)) -> Option<(u32, u32)> {
    if device.0 == 0 {
        return None;
    }
    let entry = block.join(format!("{}:{}", device.0, device.1));
    if !entry.join("partition").exists() {
        return Some(device);
    }
    // The entry is a link into the disk's own directory; `..` is followed from where it leads to.
    let above = text::read(entry.join("../dev")).ok();
    Some(above.and_then(|text| numbers(text.trim())).unwrap_or(device))
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A line of mountinfo, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Mounted<'t> {
    at: &'t str,
    kind: &'t str,
    source: &'t str,
}

/// The mount of `device` nearest above `path` (proc_pid_mountinfo(5)); of btrfs there is none, as its
/// files have other device numbers than its mounts.
fn mount_of<'t>(mountinfo: &'t str, device: (u32, u32), path: &str) -> Option<Mounted<'t>> {
    let parse = |line: &'t str| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(2);
        let is_it = left.next().and_then(numbers) == Some(device);
        let at = left.nth(1).filter(|_| is_it)?;
        let mut right = right.split(' ');
        Some(Mounted { at, kind: right.next()?, source: right.next()? })
    };
    let mounts = mountinfo.lines().filter_map(parse);
    mounts
        .max_by_key(|mount| if Path::new(path).starts_with(mount.at) { mount.at.len() } else { 0 })
}

/// The type of a file system by its number (statfs(2)).
fn kind_by_number(number: u64) -> String {
    match number & 0xffff_ffff {
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        other => format!("a file system of type {other:#x}"),
    }
}

/// Those of the files of [`WEIGHTS`] that the cgroups right below `mount` have; `None` where none of them
/// has the controller, and it cannot be told.
#[must_use]
pub fn weight_files(mount: &Path) -> Option<BTreeSet<String>> {
    let on = text::read(mount.join("cgroup.subtree_control")).ok()?;
    if !on.split_whitespace().any(|controller| controller == "io") {
        return None;
    }
    let entries = std::fs::read_dir(mount).ok()?.flatten();
    let child =
        entries.map(|entry| entry.path()).find(|path| path.join("cgroup.procs").exists())?;
    let has = |file: &&str| child.join(file).exists();
    Some(WEIGHTS.into_iter().filter(has).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_partition_is_told_from_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for (path, numbers) in [("devices/vda", "253:0\n"), ("devices/vda/vda1", "253:1\n")] {
            std::fs::create_dir_all(at(path)).unwrap();
            std::fs::write(at(path).join("dev"), numbers).unwrap();
        }
        std::fs::write(at("devices/vda/vda1/partition"), "1\n").unwrap();
        std::fs::create_dir(at("block")).unwrap();
        symlink("../devices/vda", at("block/253:0")).unwrap();
        symlink("../devices/vda/vda1", at("block/253:1")).unwrap();
        let of = |device| whole_disk(&at("block"), device);
        assert_eq!(of((253, 1)), Some((253, 0)), "a partition's disk");
        assert_eq!(of((253, 0)), Some((253, 0)), "a whole disk, a loop device, a device mapper's");
        assert_eq!(of((7, 0)), Some((7, 0)), "a device that nothing is told of");
        assert_eq!(of((0, 41)), None, "no block device");
    }

    const MOUNTS: &str = "\
22 1 253:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 253:1 /srv /home/ada rw shared:1 - ext4 /dev/vda1 rw
31 22 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
";

    #[test]
    fn the_nearest_mount_of_a_device_is_found() {
        let of = |device, path| mount_of(MOUNTS, device, path);
        let root = Mounted { at: "/", kind: "ext4", source: "/dev/vda1" };
        assert_eq!(of((253, 1), "/var/tmp"), Some(root));
        assert_eq!(of((253, 1), "/home/ada/project").unwrap().at, "/home/ada");
        assert_eq!(of((0, 99), "/x"), None);
    }

    #[test]
    fn this_host_tells_of_its_disks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let none = folder.path().join("none").display().to_string();
        let found = probe(&[path.clone(), none].into());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[&path].as_ref().unwrap().kind.is_empty(), "{found:?}");
    }

    #[test]
    fn weights_are_looked_for_where_the_controller_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        write("cgroup.subtree_control", "memory\n");
        std::fs::create_dir(folder.path().join("init.scope")).unwrap();
        write("init.scope/cgroup.procs", "");
        assert_eq!(weight_files(folder.path()), None);
        write("cgroup.subtree_control", "memory io\n");
        assert_eq!(weight_files(folder.path()), Some(BTreeSet::new()));
        write("init.scope/io.weight", "default 100\n");
        assert_eq!(weight_files(folder.path()), Some(["io.weight".to_owned()].into()));
    }
}
