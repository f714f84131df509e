//! The watch's ear for the kernel's audit: what it refused to whom.
//!
//! Decides nothing: [`super::denied`] does. Where the kernel cannot be heard, that is told, and the watch goes on without.

use super::denied::{self, Jail, Teller};
use super::proc;
use super::source::{self, Source};
use super::tree::AgentId;
use crate::config::Audit;
use crate::denial::Denial;
use crate::host;
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// The ear, open or not.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    source: Option<Source>,
    teller: Teller,
    lost: u64,
}

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
        self.source.as_ref().map(|source| source.as_fd())
    }

    /// How soon it is to be heard again where nothing comes.
    pub(super) fn patience(&self) -> Option<Duration> {
        let waits = self.source.as_ref().and_then(Source::patience);
        let due = self.teller.deadline().map(|due| due.saturating_duration_since(Instant::now()));
        waits.into_iter().chain(due).min()
    }

    /// What the kernel has told of `agents`, and what there is to tell again.
    pub(super) fn hear(&mut self, agents: &[(AgentId, Jail)]) -> Came {
        let mut came = Came::default();
        let now = Instant::now();
        let Some(source) = &mut self.source else { return came };
        let refused = source.read();
        let lost = source.lost();
        match refused {
            Ok(refused) => {
                let jails = agents.iter().map(|(_, jail)| jail);
                for one in &refused {
                    let by = one.by.as_ref().map(|by| by.pid);
                    let cgroup = by.and_then(proc::cgroup_path);
                    let whose = denied::whose(one, jails.clone(), cgroup.as_deref());
                    let Some((agent, jail)) = whose.and_then(|index| agents.get(index)) else {
                        continue;
                    };
                    let denial = denied::denial(one, jail.init);
                    let told = denial.and_then(|it| self.teller.add(&agent.to_string(), it, now));
                    came.denials.extend(told.map(|denial| (*agent, denial)));
                }
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
        let due = self.teller.due(now).into_iter();
        came.denials.extend(due.filter_map(|(agent, denial)| Some((agent.parse().ok()?, denial))));
        came
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
