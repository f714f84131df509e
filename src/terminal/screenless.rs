//! A jail's pty with no person in front of it.
//!
//! Decides: that what the jail writes is read and dropped, so its programs do not stop for want of a
//! reader, and that the last of its text is kept for error reports. Must never: keep more than
//! [`TAIL`], or stay in one call for as long as a flood lasts.
//!
//! Before: the launch, when no terminal is attached. After: [`super::plain`], for what is reported.

#![forbid(unsafe_code)]

use super::TerminalError;
use super::filter::TextFilter;
use super::plain::plain_lines;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::collections::VecDeque;

/// How many bytes of text are kept.
pub const TAIL: usize = 16 * 1024;
/// How many reads one call makes at most.
const READS: usize = 8;
/// The size of one read.
const READ: usize = 16 * 1024;

/// Whether there may be more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The jail may write more.
    Open,
    /// The jail closed its end.
    Closed,
}

/// What was read and dropped so far.
#[derive(Debug, Default)]
pub struct Screenless {
    filter: TextFilter,
    bytes: u64,
    tail: VecDeque<u8>,
}

impl Screenless {
    /// What to wait for on the master.
    pub const INTEREST: PollFlags = PollFlags::IN;

    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what is there on `master`, which must not block; at most 128 KiB a call.
    ///
    /// # Errors
    /// [`TerminalError::ReadPty`]. `EIO`, which a master gives when the other end is closed, is none.
    pub fn drain(&mut self, master: BorrowedFd) -> Result<Drained, TerminalError> {
        let mut buffer = [0; READ];
        for _ in 0..READS {
            match rustix::io::read(master, &mut buffer) {
                Ok(0) | Err(Errno::IO) => return Ok(Drained::Closed),
                Ok(count) => self.take(&buffer[..count]),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Drained::Open),
                Err(errno) => return Err(TerminalError::ReadPty(errno)),
            }
        }
        Ok(Drained::Open)
    }

    /// How many bytes were read, before any filter.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last `most` lines of text, each safe to print.
    #[must_use]
    pub fn last_lines(&self, most: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        plain_lines(&String::from_utf8_lossy(&bytes), most)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let mut text = String::new();
        self.filter.feed(bytes, &mut text);
        self.tail.extend(text.bytes());
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::descriptor::set_nonblocking;
    use crate::terminal::testing::Pty;
    use rustix::fd::AsFd;

    #[test]
    fn a_jail_without_a_terminal_is_read_to_its_end_and_its_last_words_kept() {
        let pty = Pty::open();
        set_nonblocking(&pty.master).unwrap();
        let mut screenless = Screenless::new();
        assert_eq!(screenless.drain(pty.master.as_fd()), Ok(Drained::Open));
        let words = b"starting\n\x1b]52;c;x\x07\x1b[31mcannot open \xe2\x80\xae/x\x1b[m\n";
        rustix::io::write(&pty.slave, words).unwrap();
        assert_eq!(screenless.drain(pty.master.as_fd()), Ok(Drained::Open));
        drop(pty.slave);
        assert_eq!(screenless.drain(pty.master.as_fd()), Ok(Drained::Closed));
        // The slave writes CR LF for each LF.
        assert_eq!(screenless.bytes(), words.len() as u64 + 2);
        assert_eq!(screenless.last_lines(1), ["cannot open \\u{202e}/x"]);
        assert_eq!(screenless.last_lines(9).len(), 2);
    }

    #[test]
    fn only_the_tail_of_a_flood_is_kept() {
        let mut screenless = Screenless::new();
        for _ in 0..1000 {
            screenless.take("é".repeat(1000).as_bytes());
        }
        assert_eq!(screenless.bytes(), 2_000_000);
        assert!(screenless.tail.len() <= TAIL);
    }
}
