//! The well-known control sequences that are refused, by kind: for counting and for explaining.
//!
//! Decides nothing: what has no row in [`super::policy`] is dropped whether it stands here or not.

#![forbid(unsafe_code)]

use super::dropped::DropKind;

/// A control sequence that is not passed on.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The byte after `ESC [` out of `<=>?`, or 0 for none.
    pub marker: u8,
    /// The byte before the last, or 0 for none.
    pub intermediate: u8,
    /// The last byte.
    pub last: u8,
    /// How it is counted.
    pub kind: DropKind,
    /// Why it is refused.
    pub reason: &'static str,
}

/// Control sequences (ctlseqs; kitty keyboard protocol).
pub const REFUSED: &[Refused] = &[
    no(0, 0, b'c', DropKind::Query, "DA1: the terminal types its attributes"),
    no(b'>', 0, b'c', DropKind::Query, "DA2: the terminal types its version"),
    no(b'=', 0, b'c', DropKind::Query, "DA3: the terminal types its unit id"),
    no(b'?', 0, b'c', DropKind::Csi, "the Linux console's cursor; a reply elsewhere"),
    no(0, 0, b'n', DropKind::Query, "DSR: the terminal types its status or the cursor's place"),
    no(b'?', 0, b'n', DropKind::Query, "DECDSR: the same for DEC devices"),
    no(b'>', 0, b'n', DropKind::Keyboard, "changes what modified keys send"),
    no(0, b'$', b'p', DropKind::Query, "DECRQM: the terminal types a mode"),
    no(b'?', b'$', b'p', DropKind::Query, "DECRQM: the terminal types a private mode"),
    no(b'>', 0, b'q', DropKind::Query, "XTVERSION: the terminal types its name"),
    no(0, 0, b'x', DropKind::Query, "DECREQTPARM: the terminal types its parameters"),
    no(0, b'*', b'y', DropKind::Query, "DECRQCRA: the terminal types a sum over its cells"),
    no(0, b'#', b'|', DropKind::Query, "XTREPORTSGR: the terminal types attributes of cells"),
    no(b'?', 0, b'S', DropKind::Query, "XTSMGRAPHICS: the terminal types what it can draw"),
    no(b'?', 0, b'm', DropKind::Query, "XTQMODKEYS: the terminal types a setting of keys"),
    no(b'?', 0, b'u', DropKind::Query, "kitty: the terminal types its flags for keys"),
    no(b'>', 0, b'u', DropKind::Keyboard, "kitty: pushes another form of keys"),
    no(b'<', 0, b'u', DropKind::Keyboard, "kitty: pops one; it may be the person's own"),
    no(b'=', 0, b'u', DropKind::Keyboard, "kitty: sets another form of keys"),
    no(b'>', 0, b'm', DropKind::Keyboard, "XTMODKEYS: keys in another form, lasting"),
    no(0, 0, b'q', DropKind::Keyboard, "DECLL: keyboard lights"),
    no(0, 0, b't', DropKind::Window, "window operations: size, place, reports of the title"),
    no(b'>', 0, b't', DropKind::Window, "XTSMTITLE: how titles are encoded"),
    no(b'?', 0, b's', DropKind::Mode, "XTSAVE: overwrites saved modes"),
    no(b'?', 0, b'r', DropKind::Mode, "XTRESTORE: sets modes that are not on the list"),
    no(0, 0, b'g', DropKind::Csi, "TBC: clears tab stops, which nothing brings back everywhere"),
    no(0, 0, b'i', DropKind::Csi, "MC: prints the screen, or all that follows, on paper"),
    no(b'?', 0, b'i', DropKind::Csi, "MC: the same, DEC's form"),
];

/// How a control sequence without a row in the policy is counted.
pub(super) fn kind(marker: u8, intermediate: u8, last: u8) -> DropKind {
    let wanted = (marker, intermediate, last);
    let known = REFUSED.iter().find(|row| (row.marker, row.intermediate, row.last) == wanted);
    known.map_or(DropKind::Csi, |row| row.kind)
}

const fn no(marker: u8, intermediate: u8, last: u8, kind: DropKind, why: &'static str) -> Refused {
    Refused { marker, intermediate, last, kind, reason: why }
}
