//! The watch, as its owner sees it: the process that is started, told of agents, and heard.

use super::NAME;
use super::protocol::{Agent, Order, Report};
use super::tree::AgentId;
use crate::host::uids::{self, UidRange};
use crate::launch::{LaunchError, start_own, uid_of_own};
use crate::limits::Kept;
use crate::sys::Cloned;
use crate::wire;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use std::collections::{BTreeMap, BTreeSet};

/// Reports that are heard in a turn.
const HEARD: usize = 256;

/// What came from the watch.
#[derive(Debug, Default)]
pub struct Heard {
    /// What it said, with the jail that it is about, where it is about one.
    pub reports: Vec<(Option<String>, Report)>,
    /// Whether it is gone.
    pub gone: bool,
}

/// A watch that runs; it ends with this process, and when this is dropped.
#[derive(Debug)]
pub struct Keeper {
    process: Child,
    link: OwnedFd,
    numbers: BTreeMap<String, AgentId>,
    last: AgentId,
}

impl Keeper {
    /// Starts it. What it cannot do it reports.
    ///
    /// The caller must have no second thread.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn start(range: UidRange, events_per_second: u64) -> Result<Self, LaunchError> {
        let uid = uid_of_own(uids::WATCH, range)?;
        let cannot = |errno| LaunchError::Call {
            verb: "make",
            object: "the socket of the watch".to_owned(),
            errno,
        };
        let (link, inner) = wire::pair().map_err(cannot)?;
        let words = [NAME.to_owned(), uid.to_string(), events_per_second.to_string()];
        let process = Child(start_own(&inner, &words)?);
        Ok(Self { process, link, numbers: BTreeMap::new(), last: 0 })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> rustix::process::Pid {
        self.process.0.pid
    }

    /// Has the jail called `jail` watched, which `kept` tells of.
    ///
    /// # Errors
    /// The kernel's answer: where its cgroup cannot be frozen, or the watch takes nothing more.
    pub fn add(&mut self, jail: &str, kept: &Kept) -> Result<(), Errno> {
        self.last = self.last.wrapping_add(1);
        let number = self.last;
        self.numbers.insert(jail.to_owned(), number);
        let freezer = kept.cgroup.as_ref().map(|cgroup| {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::open(cgroup.join("cgroup.freeze"), flags, Mode::empty())
        });
        let freezer = freezer.transpose()?;
        let agent = Agent {
            number,
            init: kept.init,
            uid: kept.uid,
            cgroup: kept.cgroup.clone(),
            cgroup_path: kept.cgroup_path.clone(),
            rules: kept.watch.clone(),
        };
        let along: Vec<BorrowedFd<'_>> = freezer.iter().map(|fd| fd.as_fd()).collect();
        self.tell(&Order::Add(Box::new(agent)), &along)
    }

    /// Its tmux server is `pid`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn server(&self, jail: &str, pid: i32) -> Result<(), Errno> {
        self.about(jail, |number| Order::Server(number, pid))
    }

    /// What its init has started itself, and the first process of its pane, by their numbers inside.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn own(&self, jail: &str, own: BTreeSet<i32>, pane: Option<i32>) -> Result<(), Errno> {
        self.about(jail, |number| Order::Own(number, own, pane))
    }

    /// The first processes of the panes of its session, by their numbers inside.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn panes(&self, jail: &str, panes: BTreeSet<i32>) -> Result<(), Errno> {
        self.about(jail, |number| Order::Panes(number, panes))
    }

    /// It has reached a limit.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn limit(&self, jail: &str, told: String) -> Result<(), Errno> {
        self.about(jail, |number| Order::Limit(number, told))
    }

    /// Somebody has frozen it, or let it go on.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn frozen(&self, jail: &str, is_frozen: bool) -> Result<(), Errno> {
        self.about(jail, |number| Order::Frozen(number, is_frozen))
    }

    /// Watches it no more. What there was to tell of it comes before this is done.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn forget(&self, jail: &str) -> Result<(), Errno> {
        self.about(jail, Order::Forget)
    }

    fn about(&self, jail: &str, order: impl FnOnce(AgentId) -> Order) -> Result<(), Errno> {
        match self.numbers.get(jail) {
            Some(number) => self.tell(&order(*number), &[]),
            None => Ok(()),
        }
    }

    fn tell(&self, order: &Order, along: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        match wire::hand(&self.link, order, along) {
            // Its end is heard of.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            told => told,
        }
    }

    /// Readable when it says something, or is gone.
    #[must_use]
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// What it has said.
    pub fn hear(&mut self) -> Heard {
        let mut heard = Heard::default();
        for _ in 0..HEARD {
            match wire::hear_now::<Report>(&self.link) {
                Ok(Some(report)) => {
                    let jail = of(&report).and_then(|number| self.jail(number));
                    if let Report::Forgotten(number) = report {
                        self.numbers.retain(|_, known| *known != number);
                    }
                    heard.reports.push((jail, report));
                }
                Err(Errno::AGAIN) => break,
                Ok(None) | Err(_) => {
                    heard.gone = true;
                    break;
                }
            }
        }
        heard
    }

    fn jail(&self, number: AgentId) -> Option<String> {
        let known = self.numbers.iter().find(|(_, known)| **known == number);
        known.map(|(jail, _)| jail.clone())
    }
}

/// The agent that a report is about.
fn of(report: &Report) -> Option<AgentId> {
    match report {
        Report::Found(agent, _)
        | Report::Acted(agent, _)
        | Report::Froze(agent)
        | Report::Stop(agent, _)
        | Report::AskPanes(agent)
        | Report::Forgotten(agent) => Some(*agent),
        Report::Sees(_) | Report::Trouble(_) | Report::Failed(_) => None,
    }
}

/// A child that ends when this is dropped.
#[derive(Debug)]
struct Child(Cloned);

impl Drop for Child {
    fn drop(&mut self) {
        let process = &self.0;
        let killed = rustix::process::pidfd_send_signal(&process.pidfd, Signal::KILL);
        // By its descriptor: whoever reaps all children may have been quicker, and its number may be another child's.
        let reaped = waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED);
        if let (Err(errno), _) | (_, Err(errno)) = (killed, reaped.map(|_| ())) {
            tracing::debug!(%errno, "the watch had ended already");
        }
    }
}
