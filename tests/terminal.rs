//! The filter on what a real tmux writes, and on a string that never ends; recordings on a terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use cellblock::terminal::filter::{Charset, DropKind, OutputFilter, fuzz};
use cellblock::terminal::recording::{About, Catalog, Recorder, What};
use cellblock::terminal::reset::{self, Screen};
use cellblock::terminal::size::Size;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Resident memory of this process in KiB (`proc_pid_status(5)`).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn strings_that_never_end_need_no_memory() {
    let block = vec![b'x'; 1024 * 1024];
    for introducer in ["\x1b]52;c;", "\x1bP1000p", "\x1b_G", "\x1b^", "\x1bX", "\x1b[1"] {
        let block = if introducer == "\x1b[1" { vec![b';'; block.len()] } else { block.clone() };
        let mut filter = OutputFilter::new(Charset::Utf8);
        let mut out = Vec::new();
        filter.feed(introducer.as_bytes(), &mut out);
        let before = resident();
        for _ in 0..64 {
            filter.feed(&block, &mut out);
        }
        assert!(out.is_empty(), "{introducer:?}");
        let grown = resident().saturating_sub(before);
        assert!(grown < 16 * 1024, "{introducer:?}: {grown} KiB");
        filter.feed(b"\x1b[2Jback", &mut out);
        assert_eq!(out, b"\x1b[2Jback", "{introducer:?}");
    }
}

fn pty() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    (master, slave)
}

/// tmux with a socket and a configuration of its own, and nothing of the caller's environment.
#[allow(clippy::disallowed_methods, reason = "the test needs a real tmux; nothing is jailed here")]
fn tmux(folder: &Path, term: &str) -> Command {
    let mut command = Command::new("tmux");
    command.arg("-f/dev/null").arg("-S").arg(folder.join("socket"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    command.env("TERM", term).env("LC_ALL", "C.UTF-8");
    command
}

/// A server and one client on a pty. The server is killed when this is dropped.
struct Session {
    folder: tempfile::TempDir,
    term: &'static str,
    master: OwnedFd,
    client: Child,
}

impl Session {
    fn start(term: &'static str, shell: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (master, slave) = pty();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let client = tmux(folder.path(), term)
            .args(["new-session", shell])
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        Self { folder, term, master, client }
    }

    fn command(&self, arguments: &[&str]) {
        let status = tmux(self.folder.path(), self.term).args(arguments).status().unwrap();
        assert!(status.success(), "tmux {arguments:?}");
    }

    /// What the client wrote until `end` is in it, or the client is gone, or five seconds passed;
    /// `CELLBLOCK_TEST_PATIENCE` times as many on a slow machine.
    fn until(&self, end: &str) -> Vec<u8> {
        let patience = std::env::var("CELLBLOCK_TEST_PATIENCE");
        let patience: u32 = patience.map_or(1, |times| times.parse().unwrap());
        let deadline = Instant::now() + Duration::from_secs(5) * patience;
        let mut all = Vec::new();
        let mut buffer = [0; 65536];
        while Instant::now() < deadline {
            match rustix::io::read(&self.master, &mut buffer) {
                Ok(count) if count > 0 => all.extend_from_slice(&buffer[..count]),
                Err(rustix::io::Errno::AGAIN) => std::thread::sleep(Duration::from_millis(10)),
                Ok(_) | Err(_) => break,
            }
            if String::from_utf8_lossy(&all).contains(end) {
                break;
            }
        }
        all
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let killed = tmux(self.folder.path(), self.term).arg("kill-server").status();
        let reaped = self.client.kill().and_then(|()| self.client.wait());
        assert!(killed.is_ok() && reaped.is_ok() || std::thread::panicking());
    }
}

/// Text, attributes, line drawing, scrolling, modes; then attacks.
const SHELL: &str = r#"printf 'h\303\251llo \033[1;4:3;38;5;9mcolour\033[0m \033(0lqk\033(B\n';
printf '\033[?1002h\033[?1006h\033[?1004h\033[?2004h\033[4 q\033[5;9r\033M\033[L\033[2P\033[3S\033[r';
printf '\033]52;c;eA==\007\033]2;title\007\033Ptmux;\033\033]52;c;eA==\007\033\\\033[6n\033[c';
printf '\033[20;1HREADY'; exec sleep 60"#;

fn show(term: &'static str) {
    let session = Session::start(term, SHELL);
    let mut all = session.until("READY");
    session.command(&["set", "-s", "set-clipboard", "on"]);
    session.command(&["set", "-g", "allow-passthrough", "on"]);
    session.command(&["set", "-g", "mouse", "on"]);
    session.command(&["split-window", "-h", "printf '\\033]52;c;eA==\\007DONE'; exec sleep 60"]);
    all.extend(session.until("DONE"));

    let mut filter = OutputFilter::new(Charset::Utf8);
    let mut out = Vec::new();
    filter.feed(&all, &mut out);
    assert_eq!(fuzz::judge(&out), Ok(()));
    fuzz::run(&all);
    let text = String::from_utf8(out).unwrap();
    for kept in ["héllo", "colour", "READY", "DONE", "\x1b[?1049h", "\x1b[?1000h", "\x1b[H"] {
        assert!(text.contains(kept), "{term}: {kept:?} in {text:?}");
    }
    // The terminal's own features are asked for and titles saved: tmux does without the answers.
    assert!(filter.dropped().count(DropKind::Query) > 0, "{term}: {}", filter.dropped());
    // Nothing but what is known to be left out is left out.
    for (kind, count) in filter.dropped().iter() {
        let known = [DropKind::Query, DropKind::Window, DropKind::Mode, DropKind::Osc];
        assert!(known.contains(&kind), "{term}: {} {count}", kind.word());
    }
    assert!(filter.on_alternate_screen());
    assert!(reset::bytes(Screen::Alternate).ends_with(b"\x1b[?25h"));
}

#[test]
fn a_real_tmux_on_xterm_is_shown() {
    show("xterm-256color");
}

#[test]
fn a_real_tmux_on_tmux_is_shown() {
    show("tmux-256color");
}

/// `cellblock play` on a terminal of its own, of 80 columns and 24 rows.
struct Playing {
    master: OwnedFd,
    /// Kept open, so that the settings can be looked at when the player has ended.
    slave: OwnedFd,
    player: Child,
    shown: Vec<u8>,
}

impl Playing {
    #[allow(clippy::disallowed_methods, reason = "the tests start cellblock itself")]
    fn start(file: &Path, options: &[&str]) -> Self {
        let (master, slave) = pty();
        let program = std::env::var("CELLBLOCK_BINARY");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_cellblock").to_owned());
        let player = Command::new(program)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .arg("play")
            .arg(file)
            .args(options)
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        Self { master, slave, player, shown: Vec::new() }
    }

    fn session(options: &[&str]) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/session.cast");
        Self::start(&file, options)
    }

    fn read(&mut self) {
        let mut buffer = [0; 65536];
        while let Ok(count) = rustix::io::read(&self.master, &mut buffer) {
            self.shown.extend_from_slice(&buffer[..count]);
        }
    }

    fn until(&mut self, text: &str) {
        let patience = std::env::var("CELLBLOCK_TEST_PATIENCE");
        let patience: u32 = patience.map_or(1, |times| times.parse().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20) * patience;
        while !String::from_utf8_lossy(&self.shown).contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {}", self.shown.escape_ascii());
            std::thread::sleep(Duration::from_millis(5));
            self.read();
        }
    }

    fn press(&self, keys: &[u8]) {
        assert_eq!(rustix::io::write(&self.master, keys), Ok(keys.len()));
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.player.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The status, what was shown, and what was told, of a player that is about to end. The terminal must
    /// be as it was.
    fn end(mut self) -> (Option<i32>, String, String) {
        let before = settings(&pty().1);
        let status = loop {
            self.read();
            if let Some(status) = self.player.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.read();
        assert_eq!(settings(&self.slave), before);
        assert_eq!(fuzz::judge(&self.shown), Ok(()));
        let mut told = String::new();
        let mut stderr = self.player.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
        (status.code(), String::from_utf8(self.shown).unwrap(), told)
    }
}

fn settings(terminal: &OwnedFd) -> String {
    let settings = rustix::termios::tcgetattr(terminal).unwrap();
    let modes = (settings.input_modes, settings.output_modes, settings.local_modes);
    format!("{modes:?} {:?}", settings.control_modes)
}

fn last_words(screen: Screen) -> String {
    String::from_utf8(reset::bytes(screen)).unwrap()
}

#[test]
fn a_recording_is_played_to_its_end_on_a_terminal() {
    let mut playing = Playing::session(&["--idle-limit", "0.1"]);
    playing.until("last line");
    let (status, shown, told) = playing.end();
    assert_eq!(status, Some(0), "{told}");
    let played =
        "\x1b[?1049h\x1b[H\x1b[31mfirst\x1b[m line\r\nevil \u{202e}end\r\nlast line\x1b[?1049l";
    assert_eq!(shown, format!("{played}{}", last_words(Screen::Main)));
    let small = "cellblock: this terminal has 80x24 and the recording 100x30: lines will be in wrong places\n";
    assert_eq!(told, small);
}

#[test]
fn whoever_leaves_a_recording_has_the_terminal_back() {
    let ways = [
        ("q", Ok(&b"q"[..]), 0),
        ("Ctrl-C", Ok(b"\x03"), 0),
        ("q in a pause", Ok(b" q"), 0),
        ("SIGTERM", Err(Signal::TERM), 143),
        ("SIGHUP", Err(Signal::HUP), 129),
    ];
    for (name, way, expected) in ways {
        let mut playing = Playing::session(&["--idle-limit", "3600"]);
        // It waits in the long pause now.
        playing.until("end\r\n");
        let echoes = rustix::termios::tcgetattr(&playing.slave).unwrap().local_modes;
        assert!(!echoes.contains(rustix::termios::LocalModes::ECHO), "{name}");
        match way {
            Ok(keys) => playing.press(keys),
            Err(signal) => playing.signal(signal),
        }
        let (status, shown, told) = playing.end();
        assert_eq!(status, Some(expected), "{name}: {told}");
        assert!(shown.ends_with(&last_words(Screen::Alternate)), "{name}: {shown:?}");
        assert!(!shown.contains("last line"), "{name}");
    }
}

#[test]
fn keys_seek_in_a_recording() {
    let mut playing = Playing::session(&["--idle-limit", "25"]);
    playing.until("end\r\n");
    playing.press(b"\x1b[D");
    let again = format!("{}\x1b[H\x1b[2J", last_words(Screen::Alternate));
    playing.until(&again);
    playing.press(b">");
    playing.press(b">>");
    playing.until("last line");
    let (status, shown, _) = playing.end();
    assert_eq!((status, shown.matches("first").count()), (Some(0), 2), "{shown:?}");
}

/// Everything that comes before is shown at once, the long pause too.
#[test]
fn a_recording_begins_where_it_was_asked_to() {
    let begin = Instant::now();
    let mut playing = Playing::session(&["--idle-limit", "3600", "--at", "3601"]);
    playing.until("last line");
    assert_eq!(playing.end().0, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(600));
}

#[test]
fn a_recording_that_turns_wrong_is_told_on_a_terminal_that_is_itself_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.cast");
    let whole = include_str!("data/session.cast");
    std::fs::write(&file, whole.replace("\"80x24\"", "\"80\"")).unwrap();
    let playing = Playing::start(&file, &["--speed", "10"]);
    let (status, shown, told) = playing.end();
    assert_eq!(status, Some(125));
    assert!(shown.ends_with(&last_words(Screen::Alternate)), "{shown:?}");
    assert!(told.contains("wrong.cast: line 7 has no size such as"), "{told}");
}

#[test]
fn a_session_of_tmux_is_recorded_and_read_back() {
    let session = Session::start("xterm-256color", SHELL);
    let all = session.until("READY");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    let directory = OwnedFd::from(std::fs::File::open(folder.path().join("a")).unwrap());
    let (agent, terminal) = ("a".to_owned(), "xterm-256color".to_owned());
    let about = About { agent, terminal, size: Size::DEFAULT, bound: 1 << 20 };
    let now = Instant::now();
    let mut recorder = Recorder::new(directory, about, now);
    all.chunks(7).for_each(|piece| recorder.output(now, piece));
    recorder.exit(now, Some(0));
    assert_eq!((recorder.take_trouble(), recorder.missed()), (None, 0));

    let mut filtered = Vec::new();
    OutputFilter::new(Charset::Utf8).feed(&all, &mut filtered);
    let catalog = Catalog::read(folder.path(), "a").unwrap();
    let mut tape = catalog.tape(catalog.find(None).unwrap()).unwrap();
    let mut shown = String::new();
    while let Some(event) = tape.next_event().unwrap() {
        if let What::Output(text) = event.what {
            shown.push_str(&text);
        }
    }
    assert!(shown.contains("READY") && shown.contains("colour"), "{shown:?}");
    assert_eq!(shown, String::from_utf8(filtered).unwrap());
}
