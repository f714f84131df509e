//! A person's terminal after `attach`, however that ends: what it gets last undoes all that the session did to it.

use crate::harness::{Ended, Running, command, eventually, program};
use crate::host;
use crate::installation::{COUNTS, Installation};
use crate::pty::Person;
use cellblock::control::protocol::{Answer, Call};
use cellblock::control::socket;
use cellblock::shim::protocol::{End, Line};
use cellblock::terminal::reset::{Screen, bytes};
use cellblock::wire;
use rustix::fd::OwnedFd;
use rustix::process::Signal;
use std::process::Command;

/// What a session does to a terminal: another screen, no cursor, colours, reports of the mouse.
const CHANGES: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[31;44m\x1b[?1000h\x1b[?1006hshown";

/// A supervisor that answers one call with a line, whose other end is the test's.
struct Answering {
    folder: tempfile::TempDir,
    listener: OwnedFd,
}

impl Answering {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        let text = format!("schema = 1\n[paths]\nrun = '{}'\n", run.display());
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let listener = socket::open(&socket::path(&run), None).unwrap();
        Self { folder, listener }
    }

    fn attach(&self) -> Command {
        let mut command = command("/usr/bin/env");
        command.args(["--default-signal", program(), "attach", "--config"]);
        command.arg(self.folder.path().join("config.toml")).arg("somebody");
        command
    }

    /// A person who looks, and the line to them, on which all has changed.
    fn person(&self) -> (Person, Line) {
        let mut person = Person::start(&self.attach());
        let caller = eventually("the call", || rustix::net::accept(&self.listener).ok());
        wire::hear::<Call>(&caller).unwrap().unwrap();
        let (near, far) = Line::pair().unwrap();
        wire::send_sealed(&caller, &Answer::Line, &[far.bytes, far.news]).unwrap();
        rustix::io::write(&near.bytes, CHANGES).unwrap();
        person.sees("shown");
        assert!(person.is_raw());
        (person, near)
    }
}

/// Waits for the end, and fails unless the last that the terminal got, before what is told, is the whole reset.
#[track_caller]
fn ends_reset(how: &str, person: &mut Person, screen: Screen) -> Ended {
    let (ended, shown) = person.ends();
    let (shown, reset) =
        (String::from_utf8(shown).unwrap(), String::from_utf8(bytes(screen)).unwrap());
    let (_, told) = shown.rsplit_once(&reset).unwrap_or_else(|| panic!("{how}: {shown:?}"));
    // Then the shell's line: text alone.
    assert!(!told.contains('\x1b'), "{how}: {told:?}");
    ended
}

#[test]
fn the_last_bytes_are_the_reset_whatever_the_other_side_does() {
    needs!("root");
    type Does = fn(&mut Person, Line);
    let cases: [(&str, Does, i32); 8] = [
        (
            "leaves",
            |person, line| {
                person.types("\x1dd");
                std::mem::forget(line);
            },
            0,
        ),
        ("detached", |_, line| wire::say(&line.news, &End::Detached).unwrap(), 0),
        (
            "ended",
            |_, line| wire::say(&line.news, &End::Jail { status: Some(3), signal: None }).unwrap(),
            3,
        ),
        ("gone", |_, line| drop(line), 125),
        (
            "talks nonsense",
            |_, line| {
                let nonsense = b"{\"Sing\":1}";
                rustix::net::send(&line.news, nonsense, rustix::net::SendFlags::empty()).unwrap();
            },
            125,
        ),
        (
            "terminated",
            |person, line| {
                person.running.as_ref().unwrap().signal(Signal::TERM);
                std::mem::forget(line);
            },
            143,
        ),
        (
            "hung up",
            |person, line| {
                person.running.as_ref().unwrap().signal(Signal::HUP);
                std::mem::forget(line);
            },
            129,
        ),
        // In the middle of a sequence, and of a letter.
        (
            "cut",
            |person, line| {
                rustix::io::write(&line.bytes, b"more\x1b[38;5").unwrap();
                person.sees("more");
                rustix::io::write(&line.bytes, b"\xe2\x82").unwrap();
            },
            125,
        ),
    ];
    let supervisor = Answering::new();
    for (how, does, status) in cases {
        let (mut person, line) = supervisor.person();
        does(&mut person, line);
        let ended = ends_reset(how, &mut person, Screen::Alternate);
        assert_eq!(ended.status, Some(status), "{how}: {ended:#?}");
    }
}

#[test]
fn an_error_on_the_way_brings_the_terminal_back() {
    needs!("root");
    let supervisor = Answering::new();
    let (mut person, line) = supervisor.person();
    // No descriptor is left for what it does next: it ends by an error, not by an end of the line.
    let pid = attached(person.running.as_ref().unwrap());
    let none = rustix::process::Rlimit { current: Some(3), maximum: Some(3) };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, none).unwrap();
    rustix::io::write(&line.bytes, b"more").unwrap();
    let ended = ends_reset("an error", &mut person, Screen::Alternate);
    assert_eq!(ended.status, Some(125), "{ended:#?}");
}

/// The process that is attached, which a helper has become.
fn attached(running: &Running) -> rustix::process::Pid {
    let pid = running.pid();
    let name = format!("/proc/{}/comm", pid.as_raw_nonzero());
    eventually("the program", || {
        std::fs::read_to_string(&name).unwrap().starts_with("cellblock").then_some(pid)
    })
}

#[test]
fn the_terminal_is_whole_when_the_shim_or_the_supervisor_is_killed() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-ae-shim";
    let mut installation = Installation::new(&[agent], "");
    installation.start(agent, COUNTS).expect(0);
    let attach = installation.verb("attach", &[agent]);
    let people = [(); 2].map(|()| {
        let mut person = Person::start(&attach);
        person.sees("count ");
        person
    });
    let [mut leaves, mut stays] = people;
    installation.dies();
    leaves.sees("count ");
    leaves.types("\x1dd");
    ends_reset("the supervisor", &mut leaves, Screen::Alternate).expect(0);
    stays.sees("count ");
    let uid = host::uid_of(&format!("{agent}.shim")).unwrap();
    let shim = eventually("the shim", || Some(host::processes(uid).first()?.0));
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(shim, Signal::KILL).unwrap();
    let ended = ends_reset("the shim", &mut stays, Screen::Alternate);
    assert!(ended.expect(125).err.is_empty(), "{ended:#?}");
    installation.begin();
    installation.becomes(agent, "ended");
}

#[test]
fn an_end_has_the_same_words_for_who_is_attached_and_who_asks_later() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-ae-words";
    let installation = Installation::new(&[agent], "");
    for (end, words, status) in
        [("exit 4", "ended with exit status 4", 4), ("kill -9 $$", "ended by signal 9", 137)]
    {
        let script = format!("echo ready$((1 + 1)); read line; {end}");
        installation.start(agent, &script).expect(0);
        let mut person = Person::start(&installation.verb("attach", &[agent]));
        person.sees("ready2");
        person.types("\r");
        let (ended, shown) = person.ends();
        ended.expect(status);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let told = format!("{agent} {words}");
        assert!(shown.contains(&told), "{shown:?}");
        installation.becomes(agent, "ended");
        assert_eq!(installation.list()[0]["how"], told);
    }
}

/// What is shown of a command is undone, too, also where the person's terminal was not made raw.
#[test]
fn what_a_command_did_to_a_terminal_that_only_shows_it_is_undone() {
    needs!("root", "cgroup2");
    let agent = "jt-ae-shows";
    let words = format!(
        "echo typed | {} exec --name {agent} demo -- sh -c 'read line; printf \"\\033[31m$line\"'",
        program()
    );
    let mut shell = command("/bin/sh");
    shell.args(["-c", &words]);
    let mut person = Person::start(&shell);
    ends_reset("a pipe before it", &mut person, Screen::Main).expect(0);
    host::expect_nothing_left(agent);
}
