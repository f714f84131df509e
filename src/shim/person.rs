//! The person's terminal, attached to the jail's.

use super::ShimError;
use crate::terminal::TerminalError;
use crate::terminal::descriptor::for_writing;
use crate::terminal::filter::{Charset, OutputFilter};
use crate::terminal::keys::{AllKeys, DetachKey, Keys, LineKeys, Wish};
use crate::terminal::mode::Mode;
use crate::terminal::raw::RawMode;
use crate::terminal::relay::{Ends, Readiness, Relay, Side, Status};
use crate::terminal::rescue::{self, Rescue};
use crate::terminal::reset::Screen;
use crate::terminal::size;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::isatty;

/// What keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// All are for the jail, but those that leave it.
    Session,
    /// All are for the jail.
    Command,
}

/// Every key for the jail, or a way to leave.
#[derive(Debug)]
enum PersonKeys {
    /// All keys.
    All(AllKeys),
    /// All keys, line by line.
    Lines(LineKeys),
    /// Ctrl-] and d leave.
    Detach(DetachKey),
}

impl PersonKeys {
    fn new(typing: Typing, mode: Mode) -> Self {
        match (typing, mode) {
            (Typing::Session, _) => Self::Detach(DetachKey::new(DetachKey::PREFIX)),
            (Typing::Command, Mode::Lines) => Self::Lines(LineKeys::default()),
            (Typing::Command, Mode::Raw | Mode::Unread) => Self::All(AllKeys),
        }
    }
}

impl Keys for PersonKeys {
    fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Wish {
        match self {
            Self::All(keys) => keys.feed(typed, out),
            Self::Lines(keys) => keys.feed(typed, out),
            Self::Detach(keys) => keys.feed(typed, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::All(keys) => keys.end(out),
            Self::Lines(keys) => keys.end(out),
            Self::Detach(keys) => keys.end(out),
        }
    }
}

/// A terminal that shows a jail; itself again when this is dropped or closed, and where this program panics.
#[derive(Debug)]
pub(super) struct Person {
    mode: Mode,
    /// Its settings, where they were changed.
    raw: Option<RawMode<BorrowedFd<'static>>>,
    relay: Relay<PersonKeys>,
    output: OwnedFd,
    /// Where a terminal shows the jail: what sees to it. Nothing once it is itself again, or gone.
    shows: Option<Rescue>,
}

/// Which of the standard descriptors are the person's terminal.
pub(super) type Terminals = [bool; 3];

/// Those that are.
pub(super) fn terminals() -> Terminals {
    [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()].map(isatty)
}

impl Person {
    /// Takes the terminal on those standard descriptors that are one.
    pub(super) fn attach(typing: Typing, terminals: Terminals) -> Result<Self, ShimError> {
        let charset = Charset::of_environment();
        let mode = Mode::of(terminals);
        let relay = Relay::new(OutputFilter::new(charset), PersonKeys::new(typing, mode));
        let output = output(terminals)?;
        let raw =
            (mode == Mode::Raw).then(|| RawMode::enter(rustix::stdio::stdin())).transpose()?;
        let settings = raw.as_ref().and_then(RawMode::saved).cloned();
        let shows = (terminals[1] || terminals[2]).then(|| Rescue::arm(&output, settings));
        let shows = shows.transpose().map_err(TerminalError::Reopen)?;
        Ok(Self { mode, raw, relay, output, shows })
    }

    /// Whether the person's signals are keys for the jail, and none of this process's own.
    pub(super) fn types_signals(&self) -> bool {
        self.mode == Mode::Raw
    }

    /// Gives the jail's terminal the size of the person's.
    pub(super) fn fit(&self, master: BorrowedFd<'_>) -> Result<(), ShimError> {
        Ok(size::set(master, own_size()?)?)
    }

    fn ends<'f>(&'f self, master: BorrowedFd<'f>) -> Ends<'f> {
        Ends { input: rustix::stdio::stdin(), output: self.output.as_fd(), master }
    }

    /// What to wait for.
    pub(super) fn interests<'f>(
        &'f self,
        master: BorrowedFd<'f>,
    ) -> Vec<(Side, BorrowedFd<'f>, PollFlags)> {
        let wanted = self.relay.interests();
        let ends = self.ends(master);
        let of = |side: Side| (side, ends.get(side), wanted.get(side));
        let types = self.mode != Mode::Unread;
        let is_there = |side: &Side| *side != Side::Input || types;
        let sides = Side::ALL.into_iter().filter(is_there).map(of);
        sides.filter(|(_, _, flags)| !flags.is_empty()).collect()
    }

    /// Carries what came.
    pub(super) fn progress(
        &mut self,
        master: BorrowedFd<'_>,
        came: &[(Side, PollFlags)],
    ) -> Result<Status, ShimError> {
        let mut ready = Readiness::NONE;
        for (side, flags) in came {
            ready.add(*side, *flags);
        }
        let output = self.output.try_clone().map_err(|error| {
            ShimError::Wait(Errno::from_io_error(&error).unwrap_or(Errno::BADF))
        })?;
        let ends = Ends { input: rustix::stdio::stdin(), output: output.as_fd(), master };
        let status = self.relay.progress(&ends, &ready)?;
        self.shows.iter().for_each(|rescue| rescue.is_on(self.screen()));
        Ok(status)
    }

    fn screen(&self) -> Screen {
        let alternate = self.relay.filter().on_alternate_screen();
        if alternate { Screen::Alternate } else { Screen::Main }
    }

    /// Shows nothing any more to a terminal that is gone. What the command writes is taken all the same: it
    /// must not wait for a reader for ever.
    pub(super) fn leave(&mut self) -> Result<(), ShimError> {
        self.output = nowhere()?;
        self.shows = None;
        Ok(())
    }

    /// Brings the terminal back to what it was.
    pub(super) fn close(mut self) -> Result<(), ShimError> {
        self.restore()
    }

    /// A second call does nothing.
    fn restore(&mut self) -> Result<(), ShimError> {
        // A terminal that is gone cannot be brought back.
        if self.shows.take().is_some()
            && let Err(errno) = rescue::write(&self.output, self.screen())
        {
            tracing::debug!(%errno, "the terminal was not reset");
        }
        Ok(self.raw.take().map_or(Ok(()), |mut raw| raw.restore())?)
    }
}

impl Drop for Person {
    /// However it ends: an error on the way, too.
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tracing::warn!(%error, "the terminal stays raw; `stty sane` brings it back");
        }
    }
}

/// The size of the person's terminal, on whichever of the standard descriptors it is.
pub(super) fn own_size() -> Result<size::Size, ShimError> {
    let of_output = size::get(rustix::stdio::stdout());
    let others = [rustix::stdio::stdin(), rustix::stdio::stderr()].map(size::get);
    let others = others.into_iter().find_map(Result::ok);
    Ok(of_output.or_else(|error| others.ok_or(error))?.or_default())
}

fn nowhere() -> Result<OwnedFd, ShimError> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())
        .map_err(TerminalError::Reopen)?)
}

/// Where the person sees the command: the terminal on standard output, else on standard error, else
/// nowhere.
fn output(terminals: Terminals) -> Result<OwnedFd, ShimError> {
    let shown = match terminals {
        [_, true, _] => rustix::stdio::stdout(),
        [_, _, true] => rustix::stdio::stderr(),
        [_, false, false] => return nowhere(),
    };
    Ok(for_writing(shown)?)
}
