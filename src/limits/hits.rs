//! Limits that were reached, found by comparing the figures of two moments.
//!
//! A storm is one finding: what goes on and on is told at once, and then with its count every
//! [`PAUSE`]. Pure: the caller brings the figures and the time.

use super::figures::{ALL_TASKS, Figures, Gauge, Pressure, Throttle, Unit};
use crate::profile::types::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one limit is quiet after it was told.
pub const PAUSE: Duration = Duration::from_secs(10);
/// What takes time is compared over this time, however often the figures are read: in less, too little
/// happens to count.
const WINDOW: Duration = Duration::from_secs(1);
/// Memory pressure is told when some process waited this many hundredths of the time, or all of them at once.
const SOME_WAITED: u64 = 30;
const ALL_WAITED: u64 = 10;
/// Less than so many microseconds in all hurts nobody.
const LEAST_WAIT: u64 = 100_000;
/// A process that ends so soon after the agent's own memory ran out ended for that: the kernel counts the
/// one before it ends the other, and a look may come in between.
const ONE_OOM: Duration = Duration::from_secs(2);
/// Being held back is told when it happened in so many periods, and in half of them at least.
const PERIODS: u64 = 5;

/// One limit that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Which: the name of a gauge, `cpu`, or `memory pressure`.
    pub limit: String,
    /// What came of it.
    pub what: What,
    /// How often since it was told last; microseconds for what takes time.
    pub count: u64,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// The most that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// In what both are counted.
    pub unit: Unit,
    /// The processes that it is about.
    pub processes: Vec<String>,
}

/// What came of a limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The kernel ended processes, because the agent's memory ran out.
    Ended,
    /// The kernel ended processes, because the memory of all agents together or of the host ran out.
    EndedForOthers,
    /// The memory watch ended the agent.
    EndedByWatch,
    /// The kernel took memory back.
    Reached,
    /// What was asked for was refused.
    Refused,
    /// Nothing is left.
    Full,
    /// The agent was held back.
    HeldBack,
    /// Processes waited.
    Waited,
}

impl What {
    /// The word for it in journals and rules.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::EndedForOthers => "ended-for-others",
            Self::EndedByWatch => "ended-by-watch",
            Self::Reached => "reached",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::HeldBack => "held-back",
            Self::Waited => "waited",
        }
    }
}

/// A figure as it was when the window opened.
#[derive(Debug, Default)]
struct Window<T> {
    since: Duration,
    before: T,
}

impl<T: Clone> Window<T> {
    /// What `found` makes of the figure then, the figure now, and the time between them. The window opens anew
    /// after a hit, and after [`WINDOW`].
    fn look(
        &mut self,
        at: Duration,
        now: &T,
        found: impl FnOnce(&T, &T, Duration) -> Option<Hit>,
    ) -> Option<Hit> {
        let between = at.saturating_sub(self.since);
        let hit = found(&self.before, now, between);
        if hit.is_some() || between >= WINDOW {
            *self = Self { since: at, before: now.clone() };
        }
        hit
    }
}

/// Finds hits in a row of figures.
#[derive(Debug, Default)]
pub struct Finder {
    before: Figures,
    throttle: Window<Throttle>,
    pressure: Window<Pressure>,
    /// When the agent's own memory was found to have run out, last.
    ran_out: Option<Duration>,
    /// What was found and not told, and when it was told last.
    open: BTreeMap<(String, What), (Hit, Option<Duration>)>,
    /// All there was.
    total: BTreeMap<(String, What), Hit>,
}

impl Finder {
    /// Finds what happens from `now` on: what others have met before is not this jail's.
    #[must_use]
    pub fn starting(now: Figures) -> Self {
        Self { before: now, ..Self::default() }
    }

    /// Compares `now`, read `at` (counted from any fixed moment), with what was read before; gives the
    /// limits that were reached and whose turn it is to be told. `about` names the processes of a hit.
    pub fn look(
        &mut self,
        at: Duration,
        now: Figures,
        mut about: impl FnMut(&Hit) -> Vec<String>,
    ) -> Vec<Hit> {
        if now.ooms > self.before.ooms {
            self.ran_out = Some(at);
        }
        let own = self.ran_out.is_some_and(|ran_out| at.saturating_sub(ran_out) <= ONE_OOM);
        let mut hits = counted(&self.before, &now, own);
        if let Some(cpu) = &now.cpu {
            hits.extend(self.throttle.look(at, cpu, held_back));
        }
        let pressure = now.pressure.iter().find(|pressure| pressure.resource == "memory");
        if let (Some(pressure), Some(memory)) = (pressure, strictest_memory(&now)) {
            hits.extend(self.pressure.look(at, pressure, |before, now, between| {
                Some(Hit { count: waited(before, now, between)?, ..waiting(memory) })
            }));
        }
        for mut hit in hits {
            hit.processes.extend(about(&hit));
            let key = (hit.limit.clone(), hit.what);
            merge(self.total.entry(key.clone()).or_insert_with(|| nothing(&hit)), &hit);
            let (open, _) = self.open.entry(key).or_insert_with(|| (nothing(&hit), None));
            merge(open, &hit);
        }
        self.before = now;
        let mut told = Vec::new();
        for (open, last) in self.open.values_mut() {
            let due = last.is_none_or(|last| at.saturating_sub(last) >= PAUSE);
            if open.count > 0 && due {
                let quiet = nothing(open);
                told.push(std::mem::replace(open, quiet));
                *last = Some(at);
            }
        }
        told
    }

    /// What was found and not told yet.
    pub fn rest(&mut self) -> Vec<Hit> {
        let open = std::mem::take(&mut self.open).into_values();
        open.map(|(hit, _)| hit).filter(|hit| hit.count > 0).collect()
    }

    /// Everything that was found, each limit once.
    #[must_use]
    pub fn total(&self) -> Vec<&Hit> {
        self.total.values().collect()
    }

    /// What was read last.
    #[must_use]
    pub fn last(&self) -> &Figures {
        &self.before
    }
}

fn nothing(hit: &Hit) -> Hit {
    Hit { count: 0, processes: Vec::new(), ..hit.clone() }
}

/// The most processes that one hit names.
const NAMES: usize = 8;

fn merge(into: &mut Hit, hit: &Hit) {
    into.count += hit.count;
    into.peak = into.peak.max(hit.peak);
    into.max = hit.max.or(into.max);
    // Whose tasks they are changes from look to look: the newest counts.
    if hit.what == What::Refused && !hit.processes.is_empty() {
        into.processes.clear();
    }
    for process in &hit.processes {
        if !into.processes.contains(process) && into.processes.len() < NAMES {
            into.processes.push(process.clone());
        }
    }
}

/// What the kernel counts one by one. `own` says that the agent's own memory has run out.
fn counted(before: &Figures, now: &Figures, own: bool) -> Vec<Hit> {
    let mut hits = ended(before, now, own);
    for gauge in &now.gauges {
        hits.extend(of_gauge(before.gauge(&gauge.name), gauge, !hits.is_empty()));
    }
    hits
}

fn hit(gauge: &Gauge, what: What, count: u64) -> Hit {
    Hit {
        limit: gauge.name.clone(),
        what,
        count,
        max: gauge.limit,
        peak: gauge.peak.or(Some(gauge.used)),
        unit: gauge.unit,
        processes: gauge.process.iter().cloned().collect(),
    }
}

fn ended(before: &Figures, now: &Figures, own: bool) -> Vec<Hit> {
    let kills = now.oom_kills.saturating_sub(before.oom_kills);
    let Some(memory) = now.gauge("memory").filter(|_| kills > 0) else { return Vec::new() };
    vec![hit(memory, if own { What::Ended } else { What::EndedForOthers }, kills)]
}

/// `told` says that the memory's end is told already.
fn of_gauge(before: Option<&Gauge>, now: &Gauge, told: bool) -> Option<Hit> {
    let more = now.hits.zip(before.map_or(Some(0), |before| before.hits));
    let more = more.map_or(0, |(now, before)| now.saturating_sub(before));
    match now.name.as_str() {
        "memory" | "memory_high" if told => None,
        "memory" if more > 0 => Some(hit(now, What::Reached, more)),
        // It is meant to be reached; that it hurts is told as pressure.
        "memory_high" => None,
        // Where no controller holds it, the memory watch tells.
        "memory" => None,
        "tasks" | "swap" | ALL_TASKS if more > 0 => Some(hit(now, What::Refused, more)),
        _ if now.hits.is_none() && now.is_full() => {
            let was_full = before.is_some_and(|it| it.is_full() && it.process == now.process);
            (!was_full).then(|| hit(now, What::Full, 1))
        }
        _ => None,
    }
}

fn held_back(before: &Throttle, now: &Throttle, _between: Duration) -> Option<Hit> {
    let periods = now.periods.saturating_sub(before.periods);
    let throttled = now.throttled.saturating_sub(before.throttled);
    if throttled < PERIODS || throttled * 2 < periods {
        return None;
    }
    Some(Hit {
        limit: "cpu".to_owned(),
        what: What::HeldBack,
        count: now.throttled_usec.saturating_sub(before.throttled_usec),
        max: now.limit_percent,
        peak: None,
        unit: Unit::Count,
        processes: Vec::new(),
    })
}

/// How long processes waited for memory, in microseconds, if it hurts.
fn waited(before: &Pressure, now: &Pressure, between: Duration) -> Option<u64> {
    let some = now.some_usec.saturating_sub(before.some_usec);
    let all = now.full_usec.saturating_sub(before.full_usec);
    let whole = u64::try_from(between.as_micros()).unwrap_or(u64::MAX).max(1);
    let part = |waited: u64, hundredths: u64| {
        waited.saturating_mul(100) >= whole.saturating_mul(hundredths)
    };
    let hurts = some >= LEAST_WAIT && (part(some, SOME_WAITED) || part(all, ALL_WAITED));
    hurts.then_some(some)
}

/// The limit at which processes wait first.
fn strictest_memory(now: &Figures) -> Option<&Gauge> {
    now.gauge("memory_high").or_else(|| now.gauge("memory"))
}

fn waiting(memory: &Gauge) -> Hit {
    let told = hit(memory, What::Waited, 0);
    Hit { limit: "memory pressure".to_owned(), processes: Vec::new(), ..told }
}

/// An amount in its unit, for a person.
#[must_use]
pub fn amount(unit: Unit, number: u64) -> String {
    match unit {
        Unit::Bytes => bytes(number),
        Unit::Count => number.to_string(),
    }
}

/// Bytes for a person: exact where that is short, else with one decimal, rounded down.
fn bytes(number: u64) -> String {
    let exact = Bytes(number).to_string();
    if number < 1024 || (exact.ends_with(['K', 'M', 'G', 'T']) && exact.len() <= 5) {
        return exact;
    }
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let (shift, unit) =
        units.into_iter().find(|(shift, _)| number >> shift > 0).unwrap_or((0_u32, 'B'));
    let tenths = (u128::from(number) * 10) >> shift;
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// Microseconds for a person.
#[must_use]
pub fn seconds(usec: u64) -> String {
    format!("{}.{:02} s", usec / 1_000_000, usec % 1_000_000 / 10_000)
}

impl Hit {
    /// The hit in one sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { limit, count, .. } = self;
        let most = self.max.map(|max| amount(self.unit, max)).unwrap_or_default();
        let peak = self.peak.map(|peak| format!(", peak {}", amount(self.unit, peak)));
        let peak = peak.unwrap_or_default();
        let by = if self.processes.is_empty() {
            String::new()
        } else {
            format!(": {}", self.processes.join(", "))
        };
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        match self.what {
            What::Ended => format!(
                "{limit}: the kernel ended {count} process(es) at the limit of {most}{peak}{by}"
            ),
            What::EndedForOthers => format!(
                "{limit}: the kernel ended {count} process(es), not for the agent's own limit but because all agents together, or the host, had no more{peak}{by}"
            ),
            What::EndedByWatch => format!(
                "{limit}: the memory watch ended the agent at its limit of {most}{peak}{by}"
            ),
            What::Reached => format!("{limit}: the limit of {most} was reached {times}{peak}"),
            What::Refused => format!("{limit}: refused {times} at the limit of {most}{peak}{by}"),
            What::Full if self.peak < self.max => {
                format!("{limit}: little or no room was left{peak} of {most}{by}")
            }
            What::Full => format!("{limit}: nothing was left of {most}{by}"),
            What::HeldBack => {
                let most = self.max.map(|max| format!(" of {}", percent(max))).unwrap_or_default();
                format!("cpu: held back for {} by the limit{most}{by}", seconds(*count))
            }
            What::Waited => {
                format!("{limit}: processes waited {} for memory{peak}", seconds(*count))
            }
        }
    }
}

fn percent(hundredths: u64) -> String {
    format!("{}.{:02} processors", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(name: &str, used: u64, limit: u64, hits: Option<u64>) -> Gauge {
        let unit = if name == "tasks" { Unit::Count } else { Unit::Bytes };
        Gauge { hits, ..Gauge::new(name, unit, used, Some(limit)) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn quiet(_: &Hit) -> Vec<String> {
        Vec::new()
    }

    #[test]
    fn a_storm_is_told_at_once_and_then_with_its_count() {
        let mut finder = Finder::default();
        let figures = |hits| Figures {
            gauges: vec![gauge("tasks", 16, 16, Some(hits))],
            ..Figures::default()
        };
        assert!(finder.look(at(1), figures(0), quiet).is_empty());
        let told = finder.look(at(2), figures(5), |_| vec!["sh (14)".to_owned()]);
        let [first] = &told[..] else { panic!("{told:?}") };
        assert_eq!(first.told(), "tasks: refused 5 times at the limit of 16, peak 16: sh (14)");
        assert!(finder.look(at(3), figures(900), quiet).is_empty());
        let told = finder.look(at(12), figures(905), quiet);
        assert_eq!(told.iter().map(|hit| hit.count).collect::<Vec<_>>(), [900]);
        assert!(finder.look(at(13), figures(906), quiet).is_empty());
        assert_eq!(finder.rest()[0].count, 1);
        assert_eq!(finder.total()[0].count, 906);
    }

    #[test]
    fn whose_memory_ran_out_is_told_apart() {
        let figures = |ooms, oom_kills, hits| Figures {
            gauges: vec![gauge("memory", 60 << 20, 64 << 20, Some(hits))],
            ooms,
            oom_kills,
            ..Figures::default()
        };
        let mut finder = Finder::default();
        let told = finder.look(at(1), figures(0, 0, 3), quiet);
        assert_eq!(told[0].told(), "memory: the limit of 64M was reached 3 times, peak 60M");
        let told = finder.look(at(2), figures(1, 2, 9), |_| vec!["perl (pid 7)".to_owned()]);
        let expected =
            "memory: the kernel ended 2 process(es) at the limit of 64M, peak 60M: perl (pid 7)";
        assert_eq!(told.iter().map(Hit::told).collect::<Vec<_>>(), [expected]);
        let told = finder.look(at(5), figures(1, 3, 9), quiet);
        assert_eq!(told[0].what, What::EndedForOthers);
        // The agent's own memory ran out at one look, and the next one sees whom that ended.
        assert!(finder.look(at(20), figures(2, 3, 9), quiet).is_empty());
        let told = finder.look(at(21), figures(2, 4, 9), quiet);
        assert_eq!(told.iter().map(|hit| hit.what).collect::<Vec<_>>(), [What::Ended]);
    }

    #[test]
    fn what_others_met_before_is_not_this_jails() {
        let figures = |hits| Figures {
            gauges: vec![Gauge {
                hits: Some(hits),
                ..Gauge::new(ALL_TASKS, Unit::Count, 9, Some(9))
            }],
            ..Figures::default()
        };
        let mut finder = Finder::starting(figures(7));
        assert!(finder.look(at(1), figures(7), quiet).is_empty());
        let told = finder.look(at(2), figures(9), quiet);
        let expected = "tasks of all agents: refused 2 times at the limit of 9, peak 9";
        assert_eq!(told[0].told(), expected);
    }

    #[test]
    fn what_is_full_is_told_once_until_there_was_room() {
        let figures = |used| Figures {
            gauges: vec![gauge("/tmp", used, 256 << 20, None)],
            ..Figures::default()
        };
        let mut finder = Finder::default();
        assert!(finder.look(at(1), figures(255 << 20), quiet).is_empty());
        assert_eq!(
            finder.look(at(2), figures(256 << 20), quiet)[0].told(),
            "/tmp: nothing was left of 256M"
        );
        assert!(finder.look(at(20), figures(256 << 20), quiet).is_empty());
        assert!(finder.look(at(40), figures(1), quiet).is_empty());
        assert_eq!(finder.look(at(60), figures(256 << 20), quiet).len(), 1);
    }

    #[test]
    fn a_disk_is_told_of_when_a_write_may_have_been_refused() {
        let figures = |used| Figures {
            gauges: vec![gauge("disk /srv/a", used, 8 << 20, None)],
            ..Figures::default()
        };
        let mut finder = Finder::default();
        assert!(finder.look(at(1), figures(6 << 20), quiet).is_empty());
        let told = finder.look(at(2), figures(7 << 20), quiet);
        assert_eq!(told[0].told(), "disk /srv/a: little or no room was left, peak 7M of 8M");
    }

    #[test]
    fn waiting_and_being_held_back_count_when_they_hurt() {
        let figures = |some_usec, throttled| Figures {
            gauges: vec![gauge("memory", 1 << 20, 2 << 20, Some(0))],
            pressure: vec![Pressure { resource: "memory", some_usec, ..Pressure::default() }],
            cpu: Some(Throttle {
                limit_percent: Some(150),
                periods: 10 * throttled,
                throttled,
                throttled_usec: throttled * 50_000,
                ..Throttle::default()
            }),
            ..Figures::default()
        };
        let mut finder = Finder::default();
        assert!(finder.look(at(1), figures(100_000, 7), quiet).is_empty());
        let told = finder.look(at(2), figures(500_000, 7), quiet);
        assert_eq!(told[0].told(), "memory pressure: processes waited 0.40 s for memory, peak 1M");
        let mut hog = figures(500_000, 17);
        hog.cpu.as_mut().unwrap().periods = 80;
        let told = finder.look(at(3), hog, quiet);
        assert_eq!(told[0].told(), "cpu: held back for 0.50 s by the limit of 1.50 processors");
        // Looked at more often, it counts all the same, once there is enough of it.
        let often = |step: u64| {
            (at(4) + Duration::from_millis(50 * step), figures(500_000 + 40_000 * step, 17))
        };
        assert!((0..=3).map(often).all(|(at, now)| finder.look(at, now, quiet).is_empty()));
        assert_eq!(finder.rest().iter().map(|hit| hit.count).collect::<Vec<_>>(), [120_000]);
    }

    #[test]
    fn amounts_are_short() {
        let of = |number| amount(Unit::Bytes, number);
        assert_eq!([of(0), of(900), of(4096), of(3 << 30)], ["0", "900", "4K", "3G"]);
        assert_eq!([of(1536 << 20), of(99_999_744), of((5 << 40) + 1)], ["1536M", "95.3M", "5.0T"]);
        assert_eq!(seconds(12_345_678), "12.34 s");
    }
}
