//! What an agent draws, and what it could do with it to the terminal of the person who looks on.

use super::super::probe::{Answer, Attempted, Evidence, Family, Layer, Probe, Stage, layer, wall};
use super::super::scene::Scene;
use crate::profile::Wall;
use crate::sys::Argument;
use rustix::io::Errno;

/// The family.
pub const FAMILY: Family =
    Family { name: "terminal", title: "the person's terminal", probes: PROBES, jobs: &[] };

/// Writes `before`, the token and `after` as the terminal takes it: in one write(2), raw.
fn draw(scene: &Scene, before: &[u8], after: &[u8]) -> Attempted {
    let text = [before, scene.token.as_bytes(), after].concat();
    rustix::io::write(rustix::stdio::stdout(), &text)?;
    Ok(Vec::new())
}

/// Whether `before` and the token reached the terminal one right after the other.
fn shows(shown: &[u8], before: &[u8], token: &str) -> bool {
    let wanted = [before, token.as_bytes()].concat();
    shown.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether `sequence` reached the terminal as it was written.
fn passes(shown: &[u8], sequence: &[u8]) -> bool {
    shown.windows(sequence.len()).any(|window| window == sequence)
}

/// What the filter between the terminals does: nothing of it is seen outside.
const DROPPED: &[Answer] = &[Answer::NoEffect];

/// A sequence with the token in it that must not reach the person's terminal.
macro_rules! carries {
    ($id:literal, $title:literal, $before:literal, $after:literal, $source:literal) => {
        Probe {
            id: $id,
            title: $title,
            attack: concat!("write ", stringify!($before), " and a text to standard output"),
            claims: &[layer(Layer::Relay, DROPPED)],
            evidence: Evidence::Shown(|shown, token| shows(shown, $before, token)),
            run: |scene| draw(scene, $before, $after),
            stage: Stage::Terminal,
            source: $source,
            ..Probe::NEW
        }
    };
}

/// A sequence without a text of its own that must not reach the person's terminal.
macro_rules! asks {
    ($id:literal, $title:literal, $sequence:literal, $source:literal) => {
        Probe {
            id: $id,
            title: $title,
            attack: concat!("write ", stringify!($sequence), " to standard output"),
            claims: &[layer(Layer::Relay, DROPPED)],
            evidence: Evidence::Shown(|shown, _| passes(shown, $sequence)),
            run: |_| {
                rustix::io::write(rustix::stdio::stdout(), $sequence)?;
                Ok(Vec::new())
            },
            stage: Stage::Terminal,
            source: $source,
            ..Probe::NEW
        }
    };
}

/// The same number on every machine that cellblock runs on; libc has it in two types.
const TIOCSTI: u64 = 0x5412;

const PROBES: &[Probe] = &[
    Probe {
        id: "TTY-01",
        title: "type into the terminal of the person",
        attack: "ioctl(2) TIOCSTI on the controlling terminal",
        claims: &[
            wall(Wall::Seccomp, &[Answer::Error(Errno::PERM)]),
            layer(Layer::Relay, &[Answer::NoEffect, Answer::Error(Errno::IO)]),
        ],
        evidence: Evidence::Typed,
        run: |scene| {
            // Whole lines are read: without the end of the line nothing would be there yet.
            for letter in [b"x", b"\n"] {
                let terminal = &mut [0.into(), TIOCSTI.into(), Argument::Bytes(letter)];
                scene.call(libc::SYS_ioctl, terminal)?;
            }
            Ok(Vec::new())
        },
        stage: Stage::Terminal,
        source: "ioctl_tty(2), CVE-2017-5226",
        ..Probe::NEW
    },
    carries!(
        "TTY-05.osc52",
        "put a text into the person's clipboard",
        b"\x1b]52;c;",
        b"\x07",
        "xterm control sequences, OSC 52"
    ),
    asks!(
        "TTY-06.osc52",
        "ask for the person's clipboard",
        b"\x1b]52;c;?\x07",
        "xterm control sequences, OSC 52"
    ),
    asks!(
        "TTY-06.title",
        "have the title of the window typed in",
        b"\x1b[21t",
        "xterm control sequences, window manipulation; CVE-2003-0063"
    ),
    asks!(
        "TTY-06.decrqss",
        "have a setting of the terminal typed in",
        b"\x1bP$qm\x1b\\",
        "xterm control sequences, DECRQSS; CVE-2008-2383"
    ),
    asks!(
        "TTY-06.termcap",
        "have a capability of the terminal typed in",
        b"\x1bP+q544e\x1b\\",
        "xterm control sequences, XTGETTCAP"
    ),
    asks!(
        "TTY-06.font",
        "have the name of the font typed in",
        b"\x1b]50;?\x07",
        "xterm control sequences, OSC 50; CVE-2022-45063"
    ),
    asks!(
        "TTY-06.colour",
        "have a colour of the terminal typed in",
        b"\x1b]4;1;?\x07",
        "xterm control sequences, OSC 4"
    ),
    asks!(
        "TTY-06.answerback",
        "have the answerback message typed in",
        b"text\x05text",
        "ECMA-48 8.3.24, ENQ"
    ),
    carries!(
        "TTY-07",
        "pass a sequence through an outer tmux",
        b"\x1bPtmux;\x1b\x1b]52;c;",
        b"\x07\x1b\\",
        "tmux(1), allow-passthrough"
    ),
    asks!(
        "TTY-08",
        "switch the terminal to tmux's control mode",
        b"\x1bP1000p",
        "tmux(1), control mode; CVE-2019-9535"
    ),
    carries!(
        "TTY-09.icon",
        "set the name of the window's icon",
        b"\x1b]1;",
        b"\x07",
        "xterm control sequences, OSC 1"
    ),
    carries!(
        "TTY-09.directory",
        "tell the terminal a current directory",
        b"\x1b]7;file://host/",
        b"\x07",
        "OSC 7"
    ),
    carries!(
        "TTY-09.link",
        "draw a link to a command line",
        b"\x1b]8;;ssh://-oProxyCommand=",
        b"\x07text\x1b]8;;\x07",
        "OSC 8; CVE-2023-46321"
    ),
    carries!("TTY-09.notify", "raise a notification", b"\x1b]9;", b"\x07", "OSC 9"),
    carries!(
        "TTY-09.notify777",
        "raise a notification by another sequence",
        b"\x1b]777;notify;title;",
        b"\x07",
        "OSC 777"
    ),
    carries!(
        "TTY-09.download",
        "have the terminal save a file",
        b"\x1b]1337;File=name=eA==:",
        b"\x07",
        "OSC 1337; CVE-2023-46322"
    ),
    carries!(
        "TTY-09.image",
        "have the terminal read a file",
        b"\x1b_Ga=T,t=f;",
        b"\x1b\\",
        "kitty graphics protocol, transmission by file"
    ),
    asks!(
        "TTY-09.sixel",
        "draw a picture over the screen",
        b"\x1bPq#0;2;0;0;0~~\x1b\\",
        "VT340, sixel graphics"
    ),
    carries!(
        "TTY-10.c1",
        "begin a sequence by a single byte",
        b"\x9d52;c;",
        b"\x9c",
        "ECMA-48 5.3, C1 in 8 bits"
    ),
    carries!(
        "TTY-10.utf8",
        "begin a sequence by a C1 character in UTF-8",
        b"\xc2\x9d52;c;",
        b"\xc2\x9c",
        "ECMA-48 5.3, Unicode C1"
    ),
    Probe {
        id: "TTY-10.split",
        title: "begin a sequence in one write and end it in the next",
        attack: "write the parts of an OSC 52 one by one, with a rest between them",
        claims: &[layer(Layer::Relay, DROPPED)],
        evidence: Evidence::Shown(|shown, token| shows(shown, b"\x1b]52;c;", token)),
        run: |scene| {
            let parts = [b"\x1b", &b"]5"[..], b"2;c", b";", scene.token.as_bytes(), b"\x07"];
            for part in parts {
                rustix::io::write(rustix::stdio::stdout(), part)?;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Ok(Vec::new())
        },
        stage: Stage::Terminal,
        source: "ECMA-48 8.3.89, OSC",
        ..Probe::NEW
    },
    Probe {
        id: "TTY-12",
        title: "leave the person's terminal reporting every move of the mouse",
        attack: "switch on the modes 1003 and 1006 and end",
        claims: &[layer(Layer::Relay, DROPPED)],
        evidence: Evidence::Shown(|shown, _| {
            let last = |sequence: &[u8]| {
                shown.windows(sequence.len()).rposition(|window| window == sequence)
            };
            // On, and not off again after it.
            last(b"\x1b[?1003h").is_some_and(|on| last(b"1003l").is_none_or(|off| off < on))
        }),
        run: |_| {
            rustix::io::write(rustix::stdio::stdout(), b"\x1b[?1003h\x1b[?1006h")?;
            Ok(Vec::new())
        },
        stage: Stage::Terminal,
        source: "xterm control sequences, mouse tracking",
        ..Probe::NEW
    },
];
