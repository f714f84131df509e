//! What a session showed, kept and shown again.
//!
//! Decides: what of a terminal is written down, how much of it is kept, and when which part of it is
//! shown. Must never: hold a session up or end it, keep a byte that [`super::filter`] does not let
//! through, or keep what a person typed: passwords are among it.
//!
//! The format is asciicast v3 (<https://docs.asciinema.org/manual/asciicast/v3/>): lines of JSON, a
//! header first, so that other players can show it too.
//!
//! ```text
//!  jail's pty master ─ filter ─ Recorder ─ Shelf ─ NAME.RECORDING.PART.cast     parts, bounded together
//!  NAME.*.cast ─ Catalog ─ Tape ─ Reader ─ Event ─ Player ─ Stage ─ a terminal  bounded, then filtered again
//! ```
//!
//! A recording is what one session showed. It is kept in parts, each of which can be played by itself:
//! the oldest are removed first, also those of the recording that is being made.
//!
//! Does not protect against: an agent that shows so much that what it showed before is removed; a disk
//! that makes whoever writes to it wait.

#![forbid(unsafe_code)]

pub mod catalog;
pub mod format;
pub mod keys;
pub mod name;
pub mod player;
pub mod reader;
pub mod recorder;
pub mod shelf;
pub mod stage;
pub mod tape;
#[cfg(test)]
mod tests;

pub use catalog::{Catalog, Recording};
pub use format::{Event, Header, What};
pub use name::Name;
pub use player::Player;
pub use reader::{ReadError, Reader};
pub use recorder::{About, Recorder};
pub use shelf::{Folder, Kept, Shelf};
pub use stage::Stage;
pub use tape::Tape;

/// The folder, in that of the journals, with one directory for each agent that is recorded.
pub const FOLDER: &str = "recordings";

/// What enters the alternate screen: a part begins with it where the session is on that screen.
///
/// Who shows parts one after another and is on that screen leaves it out, as some terminals clear it then.
pub const ALTERNATE: &str = "\x1b[?1049h";
