//! What a person types while a recording is played.
//!
//! Decides: which bytes are which key. Must never: take the middle of a sequence for a key: what is
//! played may have made the terminal report its mouse.

#![forbid(unsafe_code)]

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Space.
    Pause,
    /// `.`
    Step,
    /// `+`
    Faster,
    /// `-`
    Slower,
    /// The arrow to the right, or `>`.
    Forward,
    /// The arrow to the left, or `<`.
    Back,
    /// `q` or Ctrl-C.
    Leave,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// After ESC.
    Escape,
    /// After `ESC [`; whether something came since.
    Sequence(bool),
    /// After `ESC O`.
    Single,
    /// In the old form of a mouse report, which has three bytes of any kind.
    Mouse(u8),
}

/// Reads keys out of bytes that come piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyReader {
    place: Place,
}

impl KeyReader {
    /// The key that `byte` completes.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        let place = std::mem::take(&mut self.place);
        match (place, byte) {
            (Place::Mouse(left), _) => {
                if left > 1 {
                    self.place = Place::Mouse(left - 1);
                }
            }
            (_, 0x1b) => self.place = Place::Escape,
            (Place::Escape, b'[') => self.place = Place::Sequence(false),
            (Place::Escape, b'O') => self.place = Place::Single,
            (Place::Sequence(false), b'M') => self.place = Place::Mouse(3),
            (Place::Sequence(false) | Place::Single, b'C') => return Some(Key::Forward),
            (Place::Sequence(false) | Place::Single, b'D') => return Some(Key::Back),
            (Place::Sequence(_), 0x20..=0x3f) => self.place = Place::Sequence(true),
            // What ended a sequence, or was typed together with Alt.
            (Place::Sequence(_) | Place::Single | Place::Escape, _) => {}
            (Place::Outside, byte) => return key(byte),
        }
        None
    }
}

fn key(byte: u8) -> Option<Key> {
    match byte {
        b' ' => Some(Key::Pause),
        b'.' => Some(Key::Step),
        b'+' | b'=' => Some(Key::Faster),
        b'-' => Some(Key::Slower),
        b'>' => Some(Key::Forward),
        b'<' => Some(Key::Back),
        // Ctrl-C, which a raw terminal gives as a byte.
        b'q' | 0x03 => Some(Key::Leave),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut reader = KeyReader::default();
        bytes.iter().filter_map(|byte| reader.feed(*byte)).collect()
    }

    #[test]
    fn each_key_is_known_in_all_its_forms() {
        let all = [Key::Pause, Key::Step, Key::Faster, Key::Slower, Key::Forward, Key::Back];
        assert_eq!(keys(b" .+-><"), all);
        assert_eq!(keys(b"\x1b[C\x1bOD="), [Key::Forward, Key::Back, Key::Faster]);
        assert_eq!(keys(b"qx\x03"), [Key::Leave, Key::Leave]);
    }

    #[test]
    fn reports_and_other_keys_are_no_keys() {
        for bytes in [
            &b"\x1b[<0;12;3M"[..],
            b"\x1b[M qq",
            b"\x1b[1;5C",
            b"\x1bq",
            b"\x1b[I",
            b"\x1bOP",
            b"\x1b[200~",
        ] {
            assert_eq!(keys(bytes), [], "{}", bytes.escape_ascii());
            assert_eq!(keys(&[bytes, b"q"].concat()), [Key::Leave], "{}", bytes.escape_ascii());
        }
    }
}
