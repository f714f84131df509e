//! The person's terminal, attached to the jail's.

use super::ShimError;
use crate::terminal::TerminalError;
use crate::terminal::descriptor::reopen_for_writing;
use crate::terminal::filter::{Charset, OutputFilter};
use crate::terminal::keys::{Keys, Wish};
use crate::terminal::raw::RawMode;
use crate::terminal::relay::{Ends, Readiness, Relay, Side, Status};
use crate::terminal::reset::{self, Screen};
use crate::terminal::size;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Every key for the jail, or a way to leave.
#[derive(Debug)]
pub(super) enum PersonKeys {
    /// All keys.
    All(crate::terminal::keys::AllKeys),
    /// Ctrl-] and d leave.
    Detach(crate::terminal::keys::DetachKey),
}

impl Keys for PersonKeys {
    fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Wish {
        match self {
            Self::All(keys) => keys.feed(typed, out),
            Self::Detach(keys) => keys.feed(typed, out),
        }
    }
}

/// A terminal that shows a jail; itself again when this is dropped or closed.
#[derive(Debug)]
pub(super) struct Person {
    /// Raw where the person both types to the command and sees it; else the terminal stays as it is.
    raw: Option<RawMode<BorrowedFd<'static>>>,
    types: bool,
    relay: Relay<PersonKeys>,
    output: OwnedFd,
}

/// Which of the standard descriptors are the person's terminal.
pub(super) type Terminals = [bool; 3];

impl Person {
    /// Takes the terminal on those standard descriptors that are one.
    pub(super) fn attach(keys: PersonKeys, terminals: Terminals) -> Result<Self, ShimError> {
        let relay = Relay::new(OutputFilter::new(Charset::of_environment()), keys);
        let output = output(terminals)?;
        let whole = terminals[0] && terminals[1];
        let raw = whole.then(|| RawMode::enter(rustix::stdio::stdin())).transpose()?;
        Ok(Self { raw, types: terminals[0], relay, output })
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
        let is_there = |side: &Side| *side != Side::Input || self.types;
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
        Ok(self.relay.progress(&ends, &ready)?)
    }

    /// Shows nothing any more to a terminal that is gone. What the command writes is taken all the same: it
    /// must not wait for a reader for ever.
    pub(super) fn leave(&mut self) -> Result<(), ShimError> {
        self.output = nowhere()?;
        Ok(())
    }

    /// Brings the terminal back to what it was.
    pub(super) fn close(mut self) -> Result<(), ShimError> {
        if let Some(mut raw) = self.raw.take() {
            self.reset();
            raw.restore()?;
        }
        Ok(())
    }

    fn reset(&self) {
        let alternate = self.relay.filter().on_alternate_screen();
        let screen = if alternate { Screen::Alternate } else { Screen::Main };
        // A terminal that is gone cannot be brought back, and one that takes nothing now is not
        // waited for.
        if let Err(errno) = rustix::io::write(&self.output, &reset::bytes(screen)) {
            tracing::debug!(%errno, "the terminal was not reset");
        }
    }
}

/// The size of the person's terminal.
pub(super) fn own_size() -> Result<size::Size, ShimError> {
    Ok(size::get(rustix::stdio::stdout())?.or_default())
}

fn nowhere() -> Result<OwnedFd, ShimError> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/null", flags, Mode::empty()).map_err(TerminalError::Reopen)?)
}

/// Where the person sees the command: the terminal on standard output, else on standard error, else
/// nowhere.
fn output(terminals: Terminals) -> Result<OwnedFd, ShimError> {
    let shown = match terminals {
        [_, true, _] => rustix::stdio::stdout(),
        [_, _, true] => rustix::stdio::stderr(),
        [_, false, false] => return nowhere(),
    };
    match reopen_for_writing(shown) {
        Ok(output) => Ok(output),
        Err(error) => {
            tracing::debug!(%error, "a slow terminal may hold the relay up");
            Ok(rustix::io::fcntl_dupfd_cloexec(shown, 3).map_err(TerminalError::Reopen)?)
        }
    }
}
