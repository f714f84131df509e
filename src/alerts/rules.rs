//! Decides when somebody is told: counts events, and looks at figures, by the rules of the configuration.
//!
//! ```text
//!  Event ─┐
//!         ├─ Rules: a window for each rule and agent ─ Fired ─ who is told: `supervisor::alerts`
//!  Figures┘
//! ```
//!
//! Pure: the caller brings events, figures and the time. Work for an event is constant: the rules about its kind, and for each
//! a window that is never longer than its threshold. A storm is one alert, and then one with its count every time that the
//! rule's pause is over.
//!
//! Does not protect against: what nobody writes down. It sees events, never agents.

#![forbid(unsafe_code)]

use super::event::{Event, Kind, Label, Severity};
use crate::config::NamePattern;
use crate::document::duration::shown;
use crate::limits::Unit;
use crate::limits::figures::{DISK, Figures};
use crate::limits::hits::amount;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Processor time is compared over this time at the least: in less, one moment of work is all there is.
const LEAST_CPU: Duration = Duration::from_secs(1);

/// A rule: when somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name; no other has it.
    pub name: String,
    /// The agents that it is about; all where there are none.
    pub agents: Vec<NamePattern>,
    /// Of what.
    pub when: When,
    /// How bad that is.
    pub severity: Severity,
    /// The sinks that are told; all where there is no list.
    pub sinks: Option<Vec<String>>,
    /// For how long it is quiet after an alert.
    pub again_after: Duration,
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Events, more than so many within a time.
    Events(Counting),
    /// A figure above a bound for a time.
    Above(Above),
}

/// Events that are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Of these kinds.
    pub on: Vec<Kind>,
    /// That tell this, a `*` at the end standing for anything.
    pub labels: Vec<(Label, String)>,
    /// Whose text has one of these; any where there are none.
    pub contains: Vec<String>,
    /// More than so many.
    pub more_than: u32,
    /// Within this time.
    pub within: Duration,
    /// Whether those of all agents are counted together.
    pub together: bool,
}

/// A figure that is too high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Above {
    /// Which.
    pub gauge: Gauge,
    /// Above what.
    pub bound: Bound,
    /// For how long.
    pub lasting: Duration,
}

/// A figure of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Processes and threads.
    Tasks,
    /// Bytes of memory.
    Memory,
    /// Bytes of swap.
    Swap,
    /// Processor time, in hundredths of a processor.
    Cpu,
    /// Bytes on disk: of its bounded trees, those that have least left.
    Disk,
    /// Descriptors of the process that has most.
    OpenFiles,
}

impl Gauge {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tasks, Self::Memory, Self::Swap, Self::Cpu, Self::Disk, Self::OpenFiles];

    /// The word for it in rules.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::OpenFiles => "open_files",
        }
    }

    /// The one of this word.
    ///
    /// # Errors
    /// A clause that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|gauge| gauge.word() == text);
        found.ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("`{}` is none of {words}", text.escape_debug())
        })
    }

    /// Its amount for a person.
    fn told(self, amount_of: u64) -> String {
        match self {
            Self::Tasks | Self::OpenFiles => amount(Unit::Count, amount_of),
            Self::Memory | Self::Swap | Self::Disk => amount(Unit::Bytes, amount_of),
            Self::Cpu => format!("{}.{:02} processors", amount_of / 100, amount_of % 100),
        }
    }
}

/// What a figure is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A part of its limit, in hundredths. Where there is no limit, nothing is above it.
    Percent(u64),
    /// An amount.
    Amount(u64),
}

/// How much of something is used, of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    used: u64,
    limit: Option<u64>,
}

impl Bound {
    fn is_below(self, reading: Reading) -> bool {
        match (self, reading.limit) {
            (Self::Amount(most), _) => reading.used > most,
            (Self::Percent(part), Some(limit)) => {
                u128::from(reading.used) * 100 > u128::from(limit) * u128::from(part)
            }
            (Self::Percent(_), None) => false,
        }
    }
}

/// Somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// By which rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// About which agent; none where it is about all of them.
    pub agent: Option<String>,
    /// About what: the kind of the last event, or a figure.
    pub about: String,
    /// How many events, since the alert before where there was one.
    pub count: u64,
    /// In a sentence.
    pub told: String,
    /// Who is told; all where there is no list.
    pub sinks: Option<Vec<String>>,
    /// Whether it is about alerts that were not taken: what becomes of it is no event.
    pub about_alerts: bool,
}

/// A rule by its place, and the agent; empty where all are counted together.
type Key = (usize, String);

/// What is known of one rule and one agent.
#[derive(Clone, Debug, Default)]
struct State {
    /// The newest events: when, and how many.
    window: VecDeque<(Duration, u64)>,
    sum: u64,
    /// Until when nothing is told, how much happened since that began, and whether it was too much at some moment.
    quiet: Option<Duration>,
    since: u64,
    exceeded: bool,
    last: Option<Event>,
    /// Since when a figure is too high.
    high: Option<Duration>,
}

/// All rules, and what they have counted.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    by_kind: BTreeMap<Kind, Vec<usize>>,
    gauges: Vec<usize>,
    states: BTreeMap<Key, State>,
    /// When pauses end.
    dues: BTreeSet<(Duration, Key)>,
    /// Processor time of agents, in microseconds, and when it was so; what it came to.
    cpu: BTreeMap<String, (Duration, u64, Option<u64>)>,
}

impl Rules {
    /// Counts by `rules`.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut new = Self { rules, ..Self::default() };
        for (index, rule) in new.rules.iter().enumerate() {
            match &rule.when {
                When::Events(counting) => {
                    for kind in &counting.on {
                        new.by_kind.entry(*kind).or_default().push(index);
                    }
                }
                When::Above(_) => new.gauges.push(index),
            }
        }
        new
    }

    /// Counts by `rules` from now on; those that are the same as before go on.
    #[must_use]
    pub fn replaced(self, rules: Vec<Rule>) -> Self {
        let mut new = Self::new(rules);
        let places: BTreeMap<usize, usize> = self
            .rules
            .iter()
            .enumerate()
            .filter_map(|(old, rule)| {
                let at = new.rules.iter().position(|other| other == rule)?;
                Some((old, at))
            })
            .collect();
        let moved = |(index, agent): Key| Some((*places.get(&index)?, agent));
        let states = self.states.into_iter();
        new.states = states.filter_map(|(key, state)| Some((moved(key)?, state))).collect();
        let dues = self.dues.into_iter();
        new.dues = dues.filter_map(|(at, key)| Some((at, moved(key)?))).collect();
        new.cpu = self.cpu;
        new
    }

    /// When something may be to be told without anything happening, counted as `at` is.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.dues.first().map(|(at, _)| *at)
    }

    /// `event` happened `at` that time, counted from any fixed moment.
    pub fn event(&mut self, at: Duration, event: &Event) -> Vec<Fired> {
        let mut fired = self.due(at);
        for place in 0..self.by_kind.get(&event.kind).map_or(0, Vec::len) {
            let index = self.by_kind[&event.kind][place];
            fired.extend(self.count(at, index, event));
        }
        fired
    }

    fn count(&mut self, at: Duration, index: usize, event: &Event) -> Option<Fired> {
        let rule = self.rules.get(index)?;
        let When::Events(counting) = &rule.when else { return None };
        if !is_about(rule, event.agent.as_deref()) || !counting.counts(event) {
            return None;
        }
        let agent = event.agent.clone().filter(|_| !counting.together).unwrap_or_default();
        let key = (index, agent);
        let state = self.states.entry(key.clone()).or_default();
        state.add(at, event, counting);
        let too_many = state.sum > u64::from(counting.more_than);
        if state.quiet.is_some() {
            state.since = state.since.saturating_add(event.count);
            state.exceeded |= too_many;
            return None;
        }
        if !too_many {
            return None;
        }
        let count = state.sum;
        let told = told(counting, event, count, false);
        let fired = fired(rule, &key.1, (event.kind.name(), count), told);
        state.rest(at + rule.again_after);
        self.dues.insert((at + rule.again_after, key));
        Some(fired)
    }

    /// What is to be told of storms that went on: their pauses are over.
    pub fn due(&mut self, at: Duration) -> Vec<Fired> {
        let mut all = Vec::new();
        while let Some((until, _)) = self.dues.first().filter(|(until, _)| *until <= at) {
            let until = *until;
            let Some((_, key)) = self.dues.pop_first() else { break };
            all.extend(self.awake(until, key));
        }
        all
    }

    /// The pause of `key` is over.
    fn awake(&mut self, until: Duration, key: Key) -> Option<Fired> {
        let state = self.states.get_mut(&key)?;
        let (since, exceeded) = (state.since, state.exceeded);
        (state.quiet, state.since, state.exceeded) = (None, 0, false);
        let rule = self.rules.get(key.0)?;
        let When::Events(counting) = &rule.when else { return None };
        if !exceeded {
            // What is still in the window counts on.
            if state.window.is_empty() {
                self.states.remove(&key);
            }
            return None;
        }
        let last = state.last.clone()?;
        let told = told(counting, &last, since, true);
        let fired = fired(rule, &key.1, (last.kind.name(), since), told);
        state.rest(until + rule.again_after);
        self.dues.insert((until + rule.again_after, key));
        Some(fired)
    }

    /// `agent` uses this much, at that time.
    pub fn look(&mut self, at: Duration, agent: &str, figures: &Figures) -> Vec<Fired> {
        let mut all = self.due(at);
        if self.gauges.is_empty() {
            return all;
        }
        let cpu = self.processors(at, agent, figures);
        for place in 0..self.gauges.len() {
            let index = self.gauges[place];
            all.extend(self.compare(at, index, agent, (figures, cpu)));
        }
        all
    }

    /// In hundredths of a processor, over the time since it was compared last.
    fn processors(&mut self, at: Duration, agent: &str, figures: &Figures) -> Option<Reading> {
        let now = figures.cpu?;
        let known = self.cpu.get(agent).copied();
        let (since, before, rate) = known.unwrap_or((at, now.used_usec, None));
        let between = at.saturating_sub(since);
        let rate = if between >= LEAST_CPU {
            let used = u128::from(now.used_usec.saturating_sub(before)) * 100;
            u64::try_from(used / between.as_micros().max(1)).ok()
        } else {
            rate
        };
        if known.is_none() || between >= LEAST_CPU {
            self.cpu.insert(agent.to_owned(), (at, now.used_usec, rate));
        }
        Some(Reading { used: rate?, limit: now.limit_percent })
    }

    fn compare(
        &mut self,
        at: Duration,
        index: usize,
        agent: &str,
        (figures, cpu): (&Figures, Option<Reading>),
    ) -> Option<Fired> {
        let rule = self.rules.get(index)?;
        let When::Above(above) = rule.when else { return None };
        if !is_about(rule, Some(agent)) {
            return None;
        }
        let reading = if above.gauge == Gauge::Cpu { cpu } else { read(above.gauge, figures) };
        let key = (index, agent.to_owned());
        let Some(reading) = reading.filter(|reading| above.bound.is_below(*reading)) else {
            self.states.get_mut(&key).into_iter().for_each(|state| state.high = None);
            return None;
        };
        let state = self.states.entry(key.clone()).or_default();
        let since = *state.high.get_or_insert(at);
        if state.quiet.is_some() || at.saturating_sub(since) < above.lasting {
            return None;
        }
        let told = high(agent, above, reading, at.saturating_sub(since));
        let fired = fired(rule, agent, (above.gauge.word(), 1), told);
        state.quiet = Some(at + rule.again_after);
        self.dues.insert((at + rule.again_after, key));
        Some(fired)
    }

    /// `agent` does not run any more: what its figures were does not go on.
    pub fn ended(&mut self, agent: &str) {
        self.cpu.remove(agent);
        for index in &self.gauges {
            let state = self.states.get_mut(&(*index, agent.to_owned()));
            state.into_iter().for_each(|state| state.high = None);
        }
    }

    /// Nobody knows `agent` any more.
    pub fn forget(&mut self, agent: &str) {
        self.cpu.remove(agent);
        if !agent.is_empty() {
            self.states.retain(|(_, known), _| known != agent);
            self.dues.retain(|(_, (_, known))| known != agent);
        }
    }
}

impl State {
    fn add(&mut self, at: Duration, event: &Event, counting: &Counting) {
        // A count of nothing would make the window long for nothing.
        if event.count > 0 {
            self.window.push_back((at, event.count));
            self.sum = self.sum.saturating_add(event.count);
        }
        self.last = Some(event.clone());
        while let Some((when, count)) = self.window.front().copied() {
            // Too old; or too many without it, too.
            let spare = self.sum.saturating_sub(count) > u64::from(counting.more_than);
            let old = at.saturating_sub(when) >= counting.within;
            if old || (spare && self.quiet.is_some()) {
                self.window.pop_front();
                self.sum = self.sum.saturating_sub(count);
            } else {
                break;
            }
        }
    }

    /// Tells nothing until then; what was told does not count again.
    fn rest(&mut self, until: Duration) {
        self.window.clear();
        (self.sum, self.since, self.exceeded) = (0, 0, false);
        self.quiet = Some(until);
    }
}

impl Counting {
    fn counts(&self, event: &Event) -> bool {
        let tells = |(label, wanted): &(Label, String)| {
            event.label(*label).is_some_and(|value| is_meant(wanted, value))
        };
        let has = |part: &String| event.text.contains(part.as_str());
        self.labels.iter().all(tells) && (self.contains.is_empty() || self.contains.iter().any(has))
    }
}

/// Whether `value` is what `wanted` says, of which a `*` at the end stands for anything.
fn is_meant(wanted: &str, value: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => value.starts_with(beginning),
        None => value == wanted,
    }
}

fn is_about(rule: &Rule, agent: Option<&str>) -> bool {
    rule.agents.is_empty()
        || agent.is_some_and(|agent| rule.agents.iter().any(|pattern| pattern.matches(agent)))
}

fn fired(rule: &Rule, agent: &str, (about, count): (&str, u64), told: String) -> Fired {
    let Rule { name, severity, sinks, .. } = rule;
    let about_alerts = match &rule.when {
        When::Events(counting) => counting.on.contains(&Kind::AlertFailed),
        When::Above(_) => false,
    };
    Fired {
        rule: name.clone(),
        severity: *severity,
        agent: Some(agent.to_owned()).filter(|agent| !agent.is_empty()),
        about: about.to_owned(),
        count,
        told,
        sinks: sinks.clone(),
        about_alerts,
    }
}

/// What an alert about events says. `further` says that there was one before.
fn told(counting: &Counting, last: &Event, count: u64, further: bool) -> String {
    let Event { kind, text, agent, .. } = last;
    if count == 1 && !further {
        return text.clone();
    }
    let of = match agent.as_ref().filter(|_| !counting.together) {
        Some(agent) => format!(" of {agent}"),
        None => String::new(),
    };
    let when = if further {
        "more since the last alert".to_owned()
    } else {
        format!("within {}", shown(counting.within))
    };
    format!("{count} events{of} {when}, the last one {kind}: {text}")
}

fn high(agent: &str, above: Above, reading: Reading, lasted: Duration) -> String {
    let Above { gauge, bound, .. } = above;
    let bound = match bound {
        Bound::Percent(part) => format!("{part}%"),
        Bound::Amount(most) => gauge.told(most),
    };
    let limit = reading.limit.map(|limit| format!(" of {}", gauge.told(limit)));
    let lasted = match lasted.as_secs() {
        0 => String::new(),
        seconds => format!(" for {}", shown(Duration::from_secs(seconds))),
    };
    let used = gauge.told(reading.used);
    format!(
        "{} of {agent}: {used}{}, above {bound}{lasted}",
        gauge.word(),
        limit.unwrap_or_default()
    )
}

fn read(gauge: Gauge, figures: &Figures) -> Option<Reading> {
    let reading = |gauge: &crate::limits::Gauge| Reading { used: gauge.used, limit: gauge.limit };
    match gauge {
        Gauge::Tasks | Gauge::Memory | Gauge::Swap | Gauge::OpenFiles => {
            figures.gauge(gauge.word()).map(reading)
        }
        Gauge::Cpu => None,
        Gauge::Disk => {
            let disks = figures.gauges.iter().filter(|gauge| {
                gauge.name.starts_with(DISK) && gauge.unit == Unit::Bytes && gauge.limit.is_some()
            });
            let left = |gauge: &&crate::limits::Gauge| {
                gauge.limit.unwrap_or(u64::MAX).saturating_sub(gauge.used)
            };
            disks.min_by_key(left).map(reading)
        }
    }
}

#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
