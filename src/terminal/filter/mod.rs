//! Hostile bytes in, harmless bytes out.
//!
//! Decides: nothing by itself; puts three parts together. [`policy`] is the list of what may pass,
//! `intake` cuts and parses, `emit` writes anew what the list permits.
//! Must never: copy a sequence it did not understand, or need memory that grows with the input.
//!
//! Before: the jail's pty, whose other end a hostile program may hold. After: a person's terminal,
//! which does what it is told: types answers, sets the clipboard, opens links, writes files.
//!
//! Does not protect against: text that lies; a terminal that fails on valid text (long runs of
//! combining characters, say); a terminal that is not UTF-8 when [`Charset::Utf8`] is chosen for it.

#![forbid(unsafe_code)]

mod dropped;
mod emit;
pub mod fuzz;
mod intake;
pub mod policy;
pub mod refused;
#[cfg(test)]
mod tests;
mod text;

pub use dropped::{DropKind, Dropped};
pub use text::TextFilter;

use emit::{Emitter, State};
use intake::Intake;

/// What the person's terminal takes for text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// Seven bits; other characters are shown as `?`. A terminal that is not UTF-8 sees control
    /// characters in the bytes 0x80 to 0x9f, of which UTF-8 is full: `Ý` ends with the 8-bit OSC.
    Ascii,
}

impl Charset {
    /// What the locale of this process says.
    #[must_use]
    pub fn of_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self::of_locale(&variable("LC_ALL"), &variable("LC_CTYPE"), &variable("LANG"))
    }

    /// What the locale says: the first that is not empty of `LC_ALL`, `LC_CTYPE` and `LANG`
    /// (`locale(7)`) names UTF-8, or does not.
    #[must_use]
    pub fn of_locale(lc_all: &str, lc_ctype: &str, lang: &str) -> Self {
        let named = [lc_all, lc_ctype, lang].into_iter().find(|name| !name.is_empty());
        let codeset = named.and_then(|name| name.split_once('.')).map_or("", |(_, rest)| rest);
        let codeset = codeset.split('@').next().unwrap_or("").to_ascii_lowercase();
        if codeset == "utf-8" || codeset == "utf8" { Self::Utf8 } else { Self::Ascii }
    }
}

/// Passes on what [`policy`] lists, of a stream that is read piece by piece.
///
/// The output is at most three times as long as the input, and does not depend on where the input is
/// cut, but for what is not complete yet.
pub struct OutputFilter {
    intake: Intake,
    state: State,
}

impl OutputFilter {
    /// A filter for one session and a terminal that takes `charset`.
    #[must_use]
    pub fn new(charset: Charset) -> Self {
        let state = State { charset, dropped: Dropped::default(), alternate_screen: false };
        Self { intake: Intake::default(), state }
    }

    /// Takes the next `bytes` and appends to `out` what may be shown.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut emitter = Emitter { state: &mut self.state, out };
        self.intake.feed(bytes, &mut emitter);
    }

    /// What was left out so far.
    #[must_use]
    pub fn dropped(&self) -> &Dropped {
        &self.state.dropped
    }

    /// Whether what was passed on left the terminal on its other screen.
    #[must_use]
    pub fn on_alternate_screen(&self) -> bool {
        self.state.alternate_screen
    }
}

impl std::fmt::Debug for OutputFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputFilter").field("state", &self.state).finish_non_exhaustive()
    }
}
