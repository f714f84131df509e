//! The control socket: where it is, who reaches it, and how it is called.

use super::protocol::{Answer, Call, Request, VERSION};
use crate::wire;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Mode};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calls that wait to be taken.
const BACKLOG: i32 = 256;

/// The control socket of a supervisor that keeps what is its own in `run`.
#[must_use]
pub fn path(run: &Path) -> PathBuf {
    run.join("control")
}

/// Makes a socket at `path` that waits for nobody; only root reaches it, and the members of `group`. A socket that is there
/// already is replaced: the caller knows that nobody listens on it.
///
/// # Errors
/// The kernel's answer.
pub fn open(path: &Path, group: Option<u32>) -> Result<OwnedFd, Errno> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody reaches it between the two: it does not listen yet.
    admit(path, group)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Lets the members of `group` reach the socket at `path`, besides root, and nobody else.
///
/// # Errors
/// The kernel's answer; root alone reaches it then.
pub fn admit(path: &Path, group: Option<u32>) -> Result<(), Errno> {
    rustix::fs::chmod(path, Mode::from_raw_mode(0o600))?;
    rustix::fs::chown(path, None, Some(Gid::from_raw(group.unwrap_or(0))))?;
    if group.is_some() {
        rustix::fs::chmod(path, Mode::from_raw_mode(0o660))?;
    }
    Ok(())
}

/// Why a supervisor was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no supervisor runs ({} is not answered)", .0.display())]
    Nobody(PathBuf),
    /// It may not be reached.
    #[error("cannot reach the supervisor at {}: {}", .0.display(), Errno::ACCESS)]
    Denied(PathBuf),
    /// Something else.
    #[error("cannot {verb} the supervisor: {errno}")]
    Call {
        /// What was tried.
        verb: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// It went away before it answered.
    #[error("the supervisor ended before it answered")]
    Gone,
    /// It did not do what it was asked.
    #[error("{cause}")]
    Failed {
        /// Why.
        cause: String,
        /// What to do about it.
        hint: String,
        /// The exit status that tells of it.
        status: u8,
    },
    /// It answered something else.
    #[error("the supervisor's answer is not understood")]
    Other,
}

impl ClientError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Nobody(_) => {
                "start one: systemctl start cellblock, or sudo cellblock supervise".to_owned()
            }
            Self::Denied(_) => {
                "run it with sudo, or have an admin give you a role (docs/supervisor.md)".to_owned()
            }
            Self::Call { errno: Errno::MSGSIZE, .. } => "ask for less at once".to_owned(),
            Self::Gone => "agents go on; ask again when the next one runs".to_owned(),
            Self::Failed { hint, .. } => hint.clone(),
            Self::Other => "use the same release of cellblock for both".to_owned(),
            Self::Call { .. } => String::new(),
        }
    }

    /// The exit status that tells of it.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Failed { status, .. } => *status,
            Self::Nobody(_) | Self::Denied(_) | Self::Call { .. } | Self::Gone | Self::Other => 125,
        }
    }
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

impl Client {
    /// Reaches the supervisor at `path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::connect_for(path, None)
    }

    /// The same, to one that is waited for no longer than `patience`, then and at each word.
    ///
    /// # Errors
    /// [`ClientError`]; with `ETIMEDOUT` where that was too short.
    pub fn connect_for(path: &Path, patience: Option<Duration>) -> Result<Self, ClientError> {
        let failed = |errno| ClientError::Call { verb: "reach", errno };
        let kind = SocketType::SEQPACKET;
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(failed)?;
        if patience.is_some() {
            for way in [Timeout::Send, Timeout::Recv] {
                sockopt::set_socket_timeout(&socket, way, patience).map_err(failed)?;
            }
        }
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        match connect(&socket, &address) {
            Ok(()) => Ok(Self { socket }),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Err(ClientError::Nobody(path.to_owned())),
            Err(Errno::ACCESS | Errno::PERM) => Err(ClientError::Denied(path.to_owned())),
            Err(errno) => Err(failed(late(errno))),
        }
    }

    /// Asks, and waits for the answer and what comes along.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Failed`] where it was not done.
    pub fn call(
        &self,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>), ClientError> {
        self.ask(request, descriptors)?;
        self.hear()
    }

    /// Asks; [`Client::hear`] gives the answer, without waiting once this is readable.
    ///
    /// # Errors
    /// [`ClientError::Call`].
    pub fn ask(&self, request: Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        let call = Call { version: VERSION, request };
        match wire::hand(&self.socket, &call, descriptors) {
            // It may have said why before it hung up.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(ClientError::Call { verb: "ask", errno: late(errno) }),
        }
    }

    /// The answer to what was asked, and what comes along.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn hear(&self) -> Result<(Answer, Vec<OwnedFd>), ClientError> {
        match wire::receive_sealed::<Answer>(&self.socket) {
            Ok(Some((Answer::Failed { cause, hint, status }, _))) => {
                Err(ClientError::Failed { cause, hint, status })
            }
            Ok(Some(answered)) => Ok(answered),
            Ok(None) | Err(Errno::CONNRESET) => Err(ClientError::Gone),
            Err(Errno::PROTO) => Err(ClientError::Other),
            Err(errno) => Err(ClientError::Call { verb: "hear", errno: late(errno) }),
        }
    }
}

/// What a wait that took too long is called: the kernel says that it would have to wait (socket(7), `SO_RCVTIMEO`).
fn late(errno: Errno) -> Errno {
    if errno == Errno::AGAIN { Errno::TIMEDOUT } else { errno }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
