//! The watch, as its owner sees it: the process that is started, told of agents, and heard.

use super::NAME;
use super::protocol::{Agent, Order, Report};
use super::state::Own;
use super::tree::AgentId;
use crate::config::Audit;
use crate::host::uids::{self, UidRange};
use crate::launch::{LaunchError, start_own, uid_of_own};
use crate::limits::Kept;
use crate::sys::Cloned;
use crate::wire;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Reports that are heard in a turn.
const HEARD: usize = 256;
/// Orders that wait for a watch that has much to do.
const MOST_UNSENT: usize = 8192;
/// How often it is asked whether it is there, and how long an answer may take.
const ASKED: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(30);

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
    /// What it has not taken yet.
    unsent: VecDeque<(Order, Option<OwnedFd>)>,
    /// When it was asked whether it is there, and when it was heard last.
    asked: Instant,
    heard: Instant,
    is_lost: bool,
}

impl Keeper {
    /// Starts it. What it cannot do it reports.
    ///
    /// The caller must have no second thread.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn start(
        range: UidRange,
        events_per_second: u64,
        audit: Audit,
    ) -> Result<Self, LaunchError> {
        let uid = uid_of_own(uids::WATCH, range)?;
        let cannot = |errno| LaunchError::Call {
            verb: "make",
            object: "the socket of the watch".to_owned(),
            errno,
        };
        let (link, inner) = wire::pair().map_err(cannot)?;
        let (uid, events) = (uid.to_string(), events_per_second.to_string());
        let words = [NAME.to_owned(), uid, events, audit.word().to_owned()];
        let process = Child(start_own(&inner, &words)?);
        let (numbers, unsent, now) = (BTreeMap::new(), VecDeque::new(), Instant::now());
        let (asked, heard) = (now, now);
        Ok(Self { process, link, numbers, last: 0, unsent, asked, heard, is_lost: false })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> rustix::process::Pid {
        self.process.0.pid
    }

    /// Has the jail called `jail` watched, which `kept` tells of; `is_frozen` where somebody wants it to stand still.
    ///
    /// # Errors
    /// The kernel's answer, where its cgroup cannot be frozen: it is not watched.
    pub fn add(&mut self, jail: &str, kept: &Kept, is_frozen: bool) -> Result<(), Errno> {
        let freezer = kept.cgroup.as_ref().map(|cgroup| {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::open(cgroup.join("cgroup.freeze"), flags, Mode::empty())
        });
        let freezer = freezer.transpose()?;
        self.last = self.last.wrapping_add(1);
        let number = self.last;
        self.numbers.insert(jail.to_owned(), number);
        let agent = Agent {
            number,
            init: kept.init,
            uid: kept.uid,
            cgroup: kept.cgroup.clone(),
            cgroup_path: kept.cgroup_path.clone(),
            rules: kept.watch.clone(),
            is_frozen,
        };
        self.tell(Order::Add(Box::new(agent)), freezer);
        Ok(())
    }

    /// Its tmux server is `pid`.
    pub fn server(&mut self, jail: &str, pid: i32) {
        self.about(jail, |number| Order::Server(number, pid));
    }

    /// What its init has started itself.
    pub fn own(&mut self, jail: &str, own: Own) {
        self.about(jail, |number| Order::Own(number, own));
    }

    /// The first processes of the panes of its session, by their numbers inside; nothing where tmux does not tell.
    pub fn panes(&mut self, jail: &str, panes: Option<Vec<i32>>) {
        let panes: Option<BTreeSet<i32>> = panes.map(|panes| panes.into_iter().collect());
        self.about(jail, |number| Order::Panes(number, panes));
    }

    /// It has reached a limit.
    pub fn limit(&mut self, jail: &str, told: String) {
        self.about(jail, |number| Order::Limit(number, told));
    }

    /// A job of this number was made for it.
    pub fn job(&mut self, jail: &str, number: u32) {
        self.about(jail, |agent| Order::Job(agent, number));
    }

    /// Somebody has frozen it, or let it go on.
    pub fn frozen(&mut self, jail: &str, is_frozen: bool) {
        self.about(jail, |number| Order::Frozen(number, is_frozen));
    }

    /// Watches it no more. What there was to tell of it comes before this is done.
    pub fn forget(&mut self, jail: &str) {
        self.about(jail, Order::Forget);
    }

    fn about(&mut self, jail: &str, order: impl FnOnce(AgentId) -> Order) {
        if let Some(number) = self.numbers.get(jail).copied() {
            self.tell(order(number), None);
        }
    }

    /// It is told as soon as it takes more; one that takes nothing for ever is lost.
    fn tell(&mut self, order: Order, along: Option<OwnedFd>) {
        self.unsent.push_back((order, along));
        self.is_lost |= self.unsent.len() > MOST_UNSENT;
        self.flush();
    }

    fn flush(&mut self) {
        while let Some((order, along)) = self.unsent.front() {
            let along: Vec<BorrowedFd<'_>> = along.iter().map(|fd| fd.as_fd()).collect();
            match wire::hand(&self.link, order, &along) {
                Err(Errno::AGAIN) => return,
                // Its end is heard of.
                Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => {}
                Err(errno) => {
                    tracing::warn!(%errno, "the watch cannot be told");
                    self.is_lost = true;
                    return;
                }
            }
            self.unsent.pop_front();
        }
    }

    /// What to wait for on [`Keeper::link`].
    #[must_use]
    pub fn wants(&self) -> PollFlags {
        if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// When it is to be asked whether it is there.
    #[must_use]
    pub fn patience(&self) -> Duration {
        ASKED.saturating_sub(self.asked.elapsed())
    }

    /// Asks whether it is there, where it is time to; whether it is lost.
    pub fn is_lost(&mut self) -> bool {
        if self.asked.elapsed() >= ASKED {
            self.asked = Instant::now();
            self.tell(Order::Ping, None);
        }
        self.is_lost |= self.heard.elapsed() >= SILENT;
        self.is_lost
    }

    /// Readable when it says something, or is gone.
    #[must_use]
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// What it has said.
    pub fn hear(&mut self) -> Heard {
        self.flush();
        let mut heard = Heard::default();
        for _ in 0..HEARD {
            match wire::hear_now::<Report>(&self.link) {
                Ok(Some(report)) => {
                    self.heard = Instant::now();
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
        | Report::Denied(agent, _)
        | Report::Stop(agent, _)
        | Report::Froze(agent, _)
        | Report::AskPanes(agent)
        | Report::Forgotten(agent) => Some(*agent),
        Report::Sees(_)
        | Report::Hears(_)
        | Report::Trouble(_)
        | Report::Failed(_)
        | Report::Pong => None,
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
        // Nobody waits: it may be held up in the kernel by what an agent does, and a child that stays is reaped by who reaps all, or
        // with this process.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let reaped = waitid(WaitId::PidFd(process.pidfd.as_fd()), options);
        if let (Err(errno), _) | (_, Err(errno)) = (killed, reaped.map(|_| ())) {
            tracing::debug!(%errno, "the watch had ended already");
        }
    }
}
