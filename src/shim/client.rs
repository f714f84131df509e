//! The person's side of a line: what a jail's terminal shows, filtered for theirs, and what they type.

use super::ShimError;
use super::person::{Person, PersonKeys, own_size};
use super::protocol::{End, Line, News};
use super::wait::Waiter;
use crate::terminal::keys::{AllKeys, DetachKey};
use crate::terminal::relay::{Side, Status};
use crate::terminal::size::Size;
use crate::wire;
use nix::sys::signal::Signal;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;

/// How a line came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The person typed the keys for it.
    Detached,
    /// The other side ended it.
    End(End),
    /// The person's terminal is gone.
    TerminalGone,
    /// A signal asks this process to end.
    Signal(Signal),
    /// The process that keeps the jail is gone, and the jail with it.
    Lost,
}

/// A part of a client that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Terminal(Side),
    News,
}

/// A person who looks at a jail by a line.
#[derive(Debug)]
pub struct Client {
    line: Line,
    person: Person,
    end: Option<End>,
    /// Whether all that the jail has drawn is shown.
    closed: bool,
}

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// All keys are for the jail, but those that leave it.
    Session,
    /// All keys are for the jail.
    Command,
}

impl Client {
    /// Shows `line` on those of the standard descriptors that are `terminals`.
    ///
    /// # Errors
    /// [`ShimError::Terminal`].
    pub fn show(line: Line, typing: Typing, terminals: [bool; 3]) -> Result<Self, ShimError> {
        let keys = match typing {
            Typing::Session => PersonKeys::Detach(DetachKey::new(DetachKey::PREFIX)),
            Typing::Command => PersonKeys::All(AllKeys),
        };
        let person = Person::attach(keys, terminals)?;
        Ok(Self { line, person, end: None, closed: false })
    }

    fn wanted(&self) -> Vec<(Part, BorrowedFd<'_>, PollFlags)> {
        let mut wanted = vec![(Part::News, self.line.news.as_fd(), PollFlags::IN)];
        if self.end.is_some() {
            wanted.clear();
        }
        if !self.closed {
            let sides = self.person.interests(self.line.bytes.as_fd()).into_iter();
            wanted.extend(sides.map(|(side, fd, flags)| (Part::Terminal(side), fd, flags)));
        }
        wanted
    }

    /// What to wait for; [`Client::turn`] takes what came, in the same order.
    #[must_use]
    pub fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.wanted().into_iter().map(|(_, fd, flags)| (fd, flags)).collect()
    }

    /// Does what there is to do; gives how it ended, once it has.
    ///
    /// # Errors
    /// [`ShimError::Terminal`].
    pub fn turn(&mut self, came: &[PollFlags]) -> Result<Option<Left>, ShimError> {
        let parts: Vec<Part> = self.wanted().into_iter().map(|(part, ..)| part).collect();
        let mut sides = Vec::new();
        for (part, flags) in parts.into_iter().zip(came).filter(|(_, flags)| !flags.is_empty()) {
            match part {
                Part::Terminal(side) => sides.push((side, *flags)),
                Part::News => {
                    if let Some(left) = self.hear() {
                        return Ok(Some(left));
                    }
                }
            }
        }
        if !self.closed {
            match self.person.progress(self.line.bytes.as_fd(), &sides)? {
                Status::Running => {}
                Status::Detached => return Ok(Some(Left::Detached)),
                Status::TerminalGone => return Ok(Some(Left::TerminalGone)),
                Status::JailClosed => self.closed = true,
            }
        }
        Ok(self.end.clone().filter(|_| self.closed).map(Left::End))
    }

    fn hear(&mut self) -> Option<Left> {
        match wire::hear_now::<End>(&self.line.news) {
            Ok(Some(end)) => {
                self.end = Some(end);
                None
            }
            Err(Errno::AGAIN) => None,
            Ok(None) | Err(_) => Some(Left::Lost),
        }
    }

    /// The person's terminal has another size.
    ///
    /// # Errors
    /// [`ShimError::Terminal`].
    pub fn fit(&self) -> Result<(), ShimError> {
        tell(&self.line, News::from(own_size()?));
        Ok(())
    }

    /// Brings the person's terminal back to what it was.
    ///
    /// # Errors
    /// [`ShimError::Terminal`].
    pub fn close(self) -> Result<(), ShimError> {
        self.person.close()
    }

    /// Shows it to its end, and brings the terminal back.
    ///
    /// # Errors
    /// [`ShimError`].
    pub fn attend(mut self, waiter: &Waiter) -> Result<Left, ShimError> {
        let left = loop {
            let (signal, came) = waiter.wait(&self.interests(), None)?;
            match signal {
                Some(Signal::SIGWINCH) => self.fit()?,
                Some(Signal::SIGUSR1 | Signal::SIGUSR2) | None => {}
                Some(signal) => break Left::Signal(signal),
            }
            if let Some(left) = self.turn(&came)? {
                break left;
            }
        };
        self.close()?;
        Ok(left)
    }
}

/// What the other side does not take now, it does without.
fn tell(line: &Line, news: News) {
    if let Err(errno) = wire::say_now(&line.news, &news) {
        tracing::debug!(%errno, "the shim was not told");
    }
}

/// The size of the terminal on standard output.
///
/// # Errors
/// [`ShimError::Terminal`] where it is none.
pub fn size() -> Result<Size, ShimError> {
    own_size()
}

/// Waits for the end of a command that has descriptors of its own; signals are passed on to it.
///
/// # Errors
/// [`ShimError::Wait`].
pub fn await_command(line: &Line, waiter: &Waiter) -> Result<Left, ShimError> {
    loop {
        let (signal, came) = waiter.wait(&[(line.news.as_fd(), PollFlags::IN)], None)?;
        match signal {
            Some(Signal::SIGWINCH) | None => {}
            Some(signal) => tell(line, News::Signal(signal as i32)),
        }
        if came.iter().all(|flags| flags.is_empty()) {
            continue;
        }
        match wire::hear_now::<End>(&line.news) {
            Ok(Some(end)) => return Ok(Left::End(end)),
            Err(Errno::AGAIN) => {}
            Ok(None) | Err(_) => return Ok(Left::Lost),
        }
    }
}
