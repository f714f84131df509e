//! Those who call: one connection each, none of which is ever waited for.
//!
//! What callers send along is not received here: to close it could take for ever. A child takes it, where a call needs it
//! ([`super::errands`]), and a connection is not dropped before it is known that nothing of that kind is left on it
//! ([`Conn::leave`]).

use crate::control::protocol::{Answer, AnyCall, Call, Request, VERSION};
use crate::control::roles::Caller;
use crate::host::accounts;
use crate::wire;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use serde_json::Value;
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
    /// Forgets what is known: the lists of the host may say something else by now.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The user `uid`, of whom a process in the group `gid` asks. Root needs no groups.
    pub(super) fn caller(&mut self, uid: u32, gid: u32) -> Caller {
        let mut groups = if uid == 0 { Vec::new() } else { self.of(uid) };
        groups.push(gid);
        Caller { uid, groups }
    }

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
    /// Whose process has connected, and in which group it was.
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// When it is closed, if nothing is said until then.
    pub(super) until: Instant,
    /// Whether an answer is owed.
    pub(super) waits: bool,
    /// Whether a child works with it.
    pub(super) is_lent: bool,
}

/// What came on a connection.
pub(super) enum Came {
    /// A call.
    Call(Request),
    /// A call with which descriptors may come: it is unread, for [`Conn::take_along`].
    Along(Request),
    /// Something that is no call of this version: what is answered before it is closed.
    Refused(Answer),
    /// Nothing yet.
    Nothing,
    /// Its end.
    Gone,
}

impl Conn {
    /// Whoever comes, by the kernel's word.
    pub(super) fn accept(listener: &OwnedFd) -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = accept_with(listener, flags).ok()?;
        // Nobody's, where the kernel does not say: who has no role.
        let nobody = (u32::MAX, u32::MAX);
        let peer = sockopt::socket_peercred(&socket);
        let (uid, gid) = peer.map_or(nobody, |peer| (peer.uid.as_raw(), peer.gid.as_raw()));
        // An answer is a file that counts for this process until it is read: few may wait.
        if let Err(errno) = sockopt::set_socket_send_buffer_size(&socket, 1) {
            tracing::debug!(%errno, "more answers to a caller may wait");
        }
        let until = Instant::now() + SILENCE;
        Some(Self { socket, uid, gid, until, waits: false, is_lent: false })
    }

    /// What it says.
    pub(super) fn hear(&mut self) -> Came {
        self.until = Instant::now() + SILENCE;
        let heard = wire::brings_descriptors(&self.socket)
            .and_then(|brings| Ok((brings, wire::look_at(&self.socket)?)));
        let (brings, text) = match heard {
            Ok((brings, Some(text))) => (brings, text),
            Err(Errno::AGAIN) => return Came::Nothing,
            Err(Errno::PROTO) => {
                let hint = "use the same release of cellblock for both";
                return Came::Refused(Answer::failed("the call is not understood", hint));
            }
            Ok((_, None)) | Err(_) => return Came::Gone,
        };
        match understand(text) {
            Err(answer) => Came::Refused(answer),
            Ok(request) if request.takes_descriptors() => Came::Along(request),
            Ok(_) if brings => {
                let cause = "descriptors come with a further command alone, and this is none";
                Came::Refused(Answer::failed(cause, "send none"))
            }
            Ok(request) => match wire::hear_now::<Value>(&self.socket) {
                Ok(_) => Came::Call(request),
                Err(_) => Came::Gone,
            },
        }
    }

    /// What comes along with the call that is unread.
    pub(super) fn take_along(&self) -> Result<Vec<OwnedFd>, Errno> {
        let taken = wire::take::<Value>(&self.socket)?;
        taken.map(|(_, descriptors)| descriptors).ok_or(Errno::PIPE)
    }

    /// The child that worked with it has done so.
    pub(super) fn take_back(&mut self) {
        (self.is_lent, self.waits) = (false, false);
        self.until = Instant::now() + SILENCE;
    }

    /// Takes the call that is unread and not done. False where something came along, which stays with it.
    pub(super) fn skip(&self) -> bool {
        wire::hear_now::<Value>(&self.socket).is_ok()
    }

    /// Ends it. What is left on it that this process must not close is given, with the connection.
    pub(super) fn leave(self) -> Option<OwnedFd> {
        // A child takes what is on it.
        if self.is_lent {
            return Some(self.socket);
        }
        let clean = wire::take_rest(&self.socket).is_ok_and(|clean| clean);
        (!clean).then_some(self.socket)
    }

    /// Says `answer`, with what comes along.
    pub(super) fn say(&self, answer: &Answer, descriptors: &[OwnedFd]) -> Result<(), Errno> {
        wire::send_sealed(&self.socket, answer, descriptors)
    }

    /// Answers. Who takes nothing is not waited for: false then.
    pub(super) fn answer(&mut self, answer: &Answer, descriptors: &[OwnedFd]) -> bool {
        self.waits = false;
        self.until = Instant::now() + SILENCE;
        match self.say(answer, descriptors) {
            Ok(()) => true,
            Err(errno) => {
                tracing::debug!(%errno, uid = self.uid, "a caller is gone");
                false
            }
        }
    }
}

/// The request of a call, or what is answered to one of another version and to what is none.
fn understand(text: Value) -> Result<Request, Answer> {
    match serde_json::from_value::<AnyCall>(text.clone()) {
        Ok(AnyCall { version }) if version != VERSION => {
            let cause = format!(
                "this supervisor speaks version {VERSION}, and the call is of version {version}"
            );
            let hint = "restart the supervisor after an upgrade: systemctl restart cellblock";
            return Err(Answer::failed(cause, hint));
        }
        Ok(_) | Err(_) => {}
    }
    match serde_json::from_value::<Call>(text) {
        Ok(call) => Ok(call.request),
        Err(error) => Err(Answer::failed(format!("the call is not understood: {error}"), "")),
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
