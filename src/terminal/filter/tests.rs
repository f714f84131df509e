//! Attacks by name, every cut, and arbitrary bytes.

use super::dropped::DropKind::{self, *};
use super::policy::{Allowed, CSIS, ESCAPES, PRIVATE_MODES, Values};
use super::*;
use proptest::prelude::*;

fn filtered(bytes: &[u8]) -> (Vec<u8>, Dropped) {
    let mut filter = OutputFilter::new(Charset::Utf8);
    let mut out = Vec::new();
    filter.feed(bytes, &mut out);
    (out, filter.dropped().clone())
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Attack, bytes, how it is counted. All but the letters `A` and `Z` around it must disappear.
const ATTACKS: &[(&str, &[u8], DropKind)] = &[
    ("TTY-05 clipboard set, BEL", b"\x1b]52;c;cm0gLXJmIH4K\x07", Osc),
    ("TTY-05 clipboard set, ST", b"\x1b]52;c;cm0gLXJmIH4K\x1b\\", Osc),
    ("TTY-06 clipboard query", b"\x1b]52;c;?\x07", Osc),
    ("TTY-06 primary attributes", b"\x1b[c", Query),
    ("TTY-06 primary attributes, zero", b"\x1b[0c", Query),
    ("TTY-06 secondary attributes", b"\x1b[>c", Query),
    ("TTY-06 tertiary attributes", b"\x1b[=c", Query),
    ("TTY-06 status", b"\x1b[5n", Query),
    ("TTY-06 cursor place", b"\x1b[6n", Query),
    ("TTY-06 cursor place, DEC", b"\x1b[?6n", Query),
    ("TTY-06 mode query", b"\x1b[4$p", Query),
    ("TTY-06 private mode query", b"\x1b[?2026$p", Query),
    ("TTY-06 version", b"\x1b[>0q", Query),
    ("TTY-06 terminal parameters", b"\x1b[x", Query),
    ("TTY-06 sum over cells", b"\x1b[1;1;1;1;2;2*y", Query),
    ("TTY-06 attributes of cells", b"\x1b[1;1;2;2#|", Query),
    ("TTY-06 graphics query", b"\x1b[?1;1;0S", Query),
    ("TTY-06 kitty keyboard query", b"\x1b[?u", Query),
    ("TTY-06 key settings query", b"\x1b[?4m", Query),
    ("TTY-06 answerback", b"\x05", Control),
    ("TTY-06 DECID", b"\x1bZ", Escape),
    ("TTY-06 setting query DECRQSS", b"\x1bP$qm\x1b\\", Dcs),
    ("TTY-06 capability query XTGETTCAP", b"\x1bP+q544e\x1b\\", Dcs),
    ("TTY-06 title report", b"\x1b[21t", Window),
    ("TTY-06 colour query", b"\x1b]11;?\x07", Osc),
    ("TTY-06 palette query", b"\x1b]4;1;?\x1b\\", Osc),
    ("TTY-08 control mode", b"\x1bP1000p%begin\n%exit\n\x1b\\", Dcs),
    ("TTY-09 title", b"\x1b]0;rm -rf ~\x07", Osc),
    ("TTY-09 icon name", b"\x1b]1;x\x07", Osc),
    ("TTY-09 title, screen's form", b"\x1bkname\x1b\\", Window),
    ("TTY-09 title stack push", b"\x1b[22;0;0t", Window),
    ("TTY-09 window size", b"\x1b[8;1;1t", Window),
    ("TTY-09 working directory", b"\x1b]7;file://host/tmp\x1b\\", Osc),
    ("TTY-09 link to a file", b"\x1b]8;;file:///etc/passwd\x1b\\", Osc),
    ("TTY-09 link to ssh", b"\x1b]8;;ssh://-oProxyCommand=x\x1b\\", Osc),
    ("TTY-09 notification, iTerm2", b"\x1b]9;hello\x07", Osc),
    ("TTY-09 notification, kitty", b"\x1b]99;;hello\x1b\\", Osc),
    ("TTY-09 notification, urxvt", b"\x1b]777;notify;a;b\x07", Osc),
    ("TTY-09 file download", b"\x1b]1337;File=name=eA==;inline=0:eA==\x07", Osc),
    ("TTY-09 pointer and palette", b"\x1b]4;0;rgb:00/00/00\x07", Osc),
    ("TTY-09 sixel", b"\x1bPq#0;2;0;0;0#0~~\x1b\\", Dcs),
    ("TTY-09 kitty graphics file", b"\x1b_Gt=f,a=t;L2V0Yy9wYXNzd2Q=\x1b\\", Apc),
    ("TTY-09 privacy message", b"\x1b^hidden\x1b\\", Pm),
    ("TTY-09 start of string", b"\x1bXhidden\x1b\\", Sos),
    ("TTY-09 print the screen", b"\x1b[i", Csi),
    ("TTY-09 print all that follows", b"\x1b[5i", Csi),
    ("TTY-10 C1 CSI, bare", b"\x9b", C1),
    ("TTY-10 C1 OSC, bare", b"\x9d", C1),
    ("TTY-10 C1 DCS, bare", b"\x90", C1),
    ("TTY-10 C1 CSI, UTF-8", b"\xc2\x9b", C1),
    ("TTY-10 C1 OSC, UTF-8", b"\xc2\x9d", C1),
    ("TTY-10 UTF-8 off", b"\x1b%@", Escape),
    ("TTY-10 UTF-8 on", b"\x1b%G", Escape),
    ("TTY-10 8-bit controls on", b"\x1b G", Escape),
    ("TTY-10 an OSC in an OSC", b"\x1b]0;a\x1b]52;c;?\x07", Osc),
    ("TTY-10 an OSC with a control before its name", b"\x1b\x00]52;c;?\x07", Osc),
    ("TTY-10 an OSC ended by CAN", b"\x1b]52;c;\x18", Osc),
    ("TTY-10 an OSC ended by SUB", b"\x1b]52;c;\x1a", Osc),
    ("TTY-10 an OSC inside a CSI", b"\x1b[3\x1b]52;c;?\x07", Osc),
    (
        "TTY-10 too many parameters",
        b"\x1b[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m",
        Parameters,
    ),
    ("TTY-10 two intermediates", b"\x1b[ !q", Csi),
    ("TTY-10 unknown final", b"\x1b[1~", Csi),
    ("TTY-11 history erased", b"\x1b[3J", Parameters),
    ("TTY-12 full reset", b"\x1bc", Escape),
    ("TTY-12 tab stop set", b"\x1bH", Escape),
    ("TTY-12 tab stops cleared", b"\x1b[3g", Csi),
    ("TTY-12 keyboard locked", b"\x1b[2h", Mode),
    ("TTY-12 keyboard lights", b"\x1b[1q", Keyboard),
    ("TTY-12 kitty keyboard push", b"\x1b[>1u", Keyboard),
    ("TTY-12 kitty keyboard pop", b"\x1b[<9u", Keyboard),
    ("TTY-12 kitty keyboard set", b"\x1b[=1;1u", Keyboard),
    ("TTY-12 modified keys", b"\x1b[>4;2m", Keyboard),
    ("TTY-12 132 columns", b"\x1b[?3h", Mode),
    ("TTY-12 strobe", b"\x1b[?5h", Mode),
    ("TTY-12 8-bit keys", b"\x1b[?1034h", Mode),
    ("TTY-12 margins", b"\x1b[?69h", Mode),
    ("TTY-12 modes saved", b"\x1b[?1000s", Mode),
    ("TTY-12 modes restored", b"\x1b[?1000r", Mode),
    ("TTY-12 locking shift", b"\x1b~", Escape),
    ("TTY-12 another charset", b"\x1b(A", Escape),
    ("TTY-12 mouse highlighting", b"\x1b[1;2;3;4;5T", Parameters),
    ("TTY-13 focus reports", b"\x1b[?1004h", Mode),
    ("TTY-13 mouse in UTF-8", b"\x1b[?1005h", Mode),
    ("TTY-16 XOFF", b"\x13", Control),
    ("delete", b"\x7f", Control),
    ("a noncharacter", "\u{fffe}".as_bytes(), Noncharacter),
];

#[test]
fn every_attack_disappears_and_is_counted() {
    for (name, bytes, kind) in ATTACKS {
        let (out, dropped) = filtered(&[b"A".as_slice(), bytes, b"Z"].concat());
        assert_eq!(show(&out), "AZ", "{name}");
        assert!(dropped.count(*kind) > 0, "{name}: {dropped}");
    }
}

/// What it is, bytes, what comes out.
const KEPT: &[(&str, &[u8], &[u8])] = &[
    ("text", "aé漢🙂\u{301}".as_bytes(), "aé漢🙂\u{301}".as_bytes()),
    ("controls", b"\x07\x08\t\n\r\x0e\x0f", b"\x07\x08\t\n\r\x0e\x0f"),
    ("invalid UTF-8", b"\xff\xe2\x82A", "\u{fffd}\u{fffd}A".as_bytes()),
    ("home", b"\x1b[H", b"\x1b[H"),
    ("home in full", b"\x1b[1;1H", b"\x1b[1;1H"),
    ("to the edge", b"\x1b[99999;99999H", b"\x1b[9999;9999H"),
    ("leading zeros", b"\x1b[0000007A", b"\x1b[7A"),
    ("scroll region", b"\x1b[5;10r", b"\x1b[5;10r"),
    ("erase", b"\x1b[2J\x1b[0K\x1b[1K", b"\x1b[2J\x1b[K\x1b[1K"),
    ("repeat", b"x\x1b[65535b", b"x\x1b[1024b"),
    ("colours", b"\x1b[0;1;38;5;200;48;2;1;2;3m", b"\x1b[0;1;38;5;200;48;2;1;2;3m"),
    ("colours with subparameters", b"\x1b[4:3;58:2::1:2:3m", b"\x1b[4:3;58:2:0:1:2:3m"),
    ("no attributes", b"\x1b[m\x1b[0m", b"\x1b[m\x1b[m"),
    ("line drawing", b"\x1b(0lqk\x1b(B", b"\x1b(0lqk\x1b(B"),
    ("cursor shape", b"\x1b[4 q\x1b[0 q", b"\x1b[4 q\x1b[ q"),
    ("soft reset", b"\x1b[!p", b"\x1b[!p"),
    ("modes", b"\x1b[?1049h\x1b[?25l\x1b[4h", b"\x1b[?1049h\x1b[?25l\x1b[4h"),
    ("the good ones of several modes", b"\x1b[?1000;1004;1006;9h", b"\x1b[?1000;1006h"),
    ("a control inside a sequence", b"\x1b[3\n1m", b"\n\x1b[31m"),
    ("TTY-10 redraw after an unterminated OSC", b"\x1b]52;c;xx\x1b[2J", b"\x1b[2J"),
    ("TTY-07 passthrough: what is left is filtered", b"\x1bPtmux;\x1b\x1b]52;c;x\x07\x1b\\Z", b"Z"),
    ("TTY-10 C1 CSI, then text only", b"\x9b31mA", b"31mA"),
    ("TTY-10 8-bit ST does not end a string", b"\x1b]0;a\x9c31m\x07Z", b"Z"),
];

#[test]
fn what_is_on_the_list_comes_out_in_canonical_form() {
    for (name, bytes, expected) in KEPT {
        assert_eq!(show(&filtered(bytes).0), show(expected), "{name}");
    }
}

#[test]
fn every_cut_of_every_sequence_gives_the_same() {
    let attacks = ATTACKS.iter().map(|(name, bytes, _)| (name, bytes));
    for (name, bytes) in attacks.chain(KEPT.iter().map(|(name, bytes, _)| (name, bytes))) {
        let bytes = [b"A".as_slice(), bytes, "é\x1b[mZ".as_bytes()].concat();
        let (whole, dropped) = filtered(&bytes);
        for cut in 0..=bytes.len() {
            let mut filter = OutputFilter::new(Charset::Utf8);
            let mut out = Vec::new();
            filter.feed(&bytes[..cut], &mut out);
            filter.feed(&[], &mut out);
            filter.feed(&bytes[cut..], &mut out);
            assert_eq!(show(&out), show(&whole), "{name}, cut at {cut}");
            assert_eq!(filter.dropped(), &dropped, "{name}, cut at {cut}");
        }
    }
}

#[test]
fn a_character_cut_before_an_invalid_byte_loses_nothing_after_it() {
    // vte 0.15 alone skips the `a`.
    let mut filter = OutputFilter::new(Charset::Utf8);
    let mut out = Vec::new();
    filter.feed(b"\xc3", &mut out);
    filter.feed(b"\xa9a\xff", &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "éa\u{fffd}");
}

#[test]
fn every_row_of_the_policy_is_harmless_to_the_independent_judge() {
    for row in ESCAPES {
        let mut bytes = vec![0x1b, row.intermediate, row.last];
        bytes.retain(|byte| *byte != 0);
        assert_eq!(show(&filtered(&bytes).0), show(&bytes), "{}", row.reason);
        assert_eq!(fuzz::judge(&bytes), Ok(()), "{}", row.reason);
    }
    for row in CSIS {
        let number = match row.values {
            Values::Counts { .. } | Values::Rendition => 7,
            Values::OneOf(values) => values[values.len() - 1],
            Values::SetModes(modes) | Values::ResetModes(modes) => modes[0].number,
        };
        let number = number.to_string().into_bytes();
        let mut bytes = [b"\x1b[".as_slice(), &[row.marker], &number].concat();
        bytes.extend([row.intermediate, row.last]);
        bytes.retain(|byte| *byte != 0);
        let (out, dropped) = filtered(&bytes);
        assert_eq!(dropped.total(), 0, "{}", row.reason);
        assert_eq!(fuzz::judge(&out), Ok(()), "{}", row.reason);
    }
}

#[test]
fn no_sequence_is_both_permitted_and_refused() {
    for row in refused::REFUSED {
        let found = policy::control_sequence(row.marker, row.intermediate, row.last);
        assert!(found.is_none(), "{}", row.reason);
    }
}

#[test]
fn a_mode_that_may_only_be_reset_is_not_set() {
    for mode in PRIVATE_MODES.iter().filter(|mode| mode.allowed == Allowed::Reset) {
        let set = filtered(format!("\x1b[?{}h", mode.number).as_bytes());
        let reset = filtered(format!("\x1b[?{}l", mode.number).as_bytes());
        assert_eq!((set.0.len(), set.1.count(Mode)), (0, 1), "{}", mode.reason);
        assert_eq!(reset.1.total(), 0, "{}", mode.reason);
    }
}

#[test]
fn the_judge_is_not_blind() {
    for (name, bytes, _) in ATTACKS {
        assert!(fuzz::judge(bytes).is_err(), "{name}");
    }
}

#[test]
fn seven_bit_terminals_get_seven_bits() {
    let mut filter = OutputFilter::new(Charset::Ascii);
    let mut out = Vec::new();
    filter.feed("a\u{dd}52;é\x1b[31m".as_bytes(), &mut out);
    assert_eq!(show(&out), "a?52;?\\x1b[31m");
}

#[test]
fn the_locale_says_what_the_terminal_takes() {
    assert_eq!(Charset::of_locale("", "", "de_DE.UTF-8"), Charset::Utf8);
    assert_eq!(Charset::of_locale("", "C.utf8", "de_DE"), Charset::Utf8);
    assert_eq!(Charset::of_locale("", "", "en_US.UTF-8@x"), Charset::Utf8);
    assert_eq!(Charset::of_locale("C", "", "de_DE.UTF-8"), Charset::Ascii);
    assert_eq!(Charset::of_locale("", "", "de_DE.ISO-8859-1"), Charset::Ascii);
    assert_eq!(Charset::of_locale("", "", ""), Charset::Ascii);
}

#[test]
fn the_filter_knows_which_screen_it_left_the_terminal_on() {
    let mut filter = OutputFilter::new(Charset::Utf8);
    let mut out = Vec::new();
    filter.feed(b"\x1b[?1049h", &mut out);
    assert!(filter.on_alternate_screen());
    filter.feed(b"\x1b[?1049l", &mut out);
    assert!(!filter.on_alternate_screen());
}

/// Counts the strings that `vte` itself saw: each would sit in its growing buffer.
#[derive(Default)]
struct Leaks(usize);

impl vte::Perform for Leaks {
    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.0 += 1;
    }

    fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, _: char) {
        self.0 += 1;
    }
}

impl intake::Sink for Leaks {
    fn string(&mut self, _: DropKind) {}
}

/// Bytes out of which sequences are made, more often than chance would.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let special = proptest::sample::select(
        b"\x1b\x1b\x1b[[]]PX^_\\\x07\x18\x1a\x9b\x9d\x9c\x90\xc2\xc3\xe2\xf0\xa9?>=!$ ;:0123456789hlmtcnqupHJ(".to_vec(),
    );
    prop::collection::vec(prop_oneof![4 => special, 1 => any::<u8>()], 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_come_out_harmless(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz::run(&bytes);
    }

    #[test]
    fn hostile_bytes_come_out_harmless(bytes in hostile()) {
        fuzz::run(&bytes);
    }

    #[test]
    fn strings_never_reach_the_parsers_buffer(bytes in hostile(), cut in 0usize..200) {
        let (mut intake, mut leaks) = (Intake::default(), Leaks::default());
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        intake.feed(first, &mut leaks);
        intake.feed(second, &mut leaks);
        // BEL would end, and so report, an OSC that vte holds open.
        intake.feed(b"\x07", &mut leaks);
        prop_assert_eq!(leaks.0, 0);
    }
}
