//! `exec`: one command, its status passed on.

use super::super::protocol::Order;
use super::children::{Children, reap, shell_status};
use super::{FAILED, fail};
use crate::wire::hear;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::io::ErrorKind;

/// Runs `words` to its end; the status is that of the command, or 125, 126, 127 as for `env`(1).
pub(super) fn run(control: &OwnedFd, words: &[OsString]) -> u8 {
    let children = match Children::new() {
        Ok(children) => children,
        Err(errno) => {
            return fail(control, format!("init cannot wait for children: {errno}"), FAILED);
        }
    };
    if let Err(cause) = lead() {
        return fail(control, cause, FAILED);
    }
    match children.start(|| start(words)) {
        Ok(Ok(child)) => follow(control, &children, child),
        Ok(Err((cause, status))) => fail(control, cause, status),
        Err(errno) => fail(control, format!("init cannot unblock signals: {errno}"), FAILED),
    }
}

/// Leads a session of its own, with the jail's terminal if one of the standard descriptors is that.
fn lead() -> Result<(), String> {
    rustix::process::setsid().map_err(|errno| format!("init cannot lead a session: {errno}"))?;
    let standard = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    // Where all are pipes or files there is nothing to take.
    let Some(terminal) = standard.into_iter().find(|fd| rustix::termios::isatty(fd)) else {
        return Ok(());
    };
    rustix::process::ioctl_tiocsctty(terminal)
        .map_err(|errno| format!("init cannot take the jail's terminal: {errno}"))
}

/// Starts a program with the environment and the standard descriptors of init.
#[allow(clippy::disallowed_methods, reason = "init is where the jail's command is started")]
fn start(words: &[OsString]) -> Result<Pid, (String, u8)> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(("no command was given".to_owned(), FAILED));
    };
    match std::process::Command::new(program).args(arguments).spawn() {
        Ok(child) => i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| ("the command has no pid".to_owned(), FAILED)),
        Err(error) => {
            let status = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
            let program = program.to_string_lossy();
            let cause = Errno::from_io_error(&error).map_or(error.to_string(), |e| e.to_string());
            Err((format!("cannot run {program}: {cause}"), status))
        }
    }
}

fn follow(control: &OwnedFd, children: &Children, child: Pid) -> u8 {
    loop {
        let mut ended = None;
        reap(|pid, status| {
            if pid == child {
                ended = Some(shell_status(status));
            }
        });
        if let Some(status) = ended {
            return status;
        }
        match children.wait(control, None, None) {
            Ok(ready) if ready.control && !obey(control, child) => return FAILED,
            Ok(_) => {}
            Err(_) => return FAILED,
        }
    }
}

/// Does what the launcher says; `false` when it is gone.
fn obey(control: &OwnedFd, child: Pid) -> bool {
    match hear(control) {
        Ok(Some(Order::Signal(number))) => {
            // A command that has just ended cannot take the signal, and needs none.
            if let Some(signal) = Signal::from_named_raw(number)
                && let Err(Errno::PERM | Errno::INVAL) =
                    rustix::process::kill_process(child, signal)
            {
                return false;
            }
            true
        }
        Ok(Some(
            Order::Start
            | Order::Watch
            | Order::Stop
            | Order::Attach { .. }
            | Order::Screen
            | Order::Panes
            | Order::Type { .. }
            | Order::Run { .. }
            | Order::SignalJob { .. },
        )) => true,
        Ok(None) | Err(_) => false,
    }
}
