//! Signals that ask the run to end.
//!
//! They are blocked and read from a descriptor: whatever is under way is ended in order, so that a run
//! leaves nothing behind. What the run starts gets them as the run itself found them.

use crate::host::text;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The signals by which a person, a terminal or a service manager ends a program.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// Signals belong to the process, and so does what came of them.
static CAUGHT: OnceLock<Caught> = OnceLock::new();
static ASKED: AtomicU32 = AtomicU32::new(0);
static FIRST: AtomicI32 = AtomicI32::new(0);

#[derive(Debug)]
struct Caught {
    signals: SignalFd,
    /// What was blocked before.
    before: SigSet,
}

/// From now on the signals are only noticed. What the caller was told to ignore stays ignored.
///
/// # Errors
/// The kernel's answer.
pub fn catch() -> Result<(), Errno> {
    let kernel = |errno: nix::errno::Errno| Errno::from_raw_os_error(errno as i32);
    let ignored = ignored(&text::read("/proc/self/status")?);
    let wanted = SIGNALS.into_iter().filter(|signal| ignored & (1 << (*signal as i32 - 1)) == 0);
    let mask: SigSet = wanted.collect();
    let before = SigSet::thread_get_mask().map_err(kernel)?;
    mask.thread_block().map_err(kernel)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&mask, flags).map_err(kernel)?;
    // Who has caught them before goes on with that.
    drop(CAUGHT.set(Caught { signals, before }));
    Ok(())
}

/// The signals that are ignored, as a set of bits (proc_pid_status(5)).
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

/// How often the run was asked to end.
#[must_use]
pub fn asked() -> u32 {
    let Some(caught) = CAUGHT.get() else { return 0 };
    while let Ok(Some(came)) = caught.signals.read_signal() {
        let signal = i32::try_from(came.ssi_signo).unwrap_or(0);
        if ASKED.fetch_add(1, Ordering::Relaxed) == 0 {
            FIRST.store(signal, Ordering::Relaxed);
        }
    }
    ASKED.load(Ordering::Relaxed)
}

/// The signal that asked first.
#[must_use]
pub fn first() -> Option<i32> {
    (asked() > 0).then(|| FIRST.load(Ordering::Relaxed))
}

/// The signals do what they did before: in a child, and where nothing is left to end in order.
pub fn release() {
    if let Some(caught) = CAUGHT.get()
        && let Err(errno) = caught.before.thread_set_mask()
    {
        tracing::debug!(%errno, "signals stay blocked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_its_line() {
        assert_eq!(ignored("Name:\tx\nSigBlk:\t0001\nSigIgn:\t0000000000000003\n"), 3);
        assert_eq!(ignored("Name:\tx\n"), 0);
    }

    #[test]
    fn who_catches_nothing_is_never_asked() {
        // Only the command line catches signals.
        assert_eq!((asked(), first()), (0, None));
    }
}
