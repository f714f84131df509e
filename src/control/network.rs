//! Requests about a running jail's network: one message each way on a socket that only root can reach.

use crate::egress::rules::{Change, Rules};
use crate::gate::protocol::Counts;
use crate::launch::{LaunchError, RUN, gates};
use crate::wire::{receive_sealed, send_sealed};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take: a gate may have to be told of many rules.
const LONG: Duration = Duration::from_secs(20);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Which rules hold, and what was counted.
    Show,
    /// Change the rules.
    Change(Change),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Show`].
    Shown(Box<Shown>),
    /// To [`Request::Change`]: the rules hold.
    Done,
    /// It could not be done; the text says why.
    Failed(String),
}

/// The network of a jail now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The rules that hold.
    pub rules: Rules,
    /// What was counted.
    pub counts: Counts,
}

fn folder() -> PathBuf {
    Path::new(RUN).join("gates")
}

fn socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Where requests about one jail come in; gone when this is dropped.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    socket: OwnedFd,
}

impl Listener {
    /// For the jail called `jail`.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn new(jail: &str) -> Result<Self, LaunchError> {
        let path = folder().join(jail);
        let failed = |errno| LaunchError::Call {
            verb: "take requests at",
            object: path.display().to_string(),
            errno,
        };
        gates().map_err(failed)?;
        let socket = socket().map_err(failed)?;
        // One that a killed keeper left: the record says that there is no other keeper of this jail.
        match rustix::fs::unlink(&path) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let address = SocketAddrUnix::new(&path).map_err(failed)?;
        bind(&socket, &address).map_err(failed)?;
        rustix::fs::chmod(&path, Mode::from_raw_mode(0o600)).map_err(failed)?;
        listen(&socket, 16).map_err(failed)?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(failed)?;
        Ok(Self { path, socket })
    }

    /// Whoever asks, if somebody does. They are never waited for.
    #[must_use]
    pub fn accept(&self) -> Option<OwnedFd> {
        accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(errno) = rustix::fs::unlink(&self.path) {
            tracing::debug!(%errno, "the socket for requests was gone already");
        }
    }
}

/// Asks the keeper of the jail called `jail`.
///
/// # Errors
/// The kernel's answer; `ENOENT` or `ECONNREFUSED` where the jail has no gate, or has ended.
pub fn ask(jail: &str, request: &Request) -> Result<Answer, Errno> {
    let socket = socket()?;
    set_socket_timeout(&socket, Timeout::Recv, Some(LONG))?;
    connect(&socket, &SocketAddrUnix::new(folder().join(jail))?)?;
    say(&socket, request)?;
    hear(&socket)
}

/// Says `message`.
///
/// # Errors
/// The kernel's answer.
pub fn say<T: Serialize>(socket: impl AsFd, message: &T) -> Result<(), Errno> {
    send_sealed(socket, message, &[])
}

/// Hears a message.
///
/// # Errors
/// The kernel's answer; `ECONNRESET` where the other side is gone, `EPROTO` for what is no message, and `EAGAIN` where there is
/// none yet and the socket does not wait.
pub fn hear<T: for<'de> Deserialize<'de>>(socket: impl AsFd) -> Result<T, Errno> {
    receive_sealed(socket)?.map(|(message, _)| message).ok_or(Errno::CONNRESET)
}
