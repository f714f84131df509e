//! Records put together to events.

use super::record::{Body, Caller, Object, Record, Serial};
use super::{Refused, What};
use std::collections::{BTreeMap, VecDeque};

/// The most events that wait for more records: the kernel writes those of one event in a moment.
const EVENTS: usize = 64;

/// The most domains that are remembered; the oldest are forgotten first. Each jail has one.
const DOMAINS: usize = 4096;

/// Puts records together.
#[derive(Debug, Default)]
pub struct Joiner {
    waiting: BTreeMap<Serial, Waiting>,
    domains: Domains,
    /// What is about to be told.
    ready: Vec<Refused>,
    /// How many turns there were.
    turn: u64,
}

/// What Landlock refused in one event, until the event is whole.
#[derive(Debug)]
struct Waiting {
    accesses: Vec<(u64, Vec<String>, Object)>,
    by: Option<Caller>,
    since: u64,
}

/// The most refusals of one event: the last system call of it decides, and Landlock refuses once in each.
const ACCESSES: usize = 8;

#[derive(Debug, Default)]
struct Domains {
    creators: BTreeMap<u64, Caller>,
    order: VecDeque<u64>,
}

impl Domains {
    fn add(&mut self, domain: u64, creator: Caller) {
        if self.creators.insert(domain, creator).is_some() {
            return;
        }
        self.order.push_back(domain);
        if self.order.len() > DOMAINS
            && let Some(oldest) = self.order.pop_front()
        {
            self.creators.remove(&oldest);
        }
    }
}

impl Joiner {
    /// Takes one record.
    pub fn take(&mut self, Record { serial, body }: Record) {
        match body {
            Body::Seccomp { by, arch, number } => self.ready.push(Refused {
                time: serial.seconds,
                by: Some(by),
                what: What::Call { arch, number },
            }),
            Body::Access { domain, blockers, object } => {
                let turn = self.turn;
                let new = || Waiting { accesses: Vec::new(), by: None, since: turn };
                let waiting = self.waiting.entry(serial).or_insert_with(new);
                if waiting.accesses.len() < ACCESSES {
                    waiting.accesses.push((domain, blockers, object));
                }
                self.bound();
            }
            Body::Domain { domain, creator } => self.domains.add(domain, creator),
            // Kept: what it refused may still wait.
            Body::DomainEnd { .. } => {}
            Body::Syscall { by } => {
                if let Some(waiting) = self.waiting.get_mut(&serial) {
                    waiting.by = Some(by);
                    self.finish(serial);
                }
            }
            Body::End => self.finish(serial),
        }
    }

    /// Ends a turn: gives what is whole, and what has waited for a whole turn. The kernel writes the records of one event in a
    /// moment; of a process that is older than auditing there is no more than one.
    #[must_use]
    pub fn turn(&mut self) -> Vec<Refused> {
        let old: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.since < self.turn)
            .map(|(serial, _)| *serial)
            .collect();
        old.into_iter().for_each(|serial| self.finish(serial));
        self.turn += 1;
        std::mem::take(&mut self.ready)
    }

    /// Whether something waits, so that another turn is due soon even where nothing comes.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What has waited longest is told as it is.
    fn bound(&mut self) {
        while self.waiting.len() > EVENTS
            && let Some(oldest) = self.waiting.keys().next().copied()
        {
            self.finish(oldest);
        }
    }

    fn finish(&mut self, serial: Serial) {
        let Some(Waiting { accesses, by, .. }) = self.waiting.remove(&serial) else { return };
        for (domain, blockers, object) in accesses {
            let creator = self.domains.creators.get(&domain).cloned();
            let what = What::Access { domain, creator, blockers, object };
            self.ready.push(Refused { time: serial.seconds, by: by.clone(), what });
        }
    }
}
