//! The recordings of an agent.
//!
//! Decides: which parts are one recording. Must never: open what is not a file of the agent's directory.

#![forbid(unsafe_code)]

use super::reader::{ReadError, Reader};
use super::shelf::{Folder, Kept, Shelf as _};
use super::tape::Tape;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The recordings of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Whose.
    pub agent: String,
    /// The agent's directory.
    pub folder: PathBuf,
    /// The oldest first.
    pub recordings: Vec<Recording>,
}

/// What is kept of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its number.
    pub number: u64,
    /// Its parts, the oldest first. Those before were removed, where it does not begin with 1.
    pub parts: Vec<Kept>,
}

impl Recording {
    /// All parts together, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.length))
    }

    /// Whether its beginning was removed to make room.
    #[must_use]
    pub fn lacks_beginning(&self) -> bool {
        self.parts.first().is_some_and(|part| part.name.part > 1)
    }
}

/// What a recording holds, by all of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// When it began, in seconds since 1970-01-01 UTC.
    pub begun: Option<u64>,
    /// From the first event to the last.
    pub time: Duration,
    /// The status it ended with.
    pub status: Option<i32>,
}

impl Catalog {
    /// What there is of `agent` below `folder`.
    ///
    /// # Errors
    /// [`ReadError::NoRecording`], [`ReadError::Open`].
    pub fn read(folder: &Path, agent: &str) -> Result<Self, ReadError> {
        let folder = folder.join(agent);
        let shown = || folder.display().to_string();
        let none = || ReadError::NoRecording { agent: agent.to_owned(), folder: shown() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&folder, flags, Mode::empty());
        let kept = opened.and_then(|directory| Folder::new(directory).list(agent));
        let kept = match kept {
            Ok(kept) if kept.is_empty() => return Err(none()),
            Ok(kept) => kept,
            Err(Errno::NOENT) => return Err(none()),
            Err(errno) => return Err(ReadError::Open { file: shown(), errno }),
        };
        let mut recordings: Vec<Recording> = Vec::new();
        for part in kept {
            match recordings.last_mut() {
                Some(last) if last.number == part.name.recording => last.parts.push(part),
                Some(_) | None => {
                    let number = part.name.recording;
                    recordings.push(Recording { number, parts: vec![part] });
                }
            }
        }
        Ok(Self { agent: agent.to_owned(), folder, recordings })
    }

    /// The recording `number`, or the newest.
    ///
    /// # Errors
    /// [`ReadError::NoNumber`].
    pub fn find(&self, number: Option<u64>) -> Result<&Recording, ReadError> {
        let found = match number {
            Some(number) => self.recordings.iter().find(|recording| recording.number == number),
            None => self.recordings.last(),
        };
        found.ok_or_else(|| {
            let edges = (self.recordings.first(), self.recordings.last());
            let known = match edges {
                (Some(first), Some(last)) if first.number != last.number => {
                    format!("{} to {}", first.number, last.number)
                }
                (first, _) => first.map_or_else(String::new, |first| first.number.to_string()),
            };
            ReadError::NoNumber { agent: self.agent.clone(), number: number.unwrap_or(0), known }
        })
    }

    /// The parts of `recording`, to be read one after another.
    ///
    /// # Errors
    /// As for [`Tape::new`].
    pub fn tape(&self, recording: &Recording) -> Result<Tape, ReadError> {
        let path = |part: &Kept| self.folder.join(part.name.to_string());
        let Some((first, others)) = recording.parts.split_first() else {
            let folder = self.folder.display().to_string();
            return Err(ReadError::NoRecording { agent: self.agent.clone(), folder });
        };
        Tape::new(path(first), others.iter().map(path).collect())
    }

    /// What `recording` holds. Reads all of it.
    ///
    /// # Errors
    /// [`ReadError`]. A part that was removed in the meantime is one of them.
    pub fn summary(&self, recording: &Recording) -> Result<Summary, ReadError> {
        self.tape(recording)?.summary()
    }
}

/// Opens the recording at `path`.
///
/// # Errors
/// [`ReadError::Open`], [`ReadError::NoFile`], and those of [`Reader::new`].
pub fn open(path: &Path) -> Result<Reader<BufReader<File>>, ReadError> {
    let file = path.display().to_string();
    let opened = open_file(path).map_err(|errno| ReadError::Open { file: file.clone(), errno })?;
    let opened = opened.ok_or_else(|| ReadError::NoFile { file: file.clone() })?;
    Reader::new(&file, BufReader::with_capacity(64 << 10, File::from(opened)))
}

/// The file at `path`, or nothing where it is something else, which may wait for ever when it is opened.
fn open_file(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    Ok((kind == FileType::RegularFile).then_some(file))
}
