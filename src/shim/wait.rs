//! Waits for signals, descriptors and the clock at once.

use super::ShimError;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;
use std::time::Duration;

/// Signals that are passed on or obeyed.
const SIGNALS: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Waits; made before the launch, so that no signal is lost.
#[derive(Debug)]
pub struct Waiter {
    signals: SignalFd,
}

fn errno(errno: nix::errno::Errno) -> ShimError {
    ShimError::Wait(Errno::from_raw_os_error(errno as i32))
}

impl Waiter {
    /// Takes those signals as something to wait for.
    ///
    /// # Errors
    /// [`ShimError::Wait`].
    pub fn new() -> Result<Self, ShimError> {
        Self::with(&[])
    }

    /// The same, and `more` besides.
    ///
    /// # Errors
    /// [`ShimError::Wait`].
    pub fn with(more: &[Signal]) -> Result<Self, ShimError> {
        let mask: SigSet = SIGNALS.iter().chain(more).copied().collect();
        mask.thread_block().map_err(errno)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(errno)?;
        Ok(Self { signals })
    }

    /// Waits until something comes, no longer than `patience`: a signal, and what came on each of `wanted`.
    ///
    /// # Errors
    /// [`ShimError::Wait`].
    pub fn wait(
        &self,
        wanted: &[(BorrowedFd<'_>, PollFlags)],
        patience: Option<Duration>,
    ) -> Result<(Option<Signal>, Vec<PollFlags>), ShimError> {
        let signals = [(self.signals.as_fd(), PollFlags::IN)];
        let all = signals.into_iter().chain(wanted.iter().copied());
        let mut fds: Vec<_> = all.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(ShimError::Wait(errno)),
        }
        let mut came: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let signalled = came.remove(0);
        let signal = if signalled.is_empty() { None } else { self.signal()? };
        Ok((signal, came))
    }

    fn signal(&self) -> Result<Option<Signal>, ShimError> {
        let read = self.signals.read_signal().map_err(errno)?;
        let number = read.and_then(|info| i32::try_from(info.ssi_signo).ok());
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }
}
