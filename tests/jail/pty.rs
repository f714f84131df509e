//! A person's terminal: what they type, and what reaches it.

use crate::harness::{self, Ended, Running, command, start};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcgetwinsize, tcsetwinsize};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A terminal with a program on it.
pub(crate) struct Person {
    master: OwnedFd,
    slave: OwnedFd,
    before: String,
    pub(crate) running: Option<Running>,
    /// All that came, and how much of it was looked at already.
    seen: Vec<u8>,
    read: usize,
}

/// What a program could leave changed.
fn settings(terminal: &OwnedFd) -> String {
    let Termios { input_modes, output_modes, control_modes, local_modes, .. } =
        tcgetattr(terminal).unwrap();
    format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?}")
}

impl Person {
    /// Starts `cellblock` as the first program of a terminal of 80 columns and 24 rows.
    pub(crate) fn start(cellblock: &Command) -> Self {
        Self::start_in(cellblock, (80, 24))
    }

    /// The same, on a terminal of so many columns and rows.
    pub(crate) fn start_in(cellblock: &Command, (columns, rows): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let before = settings(&slave);
        let end = || Stdio::from(slave.try_clone().unwrap());
        let mut leader = command("/usr/bin/setsid");
        leader.arg("-c").arg(cellblock.get_program()).args(cellblock.get_args());
        leader.stdin(end()).stdout(end()).stderr(end());
        for (name, value) in cellblock.get_envs() {
            leader.env(name, value.unwrap());
        }
        let person = Self { master, slave, before, running: None, seen: Vec::new(), read: 0 };
        person.resize(columns, rows);
        Self { running: Some(start(&mut leader)), ..person }
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    pub(crate) fn types(&self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).unwrap();
    }

    /// All that came up to now.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    fn look(&mut self) {
        let mut block = [0; 1 << 16];
        loop {
            match rustix::io::read(&self.master, &mut block) {
                Ok(0) | Err(Errno::AGAIN | Errno::IO) => return,
                Ok(length) => self.seen.extend_from_slice(&block[..length]),
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// Waits until `text` comes, after what was waited for before.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        self.draws(text, |new| new.contains(text).then_some(()));
    }

    /// Waits until `find` finds something in what came after what was waited for before.
    #[track_caller]
    pub(crate) fn draws<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.finds(&find) {
                return found;
            }
            assert!(
                begun.elapsed() < harness::patient(harness::DEADLINE),
                "no `{what}` in {:?}",
                String::from_utf8_lossy(&self.seen[self.read..])
            );
            std::thread::sleep(harness::patient(Duration::from_millis(5)));
        }
    }

    /// What stands on the terminal now, by all that came and its size.
    pub(crate) fn screen(&mut self) -> String {
        self.look();
        let size = tcgetwinsize(&self.master).unwrap();
        let of = |number| NonZero::new(number).unwrap();
        let mut parser = vt100::Parser::new(of(size.ws_row), of(size.ws_col), 0);
        parser.process(&self.seen);
        parser.screen().contents()
    }

    /// Waits until what stands on the terminal is as `wanted`, and gives what that finds there.
    #[track_caller]
    pub(crate) fn shows_so<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let begun = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if let Some(found) = wanted(&screen) {
                return found;
            }
            assert!(
                begun.elapsed() < harness::patient(harness::DEADLINE),
                "no {what} in\n{screen}"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until `text` stands on the terminal.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        self.shows_so(&format!("`{text}`"), |screen| screen.contains(text).then_some(()));
    }

    /// As [`Person::draws`], unless the program ends first.
    #[track_caller]
    pub(crate) fn draws_or_ends<T>(
        &mut self,
        what: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        harness::eventually(what, || {
            let ended = self.running.as_mut().unwrap().child.try_wait().unwrap().is_some();
            let found = self.finds(&find);
            (found.is_some() || ended).then_some(found)
        })
    }

    fn finds<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.look();
        let found = find(&String::from_utf8_lossy(&self.seen[self.read..]));
        if found.is_some() {
            self.read = self.seen.len();
        }
        found
    }

    /// Waits until the terminal is as it was before.
    #[track_caller]
    pub(crate) fn is_as_before(&self) {
        let same = || (settings(&self.slave) == self.before).then_some(());
        harness::eventually("the terminal's settings", same);
    }

    /// The file system that the terminal is of, by its number.
    pub(crate) fn device(&self) -> u64 {
        rustix::fs::fstat(&self.slave).unwrap().st_dev
    }

    pub(crate) fn is_raw(&self) -> bool {
        settings(&self.slave) != self.before
    }

    /// Waits for the program's end, and fails where the terminal is not as it was; all that was seen.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> (Ended, Vec<u8>) {
        let (ended, seen) = self.ends_anyhow();
        let shown = String::from_utf8_lossy(&seen);
        assert_eq!(settings(&self.slave), self.before, "{shown:?}");
        (ended, seen)
    }

    /// Waits for the program's end, however it leaves the terminal; all that was seen.
    #[track_caller]
    pub(crate) fn ends_anyhow(&mut self) -> (Ended, Vec<u8>) {
        let mut running = self.running.take().unwrap();
        // What it shows must be read, or it would wait for ever.
        harness::eventually("the end", || {
            self.look();
            running.child.try_wait().unwrap()
        });
        let ended = running.wait(harness::DEADLINE);
        self.look();
        (ended, std::mem::take(&mut self.seen))
    }

    /// The terminal goes away, as when its window is closed.
    pub(crate) fn closes(mut self) -> Running {
        self.running.take().unwrap()
    }
}
