//! What a jail may say to a terminal: the list.
//!
//! Decides: which control characters, escape sequences, control sequences and modes are passed on,
//! each with its reason. Must never: hold a row whose effect outlives [`crate::terminal::reset`],
//! makes the terminal type, or reaches beyond the screen.
//!
//! Before: the parser. After: `emit` writes what a row permits, in one canonical form. What has no
//! row is dropped; [`super::refused`] only names the kinds of the well-known ones.
//!
//! Sources: ECMA-48 5th edition (1991); "XTerm Control Sequences" (ctlseqs); DEC VT510 manual. tmux
//! 3.3a needs the rows marked `tmux`, seen in captures with TERM=xterm-256color and tmux-256color.

#![forbid(unsafe_code)]

/// A control character that is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// The byte, below 0x20.
    pub byte: u8,
    /// Why.
    pub reason: &'static str,
}

/// An escape sequence that is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Escape {
    /// The byte between ESC and the last, or 0 for none.
    pub intermediate: u8,
    /// The last byte.
    pub last: u8,
    /// Why.
    pub reason: &'static str,
}

/// A control sequence that is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Csi {
    /// The byte after `ESC [` out of `<=>?`, or 0 for none.
    pub marker: u8,
    /// The byte before the last, or 0 for none.
    pub intermediate: u8,
    /// The last byte.
    pub last: u8,
    /// What its parameters may be.
    pub values: Values,
    /// Why.
    pub reason: &'static str,
}

/// What the parameters of a control sequence may be. A sequence with others is dropped.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// At most `most` numbers, each lowered to `limit`.
    Counts {
        /// How many.
        most: usize,
        /// The greatest that is passed on.
        limit: u16,
    },
    /// One number out of these.
    OneOf(&'static [u16]),
    /// Colours and attributes, with `:` subparameters; no number above 255.
    Rendition,
    /// Numbers of modes to set; others are left out of the sequence.
    SetModes(&'static [Mode]),
    /// Numbers of modes to reset; others are left out of the sequence.
    ResetModes(&'static [Mode]),
}

/// A mode of the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Its number.
    pub number: u16,
    /// Whether it may be set, or only reset.
    pub allowed: Allowed,
    /// Why.
    pub reason: &'static str,
}

/// In which direction a mode may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Set and reset.
    Both,
    /// Reset only: tmux does it for good measure, and it brings back what is safe.
    Reset,
}

/// No terminal has more rows or columns, and programs write 9999 for "as far as it goes".
const FAR: u16 = 9999;
/// A wide line; `REP` writes that many cells from a few bytes.
const LINE: u16 = 1024;

/// Control characters (ECMA-48 5.2).
pub const CONTROLS: &[Control] = &[
    Control { byte: 0x07, reason: "BEL: a sound" },
    Control { byte: 0x08, reason: "BS: cursor left; tmux" },
    Control { byte: 0x09, reason: "HT: to the next tab stop" },
    Control { byte: 0x0a, reason: "LF: a line down; tmux" },
    Control { byte: 0x0d, reason: "CR: to the first column; tmux" },
    Control { byte: 0x0e, reason: "SO: line drawing in G1, where TERM is screen" },
    Control { byte: 0x0f, reason: "SI: back from SO; tmux" },
];

/// Escape sequences (ECMA-48 5.3, DEC private). Not HTS, which sets a tab stop: no short sequence
/// brings the usual stops back on all terminals. Not RIS, which erases the person's history.
pub const ESCAPES: &[Escape] = &[
    esc(0, b'7', "DECSC: saves the cursor; tmux"),
    esc(0, b'8', "DECRC: restores it"),
    esc(0, b'D', "IND: a line down, scrolls"),
    esc(0, b'E', "NEL: to the next line"),
    esc(0, b'M', "RI: a line up, scrolls; tmux"),
    esc(0, b'=', "DECKPAM: keypad keys for programs; tmux; reset at the end"),
    esc(0, b'>', "DECKPNM: keypad keys as digits; tmux"),
    esc(b'(', b'B', "G0 is ASCII; tmux"),
    esc(b'(', b'0', "G0 is line drawing; tmux; reset at the end"),
    esc(b')', b'B', "G1 is ASCII; tmux where TERM is screen"),
    esc(b')', b'0', "G1 is line drawing; tmux where TERM is screen"),
];

/// Control sequences (ECMA-48 5.4, 8.3; ctlseqs).
pub const CSIS: &[Csi] = &[
    count(b'A', 1, "CUU: cursor up; tmux"),
    count(b'B', 1, "CUD: cursor down; tmux"),
    count(b'C', 1, "CUF: cursor right; tmux"),
    count(b'D', 1, "CUB: cursor left; tmux"),
    count(b'E', 1, "CNL: lines down"),
    count(b'F', 1, "CPL: lines up"),
    count(b'G', 1, "CHA: to a column; tmux"),
    count(b'H', 2, "CUP: to a cell; tmux"),
    count(b'I', 1, "CHT: tab stops forward"),
    count(b'Z', 1, "CBT: tab stops back"),
    count(b'`', 1, "HPA: to a column"),
    count(b'a', 1, "HPR: columns right"),
    count(b'd', 1, "VPA: to a line; tmux"),
    count(b'e', 1, "VPR: lines down"),
    count(b'f', 2, "HVP: to a cell"),
    count(b'@', 1, "ICH: inserts cells; tmux"),
    count(b'L', 1, "IL: inserts lines; tmux"),
    count(b'M', 1, "DL: deletes lines; tmux"),
    count(b'P', 1, "DCH: deletes cells; tmux"),
    count(b'X', 1, "ECH: erases cells; tmux"),
    count(b'S', 1, "SU: scrolls up; tmux"),
    count(b'T', 1, "SD: scrolls down; with five parameters it would start mouse highlighting"),
    count(b'r', 2, "DECSTBM: the lines that scroll; tmux; reset at the end"),
    csi(b'b', Values::Counts { most: 1, limit: LINE }, "REP: repeats a character; tmux"),
    csi(b'J', Values::OneOf(&[0, 1, 2]), "ED: erases the screen, not (3) the history; tmux"),
    csi(b'K', Values::OneOf(&[0, 1, 2]), "EL: erases the line; tmux"),
    csi(b's', Values::OneOf(&[0]), "SCOSC: saves the cursor; with parameters it sets margins"),
    csi(b'u', Values::OneOf(&[0]), "SCORC: restores it"),
    csi(b'm', Values::Rendition, "SGR: colours and attributes; tmux; reset at the end"),
    csi(b'h', Values::SetModes(ANSI_MODES), "SM: see the modes"),
    csi(b'l', Values::ResetModes(ANSI_MODES), "RM: see the modes"),
    Csi {
        marker: b'?',
        intermediate: 0,
        last: b'h',
        values: Values::SetModes(PRIVATE_MODES),
        reason: "DECSET: see the modes",
    },
    Csi {
        marker: b'?',
        intermediate: 0,
        last: b'l',
        values: Values::ResetModes(PRIVATE_MODES),
        reason: "DECRST: see the modes",
    },
    Csi {
        marker: 0,
        intermediate: b' ',
        last: b'q',
        values: Values::OneOf(&[0, 1, 2, 3, 4, 5, 6]),
        reason: "DECSCUSR: the cursor's shape; tmux; reset at the end",
    },
    Csi {
        marker: 0,
        intermediate: b'!',
        last: b'p',
        values: Values::OneOf(&[0]),
        reason: "DECSTR: brings modes back to their defaults; unlike RIS keeps screen and history",
    },
];

/// Modes of `CSI h` and `CSI l` (ECMA-48 7). Not 2, which locks the keyboard, nor 12, echo.
pub const ANSI_MODES: &[Mode] = &[
    both(4, "IRM: inserting; terminfo's smir; reset at the end"),
    both(34, "screen and tmux as the terminal: a normal cursor; tmux"),
    reset_only(20, "LNM: set, Return would send two characters"),
];

/// Modes of `CSI ? h` and `CSI ? l` (DEC, xterm and others).
pub const PRIVATE_MODES: &[Mode] = &[
    both(1, "DECCKM: cursor keys for programs; tmux; reset at the end"),
    both(7, "DECAWM: long lines wrap; reset (to on) at the end"),
    both(12, "the cursor blinks; tmux"),
    both(25, "DECTCEM: the cursor is shown; tmux; reset (to on) at the end"),
    both(47, "other screen, old form"),
    both(1047, "other screen, without the cursor"),
    both(1049, "other screen; tmux; left at the end, so the person's own text is not overwritten"),
    both(1000, "mouse buttons; tmux; reports go into the jail only; reset at the end"),
    both(1002, "and drags; tmux; the same"),
    both(1003, "and motion; tmux where a program in it asks; the same"),
    both(1006, "mouse reports in digits; tmux; without it they hold arbitrary bytes"),
    both(2004, "bracketed paste; tmux; it protects the person; reset at the end"),
    both(2026, "synchronised output; tmux; terminals end it by a timeout; reset at the end"),
    reset_only(1001, "mouse highlighting: set, the terminal waits for the program"),
    reset_only(1004, "focus: set, a jail would learn when nobody looks; tmux resets it"),
    reset_only(1005, "mouse reports in UTF-8: confused with typed text; tmux resets it"),
    reset_only(1015, "mouse reports of urxvt: confused with keys"),
    reset_only(1016, "mouse reports in pixels: finer than a jail needs"),
    reset_only(69, "DECLRMM: left and right margins; nothing here needs them"),
    reset_only(6, "DECOM: origin in the scroll region; nothing here needs it"),
    reset_only(5, "DECSCNM: the whole screen reversed; set and reset quickly it is a strobe light"),
];

/// The row for an escape sequence.
pub(super) fn escape(intermediate: u8, last: u8) -> Option<&'static Escape> {
    ESCAPES.iter().find(|row| (row.intermediate, row.last) == (intermediate, last))
}

/// The row for a control sequence.
pub(super) fn control_sequence(marker: u8, intermediate: u8, last: u8) -> Option<&'static Csi> {
    let wanted = (marker, intermediate, last);
    CSIS.iter().find(|row| (row.marker, row.intermediate, row.last) == wanted)
}

const fn esc(intermediate: u8, last: u8, reason: &'static str) -> Escape {
    Escape { intermediate, last, reason }
}

const fn csi(last: u8, values: Values, reason: &'static str) -> Csi {
    Csi { marker: 0, intermediate: 0, last, values, reason }
}

const fn count(last: u8, most: usize, reason: &'static str) -> Csi {
    csi(last, Values::Counts { most, limit: FAR }, reason)
}

const fn both(number: u16, reason: &'static str) -> Mode {
    Mode { number, allowed: Allowed::Both, reason }
}

const fn reset_only(number: u16, reason: &'static str) -> Mode {
    Mode { number, allowed: Allowed::Reset, reason }
}
