//! fork(2) and ptrace(2) for the escape battery.

use super::{Cloned, last_errno, result};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use std::os::unix::process as unix;

/// Runs `child` in a copy of this process; what it returns becomes its exit status.
///
/// The caller must have no other thread: only the calling one goes on in the child, and a lock that
/// another one held would never be let go.
///
/// # Errors
/// The kernel's answer.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Cloned, Errno> {
    // SAFETY: the caller has a single thread, as documented: the child is a whole copy of the process.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = child();
        // SAFETY: _exit ends the child at once, so that nothing of the caller's is torn down twice.
        unsafe { libc::_exit(status) };
    }
    if pid < 0 {
        return Err(last_errno());
    }
    let pid = Pid::from_raw(pid).ok_or(Errno::INVAL)?;
    // Not reaped yet, so the number is still its own.
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Cloned { pid, pidfd }),
        // A child that nobody knows of must not go on.
        Err(errno) => {
            rustix::process::kill_process(pid, Signal::KILL)?;
            rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
            Err(errno)
        }
    }
}

/// Has the program of `command` lead a session of its own, whose terminal is that one of its standard descriptors (setsid(2),
/// ioctl_tty(2), `TIOCSCTTY`). Where that fails, the program is not started.
pub fn lead_session_of(command: &mut impl unix::CommandExt, terminal: BorrowedFd<'static>) {
    let lead = move || {
        rustix::process::setsid()?;
        Ok(rustix::process::ioctl_tiocsctty(terminal)?)
    };
    // SAFETY: between fork and exec the closure makes two system calls, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(lead) };
}

/// Closes every descriptor from 3 on but those of `kept` (close_range(2), Linux 5.9).
///
/// Only for a process that goes on with those alone: whoever owns another one may not use it again, nor let go of it.
///
/// # Errors
/// The kernel's answer; `EINVAL` where one of `kept` is none that can be spared.
pub fn close_all_but(kept: &[i32]) -> Result<(), Errno> {
    let kept = kept.iter().map(|fd| libc::c_uint::try_from(*fd).map_err(|_| Errno::INVAL));
    let mut kept = kept.collect::<Result<Vec<_>, _>>()?;
    if kept.iter().any(|fd| *fd < 3) {
        return Err(Errno::INVAL);
    }
    kept.sort_unstable();
    kept.dedup();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, libc::c_uint::MAX)
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: the call takes three numbers and changes no memory; as documented nobody uses the descriptors again.
    result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(|_| ())
}

/// Sets a variable of this process's environment.
///
/// The caller must have no other thread: another one could be reading the environment.
///
/// # Errors
/// `EINVAL` for a name or value that no variable can have.
pub fn set_variable(name: &str, value: &str) -> Result<(), Errno> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller has a single thread, as documented: nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
    Ok(())
}

/// Has this process ignore the signal `number` (signal(2)).
///
/// # Errors
/// The kernel's answer; `EINVAL` for those that cannot be ignored.
pub fn ignore_signal(number: nix::sys::signal::Signal) -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, signal};
    // SAFETY: no handler of this program is installed or lost: ignoring runs no code.
    let before = unsafe { signal(number, SigHandler::SigIgn) };
    before.map(|_| ()).map_err(|errno| Errno::from_raw_os_error(errno as i32))
}

/// Gives every signal that can have another one its usual meaning, but for SIGPIPE, which Rust's own start ignores and its
/// children do not: what a program ignores its children ignore, too (signal(7)).
///
/// # Errors
/// The kernel's answer.
pub fn reset_signals() -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    let kept = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGPIPE];
    for number in Signal::iterator().filter(|number| !kept.contains(number)) {
        // SAFETY: no handler of this program is lost that anything rests on: the caller has installed none.
        let before = unsafe { signal(number, SigHandler::SigDfl) };
        before.map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    }
    Ok(())
}

/// Where a traced process has stopped at a system call (ptrace(2), `PTRACE_GET_SYSCALL_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStop {
    /// On its way in.
    Entry {
        /// The call's number, of the convention it was made by.
        number: u64,
        /// Its first argument.
        first: u64,
    },
    /// On its way out, with the kernel's answer: below zero it is an error.
    Exit(i64),
    /// Neither.
    Other,
}

/// What the stopped process `pid` is stopped at; the caller traces it.
///
/// # Errors
/// The kernel's answer.
pub fn call_stop(pid: Pid) -> Result<CallStop, Errno> {
    const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    // `struct ptrace_syscall_info`: 24 bytes that all kinds have, then at most 64.
    let mut info = [0_u64; 11];
    // SAFETY: the request writes at most as many bytes as it is told `info` has.
    let answer = unsafe {
        libc::ptrace(
            GET_SYSCALL_INFO as _,
            pid.as_raw_nonzero().get(),
            size_of_val(&info),
            info.as_mut_ptr(),
        )
    };
    result(answer)?;
    Ok(match info[0].to_le_bytes()[0] {
        1 => CallStop::Entry { number: info[3], first: info[4] },
        2 => CallStop::Exit(info[3].cast_signed()),
        _ => CallStop::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};

    #[test]
    fn what_is_kept_stays_open_and_all_else_is_closed() {
        let (one, other) = rustix::pipe::pipe().unwrap();
        let more = rustix::io::fcntl_dupfd_cloexec(&one, 300).unwrap();
        let child = fork(|| {
            use rustix::fd::AsRawFd as _;
            let kept = [more.as_raw_fd(), one.as_raw_fd()];
            let closed = close_all_but(&kept).is_ok();
            let is_open = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
            let right = kept.into_iter().all(is_open) && !is_open(other.as_raw_fd());
            i32::from(!(closed && right))
        });
        let (_, status) = waitpid(Some(child.unwrap().pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(0));
        assert_eq!(close_all_but(&[2]), Err(Errno::INVAL));
    }

    #[test]
    fn a_child_has_a_status_of_its_own() {
        let child = fork(|| 7).unwrap();
        let (_, status) = waitpid(Some(child.pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(7));
    }
}
