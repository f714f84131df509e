//! A running jail, as its launcher sees it.

use super::error::{LaunchError, cannot, cannot_io};
use super::record::Record;
use super::{cgroup, confirm, disk};
use crate::host::{paths, text};
use crate::jail::protocol::{self, Order, Report};
use crate::sys::Cloned;
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Signal, WaitOptions};
use std::cell::Cell;
use std::path::PathBuf;

/// A jail whose command runs. Dropping it ends it.
#[derive(Debug)]
pub struct Jail {
    pub(super) process: Cloned,
    pub(super) control: OwnedFd,
    pub(super) master: Option<OwnedFd>,
    pub(super) tmux: Option<OwnedFd>,
    pub(super) uid: u32,
    pub(super) cgroup: Option<PathBuf>,
    pub(super) cgroup_path: Option<String>,
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
        match protocol::tell_now(&self.control, order) {
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(cannot("tell init of", "the jail")(errno)),
        }
    }

    /// What init says; `None` once it has ended.
    ///
    /// # Errors
    /// [`LaunchError::Call`] for what is no report.
    pub fn hear(&self) -> Result<Option<Report>, LaunchError> {
        let heard = match protocol::hear(&self.control) {
            Err(Errno::CONNRESET) => None,
            other => other.map_err(cannot("understand", "what init of the jail says"))?,
        };
        self.silent.set(heard.is_none());
        Ok(heard)
    }

    /// Whether init has ended its side of the control socket: nothing more will come, and waiting for
    /// it would return at once for ever.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.get()
    }

    /// Bytes of memory that the jail's processes hold, as far as the kernel tells without the memory
    /// controller: anonymous and shared memory (proc_pid_status(5), `RssAnon` and `RssShmem`). Memory
    /// that several of them share is counted for each.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let processes = self.cgroup.as_deref().map(cgroup::processes).unwrap_or_default();
        processes.into_iter().filter_map(held_memory).sum()
    }

    /// The processes of the jail.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.cgroup.as_deref().map(cgroup::processes).unwrap_or_default().len()
    }

    /// What the jail's trees hold on disk, of each file system where that is bounded, and the limits.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn disk_used(&self) -> Result<Vec<disk::DiskUse>, LaunchError> {
        let bounds = self.record.iter().flat_map(|record| &record.made().disk);
        bounds.map(disk::used).collect()
    }

    /// Limits that were hit, with figures, one sentence each. To be asked before [`Jail::end`].
    #[must_use]
    pub fn limits_hit(&self) -> Vec<String> {
        let mut hit = self.cgroup.as_deref().map(limits_hit).unwrap_or_default();
        let disks = self.disk_used().unwrap_or_default();
        hit.extend(disks.iter().filter_map(disk::DiskUse::hit));
        hit
    }

    /// Proves that the tmux session is the agent's: the process that listens on the server's socket
    /// has the agent's uid and lives in the agent's cgroup, by the kernel's word.
    ///
    /// # Errors
    /// [`LaunchError::NotAsPlanned`] where it is not.
    pub fn prove_session(&self) -> Result<(), LaunchError> {
        let peer = self.server().map_err(cannot("reach", "the tmux server of the jail"))?;
        let differs = |what: &str, expected: String, found: String| LaunchError::NotAsPlanned {
            what: what.to_owned(),
            expected,
            found,
        };
        let uid = peer.uid.as_raw();
        if uid != self.uid {
            return Err(differs("the tmux server's uid", self.uid.to_string(), uid.to_string()));
        }
        let Some(path) = &self.cgroup_path else { return Ok(()) };
        let pid = peer.pid.as_raw_nonzero().get();
        if !confirm::is_in_cgroup(pid, path)? {
            let found = format!("elsewhere (pid {pid})");
            return Err(differs("the tmux server's cgroup", path.clone(), found));
        }
        Ok(())
    }

    /// Who listens on the server's socket (unix(7), `SO_PEERCRED`). Nothing is sent or received, and
    /// nobody is waited for: whoever listens in there may leave its queue full for ever, and connect(2)
    /// would wait with it.
    fn server(&self) -> Result<rustix::net::UCred, Errno> {
        let directory = self.tmux.as_ref().ok_or(Errno::NOENT)?;
        let place = paths::open_below(directory.as_fd(), "server")?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)?;
        rustix::net::sockopt::socket_peercred(&socket)
    }

    /// Ends every process of the jail now.
    ///
    /// # Errors
    /// [`LaunchError::Call`].
    pub fn kill(&self) -> Result<(), LaunchError> {
        if let Some(path) = &self.cgroup {
            cgroup::kill(path)?;
        }
        // Where there is no cgroup, the end of PID 1 is the end of its namespace.
        match rustix::process::pidfd_send_signal(&self.process.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(cannot("end", "init of the jail")(errno)),
        }
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

/// The memory of the process `pid`. Where its first thread has ended, the kernel tells nothing of it
/// there, though the others live on in the same memory: then one of them is asked.
fn held_memory(pid: i32) -> Option<u64> {
    let of = |folder: &std::path::Path| held_by(&folder.join("status"));
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    of(&process).or_else(|| {
        let threads = std::fs::read_dir(process.join("task")).ok()?.flatten();
        threads.map(|thread| thread.path()).find_map(|thread| of(&thread))
    })
}

fn held_by(status: &std::path::Path) -> Option<u64> {
    let text = text::read(status).ok()?;
    let kibibytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some((kibibytes("RssAnon:")? + kibibytes("RssShmem:")?) << 10)
}

/// Reads the counters of the cgroup's events (cgroup-v2, `memory.events`, `pids.events`).
fn limits_hit(path: &std::path::Path) -> Vec<String> {
    let read = |file: &str| {
        std::fs::read_to_string(path.join(file))
            .map_err(cannot_io("read", file))
            .unwrap_or_default()
    };
    let count = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
    };
    let mut hit = Vec::new();
    let memory = read("memory.events");
    let (kills, reached) = (count(&memory, "oom_kill "), count(&memory, "max "));
    if kills > 0 || reached > 0 {
        let (peak, max) = (read("memory.peak"), read("memory.max"));
        let figures = format!("peak {} of {} bytes", peak.trim(), max.trim());
        hit.push(format!(
            "memory: limit reached {reached} times, {kills} processes ended, {figures}"
        ));
    }
    let refused = count(&read("pids.events"), "max ");
    if refused > 0 {
        let (peak, max) = (read("pids.peak"), read("pids.max"));
        let figures = format!("peak {} of {}", peak.trim(), max.trim());
        hit.push(format!("tasks: {refused} refused, {figures}"));
    }
    hit
}
