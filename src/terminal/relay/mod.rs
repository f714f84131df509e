//! Carries bytes between a person's terminal and the master of a jail's pty.
//!
//! Decides: when to read and when to write, so that neither side can hold up or fill up the other.
//! Must never: block (the descriptors are the caller's, see [`Ends`]), keep more than its bounds, or
//! pass a byte of the jail on unfiltered.
//!
//! Before: [`super::raw`] and the jail's pty. After: [`super::reset`]. In each turn the caller asks
//! [`Relay::interests`], calls `poll(2)` on those and on descriptors of its own, and tells
//! [`Relay::progress`] what came.
//!
//! ```text
//!  master ─ filter ─ queue (64 KiB) ─ output     master is not read while the queue is full
//!  input ─── keys ── queue (64 KiB) ─ master     input is not read while the queue is full
//! ```
//!
//! Does not protect against: a person's terminal that never takes a byte. The relay then waits, and
//! the jail's program waits in `write(2)`; the caller's other descriptors go on being served.

#![forbid(unsafe_code)]

mod queue;
mod ready;
#[cfg(test)]
mod tests;

pub use ready::{Ends, Readiness, Side};

use super::TerminalError;
use super::filter::OutputFilter;
use super::keys::{Keys, Wish};
use queue::Queue;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Filtered bytes that wait for the terminal, at most (and 1 KiB for a sequence that is completed).
pub const OUTPUT_BOUND: usize = 64 * 1024;
/// Typed or pasted bytes that wait for the jail, at most.
pub const INPUT_BOUND: usize = 64 * 1024;
/// The most that is read in one turn.
const READ: usize = 16 * 1024;
/// Below this much room the master is not read: many small reads cost more than a short wait.
const WORTH_READING: usize = 4 * 1024;
/// The filter makes three bytes out of one at most.
const GROWTH: usize = 3;

/// How a relay stands after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There may be more.
    Running,
    /// The person typed the detach key.
    Detached,
    /// The jail closed its end, and all it wrote was shown.
    JailClosed,
    /// The person's terminal is gone.
    TerminalGone,
}

/// A session's buffers and state.
#[derive(Debug)]
pub struct Relay<K> {
    filter: OutputFilter,
    keys: K,
    to_terminal: Queue,
    to_jail: Queue,
    input_open: bool,
    master_open: bool,
}

impl<K: Keys> Relay<K> {
    /// A relay that shows what `filter` lets through and sends what `keys` leaves.
    pub fn new(filter: OutputFilter, keys: K) -> Self {
        Self {
            filter,
            keys,
            to_terminal: Queue::new(OUTPUT_BOUND),
            to_jail: Queue::new(INPUT_BOUND),
            input_open: true,
            master_open: true,
        }
    }

    /// The filter, for its counters and for the screen it left the terminal on.
    pub fn filter(&self) -> &OutputFilter {
        &self.filter
    }

    /// What to wait for. Nothing at all means that the relay has ended.
    pub fn interests(&self) -> Readiness {
        let mut wanted = Readiness::NONE;
        if self.input_open && self.master_open && self.to_jail.room() > READ {
            wanted.add(Side::Input, PollFlags::IN);
        }
        if !self.to_terminal.is_empty() {
            wanted.add(Side::Output, PollFlags::OUT);
        }
        if self.master_open && self.to_terminal.room() >= WORTH_READING {
            wanted.add(Side::Master, PollFlags::IN);
        }
        if self.master_open && !self.to_jail.is_empty() {
            wanted.add(Side::Master, PollFlags::OUT);
        }
        wanted
    }

    /// Does what `ready` permits: one read and one write a side at most, so that a flood on one side
    /// leaves the other its turn.
    ///
    /// # Errors
    /// [`TerminalError`] with the side and the errno. Ends that are a part of life are no errors: end
    /// of file, `EIO` of a pty whose other end is closed, `EPIPE`.
    pub fn progress(&mut self, ends: &Ends, ready: &Readiness) -> Result<Status, TerminalError> {
        if ready.writable(Side::Output) && self.show(ends.output)? == Status::TerminalGone {
            return Ok(Status::TerminalGone);
        }
        if ready.readable(Side::Master) && self.master_open {
            self.read_master(ends.master)?;
        }
        if ready.readable(Side::Input) && self.input_open {
            let status = self.read_input(ends.input)?;
            if status == Status::Detached {
                return Ok(status);
            }
        }
        if ready.writable(Side::Master) && self.master_open {
            self.write_master(ends.master)?;
        }
        let ended = !self.master_open && self.to_terminal.is_empty();
        Ok(if ended { Status::JailClosed } else { Status::Running })
    }

    fn show(&mut self, output: BorrowedFd) -> Result<Status, TerminalError> {
        if self.to_terminal.is_empty() {
            return Ok(Status::Running);
        }
        match rustix::io::write(output, self.to_terminal.unsent()) {
            Ok(count) => self.to_terminal.advance(count),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO | Errno::PIPE) => return Ok(Status::TerminalGone),
            Err(errno) => return Err(TerminalError::WriteTerminal(errno)),
        }
        Ok(Status::Running)
    }

    fn read_master(&mut self, master: BorrowedFd) -> Result<(), TerminalError> {
        let most = READ.min(self.to_terminal.room() / GROWTH);
        let mut buffer = [0; READ];
        if most < WORTH_READING / GROWTH {
            return Ok(());
        }
        match rustix::io::read(master, &mut buffer[..most]) {
            Ok(0) | Err(Errno::IO) => self.master_open = false,
            Ok(count) => self.filter.feed(&buffer[..count], self.to_terminal.end()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(TerminalError::ReadPty(errno)),
        }
        Ok(())
    }

    fn read_input(&mut self, input: BorrowedFd) -> Result<Status, TerminalError> {
        if self.to_jail.room() <= READ {
            return Ok(Status::Running);
        }
        let mut buffer = [0; READ];
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => {
                self.input_open = false;
                self.keys.end(self.to_jail.end());
            }
            // The terminal hung up, or we are an orphan in the background (termios(3)).
            Err(Errno::IO) => self.input_open = false,
            Ok(count) => match self.keys.feed(&buffer[..count], self.to_jail.end()) {
                Wish::GoOn => {}
                Wish::Detach => return Ok(Status::Detached),
            },
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(TerminalError::ReadTerminal(errno)),
        }
        Ok(Status::Running)
    }

    fn write_master(&mut self, master: BorrowedFd) -> Result<(), TerminalError> {
        if self.to_jail.is_empty() {
            return Ok(());
        }
        match rustix::io::write(master, self.to_jail.unsent()) {
            Ok(count) => self.to_jail.advance(count),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads in the jail any more; reading the master will say that it is over.
            Err(Errno::IO | Errno::PIPE) => self.to_jail.clear(),
            Err(errno) => return Err(TerminalError::WritePty(errno)),
        }
        Ok(())
    }
}
