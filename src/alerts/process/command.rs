//! A sink that is a command, which another process runs: this one could start none.

use super::super::alert::Alert;
use super::super::protocol::{Job, Ran};
use super::Failure;
use super::line::Line;
use rustix::fd::OwnedFd;
use std::cell::Cell;
use std::rc::Rc;

/// The line to the process that runs it, and how often it was asked to.
pub(super) struct Command(Line, Cell<u64>);

impl Command {
    pub(super) fn new(line: OwnedFd) -> Result<Self, String> {
        Line::new(Rc::new(line)).map(|line| Self(line, Cell::new(0)))
    }

    /// Has it run with `alert`, and waits for its end, which is bounded by who runs it.
    pub(super) async fn tell(&self, alert: &Alert) -> Result<(), Failure> {
        let gone = || Failure::for_now("the process that runs the command has ended");
        let Self(line, last) = self;
        let number = last.get() + 1;
        last.set(number);
        let job = Job { number, alert: alert.clone() };
        if !line.say(&job).await.map_err(Failure::for_now)? {
            return Err(gone());
        }
        loop {
            let ran = line.hear::<Ran>().await.map_err(Failure::for_now)?.ok_or_else(gone)?;
            // Others are about what was given up before.
            if ran.number == number {
                return ran.failed.map_or(Ok(()), |cause| Err(Failure::for_now(cause)));
            }
        }
    }
}
