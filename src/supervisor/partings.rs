//! What callers have sent is closed by children: that may take as long as whoever made it wants, as with a socket that lingers
//! (socket(7), `SO_LINGER`), and the supervisor waits for nobody.
//!
//! The last one who closes a descriptor is the one that waits. So a child has a copy, and ends only when it was told that this
//! process has closed its own. A child that ends does not linger; what still holds it up counts against who sent it.

use crate::sys::{self, Cloned};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::collections::BTreeMap;

/// Descriptors to close, and children that close some, each of the user who sent them.
#[derive(Debug, Default)]
pub(super) struct Partings {
    waiting: BTreeMap<u32, Vec<OwnedFd>>,
    children: Vec<(Cloned, u32)>,
}

impl Partings {
    /// Has `descriptors`, which the user `uid` has sent, closed soon.
    pub(super) fn add(&mut self, uid: u32, descriptors: impl IntoIterator<Item = OwnedFd>) {
        let mut descriptors = descriptors.into_iter().peekable();
        if descriptors.peek().is_some() {
            self.waiting.entry(uid).or_default().extend(descriptors);
        }
    }

    /// How many children are held up by what `uid` has sent.
    pub(super) fn of(&self, uid: u32) -> usize {
        self.children.iter().filter(|(_, whose)| *whose == uid).count()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.children.len()
    }

    /// Whether something is to be closed that no child could be started for.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Starts a child for each user who has sent something. What cannot be given to one stays open until the next time.
    pub(super) fn settle(&mut self) {
        for (uid, descriptors) in std::mem::take(&mut self.waiting) {
            match part(&descriptors) {
                Ok((child, word)) => {
                    drop(descriptors);
                    if let Err(errno) = rustix::io::write(&word, b".") {
                        tracing::debug!(%errno, "a child has ended too early");
                    }
                    self.children.push((child, uid));
                }
                Err(errno) => {
                    tracing::warn!(%errno, uid, "what somebody has sent is closed later");
                    self.waiting.insert(uid, descriptors);
                }
            }
        }
    }

    /// Whether the child `pid`, which has ended, was one of these.
    pub(super) fn reaped(&mut self, pid: Pid) -> bool {
        let before = self.children.len();
        self.children.retain(|(child, _)| child.pid != pid);
        before != self.children.len()
    }
}

/// A child with copies of `descriptors`, and by what it is told that it is the only one who has them.
fn part(descriptors: &[OwnedFd]) -> Result<(Cloned, OwnedFd), Errno> {
    let (heard, word) = pipe_with(PipeFlags::CLOEXEC)?;
    let kept = descriptors.iter().chain([&heard]).map(|fd| fd.as_raw_fd()).collect::<Vec<_>>();
    let child = sys::fork(|| {
        // All else is for others: a line that it keeps open would not end. Where this process dies, the pipe ends.
        let closed = sys::close_all_but(&kept);
        let told = rustix::io::read(&heard, &mut [0; 1]);
        i32::from(closed.is_err() || told.is_err())
    })?;
    Ok((child, word))
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
}
