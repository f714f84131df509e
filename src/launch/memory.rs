//! File systems in memory and what they hold at the start (tmpfs(5)).

use super::error::{LaunchError, cannot};
use crate::plan::{Content, Identity, Mount, Node, Source};
use crate::sys::{self, TreeAttributes};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, makedev, mkdirat, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// Makes the tree of a mount in memory.
pub(super) fn make(mount: &Mount, identity: &Identity) -> Result<OwnedFd, LaunchError> {
    let Source::Memory { size, inodes, mode, agent, devices, nodes } = &mount.source else {
        return Err(cannot("make in memory", &mount.at)(Errno::INVAL));
    };
    let owner = if *agent { Some(identity) } else { None };
    let options = [
        ("size", size.to_string()),
        ("nr_inodes", inodes.to_string()),
        ("mode", format!("{mode:o}")),
        ("uid", owner.map_or(0, |owner| owner.uid).to_string()),
        ("gid", owner.map_or(0, |owner| owner.gid).to_string()),
    ];
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
    attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, !devices);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, !mount.execute);
    let tree =
        mounted("tmpfs", &options, attributes).map_err(cannot("make in memory", &mount.at))?;
    for node in nodes {
        add(&tree, node, identity)
            .map_err(cannot("make", &format!("{}/{}", mount.at, node.path)))?;
    }
    if !mount.write {
        let attributes = TreeAttributes { read_only: true, ..TreeAttributes::default() };
        sys::set_tree_attributes(tree.as_fd(), attributes)
            .map_err(cannot("make read-only", &mount.at))?;
    }
    Ok(tree)
}

/// A new file system of type `kind`, attached to nothing.
pub(super) fn mounted(
    kind: &str,
    options: &[(&str, String)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(&context, *name, value.as_str())?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn add(tree: &OwnedFd, node: &Node, identity: &Identity) -> Result<(), Errno> {
    let path = node.path.as_str();
    match &node.content {
        Content::Directory { agent } => {
            let mode = if *agent { 0o700 } else { 0o755 };
            mkdirat(tree, path, Mode::from_raw_mode(mode))?;
            if *agent { give(tree, path, identity) } else { Ok(()) }
        }
        Content::File(text) => file(tree, path, text, 0o644),
        Content::Link(target) => symlinkat(target.as_str(), tree, path),
        Content::Blank { directory: true } => mkdirat(tree, path, Mode::empty()),
        Content::Blank { directory: false } => file(tree, path, "", 0),
        Content::Device { major, minor } => {
            let mode = Mode::from_raw_mode(0o666);
            mknodat(tree, path, FileType::CharacterDevice, mode, makedev(*major, *minor))
        }
    }
}

fn give(tree: &OwnedFd, path: &str, identity: &Identity) -> Result<(), Errno> {
    let uid = Some(Uid::from_raw(identity.uid));
    let gid = Some(Gid::from_raw(identity.gid));
    rustix::fs::chownat(tree, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

fn file(tree: &OwnedFd, path: &str, text: &str, mode: u32) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(tree, path, flags, Mode::from_raw_mode(mode))?;
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let count = rustix::io::write(&file, left)?;
        left = &left[count..];
    }
    Ok(())
}
