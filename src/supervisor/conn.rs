//! Those who call: one connection each, none of which is ever waited for.

use crate::control::protocol::{Answer, AnyCall, Call, Request, VERSION};
use crate::control::roles::Caller;
use crate::host::accounts;
use crate::wire;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Connections at a time, of all and of one who is not root.
pub(super) const MOST: usize = 256;
pub(super) const MOST_OF_ONE: usize = 32;
/// How long one may be open without a call.
const SILENCE: Duration = Duration::from_secs(30);

/// How long it is taken for known which groups somebody is in.
const KNOWN: Duration = Duration::from_secs(10);
/// Whose groups are known at a time.
const MOST_KNOWN: usize = 1000;

/// Which groups callers are in: to look that up may take as long as the host's directory of users does, and somebody may call
/// again and again.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<u32, (Instant, Vec<u32>)>);

impl Groups {
    fn of(&mut self, uid: u32) -> Vec<u32> {
        let now = Instant::now();
        self.0.retain(|_, (until, _)| *until > now);
        if let Some((_, groups)) = self.0.get(&uid) {
            return groups.clone();
        }
        let groups = accounts::groups_of(uid);
        if self.0.len() < MOST_KNOWN {
            self.0.insert(uid, (Instant::now() + KNOWN, groups.clone()));
        }
        groups
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    socket: OwnedFd,
    pub(super) caller: Caller,
    /// When it is closed, if nothing is said until then.
    pub(super) until: Instant,
    /// Whether an answer is owed.
    pub(super) waits: bool,
}

/// What came on a connection.
pub(super) enum Came {
    /// A call, with its descriptors.
    Call(Request, Vec<OwnedFd>),
    /// Something that is no call of this version: what is answered before it is closed.
    Refused(Answer),
    /// Nothing yet.
    Nothing,
    /// Its end.
    Gone,
}

impl Conn {
    /// Whoever comes, by the kernel's word.
    pub(super) fn accept(listener: &OwnedFd, known: &mut Groups) -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = accept_with(listener, flags).ok()?;
        // An answer is a file that counts for this process until it is read: few may wait.
        sockopt::set_socket_send_buffer_size(&socket, 1).ok()?;
        let peer = sockopt::socket_peercred(&socket).ok()?;
        let uid = peer.uid.as_raw();
        // Root needs no groups.
        let mut groups = if uid == 0 { Vec::new() } else { known.of(uid) };
        groups.push(peer.gid.as_raw());
        let caller = Caller { uid, groups };
        Some(Self { socket, caller, until: Instant::now() + SILENCE, waits: false })
    }

    /// What it says.
    pub(super) fn hear(&mut self) -> Came {
        self.until = Instant::now() + SILENCE;
        let (text, descriptors) = match wire::take::<serde_json::Value>(&self.socket) {
            Ok(Some(taken)) => taken,
            Err(Errno::AGAIN) => return Came::Nothing,
            Err(Errno::PROTO) => {
                let hint = "use the same release of cellblock for both";
                return Came::Refused(Answer::failed("the call is not understood", hint));
            }
            Ok(None) | Err(_) => return Came::Gone,
        };
        match serde_json::from_value::<AnyCall>(text.clone()) {
            Ok(AnyCall { version }) if version != VERSION => {
                let cause = format!(
                    "this supervisor speaks version {VERSION}, and the call is of version {version}"
                );
                let hint = "restart the supervisor after an upgrade: systemctl restart cellblock";
                return Came::Refused(Answer::failed(cause, hint));
            }
            Ok(_) | Err(_) => {}
        }
        match serde_json::from_value::<Call>(text) {
            Ok(call) => Came::Call(call.request, descriptors),
            Err(error) => {
                let cause = format!("the call is not understood: {error}");
                Came::Refused(Answer::failed(cause, ""))
            }
        }
    }

    /// Answers. Who takes nothing is not waited for: false then.
    pub(super) fn answer(&mut self, answer: &Answer, descriptors: &[OwnedFd]) -> bool {
        self.waits = false;
        self.until = Instant::now() + SILENCE;
        match wire::send_sealed(&self.socket, answer, descriptors) {
            Ok(()) => true,
            Err(errno) => {
                tracing::debug!(%errno, uid = self.caller.uid, "a caller is gone");
                false
            }
        }
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
