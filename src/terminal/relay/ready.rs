//! The three descriptors of a relay, what it waits for on each, and what came.
//!
//! Decides: nothing. The outer loop owns the descriptors and calls `poll(2)`, together with others of
//! its own (signals, the jail's pidfd, a control socket).

#![forbid(unsafe_code)]

use rustix::event::{PollFd, PollFlags};
use rustix::fd::BorrowedFd;

/// One of the three descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the person types.
    Input,
    /// What the person sees.
    Output,
    /// The master of the jail's pty.
    Master,
}

impl Side {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Master];
}

/// The descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'fd> {
    /// The person's terminal, for reading. May block: it is read only after `poll(2)` said so.
    pub input: BorrowedFd<'fd>,
    /// The person's terminal, for writing. Must not block, or a slow terminal holds up everything:
    /// see [`crate::terminal::descriptor::reopen_for_writing`].
    pub output: BorrowedFd<'fd>,
    /// The master of the jail's pty. Must not block. Its other end must have been opened before: a
    /// master whose other end nobody holds reads `EIO`, which means that the jail closed it.
    pub master: BorrowedFd<'fd>,
}

impl<'fd> Ends<'fd> {
    /// The descriptor of `side`.
    #[must_use]
    pub fn get(&self, side: Side) -> BorrowedFd<'fd> {
        match side {
            Side::Input => self.input,
            Side::Output => self.output,
            Side::Master => self.master,
        }
    }
}

/// Flags for each side: what is waited for, or what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    input: PollFlags,
    output: PollFlags,
    master: PollFlags,
}

impl Readiness {
    /// Nothing on any side.
    pub const NONE: Self =
        Self { input: PollFlags::empty(), output: PollFlags::empty(), master: PollFlags::empty() };

    /// The flags of `side`.
    #[must_use]
    pub fn get(&self, side: Side) -> PollFlags {
        match side {
            Side::Input => self.input,
            Side::Output => self.output,
            Side::Master => self.master,
        }
    }

    /// Adds `flags` to those of `side`.
    pub fn add(&mut self, side: Side, flags: PollFlags) {
        match side {
            Side::Input => self.input |= flags,
            Side::Output => self.output |= flags,
            Side::Master => self.master |= flags,
        }
    }

    /// The sides to give to `poll(2)`. A side without flags must be left out: `poll(2)` reports a
    /// hang-up whether asked for or not, and the loop would spin.
    pub fn sides(self) -> impl Iterator<Item = (Side, PollFlags)> {
        Side::ALL.into_iter().map(move |side| (side, self.get(side))).filter(|(_, f)| !f.is_empty())
    }

    /// The same as entries for `poll(2)`.
    pub fn entries<'fd>(self, ends: &Ends<'fd>) -> impl Iterator<Item = (Side, PollFd<'fd>)> {
        let ends = *ends;
        self.sides().map(move |(s, flags)| (s, PollFd::from_borrowed_fd(ends.get(s), flags)))
    }

    /// Whether bytes, an end or an error can be read on `side`.
    pub(super) fn readable(&self, side: Side) -> bool {
        self.get(side).intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
    }

    /// Whether bytes or an error can be written on `side`.
    pub(super) fn writable(&self, side: Side) -> bool {
        self.get(side).intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR)
    }
}
