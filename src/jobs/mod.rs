//! Jobs and notes: what an agent has declared to run beside its session, each in a cgroup of its own below the agent's, and texts
//! that are typed into its session later.
//!
//! [`ledger`] decides. A job's processes are in it because they went there themselves: who starts one is handed the descriptor that
//! lets in ([`entrance`]), and lets in processes of this agent alone. What is in a job is counted apart and ends with its lease,
//! whatever it has become.
//!
//! Does not protect against: an agent that declares everything a job, within what its profile allows.

#![forbid(unsafe_code)]

pub mod enter;
mod entrance;
pub mod ledger;

use crate::alerts::event::Kind;
use crate::control::agent::{Answer, Request, ShownJob};
use crate::host::text;
use crate::limits::Kept;
use crate::limits::journal::now;
use ledger::{Job, Ledger, Refusal, Rules};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the folders of jobs are called, before their number.
pub const FOLDER: &str = "job.";

/// The cgroup of the job `number` of the agent whose cgroup is `cgroup`.
#[must_use]
pub fn folder(cgroup: &Path, number: u32) -> PathBuf {
    cgroup.join(format!("{FOLDER}{number}"))
}

/// How often it is looked whether a job has ended.
const LOOK: Duration = Duration::from_secs(1);
/// How long one may take until its first process is there.
const EMPTY: u64 = 10;

/// What is to be told of a job or a note: the event, and the same in a sentence.
pub type Told = (Kind, String);

/// The jobs and notes of one agent.
#[derive(Debug)]
pub struct Jobs {
    rules: Rules,
    /// The agent's cgroup.
    cgroup: Option<PathBuf>,
    /// In whose name the ways into jobs are opened.
    opener: Option<u32>,
    agent: String,
    profile: String,
    ledger: Ledger,
    /// Those in which there was a process.
    begun: std::collections::BTreeSet<u32>,
    next: Instant,
    is_changed: bool,
    told: Vec<Told>,
    made: Vec<u32>,
}

impl Jobs {
    /// Of the jail that `kept` tells of; an earlier owner knew of those in `ledger`.
    #[must_use]
    pub fn new(kept: &Kept, ledger: Option<Ledger>) -> Self {
        Self {
            rules: kept.jobs.clone(),
            cgroup: kept.cgroup.clone(),
            opener: kept.jobs_opener,
            agent: kept.agent.clone(),
            profile: kept.profile.clone(),
            ledger: ledger.unwrap_or_default(),
            begun: std::collections::BTreeSet::new(),
            next: Instant::now(),
            is_changed: false,
            told: Vec::new(),
            made: Vec::new(),
        }
    }

    /// What the next owner must know, where that has changed.
    pub fn take_changed(&mut self) -> Option<Ledger> {
        std::mem::take(&mut self.is_changed).then(|| self.ledger.clone())
    }

    /// What there is to tell since the last time.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Those that were made since the last time, by their numbers.
    pub fn take_made(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.made)
    }

    /// Does what the agent, or somebody outside, asks for. What comes along lets processes into a job.
    pub fn answer(&mut self, request: Request) -> (Answer, Option<OwnedFd>) {
        let refusal = |(cause, hint): Refusal| (Answer::failed(cause, hint), None);
        match request {
            Request::WhoAmI => {
                let (agent, profile) = (self.agent.clone(), self.profile.clone());
                (Answer::Me { agent, profile }, None)
            }
            Request::StartJob { words, lease } => match self.start(words, lease) {
                Ok((job, door)) => (Answer::Job(job), Some(door)),
                Err(refused) => refusal(refused),
            },
            Request::Jobs => (Answer::Jobs(self.shown()), None),
            Request::StopJob { number } => match self.stop(number) {
                Ok(told) => (Answer::Done(told), None),
                Err(refused) => refusal(refused),
            },
            Request::Schedule { after, text } => {
                match self.ledger.schedule(&self.rules, now(), after, &text) {
                    Ok(number) => {
                        self.is_changed = true;
                        self.told.push((Kind::Scheduled, format!("note {number} was scheduled")));
                        let notes = self.ledger.shown_notes().into_iter();
                        let note = notes.into_iter().find(|note| note.number == number);
                        (note.map_or_else(|| unknown("note", number), Answer::Note), None)
                    }
                    Err(refused) => refusal(refused),
                }
            }
            Request::Notes => (Answer::Notes(self.ledger.shown_notes()), None),
            Request::Cancel { number } => match self.ledger.notes.remove(&number) {
                Some(_) => {
                    self.is_changed = true;
                    (Answer::Done(format!("note {number} is not typed")), None)
                }
                None => (unknown("note", number), None),
            },
        }
    }

    fn start(
        &mut self,
        words: Vec<String>,
        lease: Option<u64>,
    ) -> Result<(ShownJob, OwnedFd), Refusal> {
        let number = self.ledger.start(&self.rules, now(), words, lease)?;
        match self.make(number) {
            Ok(door) => {
                self.is_changed = true;
                self.made.push(number);
                let job = self.ledger.jobs.get(&number).cloned();
                let job =
                    job.ok_or_else(|| (format!("there is no job {number}"), String::new()))?;
                let words = job.words.join(" ").escape_debug().to_string();
                self.told.push((Kind::JobStarted, format!("job {number} was started: {words}")));
                Ok((shown(number, &job, self.folder(number).as_deref()), door))
            }
            Err(errno) => {
                self.ledger.jobs.remove(&number);
                let hint = "jobs need a cgroup: cellblock doctor tells what is missing";
                Err((format!("cannot make the cgroup of a job: {errno}"), hint.to_owned()))
            }
        }
    }

    fn folder(&self, number: u32) -> Option<PathBuf> {
        Some(folder(self.cgroup.as_ref()?, number))
    }

    /// Makes the cgroup; what lets in.
    fn make(&self, number: u32) -> Result<OwnedFd, Errno> {
        let folder = self.folder(number).ok_or(Errno::NOENT)?;
        entrance::make(&folder, self.opener.ok_or(Errno::PERM)?)
    }

    /// The jobs, as they are now.
    #[must_use]
    pub fn shown(&self) -> Vec<ShownJob> {
        let jobs = self.ledger.jobs.iter();
        jobs.map(|(number, job)| shown(*number, job, self.folder(*number).as_deref())).collect()
    }

    /// Ends a job; what there is to say about that.
    ///
    /// # Errors
    /// Why it is not ended.
    pub fn stop(&mut self, number: u32) -> Result<String, Refusal> {
        if !self.ledger.jobs.contains_key(&number) {
            let hint = "cellblock agent job ls shows those that there are";
            return Err((format!("there is no job {number}"), hint.to_owned()));
        }
        self.end(number)
            .map_err(|errno| (format!("cannot end job {number}: {errno}"), String::new()))?;
        Ok(format!("job {number} was ended"))
    }

    fn end(&mut self, number: u32) -> Result<(), Errno> {
        let Some(folder) = self.folder(number) else { return Ok(()) };
        // The lease is over from now on, whatever takes its time to end.
        if let Some(job) = self.ledger.jobs.get_mut(&number) {
            job.until = job.until.min(now());
            self.is_changed = true;
        }
        self.next = Instant::now();
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::open(folder.join("cgroup.kill"), flags, Mode::empty()) {
            Ok(kill) => rustix::io::write(&kill, b"1").map(|_| ()),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// How long to wait, if nothing else comes.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        let looks = !self.ledger.jobs.is_empty() || !self.ledger.notes.is_empty();
        looks.then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// Ends what has no lease any more, forgets what has ended; the texts that are to be typed now.
    pub fn turn(&mut self) -> Vec<(u32, String)> {
        if self.patience().is_none_or(|left| !left.is_zero()) {
            return Vec::new();
        }
        self.next = Instant::now() + LOOK;
        let time = now();
        for number in self.ledger.over(time) {
            if let Err(errno) = self.end(number) {
                tracing::warn!(%errno, number, "a job does not end");
            }
        }
        self.next = Instant::now() + LOOK;
        let numbers: Vec<u32> = self.ledger.jobs.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.settle(number, time));
        let due = self.ledger.take_due(time);
        self.is_changed |= !due.is_empty();
        let typed = |(number, note)| (number, ledger::typed(number, &note, time));
        due.into_iter().map(typed).collect()
    }

    /// One that nothing is in any more has ended.
    fn settle(&mut self, number: u32, time: u64) {
        let (Some(folder), Some(job)) = (self.folder(number), self.ledger.jobs.get(&number)) else {
            return;
        };
        if is_populated(&folder) {
            self.begun.insert(number);
            return;
        }
        let is_new = !self.begun.contains(&number) && time < job.since.saturating_add(EMPTY);
        if is_new && job.until > time {
            return;
        }
        match rustix::fs::rmdir(&folder) {
            Ok(()) | Err(Errno::NOENT) => {
                let is_over = job.until <= time;
                let how = if is_over { "was ended: its time was over" } else { "has ended" };
                self.told.push((Kind::JobEnded, format!("job {number} {how}")));
                self.ledger.jobs.remove(&number);
                self.begun.remove(&number);
                self.is_changed = true;
            }
            // Somebody is still on the way out.
            Err(errno) => tracing::debug!(%errno, number, "a job's cgroup stays for now"),
        }
    }
}

fn unknown(what: &str, number: u32) -> Answer {
    Answer::failed(format!("there is no {what} {number}"), "")
}

fn is_populated(folder: &Path) -> bool {
    let events = text::read(folder.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

fn shown(number: u32, job: &Job, folder: Option<&Path>) -> ShownJob {
    let read = |name| folder.and_then(|folder| text::read(folder.join(name)).ok());
    let processes = read("cgroup.procs").map_or(0, |text| text.lines().count() as u64);
    let cpu = read("cpu.stat").and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())
    });
    let Job { words, since, until } = job.clone();
    ShownJob { number, words, since, until, processes, cpu: cpu.unwrap_or(0) }
}
