//! Strings an agent chose, made visible: for messages, tables and logs.
//!
//! Decides: which characters a person must see as codes. Must never: let through what moves the
//! cursor, is invisible, turns the direction of text, or ends a line of a table.
//!
//! Before: names, titles, paths, argument lists, messages of agents. After: what the CLI prints. The
//! result reads back without doubt: a backslash of the agent's is doubled.
//!
//! Does not protect against: letters that look alike (Cyrillic `а`), or what the words say.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

/// The most characters [`plain`] returns.
pub const LIMIT: usize = 256;

/// Ranges that are shown as codes, each with its reason (Unicode 15.1; UTS #39, UAX #9).
pub const SHOWN_AS_CODES: &[(u32, u32, &str)] = &[
    (0x00, 0x1f, "C0 controls"),
    (0x7f, 0x9f, "DEL and C1 controls"),
    (0xa0, 0xa0, "a space that is none"),
    (0xad, 0xad, "soft hyphen, invisible"),
    (0x300, 0x36f, "combining: joins the character before, also one of ours"),
    (0x61c, 0x61c, "bidi mark"),
    (0x115f, 0x1160, "Hangul fillers, invisible"),
    (0x1680, 0x1680, "a space that is none"),
    (0x17b4, 0x17b5, "Khmer vowels, invisible"),
    (0x180b, 0x180f, "Mongolian selectors, invisible"),
    (0x1ab0, 0x1aff, "combining"),
    (0x1dc0, 0x1dff, "combining"),
    (0x2000, 0x200a, "spaces that are none"),
    (0x200b, 0x200f, "zero width, bidi marks"),
    (0x2028, 0x202e, "line and paragraph ends, bidi overrides"),
    (0x202f, 0x202f, "a space that is none"),
    (0x205f, 0x206f, "a space that is none, invisible operators, bidi isolates"),
    (0x20d0, 0x20ff, "combining"),
    (0x2800, 0x2800, "empty Braille cell"),
    (0x3000, 0x3000, "wide space"),
    (0x3164, 0x3164, "Hangul filler, invisible"),
    (0xe000, 0xf8ff, "private use: any picture"),
    (0xfdd0, 0xfdef, "noncharacters"),
    (0xfe00, 0xfe0f, "variation selectors, invisible: used to hide data"),
    (0xfe20, 0xfe2f, "combining"),
    (0xfeff, 0xfeff, "zero width"),
    (0xffa0, 0xffa0, "Hangul filler, invisible"),
    (0xfff0, 0xfffb, "interlinear annotation, unassigned"),
    (0x1_d173, 0x1_d17a, "musical controls, invisible"),
    (0xe_0000, 0xe_0fff, "tags and variation selectors, invisible: used to hide data"),
    (0xf_0000, 0x10_ffff, "private use: any picture"),
];

/// `text` as one visible line of at most [`LIMIT`] characters.
#[must_use]
pub fn plain(text: &str) -> String {
    plain_within(text, LIMIT)
}

/// `text` as one visible line of at most `limit` characters, the last being `…` where it was cut.
///
/// Work and memory are bounded by `limit`, not by the length of `text`.
#[must_use]
pub fn plain_within(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    // Where the text is cut if what follows does not fit: always before a whole character or code.
    let mut cut = 0;
    for c in text.chars() {
        let start = out.len();
        show(c, &mut out);
        used += out[start..].chars().count();
        if used > limit {
            out.truncate(cut);
            if limit > 0 {
                out.push('…');
            }
            return out;
        }
        if used < limit {
            cut = out.len();
        }
    }
    out
}

/// A line of ours in which strings of others stand, each made plain or escaped where it was put in: what
/// still hides is shown as a code, and backslashes are left as they are. Cut at [`LIMIT`] × 16.
#[must_use]
pub fn plain_message(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars().take(LIMIT * 16) {
        if c == '\\' { out.push(c) } else { show(c, &mut out) }
    }
    out
}

/// Each line of `text` made plain, empty ones left out, the last `limit` of them.
#[must_use]
pub fn plain_lines(text: &str, limit: usize) -> Vec<String> {
    let lines = text.lines().rev().map(str::trim_end).filter(|line| !line.is_empty());
    let mut lines: Vec<String> = lines.take(limit).map(plain).collect();
    lines.reverse();
    lines
}

/// Writes `c`, or its code: `\n`, `\x1b`, `\u{202e}`.
fn show(c: char, out: &mut String) {
    let code = u32::from(c);
    let hidden = SHOWN_AS_CODES.iter().any(|(from, to, _)| (*from..=*to).contains(&code));
    let noncharacter = code & 0xfffe == 0xfffe;
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' | '\r' | '\t' => out.extend(c.escape_default()),
        _ if hidden || noncharacter => code_of(code, out),
        _ => out.push(c),
    }
}

fn code_of(code: u32, out: &mut String) {
    let written =
        if code < 0x80 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{{{code:x}}}") };
    // Writing to a String does not fail; a code that were lost would still not show the character.
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["claude-1", "src/main.rs: ok", "Größe 漢字 🙂 שלום"] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn attacks_become_visible() {
        let cases = [
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{9b}31m\x7f", "\\u{9b}31m\\x7f"),
            ("user\u{202e}nimda", "user\\u{202e}nimda"),
            ("ad\u{200b}min", "ad\\u{200b}min"),
            ("x\u{e0041}\u{fe0f}", "x\\u{e0041}\\u{fe0f}"),
            ("\u{2066}\u{2028}", "\\u{2066}\\u{2028}"),
            ("z\u{301}\u{a0}", "z\\u{301}\\u{a0}"),
            ("\\x1b", "\\\\x1b"),
            ("\u{1ffff}", "\\u{1ffff}"),
        ];
        for (text, shown) in cases {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_codes() {
        assert_eq!(plain_within("abcdef", 6), "abcdef");
        assert_eq!(plain_within("abcdefg", 6), "abcde…");
        assert_eq!(plain_within("abc\x1b", 6), "abc…");
        assert_eq!(plain_within("abc", 0), "");
        assert_eq!(plain(&"x".repeat(10_000_000)).chars().count(), LIMIT);
    }

    #[test]
    fn a_message_shows_what_hides_and_keeps_what_is_escaped() {
        assert_eq!(plain_message("`a\\n` is \x1b[2J\u{202e}x"), "`a\\n` is \\x1b[2J\\u{202e}x");
        assert_eq!(plain_message(&"x".repeat(10_000)).len(), LIMIT * 16);
    }

    #[test]
    fn lines_keep_the_last_ones() {
        assert_eq!(plain_lines("a\n\nb \nc\x07\n", 2), ["b", "c\\x07"]);
    }

    #[test]
    fn ranges_are_in_order_and_apart() {
        for pair in SHOWN_AS_CODES.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{pair:x?}");
        }
    }

    proptest! {
        #[test]
        fn the_result_is_visible_bounded_and_stable(text in any::<String>(), limit in 0usize..300) {
            let shown = plain_within(&text, limit);
            prop_assert!(shown.chars().count() <= limit);
            prop_assert!(!shown.chars().any(char::is_control));
            // Nothing hidden is left: a second pass only doubles backslashes.
            prop_assert_eq!(plain_within(&shown, 10_000), shown.replace('\\', "\\\\"));
        }
    }
}
