//! All that the launcher and init may say to each other, one message a datagram.
//!
//! What init says comes from behind the walls: the launcher bounds it, checks its form, and treats
//! every string in it as the agent's own words.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use serde::{Deserialize, Serialize};

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 96 << 10;
/// The most text of a screen that is sent, in bytes; JSON may double it.
pub const MAX_SCREEN: usize = 40 << 10;

/// What the launcher tells init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The walls were read back: start the command.
    Start,
    /// Pass a signal on to the command.
    Signal(i32),
    /// The session was seen and belongs to the agent: look after it.
    Watch,
    /// Attach a tmux client again, or let the one that is attached draw everything again.
    Attach,
}

/// What init tells the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The command or tmux could not be started, or a wall does not stand.
    Failed {
        /// What happened.
        cause: String,
        /// The exit status that says so: 125, 126 or 127.
        status: u8,
    },
    /// The tmux client ended, and the agent goes on.
    Detached,
    /// The agent's command ended.
    Ended {
        /// Its exit status, if it exited.
        status: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// The last screen, as text.
        screen: String,
    },
    /// The tmux server ended without telling how the command did.
    ServerGone {
        /// The exit status of the client.
        client: i32,
    },
}

/// Both ends of the control socket.
///
/// # Errors
/// The kernel's answer.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends one message.
///
/// # Errors
/// The kernel's answer; `EPIPE` where the other side is gone.
pub fn tell<T: Serialize>(socket: impl AsFd, message: &T) -> Result<(), Errno> {
    tell_with(socket, message, SendFlags::NOSIGNAL)
}

/// Sends one message to who may not be reading.
///
/// # Errors
/// As [`tell`]; `EAGAIN` where the other side has too much unread.
pub fn tell_now<T: Serialize>(socket: impl AsFd, message: &T) -> Result<(), Errno> {
    tell_with(socket, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn tell_with<T: Serialize>(socket: impl AsFd, message: &T, flags: SendFlags) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    send(socket, &bytes, flags).map(|_| ())
}

/// Receives one message; `None` where the other side is gone.
///
/// # Errors
/// The kernel's answer, or `EPROTO` for what is no message.
pub fn hear<T: for<'de> Deserialize<'de>>(socket: impl AsFd) -> Result<Option<T>, Errno> {
    // The length first: most messages are a few bytes long.
    let (_, length) = recv(&socket, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::TRUNC)?;
    let mut buffer = vec![0; length.min(MAX_MESSAGE)];
    let (count, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    if count == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&buffer[..count]).map(Some).map_err(|_| Errno::PROTO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_and_hears() {
        let (outside, inside) = pair().unwrap();
        tell(&outside, &Order::Signal(15)).unwrap();
        assert_eq!(hear::<Order>(&inside).unwrap(), Some(Order::Signal(15)));
        let screen = "\u{1}".repeat(100);
        let report = Report::Ended { status: Some(3), signal: None, screen };
        tell(&inside, &report).unwrap();
        assert_eq!(hear::<Report>(&outside).unwrap(), Some(report));
        drop(inside);
        assert_eq!(hear::<Report>(&outside).unwrap(), None);
        assert_eq!(tell(&outside, &Order::Start), Err(Errno::PIPE));
    }

    #[test]
    fn what_is_no_message_or_too_long_is_refused() {
        let (outside, inside) = pair().unwrap();
        send(&inside, b"{\"Ended\":7}", SendFlags::empty()).unwrap();
        assert_eq!(hear::<Report>(&outside), Err(Errno::PROTO));
        let long = format!("\"{}\"", "x".repeat(MAX_MESSAGE));
        send(&inside, long.as_bytes(), SendFlags::empty()).unwrap();
        assert_eq!(hear::<String>(&outside), Err(Errno::PROTO));
    }
}
