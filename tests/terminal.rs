//! The filter on what a real tmux writes, and on a string that never ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use cellblock::terminal::filter::{Charset, DropKind, OutputFilter, fuzz};
use cellblock::terminal::reset::{self, Screen};
use rustix::fd::OwnedFd;
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
