//! What is done for a person's terminal where this program panics.
//!
//! Decides: nothing; it writes what [`super::reset`] says and gives back the settings that [`super::raw`] has saved. In this
//! program a panic ends the process where it stands (`panic = "abort"`): no destructor runs, but the panic hook does.
//!
//! Does not protect against: an end by `SIGKILL` or by a signal of the processor; `reset` (tput(1)) helps then.

#![forbid(unsafe_code)]

use super::reset::{self, Screen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcsetattr};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// How long a terminal that takes nothing is waited for: a person who has stopped it does not keep the program from its end.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of the terminal in use; there is one for a process.
static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

/// The hook is set once.
static HOOK: Once = Once::new();

struct Saved {
    output: OwnedFd,
    /// The settings of the terminal on standard input, where they were changed.
    settings: Option<Termios>,
    screen: Screen,
}

/// Sees to the terminal while this lives.
#[derive(Debug)]
#[must_use = "nothing is seen to once this is dropped"]
pub struct Rescue(());

impl Rescue {
    /// Sees to the terminal that `output` writes to, and to the `settings` of the one on standard input.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left.
    pub fn arm(output: impl AsFd, settings: Option<Termios>) -> Result<Self, Errno> {
        let output = rustix::io::fcntl_dupfd_cloexec(output, 3)?;
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // First: what is told of the panic is to be read.
                rescue();
                before(panic);
            }));
        });
        let saved = Saved { output, settings, screen: Screen::Main };
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
        Ok(Self(()))
    }

    /// The terminal is on `screen` now.
    pub fn is_on(&self, screen: Screen) {
        if let Some(saved) = &mut *SAVED.lock().unwrap_or_else(PoisonError::into_inner) {
            saved.screen = screen;
        }
    }
}

impl Drop for Rescue {
    fn drop(&mut self) {
        SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn rescue() {
    // A panic in the moment in which it is changed finds nothing: that moment changes no terminal.
    let Ok(mut saved) = SAVED.try_lock() else { return };
    let Some(Saved { output, settings, screen }) = saved.take() else { return };
    let reset = write(&output, screen);
    let restored = settings.map_or(Ok(()), |settings| {
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &settings)
    });
    if let Err(errno) = reset.and(restored) {
        tracing::debug!(%errno, "the terminal was not reset");
    }
}

/// Writes the reset of a terminal that is on `screen`. One that takes nothing is waited for, but not for long.
///
/// # Errors
/// The kernel's answer: `EIO` where the terminal is gone, `ETIMEDOUT` where it took too long.
pub fn write(output: impl AsFd, screen: Screen) -> Result<(), Errno> {
    let bytes = reset::bytes(screen);
    let until = Instant::now() + PATIENCE;
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(&output, PollFlags::OUT)];
        match poll(&mut polled, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        match rustix::io::write(&output, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::descriptor::{reopen_for_writing, set_nonblocking};
    use crate::terminal::raw::RawMode;
    use crate::terminal::testing::Pty;
    use rustix::termios::tcgetattr;

    const CHILD: &str = "CELLBLOCK_TEST_PANICS";

    /// What the child of the test below does, and nothing without that.
    #[test]
    fn a_program_that_panics_on_a_raw_terminal() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let raw = RawMode::enter(rustix::stdio::stdin()).unwrap();
        let output = reopen_for_writing(rustix::stdio::stdout()).unwrap();
        let rescue = Rescue::arm(&output, raw.saved().cloned()).unwrap();
        rustix::io::write(&output, b"\x1b[?1049h\x1b[?25l\x1b[31m").unwrap();
        rescue.is_on(Screen::Alternate);
        // As with `panic = "abort"`: nothing is dropped.
        std::mem::forget((raw, rescue));
        panic!("on purpose");
    }

    #[test]
    fn a_panic_brings_the_terminal_back() {
        let pty = Pty::open();
        let shape = || format!("{:?}", tcgetattr(&pty.slave).unwrap().local_modes);
        let before = shape();
        #[allow(clippy::disallowed_methods, reason = "this very test, as a child that panics")]
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let end = || std::process::Stdio::from(pty.slave.try_clone().unwrap());
        child.args(["--exact", "--nocapture", "--test-threads=1"]);
        child.arg("terminal::rescue::tests::a_program_that_panics_on_a_raw_terminal");
        child.env(CHILD, "1").stdin(end()).stdout(end()).stderr(end());
        let mut child = child.spawn().unwrap();
        let (mut all, mut block) = (Vec::new(), [0; 4096]);
        set_nonblocking(&pty.master).unwrap();
        let ended = loop {
            while let Ok(count @ 1..) = rustix::io::read(&pty.master, &mut block) {
                all.extend_from_slice(&block[..count]);
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        while let Ok(count @ 1..) = rustix::io::read(&pty.master, &mut block) {
            all.extend_from_slice(&block[..count]);
        }
        let shown = String::from_utf8_lossy(&all).into_owned();
        assert!(!ended.success(), "{shown}");
        let reset = String::from_utf8(reset::bytes(Screen::Alternate)).unwrap();
        let (changed, told) = shown.split_once(&reset).unwrap_or_else(|| panic!("{shown:?}"));
        assert!(changed.ends_with("\x1b[?1049h\x1b[?25l\x1b[31m"), "{changed:?}");
        assert!(told.contains("on purpose"), "{told:?}");
        assert_eq!(shape(), before);
    }

    #[test]
    fn a_terminal_that_takes_nothing_is_not_waited_for_for_long() {
        let pty = Pty::open();
        let output = reopen_for_writing(&pty.slave).unwrap();
        // What it has taken is moved on behind its back, until nothing moves any more.
        let mut fills = true;
        while std::mem::take(&mut fills) {
            for size in [4096, 1] {
                while rustix::io::write(&output, &vec![b'x'; size]).is_ok() {
                    fills = true;
                }
            }
            std::thread::sleep(PATIENCE / 10);
        }
        let begun = Instant::now();
        assert_eq!(write(&output, Screen::Main), Err(Errno::TIMEDOUT));
        assert!(begun.elapsed() >= PATIENCE);
        // One that is read goes on.
        rustix::io::read(&pty.master, &mut [0; 65536]).unwrap();
        assert_eq!(write(&output, Screen::Main), Ok(()));
    }
}
