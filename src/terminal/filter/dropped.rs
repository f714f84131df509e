//! How much of a jail's output was left out, by kind.

#![forbid(unsafe_code)]

use std::fmt;

/// What kind of thing was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropKind {
    /// A C0 control character without a use here (NUL, ENQ, XON, SUB…), or DEL.
    Control,
    /// An 8-bit C1 control, bare or as UTF-8.
    C1,
    /// A code point that is no character.
    Noncharacter,
    /// Operating System Command: clipboard, title, link, palette, notification.
    Osc,
    /// Device Control String: multiplexer passthrough, sixel, control mode, settings queries.
    Dcs,
    /// Application Program Command: kitty graphics.
    Apc,
    /// Privacy Message.
    Pm,
    /// Start of String.
    Sos,
    /// A question the terminal would answer by typing.
    Query,
    /// A mode that may not be changed.
    Mode,
    /// A change of what keys send.
    Keyboard,
    /// Window operations, title stack, screen's title.
    Window,
    /// Any other control sequence, known or not.
    Csi,
    /// Any other escape sequence, known or not.
    Escape,
    /// A permitted sequence with parameters that are not.
    Parameters,
}

impl DropKind {
    /// All kinds, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::Control,
        Self::C1,
        Self::Noncharacter,
        Self::Osc,
        Self::Dcs,
        Self::Apc,
        Self::Pm,
        Self::Sos,
        Self::Query,
        Self::Mode,
        Self::Keyboard,
        Self::Window,
        Self::Csi,
        Self::Escape,
        Self::Parameters,
    ];

    /// One word for tables and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::C1 => "c1",
            Self::Noncharacter => "noncharacter",
            Self::Osc => "osc",
            Self::Dcs => "dcs",
            Self::Apc => "apc",
            Self::Pm => "pm",
            Self::Sos => "sos",
            Self::Query => "query",
            Self::Mode => "mode",
            Self::Keyboard => "keyboard",
            Self::Window => "window",
            Self::Csi => "csi",
            Self::Escape => "escape",
            Self::Parameters => "parameters",
        }
    }
}

/// Counts by kind; they stop at their maximum instead of wrapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped([u64; DropKind::ALL.len()]);

impl Dropped {
    /// How many of `kind`.
    #[must_use]
    pub fn count(&self, kind: DropKind) -> u64 {
        self.0[kind as usize]
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Every kind that occurred, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropKind, u64)> {
        DropKind::ALL.into_iter().map(|kind| (kind, self.count(kind))).filter(|(_, n)| *n > 0)
    }

    pub(super) fn add(&mut self, kind: DropKind) {
        let count = &mut self.0[kind as usize];
        *count = count.saturating_add(1);
    }
}

/// Such as `osc 3, query 1`; empty where nothing was left out.
impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {count}", kind.word())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_counter() {
        for (index, kind) in DropKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
        }
    }

    #[test]
    fn counts_read_as_words() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.to_string(), "");
        dropped.add(DropKind::Query);
        dropped.add(DropKind::Osc);
        dropped.add(DropKind::Osc);
        assert_eq!(dropped.to_string(), "osc 2, query 1");
        assert_eq!(dropped.total(), 3);
    }
}
