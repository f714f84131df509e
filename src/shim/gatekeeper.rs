//! Keeps the gate of one jail: writes down what it refuses, and changes its rules when the admin says so.

use super::asker;
use super::protocol::GateMemory;
use crate::alerts::event::{Event, Kind, Label};
use crate::control::network::{self, Answer, Request, Shown};
use crate::denial::{Denial, Process, Refusal};
use crate::egress::rules::{Change, Rules};
use crate::gate::protocol::{Counts, Refused, Report};
use crate::launch::{Gate, GateBorn, LaunchError};
use crate::limits::Kept;
use crate::limits::journal::Journal;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use serde::Serialize;
use std::time::{Duration, Instant};

/// The most refusals in a second for which the process is looked for.
const LOOKS: u32 = 2;

/// The most of what the gate says that is heard in one turn: the agent's terminal waits meanwhile.
const HEARD: u32 = 8;

/// The most of it that is heard at the end.
const HEARD_LAST: u32 = 1000;

/// How long the gate may take to say what it counts before it is asked again: what it says can be lost.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// The gate, and who may change it.
#[derive(Debug)]
pub(super) struct Gatekeeper {
    journal: Journal,
    kept: Kept,
    /// None once it has ended.
    gate: Option<Gate>,
    orders: Option<network::Listener>,
    /// Whether the jail has a network in which the gate listens.
    listens: bool,
    /// The rules of the plan, and those that hold now.
    planned: Rules,
    rules: Rules,
    looks: crate::egress::rate::Bucket,
    refused: u64,
    told: Vec<String>,
    changed: bool,
    /// Who asks for something: one at a time.
    asker: Option<Asker>,
    /// What the gate counted when it said so last, and since when it is asked for it anew.
    counted: Option<Counts>,
    asked: Option<Instant>,
}

/// Who asks for something, since when, and how far that is.
#[derive(Debug)]
struct Asker {
    socket: OwnedFd,
    since: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// They have not said yet what they want.
    Unheard,
    /// The gate is to say what it counts.
    Counts,
    /// This is the answer.
    Answered(Answer),
}

/// How long they may take to say what they want, and the gate to say what it counts.
const LATE: Duration = Duration::from_secs(3);

/// A refusal, as it is written down: with what only the gate knows.
#[derive(Debug, Serialize)]
struct Written<'r> {
    to: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    reason: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    allow: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    #[serde(flatten)]
    denial: Denial,
}

impl Gatekeeper {
    /// Takes over `gate`, which works by `rules` where the jail has a network in which it `listens`.
    ///
    /// # Errors
    /// [`LaunchError`] where no orders can be taken.
    pub(super) fn new(
        journal: Journal,
        kept: Kept,
        gate: Gate,
        listens: bool,
        rules: &Rules,
    ) -> Result<Self, LaunchError> {
        Self::over(journal, kept, Some(gate), (listens, rules))
    }

    /// Takes over the gate of the session of that `journal`, as it was `born`, where an earlier owner with that `memory` left off. One
    /// that is not reached is given up.
    ///
    /// # Errors
    /// [`LaunchError`] where no orders can be taken.
    pub(super) fn adopt(
        journal: Journal,
        kept: &Kept,
        born: &GateBorn,
        memory: Option<&GateMemory>,
    ) -> Result<Self, LaunchError> {
        let known = memory.map_or(&born.kept, |memory| &memory.kept);
        let reached = Gate::adopt(journal.jail(), kept.init, known);
        let (gate, lost) = match reached {
            Ok(gate) => (Some(gate), None),
            Err(error) => (None, Some(error)),
        };
        let mut keeper = Self::over(journal, kept.clone(), gate, (born.listens, &born.rules))?;
        if let Some(memory) = memory {
            keeper.rules = memory.rules.clone();
        }
        if let Some(error) = lost {
            keeper.lose(&error.to_string());
        }
        Ok(keeper)
    }

    fn over(
        journal: Journal,
        kept: Kept,
        gate: Option<Gate>,
        (listens, rules): (bool, &Rules),
    ) -> Result<Self, LaunchError> {
        let orders = network::Listener::new(journal.jail())?;
        Ok(Self {
            journal,
            kept,
            gate,
            orders: Some(orders),
            listens,
            planned: rules.clone(),
            rules: rules.clone(),
            looks: crate::egress::rate::Bucket::new(LOOKS, Instant::now()),
            refused: 0,
            told: Vec::new(),
            changed: false,
            asker: None,
            counted: None,
            asked: None,
        })
    }

    /// What the next owner must know.
    pub(super) fn memory(&self) -> Option<GateMemory> {
        let gate = self.gate.as_ref()?;
        Some(GateMemory { kept: gate.kept(), rules: self.rules.clone() })
    }

    /// Whether that has changed since it was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether it has given the gate up.
    pub(super) fn is_lost(&self) -> bool {
        self.gate.is_none()
    }

    /// The network of the jail, with what the gate counted when it said so last. Nothing where there is no gate any more, or none
    /// that has said anything yet.
    pub(super) fn shown(&self) -> Option<Shown> {
        let counts = self.counted.filter(|_| self.gate.is_some())?;
        Some(Shown { rules: self.rules.clone(), counts })
    }

    /// What the gate counted when it said so last, and has it say it anew: it is not waited for.
    pub(super) fn counted(&mut self) -> Option<Counts> {
        self.ask();
        self.counted
    }

    /// Has the gate say anew what it counts, and gives whether it is about to.
    pub(super) fn ask(&mut self) -> bool {
        let Some(gate) = &self.gate else { return false };
        if self.asked.is_some_and(|since| since.elapsed() < ASKED_AGAIN) {
            return true;
        }
        if let Err(error) = gate.ask_for_counts() {
            tracing::debug!(%error, agent = self.kept.agent, "what the gate counts is not known");
            return false;
        }
        self.asked = Some(Instant::now());
        true
    }

    /// Whether the gate was asked for what it counts, and has not said it yet.
    pub(super) fn is_asked(&self) -> bool {
        self.gate.is_some() && self.asked.is_some()
    }

    /// What to wait for.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let gate = self.gate.as_ref().map(Gate::control);
        let next = match &self.asker {
            None => self.orders.as_ref().map(|orders| orders.as_fd()),
            Some(Asker { socket, stage: Stage::Unheard, .. }) => Some(socket.as_fd()),
            Some(Asker { stage: Stage::Counts | Stage::Answered(_), .. }) => None,
        };
        gate.into_iter().chain(next).map(|fd| (fd, PollFlags::IN)).collect()
    }

    /// Whether somebody waits for something, who may be late by now.
    pub(super) fn has_asker(&self) -> bool {
        self.asker.is_some()
    }

    /// Does what there is to do. Whoever has asked for something is answered by [`Gatekeeper::answer`]: before that, a change can be
    /// written down.
    pub(super) fn turn(&mut self) {
        self.hear(HEARD);
        if self.gate.as_ref().is_some_and(Gate::is_lost) {
            self.lose("it did not do what it was told");
        }
        if self.asker.is_none() {
            let asked = self.orders.as_ref().and_then(network::Listener::accept);
            let since = Instant::now();
            self.asker = asked.map(|socket| Asker { socket, since, stage: Stage::Unheard });
        }
        if let Some(Asker { socket, since, stage }) = self.asker.take() {
            let stage = self.next_stage(stage, &socket, since.elapsed() >= LATE);
            self.asker = Some(Asker { socket, since, stage });
        }
    }

    /// Does what is asked for by `socket`, as far as that can be done now.
    fn next_stage(&mut self, stage: Stage, socket: &OwnedFd, late: bool) -> Stage {
        match stage {
            Stage::Unheard => match network::hear(socket) {
                Ok(Request::Show) => self.begin_to_show(),
                Ok(Request::Change(change)) => Stage::Answered(match self.change(&change) {
                    Ok(()) => Answer::Done,
                    Err(cause) => Answer::Failed(cause),
                }),
                Err(Errno::AGAIN) if !late => Stage::Unheard,
                Err(errno) => {
                    let cause = format!("the request is not understood: {errno}");
                    Stage::Answered(Answer::Failed(cause))
                }
            },
            Stage::Counts if self.is_asked() && !late => Stage::Counts,
            Stage::Counts if self.is_asked() => {
                let cause = "the gate does not say what it counts".to_owned();
                Stage::Answered(Answer::Failed(cause))
            }
            Stage::Counts => Stage::Answered(match self.shown() {
                Some(shown) => Answer::Shown(Box::new(shown)),
                None => Answer::Failed(ENDED.to_owned()),
            }),
            answered @ Stage::Answered(_) => answered,
        }
    }

    /// Asks the gate, whatever it has said before.
    fn begin_to_show(&mut self) -> Stage {
        let Some(gate) = &self.gate else {
            return Stage::Answered(Answer::Failed(ENDED.to_owned()));
        };
        if let Err(error) = gate.ask_for_counts() {
            return Stage::Answered(Answer::Failed(error.to_string()));
        }
        self.asked = Some(Instant::now());
        Stage::Counts
    }

    /// Answers who has asked, where there is an answer. Where a change could not be written down it holds, but not for the next
    /// owner: `trouble` says why.
    pub(super) fn answer(&mut self, trouble: Option<&str>) {
        let answered = self.asker.take_if(|asker| matches!(asker.stage, Stage::Answered(_)));
        let Some(Asker { socket, stage: Stage::Answered(answer), .. }) = answered else { return };
        let answer = match (answer, trouble) {
            (Answer::Done, Some(trouble)) => Answer::Failed(format!(
                "this holds now, but the next supervisor would not know of it: {trouble}"
            )),
            (Answer::Failed(cause), Some(trouble)) => Answer::Failed(format!(
                "{cause}; the next supervisor would not know of it: {trouble}"
            )),
            (answer, _) => answer,
        };
        if let Err(errno) = network::say(&socket, &answer) {
            tracing::debug!(%errno, "who asked is gone");
        }
    }

    /// Writes down what the gate says, so much at the most.
    fn hear(&mut self, most: u32) {
        for _ in 0..most {
            let Some(gate) = &mut self.gate else { return };
            match gate.hear() {
                Ok(None) => return,
                Ok(Some(Report::Refused(refused))) => self.write(&refused),
                Ok(Some(Report::Counts(counts))) => {
                    (self.counted, self.asked) = (Some(counts), None);
                }
                Ok(Some(Report::Ready | Report::Failed { .. })) => {}
                Err(error) => self.lose(&error.to_string()),
            }
        }
    }

    /// The gate is of no use any more, and is ended.
    fn lose(&mut self, why: &str) {
        let agent = &self.kept.agent;
        self.told.push(format!("{agent} had no network from some moment on: {why}"));
        self.gate = None;
    }

    fn write(&mut self, refused: &Refused) {
        let Kept { agent, init, uid, .. } = &self.kept;
        self.refused += u64::from(refused.times);
        let from = refused.from.filter(|_| self.looks.take(Instant::now()));
        let process = from.and_then(|from| asker::of(*init, *uid, from));
        let Refused { to, port, word, why, cure, times, .. } = refused;
        let mut denial = Denial::of_gate(&Refusal { to, port: *port, why, cure });
        denial.process = process.as_deref().and_then(Process::parse);
        denial.times = u64::from(*times);
        let told = denial.told();
        let event = Event::new(Kind::Denial, Some(agent), &told).times((*times).into());
        let event = event.with(Label::Wall, "gate");
        let denial = Written { to, port: *port, reason: word, allow: cure, process, denial };
        if let Err(errno) = self.journal.write_denial(event, denial) {
            tracing::warn!(%errno, agent, "a refusal was not written down");
        }
    }

    /// What cannot be opened does not keep what is to be closed open.
    fn change(&mut self, change: &Change) -> Result<(), String> {
        if !self.listens {
            return Err(NO_NETWORK.to_owned());
        }
        let Change { allow, deny, reset } = change;
        let base = if *reset { &self.planned } else { &self.rules };
        let wanted = base.changed(allow, deny);
        let Err(cause) = self.hold(wanted) else { return Ok(()) };
        if allow.is_empty() || deny.is_empty() {
            return Err(cause);
        }
        let refused = self.hold(self.rules.changed(&[], deny));
        let also =
            refused.map_or_else(|also| also, |()| "what is denied is refused now".to_owned());
        Err(format!("{cause}; {also}"))
    }

    /// Has the gate work by `rules`.
    fn hold(&mut self, rules: Rules) -> Result<(), String> {
        let gate = self.gate.as_mut().ok_or(ENDED)?;
        let changed = gate.change(&rules).map_err(|error| error.to_string());
        if gate.is_lost() {
            self.lose("it did not do what it was told");
        }
        changed?;
        self.rules = rules;
        self.changed = true;
        Ok(())
    }

    /// What there is to say at the end.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.hear(HEARD_LAST);
        let agent = &self.kept.agent;
        if self.refused > 0 {
            let times = if self.refused == 1 {
                "once".to_owned()
            } else {
                format!("{} times", self.refused)
            };
            self.told.push(format!(
                "{agent} was refused the network {times}: `cellblock denials {agent}` shows what, and how to allow it"
            ));
        }
        self.told
    }
}

/// What is said where there is nothing that rules could hold for.
const NO_NETWORK: &str =
    "this jail has no network with rules: its profile does not say mode = \"allowlist\"";

/// What is said where there is no gate any more.
const ENDED: &str = "the gate has ended, and the agent has no network";
