//! The uid that attacks: nobody but one run may have processes of it.

use super::directory::PREFIX;
use super::look;
use super::referee::RefereeError;
use crate::launch::RUN;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what ran as the uid before may take to be gone. What a killed run has started holds the uid
/// until it has ended, too.
const GONE: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Takes `uid` for as long as the file is open: one byte of it stands for each uid.
///
/// # Errors
/// [`RefereeError::Held`] where another run has it, [`RefereeError::Busy`] where something else runs as it.
pub(super) fn hold(uid: u32) -> Result<File, RefereeError> {
    let place = Path::new(RUN).join("verify");
    let failed = |why: String| RefereeError::Prepare { place: place.clone(), why };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&place, flags, Mode::from_raw_mode(0o600));
    let file = File::from(file.map_err(|errno| failed(errno.to_string()))?);
    // F_WRLCK and SEEK_SET, which libc has as wider numbers.
    let lock = libc::flock { l_type: 1, l_whence: 0, l_start: i64::from(uid), l_len: 1, l_pid: 0 };
    let until = Instant::now() + GONE;
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => break,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => {
                if Instant::now() >= until {
                    return Err(RefereeError::Held { uid });
                }
            }
            Err(errno) => return Err(failed(errno.to_string())),
        }
        std::thread::sleep(LOOK);
    }
    loop {
        match look::process_of(uid) {
            None => return Ok(file),
            Some(pid) if is_left_over(pid) => end(pid),
            Some(pid) if Instant::now() >= until => return Err(RefereeError::Busy { pid, uid }),
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}

/// Whether a run that was killed has left `pid`: it works in the directory of one, or names it.
fn is_left_over(pid: i32) -> bool {
    let directory = std::fs::read_link(format!("/proc/{pid}/cwd"));
    let named = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let in_it = directory.is_ok_and(|path| path.to_string_lossy().contains(PREFIX));
    in_it || String::from_utf8_lossy(&named).contains(PREFIX)
}

fn end(pid: i32) {
    let ended = Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|number| {
        let process = rustix::process::pidfd_open(number, PidfdFlags::empty())?;
        // The number may be another one's by now.
        if is_left_over(pid) {
            rustix::process::pidfd_send_signal(&process, Signal::KILL)
        } else {
            Ok(())
        }
    });
    match ended {
        Ok(()) => tracing::warn!(pid, "ended a process that a killed run had left"),
        Err(Errno::SRCH) => {}
        Err(errno) => tracing::warn!(pid, %errno, "what a killed run has left does not end"),
    }
    std::thread::sleep(Duration::from_millis(10));
}
