//! The relay on real ptys, pipes and a flood.

use super::*;
use crate::terminal::descriptor::{reopen_for_writing, set_nonblocking};
use crate::terminal::filter::Charset;
use crate::terminal::keys::{AllKeys, DetachKey};
use crate::terminal::raw::RawMode;
use crate::terminal::testing::Pty;
use rustix::event::{Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};

/// A person (`person.master` is their screen and keyboard) and a jail (`jail.slave` is inside).
struct Scene<K> {
    person: Pty,
    output: OwnedFd,
    jail: Pty,
    relay: Relay<K>,
}

impl<K: Keys> Scene<K> {
    fn new(keys: K) -> Self {
        let (person, jail) = (Pty::open(), Pty::open());
        for terminal in [&person.slave, &jail.slave] {
            std::mem::forget(RawMode::enter(terminal).unwrap());
        }
        let output = reopen_for_writing(&person.slave).unwrap();
        set_nonblocking(&jail.master).unwrap();
        set_nonblocking(&jail.slave).unwrap();
        set_nonblocking(&person.master).unwrap();
        let relay = Relay::new(OutputFilter::new(Charset::Utf8), keys);
        Self { person, output, jail, relay }
    }

    /// One turn of an outer loop that waits 50 ms at most.
    fn turn(&mut self) -> Status {
        let ends = Ends {
            input: self.person.slave.as_fd(),
            output: self.output.as_fd(),
            master: self.jail.master.as_fd(),
        };
        let (sides, mut entries): (Vec<_>, Vec<_>) = self.relay.interests().entries(&ends).unzip();
        let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        poll(&mut entries, Some(&wait)).unwrap();
        let mut ready = Readiness::NONE;
        for (side, entry) in sides.iter().zip(&entries) {
            ready.add(*side, entry.revents());
        }
        self.relay.progress(&ends, &ready).unwrap()
    }

    fn turns(&mut self, count: usize) -> Status {
        (0..count).map(|_| self.turn()).find(|s| *s != Status::Running).unwrap_or(Status::Running)
    }
}

fn read(fd: impl AsFd) -> String {
    let mut buffer = [0; 65536];
    match rustix::io::read(fd, &mut buffer) {
        Ok(count) => buffer[..count].escape_ascii().to_string(),
        Err(errno) => format!("{errno:?}"),
    }
}

#[test]
fn what_the_jail_writes_is_shown_filtered() {
    let mut scene = Scene::new(AllKeys);
    rustix::io::write(&scene.jail.slave, b"\x1b[1mhi\x1b]52;c;x\x07\x1b[6n").unwrap();
    assert_eq!(scene.turns(3), Status::Running);
    assert_eq!(read(&scene.person.master), "\\x1b[1mhi");
    assert_eq!(scene.relay.filter().dropped().total(), 2);
}

#[test]
fn what_the_person_types_reaches_the_jail_as_it_is() {
    let mut scene = Scene::new(AllKeys);
    rustix::io::write(&scene.person.master, b"ls\r\x03\x1b[A").unwrap();
    assert_eq!(scene.turns(3), Status::Running);
    assert_eq!(read(&scene.jail.slave), "ls\\r\\x03\\x1b[A");
}

#[test]
fn the_detach_key_ends_the_relay_and_not_the_jail() {
    let mut scene = Scene::new(DetachKey::new(DetachKey::PREFIX));
    rustix::io::write(&scene.person.master, b"\x1dd").unwrap();
    assert_eq!(scene.turns(3), Status::Detached);
    rustix::io::write(&scene.jail.slave, b"still here").unwrap();
}

#[test]
fn the_jails_last_words_are_shown_before_its_end_is_reported() {
    let mut scene = Scene::new(AllKeys);
    rustix::io::write(&scene.jail.slave, b"bye").unwrap();
    scene.jail.slave = Pty::open().slave;
    assert_eq!(scene.turns(5), Status::JailClosed);
    assert_eq!(read(&scene.person.master), "bye");
    assert_eq!(scene.relay.interests(), Readiness::NONE);
}

#[test]
fn a_terminal_that_hangs_up_ends_the_relay_when_something_is_shown() {
    let mut scene = Scene::new(AllKeys);
    scene.person.master = Pty::open().master;
    assert_eq!(scene.turns(2), Status::Running);
    assert!(!scene.relay.input_open, "the end of the input is not reported again and again");
    rustix::io::write(&scene.jail.slave, b"anybody there?").unwrap();
    assert_eq!(scene.turns(3), Status::TerminalGone);
}

#[test]
fn the_end_of_the_input_leaves_the_output_running() {
    let mut scene = Scene::new(AllKeys);
    let (input, keyboard) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&keyboard, b"last").unwrap();
    drop(keyboard);
    scene.person.slave = input;
    assert_eq!(scene.turns(3), Status::Running);
    assert_eq!(read(&scene.jail.slave), "last");
    assert!(scene.relay.interests().get(Side::Input).is_empty());
    rustix::io::write(&scene.jail.slave, b"still shown").unwrap();
    scene.turns(3);
    assert_eq!(read(&scene.person.master), "still shown");
}

#[test]
fn a_flood_on_a_terminal_that_takes_nothing_stops_at_the_bound_and_keeps_the_keys_going() {
    let mut scene = Scene::new(AllKeys);
    for _ in 0..400 {
        // Invalid bytes grow the most: three out of one.
        let written = rustix::io::write(&scene.jail.slave, &[0xff; 3000]);
        assert!(written.is_ok() || written == Err(Errno::AGAIN));
        assert_eq!(scene.turn_at_once(), Status::Running);
        assert!(scene.relay.to_terminal.unsent().len() <= OUTPUT_BOUND + 1024);
    }
    assert!(!scene.relay.interests().get(Side::Master).contains(PollFlags::IN));
    // The person can still interrupt what floods them.
    rustix::io::write(&scene.person.master, b"\x03").unwrap();
    scene.turns(2);
    assert_eq!(read(&scene.jail.slave), "\\x03");
    // And when the terminal takes bytes again, it goes on.
    let before = scene.relay.to_terminal.unsent().len();
    let mut shown = Vec::new();
    let mut piece = [0; 4096];
    for _ in 0..20 {
        let count = rustix::io::read(&scene.person.master, &mut piece).unwrap_or(0);
        shown.extend_from_slice(&piece[..count]);
        scene.turn();
    }
    assert!(scene.relay.to_terminal.unsent().len() < before);
    assert!(shown.chunks(3).all(|c| "\u{fffd}".as_bytes().starts_with(c)), "nothing is lost");
}

#[test]
fn typed_bytes_that_the_jail_does_not_read_stop_at_the_bound() {
    let mut scene = Scene::new(AllKeys);
    for _ in 0..400 {
        let written = rustix::io::write(&scene.person.master, &[b'x'; 3000]);
        assert!(written.is_ok() || written == Err(Errno::AGAIN));
        assert_eq!(scene.turn_at_once(), Status::Running);
        assert!(scene.relay.to_jail.unsent().len() <= INPUT_BOUND);
    }
    assert!(scene.relay.interests().get(Side::Input).is_empty());
    // What the jail shows still comes through.
    rustix::io::write(&scene.jail.slave, b"busy").unwrap();
    scene.turns(3);
    assert_eq!(read(&scene.person.master), "busy");
}

impl<K: Keys> Scene<K> {
    /// A turn as if every side were ready: the descriptors say what is true.
    fn turn_at_once(&mut self) -> Status {
        let mut any = false;
        let ends = Ends {
            input: self.person.slave.as_fd(),
            output: self.output.as_fd(),
            master: self.jail.master.as_fd(),
        };
        let mut ready = Readiness::NONE;
        for (side, entry) in self.relay.interests().entries(&ends) {
            let mut entry = [entry];
            poll(&mut entry, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
            any |= !entry[0].revents().is_empty();
            ready.add(side, entry[0].revents());
        }
        assert!(any || ready == Readiness::NONE);
        self.relay.progress(&ends, &ready).unwrap()
    }
}

#[test]
fn an_error_that_is_no_end_of_life_is_reported_with_its_side() {
    let mut relay = Relay::new(OutputFilter::new(Charset::Utf8), AllKeys);
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    let ends =
        Ends { input: write_end.as_fd(), output: read_end.as_fd(), master: write_end.as_fd() };
    let mut ready = Readiness::NONE;
    ready.add(Side::Master, PollFlags::IN);
    assert_eq!(relay.progress(&ends, &ready), Err(TerminalError::ReadPty(Errno::BADF)));
}
