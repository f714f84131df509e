//! Reads a recording, event by event.
//!
//! Decides: what of a file is a line, and whether its last one is whole. Must never: need memory that
//! grows with the file, or take what is wrong for an end.
//!
//! The file may be somebody else's, or have ended in the middle of a line when its recorder was killed.

#![forbid(unsafe_code)]

use super::format::{Event, Header};
use rustix::io::Errno;
use std::io::BufRead;

/// The longest line, in bytes. Ours have less than a tenth.
pub const LONGEST_LINE: usize = 1 << 20;

/// Why a recording cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The agent has no recordings.
    #[error("cannot find a recording of {agent} in {folder}")]
    NoRecording {
        /// Whose.
        agent: String,
        /// Where they would be.
        folder: String,
    },
    /// The agent has others.
    #[error("cannot find recording {number} of {agent}: there are {known}")]
    NoNumber {
        /// Whose.
        agent: String,
        /// Which.
        number: u64,
        /// Those that there are.
        known: String,
    },
    /// A file or directory cannot be opened.
    #[error("cannot open {file}: {errno}")]
    Open {
        /// Which.
        file: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// It is a directory, a pipe or a device.
    #[error("cannot play {file}: it is not a file")]
    NoFile {
        /// Which.
        file: String,
    },
    /// A line cannot be read.
    #[error("cannot read line {line} of {file}: {errno}")]
    Read {
        /// Of which file.
        file: String,
        /// Which, from 1.
        line: u64,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A line is not one of a recording.
    #[error("cannot play {file}: line {line} {cause}")]
    Line {
        /// Of which file.
        file: String,
        /// Which, from 1.
        line: u64,
        /// A clause that says what is wrong with it.
        cause: String,
    },
}

impl ReadError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoRecording { .. } => {
                "sessions are recorded where the profile says `record = true` in [terminal]"
                    .to_owned()
            }
            Self::Open { errno: Errno::ACCESS | Errno::PERM, .. } => {
                "recordings of agents are for root alone: run it with sudo".to_owned()
            }
            Self::Line { line: 1, .. } => {
                "`asciinema convert` makes version 3 out of older ones".to_owned()
            }
            Self::NoNumber { agent, .. } => format!("`cellblock play --list {agent}` shows them"),
            Self::Open { .. } | Self::NoFile { .. } | Self::Read { .. } | Self::Line { .. } => {
                String::new()
            }
        }
    }
}

/// A recording that is read from `R`.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    file: String,
    header: Header,
    line: u64,
    cut: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header of what is called `file` in messages.
    ///
    /// # Errors
    /// [`ReadError::Read`], [`ReadError::Line`].
    pub fn new(file: &str, input: R) -> Result<Self, ReadError> {
        let header = Header {
            size: crate::terminal::size::Size::DEFAULT,
            terminal: String::new(),
            begun: None,
            title: String::new(),
        };
        let mut reader = Self { input, file: file.to_owned(), header, line: 0, cut: false };
        let (line, _) = reader.take_line()?;
        let text = String::from_utf8_lossy(&line);
        reader.header = Header::parse(&text).map_err(|cause| reader.wrong(cause))?;
        Ok(reader)
    }

    /// The first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether it ended in the middle of a line, as where the recorder was killed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// [`ReadError::Read`], [`ReadError::Line`]. What comes after a line that is wrong can still be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            let (line, whole) = self.take_line()?;
            if line.is_empty() && !whole {
                return Ok(None);
            }
            let text = std::str::from_utf8(&line).map_err(|_| "is not UTF-8".to_owned());
            if text.as_ref().is_ok_and(|text| text.starts_with('#') || text.trim().is_empty()) {
                continue;
            }
            match text.and_then(Event::parse) {
                Ok(event) => return Ok(Some(event)),
                Err(_) if !whole => {
                    self.cut = true;
                    return Ok(None);
                }
                Err(cause) => return Err(self.wrong(cause)),
            }
        }
    }

    /// The next line without its end, and whether it has one.
    fn take_line(&mut self) -> Result<(Vec<u8>, bool), ReadError> {
        let mut line = Vec::new();
        self.line += 1;
        let most = LONGEST_LINE as u64 + 1;
        let read = std::io::Read::take(&mut self.input, most).read_until(b'\n', &mut line);
        read.map_err(|error| ReadError::Read {
            file: self.file.clone(),
            line: self.line,
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        if line.len() > LONGEST_LINE {
            return Err(self.wrong(format!("is longer than {LONGEST_LINE} bytes")));
        }
        Ok((line, whole))
    }

    fn wrong(&self, cause: String) -> ReadError {
        ReadError::Line { file: self.file.clone(), line: self.line, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::What;
    use super::*;

    const HEADER: &str = "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n";

    fn read(rest: &[u8]) -> (Vec<What>, Result<(), String>, bool) {
        let bytes = [HEADER.as_bytes(), rest].concat();
        let mut reader = Reader::new("x.cast", bytes.as_slice()).unwrap();
        let mut found = Vec::new();
        loop {
            match reader.next_event() {
                Ok(Some(event)) => found.push(event.what),
                Ok(None) => return (found, Ok(()), reader.is_cut()),
                Err(error) => return (found, Err(error.to_string()), reader.is_cut()),
            }
        }
    }

    fn output(text: &str) -> What {
        What::Output(text.to_owned())
    }

    #[test]
    fn comments_and_unknown_events_are_passed_over() {
        let rest = b"# a\n[1,\"o\",\"x\"]\n\n[0,\"?\",1]\n[0,\"o\",\"y\"]\n";
        let known = vec![output("x"), What::Unknown("?".to_owned()), output("y")];
        assert_eq!(read(rest), (known, Ok(()), false));
    }

    #[test]
    fn a_last_line_is_cut_or_lacks_only_its_end() {
        assert_eq!(read(b"[1,\"o\",\"x\"]\n[1,\"o\",\"\xc3"), (vec![output("x")], Ok(()), true));
        assert_eq!(read(b"[1,\"o\",\"x\"]"), (vec![output("x")], Ok(()), false));
        assert_eq!(read(b""), (vec![], Ok(()), false));
    }

    #[test]
    fn a_wrong_line_is_told_with_file_and_line_and_is_no_end() {
        let bytes = [HEADER, "# a\n[1]\n[1,\"o\",\"x\"]\n"].concat();
        let mut reader = Reader::new("x.cast", bytes.as_bytes()).unwrap();
        let error = reader.next_event().unwrap_err();
        let told = "cannot play x.cast: line 3 is not [seconds, \"code\", data]";
        assert_eq!(error.to_string(), told);
        assert_eq!(reader.next_event().unwrap().unwrap().what, output("x"));
        let (_, told, _) = read(b"[1,\"o\",\"\xff\"]\n");
        assert_eq!(told, Err("cannot play x.cast: line 2 is not UTF-8".to_owned()));
    }

    #[test]
    fn a_line_without_end_needs_no_memory() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let error = Reader::new("x.cast", endless).unwrap_err();
        let told = "cannot play x.cast: line 1 is longer than 1048576 bytes";
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn another_version_and_no_header_are_refused() {
        let error = Reader::new("x.cast", &b"{\"version\":2}\n"[..]).unwrap_err();
        let told = "cannot play x.cast: line 1 says version 2, and version 3 alone is read";
        assert_eq!(error.to_string(), told);
        assert!(error.hint().contains("asciinema convert"));
        assert!(Reader::new("x.cast", &b""[..]).is_err());
    }
}
