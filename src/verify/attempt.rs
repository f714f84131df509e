//! One attempt: the surroundings are started, the prober attacks, the referee looks and ends all.

use super::channel::{self, Link, Order, Word};
use super::interrupt;
use super::judge::Seen;
use super::keeper::{self, REFUSED, Standard, Start, Surroundings};
use super::look::{self, Look};
use super::person::Person;
use super::probe::{End, Evidence, Probe, Stage};
use super::scene::Scene;
use super::watch::Watch;
use super::witness::Witness;
use super::world::{Attacker, World};
use crate::plan::Plan;
use crate::sys::Cloned;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use std::io::Read as _;
use std::time::{Duration, Instant};

/// How long an attempt may take. An emulated machine needs a tenth of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the surroundings may take to end by themselves.
const LEAVE: Duration = Duration::from_secs(5);
/// How often a second agent is asked while a bomb goes off.
const ASKED: Duration = Duration::from_millis(50);
/// How long something must be still to count as ended, twice in a row: a busy machine may let it wait.
const STILL: Duration = Duration::from_millis(250);
/// How often it is looked at: the end of a launcher is known before all that ends with it has ended.
const LOOKS: u32 = 12;
/// The most that is kept of what a launcher says, in bytes.
const MOST_WORDS: u64 = 4096;

/// What an attempt is made in.
#[derive(Debug)]
pub struct Place<'a> {
    /// The surroundings.
    pub surroundings: Surroundings<'a>,
    /// What the prober is started by.
    pub start: Start<'a>,
    /// Who attacks.
    pub attacker: Attacker,
    /// A second agent, where the attack is a bomb.
    pub witness: Option<Witness>,
}

/// An attempt on its way.
struct Attempt<'a> {
    probe: &'a Probe,
    plan: Option<&'a Plan>,
    world: &'a World,
    attacker: Attacker,
    link: Link,
    keeper: Cloned,
    person: Option<Person>,
    witness: Option<Witness>,
    deadline: Instant,
    seen: Seen,
    loot: Vec<u8>,
    prober: Option<i32>,
}

/// Makes `probe` in `place` and gives what was seen.
///
/// # Errors
/// The kernel's answer to what the referee itself does.
pub fn make(probe: &Probe, place: Place<'_>, scene: Scene) -> Result<Seen, Errno> {
    let Place { surroundings, start, attacker, witness } = place;
    let world = start.world;
    let (words, complaints) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let person = match start.stage {
        Stage::Command => None,
        Stage::Terminal | Stage::Session => Some(Person::new(attacker)?),
    };
    let (link, input) = match &person {
        Some(person) => {
            let link = channel::make_pipes(&world.path("project"))?;
            (link, rustix::io::dup(&person.slave)?)
        }
        None => {
            let (outer, inner) = channel::pair()?;
            (Link::Socket(outer), inner)
        }
    };
    let output = rustix::io::dup(&input)?;
    let standard = Standard { input, output, complaints };
    let keeper = keeper::start(&surroundings, &standard, start)?;
    drop(standard);
    let plan = match &surroundings {
        Surroundings::Jail(plan) => Some(*plan),
        Surroundings::Agent(_) | Surroundings::Root | Surroundings::Peer(..) => None,
    };
    let mut attempt = Attempt {
        probe,
        plan,
        world,
        attacker,
        link,
        keeper,
        person,
        witness,
        deadline: Instant::now() + PATIENCE,
        seen: Seen::default(),
        loot: Vec::new(),
        prober: None,
    };
    attempt.converse(scene);
    attempt.look();
    attempt.end();
    attempt.look_back();
    attempt.seen.words = said(words);
    Ok(attempt.seen)
}

fn said(words: OwnedFd) -> String {
    let mut said = Vec::new();
    // Somebody that was left behind may still hold the other end.
    if let Err(errno) = rustix::io::ioctl_fionbio(&words, true) {
        tracing::debug!(%errno, "the launcher's words may be waited for");
    }
    if let Err(error) = std::fs::File::from(words).take(MOST_WORDS).read_to_end(&mut said) {
        tracing::debug!(%error, "the launcher's words are lost");
    }
    String::from_utf8_lossy(&said).into_owned()
}

impl Attempt<'_> {
    /// What the prober says next, if it says something in time.
    fn hear(&mut self) -> Option<(Word, Option<i32>)> {
        let mut asked = Instant::now();
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || interrupt::asked() > 0 {
                self.seen.overdue = true;
                return None;
            }
            self.see();
            // A launcher that refused never lets the prober speak.
            let pause = left.min(Duration::from_millis(20));
            match channel::comes(self.link.as_fd(), pause) {
                Ok(true) => return self.link.hear().ok().flatten(),
                Ok(false) if self.keeper_ended(Duration::ZERO) => return None,
                Ok(false) => {}
                Err(_) => return None,
            }
            if let Some(witness) = &mut self.witness
                && asked.elapsed() > ASKED
            {
                witness.ask();
                asked = Instant::now();
            }
        }
    }

    fn see(&mut self) {
        if let Some(person) = &mut self.person {
            person.look();
        }
    }

    fn keeper_ended(&self, patience: Duration) -> bool {
        channel::comes(&self.keeper.pidfd, patience).unwrap_or(true)
    }

    fn converse(&mut self, scene: Scene) {
        let (mark, challenge) = (scene.mark, scene.challenge.clone());
        if self.link.say(&Order::Scene(Box::new(scene))).is_err() {
            return;
        }
        let Some((Word::Alive(inner, alive), sender)) = self.hear() else { return };
        self.prober = sender.or_else(|| look::find(inner, self.attacker.uid));
        let alive = alive.and_then(|said| {
            if said == challenge { Ok(()) } else { Err(format!("it answered `{said}`")) }
        });
        let alive = alive.and_then(|()| self.watch());
        let watch = match alive {
            Ok(watch) => watch,
            Err(why) => {
                self.seen.alive = Some(Err(why));
                return;
            }
        };
        self.seen.alive = Some(Ok(()));
        if self.link.say(&Order::Attack).is_err() {
            return;
        }
        if let Some(watch) = watch {
            self.seen.call = Some(watch.follow(mark, self.link.as_fd(), self.deadline));
        }
        if let Some((Word::Told(told), _)) = self.hear() {
            self.seen.told = Some(told.as_ref().map(|_| ()).map_err(Clone::clone));
            self.loot = told.unwrap_or_default();
        }
        if let Some(witness) = &mut self.witness {
            witness.ask();
            self.seen.starved.clone_from(&witness.complaint);
        }
    }

    /// Begins to watch the prober's calls, where one of them decides.
    fn watch(&self) -> Result<Option<Watch>, String> {
        match (&self.probe.evidence, self.prober) {
            (Evidence::Answer(_), Some(pid)) => Watch::begin(pid).map(Some),
            (Evidence::Answer(_) | Evidence::Look(_), None) => {
                Err("the prober's process is not found from outside".to_owned())
            }
            (_, _) => Ok(None),
        }
    }

    /// Looks for the evidence, while the prober is still there.
    fn look(&mut self) {
        let world = self.world;
        if let Some(person) = &mut self.person {
            // What was written last may still be on its way.
            std::thread::sleep(Duration::from_millis(50));
            person.look();
        }
        self.seen.evidence = match self.probe.evidence {
            Evidence::Secret => world.is_known(&self.loot),
            Evidence::Planted(path) => world.planted(path),
            Evidence::Arrived => world.arrived(),
            Evidence::Typed => self.person.as_ref().is_some_and(Person::typed),
            Evidence::Look(looks) => self
                .prober
                // Of one that has gone nothing is seen, and what is not there looks like many things.
                .filter(|pid| self.seen.told.is_some() && look::is_there(*pid))
                .is_some_and(|pid| looks(&Look { pid, told: &self.loot, plan: self.plan, world })),
            Evidence::Answer(_) | Evidence::Shown(_) | Evidence::Outlives(_) => false,
        };
    }

    /// Ends the surroundings, gently if they go.
    fn end(&mut self) {
        let gently = self.probe.end == End::Gently;
        if gently && self.link.say(&Order::End).is_err() {
            tracing::debug!("the prober has gone");
        }
        let leave = if interrupt::asked() == 0 { LEAVE } else { Duration::ZERO };
        if !gently || !self.gone(leave) {
            for signal in [Signal::TERM, Signal::TERM, Signal::TERM, Signal::KILL] {
                if signal != Signal::KILL && (!gently || interrupt::asked() > 1) {
                    continue;
                }
                match rustix::process::pidfd_send_signal(&self.keeper.pidfd, signal) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => tracing::warn!(%errno, "a launcher does not end"),
                }
                if self.gone(Duration::from_secs(1)) {
                    break;
                }
            }
        }
        self.see();
        let reaped =
            rustix::process::waitpid(Some(self.keeper.pid), WaitOptions::empty()).ok().flatten();
        let status = reaped.and_then(|(_, status)| status.exit_status());
        // What did not come to life because the launcher refused was refused.
        self.seen.refused = self.seen.alive.is_none() && status == Some(REFUSED);
    }

    /// Whether the keeper ends within `patience`; no later than the run is asked to end once more. A
    /// terminal that nobody reads would hold it up.
    fn gone(&mut self, patience: Duration) -> bool {
        let (until, asked) = (Instant::now() + patience, interrupt::asked());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.keeper_ended(left.min(Duration::from_millis(10))) {
                return true;
            }
            self.see();
            if left.is_zero() || interrupt::asked() > asked {
                return false;
            }
        }
    }

    /// Looks for what shows only when all has ended.
    fn look_back(&mut self) {
        let (world, token) = (self.world, &self.world.token);
        let late = match self.probe.evidence {
            Evidence::Planted(path) => world.planted(path),
            Evidence::Arrived => world.arrived(),
            Evidence::Shown(shows) => {
                self.person.as_ref().is_some_and(|person| shows(person.shown(), token))
            }
            Evidence::Outlives(path) => {
                outlives(|| std::fs::metadata(world.path(path)).map_or(0, |file| file.len()))
            }
            Evidence::Secret | Evidence::Typed | Evidence::Look(_) | Evidence::Answer(_) => false,
        };
        self.seen.evidence |= late;
    }
}

/// Whether what makes `length` grow goes on.
fn outlives(length: impl Fn() -> u64) -> bool {
    let mut still = 0;
    for _ in 0..LOOKS {
        let before = length();
        std::thread::sleep(STILL);
        still = if length() > before { 0 } else { still + 1 };
        if still == 2 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_ends_a_moment_later_does_not_outlive() {
        let beats = |until: u64| {
            let seen = Cell::new(0);
            move || {
                seen.set(seen.get() + 1);
                seen.get().min(until)
            }
        };
        assert!(outlives(beats(u64::MAX)));
        assert!(!outlives(beats(3)), "it was alive at the first look");
        assert!(!outlives(|| 0));
    }
}
