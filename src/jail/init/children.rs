//! Waiting for children, signals and the launcher at once.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::time::Duration;

/// Told about every child that ends, ours or orphaned.
pub(super) struct Children {
    signals: SignalFd,
}

/// What there is to do.
pub(super) struct Ready {
    /// The launcher says something, or is gone.
    pub(super) control: bool,
    /// The watched process ended.
    pub(super) watched: bool,
}

impl Children {
    /// Takes SIGCHLD as something to read, and unblocks what the launcher had blocked for itself.
    pub(super) fn new() -> Result<Self, Errno> {
        let mask = SigSet::from(Signal::SIGCHLD);
        mask.thread_set_mask().map_err(errno)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(errno)?;
        Ok(Self { signals })
    }

    /// Starts a program by `start`, with no signal blocked: a program inherits the mask. Whoever ends
    /// in that moment is not told of; [`reap`] must be called before the next wait.
    pub(super) fn start<T>(&self, start: impl FnOnce() -> T) -> Result<T, Errno> {
        SigSet::empty().thread_set_mask().map_err(errno)?;
        let started = start();
        SigSet::from(Signal::SIGCHLD).thread_set_mask().map_err(errno)?;
        Ok(started)
    }

    /// Waits for whatever comes first, `patience` at the most where it is given.
    pub(super) fn wait(
        &self,
        control: &OwnedFd,
        watched: Option<BorrowedFd<'_>>,
        patience: Option<Duration>,
    ) -> Result<Ready, Errno> {
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::new(control, PollFlags::IN),
        ];
        fds.extend(watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        if ready(0) {
            // One reading may stand for many children: all of them are reaped anyway.
            self.signals.read_signal().map_err(errno)?;
        }
        Ok(Ready { control: ready(1), watched: ready(2) })
    }
}

/// Reaps every child that has ended and calls `seen` with each (wait(2)).
pub(super) fn reap(mut seen: impl FnMut(Pid, WaitStatus)) {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        seen(pid, status);
    }
}

/// The status as a shell gives it: the exit status, or 128 and the signal.
pub(super) fn shell_status(status: WaitStatus) -> u8 {
    let code =
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(super::FAILED)
}

fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}
