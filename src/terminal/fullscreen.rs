//! A person's whole terminal for something of our own, and back.
//!
//! Decides: when the terminal is taken, and that it comes back in whichever way this process ends. Must never: wait for a
//! terminal that takes no output, or write what it was not handed.
//!
//! Before: whoever draws, in bytes. After: [`super::reset`] and [`RawMode::restore`], or the session of an agent on the same
//! terminal. Does not protect against being killed by `SIGKILL`: `reset` helps then.

#![forbid(unsafe_code)]

use super::TerminalError;
use super::descriptor::reopen_for_writing;
use super::raw::RawMode;
use super::reset::{self, Screen};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::sync::Once;

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
    left: bool,
}

impl FullScreen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// [`TerminalError`].
    pub fn enter() -> Result<Self, TerminalError> {
        let (input, shown) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        let output = match reopen_for_writing(shown) {
            Ok(output) => output,
            Err(error) => {
                tracing::debug!(%error, "a slow terminal may hold keys up");
                rustix::io::fcntl_dupfd_cloexec(shown, 3).map_err(TerminalError::Reopen)?
            }
        };
        restore_on_panic(tcgetattr(input).map_err(TerminalError::ReadSettings)?);
        let raw = RawMode::enter(input)?;
        Ok(Self { raw, output, backlog: ENTER.to_vec(), left: false })
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
        if any(1) && !self.send()? {
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

    /// False where the terminal is gone.
    fn send(&mut self) -> Result<bool, TerminalError> {
        match rustix::io::write(&self.output, &self.backlog) {
            Ok(count) => drop(self.backlog.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO | Errno::PIPE) => return Ok(false),
            Err(errno) => return Err(TerminalError::WriteTerminal(errno)),
        }
        Ok(true)
    }

    /// Brings the terminal back to what it was.
    ///
    /// # Errors
    /// [`TerminalError::Restore`].
    pub fn leave(mut self) -> Result<(), TerminalError> {
        self.restore()
    }

    fn restore(&mut self) -> Result<(), TerminalError> {
        if !std::mem::replace(&mut self.left, true) {
            reset_screen(self.output.as_fd());
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

/// A terminal that is gone cannot be brought back, and one that takes nothing now is not waited for.
fn reset_screen(output: BorrowedFd<'_>) {
    if let Err(errno) = rustix::io::write(output, &reset::bytes(Screen::Alternate)) {
        tracing::debug!(%errno, "the terminal was not reset");
    }
}

/// A panic ends this process without dropping anything.
fn restore_on_panic(settings: Termios) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back(rustix::stdio::stdin(), rustix::stdio::stdout(), &settings);
            before(panic);
        }));
    });
}

fn give_back(input: BorrowedFd<'_>, output: BorrowedFd<'_>, settings: &Termios) {
    reset_screen(output);
    if let Err(errno) = tcsetattr(input, OptionalActions::Now, settings) {
        tracing::warn!(%errno, "the terminal stays raw; `stty sane` brings it back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::testing::Pty;
    use rustix::termios::LocalModes;

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let pty = Pty::open();
        let settings = tcgetattr(&pty.slave).unwrap();
        let mut raw = settings.clone();
        raw.make_raw();
        tcsetattr(&pty.slave, OptionalActions::Now, &raw).unwrap();
        give_back(pty.slave.as_fd(), pty.slave.as_fd(), &settings);
        let now = tcgetattr(&pty.slave).unwrap().local_modes;
        assert!(now.contains(LocalModes::ECHO | LocalModes::ICANON));
        let mut shown = [0; 256];
        let count = rustix::io::read(&pty.master, &mut shown).unwrap();
        assert!(String::from_utf8_lossy(&shown[..count]).contains("\x1b[?1049l"));
    }
}
