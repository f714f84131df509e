//! An independent judge of the filter's output, for tests and for fuzzing.
//!
//! Decides: whether bytes are harmless, by a scanner of its own that shares neither parser nor tables
//! with the filter. Must never: use `vte`, [`super::policy`] or `emit`: then both could err alike.

#![forbid(unsafe_code)]

use super::{Charset, OutputFilter};

/// What is wrong with some output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    /// Not UTF-8.
    #[error("byte {0} is not UTF-8")]
    NotUtf8(usize),
    /// A control character that has no place in the output.
    #[error("control character at byte {0}")]
    Control(usize),
    /// A code point that is no character.
    #[error("noncharacter at byte {0}")]
    Noncharacter(usize),
    /// An escape or control sequence that has no place in the output.
    #[error("sequence at byte {0}")]
    Sequence(usize),
}

/// The first thing wrong with `output`.
///
/// # Errors
/// A [`Complaint`] with its place.
pub fn judge(output: &[u8]) -> Result<(), Complaint> {
    let text = std::str::from_utf8(output).map_err(|e| Complaint::NotUtf8(e.valid_up_to()))?;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        let used = match c {
            '\x1b' => sequence(rest).ok_or(Complaint::Sequence(at))?,
            '\x07'..='\x0a' | '\x0d'..='\x0f' => 1,
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => return Err(Complaint::Control(at)),
            '\u{fdd0}'..='\u{fdef}' => return Err(Complaint::Noncharacter(at)),
            _ if u32::from(c) % 0x1_0000 >= 0xfffe => return Err(Complaint::Noncharacter(at)),
            _ => c.len_utf8(),
        };
        rest = rest.get(used..).unwrap_or("");
    }
    Ok(())
}

/// The length of the harmless sequence that `text` begins with.
fn sequence(text: &str) -> Option<usize> {
    let short = ["\x1b(B", "\x1b(0", "\x1b)B", "\x1b)0"];
    if let Some(found) = short.iter().find(|form| text.starts_with(**form)) {
        return Some(found.len());
    }
    let second = *text.as_bytes().get(1)?;
    if b"78DEM=>".contains(&second) {
        return Some(2);
    }
    let body = text.strip_prefix("\x1b[")?;
    let end = body.find(|c: char| !c.is_ascii_digit() && !";:? !".contains(c))?;
    let last = *body.as_bytes().get(end)?;
    let parameters = body.get(..end)?;
    harmless(parameters, last).then_some(end + 3)
}

/// Whether the control sequence of `parameters` and `last` is one of the known good.
fn harmless(parameters: &str, last: u8) -> bool {
    let numbers = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b';');
    let small = |most: u64| {
        parameters
            .split([';', ':'])
            .all(|n| n.is_empty() || n.parse().is_ok_and(|n: u64| n <= most))
    };
    if parameters.split([';', ':']).count() > 32 {
        return false;
    }
    match last {
        b'm' => small(255),
        b'h' => modes(parameters, "4 34", "1 7 12 25 47 1047 1049 1000 1002 1003 1006 2004 2026"),
        b'l' => {
            let also = "1 5 6 7 12 25 47 69 1047 1049 1000 1001 1002 1003 1004 1005 1006 1015 1016 \
                        2004 2026";
            modes(parameters, "4 20 34", also)
        }
        b'p' => parameters == "!",
        b'q' => parameters.strip_suffix(' ').is_some_and(|n| "0123456".contains(n) && n.len() < 2),
        b'J' | b'K' => ["", "1", "2"].contains(&parameters),
        b's' | b'u' => parameters.is_empty(),
        b'b' => numbers(parameters) && small(1024),
        b'H' | b'f' | b'r' => small(9999) && parameters.matches(';').count() < 2,
        b'A'..=b'G' | b'I' | b'L' | b'M' | b'P' | b'S' | b'T' | b'X' | b'Z' | b'@' | b'`' => {
            parameters.bytes().all(|b| b.is_ascii_digit()) && small(9999)
        }
        b'a' | b'd' | b'e' => parameters.bytes().all(|b| b.is_ascii_digit()) && small(9999),
        _ => false,
    }
}

fn modes(parameters: &str, ansi: &str, private: &str) -> bool {
    let (numbers, known) = match parameters.strip_prefix('?') {
        Some(numbers) => (numbers, private),
        None => (parameters, ansi),
    };
    numbers.split(';').all(|number| known.split(' ').any(|one| one == number))
}

/// One run of a fuzzer: `bytes` at once, byte by byte, and the output once more.
///
/// # Panics
/// When the output is harmful, depends on the cuts, grows beyond three times the input, or is not
/// left alone by a second pass.
pub fn run(bytes: &[u8]) {
    for charset in [Charset::Utf8, Charset::Ascii] {
        let mut whole = Vec::new();
        let mut filter = OutputFilter::new(charset);
        filter.feed(bytes, &mut whole);
        assert_eq!(judge(&whole), Ok(()), "{:?}", whole.escape_ascii().to_string());
        assert!(whole.len() <= 3 * bytes.len(), "{} from {}", whole.len(), bytes.len());

        let mut pieces = Vec::new();
        let mut second = OutputFilter::new(charset);
        bytes.chunks(1).for_each(|byte| second.feed(byte, &mut pieces));
        assert_eq!(pieces.escape_ascii().to_string(), whole.escape_ascii().to_string());
        assert_eq!(second.dropped(), filter.dropped());

        let mut again = Vec::new();
        OutputFilter::new(charset).feed(&whole, &mut again);
        assert_eq!(again.escape_ascii().to_string(), whole.escape_ascii().to_string());
    }
}
