//! Which bytes are which key.
//!
//! Must never: take the middle of a sequence for a key.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character that can be seen, or a space.
    Char(char),
    /// The arrows.
    Up,
    /// Down.
    Down,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// Return.
    Enter,
    /// Esc.
    Escape,
    /// Takes a character back.
    Backspace,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// After ESC.
    Escape,
    /// After `ESC [`, with the number that came since; none where something else did.
    Sequence(Option<u8>),
    /// After `ESC O`.
    Single,
}

/// Reads keys out of bytes that come piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyReader {
    place: Place,
}

impl KeyReader {
    /// The key that `byte` completes.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        match (std::mem::take(&mut self.place), byte) {
            (Place::Escape, 0x1b) => {
                self.place = Place::Escape;
                return Some(Key::Escape);
            }
            (_, 0x1b) => self.place = Place::Escape,
            (Place::Escape, b'[') => self.place = Place::Sequence(Some(0)),
            (Place::Escape, b'O') => self.place = Place::Single,
            (Place::Sequence(Some(number)), b'0'..=b'9') => {
                let number = number.checked_mul(10).and_then(|tens| tens.checked_add(byte - b'0'));
                self.place = Place::Sequence(number);
            }
            (Place::Sequence(_), 0x20..=0x3f) => self.place = Place::Sequence(None),
            (Place::Sequence(Some(number)), b'~') => return numbered(number),
            (Place::Sequence(Some(0)) | Place::Single, byte) => return lettered(byte),
            // What ended a sequence, or was typed together with Alt.
            (Place::Sequence(_) | Place::Escape, _) => {}
            (Place::Outside, byte) => return single(byte),
        }
        None
    }

    /// Whether it is not known yet what the last byte was: Esc, or the first one of another key.
    pub(super) fn is_open(self) -> bool {
        self.place == Place::Escape
    }

    /// Nothing more came: it was Esc.
    pub(super) fn close(&mut self) -> Option<Key> {
        let open = self.is_open();
        self.place = Place::Outside;
        open.then_some(Key::Escape)
    }
}

fn single(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        0x7f | 0x08 => Some(Key::Backspace),
        0x03 => Some(Key::Interrupt),
        0x0c => Some(Key::Redraw),
        b' '..=b'~' => Some(Key::Char(char::from(byte))),
        _ => None,
    }
}

/// As xterm and the VT220 send them.
fn numbered(number: u8) -> Option<Key> {
    match number {
        1 | 7 => Some(Key::Home),
        4 | 8 => Some(Key::End),
        5 => Some(Key::PageUp),
        6 => Some(Key::PageDown),
        _ => None,
    }
}

fn lettered(byte: u8) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'H' => Some(Key::Home),
        b'F' => Some(Key::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut reader = KeyReader::default();
        let mut keys: Vec<Key> = bytes.iter().filter_map(|byte| reader.feed(*byte)).collect();
        keys.extend(reader.close());
        keys
    }

    #[test]
    fn each_key_is_known_in_all_its_forms() {
        assert_eq!(keys(b"\x1b[A\x1bOB"), [Key::Up, Key::Down]);
        assert_eq!(keys(b"\x1b[D\x1bOC"), [Key::Left, Key::Right]);
        assert_eq!(keys(b"\x1b[H\x1b[1~\x1bOF\x1b[4~"), [Key::Home, Key::Home, Key::End, Key::End]);
        assert_eq!(keys(b"\x1b[5~\x1b[6~"), [Key::PageUp, Key::PageDown]);
        assert_eq!(keys(b"a/\r\x7f"), [Key::Char('a'), Key::Char('/'), Key::Enter, Key::Backspace]);
        assert_eq!(keys(b"\x03\x0c"), [Key::Interrupt, Key::Redraw]);
    }

    #[test]
    fn esc_is_a_key_where_nothing_follows() {
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1b\x1b"), [Key::Escape, Key::Escape]);
        let mut reader = KeyReader::default();
        assert_eq!((reader.feed(0x1b), reader.is_open()), (None, true));
        assert_eq!((reader.feed(b'['), reader.is_open()), (None, false));
        assert_eq!(reader.feed(b'A'), Some(Key::Up));
    }

    #[test]
    fn other_sequences_are_no_keys() {
        for bytes in [
            &b"\x1b[<0;12;3M"[..],
            b"\x1b[1;5C",
            b"\x1b[200~",
            b"\x1b[999~",
            b"\x1bq",
            b"\x1b[I",
            b"\x1bOP",
            b"\x1b[15~",
            b"\xc3\xa9",
            b"\x00",
        ] {
            assert_eq!(keys(bytes), [], "{}", bytes.escape_ascii());
            let then_q = [bytes, b"q"].concat();
            assert_eq!(keys(&then_q), [Key::Char('q')], "{}", bytes.escape_ascii());
        }
    }
}
