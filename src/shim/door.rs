//! The agent's own socket: what it asks for is passed on to the owner, and the answer back.
//!
//! Everything that comes is the agent's: it is bounded in its length and its number, and takes nothing from who looks at the session. Who sends descriptors
//! keeps their place to the end of the jail, as nobody closes what they have sent ([`crate::wire::Link`]).

use crate::control::agent::{Answer, Call, Request, VERSION};
use crate::wire::{self, Link};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, sockopt};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Connections at a time; each may stay for as long as its process lives.
const MOST: usize = 16;
/// How often somebody may come or ask: so often at once, and once in this time in the long run. Each call is work for the owner,
/// who has other agents.
const AT_ONCE: u32 = 64;
const EACH: Duration = Duration::from_millis(30);

/// The door, and those who came.
#[derive(Debug, Default)]
pub(super) struct Door {
    listener: Option<OwnedFd>,
    askers: BTreeMap<u32, Asker>,
    last: u32,
    pace: Pace,
}

/// How much is left of what may come at once (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Default)]
struct Pace {
    /// When all is left again.
    full: Option<Instant>,
}

impl Pace {
    /// How long nobody is heard.
    fn wait(&self, now: Instant) -> Duration {
        let used = self.full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        used.saturating_sub(EACH * (AT_ONCE - 1))
    }

    fn take(&mut self, now: Instant) {
        self.full = Some(self.full.map_or(now, |full| full.max(now)) + EACH);
    }
}

#[derive(Debug)]
struct Asker {
    link: Link,
    pid: i32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// May ask.
    Heard,
    /// Awaits an answer: until then nothing more is heard.
    Waits,
    /// Has sent descriptors, and is heard no more.
    Spoilt,
}

/// What an agent's process asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// By what number it is answered.
    pub(super) ask: u32,
    /// Its process, by its number outside.
    pub(super) pid: i32,
    /// What.
    pub(super) request: Request,
}

impl Door {
    pub(super) fn new(listener: Option<OwnedFd>) -> Self {
        Self { listener, ..Self::default() }
    }

    /// How long nobody is heard here, if so.
    pub(super) fn patience(&self) -> Option<Duration> {
        Some(self.pace.wait(Instant::now())).filter(|wait| !wait.is_zero())
    }

    /// The listener, and those who may say something, by their number.
    pub(super) fn interests(&self) -> (Option<BorrowedFd<'_>>, Vec<(u32, BorrowedFd<'_>)>) {
        if self.patience().is_some() {
            return (None, Vec::new());
        }
        let room = self.askers.len() < MOST;
        let listener = self.listener.as_ref().filter(|_| room).map(|fd| fd.as_fd());
        let ready = self.askers.iter().filter(|(_, asker)| asker.state == State::Heard);
        (listener, ready.map(|(number, asker)| (*number, asker.link.as_fd())).collect())
    }

    /// Somebody comes.
    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        self.pace.take(Instant::now());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = accept_with(listener, flags) else { return };
        let pid =
            sockopt::socket_peercred(&socket).map_or(0, |peer| peer.pid.as_raw_nonzero().get());
        self.last = self.last.wrapping_add(1);
        self.askers.insert(self.last, Asker { link: socket.into(), pid, state: State::Heard });
    }

    /// Hears one; what it asks for, where that is to be passed on.
    pub(super) fn hear(&mut self, ask: u32) -> Option<Asked> {
        let asker = self.askers.get_mut(&ask)?;
        self.pace.take(Instant::now());
        match wire::hear_now::<Call>(&asker.link) {
            Ok(Some(Call { version: VERSION, request })) if !request.is_bounded() => {
                self.answer(ask, &Answer::failed("the call is too long", ""), &[]);
                return None;
            }
            Ok(Some(Call { version: VERSION, request })) => {
                asker.state = State::Waits;
                return Some(Asked { ask, pid: asker.pid, request });
            }
            Ok(Some(_)) => {
                let cause = format!("this cellblock speaks version {VERSION} of its protocol");
                self.answer(ask, &Answer::failed(cause, "use the one in /run/cellblock/bin"), &[]);
            }
            Err(Errno::AGAIN) => return None,
            Ok(None) | Err(_) => {}
        }
        self.part_with(ask);
        None
    }

    /// One who is not heard any more.
    fn part_with(&mut self, ask: u32) {
        let Some(mut asker) = self.askers.remove(&ask) else { return };
        if wire::take_rest(&asker.link) == Ok(true) {
            return;
        }
        if let Err(errno) = rustix::net::shutdown(&asker.link, Shutdown::Both) {
            tracing::debug!(%errno, "the other side is gone already");
        }
        tracing::warn!(
            pid = asker.pid,
            "descriptors came by the agent's own socket: a place is lost"
        );
        asker.state = State::Spoilt;
        self.askers.insert(ask, asker);
    }

    /// Answers one, who may ask again.
    pub(super) fn answer(&mut self, ask: u32, answer: &Answer, along: &[BorrowedFd<'_>]) {
        let asker = self.askers.get_mut(&ask).filter(|asker| asker.state != State::Spoilt);
        let Some(asker) = asker else { return };
        asker.state = State::Heard;
        if wire::hand(&asker.link, answer, along).is_err() {
            self.part_with(ask);
        }
    }

    /// Nobody is there who could answer.
    pub(super) fn answer_all(&mut self, answer: &Answer) {
        let waiting = self.askers.iter().filter(|(_, asker)| asker.state == State::Waits);
        let waiting: Vec<u32> = waiting.map(|(ask, _)| *ask).collect();
        waiting.into_iter().for_each(|ask| self.answer(ask, answer, &[]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_heard_at_once_and_the_others_one_by_one() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for _ in 0..AT_ONCE {
            assert_eq!(pace.wait(start), Duration::ZERO);
            pace.take(start);
        }
        assert_eq!(pace.wait(start), EACH);
        assert_eq!(pace.wait(start + EACH), Duration::ZERO);
        pace.take(start + EACH);
        assert_eq!(pace.wait(start + EACH), EACH);
        // After a rest all is left, and no more than that.
        let later = start + Duration::from_secs(3600);
        for _ in 0..AT_ONCE {
            assert_eq!(pace.wait(later), Duration::ZERO);
            pace.take(later);
        }
        assert_eq!(pace.wait(later), EACH);
    }
}
