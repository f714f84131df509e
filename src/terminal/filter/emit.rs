//! Writes what the policy permits, in one canonical form.
//!
//! Decides: the form. A sequence is made anew from its row and its numbers; no byte of the jail's own
//! encoding is copied. Must never: write a sequence without a row in [`super::policy`].
//!
//! Before: the parser. After: the person's terminal.

#![forbid(unsafe_code)]

use super::dropped::{DropKind, Dropped};
use super::intake::Sink;
use super::policy::{self, Allowed, Csi, Mode, Values};
use super::{Charset, refused};
use vte::{Params, Perform};

/// What lasts from one read to the next.
#[derive(Debug)]
pub(super) struct State {
    pub(super) charset: Charset,
    pub(super) dropped: Dropped,
    pub(super) alternate_screen: bool,
}

/// One read's worth of writing.
pub(super) struct Emitter<'a> {
    pub(super) state: &'a mut State,
    pub(super) out: &'a mut Vec<u8>,
}

/// Why a sequence with a row is not written after all.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// Its parameters are not what the row permits.
    Parameters,
    /// It named modes, none permitted; each is counted already.
    NothingLeft,
}

impl Emitter<'_> {
    fn leave_out(&mut self, kind: DropKind) {
        self.state.dropped.add(kind);
    }

    fn character(&mut self, c: char) {
        let shown = match self.state.charset {
            Charset::Utf8 => c,
            Charset::Ascii if c.is_ascii() => c,
            Charset::Ascii => '?',
        };
        self.out.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn control_sequence(&mut self, row: &Csi, params: &Params) -> Result<(), Refusal> {
        self.out.extend_from_slice(b"\x1b[");
        self.byte(row.marker);
        match row.values {
            Values::Counts { most, limit } => self.counts(params, most, limit)?,
            Values::OneOf(values) => self.one_of(params, values)?,
            Values::Rendition => self.rendition(params)?,
            Values::SetModes(modes) => self.modes(params, modes, true)?,
            Values::ResetModes(modes) => self.modes(params, modes, false)?,
        }
        self.byte(row.intermediate);
        self.byte(row.last);
        Ok(())
    }

    /// `byte`, unless it is the 0 that stands for none.
    fn byte(&mut self, byte: u8) {
        if byte != 0 {
            self.out.push(byte);
        }
    }

    fn number(&mut self, number: u16) {
        self.out.extend_from_slice(number.to_string().as_bytes());
    }

    fn separator(&mut self, separator: u8, index: usize) {
        if index > 0 {
            self.out.push(separator);
        }
    }

    fn counts(&mut self, params: &Params, most: usize, limit: u16) -> Result<(), Refusal> {
        if params.iter().count() > most {
            return Err(Refusal::Parameters);
        }
        // A missing number and 0 mean the same in every row of this form.
        if is_lone_zero(params) {
            return Ok(());
        }
        for (index, param) in params.iter().enumerate() {
            let [value] = param else { return Err(Refusal::Parameters) };
            self.separator(b';', index);
            self.number((*value).min(limit));
        }
        Ok(())
    }

    fn one_of(&mut self, params: &Params, values: &[u16]) -> Result<(), Refusal> {
        let mut all = params.iter();
        let (Some([value]), None) = (all.next(), all.next()) else {
            return Err(Refusal::Parameters);
        };
        if !values.contains(value) {
            return Err(Refusal::Parameters);
        }
        if *value != 0 {
            self.number(*value);
        }
        Ok(())
    }

    fn rendition(&mut self, params: &Params) -> Result<(), Refusal> {
        if is_lone_zero(params) {
            return Ok(());
        }
        for (index, param) in params.iter().enumerate() {
            self.separator(b';', index);
            for (index, value) in param.iter().enumerate() {
                if *value > u16::from(u8::MAX) {
                    return Err(Refusal::Parameters);
                }
                self.separator(b':', index);
                self.number(*value);
            }
        }
        Ok(())
    }

    fn modes(&mut self, params: &Params, modes: &[Mode], set: bool) -> Result<(), Refusal> {
        let may = |row: &Mode, value| row.number == value && (!set || row.allowed == Allowed::Both);
        let mut written = 0;
        for param in params {
            match param {
                [value] if modes.iter().any(|row| may(row, *value)) => {
                    self.separator(b';', written);
                    self.number(*value);
                    written += 1;
                    if matches!(value, 47 | 1047 | 1049) {
                        self.state.alternate_screen = set;
                    }
                }
                _ => self.leave_out(DropKind::Mode),
            }
        }
        if written == 0 { Err(Refusal::NothingLeft) } else { Ok(()) }
    }
}

fn is_lone_zero(params: &Params) -> bool {
    let mut all = params.iter();
    all.next() == Some(&[0]) && all.next().is_none()
}

/// Whether Unicode says that `c` is for internal use and no character (The Unicode Standard, 23.7).
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

impl Perform for Emitter<'_> {
    fn print(&mut self, c: char) {
        match c {
            '\x7f' => self.leave_out(DropKind::Control),
            _ if is_noncharacter(c) => self.leave_out(DropKind::Noncharacter),
            _ => self.character(c),
        }
    }

    fn execute(&mut self, byte: u8) {
        if policy::CONTROLS.iter().any(|row| row.byte == byte) {
            self.out.push(byte);
        } else if byte < 0x80 {
            self.leave_out(DropKind::Control);
        } else {
            self.leave_out(DropKind::C1);
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        let row = match (ignore, intermediates) {
            (false, []) if byte == b'\\' => return, // ST: ends a string that is gone already
            (false, []) => policy::escape(0, byte),
            (false, [one]) => policy::escape(*one, byte),
            _ => None,
        };
        let Some(row) = row else { return self.leave_out(DropKind::Escape) };
        self.out.push(0x1b);
        self.byte(row.intermediate);
        self.byte(row.last);
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, last: char) {
        let (marker, rest) = match intermediates {
            [marker @ b'<'..=b'?', rest @ ..] => (*marker, rest),
            _ => (0, intermediates),
        };
        let (intermediate, last) = match (rest, u8::try_from(last)) {
            ([], Ok(last)) => (0, last),
            ([one], Ok(last)) => (*one, last),
            _ => return self.leave_out(DropKind::Csi),
        };
        let Some(row) = policy::control_sequence(marker, intermediate, last) else {
            return self.leave_out(refused::kind(marker, intermediate, last));
        };
        if ignore {
            return self.leave_out(DropKind::Parameters);
        }
        let before = self.out.len();
        match self.control_sequence(row, params) {
            Ok(()) => {}
            Err(Refusal::NothingLeft) => self.out.truncate(before),
            Err(Refusal::Parameters) => {
                self.out.truncate(before);
                self.leave_out(DropKind::Parameters);
            }
        }
    }
}

impl Sink for Emitter<'_> {
    fn string(&mut self, kind: DropKind) {
        self.leave_out(kind);
    }
}
