//! A disk that can be filled.

use crate::harness::{Ended, command, finish};
use std::path::{Path, PathBuf};

/// A small disk of a test's own, which can be filled to its last page.
pub(crate) struct SmallDisk(tempfile::TempDir);

pub(crate) fn run(words: &[&str]) -> Ended {
    finish(command("/usr/bin/env").args(words))
}

impl SmallDisk {
    pub(crate) fn new(size: &str) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let options = format!("size={size},mode=755");
        let at = folder.path().display().to_string();
        run(&["mount", "-t", "tmpfs", "-o", &options, "none", &at]).expect(0);
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    pub(crate) fn fill(&self) {
        let of = format!("of={}", self.filler().display());
        run(&["dd", "if=/dev/zero", &of, "bs=4k"]).expect(1);
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let ended = run(&["umount", &self.path().display().to_string()]);
        if !std::thread::panicking() {
            ended.expect(0);
        }
    }
}
