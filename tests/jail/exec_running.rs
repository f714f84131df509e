//! Further commands in a jail that runs: what their standard descriptors are, for which callers.

use crate::harness::{self, Ended, command, eventually, finish, finish_with, program, start};
use crate::host;
use crate::installation::{Installation, STRANGER};
use crate::pty::Person;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::process::{Command, Stdio};

/// The command line of `exec` in a jail of `agent`'s own, and in that of the agent that runs.
fn both(installation: &Installation, alone: &str, running: &str) -> [String; 2] {
    let config = installation.path("config.toml").display().to_string();
    [
        format!("{} exec --name {alone} demo --", program()),
        format!("{} exec --config {config} --running {running} --", program()),
    ]
}

fn shell(script: &str) -> Command {
    let mut shell = command("/usr/bin/env");
    shell.args(["--default-signal", "/bin/sh", "-c", script]);
    shell
}

/// Prints on which file system the standard descriptors are that are terminals: `at 27 at 27`.
const WHERE: &str =
    "for fd in 0 1 2; do [ -t $fd ] && stat -Lc \"$fd is at %d.\" /proc/$$/fd/$fd >&2; done; true";

#[test]
fn a_terminal_for_some_descriptors_is_one_of_the_jails() {
    needs!("root", "cgroup2", "tmux");
    let (alone, running) = ("jt-er-one", "jt-er-some");
    let installation = Installation::new(&[running], "");
    installation.start(running, "sleep 1000").expect(0);
    let file = installation.path("written");
    for exec in both(&installation, alone, running) {
        for (before, after, terminals) in [
            ("echo piped |", String::new(), [false, true, true]),
            ("exec", format!("> {}", file.display()), [true, false, true]),
            ("exec", format!("2> {}", file.display()), [true, true, false]),
            ("exec", String::new(), [true; 3]),
        ] {
            let script = format!("{WHERE}; echo to output; echo to errors >&2; exit 6");
            let mut person =
                Person::start(&shell(&format!("{before} {exec} sh -c '{script}' {after}")));
            let own = person.device();
            let (ended, shown) = person.ends();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            ended.expect(6);
            let written = std::fs::read_to_string(&file).unwrap_or_default();
            let all = format!("{shown}{written}");
            for (fd, is_terminal) in terminals.into_iter().enumerate() {
                let at = all.split(&format!("{fd} is at ")).nth(1);
                let at = at.map(|text| text.split('.').next().unwrap().parse::<u64>().unwrap());
                assert_eq!(at.is_some(), is_terminal, "{exec} {after}: {all:?}");
                assert_ne!(at, Some(own), "{exec} {after}: {all:?}");
            }
            assert_eq!(shown.contains("to output"), terminals[1], "{exec} {after}: {shown:?}");
            assert_eq!(shown.contains("to errors"), terminals[2], "{exec} {after}: {shown:?}");
            assert!(all.contains("to output") && all.contains("to errors"), "{all:?}");
            std::fs::write(&file, "").unwrap();
        }
    }
    host::expect_nothing_left(alone);
}

#[test]
fn what_is_typed_to_a_command_whose_output_goes_elsewhere_is_shown_once_and_ends() {
    needs!("root", "cgroup2", "tmux");
    let (alone, running) = ("jt-er-two", "jt-er-type");
    let installation = Installation::new(&[running], "");
    installation.start(running, "sleep 1000").expect(0);
    let file = installation.path("written");
    for exec in both(&installation, alone, running) {
        let script = "echo begun >&2; cat; echo ended >&2";
        let whole = format!("exec {exec} sh -c '{script}' > {}", file.display());
        let mut person = Person::start(&shell(&whole));
        person.sees("begun");
        assert!(!person.is_raw());
        // Another size is no error where standard output is no terminal.
        person.resize(100, 30);
        person.types("first\r");
        let first = || std::fs::read_to_string(&file).unwrap().contains("first").then_some(());
        eventually("the first line", first);
        // The end after part of a line takes two, as on every terminal.
        person.types("rest\x04\x04");
        let (ended, shown) = person.ends();
        ended.expect(0);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(shown.contains("ended"), "{shown:?}");
        for typed in ["first", "rest"] {
            assert_eq!(shown.matches(typed).count(), 1, "{exec}: {shown:?}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "first\nrest");
    }
    host::expect_nothing_left(alone);
}

#[test]
fn signals_reach_a_command_whose_terminal_is_not_raw() {
    needs!("root", "cgroup2", "tmux");
    let (alone, running) = ("jt-er-three", "jt-er-signal");
    let installation = Installation::new(&[running], "");
    installation.start(running, "sleep 1000").expect(0);
    for exec in both(&installation, alone, running) {
        let script = "trap \"echo caught; exit 9\" INT; echo begun; while :; do sleep 0.1; done";
        let mut person = Person::start(&shell(&format!("exec {exec} sh -c '{script}' </dev/null")));
        person.sees("begun");
        person.types("\x03");
        person.sees("caught");
        person.ends().0.expect(9);
    }
    host::expect_nothing_left(alone);
}

#[test]
fn a_command_that_listens_to_no_signal_is_left_at_the_third() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-er-deaf";
    let installation = Installation::new(&[agent], "");
    installation.start(agent, "exec tail -f /dev/null").expect(0);
    let script = "trap 'echo asked' TERM; echo begun; while :; do sleep 0.1; done";
    let words = ["--running", agent, "--", "sh", "-c", script];
    let running = start(&mut installation.verb("exec", &words));
    running.says("begun");
    for times in 1..3 {
        running.signal(Signal::TERM);
        eventually("the trap", || (running.out().matches("asked").count() == times).then_some(()));
    }
    running.signal(Signal::TERM);
    running.wait(harness::DEADLINE).expect(143);
    // Its terminal hung up with that, as it were.
    let uid = host::uid_of(agent).unwrap();
    let gone = || !host::processes(uid).iter().any(|(_, name)| name == "sh" || name == "sleep");
    eventually("the command's end", || gone().then_some(()));
    assert_eq!(installation.state(agent), "running");
}

/// What `exec --running` of `words` ends with for the user `uid`, with `input` as its standard input.
fn with(uid: u32, installation: &Installation, words: &[&str], input: OwnedFd) -> Ended {
    let verb = installation.verb("exec", words);
    let mut user = command("/usr/bin/setpriv");
    let number = uid.to_string();
    user.args(["--reuid", &number, "--regid", &number, "--clear-groups"]);
    finish(user.arg(verb.get_program()).args(verb.get_args()).stdin(Stdio::from(input)))
}

fn opened(path: &str, flags: OFlags) -> OwnedFd {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

#[test]
fn who_is_not_root_hands_on_ways_for_bytes_and_nothing_else() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-er-kinds";
    let roles = format!(
        "[supervisor]\ngroup = {STRANGER}\n[[roles]]\nrole = 'operator'\nusers = [{STRANGER}]\n"
    );
    let installation = Installation::new(&[agent], &roles);
    installation.start(agent, "sleep 1000").expect(0);
    let words = ["--running", agent, "--", "sh", "-c", "head -c 5; echo; exit 3"];
    let run = |uid: u32, input: OwnedFd| with(uid, &installation, &words, input);
    let file = installation.path("input").display().to_string();
    std::fs::write(&file, "bytes").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (reads, writes) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&writes, b"bytes").unwrap();
    drop(writes);
    for input in [opened(&file, OFlags::RDONLY), opened(&file, OFlags::RDWR), reads] {
        assert_eq!(run(STRANGER, input).expect(3).out, "bytes\n");
    }
    assert_eq!(run(STRANGER, opened("/dev/null", OFlags::RDWR)).expect(3).out, "\n");
    let (socket, other) = cellblock::wire::pair().unwrap();
    let memory = rustix::fs::memfd_create("memory", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let process = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    );
    let counter = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    for (input, told) in [
        (socket, "a socket"),
        (opened("/usr", OFlags::DIRECTORY), "a directory"),
        (opened("/usr", OFlags::PATH), "a path that is not open"),
        (opened("/dev/zero", OFlags::RDONLY), "a device"),
        (memory, "a file in memory"),
        (process.unwrap(), "of the kernel's"),
        (counter, "of the kernel's"),
        (opened("/proc/self/ns/net", OFlags::RDONLY), "of the kernel's"),
        (opened(&file, OFlags::WRONLY), "not open for reading"),
    ] {
        let refused = run(STRANGER, input);
        refused.expect_refusal(125, &["cannot hand on standard input", told]);
        assert_eq!(refused.out, "", "{refused:#?}");
    }
    drop(other);
    // Root is believed, but for a terminal.
    let (socket, other) = cellblock::wire::pair().unwrap();
    rustix::net::send(&other, b"bytes", rustix::net::SendFlags::empty()).unwrap();
    drop(other);
    assert_eq!(run(0, socket).expect(3).out, "bytes\n");
    let output = ["--running", agent, "--", "echo", "through"];
    let piped = &mut installation.verb("exec", &output);
    assert_eq!(finish_with(piped, Vec::new()).expect(0).out, "through\n");
}
