//! Pseudo terminals of the jail's own (devpts, pts(4)).

use super::error::{LaunchError, cannot};
use super::memory::mounted;
use crate::plan::Identity;
use crate::terminal::mode::Mode as Typing;
use crate::terminal::size::{self, Size};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;
use rustix::pty::OpenptFlags;

/// A new instance, whose terminals belong to the agent.
pub(super) fn make(max: u32, identity: &Identity) -> Result<OwnedFd, LaunchError> {
    let options = [
        ("ptmxmode", "666".to_owned()),
        ("mode", "600".to_owned()),
        ("uid", identity.uid.to_string()),
        ("gid", identity.gid.to_string()),
        ("max", max.to_string()),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mounted("devpts", &options, attributes).map_err(cannot("make", "/dev/pts"))
}

/// A master and its slave in the instance `tree`; the master does not block.
fn open(tree: &OwnedFd) -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let object = "a terminal of the jail";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let master =
        rustix::fs::openat(tree, "ptmx", flags, Mode::empty()).map_err(cannot("open", object))?;
    rustix::pty::unlockpt(&master).map_err(cannot("unlock", object))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
        .map_err(cannot("open the end of", object))?;
    Ok((master, slave))
}

/// The same, of this size, for a person who types so.
pub(super) fn open_for(
    tree: &OwnedFd,
    size: Size,
    typing: Typing,
) -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let (master, slave) = open(tree)?;
    let made = size::set(&master, size).and_then(|()| typing.prepare(&master));
    made.map_err(|error| LaunchError::Unusable(error.to_string()))?;
    Ok((master, slave))
}
