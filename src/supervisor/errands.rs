//! What may take long for a caller is done by a child, which has the caller's connection until it is done: to take what they
//! hand over and to close it, and to read a long journal.
//!
//! The child says in a word how that went, lets go of all that is this process's, and only then of what the caller has handed
//! over. What holds it up there counts against them, as with [`super::partings`].

use super::people::Coming;
use super::{Supervisor, apart};
use crate::control::protocol::Answer;
use crate::sys::{self, Cloned};
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// The longest cause and hint, in characters: what a child says is one write to a pipe (pipe(7), `PIPE_BUF`).
const LONGEST: usize = 400;
const SAID: usize = 4096;

/// Why a child did not do what it was for, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) cause: String,
    pub(super) hint: String,
}

impl Refusal {
    pub(super) fn new(cause: &str, hint: &str) -> Self {
        let cut = |text: &str| text.chars().take(LONGEST).collect();
        Self { cause: cut(cause), hint: cut(hint) }
    }
}

/// What a child is for.
#[derive(Debug)]
pub(super) enum For {
    /// It answers itself.
    Answer,
    /// A further command, whose caller is let in when the shim was told of it.
    Exec(Coming),
}

/// A child at work.
#[derive(Debug)]
pub(super) struct Errand {
    /// By what it says how that went.
    told: OwnedFd,
    child: Pid,
    is_for: For,
}

impl Errand {
    /// Gives it up; what is left of it is not for this process to close, but the user's who is given with it.
    pub(super) fn give_up(self) -> Option<(u32, [OwnedFd; 2])> {
        match self.is_for {
            For::Exec(coming) => Some(coming.into_line()),
            For::Answer => None,
        }
    }
}

impl AsFd for Errand {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}

/// A child that has the connection `lent` and what is `needed`, does `work`, and says what came of it: why nothing did, and what
/// the caller had handed over.
pub(super) fn start(
    lent: BorrowedFd<'_>,
    needed: &[BorrowedFd<'_>],
    work: impl FnOnce() -> (Result<(), Refusal>, Vec<OwnedFd>),
) -> Result<(Cloned, OwnedFd), Errno> {
    let (told, says) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let own = [lent, says.as_fd()];
    let kept: Vec<i32> = own.iter().chain(needed).map(|fd| fd.as_raw_fd()).collect();
    let child = apart::start(&kept, || {
        let (done, handed) = work();
        let said = serde_json::to_vec(&done).map_err(|_| Errno::INVAL);
        let said = said.and_then(|text| rustix::io::write(&says, &text));
        // First what is not the caller's: a line to a shim would stay open with it. The rest with its end, which does not linger.
        let theirs = handed.iter().map(|fd| fd.as_raw_fd()).chain([lent.as_raw_fd()]);
        let closed = sys::close_all_but(&theirs.collect::<Vec<_>>());
        std::mem::forget(handed);
        i32::from(said.is_err() || closed.is_err())
    })?;
    Ok((child, told))
}

/// What a child has said; nothing where it has ended without a word.
fn said(told: &OwnedFd) -> Option<Result<(), Refusal>> {
    let mut text = vec![0; SAID];
    let count = rustix::io::read(told, &mut text).ok()?;
    serde_json::from_slice(&text[..count]).ok()
}

impl Supervisor {
    /// The child that [`start`] gave works for the caller on the connection `number`, who is the user `uid`.
    pub(super) fn await_errand(
        &mut self,
        (number, uid): (u64, u32),
        (child, told): (Cloned, OwnedFd),
        is_for: For,
    ) {
        let pid = child.pid;
        self.partings.add_child(uid, child);
        self.conns.get_mut(&number).into_iter().for_each(|conn| conn.is_lent = true);
        self.errands.insert(number, Errand { told, child: pid, is_for });
    }

    /// The child that works for the connection `number` has said how that went, or has ended.
    pub(super) fn hear_errand(&mut self, number: u64) {
        let Some(errand) = self.errands.remove(&number) else { return };
        let ended = || Err(Refusal::new("the process that was to do it was ended", "try it again"));
        let done = said(&errand.told).unwrap_or_else(ended);
        self.partings.has_worked(errand.child);
        self.end_errand(number, errand.is_for, done);
    }

    /// Whether somebody leaves by the view `view` of `agent` of whom a child has told the shim and not said so yet.
    pub(super) fn leaves_early(&mut self, agent: &str, view: u32) -> bool {
        let coming = self.errands.values_mut().find_map(|errand| match &mut errand.is_for {
            For::Exec(coming) if coming.is(agent, view) => Some(coming),
            For::Exec(_) | For::Answer => None,
        });
        coming.map(|coming| coming.has_left = true).is_some()
    }

    fn end_errand(&mut self, number: u64, is_for: For, done: Result<(), Refusal>) {
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.take_back();
        }
        match (is_for, done) {
            (For::Answer, Ok(())) => {}
            // Who took no answer is gone. Who waits for one from a child that was ended is told; it may have come to an answer,
            // too, so nothing more is said on that connection.
            (For::Answer, Err(refusal)) => {
                self.answer(number, &Answer::failed(refusal.cause, refusal.hint), &[]);
                self.forget_conn(number);
            }
            (For::Exec(coming), Ok(())) => {
                let uid = coming.uid;
                let (answer, line) = self.let_in(coming);
                self.answer(number, &answer, &line);
                self.partings.add(uid, line);
            }
            (For::Exec(coming), Err(refusal)) => {
                self.turn_back(coming);
                self.answer(number, &Answer::failed(refusal.cause, refusal.hint), &[]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};

    fn ended((child, told): (Cloned, OwnedFd)) -> (Option<Result<(), Refusal>>, Option<i32>) {
        let (_, status) = waitpid(Some(child.pid), WaitOptions::empty()).unwrap().unwrap();
        (said(&told), status.exit_status())
    }

    #[test]
    fn a_child_says_how_it_went() {
        let (lent, _far) = crate::wire::pair().unwrap();
        let done = start(lent.as_fd(), &[], || (Ok(()), Vec::new())).unwrap();
        assert_eq!(ended(done), (Some(Ok(())), Some(0)));
        let refusal = Refusal::new(&"\u{1f600}".repeat(1000), &"\u{1}".repeat(1000));
        let refused = start(lent.as_fd(), &[], || (Err(refusal.clone()), Vec::new())).unwrap();
        assert_eq!(ended(refused), (Some(Err(refusal)), Some(0)));
        // Killed, it says nothing.
        let pid = rustix::process::getpid;
        let killed = start(lent.as_fd(), &[], || {
            let killed = rustix::process::kill_process(pid(), rustix::process::Signal::KILL);
            (killed.map_err(|_| Refusal::default()), Vec::new())
        });
        assert_eq!(ended(killed.unwrap()), (None, None));
    }

    #[test]
    fn nothing_stays_open_with_a_child_that_has_done_its_work() {
        let (kept_end, kept) = rustix::pipe::pipe().unwrap();
        let (handed_end, handed) = rustix::pipe::pipe().unwrap();
        let (other_end, other) = rustix::pipe::pipe().unwrap();
        let (lent, far) = crate::wire::pair().unwrap();
        let needed = [&kept, &handed].map(|fd| fd.as_fd());
        let work = || (Ok(()), vec![handed.try_clone().unwrap()]);
        let at_work = start(lent.as_fd(), &needed, work).unwrap();
        drop((kept, handed, other, lent));
        for end in [kept_end, handed_end, other_end] {
            assert_eq!(rustix::io::read(&end, &mut [0; 1]), Ok(0));
        }
        assert_eq!(crate::wire::hear::<u32>(&far), Ok(None));
        assert_eq!(ended(at_work), (Some(Ok(())), Some(0)));
    }
}
