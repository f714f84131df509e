//! File systems in memory and what they hold at the start (tmpfs(5)).

use super::error::{LaunchError, cannot};
use super::tree::Listeners;
use crate::plan::{Content, Identity, Mount, Node, Source};
use crate::sys::{self, TreeAttributes};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, makedev, mkdirat, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

/// Makes the tree of a mount in memory; the sockets in it that listen are added to `listeners`.
pub(super) fn make(
    mount: &Mount,
    identity: &Identity,
    listeners: &mut Listeners,
) -> Result<OwnedFd, LaunchError> {
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
        let listener = add(&tree, node, identity)
            .map_err(cannot("make", &format!("{}/{}", mount.at, node.path)))?;
        match node.content {
            Content::Door => listeners.door = listener,
            Content::Socket
            | Content::Directory { .. }
            | Content::File(_)
            | Content::Link(_)
            | Content::Blank { .. }
            | Content::Device { .. } => listeners.gate.extend(listener),
        }
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

/// Makes what `node` says; the socket, where it is one that listens.
fn add(tree: &OwnedFd, node: &Node, identity: &Identity) -> Result<Option<OwnedFd>, Errno> {
    let path = node.path.as_str();
    let made = match &node.content {
        Content::Directory { agent } => {
            let mode = if *agent { 0o700 } else { 0o755 };
            let made = mkdirat(tree, path, Mode::from_raw_mode(mode));
            if *agent { made.and_then(|()| give(tree, path, identity)) } else { made }
        }
        Content::File(text) => file(tree, path, text, 0o644),
        Content::Link(target) => symlinkat(target.as_str(), tree, path),
        Content::Blank { directory: true } => mkdirat(tree, path, Mode::empty()),
        Content::Blank { directory: false } => file(tree, path, "", 0),
        Content::Device { major, minor } => {
            let mode = Mode::from_raw_mode(0o666);
            mknodat(tree, path, FileType::CharacterDevice, mode, makedev(*major, *minor))
        }
        Content::Socket => return listener(tree, path, SocketType::STREAM).map(Some),
        Content::Door => return listener(tree, path, SocketType::SEQPACKET).map(Some),
    };
    made.map(|()| None)
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens at `path`. It is bound by the tree's descriptor: the tree is attached to nothing yet.
fn listener(tree: &OwnedFd, path: &str, kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, kind, flags, None)?;
    let place = format!("/proc/self/fd/{}/{path}", tree.as_raw_fd());
    bind(&socket, &SocketAddrUnix::new(place)?)?;
    rustix::fs::chmodat(tree, path, Mode::from_raw_mode(0o666), AtFlags::empty())?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
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
