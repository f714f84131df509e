//! The person's side of a line: what a jail's terminal shows, filtered for theirs, and what they type.

use super::ShimError;
pub use super::person::Typing;
use super::person::{Person, own_size};
use super::protocol::{End, Line, News};
use super::wait::Waiter;
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

/// A person who looks at a jail by a line, or waits for a command in one.
#[derive(Debug)]
pub struct Client {
    line: Line,
    typing: Typing,
    /// None where none of the standard descriptors is a terminal.
    person: Option<Person>,
    end: Option<End>,
    /// Whether all that the jail has drawn is shown.
    closed: bool,
    /// How often the command was asked to end.
    asked: u32,
}

/// A command that was asked to end this often is left.
const PATIENCE: u32 = 3;

impl Client {
    /// Shows `line` on those of the standard descriptors that are `terminals`.
    ///
    /// # Errors
    /// [`ShimError::Terminal`].
    pub fn show(line: Line, typing: Typing, terminals: [bool; 3]) -> Result<Self, ShimError> {
        let shown = terminals.contains(&true);
        let person = shown.then(|| Person::attach(typing, terminals)).transpose()?;
        let closed = person.is_none();
        Ok(Self { line, typing, person, end: None, closed, asked: 0 })
    }

    fn wanted(&self) -> Vec<(Part, BorrowedFd<'_>, PollFlags)> {
        let mut wanted = vec![(Part::News, self.line.news.as_fd(), PollFlags::IN)];
        if self.end.is_some() {
            wanted.clear();
        }
        if let Some(person) = self.person.as_ref().filter(|_| !self.closed) {
            let sides = person.interests(self.line.bytes.as_fd()).into_iter();
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
        if let Some(person) = self.person.as_mut().filter(|_| !self.closed) {
            match person.progress(self.line.bytes.as_fd(), &sides)? {
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
        if self.person.is_some() {
            tell(&self.line, News::from(own_size()?));
        }
        Ok(())
    }

    /// Brings the person's terminal back to what it was.
    ///
    /// # Errors
    /// [`ShimError::Terminal`].
    pub fn close(self) -> Result<(), ShimError> {
        self.person.map_or(Ok(()), Person::close)
    }

    /// Shows it to its end, and brings the terminal back.
    ///
    /// # Errors
    /// [`ShimError`].
    pub fn attend(mut self, waiter: &Waiter) -> Result<Left, ShimError> {
        let left = loop {
            let (signal, came) = waiter.wait(&self.interests(), None)?;
            if let Some(left) = signal.map(|signal| self.obey(signal)).transpose()?.flatten() {
                break left;
            }
            if let Some(left) = self.turn(&came)? {
                break left;
            }
        };
        self.close()?;
        Ok(left)
    }

    /// Where a signal is no key, it is for the command, as it would be without a jail.
    fn obey(&mut self, signal: Signal) -> Result<Option<Left>, ShimError> {
        let ends = matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP);
        let passes = self.typing == Typing::Command
            && !self.person.as_ref().is_some_and(Person::types_signals);
        if signal == Signal::SIGWINCH {
            self.fit()?;
        } else if passes {
            self.asked += u32::from(ends);
            if self.asked >= PATIENCE {
                return Ok(Some(Left::Signal(signal)));
            }
            tell(&self.line, News::Signal(signal as i32));
        } else if !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2) {
            return Ok(Some(Left::Signal(signal)));
        }
        Ok(None)
    }
}

/// What the other side does not take now, it does without.
fn tell(line: &Line, news: News) {
    if let Err(errno) = wire::say_now(&line.news, &news) {
        tracing::debug!(%errno, "the shim was not told");
    }
}

/// Which of the standard descriptors are a terminal.
#[must_use]
pub fn terminals() -> [bool; 3] {
    super::person::terminals()
}

/// The size of the terminal on the standard descriptors.
///
/// # Errors
/// [`ShimError::Terminal`] where none of them is one.
pub fn size() -> Result<Size, ShimError> {
    own_size()
}
