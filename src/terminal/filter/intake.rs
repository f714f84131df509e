//! Hostile bytes, cut so that the parser stays small and its answer does not depend on the cuts.
//!
//! Decides: where a control string (OSC, DCS, APC, PM, SOS, title) begins and ends. Must never: hand the
//! inside of one to the parser, or a character that is not complete.
//!
//! Before: `read(2)`, which cuts anywhere. After: the `vte` parser and a [`Sink`]. Two reasons for a
//! stage of our own in front of `vte` 0.15:
//! - It keeps an OSC in a growing buffer until the OSC ends; a jail need not end one.
//! - When a character is cut by the end of a read, and the read after has an invalid byte soon after
//!   the character, it skips the valid bytes between (`advance_partial_utf8`).
//!
//! The stage need not agree with `vte` for the output to be safe, as the sink writes every sequence
//! anew from a list; it must agree for memory to be bounded, and a test shows that it does.

#![forbid(unsafe_code)]

use super::dropped::DropKind;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

/// What the parser's findings are told to.
pub(super) trait Sink: vte::Perform {
    /// A control string began; its content is never shown to anybody.
    fn string(&mut self, kind: DropKind);
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Anywhere but in the two below.
    #[default]
    Outside,
    /// After ESC, before the byte that says what it introduces.
    Escape,
    /// In a control string.
    Within(DropKind),
}

/// The parser and what stands in front of it. A few hundred bytes, whatever is fed.
#[derive(Default)]
pub(super) struct Intake {
    parser: vte::Parser,
    place: Place,
    carry: Carry,
}

impl Intake {
    /// Takes `bytes`; tells `sink` all that is complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) {
        while self.carry.len > 0 {
            let Some((first, rest)) = bytes.split_first() else { return };
            bytes = rest;
            let (unit, len) = self.carry.complete_with(*first);
            self.pass(&unit[..len], sink);
        }
        let (whole, cut) = bytes.split_at(bytes.len() - incomplete_tail(bytes));
        self.pass(whole, sink);
        self.carry.hold(cut);
    }

    fn pass(&mut self, mut bytes: &[u8], sink: &mut impl Sink) {
        while let Some(first) = bytes.first() {
            let used = match self.place {
                Place::Outside => self.outside(bytes, sink),
                Place::Escape => self.escape(*first, sink),
                Place::Within(kind) => self.within(kind, bytes, sink),
            };
            bytes = &bytes[used..];
        }
    }

    /// Everything up to and with the next ESC.
    fn outside(&mut self, bytes: &[u8], sink: &mut impl Sink) -> usize {
        let used = match bytes.iter().position(|byte| *byte == ESC) {
            Some(at) => {
                self.place = Place::Escape;
                at + 1
            }
            None => bytes.len(),
        };
        self.parser.advance(sink, &bytes[..used]);
        used
    }

    /// The byte after ESC. C0 controls act and leave the escape open; so do bytes that do nothing.
    fn escape(&mut self, byte: u8, sink: &mut impl Sink) -> usize {
        if let Some(kind) = introduces(byte) {
            // The parser has seen ESC: `ESC \`, which does nothing, closes it.
            self.parser.advance(sink, b"\\");
            sink.string(kind);
            self.place = Place::Within(kind);
            return 1;
        }
        self.parser.advance(sink, &[byte]);
        if matches!(byte, CAN | SUB | 0x20..=0x7e) {
            self.place = Place::Outside;
        }
        1
    }

    /// ESC ends every string (`ESC \` is the polite form), CAN and SUB too, BEL an OSC only. The
    /// 8-bit ST (0x9c) does not: it is also the middle of characters. So the next redraw, which
    /// begins with ESC, comes through after a string that never ends.
    fn within(&mut self, kind: DropKind, bytes: &[u8], sink: &mut impl Sink) -> usize {
        let ends = |byte: &u8| match *byte {
            ESC | CAN | SUB => true,
            BEL => kind == DropKind::Osc,
            _ => false,
        };
        let Some(at) = bytes.iter().position(ends) else { return bytes.len() };
        if bytes[at] == ESC {
            self.parser.advance(sink, &[ESC]);
            self.place = Place::Escape;
        } else {
            self.place = Place::Outside;
        }
        at + 1
    }
}

/// The string that ESC and `byte` begin (ECMA-48 5.6, 8.3; `k` is screen's and tmux's title).
fn introduces(byte: u8) -> Option<DropKind> {
    match byte {
        b']' => Some(DropKind::Osc),
        b'P' => Some(DropKind::Dcs),
        b'_' => Some(DropKind::Apc),
        b'^' => Some(DropKind::Pm),
        b'X' => Some(DropKind::Sos),
        b'k' => Some(DropKind::Window),
        _ => None,
    }
}

/// The length of a character that `bytes` ends in the middle of: 0 to 3.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let is_begun = |tail: &[u8]| match std::str::from_utf8(tail) {
        Ok(_) => false,
        Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
    };
    let longest = bytes.len().min(3);
    (1..=longest).find(|len| is_begun(&bytes[bytes.len() - len..])).unwrap_or(0)
}

/// A character that the last read cut.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    bytes: [u8; 4],
    len: usize,
}

impl Carry {
    fn hold(&mut self, bytes: &[u8]) {
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len();
    }

    /// Adds `byte`; returns what is complete now, and keeps what is not. At most 3 bytes are ever
    /// kept, as no character has more than 4.
    fn complete_with(&mut self, byte: u8) -> ([u8; 4], usize) {
        let mut unit = self.bytes;
        unit[self.len] = byte;
        let len = self.len + 1;
        let tail = incomplete_tail(&unit[..len]);
        self.hold(&unit[len - tail..len]);
        (unit, len - tail)
    }
}
