//! Waits for the jail, its init, signals, the person and the clock at once.

use super::ShimError;
use super::gatekeeper::Gatekeeper;
use crate::launch::Jail;
use crate::limits::Meter;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;

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
pub(super) struct Waiter {
    signals: SignalFd,
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
    /// Something happened at the jail's limits.
    pub(super) limits: bool,
    /// The gate says something, or somebody wants to change it.
    pub(super) gate: bool,
    /// What came on the descriptors of the caller, in their order.
    pub(super) own: Vec<PollFlags>,
}

fn errno(errno: nix::errno::Errno) -> ShimError {
    ShimError::Wait(Errno::from_raw_os_error(errno as i32))
}

impl Waiter {
    pub(super) fn new() -> Result<Self, ShimError> {
        let mask: SigSet = SIGNALS.iter().copied().collect();
        mask.thread_block().map_err(errno)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(errno)?;
        Ok(Self { signals })
    }

    /// Waits until something comes; `own` are descriptors of the caller.
    pub(super) fn wait(
        &self,
        jail: &Jail,
        meter: &Meter,
        gate: Option<&Gatekeeper>,
        own: &[(BorrowedFd<'_>, PollFlags)],
    ) -> Result<Events, ShimError> {
        // Where init is silent for ever, the end of the jail is all that is left to wait for.
        let control = if jail.is_silent() { jail.pidfd() } else { jail.control() };
        let fixed = [
            (self.signals.as_fd(), PollFlags::IN),
            (jail.pidfd(), PollFlags::IN),
            (control, PollFlags::IN),
        ];
        let limits = meter.interests();
        let gate = gate.map(Gatekeeper::interests).unwrap_or_default();
        let gates = fixed.len() + limits.len();
        let ours = gates + gate.len();
        let kept = fixed.into_iter().chain(limits).chain(gate);
        let all: Vec<_> = kept.chain(own.iter().copied()).collect();
        let mut fds: Vec<_> =
            all.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let timeout = Timespec::try_from(meter.patience()).ok();
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
            limits: came[3..gates].iter().any(|flags| !flags.is_empty()),
            gate: came[gates..ours].iter().any(|flags| !flags.is_empty()),
            own: came[ours..].to_vec(),
        })
    }

    fn signal(&self) -> Result<Option<Signal>, ShimError> {
        let read = self.signals.read_signal().map_err(errno)?;
        let number = read.and_then(|info| i32::try_from(info.ssi_signo).ok());
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }
}
