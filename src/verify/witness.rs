//! A second agent, which must be answered to while the first one takes all it can get.

use super::channel::{self, Link, Order, Word};
use super::keeper::{self, Standard, Start, Surroundings};
use super::scene::Scene;
use crate::launch::record;
use crate::sys::Cloned;
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use std::time::{Duration, Instant};

/// How long a second agent may take to answer before it counts as starved.
const STARVED: Duration = Duration::from_secs(10);

/// A second agent in a jail of its own.
#[derive(Debug)]
pub struct Witness {
    link: Link,
    keeper: Cloned,
    /// The longest it took to answer.
    pub slowest: Duration,
    /// What went wrong, if something did.
    pub complaint: Option<String>,
}

impl Witness {
    /// Starts it; it has shown that it lives when this returns.
    ///
    /// # Errors
    /// What failed, as a clause.
    pub fn start(
        surroundings: &Surroundings<'_>,
        start: Start<'_>,
        scene: Scene,
    ) -> Result<Self, String> {
        let failed = |errno: Errno| format!("cannot start a second agent: {errno}");
        let (outer, inner) = channel::pair().map_err(failed)?;
        let output = rustix::io::dup(&inner).map_err(failed)?;
        let complaints = rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .map_err(failed)?;
        let standard = Standard { input: inner, output, complaints };
        let keeper = keeper::start(surroundings, &standard, start).map_err(failed)?;
        let link = Link::Socket(outer);
        let witness = Self { link, keeper, slowest: Duration::ZERO, complaint: None };
        witness.link.say(&Order::Scene(Box::new(scene))).map_err(failed)?;
        match witness.hear(STARVED) {
            Some(Word::Alive(_, Ok(_))) => Ok(witness),
            said => Err(format!("a second agent does not live: {said:?}")),
        }
    }

    fn hear(&self, patience: Duration) -> Option<Word> {
        match channel::comes(self.link.as_fd(), patience) {
            Ok(true) => self.link.hear().ok().flatten().map(|(word, _)| word),
            Ok(false) | Err(_) => None,
        }
    }

    /// Asks it, and the records of all launchers, for a sign of life.
    pub fn ask(&mut self) {
        let asked = Instant::now();
        let said = self.link.say(&Order::Call).ok().and_then(|()| self.hear(STARVED));
        let listed = record::running();
        let took = asked.elapsed();
        self.slowest = self.slowest.max(took);
        let complaint = match (said, listed) {
            (Some(Word::Here), Ok(_)) if took < STARVED => return,
            (Some(Word::Here), Ok(_)) => format!("it took {} ms to be answered", took.as_millis()),
            (_, Err(error)) => format!("the launchers do not answer: {error}"),
            (_, Ok(_)) => "a second agent no longer answers".to_owned(),
        };
        self.complaint.get_or_insert(complaint);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let told = self.link.say(&Order::End).is_ok();
        let gone = |patience| channel::comes(&self.keeper.pidfd, patience).unwrap_or(true);
        if !(told && gone(Duration::from_secs(2))) {
            match rustix::process::pidfd_send_signal(&self.keeper.pidfd, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => tracing::warn!(%errno, "a second agent does not end"),
            }
        }
        if let Err(errno) = rustix::process::waitpid(Some(self.keeper.pid), WaitOptions::empty()) {
            tracing::debug!(%errno, "a second agent was reaped");
        }
    }
}
