//! A socket that leads to another process of cellblock, as something to wait for.

use crate::wire;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The socket, and what waits for it.
pub(super) struct Line {
    socket: Rc<OwnedFd>,
    // Its messages are datagrams that come in order, whatever the type of the socket is called.
    events: UnixDatagram,
}

fn is_gone(error: &std::io::Error) -> bool {
    let gone = [Errno::PIPE, Errno::CONNRESET, Errno::NOTCONN];
    Errno::from_io_error(error).is_some_and(|errno| gone.contains(&errno))
}

impl Line {
    pub(super) fn new(socket: Rc<OwnedFd>) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("cannot wait for another process: {error}");
        let events = socket.try_clone().map_err(wrong)?;
        rustix::io::ioctl_fionbio(&events, true).map_err(|errno| wrong(errno.into()))?;
        let events = UnixDatagram::from_std(events.into()).map_err(wrong)?;
        Ok(Self { socket, events })
    }

    /// The next message that is a sealed file, and what comes along; nothing where the other side is gone.
    pub(super) async fn obey<T: for<'de> Deserialize<'de>>(
        &self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, String> {
        let heard = || Ok(wire::receive_sealed::<T>(&self.events)?);
        match self.events.async_io(Interest::READABLE, heard).await {
            Ok(heard) => Ok(heard),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(format!("cannot understand the other side: {error}")),
        }
    }

    /// The next message; nothing where the other side is gone.
    pub(super) async fn hear<T: for<'de> Deserialize<'de>>(&self) -> Result<Option<T>, String> {
        let heard = || Ok(wire::hear_now::<T>(&self.events)?);
        match self.events.async_io(Interest::READABLE, heard).await {
            Ok(heard) => Ok(heard),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(format!("cannot understand the other side: {error}")),
        }
    }

    /// Says something, as soon as there is room; whether the other side is still there.
    pub(super) async fn say<T: Serialize>(&self, message: &T) -> Result<bool, String> {
        let said = || Ok(wire::say_now(&*self.socket, message)?);
        match self.events.async_io(Interest::WRITABLE, said).await {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(format!("cannot tell the other side: {error}")),
        }
    }
}
