//! What referee and prober say to each other, one message a datagram on the prober's standard input.
//!
//! The prober is in the jail: nothing it says decides whether it got out.

use super::probe::Attempted;
use super::scene::Scene;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, mknodat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair, sockopt,
};
use serde::{Deserialize, Serialize};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// The longest message, in bytes.
const LONGEST: usize = 64 << 10;
/// The most of what an attack got hold of that is brought out, in bytes.
pub(super) const MOST_LOOT: usize = 8 << 10;

/// What the referee tells the prober.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// This is the world; show that you live.
    Scene(Box<Scene>),
    /// Attack.
    Attack,
    /// Say that you are still there.
    Call,
    /// The referee has looked: end.
    End,
}

/// What the prober tells the referee.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Word {
    /// It lives: its pid as it sees it; the challenge that came back through a file and a program of the
    /// jail, or what failed.
    Alive(i32, Result<String, String>),
    /// It is still there.
    Here,
    /// What the attack ended with.
    Told(Attempted),
}

/// One end of the way between referee and prober.
#[derive(Debug)]
pub enum Link {
    /// A socket, one message a datagram; tells the pid of who speaks.
    Socket(OwnedFd),
    /// Two named pipes in the workspace, one message a line: where the prober's standard descriptors are
    /// a terminal.
    Pipes {
        /// What is heard.
        heard: OwnedFd,
        /// What is said.
        said: OwnedFd,
    },
}

/// The names of the pipes: what the referee asks, what the prober tells.
const PIPES: [&str; 2] = [".cellblock-asks", ".cellblock-tells"];

/// Both ends of a socket; the first one learns the pid of who speaks.
///
/// # Errors
/// The kernel's answer.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (outer, inner) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_passcred(&outer, true)?;
    Ok((outer, inner))
}

/// Makes the pipes in `directory` and gives the referee's end; they belong to the directory's owner.
///
/// # Errors
/// The kernel's answer.
pub fn make_pipes(directory: &Path) -> Result<Link, Errno> {
    let owner = rustix::fs::stat(directory)?;
    for name in PIPES {
        let path = directory.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        rustix::fs::chown(&path, Some(uid), Some(gid))?;
    }
    // Both for both: neither side waits for the other to open, or sees an end when it goes.
    let [said, heard] = open_pipes(directory)?;
    Ok(Link::Pipes { heard, said })
}

/// The prober's end of the pipes in `directory`.
///
/// # Errors
/// The kernel's answer.
pub fn find_pipes(directory: &Path) -> Result<Link, Errno> {
    let [heard, said] = open_pipes(directory)?;
    Ok(Link::Pipes { heard, said })
}

fn open_pipes(directory: &Path) -> Result<[OwnedFd; 2], Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let open = |name: &str| rustix::fs::open(directory.join(name), flags, Mode::empty());
    Ok([open(PIPES[0])?, open(PIPES[1])?])
}

impl Link {
    /// What is readable when a message comes.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(socket) => socket.as_fd(),
            Self::Pipes { heard, .. } => heard.as_fd(),
        }
    }

    /// Sends `message`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn say<T: Serialize>(&self, message: &T) -> Result<(), Errno> {
        let mut bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
        match self {
            Self::Socket(socket) => send(socket, &bytes, SendFlags::NOSIGNAL).map(|_| ()),
            Self::Pipes { said, .. } => {
                bytes.push(b'\n');
                rustix::io::write(said, &bytes).map(|_| ())
            }
        }
    }

    /// Receives one message, with the pid of its sender where that is known; `None` where the other side
    /// is gone.
    ///
    /// # Errors
    /// The kernel's answer; `EPROTO` for what is no message.
    pub fn hear<T: for<'de> Deserialize<'de>>(&self) -> Result<Option<(T, Option<i32>)>, Errno> {
        let (bytes, sender) = match self {
            Self::Socket(socket) => datagram(socket)?,
            Self::Pipes { heard, .. } => (line(heard)?, None),
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let message = serde_json::from_slice(&bytes).map_err(|_| Errno::PROTO)?;
        Ok(Some((message, sender)))
    }
}

fn datagram(socket: &OwnedFd) -> Result<(Vec<u8>, Option<i32>), Errno> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(who) => Some(who.pid.as_raw_nonzero().get()),
        RecvAncillaryMessage::ScmRights(_) | _ => None,
    });
    bytes.truncate(received.bytes);
    Ok((bytes, sender))
}

/// One line, read byte by byte: the next one is another message's.
fn line(pipe: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while bytes.len() < LONGEST {
        match rustix::io::read(pipe, &mut byte) {
            Ok(1) if byte[0] == b'\n' => return Ok(bytes),
            Ok(1) => bytes.push(byte[0]),
            Ok(_) => return Ok(Vec::new()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::PROTO)
}

/// Whether something comes on `socket` within `patience`.
///
/// # Errors
/// The kernel's answer.
pub fn comes(socket: impl AsFd, patience: Duration) -> Result<bool, Errno> {
    let mut waited = [PollFd::new(&socket, PollFlags::IN)];
    let timeout = Timespec::try_from(patience).map_err(|_| Errno::INVAL)?;
    match poll(&mut waited, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a message is there on `socket`. Where the other side is gone none will come, and how it ended
/// is for others to find out.
///
/// # Errors
/// The kernel's answer.
pub fn speaks(socket: impl AsFd) -> Result<bool, Errno> {
    let mut waited = [PollFd::new(&socket, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut waited, Some(&now)) {
        Ok(_) => {
            let seen = waited[0].revents();
            Ok(seen.contains(PollFlags::IN) && !seen.contains(PollFlags::HUP))
        }
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_is_known() {
        let (outer, inner) = pair().unwrap();
        let (outer, inner) = (Link::Socket(outer), Link::Socket(inner));
        inner.say(&Word::Told(Ok(b"loot".to_vec()))).unwrap();
        let (word, sender) = outer.hear::<Word>().unwrap().unwrap();
        assert!(matches!(word, Word::Told(Ok(loot)) if loot == b"loot"));
        assert_eq!(sender, Some(std::process::id().cast_signed()));
        drop(inner);
        assert!(outer.hear::<Word>().unwrap().is_none());
    }

    #[test]
    fn pipes_carry_one_message_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let outer = make_pipes(folder.path()).unwrap();
        let inner = find_pipes(folder.path()).unwrap();
        outer.say(&Order::Attack).unwrap();
        outer.say(&Order::End).unwrap();
        assert!(matches!(inner.hear::<Order>().unwrap(), Some((Order::Attack, None))));
        assert!(matches!(inner.hear::<Order>().unwrap(), Some((Order::End, None))));
        assert!(!comes(outer.as_fd(), Duration::ZERO).unwrap());
    }
}
