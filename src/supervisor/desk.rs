//! The processes that tell alerts and show figures, as the supervisor sees them: it starts them, hands over, hears, and starts
//! them again when one of them ends.
//!
//! There are none where there is nobody to be told and nobody who collects figures.

use crate::alerts::event::Severity;
use crate::alerts::metrics::Figures;
use crate::alerts::outbox::{Lost, Outbox};
use crate::alerts::protocol::{Done, Order, Report, Tell};
use crate::config::{Config, SinkEntry};
use crate::launch::telling::{self, Listener, Told};
use crate::wire;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// The pause before they are started again; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(60);
/// Who has worked so long did not fail at once.
const STEADY: Duration = Duration::from_secs(60);
/// How soon it is tried again to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// Reports that are heard in a turn.
const HEARD: usize = 64;

/// What was heard.
pub(super) enum Heard {
    /// How it went with an alert and a sink.
    Done(Done),
    /// Somebody wants figures.
    Wanted,
}

/// Those who work, and what is on its way to them.
#[derive(Debug)]
pub(super) struct Desk {
    sinks: Vec<SinkEntry>,
    metrics: bool,
    /// What listens for those who collect figures, whether it was handed over, and when that is tried again.
    listener: Option<Listener>,
    listens: bool,
    listen_at: Instant,
    pub(super) outbox: Outbox,
    told: Option<Told>,
    since: Instant,
    /// When they are started, and how often that was in a row.
    at: Instant,
    row: u32,
    pub(super) starts: u64,
    /// Whether what waits could not be handed over, for want of room.
    full: bool,
}

impl Desk {
    pub(super) fn new(config: &Config) -> Self {
        let now = Instant::now();
        Self {
            sinks: config.alerts.sinks.clone(),
            metrics: config.metrics.listen.is_some(),
            listener: None,
            listens: false,
            listen_at: now,
            outbox: Outbox::default(),
            told: None,
            since: now,
            at: now,
            row: 0,
            starts: 0,
            full: false,
        }
    }

    fn is_wanted(&self) -> bool {
        !self.sinks.is_empty() || self.metrics
    }

    /// The sinks that are told of something so bad, of those that `named` lists where there is a list.
    pub(super) fn sinks_for(
        &self,
        severity: Severity,
        named: Option<&[String]>,
    ) -> BTreeSet<String> {
        let is_named = |name: &String| named.is_none_or(|named| named.contains(name));
        let sinks = self.sinks.iter().filter(|sink| sink.least <= severity);
        sinks.map(|sink| sink.name.value.clone()).filter(is_named).collect()
    }

    /// How a sink is told.
    pub(super) fn way(&self, name: &str) -> String {
        let sink = self.sinks.iter().find(|sink| sink.name.value == name);
        sink.map(|sink| sink.way.word().to_owned()).unwrap_or_default()
    }

    /// The names of all sinks.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.sinks.iter().map(|sink| sink.name.value.as_str())
    }

    /// What is waited for.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let flags = if self.full { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        self.told.as_ref().map(|told| (told.line().as_fd(), flags))
    }

    /// When it is to be looked again, if nothing comes.
    pub(super) fn next(&self) -> Option<Instant> {
        let starts = (self.told.is_none() && self.is_wanted()).then_some(self.at);
        let listens = self.lacks_listener().then_some(self.listen_at);
        starts.into_iter().chain(listens).min()
    }

    /// Starts those who work, where they do not and it is time to, and hands over what waits; gives what is lost.
    pub(super) fn work(&mut self, config: &Config, log: &Path) -> Vec<Lost> {
        if self.told.is_none() && self.is_wanted() && self.at <= Instant::now() {
            self.start(config, log);
        }
        if self.lacks_listener() && self.listen_at <= Instant::now() {
            self.listen(config);
        }
        self.hand_over()
    }

    fn lacks_listener(&self) -> bool {
        self.told.is_some() && self.metrics && !self.listens
    }

    /// Has those who collect figures listened for. Where that cannot be, as where somebody else has the port, it is tried again.
    fn listen(&mut self, config: &Config) {
        self.listen_at = Instant::now() + LISTEN_AGAIN;
        if self.listener.is_none() {
            match telling::listener(config) {
                Ok(listener) => self.listener = listener,
                Err(cause) => return tracing::error!(cause, "nobody can collect figures"),
            }
        }
        let (Some(told), Some(listener)) = (&self.told, &self.listener) else { return };
        match told.listen(listener) {
            Ok(()) => self.listens = true,
            Err(errno) => tracing::warn!(%errno, "nobody can collect figures yet"),
        }
    }

    fn start(&mut self, config: &Config, log: &Path) {
        self.starts += 1;
        self.since = Instant::now();
        match telling::start(config, log) {
            Ok((told, troubles)) => {
                self.told = Some(told);
                for trouble in troubles {
                    tracing::error!(trouble, "a sink of alerts cannot be told");
                }
            }
            Err(error) => {
                tracing::error!(%error, hint = error.hint(), "nobody can be told of alerts");
                self.rest();
            }
        }
    }

    /// They are started again after a while.
    fn rest(&mut self) {
        self.row = if self.since.elapsed() >= STEADY { 0 } else { self.row };
        let doubled = 1_u32.checked_shl(self.row.min(20)).unwrap_or(u32::MAX);
        self.at = Instant::now() + FIRST.saturating_mul(doubled).min(LONGEST);
        self.row = self.row.saturating_add(1);
        (self.full, self.listens, self.listen_at) = (false, false, self.at);
    }

    fn hand_over(&mut self) -> Vec<Lost> {
        self.full = false;
        while let (Some(told), Some((number, item))) = (&self.told, self.outbox.next()) {
            let to = item.to.iter().cloned().collect();
            let tell = Tell { number, alert: item.alert.clone(), to, once: item.once };
            match wire::send_sealed(told.line(), &Order::Tell(Box::new(tell)), &[]) {
                Ok(()) => self.outbox.hand(),
                Err(Errno::AGAIN) => {
                    self.full = true;
                    break;
                }
                Err(errno) => {
                    tracing::warn!(%errno, "the process that tells alerts does not hear");
                    return self.ended();
                }
            }
        }
        Vec::new()
    }

    /// Gives figures that were asked for. Where there is no room, they are asked for again.
    pub(super) fn give(&self, figures: Figures) {
        let Some(told) = &self.told else { return };
        if let Err(errno) = wire::send_sealed(told.line(), &Order::Figures(figures), &[]) {
            tracing::debug!(%errno, "figures were not given");
        }
    }

    /// What was said, and what is lost where they have ended.
    pub(super) fn hear(&mut self) -> (Vec<Heard>, Vec<Lost>) {
        let mut all = Vec::new();
        for _ in 0..HEARD {
            let Some(told) = &self.told else { break };
            match wire::hear_now::<Report>(told.line()) {
                Ok(Some(Report::Done(done))) => all.push(Heard::Done(done)),
                Ok(Some(Report::Wanted)) => all.push(Heard::Wanted),
                Ok(Some(Report::Ready)) => tracing::debug!("alerts are told"),
                Ok(Some(Report::Failed { cause })) => {
                    tracing::error!(cause, "the process that tells alerts cannot go on");
                }
                Err(Errno::AGAIN) => break,
                Ok(None) | Err(_) => return (all, self.ended()),
            }
        }
        (all, Vec::new())
    }

    /// One of them has ended: all begin anew. What is lost by that is given.
    pub(super) fn ended(&mut self) -> Vec<Lost> {
        tracing::warn!("the process that tells alerts has ended, and is started again");
        self.told.take().into_iter().for_each(Told::end);
        self.rest();
        self.outbox.ended()
    }

    /// Whether the child `pid` is one of them.
    pub(super) fn has(&self, pid: Pid) -> bool {
        self.told.as_ref().is_some_and(|told| told.has(pid))
    }

    /// Works as `config` says from now on; gives what is lost by that.
    pub(super) fn read_anew(&mut self, config: &Config) -> Vec<Lost> {
        self.sinks.clone_from(&config.alerts.sinks);
        self.metrics = config.metrics.listen.is_some();
        self.told.take().into_iter().for_each(Told::end);
        (self.full, self.row, self.at) = (false, 0, Instant::now());
        (self.listener, self.listens, self.listen_at) = (None, false, self.at);
        let mut lost = self.outbox.ended();
        let names: BTreeSet<String> = self.names().map(str::to_owned).collect();
        lost.extend(self.outbox.keep(|sink| names.contains(sink)));
        lost
    }
}
