//! A person's whole terminal for something of our own, and back.
//!
//! Decides: when the terminal is taken, and that it comes back in whichever way this process ends. Must never: wait for a
//! terminal that takes no output, but for a second at its end, or write what it was not handed.
//!
//! Before: whoever draws, in bytes. After: [`super::rescue`] and [`RawMode::restore`], or the session of an agent on the same
//! terminal. Does not protect against being killed by `SIGKILL`: `reset` helps then.

#![forbid(unsafe_code)]

use super::TerminalError;
use super::descriptor::{for_writing, send};
use super::raw::RawMode;
use super::rescue::{self, Rescue};
use super::reset::Screen;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

/// The screen for full-screen programs, empty and without a cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[m\x1b[2J";

/// What came from a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Keys, as bytes; none where only output went on.
    Keys(Vec<u8>),
    /// The terminal is gone.
    Gone,
}

/// The terminal on standard input and output; itself again when this is dropped or left.
#[derive(Debug)]
#[must_use = "the terminal is restored as soon as this is dropped"]
pub struct FullScreen {
    raw: RawMode<BorrowedFd<'static>>,
    output: OwnedFd,
    /// What the terminal has not taken yet.
    backlog: Vec<u8>,
    /// Until the screen is as before.
    rescue: Option<Rescue>,
}

impl FullScreen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// [`TerminalError`].
    pub fn enter() -> Result<Self, TerminalError> {
        let (input, shown) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        let output = for_writing(shown)?;
        let raw = RawMode::enter(input)?;
        let rescue = Rescue::arm(&output, raw.saved().cloned()).map_err(TerminalError::Reopen)?;
        rescue.is_on(Screen::Alternate);
        Ok(Self { raw, output, backlog: ENTER.to_vec(), rescue: Some(rescue) })
    }

    /// Whether the terminal has taken all that was shown.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Shows `bytes`, once the terminal takes them.
    pub fn show(&mut self, bytes: &[u8]) {
        self.backlog.extend_from_slice(bytes);
    }

    /// What to wait for; [`FullScreen::turn`] takes what came, in the same order.
    #[must_use]
    pub fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut wanted = vec![(rustix::stdio::stdin(), PollFlags::IN)];
        if !self.backlog.is_empty() {
            wanted.push((self.output.as_fd(), PollFlags::OUT));
        }
        wanted
    }

    /// Gives the terminal what it takes, and takes what was typed.
    ///
    /// # Errors
    /// [`TerminalError::ReadTerminal`], [`TerminalError::WriteTerminal`].
    pub fn turn(&mut self, came: &[PollFlags]) -> Result<Typed, TerminalError> {
        let any = |at: usize| came.get(at).is_some_and(|flags| !flags.is_empty());
        if any(1) && !send(&self.output, &mut self.backlog)? {
            return Ok(Typed::Gone);
        }
        if !any(0) {
            return Ok(Typed::Keys(Vec::new()));
        }
        let mut buffer = [0; 256];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) | Err(Errno::IO) => Ok(Typed::Gone),
            Ok(count) => Ok(Typed::Keys(buffer[..count].to_vec())),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Typed::Keys(Vec::new())),
            Err(errno) => Err(TerminalError::ReadTerminal(errno)),
        }
    }

    /// Brings the terminal back to what it was.
    ///
    /// # Errors
    /// [`TerminalError::Restore`].
    pub fn leave(mut self) -> Result<(), TerminalError> {
        self.restore()
    }

    fn restore(&mut self) -> Result<(), TerminalError> {
        if self.rescue.take().is_some()
            && let Err(errno) = rescue::write(&self.output, Screen::Alternate)
        {
            // One that is gone cannot be brought back, and one that takes nothing was waited for.
            tracing::debug!(%errno, "the terminal was not reset");
        }
        self.raw.restore()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tracing::warn!(%error, "the terminal stays raw; `stty sane` brings it back");
        }
    }
}
