//! Writes down what a session shows.
//!
//! Decides: what is written when, where a part ends and the next begins, and what is removed to make
//! room. Must never: fail or end the session it records, keep more than its bound, or leave half a line
//! in front of others.
//!
//! Before: the jail's pty. After: [`super::reader`]. In each turn of its loop the caller hands over what
//! it read, calls [`Recorder::turn`] and waits no longer than that says.
//!
//! Where a line cannot be written, the part ends and nothing is kept until another try succeeds, in a part
//! of its own that begins with a marker. What the screen looks like is not known at the beginning of a
//! part: [`Recorder::take_redraw`] says when the session should draw it again.

#![forbid(unsafe_code)]

use super::ALTERNATE;
use super::format::{Event, Header, What};
use super::name::Name;
use super::shelf::{Folder, Kept, Shelf};
use crate::terminal::filter::{Charset, OutputFilter};
use crate::terminal::plain::plain;
use crate::terminal::size::Size;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long output waits for more of it, so that many small writes become one line.
pub const COALESCE: Duration = Duration::from_millis(40);
/// How long nothing is tried after a failure.
pub const RETRY: Duration = Duration::from_secs(10);
/// A part is this share of the bound.
pub const PARTS: u64 = 8;
/// The smallest part, in bytes; [`LINE`] is far below.
pub const SMALLEST_PART: u64 = 128 << 10;
/// So many bytes of output become a line at once.
const BATCH: usize = 8 << 10;
/// So much is given to the filter at once, which makes three bytes out of one at most.
const FEED: usize = 2 << 10;
/// The most that one line takes in a file: each byte of a batch as `\u001b`.
pub const LINE: usize = (BATCH + 3 * FEED + 1024) * 6;
/// How many numbers are tried for a recording where others are made at the same time.
const TRIES: u64 = 16;

/// What is recorded, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct About {
    /// The agent's name.
    pub agent: String,
    /// What its terminal takes: `TERM` of the client that writes to it.
    pub terminal: String,
    /// The terminal's size at the beginning.
    pub size: Size,
    /// The most that all parts of all recordings of the agent may hold, in bytes.
    pub bound: u64,
}

impl About {
    /// The most that one part holds, in bytes.
    #[must_use]
    pub fn part_bound(&self) -> u64 {
        (self.bound / PARTS).max(SMALLEST_PART)
    }
}

/// Records one session.
#[derive(Debug)]
pub struct Recorder<S: Shelf = Folder> {
    shelf: S,
    about: About,
    filter: OutputFilter,
    pending: Vec<u8>,
    /// When the first byte of `pending` came.
    since: Instant,
    state: State<S::File>,
    /// The part that was begun last; none yet.
    name: Option<Name>,
    clock: Clock,
    trouble: Option<String>,
    has_told: bool,
    missed: u64,
    redraw: bool,
}

#[derive(Debug)]
enum State<F> {
    Writing(Part<F>),
    /// Nothing can be written, for this reason and since this moment.
    Stopped {
        errno: Errno,
        since: Instant,
        tried: Instant,
    },
    Ended,
}

#[derive(Debug)]
struct Part<F> {
    file: F,
    /// Of whole lines alone.
    length: u64,
}

/// The time in the recording: never back, and without a sum of rounding errors.
#[derive(Debug)]
struct Clock {
    begin: Instant,
    written: Duration,
}

impl Clock {
    /// The time since the event before, which is as long as the whole microseconds since the beginning say.
    fn after(&self, now: Instant) -> Duration {
        self.reached(now).saturating_sub(self.written)
    }

    fn reached(&self, now: Instant) -> Duration {
        let micros = now.saturating_duration_since(self.begin).as_micros();
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn advance(&mut self, now: Instant) {
        self.written = self.written.max(self.reached(now));
    }
}

impl Recorder<Folder> {
    /// A recorder that writes into `directory`, in which the caller must be able to make files for as long
    /// as the session lasts. Where it cannot, nothing is recorded and [`Recorder::take_trouble`] says why.
    #[must_use]
    pub fn new(directory: OwnedFd, about: About, now: Instant) -> Self {
        Self::on(Folder::new(directory), about, now)
    }
}

impl<S: Shelf> Recorder<S> {
    /// A recorder that writes onto `shelf`.
    #[must_use]
    pub fn on(shelf: S, about: About, now: Instant) -> Self {
        let about = About { size: about.size.or_default(), ..about };
        let mut recorder = Self {
            shelf,
            about,
            filter: OutputFilter::new(Charset::Utf8),
            pending: Vec::new(),
            since: now,
            state: State::Ended,
            name: None,
            clock: Clock { begin: now, written: Duration::ZERO },
            trouble: None,
            has_told: false,
            missed: 0,
            redraw: false,
        };
        recorder.begin(now);
        recorder
    }

    /// Takes `bytes`, which the session wrote to its terminal at `now`.
    pub fn output(&mut self, now: Instant, bytes: &[u8]) {
        for bytes in bytes.chunks(FEED) {
            if self.pending.is_empty() {
                self.since = now;
            }
            self.filter.feed(bytes, &mut self.pending);
            if self.pending.len() >= BATCH {
                self.flush();
            }
        }
    }

    /// The terminal has another size.
    pub fn resize(&mut self, now: Instant, size: Size) {
        let size = size.or_default();
        if size != self.about.size {
            self.flush();
            self.about.size = size;
            self.write(now, What::Resize(size));
        }
    }

    /// Marks a place, with one visible line of text.
    pub fn marker(&mut self, now: Instant, text: &str) {
        self.flush();
        self.write(now, What::Marker(plain(text)));
    }

    /// The session ended, with `status` where it is known. Nothing more is recorded.
    pub fn exit(&mut self, now: Instant, status: Option<i32>) {
        self.flush();
        if let Some(status) = status {
            self.write(now, What::Exit(status));
        }
        self.state = State::Ended;
    }

    /// Writes what has waited long enough, and tries again where nothing could be written. Returns after
    /// what time it wants the next turn, whatever comes.
    pub fn turn(&mut self, now: Instant) -> Option<Duration> {
        if !self.pending.is_empty() && now.saturating_duration_since(self.since) >= COALESCE {
            self.flush();
        }
        if let State::Stopped { tried, .. } = self.state
            && now.saturating_duration_since(tried) >= RETRY
        {
            self.begin(now);
        }
        let left = |from: Instant, time: Duration| {
            time.saturating_sub(now.saturating_duration_since(from))
        };
        let waiting = (!self.pending.is_empty()).then(|| left(self.since, COALESCE));
        match self.state {
            State::Writing(_) => waiting,
            State::Stopped { tried, .. } => {
                let again = left(tried, RETRY);
                Some(waiting.map_or(again, |waiting| waiting.min(again)))
            }
            State::Ended => None,
        }
    }

    /// Whether the session should draw its screen again, for a part that was begun. Asked once for each.
    pub fn take_redraw(&mut self) -> bool {
        std::mem::take(&mut self.redraw)
    }

    /// What there is to tell about a failure to record, once in the life of a recorder.
    pub fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// How many bytes of output were not kept because they could not be written.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.pending);
        // The filter's output is UTF-8, and whole characters and sequences.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.write(self.since, What::Output(text));
        self.pending = bytes;
        self.pending.clear();
    }

    fn part_bound(&self) -> u64 {
        self.about.part_bound()
    }

    fn write(&mut self, now: Instant, what: What) {
        let size = if let What::Output(text) = &what { text.len() as u64 } else { 0 };
        let line = Event { after: self.clock.after(now), what }.line();
        if let State::Writing(part) = &self.state
            && part.length.saturating_add(line.len() as u64) > self.part_bound()
        {
            self.begin(now);
        }
        if self.append(now, line.as_bytes()) {
            self.clock.advance(now);
        } else {
            self.missed = self.missed.saturating_add(size);
        }
    }

    /// Whether `line` was written whole. Where not, nothing of it is left and nothing is written for a while.
    fn append(&mut self, now: Instant, line: &[u8]) -> bool {
        let State::Writing(part) = &mut self.state else { return false };
        let mut rest = line;
        while !rest.is_empty() {
            match self.shelf.append(&mut part.file, rest) {
                Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
                failed => {
                    let errno = failed.err().unwrap_or(Errno::NOSPC);
                    // Where that fails too, the half line is the last one: the part is not written to again.
                    if let Err(errno) = self.shelf.cut(&mut part.file, part.length) {
                        tracing::debug!(%errno, "half a line is left at the end of a recording");
                    }
                    self.stop(now, errno);
                    return false;
                }
            }
        }
        part.length = part.length.saturating_add(line.len() as u64);
        true
    }

    fn stop(&mut self, now: Instant, errno: Errno) {
        let since = match self.state {
            State::Stopped { since, .. } => since,
            State::Writing(_) | State::Ended => now,
        };
        self.state = State::Stopped { errno, since, tried: now };
        if !std::mem::replace(&mut self.has_told, true) {
            let agent = &self.about.agent;
            let seconds = RETRY.as_secs();
            self.trouble = Some(format!(
                "cannot record {agent}: {errno}; it is tried again every {seconds} s, and nothing is recorded until then"
            ));
        }
    }

    /// Begins a part, the first or the next.
    fn begin(&mut self, now: Instant) {
        let before = std::mem::replace(&mut self.state, State::Ended);
        let gap = match before {
            State::Stopped { errno, since, tried } => {
                self.state = State::Stopped { errno, since, tried };
                Some((errno, now.saturating_duration_since(since)))
            }
            State::Writing(_) | State::Ended => None,
        };
        match self.begin_part(now) {
            Ok(part) => self.state = State::Writing(part),
            Err(errno) => return self.stop(now, errno),
        }
        // A session that is recorded from its beginning draws its screen by itself.
        self.redraw = gap.is_some() || self.name.as_ref().is_some_and(|name| name.part > 1);
        if self.filter.on_alternate_screen() {
            let event = Event { after: Duration::ZERO, what: What::Output(ALTERNATE.to_owned()) };
            self.append(now, event.line().as_bytes());
        }
        if let Some((errno, gap)) = gap {
            let text = format!("{} s were not recorded: {errno}", gap.as_secs());
            let after = self.clock.after(now);
            if self.append(now, Event { after, what: What::Marker(text) }.line().as_bytes()) {
                self.clock.advance(now);
            }
        }
    }

    fn begin_part(&mut self, now: Instant) -> Result<Part<S::File>, Errno> {
        let kept = self.shelf.list(&self.about.agent)?;
        self.make_room(&kept)?;
        let newest = kept.last().map_or(0, |kept| kept.name.recording);
        let (first, tries) = match &self.name {
            Some(name) => (Name { part: name.part + 1, ..name.clone() }, 1),
            None => {
                (Name { agent: self.about.agent.clone(), recording: newest + 1, part: 1 }, TRIES)
            }
        };
        let mut last = Errno::EXIST;
        for more in 0..tries {
            let name = Name { recording: first.recording + more, ..first.clone() };
            let header = self.header(now, &name).line();
            match self.shelf.begin(&name, header.as_bytes()) {
                Ok(file) => {
                    self.name = Some(name);
                    return Ok(Part { file, length: header.len() as u64 });
                }
                Err(Errno::EXIST) => last = Errno::EXIST,
                Err(errno) => return Err(errno),
            }
        }
        Err(last)
    }

    /// A part begins where the one before ended: its first event comes after the time since then.
    fn header(&self, now: Instant, name: &Name) -> Header {
        let before = self.clock.after(now).as_secs();
        Header {
            size: self.about.size,
            terminal: self.about.terminal.clone(),
            begun: Some(self.shelf.wall_clock().saturating_sub(before)),
            title: format!("{}, recording {}, part {}", name.agent, name.recording, name.part),
        }
    }

    /// Removes the oldest parts until another one has its place within the bound.
    fn make_room(&mut self, kept: &[Kept]) -> Result<(), Errno> {
        let most = self.about.bound.saturating_sub(self.part_bound());
        let mut all = kept.iter().fold(0_u64, |sum, kept| sum.saturating_add(kept.counts()));
        for kept in kept {
            if all <= most {
                break;
            }
            self.shelf.remove(&kept.name)?;
            all = all.saturating_sub(kept.counts());
        }
        Ok(())
    }
}
