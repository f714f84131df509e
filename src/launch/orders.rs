//! The socket by which root reaches the gate of a session.
//!
//! The gate holds it from its birth on, and takes none but root there. A session's shim holds the gate, and has no rights: so
//! it has no part in what the gate is told, and in what the gate tells.

use super::RUN;
use super::error::{LaunchError, cannot};
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::path::{Path, PathBuf};

/// Keepers that wait to be taken: there is one at a time.
const BACKLOG: i32 = 4;

/// The folder of the sockets of gates, which only root can look into; made where it is missing.
///
/// # Errors
/// The kernel's answer.
pub fn gates() -> Result<PathBuf, Errno> {
    let folder = Path::new(RUN).join("gates");
    match rustix::fs::mkdir(&folder, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(folder),
        Err(errno) => Err(errno),
    }
}

/// Where the gate of the jail called `jail` takes orders.
pub(super) fn path(jail: &str) -> PathBuf {
    Path::new(RUN).join("gates").join(format!("{jail}.orders"))
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// A socket for the gate of `jail`, on which nobody waits and which only root reaches. One that is there already is replaced:
/// the record says that no other jail has that name.
pub(super) fn open(jail: &str) -> Result<OwnedFd, LaunchError> {
    let path = path(jail);
    let open = || -> Result<OwnedFd, Errno> {
        gates()?;
        match rustix::fs::unlink(&path) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let socket = socket()?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        // Nobody reaches it between the two: it does not listen yet.
        rustix::fs::chmod(&path, Mode::from_raw_mode(0o600))?;
        listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    open().map_err(cannot("take orders at", &path.display().to_string()))
}

/// A line to the gate of `jail`.
///
/// # Errors
/// [`LaunchError::Call`]; `ECONNREFUSED` where it has ended.
pub(super) fn reach(jail: &str) -> Result<OwnedFd, LaunchError> {
    let path = path(jail);
    let reach = || -> Result<OwnedFd, Errno> {
        let socket = socket()?;
        connect(&socket, &SocketAddrUnix::new(&path)?)?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(socket)
    };
    reach().map_err(cannot("reach", &format!("the gate of {jail}")))
}

/// Removes such a socket.
pub(super) fn remove(path: &Path) -> Result<(), LaunchError> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(cannot("remove", &path.display().to_string())(errno)),
    }
}
