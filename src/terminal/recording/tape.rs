//! The parts of a recording as one stream of events.
//!
//! Decides: what follows what. Must never: let a part that is cut at its end hide those after it.

#![forbid(unsafe_code)]

use super::catalog::{self, Summary};
use super::format::{Event, Header, What};
use super::reader::{ReadError, Reader};
use crate::terminal::size::Size;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

/// A recording that is read from its beginning to its end, as often as wanted.
#[derive(Debug)]
pub struct Tape {
    files: Vec<PathBuf>,
    /// The file after the one that is being read.
    next: usize,
    reader: Reader<BufReader<File>>,
    size: Size,
    cut: Vec<String>,
}

impl Tape {
    /// The recording in `first` and then in `others`.
    ///
    /// # Errors
    /// Those of [`catalog::open`] for the first.
    pub fn new(first: PathBuf, others: Vec<PathBuf>) -> Result<Self, ReadError> {
        let reader = catalog::open(&first)?;
        let size = reader.header().size;
        let mut files = others;
        files.insert(0, first);
        Ok(Self { files, next: 1, reader, size, cut: Vec::new() })
    }

    /// The header of the file that is being read.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// Back to the beginning.
    ///
    /// # Errors
    /// As for [`Tape::new`].
    pub fn rewind(&mut self) -> Result<(), ReadError> {
        if let Some(first) = self.files.first() {
            self.reader = catalog::open(first)?;
            (self.next, self.size) = (1, self.reader.header().size);
            self.cut.clear();
        }
        Ok(())
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            if let Some(event) = self.reader.next_event()? {
                if let What::Resize(size) = event.what {
                    self.size = size;
                }
                return Ok(Some(event));
            }
            if self.reader.is_cut()
                && let Some(file) = self.files.get(self.next.saturating_sub(1))
            {
                self.cut.push(file.display().to_string());
            }
            let Some(file) = self.files.get(self.next) else { return Ok(None) };
            self.reader = catalog::open(file)?;
            self.next += 1;
            let size = self.reader.header().size;
            if std::mem::replace(&mut self.size, size) != size {
                return Ok(Some(Event { after: Duration::ZERO, what: What::Resize(size) }));
            }
        }
    }

    /// The files that ended in the middle of a line, of those read so far.
    #[must_use]
    pub fn cut(&self) -> &[String] {
        &self.cut
    }

    /// What there is from here to the end.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn summary(mut self) -> Result<Summary, ReadError> {
        let mut summary = Summary { begun: self.header().begun, ..Summary::default() };
        while let Some(event) = self.next_event()? {
            summary.time = summary.time.saturating_add(event.after);
            if let What::Exit(status) = event.what {
                summary.status = Some(status);
            }
        }
        Ok(summary)
    }
}
