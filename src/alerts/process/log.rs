//! A sink that is a file of JSON lines, bounded as the journals are.

use super::super::alert::Alert;
use super::{Failure, json};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::rc::Rc;

/// A file of this many bytes becomes the old one; there is one old one.
const MOST: u64 = 1 << 20;
/// What a file may have at the most: the kernel holds the process to that.
pub(super) const LONGEST_FILE: u64 = 2 * MOST;

/// A file in the folder of log files.
pub(super) struct Log {
    folder: Rc<OwnedFd>,
    name: String,
}

impl Log {
    /// The one of the sink called `name`.
    pub(super) fn new(folder: Rc<OwnedFd>, name: &str) -> Self {
        Self { folder, name: format!("{name}.jsonl") }
    }

    /// Writes `alert` down, whole or not at all.
    pub(super) fn tell(&self, alert: &Alert) -> Result<(), Failure> {
        let mut text = json(alert)?;
        text.push(b'\n');
        let failed =
            |errno: Errno| Failure::for_now(format!("cannot write {}: {errno}", self.name));
        self.append(&text).map_err(failed)
    }

    fn append(&self, text: &[u8]) -> Result<(), Errno> {
        let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let mut file = self.open()?;
        let mut length = file.metadata().map_err(io)?.len();
        if length >= MOST {
            let old = format!("{}.old", self.name);
            rustix::fs::renameat(&self.folder, &self.name, &self.folder, old)?;
            (file, length) = (self.open()?, 0);
        }
        file.write_all(text).map_err(|error| {
            // Half a line would swallow the next one. Where that fails too, it is the disk that is told of.
            let cut = file.set_len(length);
            io(cut.err().unwrap_or(error))
        })
    }

    fn open(&self) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.folder, &self.name, flags, Mode::from_raw_mode(0o640));
        Ok(File::from(file?))
    }
}
