//! What a person types, on its way into the jail.
//!
//! Decides: which keys mean cellblock and not the agent. Must never: leave that to anything inside:
//! the tmux in the jail and its key bindings belong to the agent.
//!
//! Before: the person's terminal in raw mode. After: the jail's pty. Does not remove answers of the
//! terminal to queries: the filter lets no query out, so there are none to remove.

#![forbid(unsafe_code)]

/// What the keys ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The session goes on.
    GoOn,
    /// The person wants to leave; the jail goes on without them.
    Detach,
}

/// Takes typed bytes and passes on what is meant for the jail.
pub trait Keys {
    /// Takes `typed`, appends to `out` what is for the jail: at most one byte more than was typed.
    fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Wish;

    /// Nothing more will be typed: appends to `out` what tells the jail so, two bytes at most. A terminal in raw mode has no
    /// end but its own.
    fn end(&mut self, _out: &mut Vec<u8>) {}
}

/// Every key is for the jail.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllKeys;

impl Keys for AllKeys {
    fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Wish {
        out.extend_from_slice(typed);
        Wish::GoOn
    }
}

/// Every key is for the jail, line by line, as a terminal hands them over that is not in raw mode. What says there that
/// nothing more comes is no key any more when it is read; in the jail's terminal it is one again (termios(3), `VEOF`).
#[derive(Clone, Copy, Debug, Default)]
pub struct LineKeys {
    /// Whether a line was begun that is not ended.
    begun: bool,
}

impl LineKeys {
    /// Ctrl-D, as every new terminal has it.
    const END: u8 = 0x04;
}

impl Keys for LineKeys {
    fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Wish {
        out.extend_from_slice(typed);
        self.begun = typed.last().is_some_and(|byte| *byte != b'\n');
        Wish::GoOn
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        // After part of a line the first one only hands that over.
        out.extend_from_slice(if self.begun { &[Self::END; 2] } else { &[Self::END] });
    }
}

/// A prefix key, then `d` to leave; the prefix twice is the prefix once; with any other key both go
/// to the jail.
#[derive(Clone, Copy, Debug)]
pub struct DetachKey {
    prefix: u8,
    pending: bool,
}

impl DetachKey {
    /// Ctrl-], which few programs use.
    pub const PREFIX: u8 = 0x1d;

    /// With the byte `prefix` as the prefix.
    #[must_use]
    pub fn new(prefix: u8) -> Self {
        Self { prefix, pending: false }
    }
}

impl Keys for DetachKey {
    fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Wish {
        for byte in typed {
            match (self.pending, *byte) {
                (true, b'd') => return Wish::Detach,
                (false, byte) if byte == self.prefix => self.pending = true,
                (true, byte) => {
                    if byte != self.prefix {
                        out.push(self.prefix);
                    }
                    out.push(byte);
                    self.pending = false;
                }
                (false, byte) => out.push(byte),
            }
        }
        Wish::GoOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&[u8]]) -> (Wish, String) {
        let mut keys = DetachKey::new(DetachKey::PREFIX);
        let mut out = Vec::new();
        let mut wish = Wish::GoOn;
        for piece in pieces {
            wish = keys.feed(piece, &mut out);
        }
        (wish, out.escape_ascii().to_string())
    }

    #[test]
    fn prefix_and_d_leave_also_when_they_come_apart() {
        assert_eq!(typed(&[b"ls\x1dd rest"]), (Wish::Detach, "ls".into()));
        assert_eq!(typed(&[b"ls\x1d", b"d"]), (Wish::Detach, "ls".into()));
    }

    #[test]
    fn the_prefix_can_be_sent() {
        assert_eq!(typed(&[b"\x1d\x1dd"]), (Wish::GoOn, "\\x1dd".into()));
        assert_eq!(typed(&[b"\x1d", b"x"]), (Wish::GoOn, "\\x1dx".into()));
    }

    #[test]
    fn the_end_of_lines_becomes_the_key_for_it_again() {
        for (typed, ended) in [("", "\x04"), ("line\n", "\x04"), ("part", "\x04\x04")] {
            let (mut keys, mut out) = (LineKeys::default(), Vec::new());
            if !typed.is_empty() {
                assert_eq!(keys.feed(typed.as_bytes(), &mut out), Wish::GoOn);
            }
            keys.end(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{typed}{ended}"));
        }
        let mut none = Vec::new();
        AllKeys.end(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn all_keys_are_all_keys() {
        let mut out = Vec::new();
        assert_eq!(AllKeys.feed(b"\x1dd\x03", &mut out), Wish::GoOn);
        assert_eq!(out, b"\x1dd\x03");
    }
}
