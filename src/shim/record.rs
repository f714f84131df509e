//! The recording of a session: a tmux client of its own, which nobody sees, and a file that the agent cannot reach.
//!
//! It is a view that types nothing and has no say in the window's size. The shim holds its master and writes what is
//! drawn there; by now it may write nothing but files of that one folder.

use crate::launch::{LaunchError, recordings};
use crate::plan::{Plan, RecordPlan};
use crate::terminal::recording::{About, Folder, Recorder};
use crate::terminal::size::{self, Size};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// The most that is read at once, in bytes.
const READ: usize = 16 << 10;

/// How often a master is read at the end: more than it holds.
const LAST_READS: u32 = 64;

/// The folder of a recording, opened with the launcher's rights.
pub(super) struct Prepared {
    pub(super) folder: OwnedFd,
    about: About,
}

impl Prepared {
    /// The longest file that it writes, in bytes.
    pub(super) fn longest(&self) -> u64 {
        self.about.part_bound()
    }
}

/// Makes ready to record the session of `plan`, if it is to be recorded.
pub(super) fn prepare(plan: &Plan) -> Result<Option<Prepared>, LaunchError> {
    let Some(terminal) = &plan.terminal else { return Ok(None) };
    let Some(RecordPlan { folder, bound, .. }) = &terminal.record else { return Ok(None) };
    let folder = recordings(folder, terminal.shim.uid)?;
    let (columns, rows) = terminal.size;
    let about = About {
        agent: plan.agent.clone(),
        terminal: "xterm-256color".to_owned(),
        size: Size { rows, columns },
        bound: *bound,
    };
    Ok(Some(Prepared { folder, about }))
}

/// A session that is recorded.
pub(super) struct Recording {
    recorder: Recorder<Folder>,
    /// Its client, until init says that it has ended.
    view: Option<u32>,
    /// What that draws on; nothing once it has closed it.
    master: Option<OwnedFd>,
    size: Size,
}

impl Recording {
    pub(super) fn new(prepared: Prepared) -> Self {
        let Prepared { folder, about } = prepared;
        let size = about.size;
        Self {
            recorder: Recorder::new(folder, about, Instant::now()),
            view: None,
            master: None,
            size,
        }
    }

    /// Its client, called `view`, draws on `master` from now on.
    pub(super) fn begin(&mut self, view: u32, master: OwnedFd) {
        (self.view, self.master) = (Some(view), Some(master));
    }

    /// Whether its client is the one called `view`, which has ended then.
    pub(super) fn ends(&mut self, view: u32) -> bool {
        if self.view != Some(view) {
            return false;
        }
        self.read();
        (self.view, self.master) = (None, None);
        true
    }

    pub(super) fn master(&self) -> Option<BorrowedFd<'_>> {
        self.master.as_ref().map(|master| master.as_fd())
    }

    /// Writes down what was drawn.
    pub(super) fn read(&mut self) {
        let Some(master) = &self.master else { return };
        let mut bytes = [0; READ];
        match rustix::io::read(master, &mut bytes) {
            Ok(count) if count > 0 => self.recorder.output(Instant::now(), &bytes[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(_) | Err(_) => self.master = None,
        }
    }

    /// The session has the size of somebody's terminal now.
    pub(super) fn resize(&mut self, size: Size) {
        if size == self.size {
            return;
        }
        self.size = size;
        self.recorder.resize(Instant::now(), size);
        self.set_size(size);
    }

    fn set_size(&self, size: Size) {
        if let Some(master) = &self.master
            && let Err(error) = size::set(master, size)
        {
            tracing::debug!(%error, "the recording keeps its size");
        }
    }

    /// What is due; how long to wait for the next, and what there is to say, once.
    pub(super) fn turn(&mut self) -> (Option<Duration>, Option<String>) {
        let patience = self.recorder.turn(Instant::now());
        if self.recorder.take_redraw() {
            // tmux draws everything again where the size changes.
            self.set_size(Size { rows: self.size.rows.saturating_sub(1).max(1), ..self.size });
            self.set_size(self.size);
        }
        (patience, self.recorder.take_trouble())
    }

    /// The session has ended.
    pub(super) fn finish(&mut self, status: Option<i32>) {
        for _ in 0..LAST_READS {
            if !self.has_more() {
                break;
            }
            self.read();
        }
        self.recorder.exit(Instant::now(), status);
    }

    fn has_more(&self) -> bool {
        self.master.as_ref().is_some_and(super::is_readable)
    }
}
