//! Waits for the jail, its init, signals, the person and the clock at once.

use super::ShimError;
use crate::launch::Jail;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;
use std::cell::Cell;
use std::time::{Duration, Instant};

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

/// How often the memory watch looks: five times a second.
const WATCH_PERIOD: Duration = Duration::from_millis(200);

/// Waits; made before the launch, so that no signal is lost.
#[derive(Debug)]
pub(super) struct Waiter {
    signals: SignalFd,
    /// Bytes above which the memory watch ends the jail.
    memory: Option<u64>,
    /// When the memory watch looked last.
    looked: Cell<Instant>,
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The jail has ended.
    pub(super) ended: bool,
    /// Init says something.
    pub(super) control: bool,
    /// A signal for this process.
    pub(super) signal: Option<Signal>,
    /// What came on the descriptors of the caller, in their order.
    pub(super) own: Vec<PollFlags>,
    /// Bytes that the jail uses, where that is above its limit.
    pub(super) over_memory: Option<u64>,
}

fn errno(errno: nix::errno::Errno) -> ShimError {
    ShimError::Wait(Errno::from_raw_os_error(errno as i32))
}

impl Waiter {
    pub(super) fn new(memory: Option<u64>) -> Result<Self, ShimError> {
        let mask: SigSet = SIGNALS.iter().copied().collect();
        mask.thread_block().map_err(errno)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(errno)?;
        Ok(Self { signals, memory, looked: Cell::new(Instant::now()) })
    }

    /// Waits until something comes; `own` are descriptors of the caller.
    pub(super) fn wait(
        &self,
        jail: &Jail,
        own: &[(BorrowedFd<'_>, PollFlags)],
    ) -> Result<Events, ShimError> {
        // Where init is silent for ever, the end of the jail is all that is left to wait for.
        let control = if jail.is_silent() { jail.pidfd() } else { jail.control() };
        let fixed = [
            (self.signals.as_fd(), PollFlags::IN),
            (jail.pidfd(), PollFlags::IN),
            (control, PollFlags::IN),
        ];
        let all: Vec<_> = fixed.into_iter().chain(own.iter().copied()).collect();
        let mut fds: Vec<_> =
            all.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let timeout = self.memory.and_then(|_| Timespec::try_from(WATCH_PERIOD).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(ShimError::Wait(errno)),
        }
        let came: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let signal = if came[0].is_empty() { None } else { self.signal()? };
        Ok(Events {
            ended: !came[1].is_empty(),
            control: !jail.is_silent() && !came[2].is_empty(),
            signal,
            own: came[3..].to_vec(),
            over_memory: self.over_memory(jail),
        })
    }

    fn signal(&self) -> Result<Option<Signal>, ShimError> {
        let read = self.signals.read_signal().map_err(errno)?;
        let number = read.and_then(|info| i32::try_from(info.ssi_signo).ok());
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }

    fn over_memory(&self, jail: &Jail) -> Option<u64> {
        let limit = self.memory?;
        if self.looked.get().elapsed() < WATCH_PERIOD {
            return None;
        }
        self.looked.set(Instant::now());
        let used = jail.memory();
        (used > limit).then_some(used)
    }
}
