//! The text of a jail's output without any sequence, for reports and logs.
//!
//! Decides: what of a screen is text. tmux draws with cursor movements, so those become line ends.
//! Must never: let ESC or any control character but a line end through.
//!
//! Does not protect against: characters that mislead (bidi, zero width): what prints the text for a
//! person passes each line through [`crate::terminal::plain`].

#![forbid(unsafe_code)]

use super::dropped::DropKind;
use super::intake::{Intake, Sink};
use vte::{Params, Perform};

/// Keeps text and line ends of a stream that is read piece by piece.
#[derive(Default)]
pub struct TextFilter {
    intake: Intake,
    /// Whether the text so far ends with a line end, or is empty.
    in_line: bool,
}

impl TextFilter {
    /// A filter at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next `bytes` and appends their text to `out`. Empty lines are left out.
    pub fn feed(&mut self, bytes: &[u8], out: &mut String) {
        let mut writer = Writer { in_line: &mut self.in_line, out };
        self.intake.feed(bytes, &mut writer);
    }
}

impl std::fmt::Debug for TextFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextFilter").field("in_line", &self.in_line).finish_non_exhaustive()
    }
}

struct Writer<'a> {
    in_line: &'a mut bool,
    out: &'a mut String,
}

impl Writer<'_> {
    fn end_line(&mut self) {
        if *self.in_line {
            self.out.push('\n');
            *self.in_line = false;
        }
    }
}

impl Perform for Writer<'_> {
    fn print(&mut self, c: char) {
        if !c.is_control() {
            self.out.push(c);
            *self.in_line = true;
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' | b'\r' => self.end_line(),
            b'\t' if *self.in_line => self.out.push(' '),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, _: &Params, _: &[u8], _: bool, last: char) {
        if matches!(last, 'A' | 'B' | 'E' | 'F' | 'H' | 'J' | 'd' | 'f') {
            self.end_line();
        }
    }
}

impl Sink for Writer<'_> {
    fn string(&mut self, _: DropKind) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_becomes_lines() {
        let mut filter = TextFilter::new();
        let mut out = String::new();
        filter.feed(b"\x1b[2J\x1b[H\x1b]0;evil\x07one\x1b[31m!\x1b[2;1Htwo\x7f\r\n\r\n", &mut out);
        filter.feed("dr\u{9b}3é\x07i".as_bytes(), &mut out);
        assert_eq!(out, "one!\ntwo\ndr3éi");
    }
}
