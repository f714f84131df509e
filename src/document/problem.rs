//! What is wrong with a document, in words a person can act on.

use super::Place;
use std::borrow::Cow;
use std::fmt;

/// One problem: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, as a clause without a final stop.
    pub cause: String,
    /// What to do about it; empty where there is nothing to add.
    pub hint: String,
}

impl Problem {
    /// A problem at `place`.
    pub fn new(place: &Place, cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.clone(), cause: cause.into(), hint: hint.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.place.key.is_empty() {
            write!(f, "{}: ", one_line(&self.place.key))?;
        }
        write!(f, "{}", one_line(&self.cause))?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", one_line(&self.hint))?;
        }
        Ok(())
    }
}

/// `text` without a way to end its line: a key, a path or a file's name may hold a line feed, and what
/// followed it would look like words of ours.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// All problems of one reading; never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// `value` if nothing is wrong, else all problems.
    ///
    /// # Errors
    /// The problems themselves, in the order of files and lines.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self.sorted()) }
    }

    /// In the order of files and lines, each once: a file that two others build on is read twice.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| {
            let order = |p: &Problem| (p.place.file.clone(), p.place.line, p.place.column);
            order(a).cmp(&order(b))
        });
        self.0.dedup();
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
