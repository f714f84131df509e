//! Descriptors that never block.
//!
//! Decides: how a descriptor becomes non-blocking without touching somebody else's.
//! Must never: set `O_NONBLOCK` on a description the person's shell shares with us. The flag belongs
//! to the open file description, not to the descriptor (`fcntl(2)`): their shell would inherit it.

use super::TerminalError;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Makes `fd` non-blocking. For descriptions that are ours alone: pty masters, sockets.
///
/// # Errors
/// [`TerminalError::Nonblocking`].
pub fn set_nonblocking(fd: impl AsFd) -> Result<(), TerminalError> {
    rustix::io::ioctl_fionbio(fd, true).map_err(TerminalError::Nonblocking)
}

/// The same terminal, opened once more for writing, non-blocking: a description of our own.
///
/// A blocking `write(2)` to a terminal returns only when the terminal took all of it; `POLLOUT` says
/// no more than that one byte fits. With this descriptor a slow terminal makes a short write.
///
/// # Errors
/// [`TerminalError::Reopen`]; `EACCES` where the terminal belongs to another user (after `su`). The
/// caller may then go on with the descriptor it has, and says so.
pub fn reopen_for_writing(fd: impl AsFd) -> Result<OwnedFd, TerminalError> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(TerminalError::Reopen)
}

/// Writes what `output` takes of `backlog` now; false where the terminal is gone.
///
/// # Errors
/// [`TerminalError::WriteTerminal`].
pub fn send(output: impl AsFd, backlog: &mut Vec<u8>) -> Result<bool, TerminalError> {
    match rustix::io::write(output, backlog) {
        Ok(count) => drop(backlog.drain(..count)),
        Err(Errno::AGAIN | Errno::INTR) => {}
        Err(Errno::IO | Errno::PIPE) => return Ok(false),
        Err(errno) => return Err(TerminalError::WriteTerminal(errno)),
    }
    Ok(true)
}

/// The same terminal where it can be opened once more, else a copy of `fd`: whoever writes to it then waits for a slow terminal.
///
/// # Errors
/// [`TerminalError::Reopen`] where no descriptor is left.
pub fn for_writing(fd: impl AsFd) -> Result<OwnedFd, TerminalError> {
    reopen_for_writing(&fd).or_else(|error| {
        tracing::debug!(%error, "a slow terminal may hold keys up");
        rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(TerminalError::Reopen)
    })
}
