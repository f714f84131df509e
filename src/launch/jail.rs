//! A running jail, as its launcher sees it.

use super::cgroup::{self, Switches};
use super::error::{LaunchError, cannot};
use super::record::Record;
use crate::jail::protocol::{Order, Report};
use crate::limits::Kept;
use crate::sys::Cloned;
use crate::wire::{self, Link};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use std::cell::Cell;

/// A jail whose command runs. Dropping it ends it.
#[derive(Debug)]
pub struct Jail {
    pub(super) process: Cloned,
    pub(super) control: Link,
    pub(super) master: Option<OwnedFd>,
    /// The socket on which the agent asks for what its profile lets it have.
    pub(super) door: Option<OwnedFd>,
    /// The process that carries its connections, where it has one.
    pub(super) gate: Option<super::Gate>,
    pub(super) record: Option<Record>,
    pub(super) silent: Cell<bool>,
}

impl Jail {
    /// A descriptor that is readable once the jail has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }

    /// The control socket; readable when init says something.
    #[must_use]
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Hands the agent's own socket over, where the jail has one.
    pub fn take_door(&mut self) -> Option<OwnedFd> {
        self.door.take()
    }

    /// Hands the gate over, where the jail has one.
    pub fn take_gate(&mut self) -> Option<super::Gate> {
        self.gate.take()
    }

    /// The master of the jail's terminal, if it has one.
    #[must_use]
    pub fn master(&self) -> Option<BorrowedFd<'_>> {
        self.master.as_ref().map(OwnedFd::as_fd)
    }

    /// Tells init something. An init that has ended is told nothing.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn tell(&self, order: &Order) -> Result<(), LaunchError> {
        match wire::say_now(&self.control, order) {
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(cannot("tell init of", "the jail")(errno)),
        }
    }

    /// What init says; `None` once it has ended.
    ///
    /// # Errors
    /// [`LaunchError::Call`] for what is no report.
    pub fn hear(&self) -> Result<Option<Report>, LaunchError> {
        let heard = match wire::hear(&self.control) {
            // What brings descriptors is no report, and hides what comes after it.
            Err(Errno::CONNRESET | Errno::BADMSG) => None,
            other => other.map_err(cannot("understand", "what init of the jail says"))?,
        };
        self.silent.set(heard.is_none());
        Ok(heard)
    }

    /// As [`Jail::hear`], without waiting.
    ///
    /// # Errors
    /// [`LaunchError::Call`]; `EAGAIN` where it says nothing now.
    pub fn hear_now(&self) -> Result<Option<Report>, LaunchError> {
        let heard = match wire::hear_now(&self.control) {
            // What brings descriptors is no report, and hides what comes after it.
            Err(Errno::CONNRESET | Errno::BADMSG) => None,
            other => other.map_err(cannot("understand", "what init of the jail says"))?,
        };
        self.silent.set(heard.is_none());
        Ok(heard)
    }

    /// Ends this side of the control socket: init ends when nobody is there to tell it anything.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn let_go(&self) -> Result<(), LaunchError> {
        rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both)
            .map_err(cannot("let go of", "init of the jail"))
    }

    /// All descriptors that it goes on with.
    #[must_use]
    pub fn descriptors(&self) -> Vec<i32> {
        use rustix::fd::AsRawFd as _;
        let mut all = vec![self.process.pidfd.as_raw_fd(), self.control.as_fd().as_raw_fd()];
        all.extend(self.master.as_ref().map(|master| master.as_raw_fd()));
        all.extend(self.record.as_ref().map(Record::descriptor));
        all
    }

    /// Whether init has ended its side of the control socket: nothing more will come, and waiting for
    /// it would return at once for ever.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.get()
    }

    /// The jail's name, as in the records.
    #[must_use]
    pub fn name(&self) -> String {
        self.record.as_ref().map(|record| record.name().to_owned()).unwrap_or_default()
    }

    /// What must be known to read the jail's figures.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.record.as_ref().and_then(|record| record.made().kept.clone()).unwrap_or_default()
    }

    /// Tells init something, and gives it `descriptors`. An init that has ended is told nothing.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn hand(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        match wire::hand(&self.control, order, descriptors) {
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(cannot("tell init of", "the jail")(errno)),
        }
    }

    /// What ends and freezes the jail for one who has no rights any more; `None` where it has no cgroup.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn switches(&self) -> Result<Option<Switches>, LaunchError> {
        let made = self.record.as_ref().map(Record::made);
        made.and_then(|made| made.cgroup.as_deref()).map(Switches::open).transpose()
    }

    /// Ends every process of the jail now.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn kill(&self) -> Result<(), LaunchError> {
        // PID 1 first: it must not see the others end before it and tell of that as of their own end.
        // Where there is no cgroup, its end is the end of its namespace.
        let init = match rustix::process::pidfd_send_signal(&self.process.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(cannot("end", "init of the jail")(errno)),
        };
        let made = self.record.as_ref().map(Record::made);
        if let Some(path) = made.and_then(|made| made.cgroup.as_ref()) {
            cgroup::kill(path)?;
        }
        init
    }

    /// Waits for the end of the jail and gives the status as a shell does; removes what was made.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn end(mut self) -> Result<u8, LaunchError> {
        let status = self.reap()?;
        if let Some(record) = self.record.take() {
            record.close()?;
        }
        Ok(status)
    }

    fn reap(&self) -> Result<u8, LaunchError> {
        let waited = rustix::process::waitpid(Some(self.process.pid), WaitOptions::empty())
            .map_err(cannot("wait for", "init of the jail"))?;
        let status = waited.and_then(|(_, status)| {
            status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        });
        Ok(status.and_then(|status| u8::try_from(status & 0xff).ok()).unwrap_or(125))
    }

    /// Goes on holding the record without a way to write it: what it tells of is removed by root.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn keep_record_unwritten(&mut self) -> Result<(), LaunchError> {
        self.record.as_mut().map_or(Ok(()), Record::give_up_writing)
    }

    /// Waits for the end of the jail and gives the status as a shell does. Removing what was made is left to
    /// whoever may: the record stays, and nobody holds it once this process has ended.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn leave_to_sweep(mut self) -> Result<u8, LaunchError> {
        let status = self.reap();
        // Its lock must hold until the process ends, and not a moment less.
        std::mem::forget(self.record.take());
        status
    }

    fn abandon(&mut self, record: Record) -> Result<(), LaunchError> {
        self.kill()?;
        self.reap()?;
        record.close()
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        if let Some(record) = self.record.take()
            && let Err(error) = self.abandon(record)
        {
            tracing::warn!(%error, "the next launch will remove what is left of the jail");
        }
    }
}
