//! Reads from outside what the kernel answers to one call of the prober (ptrace(2)).
//!
//! The prober's word for an answer proves nothing; this is the kernel's. The call is told from all
//! others by the mark before it.

use super::channel;
use super::interrupt;
use crate::sys::{self, CallStop};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long the watch rests between two looks.
const REST: Duration = Duration::from_micros(50);

/// What was seen of the marked call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The kernel's answer; below zero an error.
    Answer(i64),
    /// The process was ended by this signal before the call came back; 0 if it ended by itself.
    Ended(i32),
    /// The process was ended by this signal before it made the call; 0 if it ended by itself.
    Early(i32),
    /// The prober never made the call.
    Never,
    /// The call did not come back in time.
    Overdue,
}

/// A process that is being watched.
#[derive(Debug)]
pub struct Watch {
    pid: Pid,
}

/// How far the watch has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeMark,
    InMark,
    AfterMark,
    InCall,
}

impl Watch {
    /// Begins to watch `pid`.
    ///
    /// # Errors
    /// The kernel's answer, as a clause.
    pub fn begin(pid: i32) -> Result<Self, String> {
        let pid = Pid::from_raw(pid);
        let failed = |errno: nix::errno::Errno| format!("cannot watch the prober: {errno}");
        ptrace::seize(pid, Options::PTRACE_O_TRACESYSGOOD).map_err(failed)?;
        ptrace::interrupt(pid).map_err(failed)?;
        Ok(Self { pid })
    }

    /// Watches until the call marked by `mark` has its answer, or the prober says something on
    /// `channel`, or until `deadline`; then lets go.
    #[must_use]
    pub fn follow(self, mark: i32, channel: BorrowedFd<'_>, deadline: Instant) -> Seen {
        let seen = self.until_answer(mark, channel, deadline);
        if !matches!(seen, Seen::Ended(_) | Seen::Early(_)) {
            self.let_go();
        }
        seen
    }

    fn until_answer(&self, mark: i32, channel: BorrowedFd<'_>, deadline: Instant) -> Seen {
        let mut stage = Stage::BeforeMark;
        loop {
            if Instant::now() >= deadline || interrupt::asked() > 0 {
                return Seen::Overdue;
            }
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Ok(WaitStatus::StillAlive) => {
                    if stage == Stage::BeforeMark && channel::speaks(channel).unwrap_or(true) {
                        return Seen::Never;
                    }
                    std::thread::sleep(REST);
                }
                Ok(WaitStatus::PtraceSyscall(_)) => {
                    let stop = sys::call_stop(rustix_pid(self.pid)).unwrap_or(CallStop::Other);
                    match advance(stage, stop, mark) {
                        Ok(next) => stage = next,
                        Err(answer) => return Seen::Answer(answer),
                    }
                    self.go_on(None);
                }
                Ok(WaitStatus::Stopped(_, signal)) => self.go_on(Some(signal)),
                Ok(WaitStatus::PtraceEvent(..)) => self.go_on(None),
                Ok(WaitStatus::Signaled(_, signal, _)) => return ended(stage, signal as i32),
                Ok(WaitStatus::Exited(..) | WaitStatus::Continued(_)) | Err(_) => {
                    return ended(stage, 0);
                }
            }
        }
    }

    /// A prober that has ended in the meantime needs nothing.
    fn go_on(&self, signal: Option<nix::sys::signal::Signal>) {
        if let Err(errno) = ptrace::syscall(self.pid, signal) {
            tracing::debug!(%errno, "the prober went away");
        }
    }

    /// Only who is stopped can be let go.
    fn let_go(&self) {
        let stopped = ptrace::detach(self.pid, None).is_ok();
        if stopped || ptrace::interrupt(self.pid).is_err() {
            return;
        }
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(REST),
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_) => return,
                Ok(_) => {
                    if let Err(errno) = ptrace::detach(self.pid, None) {
                        tracing::debug!(%errno, "the prober went away");
                    }
                    return;
                }
            }
        }
    }
}

fn ended(stage: Stage, signal: i32) -> Seen {
    match stage {
        Stage::BeforeMark | Stage::InMark | Stage::AfterMark => Seen::Early(signal),
        Stage::InCall => Seen::Ended(signal),
    }
}

/// The next stage, or the answer.
fn advance(stage: Stage, stop: CallStop, mark: i32) -> Result<Stage, i64> {
    let is_mark = |number: u64, first: u64| {
        // A descriptor is 32 bits wide.
        let first = first & u64::from(u32::MAX);
        i64::try_from(number) == Ok(libc::SYS_close) && first == u64::from(mark.cast_unsigned())
    };
    match (stage, stop) {
        (Stage::BeforeMark, CallStop::Entry { number, first }) if is_mark(number, first) => {
            Ok(Stage::InMark)
        }
        (Stage::InMark, CallStop::Exit(_)) => Ok(Stage::AfterMark),
        (Stage::AfterMark, CallStop::Entry { .. }) => Ok(Stage::InCall),
        (Stage::InCall, CallStop::Exit(answer)) => Err(answer),
        (same, CallStop::Entry { .. } | CallStop::Exit(_) | CallStop::Other) => Ok(same),
    }
}

fn rustix_pid(pid: Pid) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(pid.as_raw()).unwrap_or(rustix::process::Pid::INIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Argument, Entry, attempt, fork};
    use crate::verify::channel::Link;
    use rustix::process::Signal;

    fn watched(mark: i32, call: fn(i32)) -> Seen {
        let (outer, inner) = channel::pair().unwrap();
        let (outer, inner) = (Link::Socket(outer), Link::Socket(inner));
        let child = fork(|| {
            inner.hear::<u8>().ok();
            call(mark);
            inner.say(&0_u8).ok();
            inner.hear::<u8>().ok();
            0
        })
        .unwrap();
        let watch = Watch::begin(child.pid.as_raw_nonzero().get()).unwrap();
        outer.say(&1_u8).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let seen = watch.follow(mark, outer.as_fd(), deadline);
        outer.say(&2_u8).ok();
        // The end of one's own child is told once.
        if !matches!(seen, Seen::Ended(_) | Seen::Early(_)) {
            let options = rustix::process::WaitOptions::empty();
            rustix::process::waitpid(Some(child.pid), options).unwrap();
        }
        seen
    }

    #[test]
    fn the_kernels_answer_is_seen_and_no_other() {
        let seen = watched(0x4321_1234, |mark| {
            std::fs::read("/proc/self/status").ok();
            let mut call = [Argument::Bytes(b"/nowhere\0"), 0.into()];
            attempt(mark, Entry::Native, libc::SYS_truncate, &mut call).ok();
            std::fs::read("/proc/self/status").ok();
        });
        assert_eq!(seen, Seen::Answer(-i64::from(libc::ENOENT)));
        assert_eq!(watched(0x4321_1235, |_| {}), Seen::Never);
    }

    #[test]
    fn an_end_on_the_way_is_not_the_calls() {
        // What it has open is closed before its end is told.
        for _ in 0..20 {
            let seen = watched(0x4321_1236, |_| {
                rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).ok();
            });
            assert_eq!(seen, Seen::Early(libc::SIGKILL));
        }
        let seen = watched(0x4321_1237, |mark| {
            let own = rustix::process::getpid().as_raw_nonzero().get();
            let mut call = [i64::from(own).cast_unsigned().into(), 9.into()];
            attempt(mark, Entry::Native, libc::SYS_kill, &mut call).ok();
        });
        assert_eq!(seen, Seen::Ended(libc::SIGKILL));
    }
}
