//! A TOML document read so that every problem is found at once.
//!
//! Decides: the shape of keys (present, of the right type, known), and where each value stands.
//! Never does: interpret a value (that is `profile::validate` and `policy`), touch the file system.
//!
//! serde stops at the first mistake; a person who writes a profile wants all of them. So a document
//! is walked with a [`TableReader`] that takes the keys it knows, and whose [`TableReader::finish`]
//! reports every key that nobody took.

#![forbid(unsafe_code)]

pub mod duration;

mod problem;
mod reader;

pub(crate) use problem::one_line;
pub use problem::{Problem, Problems};
pub(crate) use reader::nearest;
pub use reader::{Item, Reader, TableReader, Word};

use std::fmt;
use std::sync::Arc;

/// The name and text of one document; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    /// Byte offsets at which lines begin.
    line_starts: Arc<[usize]>,
}

impl Source {
    /// Prepares `text`, called `name` in messages, for looking up positions.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.into(), line_starts }
    }

    /// The place of the byte at `offset`, for the key called `key`.
    #[must_use]
    pub fn place(&self, offset: usize, key: &str) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        Place {
            file: Arc::clone(&self.name),
            line,
            column: offset.saturating_sub(start) + 1,
            key: key.to_owned(),
        }
    }
}

/// Where a value comes from: file, line and column (both from 1; 0 where it has none), and dotted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name as the user knows it, or a word such as `command line`.
    pub file: Arc<str>,
    /// Line, counted from 1; 0 where the source has no lines.
    pub line: usize,
    /// Byte column, counted from 1; 0 where the source has no lines.
    pub column: usize,
    /// Dotted key, such as `limits.memory` or `filesystem.read[2]`.
    pub key: String,
}

impl Place {
    /// A place outside any file: the command line, or a built-in default.
    #[must_use]
    pub fn outside(source: &str, key: &str) -> Self {
        Self { file: source.into(), line: 0, column: 0, key: key.to_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.file))?;
        if self.line == 0 { Ok(()) } else { write!(f, ":{}:{}", self.line, self.column) }
    }
}

/// A value and the place it was written at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub fn with<U>(&self, value: U) -> Located<U> {
        Located { value, place: self.place.clone() }
    }

    /// A problem at this place.
    pub fn problem(&self, cause: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new(&self.place, cause, hint)
    }
}
