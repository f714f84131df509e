//! Starts this program once more, as one of cellblock's own processes outside of jails.

use super::error::{LaunchError, cannot};
use super::program;
use crate::sys::{self, CloneFlags, Cloned};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};

/// Starts `program` with `words`, of which the first is its name, and `control` as its standard input; it has no other
/// descriptor that leads anywhere, no terminal, and the variables of `environment`.
///
/// The caller must have no second thread.
///
/// # Errors
/// [`LaunchError::Call`].
pub(super) fn start(
    program: BorrowedFd<'_>,
    control: &OwnedFd,
    words: &[String],
    environment: &[CString],
) -> Result<Cloned, LaunchError> {
    let name = words.first().cloned().unwrap_or_default();
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let nowhere = rustix::fs::openat(CWD, "/dev/null", flags, Mode::empty())
        .map_err(cannot("open", "/dev/null"))?;
    let nul = |_| LaunchError::Unusable(format!("the words of {name} have a NUL"));
    let words = words.iter().map(|word| CString::new(word.as_str()));
    let words: Vec<CString> = words.collect::<Result<_, _>>().map_err(nul)?;
    let mut failed = None;
    let mut child = || {
        failed = exec(program, control, &nowhere, (&words, environment)).err();
        1
    };
    let process = sys::clone_into(CloneFlags::default(), None, &mut child)
        .map_err(cannot("make the process of", &name))?;
    match failed {
        Some(errno) => {
            // It has ended by itself.
            let reaped =
                rustix::process::waitpid(Some(process.pid), rustix::process::WaitOptions::empty());
            reaped.map_err(cannot("wait for", &name))?;
            Err(cannot("start", &name)(errno))
        }
        None => Ok(process),
    }
}

/// Variables by which a service manager speaks to this process alone.
const OWN: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// The same of this very program, with the variables of this process, but for those that are meant for it alone.
///
/// # Errors
/// As for [`start`].
pub fn start_own(control: &OwnedFd, words: &[String]) -> Result<Cloned, LaunchError> {
    use std::os::unix::ffi::OsStrExt as _;
    let program = program::open()?;
    let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        if OWN.iter().any(|own| name == *own) {
            return None;
        }
        let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
        CString::new(text).ok()
    };
    let environment: Vec<CString> = std::env::vars_os().filter_map(variable).collect();
    start(program.as_fd(), control, words, &environment)
}

/// The same without any variable.
///
/// # Errors
/// As for [`start`].
pub(super) fn start_bare(control: &OwnedFd, words: &[String]) -> Result<Cloned, LaunchError> {
    start(program::open()?.as_fd(), control, words, &[])
}

/// Becomes the program. Returns only if it cannot.
fn exec(
    program: BorrowedFd<'_>,
    control: &OwnedFd,
    nowhere: &OwnedFd,
    (words, environment): (&[CString], &[CString]),
) -> Result<(), Errno> {
    // A session of its own: what is typed at the launcher's terminal is not for it.
    rustix::process::setsid()?;
    rustix::stdio::dup2_stdin(control)?;
    rustix::stdio::dup2_stdout(nowhere)?;
    rustix::stdio::dup2_stderr(nowhere)?;
    sys::close_on_exec_from(3)?;
    rustix::process::chdir("/")?;
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
    let environment: Vec<&CStr> = environment.iter().map(CString::as_c_str).collect();
    let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
    let Err(errno) = nix::unistd::execveat(program, c"", &words, &environment, flags);
    Err(Errno::from_raw_os_error(errno as i32))
}
