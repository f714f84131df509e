//! One command in a jail, without tmux.

use super::gatekeeper::Gatekeeper;
use super::person::{Person, Typing, own_size, terminals};
use super::wait::Waiter;
use super::{Ending, ShimError};
use crate::alerts::event::Teller;
use crate::jail::protocol::{Order, Report};
use crate::launch::{Jail, Standard, launch};
use crate::limits::Meter;
use crate::limits::journal::Journal;
use crate::plan::Plan;
use crate::terminal::relay::{Side, Status};
use crate::terminal::size::Size;
use nix::sys::signal::Signal;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// A command that was asked to end this often is ended.
const PATIENCE: u32 = 3;

/// How the standard descriptors reach the command: a terminal is never passed on itself.
fn standard() -> Standard {
    let replaces = terminals();
    if !replaces.contains(&true) {
        return Standard::Inherit;
    }
    Standard::Terminal { replaces, size: own_size().unwrap_or(Size::DEFAULT) }
}

/// Runs the command of `plan` to its end.
///
/// # Errors
/// [`ShimError`].
pub fn exec(plan: &Plan, timings: &mut Vec<(String, Duration)>) -> Result<Ending, ShimError> {
    let waiter = Waiter::new()?;
    let standard = standard();
    let mut jail = launch(plan, standard, None, timings)?;
    let person = match standard {
        Standard::Terminal { replaces, .. } => Some(Person::attach(Typing::Command, replaces)?),
        Standard::Inherit => None,
    };
    let kept = jail.kept();
    let journal = Journal::new(&kept.log, (&kept.agent, &jail.name()), Teller::default());
    let meter = Meter::new(journal.clone(), kept);
    let gate = keeper(&mut jail, plan, journal)?;
    let mut exec = Exec { jail, meter, gate, person, asked: 0, failed: None };
    let started = Instant::now();
    while !exec.turn(&waiter)? {}
    timings.push(("the command".to_owned(), started.elapsed()));
    let ended = Instant::now();
    let ending = exec.finish();
    timings.push(("clean up".to_owned(), ended.elapsed()));
    ending
}

/// What came.
#[derive(Debug, Default)]
struct Events {
    /// The jail has ended.
    ended: bool,
    /// Init says something.
    control: bool,
    /// A signal for this process.
    signal: Option<Signal>,
    /// Something happened at the jail's limits.
    limits: bool,
    /// The gate says something, or somebody wants to change it.
    gate: bool,
    /// What came on the person's descriptors, in their order.
    own: Vec<PollFlags>,
}

/// The keeper of the jail's gate, where it has one.
fn keeper(jail: &mut Jail, plan: &Plan, journal: Journal) -> Result<Option<Gatekeeper>, ShimError> {
    let (Some(gate), Some(egress)) = (jail.take_gate(), &plan.egress) else { return Ok(None) };
    let (listens, rules) = (egress.listens, &egress.rules);
    Ok(Some(Gatekeeper::new(journal, jail.kept(), gate, listens, rules)?))
}

struct Exec {
    jail: Jail,
    meter: Meter,
    gate: Option<Gatekeeper>,
    person: Option<Person>,
    asked: u32,
    failed: Option<(String, u8)>,
}

impl Exec {
    /// Waits and does what there is to do; `true` at the end.
    fn turn(&mut self, waiter: &Waiter) -> Result<bool, ShimError> {
        let master = self.jail.master();
        let wanted: Vec<(Side, BorrowedFd<'_>, PollFlags)> = match (&self.person, master) {
            (Some(person), Some(master)) => person.interests(master),
            (_, _) => Vec::new(),
        };
        let own: Vec<_> = wanted.iter().map(|(_, fd, flags)| (*fd, *flags)).collect();
        let events = self.wait(waiter, &own)?;
        let came: Vec<_> =
            wanted.iter().map(|(side, ..)| *side).zip(events.own.iter().copied()).collect();
        self.carry(&came)?;
        self.react(&events)?;
        Ok(events.ended)
    }

    fn wait(
        &self,
        waiter: &Waiter,
        own: &[(BorrowedFd<'_>, PollFlags)],
    ) -> Result<Events, ShimError> {
        let jail = &self.jail;
        // Where init is silent for ever, the end of the jail is all that is left to wait for.
        let control = if jail.is_silent() { jail.pidfd() } else { jail.control() };
        let fixed = [(jail.pidfd(), PollFlags::IN), (control, PollFlags::IN)];
        let limits = self.meter.interests();
        let gate = self.gate.as_ref().map(Gatekeeper::interests).unwrap_or_default();
        let gates = fixed.len() + limits.len();
        let ours = gates + gate.len();
        let all = fixed.into_iter().chain(limits).chain(gate).chain(own.iter().copied());
        let all: Vec<_> = all.collect();
        let (signal, came) = waiter.wait(&all, Some(self.meter.patience()))?;
        let any = |of: &[PollFlags]| of.iter().any(|flags| !flags.is_empty());
        Ok(Events {
            ended: !came[0].is_empty(),
            control: !jail.is_silent() && !came[1].is_empty(),
            signal,
            limits: any(&came[2..gates]),
            gate: any(&came[gates..ours]),
            own: came[ours..].to_vec(),
        })
    }

    fn carry(&mut self, came: &[(Side, PollFlags)]) -> Result<(), ShimError> {
        if let (Some(person), Some(master)) = (&mut self.person, self.jail.master())
            && person.progress(master, came)? == Status::TerminalGone
        {
            // The kernel's SIGHUP for this process may come before this or after it: either way the command
            // is told what it would be told without a jail, and one that ignores it goes on unseen.
            person.leave()?;
            self.jail.tell(&Order::Signal(Signal::SIGHUP as i32))?;
        }
        Ok(())
    }

    fn react(&mut self, events: &Events) -> Result<(), ShimError> {
        if events.control
            && let Some(Report::Failed { cause, status }) = self.jail.hear()?
        {
            self.failed = Some((cause, status));
        }
        let gate = self.gate.as_mut();
        if let Some(gate) = gate.filter(|gate| events.gate || gate.has_asker()) {
            gate.turn();
            gate.answer(None);
        }
        match events.signal {
            Some(Signal::SIGWINCH) => {
                if let (Some(person), Some(master)) = (&self.person, self.jail.master()) {
                    person.fit(master)?;
                }
            }
            Some(signal) => self.pass_on(signal)?,
            None => {}
        }
        if let Some(used) = self.meter.turn(events.limits) {
            self.meter.watch_ended(used);
            self.jail.kill()?;
        }
        Ok(())
    }

    fn pass_on(&mut self, signal: Signal) -> Result<(), ShimError> {
        let ends = matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP);
        self.asked += u32::from(ends);
        if self.asked >= PATIENCE {
            return Ok(self.jail.kill()?);
        }
        Ok(self.jail.tell(&Order::Signal(signal as i32))?)
    }

    fn finish(mut self) -> Result<Ending, ShimError> {
        self.drain()?;
        if let Some(person) = self.person.take() {
            person.close()?;
        }
        // What init said last may have come together with its end.
        while let Ok(Some(report)) = self.jail.hear() {
            if let Report::Failed { cause, status } = report {
                self.failed = Some((cause, status));
            }
        }
        let mut told = self.meter.finish();
        told.extend(self.gate.take().map(Gatekeeper::finish).unwrap_or_default());
        let status = self.jail.end()?;
        match self.failed {
            Some((cause, status)) => Err(ShimError::Failed { cause, status }),
            None => Ok(Ending { status, told, screen: Vec::new() }),
        }
    }

    /// Shows what the command wrote last.
    fn drain(&mut self) -> Result<(), ShimError> {
        let (Some(person), Some(master)) = (&mut self.person, self.jail.master()) else {
            return Ok(());
        };
        let both = [(Side::Output, PollFlags::OUT), (Side::Master, PollFlags::IN)];
        // Bounded: a terminal that takes nothing any more does not hold up the end.
        for _ in 0..256 {
            if person.progress(master, &both)? != Status::Running {
                break;
            }
        }
        Ok(())
    }
}
