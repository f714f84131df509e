//! One line of a person and the terminal that it shows, carried by the shim byte by byte.
//!
//! What a person sees is filtered where they are: by their own process, for their own terminal. Here only the direction
//! is decided: whether what is typed goes in. And that it is bytes: descriptors that a person sends are not taken, as this
//! process would wait for whoever made them when it closes them. A line with such on it is left open ([`View::close`]).

use super::protocol::{End, Line, Looker, News};
use crate::terminal::size::{self, Size};
use crate::wire;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::Shutdown;

/// The most that is read at once, in bytes.
const READ: usize = 16 << 10;

/// How often a master is read at the end: more than it holds.
const LAST_READS: u32 = 64;

/// Bytes from one descriptor to another: read when all of before is written.
#[derive(Debug, Default)]
struct Flow {
    bytes: Vec<u8>,
    sent: usize,
}

/// How a descriptor did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Something was done.
    Open,
    /// There is nothing to do now.
    Waits,
    /// Its other end is closed.
    Closed,
}

impl Flow {
    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    fn read(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Way {
        self.bytes.resize(READ, 0);
        self.sent = 0;
        let (way, count) = match read(&mut self.bytes) {
            Ok(0) => (Way::Closed, 0),
            Ok(count) => (Way::Open, count),
            Err(Errno::AGAIN | Errno::INTR) => (Way::Waits, 0),
            // EIO: a master whose other end nobody has open.
            Err(_) => (Way::Closed, 0),
        };
        self.bytes.truncate(count);
        way
    }

    fn write(&mut self, to: BorrowedFd<'_>) -> Way {
        if self.is_empty() {
            return Way::Waits;
        }
        match rustix::io::write(to, &self.bytes[self.sent..]) {
            Ok(count) => {
                self.sent += count;
                Way::Open
            }
            Err(Errno::AGAIN | Errno::INTR) => Way::Waits,
            Err(_) => Way::Closed,
        }
    }
}

/// What a view is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The session.
    Session,
    /// A further command.
    Command,
}

/// A part of a view that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Master,
    Bytes,
    News,
}

/// What there is to do for a view besides carrying bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Nothing,
    /// Pass a signal on to its command.
    Signal(i32),
    /// The session has this size now.
    Resized(Size),
    /// The person is gone.
    Gone,
}

/// A view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) of: Of,
    pub(super) looker: Looker,
    /// None once it was closed, or left open as it is.
    line: Option<Line>,
    /// None for a command with descriptors of its own, and once nobody has the other end open.
    master: Option<OwnedFd>,
    types: bool,
    out: Flow,
    typed: Flow,
    ending: Option<End>,
    /// Whether all that was drawn before its end has been read.
    read_out: bool,
}

impl View {
    pub(super) fn new(
        (of, looker): (Of, Looker),
        line: Line,
        master: Option<OwnedFd>,
        types: bool,
    ) -> Self {
        let (out, typed) = (Flow::default(), Flow::default());
        let line = Some(line);
        Self { of, looker, line, master, types, out, typed, ending: None, read_out: false }
    }

    /// Nobody looks any more. Whether the line was closed: not where the person has sent what is not this process's to close.
    pub(super) fn close(&mut self) -> bool {
        self.master = None;
        let Some(Line { bytes, news }) = self.line.take() else { return false };
        let rests = [wire::read_rest(&bytes), wire::take_rest(&news)];
        if rests.into_iter().all(|rest| rest.is_ok_and(|clean| clean)) {
            return true;
        }
        for end in [bytes, news] {
            // The person hears of the end all the same.
            if let Err(errno) = rustix::net::shutdown(&end, Shutdown::Both) {
                tracing::debug!(%errno, "the person is gone");
            }
            wire::leave(end);
        }
        false
    }

    /// Whether nobody looks by it any more, and its line is open.
    pub(super) fn is_left(&self) -> bool {
        self.line.is_none()
    }

    /// What to wait for.
    pub(super) fn interests(&self) -> Vec<(Part, BorrowedFd<'_>, PollFlags)> {
        let Some(line) = &self.line else { return Vec::new() };
        let mut wanted = vec![(Part::News, line.news.as_fd(), PollFlags::IN)];
        let mut add = |part, fd, flags: PollFlags| {
            if !flags.is_empty() {
                wanted.push((part, fd, flags));
            }
        };
        let when = |is: bool, flags| if is { flags } else { PollFlags::empty() };
        if let Some(master) = &self.master {
            let reads = when(self.out.is_empty(), PollFlags::IN);
            add(Part::Master, master.as_fd(), reads | when(!self.typed.is_empty(), PollFlags::OUT));
        }
        let takes = self.typed.is_empty() && self.ending.is_none();
        let bytes = when(takes, PollFlags::IN) | when(!self.out.is_empty(), PollFlags::OUT);
        add(Part::Bytes, line.bytes.as_fd(), bytes);
        wanted
    }

    /// Does what there is to do for `part`.
    pub(super) fn turn(&mut self, part: Part, came: PollFlags) -> Wish {
        match part {
            Part::News => return self.hear(),
            Part::Master => self.turn_master(came),
            Part::Bytes => {
                let leaves = came.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
                if leaves
                    && self.typed.is_empty()
                    && let Some(line) = &self.line
                {
                    let way = self.typed.read(|bytes| wire::read(&line.bytes, bytes));
                    if !self.types {
                        self.typed.sent = self.typed.bytes.len();
                    }
                    if way == Way::Closed && self.ending.is_none() {
                        return Wish::Gone;
                    }
                }
            }
        }
        self.carry()
    }

    fn turn_master(&mut self, came: PollFlags) {
        let Some(master) = &self.master else { return };
        if came.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && self.out.is_empty() {
            match self.out.read(|bytes| rustix::io::read(master, bytes)) {
                Way::Open => {}
                Way::Waits => self.read_out = self.ending.is_some(),
                Way::Closed => (self.master, self.read_out) = (None, true),
            }
        }
    }

    /// Writes on what was read.
    fn carry(&mut self) -> Wish {
        let Some(line) = &self.line else { return Wish::Nothing };
        if self.out.write(line.bytes.as_fd()) == Way::Closed {
            return Wish::Gone;
        }
        if let Some(master) = &self.master
            && self.typed.write(master.as_fd()) == Way::Closed
        {
            self.typed.sent = self.typed.bytes.len();
        }
        Wish::Nothing
    }

    fn hear(&mut self) -> Wish {
        let Some(line) = &self.line else { return Wish::Nothing };
        match wire::hear_now::<News>(&line.news) {
            Ok(Some(News::Size { rows, columns })) => {
                let size = Size { rows, columns }.or_default();
                if let Some(master) = &self.master
                    && let Err(error) = size::set(master, size)
                {
                    tracing::debug!(%error, "the size stays");
                }
                if self.of == Of::Session && self.types {
                    Wish::Resized(size)
                } else {
                    Wish::Nothing
                }
            }
            Ok(Some(News::Signal(signal))) if self.of == Of::Command => Wish::Signal(signal),
            Ok(Some(News::Signal(_))) | Err(Errno::AGAIN) => Wish::Nothing,
            Ok(None) | Err(_) => Wish::Gone,
        }
    }

    /// It ends now, whatever was drawn: who looked may not, for the reason `why`.
    pub(super) fn send_away(&self, why: &str) {
        self.say(&End::SentAway { why: why.to_owned() });
    }

    fn say(&self, end: &End) {
        let told = self.line.as_ref().map(|line| wire::say_now(&line.news, end));
        if let Some(Err(errno)) = told {
            tracing::debug!(%errno, "the person is gone");
        }
    }

    /// It ends when all that was drawn is carried.
    pub(super) fn end(&mut self, end: End) {
        self.ending.get_or_insert(end);
        self.read_out |= self.master.is_none();
        if !self.read_out {
            // What is there now may be all: nothing else would say that there is no more.
            self.turn_master(PollFlags::IN);
            self.carry();
        }
    }

    /// Whether it is over; the person has been told then.
    pub(super) fn is_over(&mut self) -> bool {
        if self.is_left() {
            return false;
        }
        for _ in 0..LAST_READS {
            if self.ending.is_none() || self.read_out || !self.out.is_empty() {
                break;
            }
            self.turn_master(PollFlags::IN);
            self.carry();
        }
        let Some(end) = self.ending.as_ref().filter(|_| self.read_out && self.out.is_empty())
        else {
            return false;
        };
        self.say(end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::testing::Pty;

    fn pump(view: &mut View) {
        for _ in 0..4 {
            for part in [Part::Master, Part::Bytes, Part::News] {
                let came = PollFlags::IN | PollFlags::OUT;
                let there = view.interests().iter().any(|(known, ..)| *known == part);
                if there {
                    view.turn(part, came);
                }
            }
        }
    }

    fn set_up(types: bool) -> (View, Line, OwnedFd) {
        let pty = Pty::open();
        crate::terminal::descriptor::set_nonblocking(&pty.master).unwrap();
        crate::terminal::descriptor::set_nonblocking(&pty.slave).unwrap();
        let (near, far) = Line::pair().unwrap();
        (View::new((Of::Session, Looker::default()), near, Some(pty.master), types), far, pty.slave)
    }

    fn read(fd: &OwnedFd) -> Result<String, Errno> {
        let mut bytes = [0; 100];
        let count = rustix::io::read(fd, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    #[test]
    fn who_may_type_types_and_who_may_not_does_not() {
        for types in [true, false] {
            let (mut view, far, slave) = set_up(types);
            rustix::io::write(&slave, b"shown").unwrap();
            rustix::io::write(&far.bytes, b"typed\r").unwrap();
            pump(&mut view);
            assert!(read(&far.bytes).unwrap().contains("shown"));
            let typed = read(&slave);
            assert_eq!(typed, if types { Ok("typed\n".to_owned()) } else { Err(Errno::AGAIN) });
        }
    }

    #[test]
    fn a_size_is_taken_over() {
        let (mut view, far, slave) = set_up(true);
        let size = Size { rows: 11, columns: 99 };
        wire::say(&far.news, &News::from(size)).unwrap();
        pump(&mut view);
        assert_eq!(size::get(&slave).unwrap(), size);
    }

    #[test]
    fn it_ends_with_all_that_was_drawn() {
        let (mut view, far, slave) = set_up(true);
        rustix::io::write(&slave, b"last words").unwrap();
        view.end(End::Detached);
        pump(&mut view);
        assert!(view.is_over());
        assert_eq!(read(&far.bytes).unwrap(), "last words");
        assert_eq!(wire::hear::<End>(&far.news), Ok(Some(End::Detached)));
    }

    #[test]
    fn who_is_sent_away_is_told_why_and_sees_no_more() {
        let (view, far, slave) = set_up(true);
        rustix::io::write(&slave, b"drawn later").unwrap();
        view.send_away("because");
        drop(view);
        let end = End::SentAway { why: "because".to_owned() };
        assert_eq!(wire::hear::<End>(&far.news), Ok(Some(end)));
        rustix::io::ioctl_fionbio(&far.bytes, false).unwrap();
        assert_eq!(read(&far.bytes).as_deref(), Ok(""));
    }

    #[test]
    fn descriptors_that_a_person_sends_are_neither_taken_nor_closed() {
        for on_news in [false, true] {
            let (mut view, far, _slave) = set_up(true);
            let (end, sent) = rustix::pipe::pipe().unwrap();
            rustix::io::ioctl_fionbio(&end, true).unwrap();
            let to = if on_news { &far.news } else { &far.bytes };
            wire::hand(to, &News::Signal(1), &[sent.as_fd()]).unwrap();
            drop(sent);
            let part = if on_news { Part::News } else { Part::Bytes };
            assert_eq!(view.turn(part, PollFlags::IN), Wish::Gone);
            view.end(End::Detached);
            assert!(!view.close() && view.is_left() && !view.is_over());
            assert!(view.interests().is_empty());
            assert_eq!(rustix::io::read(&end, &mut [0; 1]), Err(Errno::AGAIN), "not closed");
            assert_eq!(wire::hear::<End>(&far.news), Ok(None), "and the person hears of the end");
            drop(view);
            assert_eq!(rustix::io::read(&end, &mut [0; 1]), Err(Errno::AGAIN), "nor later");
            drop(wire::left());
            assert_eq!(rustix::io::read(&end, &mut [0; 1]), Ok(0));
        }
        // As where nothing but bytes was sent, however many.
        let (mut view, far, _slave) = set_up(true);
        while rustix::io::write(&far.bytes, &[b'x'; 1000]).is_ok() {}
        (0..9).for_each(|_| wire::say_now(&far.news, &News::Signal(1)).unwrap());
        assert!(view.close());
    }

    #[test]
    fn a_person_who_is_gone_is_seen() {
        let (mut view, far, _slave) = set_up(true);
        drop(far);
        // Another test's child may have copies of it for a moment: the end is waited for.
        assert_eq!(wire::hear::<News>(&view.line.as_ref().unwrap().news), Ok(None));
        let ended = |view: &View| {
            let bytes = &view.line.as_ref().unwrap().bytes;
            rustix::io::ioctl_fionbio(bytes, false).unwrap();
            let end = rustix::io::read(bytes, &mut [0; 1]);
            rustix::io::ioctl_fionbio(bytes, true).unwrap();
            end
        };
        assert_eq!(ended(&view), Ok(0));
        assert_eq!(view.turn(Part::News, PollFlags::IN), Wish::Gone);
        assert_eq!(view.turn(Part::Bytes, PollFlags::IN), Wish::Gone);
    }
}
