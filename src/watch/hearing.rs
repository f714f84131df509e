//! The watch's ear for the kernel's audit: what it refused to whom.
//!
//! Decides nothing: [`super::denied`] does. Where the kernel cannot be heard, that is told, and the watch goes on without.

use super::audit::Refused;
use super::denied::{self, Jail, Teller};
use super::proc;
use super::source::{self, Source, Turn};
use super::tree::AgentId;
use crate::config::Audit;
use crate::denial::Denial;
use crate::host;
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The ear, open or not.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    source: Option<Source>,
    teller: Teller,
    lost: u64,
    /// Records of a second, and when it began.
    second: Option<(Instant, usize)>,
    /// Until when nothing is heard: there were too many.
    deaf: Option<Instant>,
}

/// The most records that are read in a second: an agent can have as many made as it likes, and nobody else is to pay for them.
/// The kernel drops those that come meanwhile.
const MOST: usize = 10_000;
const SECOND: Duration = Duration::from_secs(1);

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Denials to be told, each with its agent.
    pub(super) denials: Vec<(AgentId, Denial)>,
    /// What is wrong, where something is from now on.
    pub(super) trouble: Option<String>,
}

impl Hearing {
    /// Opens it as the configuration says, with the rights of root; and says what is not heard, where something is not.
    pub(super) fn open(audit: Audit) -> (Self, Result<(), String>) {
        let told = match audit {
            Audit::Off => return (Self::default(), Err("the configuration says so".to_owned())),
            Audit::Read => is_on(),
            Audit::Enable => {
                source::enable().map_err(|errno| format!("cannot switch it on: {errno}"))
            }
        };
        match Source::open() {
            Ok(source) => (Self { source: Some(source), ..Self::default() }, told),
            Err(errno) => {
                (Self::default(), Err(format!("cannot listen to the kernel's audit: {errno}")))
            }
        }
    }

    /// Readable when the kernel tells something.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        let deaf = self.deaf.is_some_and(|until| Instant::now() < until);
        self.source.as_ref().filter(|_| !deaf).map(|source| source.as_fd())
    }

    /// How soon it is to be heard again where nothing comes.
    pub(super) fn patience(&self) -> Option<Duration> {
        let waits = self.source.as_ref().and_then(Source::patience);
        let due = self.teller.deadline().map(|due| due.saturating_duration_since(Instant::now()));
        let deaf = self.deaf.map(|until| until.saturating_duration_since(Instant::now()));
        // What waits for more records waits for them to be read.
        let waits = if deaf.is_some() { None } else { waits };
        waits.into_iter().chain(due).chain(deaf).min()
    }

    /// Hears nothing for the rest of a second that had too many records.
    fn count(&mut self, records: usize, now: Instant) {
        let (began, count) =
            self.second.filter(|(began, _)| now < *began + SECOND).unwrap_or((now, 0));
        self.second = Some((began, count + records));
        self.deaf = (count + records > MOST).then(|| began + SECOND);
    }

    /// What the kernel has told of `agents`, and what there is to tell again.
    pub(super) fn hear(&mut self, agents: &[(AgentId, Jail)]) -> Came {
        let mut came = Came::default();
        let now = Instant::now();
        self.deaf = self.deaf.filter(|until| now < *until);
        let hears = self.deaf.is_none();
        let Some(source) = self.source.as_mut().filter(|_| hears) else {
            came.denials = self.again(now);
            return came;
        };
        let turn = source.read();
        let lost = source.lost();
        match turn {
            Ok(Turn { refused, messages }) => {
                self.count(messages, now);
                came.denials = self.denials(&refused, agents, now);
            }
            Err(errno) => {
                self.source = None;
                came.trouble = Some(format!("the kernel's audit is not heard any more: {errno}"));
            }
        }
        if lost > self.lost && self.lost == 0 {
            came.trouble =
                Some("the kernel has dropped audit records: there were too many".to_owned());
        }
        self.lost = lost;
        came.denials.extend(self.again(now));
        came
    }

    /// Those of `refused` that are to be told now.
    fn denials(
        &mut self,
        refused: &[Refused],
        agents: &[(AgentId, Jail)],
        now: Instant,
    ) -> Vec<(AgentId, Denial)> {
        let jails = agents.iter().map(|(_, jail)| jail);
        // Who is refused much is looked up once.
        let mut places: BTreeMap<i32, Option<String>> = BTreeMap::new();
        let mut denials = Vec::new();
        for one in refused {
            let by = one.by.as_ref().map(|by| by.pid);
            let place = by.map(|pid| &*places.entry(pid).or_insert_with(|| proc::cgroup_path(pid)));
            let whose = denied::whose(one, jails.clone(), place.and_then(Option::as_deref));
            let Some((agent, jail)) = whose.and_then(|index| agents.get(index)) else { continue };
            let denial = denied::denial(one, jail.init);
            let told = denial.and_then(|denial| self.teller.add(&agent.to_string(), denial, now));
            denials.extend(told.map(|denial| (*agent, denial)));
        }
        denials
    }

    /// What happened again, and is due.
    fn again(&mut self, now: Instant) -> Vec<(AgentId, Denial)> {
        let due = self.teller.due(now).into_iter();
        due.filter_map(|(agent, denial)| Some((agent.parse().ok()?, denial))).collect()
    }

    /// Forgets an agent: what is still to be told of it, and how much never was.
    pub(super) fn forget(&mut self, agent: AgentId) -> (Vec<Denial>, u64) {
        self.teller.forget(&agent.to_string())
    }
}

/// Whether the kernel audits: what Landlock refuses is told only then.
fn is_on() -> Result<(), String> {
    let why = match host::audit::probe() {
        host::Audit::Known(status) if status.enabled => return Ok(()),
        host::Audit::Known(_) => "auditing is off: what Landlock refuses is not told".to_owned(),
        host::Audit::Untold => format!("cannot ask whether the kernel audits: {}", Errno::PERM),
        host::Audit::Missing => "this kernel has no audit, or was started without it".to_owned(),
    };
    Err(why)
}
