//! How a shim is reached whose owner this process is not, or not yet.

use super::agent::Phase;
use super::life::BORN;
use crate::shim::owner::Starting;
use crate::wire::Link;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a shim is tried to be reached, and how long it is waited between.
const REACHES: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(20);
/// How long a shim may take to end that was told so.
const LEAVES: Duration = Duration::from_secs(5);

/// The shim that listens at `path`. What only passes is tried again: a shim that is not reached is taken for one that has
/// ended.
pub(super) fn reach(path: &Path) -> Result<Link, Errno> {
    for _ in 0..REACHES {
        match reach_once(path) {
            Err(errno @ (Errno::NOENT | Errno::CONNREFUSED)) => return Err(errno),
            Err(_) => std::thread::sleep(BETWEEN),
            reached => return reached,
        }
    }
    reach_once(path)
}

fn reach_once(path: &Path) -> Result<Link, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let link = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&link, &SocketAddrUnix::new(path)?)?;
    // What it says first is waited for, once it has begun to say it.
    rustix::io::ioctl_fionbio(&link, false)?;
    Ok(link.into())
}

/// A shim that is taken over.
pub(super) fn adopted(name: &str, link: Link) -> Phase {
    let shim = Some(Starting::adopt(name, link));
    Phase::Starting { shim, until: Instant::now() + BORN }
}

/// Whether the shim that listens at `path` ends in time: until then its name is taken.
pub(super) fn has_left(path: &Path) -> bool {
    let Ok(link) = reach(path) else { return true };
    let begun = Instant::now();
    // Who lives answers; what is said to nobody any more is hung up on.
    while let Some(left) = LEAVES.checked_sub(begun.elapsed()) {
        let mut waited = [PollFd::new(&link, PollFlags::HUP)];
        let patience = Timespec::try_from(left).ok();
        match poll(&mut waited, patience.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
    false
}
