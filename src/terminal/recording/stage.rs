//! The person's terminal while a recording is played on it.
//!
//! Decides: in which order keys, signals and output are taken. Must never: leave the terminal in another
//! state than it was found in, or wait for one that takes no output without hearing keys and signals.
//!
//! Before: [`super::tape`] and [`super::player`], which decide what is shown. After: the person's shell.
//! What is shown passes [`crate::terminal::filter`] for this terminal: a file may be anybody's, and its
//! charset is not the terminal's.

#![forbid(unsafe_code)]

use super::ALTERNATE;
use super::keys::KeyReader;
use super::player::{Decision, Player};
use super::reader::ReadError;
use super::tape::Tape;
use crate::terminal::TerminalError;
use crate::terminal::descriptor::{for_writing, send};
use crate::terminal::filter::{Charset, OutputFilter};
use crate::terminal::raw::RawMode;
use crate::terminal::rescue::{self, Rescue};
use crate::terminal::reset::{self, Screen};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// So many bytes wait for the terminal before nothing more is read.
const BACKLOG: usize = 64 << 10;

/// Signals that end the playing.
const SIGNALS: &[Signal] = &[Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// How the playing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the recording, by a key, or because the terminal is gone.
    Done,
    /// By a signal.
    Signal(Signal),
}

/// Why the playing failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlayError {
    /// The recording did.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The terminal did.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
}

/// A terminal on which recordings are played; itself again when this is dropped or closed.
#[derive(Debug)]
#[must_use = "the terminal is restored as soon as this is dropped"]
pub struct Stage {
    /// Raw where the person types on it, too.
    raw: Option<RawMode<BorrowedFd<'static>>>,
    types: bool,
    output: OwnedFd,
    signals: SignalFd,
    charset: Charset,
    filter: OutputFilter,
    backlog: Vec<u8>,
    keys: KeyReader,
    /// Until the terminal is as before.
    rescue: Option<Rescue>,
}

fn wait(errno: nix::errno::Errno) -> TerminalError {
    TerminalError::Wait(Errno::from_raw_os_error(errno as i32))
}

impl Stage {
    /// Takes the terminal on standard output, and on standard input where that is one, too. Signals that
    /// end the playing are blocked from here on.
    ///
    /// # Errors
    /// [`TerminalError`].
    pub fn open(charset: Charset) -> Result<Self, TerminalError> {
        let mask: SigSet = SIGNALS.iter().copied().collect();
        mask.thread_block().map_err(wait)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(wait)?;
        let shown = rustix::stdio::stdout();
        let output = for_writing(shown)?;
        let types = rustix::termios::isatty(rustix::stdio::stdin());
        let raw = types.then(|| RawMode::enter(rustix::stdio::stdin())).transpose()?;
        let settings = raw.as_ref().and_then(RawMode::saved).cloned();
        let rescue = Rescue::arm(&output, settings).map_err(TerminalError::Reopen)?;
        // A recording may show any screen; leaving the other one where it is not shown does nothing.
        rescue.is_on(Screen::Alternate);
        Ok(Self {
            raw,
            rescue: Some(rescue),
            types,
            output,
            signals,
            charset,
            filter: OutputFilter::new(charset),
            backlog: Vec::new(),
            keys: KeyReader::default(),
        })
    }

    /// Shows `tape` as `player` decides, to its end or until the person leaves.
    ///
    /// # Errors
    /// [`PlayError`]; what was shown before stays shown.
    pub fn play(&mut self, tape: &mut Tape, player: &mut Player) -> Result<Ending, PlayError> {
        loop {
            let mut patience = None;
            if self.backlog.len() < BACKLOG {
                match player.decide(Instant::now()) {
                    Decision::Read => {
                        match tape.next_event()? {
                            Some(event) => player.offer(event),
                            None => player.no_more(),
                        }
                        continue;
                    }
                    Decision::Show(text) => {
                        self.show(&text);
                        continue;
                    }
                    Decision::Rewind => {
                        tape.rewind()?;
                        self.clear();
                        continue;
                    }
                    Decision::Wait(time) => patience = time,
                    Decision::End if self.backlog.is_empty() || player.has_left() => {
                        return Ok(Ending::Done);
                    }
                    Decision::End => {}
                }
            }
            if let Some(ending) = self.wait(player, patience)? {
                return Ok(ending);
            }
        }
    }

    /// Brings the terminal back to what it was.
    ///
    /// # Errors
    /// [`TerminalError::Restore`].
    pub fn close(mut self) -> Result<(), TerminalError> {
        self.restore()
    }

    fn show(&mut self, text: &str) {
        // The beginning of a part, in the middle of what is shown.
        if text != ALTERNATE || !self.filter.on_alternate_screen() {
            self.filter.feed(text.as_bytes(), &mut self.backlog);
        }
    }

    /// Everything as before the first output, on an empty screen.
    fn clear(&mut self) {
        let screen = self.screen();
        self.backlog = reset::bytes(screen);
        self.backlog.extend_from_slice(b"\x1b[H\x1b[2J");
        self.filter = OutputFilter::new(self.charset);
    }

    /// The screen that the terminal is on. What it was not given yet may have left the other one.
    fn screen(&self) -> Screen {
        if self.filter.on_alternate_screen() || !self.backlog.is_empty() {
            Screen::Alternate
        } else {
            Screen::Main
        }
    }

    fn wait(
        &mut self,
        player: &mut Player,
        patience: Option<Duration>,
    ) -> Result<Option<Ending>, TerminalError> {
        let [signals, input, output] = self.poll(patience)?;
        if signals && let Some(signal) = self.signal()? {
            return Ok(Some(Ending::Signal(signal)));
        }
        if input {
            self.read_keys(player)?;
        }
        if output && !send(&self.output, &mut self.backlog)? {
            return Ok(Some(Ending::Done));
        }
        Ok(None)
    }

    /// Whether a signal, a key and room for output came.
    fn poll(&self, patience: Option<Duration>) -> Result<[bool; 3], TerminalError> {
        let input = rustix::stdio::stdin();
        let all = [
            (self.signals.as_fd(), PollFlags::IN, true),
            (input, PollFlags::IN, self.types),
            (self.output.as_fd(), PollFlags::OUT, !self.backlog.is_empty()),
        ];
        let wanted = all.iter().filter(|(_, _, wanted)| *wanted);
        let mut fds: Vec<_> =
            wanted.map(|(fd, flags, _)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(TerminalError::Wait(errno)),
        }
        let mut came = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(all.map(|(_, _, wanted)| wanted && came.next().unwrap_or(false)))
    }

    fn signal(&self) -> Result<Option<Signal>, TerminalError> {
        let read = self.signals.read_signal().map_err(wait)?;
        let number = read.and_then(|info| i32::try_from(info.ssi_signo).ok());
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }

    fn read_keys(&mut self, player: &mut Player) -> Result<(), TerminalError> {
        let mut buffer = [0; 256];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) | Err(Errno::IO) => self.types = false,
            Ok(count) => {
                for key in buffer[..count].iter().filter_map(|byte| self.keys.feed(*byte)) {
                    player.press(Instant::now(), key);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(TerminalError::ReadTerminal(errno)),
        }
        Ok(())
    }

    fn restore(&mut self) -> Result<(), TerminalError> {
        if self.rescue.take().is_none() {
            return Ok(());
        }
        // A terminal that is gone cannot be brought back, and one that takes nothing was waited for.
        if let Err(errno) = rescue::write(&self.output, self.screen()) {
            tracing::debug!(%errno, "the terminal was not reset");
        }
        self.raw.take().map_or(Ok(()), |mut raw| raw.restore())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tracing::warn!(%error, "the terminal stays raw; `stty sane` brings it back");
        }
    }
}
