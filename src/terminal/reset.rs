//! What brings a person's terminal back after a session.
//!
//! Decides: the last bytes a terminal gets from us. They undo everything [`super::filter::policy`]
//! lets a jail do, whatever it did. Must never: erase the person's own text, or ask the terminal
//! anything.
//!
//! Before: the relay has ended, perhaps in the middle of a sequence. After: [`super::raw`] gives the
//! settings back. Does not protect against a session killed so that nothing is written any more.

#![forbid(unsafe_code)]

/// Which screen the terminal is on ([`super::filter::OutputFilter::on_alternate_screen`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The one with the shell's history.
    Main,
    /// The one for full-screen programs; leaving it brings the cursor back where it was.
    Alternate,
}

/// One thing that is undone.
#[derive(Clone, Copy, Debug)]
pub struct Undo {
    /// What is written.
    pub bytes: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// On either screen, before it is left. The first ESC also ends a sequence that was cut.
pub const FIRST: &[Undo] = &[
    undo("\x1b[?2026l", "synchronised output off: show what follows"),
    undo("\x1b[?1000;1001;1002;1003l", "mouse reports off"),
    undo("\x1b[?1005;1006;1015;1016l", "forms of mouse reports off"),
    undo("\x1b[?1004l", "focus reports off"),
    undo("\x1b[?2004l", "bracketed paste off; the shell turns it on for itself"),
    undo("\x1b[4;20;34l", "inserting off, Return sends one character"),
    undo("\x1b[?69l", "no left and right margins"),
];

/// On the main screen: `CSI r` moves the cursor home, so it is saved around it.
pub const MAIN: &[Undo] = &[undo("\x1b7\x1b[r\x1b8", "the whole screen scrolls")];

/// On the alternate screen.
pub const ALTERNATE: &[Undo] = &[
    undo("\x1b[r", "the whole screen scrolls"),
    undo("\x1b[?1049l", "the main screen, the cursor where it was"),
];

/// On the main screen, after what restoring the cursor may have brought back.
pub const LAST: &[Undo] = &[
    undo("\x1b[?1;5l\x1b>", "cursor keys and keypad as usual, screen not reversed"),
    undo("\x1b[?7h", "long lines wrap"),
    undo("\x0f\x1b(B\x1b)B", "ASCII letters"),
    undo("\x1b[10m\x1b[m", "usual font (a charset on the Linux console), no colours"),
    undo("\x1b[ q", "usual cursor"),
    undo("\x1b[?12l\x1b[?25h", "cursor still and shown"),
];

/// The bytes to write for a terminal that is on `screen`.
#[must_use]
pub fn bytes(screen: Screen) -> Vec<u8> {
    let middle = match screen {
        Screen::Main => MAIN,
        Screen::Alternate => ALTERNATE,
    };
    let all = FIRST.iter().chain(middle).chain(LAST);
    all.flat_map(|undo| undo.bytes.bytes()).collect()
}

const fn undo(bytes: &'static str, reason: &'static str) -> Undo {
    Undo { bytes, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::filter::policy::{Allowed, PRIVATE_MODES};
    use crate::terminal::filter::{Charset, OutputFilter};

    fn written(screen: Screen) -> String {
        String::from_utf8(bytes(screen)).unwrap()
    }

    /// Whether some `CSI ? … last` in `text` names `number`.
    fn changes(text: &str, number: u16, last: char) -> bool {
        text.split("\x1b[?").skip(1).any(|rest| {
            let (numbers, _) = rest.split_once(last).unwrap_or(("", ""));
            numbers.split(';').any(|one| one == number.to_string())
        })
    }

    #[test]
    fn every_mode_a_jail_may_set_is_undone() {
        for mode in PRIVATE_MODES.iter().filter(|mode| mode.allowed == Allowed::Both) {
            let last = if [7, 25].contains(&mode.number) { 'h' } else { 'l' };
            // 1049 leaves the screens that 47 and 1047 lead to as well.
            let number = if [47, 1047].contains(&mode.number) { 1049 } else { mode.number };
            assert!(changes(&written(Screen::Alternate), number, last), "{}", mode.reason);
        }
    }

    #[test]
    fn the_reset_passes_the_filter_unchanged() {
        for screen in [Screen::Main, Screen::Alternate] {
            let mut out = Vec::new();
            let mut filter = OutputFilter::new(Charset::Utf8);
            filter.feed(&bytes(screen), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), written(screen));
            assert_eq!(filter.dropped().total(), 0);
        }
    }

    #[test]
    fn the_main_screen_is_not_left_when_it_was_never_left() {
        assert!(!written(Screen::Main).contains("1049"));
    }

    #[test]
    fn colours_charset_keypad_region_and_cursor_are_undone() {
        for needed in ["\x1b[m", "\x1b(B", "\x1b)B", "\x0f", "\x1b>", "\x1b[r", "\x1b[ q"] {
            assert!(written(Screen::Main).contains(needed), "{needed:?}");
            assert!(written(Screen::Alternate).contains(needed), "{needed:?}");
        }
    }
}
