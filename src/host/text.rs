//! Reads small texts of the kernel in one go.
//!
//! `std` asks a file for its size, gets 0 for those below `/proc` and `/sys`, and feels its way with
//! small reads; each of them makes the kernel write the text anew.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// The first reading's size: more than any of these texts on most machines.
const USUAL: usize = 16 << 10;

/// The text of `path`.
///
/// # Errors
/// The kernel's answer; `EILSEQ` for what is not UTF-8.
pub fn read(path: impl AsRef<Path>) -> Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path.as_ref(), flags, Mode::empty())?;
    let mut bytes = Vec::with_capacity(USUAL);
    loop {
        let count = rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes))?;
        if count == 0 {
            return String::from_utf8(bytes).map_err(|_| Errno::ILSEQ);
        }
        bytes.reserve(USUAL / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_std_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("long");
        std::fs::write(&file, "é".repeat(100_000)).unwrap();
        assert_eq!(read(&file).unwrap(), std::fs::read_to_string(&file).unwrap());
        assert_eq!(read(folder.path().join("none")), Err(Errno::NOENT));
        assert!(read("/proc/self/status").unwrap().contains("NoNewPrivs"));
    }
}
