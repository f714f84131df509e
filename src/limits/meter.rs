//! Looks at a jail's use of its limits while it runs.
//!
//! It looks when the kernel tells of an event in the cgroup or of processes that wait for memory, and
//! once a second besides: file systems in memory, terminals and descriptors tell nothing by themselves.

use super::figures::Figures;
use super::hits::{Finder, Hit, What};
use super::journal::Journal;
use super::kernel_log::KernelLog;
use super::ranks::{Session, ranks};
use super::read::{Kept, ProcessorTime, Source};
use super::{processes, read};
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, inotify};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// When it looks first: most commands are over by then, and cost nothing.
const FIRST: Duration = Duration::from_millis(100);
/// How often it looks where nothing is told: at an agent that works, and at one that rests, after longer and longer pauses.
const PERIOD: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(8);
/// Whoever uses less than one of so many parts of a processor rests.
const REST_SHARE: u128 = 100;
/// How soon it looks again where events come thick and fast; after so many times as long as the look took,
/// where the jail's processes make it slow.
const LEAST: Duration = Duration::from_millis(50);
const REST: u32 = 4;
/// How often the memory watch looks.
const WATCH_PERIOD: Duration = Duration::from_millis(200);
/// Who has used less processor time than this since, in microseconds, cannot have taken much: a page takes a fraction of one.
const WATCH_WORK: u64 = 2000;
/// The files of a cgroup whose changes the kernel tells.
const EVENTS: &[&str] = &["memory.events", "memory.swap.events", "pids.events"];
/// Tells when processes waited for memory a tenth of a second within one (psi.rst).
const TRIGGER: &[u8] = b"some 100000 1000000\0";

/// The watch over one jail's limits.
#[derive(Debug)]
pub struct Meter {
    journal: Journal,
    kept: Kept,
    session: Session,
    /// Open from the first look on.
    opened: Option<Opened>,
    log: Option<KernelLog>,
    finder: Finder,
    begun: Instant,
    next: Instant,
    looked: Instant,
    /// How long that took.
    took: Duration,
    /// The pause before the next look, and the processor time that was used at the last.
    pause: Duration,
    used: Option<u64>,
    /// How long its processes had waited for something by then, in microseconds.
    waited: u64,
    /// When the memory watch looked last, and the processor time that was used when it added up.
    watched: Instant,
    watched_at: Option<u64>,
    /// Processes that have their rank, with their start: a number may come to mean another.
    ranked: BTreeMap<i32, (u64, i32)>,
    troubles: Vec<String>,
    /// What was reached since somebody asked last, in sentences.
    reached: Vec<String>,
}

#[derive(Debug)]
struct Opened {
    source: Source,
    events: Option<OwnedFd>,
    pressure: Option<OwnedFd>,
    /// For the memory watch.
    time: Option<ProcessorTime>,
}

impl Meter {
    /// Of a jail that is about to run, whose hits are written into `journal`.
    #[must_use]
    pub fn new(journal: Journal, kept: Kept) -> Self {
        let limited = kept.cgroup.as_ref().is_some_and(|path| path.join("memory.events").exists());
        let ceiling = kept.cgroup.as_deref().filter(|_| limited).map(read::of_ceiling);
        let before = Figures { gauges: ceiling.unwrap_or_default(), ..Figures::default() };
        let now = Instant::now();
        Self {
            journal,
            session: Session { init: kept.init, server: None },
            kept,
            opened: None,
            // From now on: who is ended before the first look is told there too.
            log: limited.then(KernelLog::open).and_then(Result::ok),
            finder: Finder::starting(before),
            begun: now,
            next: now + FIRST,
            looked: now,
            took: Duration::ZERO,
            pause: PERIOD,
            used: None,
            waited: 0,
            watched: now,
            watched_at: None,
            ranked: BTreeMap::new(),
            troubles: Vec::new(),
            reached: Vec::new(),
        }
    }

    /// The tmux server of the jail is `pid`.
    pub fn set_server(&mut self, pid: i32) {
        self.session.server = Some(pid);
        self.next = Instant::now();
    }

    /// When it looked last.
    #[must_use]
    pub fn looked(&self) -> Instant {
        self.looked
    }

    /// The figures of the last look; of the ceiling alone where there has been none.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        self.finder.last()
    }

    /// What to wait for.
    #[must_use]
    pub fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let Some(opened) = &self.opened else { return Vec::new() };
        let events = opened.events.iter().map(|fd| (fd.as_fd(), PollFlags::IN));
        events.chain(opened.pressure.iter().map(|fd| (fd.as_fd(), PollFlags::PRI))).collect()
    }

    /// How long to wait, if nothing else comes.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let left = self.next.saturating_duration_since(Instant::now());
        if self.kept.memory_watch.is_some() { left.min(WATCH_PERIOD) } else { left }
    }

    /// Looks, if it is time to; `came` where one of [`Meter::interests`] is ready. Gives the bytes that
    /// are in use where the memory watch must end the agent.
    pub fn turn(&mut self, came: bool) -> Option<u64> {
        if came {
            self.drain();
            self.next = self.next.min(self.looked + LEAST.max(self.took * REST));
        }
        let now = Instant::now();
        if now >= self.next {
            self.look(now);
        }
        self.over_memory()
    }

    /// What the kernel told is only that something happened.
    fn drain(&self) {
        let events = self.opened.as_ref().and_then(|opened| opened.events.as_ref());
        let mut buffer = [0; 4096];
        while events.is_some_and(|events| rustix::io::read(events, &mut buffer).is_ok()) {}
    }

    fn look(&mut self, now: Instant) {
        // First of all: memory may run out in the next moment.
        self.opened();
        self.rank();
        let figures = self.opened().source.read();
        let used = figures.cpu.map(|cpu| cpu.used_usec);
        // Who waits for something uses no processor time, and does not rest.
        let waited = figures.pressure.iter().map(|pressure| pressure.some_usec).sum();
        let hits = self.compare(now, figures);
        self.write_down(&hits);
        let since = now.saturating_duration_since(self.looked);
        self.pause = if hits.is_empty() && waited == self.waited && rests(self.used, used, since) {
            (self.pause * 2).min(LONGEST)
        } else {
            PERIOD
        };
        (self.used, self.waited) = (used, waited);
        self.took = now.elapsed();
        self.looked = now + self.took;
        self.next = self.looked + self.pause;
    }

    fn opened(&mut self) -> &Opened {
        let kept = &self.kept;
        self.opened.get_or_insert_with(|| Opened {
            source: Source::open(kept.clone()),
            events: kept.cgroup.as_deref().and_then(|cgroup| events(cgroup).ok()),
            pressure: kept.cgroup.as_deref().and_then(|cgroup| pressure(cgroup).ok()),
            time: kept
                .cgroup
                .as_deref()
                .filter(|_| kept.memory_watch.is_some())
                .and_then(ProcessorTime::open),
        })
    }

    fn compare(&mut self, now: Instant, figures: Figures) -> Vec<Hit> {
        let (uid, log) = (self.kept.uid, self.log.as_ref());
        let cgroup = self.kept.cgroup.as_deref();
        let about = |hit: &Hit| match (hit.what, hit.limit.as_str()) {
            (What::Ended | What::EndedForOthers, _) => {
                log.map(|log| log.victims(uid)).unwrap_or_default()
            }
            (What::Refused, "tasks") => {
                let most = cgroup.map(processes::in_cgroup);
                let most = most.and_then(|pids| processes::most_common(&pids));
                most.map(|(name, count)| format!("{count} are {name}")).into_iter().collect()
            }
            (_, _) => Vec::new(),
        };
        self.finder.look(now.saturating_duration_since(self.begun), figures, about)
    }

    /// Gives every process that has none its rank: the kernel hands it on to children.
    fn rank(&mut self) {
        let Some(opened) = &self.opened else { return };
        // Until the server is known, nobody can be told from the session.
        if self.kept.session && self.session.server.is_none() {
            return;
        }
        let all = opened.source.processes().into_iter().filter_map(processes::look);
        let all: Vec<_> = all.collect();
        let ranks = ranks(self.session, &all);
        let mut ranked = BTreeMap::new();
        for (process, (pid, rank)) in all.iter().zip(ranks) {
            let known = self.ranked.get(&pid).copied();
            if known != Some((process.start, rank))
                && let Err(errno) = processes::raise_score(pid, &self.kept.cgroup_path, rank)
            {
                tracing::debug!(pid, %errno, "has no rank for when memory runs out");
            }
            ranked.insert(pid, (process.start, rank));
        }
        self.ranked = ranked;
    }

    /// What was reached since the last time, in sentences.
    pub fn take_reached(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reached)
    }

    fn write_down(&mut self, hits: &[Hit]) {
        self.reached.extend(hits.iter().map(Hit::told));
        if let Err(errno) = self.journal.write_hits(hits) {
            let trouble = format!("what happened at its limits was not recorded: {errno}");
            if !self.troubles.contains(&trouble) {
                self.troubles.push(trouble);
            }
        }
    }

    fn over_memory(&mut self) -> Option<u64> {
        let limit = self.kept.memory_watch?;
        if self.watched.elapsed() < WATCH_PERIOD {
            return None;
        }
        self.watched = Instant::now();
        let used = self.opened().time.as_ref().and_then(ProcessorTime::used);
        if let (Some(used), Some(before)) = (used, self.watched_at)
            && used.saturating_sub(before) < WATCH_WORK
        {
            return None;
        }
        self.watched_at = used;
        Some(self.opened().source.held()).filter(|used| *used > limit)
    }

    /// Records that the memory watch ended the agent at `used` bytes.
    pub fn watch_ended(&mut self, used: u64) {
        let mut hit = Hit {
            limit: "memory".to_owned(),
            what: What::EndedByWatch,
            count: 1,
            max: self.kept.memory_watch,
            peak: Some(used),
            unit: super::Unit::Bytes,
            processes: Vec::new(),
        };
        let most = self.kept.cgroup.as_deref().map(processes::in_cgroup).unwrap_or_default();
        let most =
            most.into_iter().filter_map(|pid| Some((processes::held_memory(pid)?.anonymous, pid)));
        hit.processes.extend(most.max().and_then(|(_, pid)| processes::named(pid)));
        self.write_down(std::slice::from_ref(&hit));
        self.troubles.push(hit.told());
        // It ends once.
        self.kept.memory_watch = None;
    }

    /// Looks a last time, before the cgroup goes, and tells everything that there was, one sentence each.
    #[must_use]
    pub fn finish(mut self) -> Vec<String> {
        let now = Instant::now();
        let figures = match &self.opened {
            Some(opened) => opened.source.read(),
            None => self.kept.cgroup.as_deref().map(super::read::of_cgroup).unwrap_or_default(),
        };
        let mut hits = self.compare(now, figures);
        hits.extend(self.finder.rest());
        self.write_down(&hits);
        let mut told: Vec<_> = self.finder.total().into_iter().map(Hit::told).collect();
        told.append(&mut self.troubles);
        told
    }
}

/// Whether an agent did next to nothing `since`, by the processor time that it had used in the beginning and in the end.
fn rests(before: Option<u64>, after: Option<u64>, since: Duration) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    u128::from(after.saturating_sub(before)) * REST_SHARE < since.as_micros()
}

/// Tells when one of the event files of the cgroup changes (inotify(7)).
fn events(cgroup: &Path) -> Result<OwnedFd, Errno> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let events = inotify::init(flags)?;
    let mut watched = 0;
    for file in EVENTS {
        let path = cgroup.join(file);
        match inotify::add_watch(&events, &path, inotify::WatchFlags::MODIFY) {
            Ok(_) => watched += 1,
            // The controller is missing.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    if watched == 0 { Err(Errno::NOENT) } else { Ok(events) }
}

/// Tells when processes of the cgroup wait for memory.
fn pressure(cgroup: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(cgroup.join("memory.pressure"), flags, Mode::empty())?;
    rustix::io::write(&file, TRIGGER)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_next_to_no_processor_time_rests() {
        let second = Duration::from_secs(1);
        assert!(rests(Some(1000), Some(1000), second));
        assert!(rests(Some(1000), Some(10_900), second));
        assert!(!rests(Some(1000), Some(11_100), second));
        assert!(!rests(None, Some(0), second) && !rests(Some(0), None, second));
    }
}
