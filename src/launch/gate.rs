//! The process that carries the agent's connections, as its keeper sees it.

use super::api;
use super::error::{LaunchError, cannot};
use super::helper;
use super::openings::{self, Openings};
use super::{orders, session_of};
use crate::egress::rules::Rules;
use crate::gate::protocol::{self, Api, Order, Orders, Report, Start};
use crate::gate::{NAME, WITH_LANDLOCK};
use crate::plan::{EgressPlan, Mode, Plan};
use crate::sys::Cloned;
use crate::wire::{Link, pair};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// How long the gate may take to begin.
const LONG: Duration = Duration::from_secs(10);

/// What is kept of what it says while something else is waited for.
const MOST_UNREAD: usize = 1000;

/// How long it may take for anything else: the agent's terminal waits meanwhile.
const SHORT: Duration = Duration::from_secs(3);

/// What must be known to take a gate over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateKept {
    openings: Openings,
}

/// A gate as it was in the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateBorn {
    /// What must be known to take it over.
    pub kept: GateKept,
    /// Whether the jail has a network in which it listens.
    pub listens: bool,
    /// The rules of the plan.
    pub rules: Rules,
}

/// A gate that runs; it ends with its keeper, and when this is dropped.
#[derive(Debug)]
pub struct Gate {
    /// None where somebody else is its parent.
    process: Option<Child>,
    /// The jail whose gate takes its orders from whoever of root comes to its socket; none where they go by this one.
    session: Option<String>,
    control: Link,
    /// Of whose network it holds the sockets.
    init: Option<i32>,
    openings: Openings,
    /// What it is to know of the service by a socket, until it is told.
    api: Option<Api>,
    /// What it said while something else was waited for.
    unread: Vec<Report>,
    /// Whether it did not do what it was told: which rules hold is not known then.
    lost: bool,
}

impl Gate {
    /// Starts a gate, which gives up its rights and waits for its sockets.
    pub(super) fn start(plan: &Plan, program: BorrowedFd<'_>) -> Result<Self, LaunchError> {
        let egress =
            plan.egress.as_ref().ok_or_else(|| cannot("find", "the gate's rules")(Errno::INVAL))?;
        let service = egress.api.as_ref().map(api::start).transpose()?;
        let (control, inner) = pair().map_err(cannot("make", "the gate's socket"))?;
        // A kernel without Landlock: the plan stands only where the profile does without it.
        let landlock = if plan.landlock.abi > 0 { WITH_LANDLOCK } else { "-" };
        let numbers = [egress.gate.uid, egress.connections].map(|number| number.to_string());
        let words = [NAME.to_owned()].into_iter().chain(numbers).chain([landlock.to_owned()]);
        let words: Vec<String> = words.collect();
        let process = helper::start(program, &inner, &words, &[])?;
        let session = match plan.mode {
            Mode::Run => Some(session_of(&plan.agent)),
            Mode::Exec => None,
        };
        Ok(Self {
            process: Some(Child(process)),
            session,
            api: service,
            ..Self::over(control.into())
        })
    }

    fn over(control: Link) -> Self {
        Self {
            process: None,
            session: None,
            control,
            init: None,
            openings: Openings::default(),
            api: None,
            unread: Vec::new(),
            lost: false,
        }
    }

    /// The gate of the session `jail`, which somebody else holds, on a line of its own; PID 1 of the jail is `init`.
    ///
    /// # Errors
    /// [`LaunchError::Call`] where it is not reached.
    pub fn adopt(jail: &str, init: i32, kept: &GateKept) -> Result<Self, LaunchError> {
        let line = orders::reach(jail)?;
        Ok(Self { init: Some(init), openings: kept.openings.clone(), ..Self::over(line.into()) })
    }

    /// What must be known to take it over.
    #[must_use]
    pub fn kept(&self) -> GateKept {
        GateKept { openings: self.openings.clone() }
    }

    /// What holds the gate of a session, and nothing else: it ends once nobody has this, and with the first word on it.
    #[must_use]
    pub fn into_hold(self) -> Link {
        let Self { process, control, .. } = self;
        std::mem::forget(process);
        control
    }

    /// Opens it for the jail whose init is `init`.
    /// `listeners` are those of the service by a socket.
    pub(super) fn open(
        &mut self,
        init: i32,
        egress: &EgressPlan,
        listeners: Vec<OwnedFd>,
    ) -> Result<(), LaunchError> {
        self.init = Some(init);
        // First of all: what comes after is the jail's.
        let mut sockets: Vec<OwnedFd> =
            self.session.as_deref().map(orders::open).transpose()?.into_iter().collect();
        let orders = if sockets.is_empty() { Orders::Here } else { Orders::ByListener };
        sockets.extend(listeners);
        if egress.listens {
            sockets.extend(openings::open(init, &egress.rules, &mut self.openings)?);
        }
        let start = Start {
            orders,
            rules: egress.rules.clone(),
            connections: egress.connections,
            rate: egress.rate,
            bytes: egress.bytes,
            proxy: egress.proxy.clone(),
            api: self.api.take(),
        };
        self.order(&Order::Start(Box::new(start)), &sockets, LONG)
    }

    /// Has it work by `rules` from now on; returns when they hold.
    ///
    /// # Errors
    /// [`LaunchError`]: the rules are those of before, or the gate is gone.
    pub fn change(&mut self, rules: &Rules) -> Result<(), LaunchError> {
        let init = self.init.ok_or_else(|| cannot("find", "the gate's jail")(Errno::SRCH))?;
        let sockets = openings::open(init, rules, &mut self.openings);
        // Whoever is still in the jail's network does nothing more for it.
        self.lost |= matches!(sockets, Err(LaunchError::Call { verb: openings::LEAVE, .. }));
        let sockets = sockets?;
        self.order(&Order::Rules(rules.clone()), &sockets, SHORT)
    }

    /// Asks what it has counted; a report brings it ([`Gate::hear`]).
    ///
    /// # Errors
    /// [`LaunchError`] where it cannot be told.
    pub fn ask_for_counts(&self) -> Result<(), LaunchError> {
        let told = protocol::command(&self.control, &Order::Count, &[]);
        told.map_err(cannot("tell", "the gate"))
    }

    fn order(
        &mut self,
        order: &Order,
        sockets: &[OwnedFd],
        patience: Duration,
    ) -> Result<(), LaunchError> {
        let told = protocol::command(&self.control, order, sockets);
        let done = match told {
            // It may have said why before it ended.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => {
                self.wait_for(patience, |report| matches!(report, Report::Ready))
            }
            Err(errno) => Err(cannot("tell", "the gate")(errno)),
        };
        self.lost |= done.is_err();
        done
    }

    /// Whether it did not do what it was told, and must be given up.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    fn wait_for(
        &mut self,
        patience: Duration,
        mut wanted: impl FnMut(&Report) -> bool,
    ) -> Result<(), LaunchError> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut waited = [PollFd::new(&self.control, PollFlags::IN)];
            let timeout = Timespec::try_from(left).ok();
            let came = match poll(&mut waited, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                other => other.map_err(cannot("wait for", "the gate"))?,
            };
            // One that says much else is not waited for any longer than one that is silent.
            if came == 0 || left.is_zero() {
                return Err(cannot("wait for", "the gate")(Errno::TIMEDOUT));
            }
            match protocol::hear(&self.control, true) {
                Ok(Some(report)) if wanted(&report) => return Ok(()),
                Ok(Some(Report::Failed { cause })) => return Err(LaunchError::Unusable(cause)),
                // What is too much is lost, as where nobody hears it in time.
                Ok(Some(report)) if self.unread.len() < MOST_UNREAD => self.unread.push(report),
                Ok(Some(_)) => {}
                Ok(None) | Err(Errno::CONNRESET) => {
                    return Err(LaunchError::Unusable("the gate ended".to_owned()));
                }
                Err(errno) => return Err(cannot("understand", "what the gate says")(errno)),
            }
        }
    }

    /// Readable when the gate says something, or has ended.
    #[must_use]
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// What it has said; nothing more for now where that is `None`.
    ///
    /// # Errors
    /// [`LaunchError`] where it has ended, or says what is no report.
    pub fn hear(&mut self) -> Result<Option<Report>, LaunchError> {
        if !self.unread.is_empty() {
            return Ok(Some(self.unread.remove(0)));
        }
        match protocol::hear(&self.control, false) {
            Ok(Some(Report::Failed { cause })) => Err(LaunchError::Unusable(cause)),
            Ok(Some(report)) => Ok(Some(report)),
            Err(Errno::AGAIN) => Ok(None),
            Ok(None) | Err(Errno::CONNRESET) => {
                Err(LaunchError::Unusable("the gate ended".to_owned()))
            }
            Err(errno) => Err(cannot("understand", "what the gate says")(errno)),
        }
    }
}

/// A child that ends when this is dropped.
#[derive(Debug)]
struct Child(Cloned);

impl Drop for Child {
    fn drop(&mut self) {
        let process = &self.0;
        let killed = rustix::process::pidfd_send_signal(&process.pidfd, Signal::KILL);
        let reaped = rustix::process::waitpid(Some(process.pid), WaitOptions::empty());
        if let (Err(errno), _) | (_, Err(errno)) = (killed, reaped.map(|_| ())) {
            tracing::debug!(%errno, "the gate had ended already");
        }
    }
}
