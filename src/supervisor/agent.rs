//! One agent: what is known of it, and how it goes from a state to the next.
//!
//! ```text
//!  start ─ Starting ─ Up ─ Cleaning ─┬─ Ended
//!             │        ▲             └─ Resting ─ Starting
//!  come back ─┴────────┘
//! ```

use super::state::{Outcome, Record};
use crate::alerts::event::Kind;
use crate::control::protocol::{Shown, State, Traffic, Used};
use crate::gate::protocol::Counts;
use crate::jail::protocol::Report as Said;
use crate::limits::figures::DISK;
use crate::limits::{Figures, Gauge, Unit, journal, read};
use crate::shim::owner::{Owner, Starting};
use crate::shim::protocol::Looker;
use crate::shim::{ended, was_ended};
use crate::sys::Cloned;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// That it runs, or does not.
    Start,
    /// That it has ended.
    End,
    /// That it has ended and runs again.
    Restart,
    /// Its screen.
    Screen,
    /// That it is frozen, or is not.
    Freeze(bool),
    /// How it is, as soon as its gate has said what it counts.
    Status,
}

impl Wait {
    /// How long it may take, where that is not up to the agent.
    pub(super) fn patience(self) -> Option<Duration> {
        match self {
            Self::Screen | Self::Freeze(_) => Some(Duration::from_secs(10)),
            Self::Status => Some(Duration::from_millis(500)),
            Self::Start | Self::End | Self::Restart => None,
        }
    }
}

/// An agent with a jail.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) owner: Box<Owner>,
    /// Since when.
    pub(super) since: Instant,
    /// Until when its session must be there; nothing once it is.
    pub(super) until_up: Option<Instant>,
    /// When it is looked again whether the session is the agent's, which could not be seen.
    pub(super) prove_at: Option<Instant>,
    /// When everything of it is ended, where it was asked to end.
    pub(super) stopping: Option<Instant>,
    /// What its init said last about the session.
    pub(super) said: Option<Said>,
    /// Why it was ended from here.
    pub(super) ended_for: Option<String>,
    /// How often everything of it was ended.
    pub(super) endings: u32,
    /// Troubles that were written down.
    pub(super) troubles: u32,
}

/// Where it stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// A shim makes its jail, or comes back.
    Starting {
        /// The shim; taken when it says something.
        shim: Option<Starting>,
        /// Until when it must.
        until: Instant,
    },
    /// Its jail stands.
    Up(Up),
    /// Its jail has ended, and a child of this process removes what is left.
    Cleaning {
        /// The child.
        child: Cloned,
        /// How long the agent ran.
        ran: Duration,
    },
    /// It is started again then.
    Resting(Instant),
    /// It has ended.
    Ended,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) record: Record,
    pub(super) phase: Phase,
    /// How often its shim was taken over since, because it hung up.
    pub(super) taken_over: Option<(Instant, u32)>,
    /// How often what is left of it was tried to be removed.
    pub(super) cleanings: u32,
    /// Those who look, by the number of their view.
    pub(super) people: BTreeMap<u32, Looker>,
    /// Those of them whose lines were ended, and who have not left yet.
    pub(super) sent_away: BTreeSet<u32>,
    /// Whether it is to be looked who of them may still.
    pub(super) recheck: bool,
    /// Those who wait, by the number of their connection, and since when.
    pub(super) waits: Vec<(u64, Wait, Instant)>,
    /// Refused calls that were written down, since when.
    pub(super) refusals: Option<(Instant, u32)>,
    /// The figures that were shown last.
    pub(super) figures: Option<Brief>,
    /// When the watch has found something, in seconds since 1970-01-01 UTC.
    pub(super) findings: VecDeque<u64>,
}

/// For so long a finding is shown in a list, and so many of them are counted at the most.
const RECENT: u64 = 3600;
const MOST_RECENT: usize = 9999;

/// The longest sentence about an end, in characters.
const LONGEST_HOW: usize = 1000;
/// So often in that time a shim that hangs up is taken over again.
const TAKEN_OVER: u32 = 30;
const TAKEN_OVER_IN: Duration = Duration::from_secs(60);

/// For so long figures that were read are shown again: however many look, an agent costs no more.
const FRESH: Duration = Duration::from_millis(400);

/// What an agent uses, as a list shows it.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    read: Instant,
    /// The same, in microseconds of the monotonic clock.
    at: u64,
    figures: Figures,
    counts: Option<Counts>,
}

impl Brief {
    /// Of a jail that runs. Where the kernel counts something in no cgroup, it is as it was when the jail was looked at last.
    fn of(owner: &mut Owner) -> Self {
        let cgroup = owner.kept().cgroup.as_deref();
        let mut figures = cgroup.map(read::brief_of_cgroup).unwrap_or_default();
        let known = owner.figures().gauges.iter();
        let missing = known.filter(|gauge| figures.gauge(&gauge.name).is_none()).cloned();
        figures.gauges.extend(missing.collect::<Vec<_>>());
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let clock = Duration::try_from(clock).unwrap_or_default();
        let at = u64::try_from(clock.as_micros()).unwrap_or(u64::MAX);
        Self { read: Instant::now(), at, figures, counts: owner.counted() }
    }

    fn used(&self, name: &str) -> Option<Used> {
        self.figures.gauge(name).map(used)
    }

    /// Of the bounded trees on disk those that have least left.
    fn disk(&self) -> Option<Used> {
        let disks = self.figures.gauges.iter().filter(|gauge| {
            gauge.name.starts_with(DISK) && gauge.unit == Unit::Bytes && gauge.limit.is_some()
        });
        let left = |gauge: &&Gauge| gauge.limit.unwrap_or(u64::MAX).saturating_sub(gauge.used);
        disks.min_by_key(left).map(used)
    }
}

fn used(gauge: &Gauge) -> Used {
    Used { used: gauge.used, limit: gauge.limit }
}

impl Agent {
    /// It ended so. What a shim says of it may be of any length.
    pub(super) fn ended_as(&mut self, Outcome { how, status }: Outcome) {
        let how = how.chars().take(LONGEST_HOW).collect();
        self.record.outcome = Some(Outcome { how, status });
    }

    /// Whether its shim may be taken over once more: it has hung up on its owner.
    pub(super) fn may_be_taken_over(&mut self) -> bool {
        let now = Instant::now();
        let (since, times) = self.taken_over.unwrap_or((now, 0));
        let recent = now.saturating_duration_since(since) < TAKEN_OVER_IN;
        let (since, times) = if recent { (since, times + 1) } else { (now, 1) };
        self.taken_over = Some((since, times));
        times <= TAKEN_OVER
    }

    pub(super) fn new(record: Record, phase: Phase) -> Self {
        Self {
            record,
            phase,
            taken_over: None,
            cleanings: 0,
            people: BTreeMap::new(),
            sent_away: BTreeSet::new(),
            recheck: false,
            waits: Vec::new(),
            refusals: None,
            figures: None,
            findings: VecDeque::new(),
        }
    }

    /// The watch has found something at it.
    pub(super) fn was_found(&mut self, now: u64) {
        self.findings.truncate(MOST_RECENT - 1);
        self.findings.push_front(now);
    }

    /// How much the watch has found lately.
    fn recent_findings(&mut self, now: u64) -> u32 {
        self.findings.retain(|time| time.saturating_add(RECENT) > now);
        u32::try_from(self.findings.len()).unwrap_or(u32::MAX)
    }

    /// The name of its jail, as in the records of launches.
    pub(super) fn jail(&self) -> String {
        crate::launch::session_of(&self.record.name)
    }

    /// Whether it has processes, or is about to have some.
    pub(super) fn is_active(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Up(_) | Phase::Cleaning { .. } => true,
            Phase::Resting(_) | Phase::Ended => false,
        }
    }

    /// How it is, as it is told.
    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Starting { .. } => State::Starting,
            Phase::Up(up) if up.stopping.is_some() || up.ended_for.is_some() => State::Stopping,
            Phase::Up(up) if up.until_up.is_some() => State::Starting,
            Phase::Up(up) if is_frozen(&up.owner) => State::Frozen,
            Phase::Up(_) => State::Running,
            Phase::Cleaning { .. } => State::Stopping,
            Phase::Resting(_) => State::Waiting,
            Phase::Ended => State::Ended,
        }
    }

    /// In a list.
    pub(super) fn shown(&mut self) -> Shown {
        let state = self.state();
        let findings = self.recent_findings(journal::now());
        let up = match &mut self.phase {
            Phase::Up(up) => Some(up),
            Phase::Starting { .. } | Phase::Cleaning { .. } | Phase::Resting(_) | Phase::Ended => {
                None
            }
        };
        let fresh = self.figures.take().filter(|brief| brief.read.elapsed() < FRESH);
        let network = up.as_ref().map(|up| up.owner.born().network.clone()).unwrap_or_default();
        self.figures = up.map(|up| fresh.unwrap_or_else(|| Brief::of(&mut up.owner)));
        let brief = self.figures.as_ref();
        let cpu = brief.and_then(|brief| brief.figures.cpu);
        let Record { name, wanted, since, restarts, outcome, kept, .. } = &self.record;
        let kept = kept.as_ref();
        let profile = kept.map(|kept| kept.profile.clone()).filter(|profile| !profile.is_empty());
        Shown {
            name: name.clone(),
            profile: profile.unwrap_or_else(|| wanted.profile.clone()),
            state,
            since: *since,
            uid: kept.map(|kept| kept.uid),
            people: u32::try_from(self.people.len()).unwrap_or(u32::MAX),
            restarts: *restarts,
            memory: brief.and_then(|brief| brief.used("memory")),
            tasks: brief.and_then(|brief| brief.used("tasks")),
            cpu: cpu.map(|cpu| cpu.used_usec),
            cpu_limit: cpu.and_then(|cpu| cpu.limit_percent),
            io: brief.and_then(|brief| brief.figures.io).map(|io| Traffic {
                read: io.read,
                written: io.written,
                limit: io.limit,
            }),
            disk: brief.and_then(Brief::disk),
            at: brief.map_or(0, |brief| brief.at),
            network,
            counts: brief.and_then(|brief| brief.counts),
            how: outcome.as_ref().map(|outcome| outcome.how.clone()),
            findings,
        }
    }
}

/// The event of an agent that was frozen, or let go on, and what it does then.
pub(super) fn frozen_words(frozen: bool) -> (Kind, &'static str) {
    if frozen { (Kind::Frozen, "is frozen") } else { (Kind::Thawed, "goes on") }
}

/// By the kernel's word: whoever froze it.
pub(super) fn is_frozen(owner: &Owner) -> bool {
    let cgroup = owner.kept().cgroup.as_ref();
    let frozen = cgroup.and_then(|path| crate::host::text::read(path.join("cgroup.freeze")).ok());
    frozen.is_some_and(|text| text.trim() == "1")
}

/// How the agent `name` ended, by what its init said last and the status of the jail.
pub(super) fn outcome(name: &str, said: Option<&Said>, status: u8) -> Outcome {
    let of = |how: String, status| Outcome { how, status };
    match said {
        Some(Said::Failed { cause, status }) => of(cause.clone(), *status),
        Some(Said::NoSession { status: tmux, said }) => {
            let said = crate::terminal::plain::plain_lines(said, 5).join(" ");
            of(format!("tmux ended with status {tmux} before there was a session: {said}"), 125)
        }
        Some(Said::ServerGone) => of(format!("the session of {name} was closed"), status),
        Some(Said::Ended { status: code, signal, .. }) => of(ended(name, *code, *signal), status),
        Some(
            Said::Up
            | Said::Detached { .. }
            | Said::Screen(_)
            | Said::JobEnded { .. }
            | Said::Own(_)
            | Said::Panes(_)
            | Said::Typed { .. },
        )
        | None => of(was_ended(name), status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_for_an_hour_and_so_many_at_the_most() {
        let mut agent = Agent::new(Record::default(), Phase::Ended);
        (0..20_000).for_each(|time| agent.was_found(1000 + time / 100));
        assert_eq!(agent.recent_findings(1200), 9999);
        assert_eq!(agent.recent_findings(1199 + RECENT - 1), 100);
        assert_eq!(agent.recent_findings(1199 + RECENT), 0);
    }

    #[test]
    fn every_end_has_its_words_and_its_status() {
        let ended = |status, signal| Said::Ended { status, signal, screen: String::new() };
        let words = |said: Option<Said>| outcome("a", said.as_ref(), 9);
        assert_eq!(words(Some(ended(Some(0), None))).how, "a ended with exit status 0");
        assert_eq!(words(Some(ended(None, Some(9)))).how, "a ended by signal 9");
        assert_eq!(words(Some(Said::ServerGone)).how, "the session of a was closed");
        assert_eq!(words(None), Outcome { how: "a was ended".to_owned(), status: 9 });
        let failed = Said::Failed { cause: "no".to_owned(), status: 127 };
        assert_eq!(words(Some(failed)), Outcome { how: "no".to_owned(), status: 127 });
        let none = Said::NoSession { status: 1, said: "bad\x1b[1m".to_owned() };
        assert_eq!(words(Some(none)).status, 125);
    }
}
