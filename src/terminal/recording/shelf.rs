//! Where parts of recordings are kept.
//!
//! Decides: that a part is there with a whole header or not at all. Must never: follow a link, or leave
//! the directory it was given: it asks for nothing by a path.

#![forbid(unsafe_code)]

use super::name::Name;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// What a file takes at the least, in bytes: without it, files without end would count as nothing.
const LEAST: u64 = 4096;

/// A part that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: Name,
    /// Its length in bytes.
    pub length: u64,
}

impl Kept {
    /// What it counts against the bound.
    #[must_use]
    pub fn counts(&self) -> u64 {
        self.length.max(LEAST)
    }
}

/// What a recorder does to files, and the clock of their dates.
pub trait Shelf {
    /// A part that is being written.
    type File;

    /// The parts of `agent`, the oldest first.
    ///
    /// # Errors
    /// The kernel's answer.
    fn list(&mut self, agent: &str) -> Result<Vec<Kept>, Errno>;

    /// Makes the part `name`, which begins with `header`.
    ///
    /// # Errors
    /// The kernel's answer; `EEXIST` where there is one of that name. Nothing is left then.
    fn begin(&mut self, name: &Name, header: &[u8]) -> Result<Self::File, Errno>;

    /// Adds `bytes`, or as many of them as there is room for, and says how many.
    ///
    /// # Errors
    /// The kernel's answer.
    fn append(&mut self, file: &mut Self::File, bytes: &[u8]) -> Result<usize, Errno>;

    /// Leaves the first `length` bytes.
    ///
    /// # Errors
    /// The kernel's answer.
    fn cut(&mut self, file: &mut Self::File, length: u64) -> Result<(), Errno>;

    /// Removes the part `name`.
    ///
    /// # Errors
    /// The kernel's answer; that it is gone already is no error.
    fn remove(&mut self, name: &Name) -> Result<(), Errno>;

    /// Seconds since 1970-01-01 UTC, by a clock that may be set at any time.
    fn wall_clock(&self) -> u64;
}

/// A directory, by its descriptor.
#[derive(Debug)]
pub struct Folder {
    directory: OwnedFd,
}

impl Folder {
    /// The directory behind `directory`, in which whoever uses this must be able to make files.
    #[must_use]
    pub fn new(directory: OwnedFd) -> Self {
        Self { directory }
    }

    /// What a part is called until its header is whole.
    fn unready(name: &Name) -> String {
        format!("{}.new", name.agent)
    }

    fn create(&self, name: &Name, header: &[u8]) -> Result<OwnedFd, Errno> {
        let unready = Self::unready(name);
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let mut file = rustix::fs::openat(&self.directory, &unready, flags, mode)?;
        let mut rest = header;
        while !rest.is_empty() {
            rest = rest.get(write(&mut file, rest)?..).unwrap_or_default();
        }
        let there = RenameFlags::NOREPLACE;
        let at = self.directory.as_fd();
        rustix::fs::renameat_with(at, &unready, at, name.to_string(), there)?;
        Ok(file)
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

fn write(file: &mut OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::write(&*file, bytes) {
            Err(Errno::INTR) => {}
            // A file that takes nothing and says nothing would be written to for ever.
            Ok(0) => return Err(Errno::NOSPC),
            result => return result,
        }
    }
}

impl Shelf for Folder {
    type File = OwnedFd;

    fn list(&mut self, agent: &str) -> Result<Vec<Kept>, Errno> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let file = entry.file_name().to_str().unwrap_or_default();
            let Some(name) = Name::parse(agent, file) else { continue };
            match rustix::fs::statat(&self.directory, file, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    found.push(Kept { name, length: stat.st_size.try_into().unwrap_or(0) });
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn begin(&mut self, name: &Name, header: &[u8]) -> Result<OwnedFd, Errno> {
        // What a recorder that was killed left before its header was whole.
        self.remove_file(&Self::unready(name))?;
        self.create(name, header).inspect_err(|_| {
            if let Err(errno) = self.remove_file(&Self::unready(name)) {
                tracing::debug!(%errno, "an unready part of a recording is left");
            }
        })
    }

    fn append(&mut self, file: &mut OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        write(file, bytes)
    }

    fn cut(&mut self, file: &mut OwnedFd, length: u64) -> Result<(), Errno> {
        rustix::fs::ftruncate(file, length)
    }

    fn remove(&mut self, name: &Name) -> Result<(), Errno> {
        self.remove_file(&name.to_string())
    }

    fn wall_clock(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &std::path::Path) -> Folder {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Folder::new(rustix::fs::open(path, flags, Mode::empty()).unwrap())
    }

    fn name(recording: u64, part: u64) -> Name {
        Name { agent: "a".to_owned(), recording, part }
    }

    #[test]
    fn a_part_is_there_whole_or_not_at_all() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        let mut folder = folder(path);
        // A killed recorder's rest, and a trap at the place of the file to come.
        std::fs::write(path.join("target"), "kept").unwrap();
        std::os::unix::fs::symlink("target", path.join("a.new")).unwrap();
        let mut file = folder.begin(&name(1, 1), b"header\n").unwrap();
        assert_eq!(folder.append(&mut file, b"line\nhalf"), Ok(9));
        folder.cut(&mut file, 12).unwrap();
        folder.append(&mut file, b"next\n").unwrap();
        let text = std::fs::read_to_string(path.join("a.000001.0001.cast")).unwrap();
        assert_eq!(text, "header\nline\nnext\n");
        assert_eq!(std::fs::read_to_string(path.join("target")).unwrap(), "kept");
        assert_eq!(folder.begin(&name(1, 1), b"x\n").unwrap_err(), Errno::EXIST);
        assert!(!path.join("a.new").exists());
        let mode = path.join("a.000001.0001.cast").metadata().unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o137, 0);
    }

    #[test]
    fn only_files_of_the_agent_are_listed_in_order() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        let mut folder = folder(path);
        for (recording, part) in [(2, 1), (1, 2), (1, 1)] {
            drop(folder.begin(&name(recording, part), b"12345").unwrap());
        }
        std::fs::create_dir(path.join("a.000009.0001.cast")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join("a.000008.0001.cast")).unwrap();
        std::fs::write(path.join("b.000001.0001.cast"), "").unwrap();
        let listed = folder.list("a").unwrap();
        let names: Vec<_> = listed.iter().map(|kept| kept.name.clone()).collect();
        assert_eq!(names, [name(1, 1), name(1, 2), name(2, 1)]);
        assert_eq!((listed[0].length, listed[0].counts()), (5, 4096));
        folder.remove(&name(1, 2)).unwrap();
        folder.remove(&name(1, 2)).unwrap();
        assert_eq!(folder.list("a").unwrap().len(), 2);
    }
}
