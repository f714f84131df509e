//! What callers have sent is closed by children: that may take as long as whoever made it wants, as with a socket that lingers
//! (socket(7), `SO_LINGER`), and the supervisor waits for nobody.
//!
//! The last one who closes a descriptor is the one that waits. So a child has a copy, and ends only when it was told that this
//! process has closed its own. A child that ends does not linger; what still holds it up counts against who sent it, as it does
//! with the children that take what is handed over ([`super::errands`]).

use super::apart;
use crate::sys::Cloned;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long somebody has to read what they were answered: a connection that ends with something unread on it takes that away.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Children of one user that give them time to read; what more of theirs is to be closed is closed at once.
const PATIENT: usize = 32;

/// What one user has left.
#[derive(Debug, Default)]
struct Left {
    descriptors: Vec<OwnedFd>,
    /// With something unread, and an answer that they may want to read.
    connections: Vec<OwnedFd>,
}

/// Descriptors to close, and children that close some, each of the user who sent them.
#[derive(Debug, Default)]
pub(super) struct Partings {
    waiting: BTreeMap<u32, Left>,
    children: Vec<(Cloned, u32)>,
    /// Those that take what is handed over, and those of them that only close it now, which may hold them up for ever.
    takers: Vec<(Cloned, u32)>,
    held: Vec<(Cloned, u32)>,
}

impl Partings {
    /// Has `descriptors`, which the user `uid` has sent, closed soon.
    pub(super) fn add(&mut self, uid: u32, descriptors: impl IntoIterator<Item = OwnedFd>) {
        let mut descriptors = descriptors.into_iter().peekable();
        if descriptors.peek().is_some() {
            self.waiting.entry(uid).or_default().descriptors.extend(descriptors);
        }
    }

    /// The same for a connection of theirs on which something is left unread.
    pub(super) fn add_connection(&mut self, uid: u32, connection: OwnedFd) {
        self.waiting.entry(uid).or_default().connections.push(connection);
    }

    /// A child that takes what the user `uid` hands over, and closes it with its end.
    pub(super) fn add_child(&mut self, uid: u32, child: Cloned) {
        self.takers.push((child, uid));
    }

    /// The child `pid` of those has done its work: what it does now counts against its user.
    pub(super) fn has_worked(&mut self, pid: Pid) {
        let (held, takers) =
            std::mem::take(&mut self.takers).into_iter().partition(|(child, _)| child.pid == pid);
        self.takers = takers;
        self.held.extend::<Vec<_>>(held);
    }

    /// How many children are held up by what `uid` has sent.
    pub(super) fn of(&self, uid: u32) -> usize {
        let all = self.children.iter().chain(&self.held);
        all.filter(|(_, whose)| *whose == uid).count()
    }

    /// How many there are that only close something.
    pub(super) fn count(&self) -> usize {
        self.children.len()
    }

    /// Whether something is to be closed that no child could be started for.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Starts a child for each user who has sent something. What cannot be given to one stays open until the next time.
    pub(super) fn settle(&mut self) {
        for (uid, left) in std::mem::take(&mut self.waiting) {
            let patience = if self.of(uid) < PATIENT { LAST_WORD } else { Duration::ZERO };
            match part(&left, patience) {
                Ok((child, word)) => {
                    drop(left);
                    if let Err(errno) = rustix::io::write(&word, b".") {
                        tracing::debug!(%errno, "a child has ended too early");
                    }
                    self.children.push((child, uid));
                }
                Err(errno) => {
                    tracing::warn!(%errno, uid, "what somebody has sent is closed later");
                    self.waiting.insert(uid, left);
                }
            }
        }
    }

    /// Whether the child `pid`, which has ended, was one of these.
    pub(super) fn reaped(&mut self, pid: Pid) -> bool {
        let mut all = [&mut self.children, &mut self.takers, &mut self.held].into_iter();
        all.any(|children| {
            let before = children.len();
            children.retain(|(child, _)| child.pid != pid);
            before != children.len()
        })
    }
}

/// A child with copies of all that is `left`, and by what it is told that it is the only one who has them.
fn part(left: &Left, patience: Duration) -> Result<(Cloned, OwnedFd), Errno> {
    let (heard, word) = pipe_with(PipeFlags::CLOEXEC)?;
    let all = left.descriptors.iter().chain(&left.connections).chain([&heard]);
    let kept = all.map(|fd| fd.as_raw_fd()).collect::<Vec<_>>();
    let child = apart::start(&kept, || {
        // Where this process dies, the pipe ends.
        let told = rustix::io::read(&heard, &mut [0; 1]);
        let waited = await_hang_up(&left.connections, patience);
        i32::from(told.is_err() || waited.is_err())
    })?;
    Ok((child, word))
}

/// Waits until the other sides of all `connections` have hung up, or have had the time to read: `patience`.
fn await_hang_up(connections: &[OwnedFd], patience: Duration) -> Result<(), Errno> {
    let until = Instant::now() + patience;
    for connection in connections {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        // An end is told of without being asked for.
        poll(&mut [PollFd::new(connection, PollFlags::empty())], Some(&left))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};

    #[test]
    fn a_child_closes_what_was_sent_after_everybody_else() {
        let (end, sent) = rustix::pipe::pipe().unwrap();
        let mut partings = Partings::default();
        partings.add(7, []);
        assert!(!partings.is_behind());
        partings.add(7, [sent]);
        partings.settle();
        assert_eq!((partings.of(7), partings.of(8), partings.is_behind()), (1, 0, false));
        let pid = partings.children[0].0.pid;
        // The end of file: nobody has the other end any more.
        assert_eq!(rustix::io::read(&end, &mut [0; 1]), Ok(0));
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(0));
        assert!(partings.reaped(pid) && !partings.reaped(pid));
    }

    #[test]
    fn who_leaves_much_gets_no_time_and_who_takes_for_ever_keeps_nobody_else_out() {
        let mut partings = Partings::default();
        let (held, hold) = rustix::pipe::pipe().unwrap();
        for _ in 0..PATIENT {
            let held = &held;
            let child =
                crate::sys::fork(|| i32::from(rustix::io::read(held, &mut [0; 1]).is_err()));
            let child = child.unwrap();
            let pid = child.pid;
            partings.add_child(7, child);
            assert_eq!(partings.of(8), 0);
            partings.has_worked(pid);
        }
        assert_eq!((partings.of(7), partings.count()), (PATIENT, 0));
        // Its other side never hangs up.
        let (near, _far) = crate::wire::pair().unwrap();
        partings.add_connection(7, near);
        partings.settle();
        let begun = Instant::now();
        let pid = partings.children[0].0.pid;
        waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert!(begun.elapsed() < LAST_WORD, "{:?}", begun.elapsed());
        assert!(partings.reaped(pid));
        drop(hold);
        for (child, _) in std::mem::take(&mut partings.held) {
            let killed =
                rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            assert_eq!(killed, Ok(()));
            waitpid(Some(child.pid), WaitOptions::empty()).unwrap().unwrap();
        }
    }

    #[test]
    fn who_was_answered_can_read_that_whatever_they_have_sent() {
        let (near, far) = crate::wire::pair().unwrap();
        let mut partings = Partings::default();
        crate::wire::say(&far, &"unread").unwrap();
        crate::wire::say(&near, &"answer").unwrap();
        partings.add_connection(7, near);
        partings.settle();
        assert_eq!(crate::wire::hear::<String>(&far), Ok(Some("answer".to_owned())));
        // And it goes on to the end: without the wait that could come first.
        let pid = partings.children[0].0.pid;
        drop(far);
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(0));
    }
}
