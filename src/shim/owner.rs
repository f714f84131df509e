//! The side of a shim that has rights: `cellblock run`, or the supervisor.
//!
//! It proves that the session is the agent's before anybody sees a byte of it, opens terminals in the jail for those who
//! look, and looks after what the jail uses and what its gate refuses. It holds nothing that the jail needs to live.

use super::ShimError;
use super::gatekeeper::Gatekeeper;
use super::protocol::{Ask, Born, GateMemory, Greeting, Line, Looker, Order, Report};
use super::stay::{self, Stay};
use crate::alerts::event::Teller;
use crate::control::agent;
use crate::gate::protocol::Counts;
use crate::jail;
use crate::jobs::ledger::{Ledger, Refusal};
use crate::jobs::{Jobs, Told};
use crate::launch::{LaunchError, Session, record, session_of, start_own};
use crate::limits::journal::Journal;
use crate::limits::{Figures, Kept, Meter};
use crate::plan::Plan;
use crate::sys::{self, Cloned};
use crate::terminal::mode::Mode;
use crate::terminal::size::Size;
use crate::wire::{self, Link};
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How often a client that records is started again.
const RECORDED_AGAIN: u32 = 100;
/// Reports that are heard in a turn.
const HEARD: usize = 32;

fn cannot(verb: &'static str, object: &str) -> impl FnOnce(Errno) -> ShimError {
    move |errno| ShimError::Launch(LaunchError::Call { verb, object: object.to_owned(), errno })
}

/// A shim that has not said yet whether there is a jail.
#[derive(Debug)]
pub struct Starting {
    /// The name of its jail, as in the records.
    jail: String,
    link: Link,
    process: Option<Cloned>,
}

impl Starting {
    /// A copy of this process becomes the shim of the jail of `plan`, and ends with this process.
    ///
    /// The caller must have no second thread.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn fork(plan: &Plan) -> Result<Self, ShimError> {
        let (link, inner) = wire::pair().map_err(cannot("make", "the shim's socket"))?;
        let with = Stay::With(rustix::process::getpid());
        let process = sys::fork(|| stay::serve(plan, inner, with, Vec::new()).into());
        let process = process.map_err(cannot("make", "the process of the shim"))?;
        Ok(Self { jail: session_of(&plan.agent), link: link.into(), process: Some(process) })
    }

    /// A new shim of `agent` does as it is asked, and outlives this process: `listener` is where owners come back, `seen` the file for
    /// what it sees while there is none.
    ///
    /// The caller must have no second thread.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn spawn(
        agent: &str,
        ask: &Ask,
        listener: OwnedFd,
        seen: OwnedFd,
    ) -> Result<Self, ShimError> {
        let (link, inner) = wire::pair().map_err(cannot("make", "the shim's socket"))?;
        let process = start_own(&inner, &[stay::NAME.to_owned()])?;
        wire::send_sealed(&link, ask, &[listener, seen]).map_err(cannot("ask", "the shim"))?;
        Ok(Self { jail: session_of(agent), link: link.into(), process: Some(process) })
    }

    /// A shim that has lost its owner, or is about to say what it keeps: that of `agent`, to which `link` leads.
    #[must_use]
    pub fn adopt(agent: &str, link: Link) -> Self {
        Self { jail: session_of(agent), link, process: None }
    }

    /// Ends it, where it is a child of this process.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn end(&self) -> Result<(), ShimError> {
        end(self.process.as_ref())
    }

    /// Whether it had an owner before.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.process.is_none()
    }

    /// Readable once it says something.
    #[must_use]
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// What it says, which is waited for.
    ///
    /// # Errors
    /// [`ShimError::Refused`] where there is no jail, [`ShimError::NoShim`] where it has ended.
    pub fn wait(self) -> Result<Owner, ShimError> {
        self.wait_with((None, None), &Teller::default())
    }

    /// The same, where an earlier owner remembers something of its gate, and of its jobs; `teller` is told of what is written down.
    ///
    /// # Errors
    /// As [`Starting::wait`].
    pub fn wait_with(
        self,
        (memory, ledger): (Option<&GateMemory>, Option<Ledger>),
        teller: &Teller,
    ) -> Result<Owner, ShimError> {
        let Self { jail, link, process } = self;
        match wire::hear::<Greeting>(&link) {
            Ok(Some(Greeting::Born(born))) => {
                let from = (jail, *born);
                Owner::new((link, process), from, (memory, ledger), teller)
            }
            Ok(Some(Greeting::Failed { cause, hint, status })) => {
                Err(ShimError::Refused { cause, hint, status })
            }
            Ok(None) | Err(Errno::CONNRESET) => Err(ShimError::NoShim),
            Err(errno) => Err(cannot("understand", "what the shim says")(errno)),
        }
    }
}

fn end(process: Option<&Cloned>) -> Result<(), ShimError> {
    let Some(process) = process else { return Ok(()) };
    match rustix::process::pidfd_send_signal(&process.pidfd, rustix::process::Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(cannot("end", "the shim")(errno)),
    }
}

/// What a shim had to say, and whether that was all.
#[derive(Debug, Default)]
pub struct Heard {
    /// Its reports, in their order.
    pub reports: Vec<Report>,
    /// It has ended.
    pub gone: bool,
    /// Bytes in use, where the memory watch has ended the agent.
    pub watched: Option<u64>,
    /// Limits that it has reached, in sentences.
    pub limits: Vec<String>,
    /// Jobs that were made, by their numbers.
    pub jobs: Vec<u32>,
    /// What happened with its jobs and notes: the event, and the same in a sentence.
    pub told: Vec<Told>,
}

/// The owner of one shim.
#[derive(Debug)]
pub struct Owner {
    link: Link,
    process: Option<Cloned>,
    jail: String,
    kept: Kept,
    born: Born,
    meter: Meter,
    gate: Option<Gatekeeper>,
    session: Option<Session>,
    /// The last view that was given a number.
    last: u32,
    /// How often the client that records was started again.
    recorded_again: u32,
    /// Whether the shim was told to end the gate.
    gate_ended: bool,
    /// The tmux server, once it was proved to be the agent's.
    server: Option<i32>,
    /// What the agent has declared to run beside its session.
    jobs: Jobs,
}

impl Owner {
    fn new(
        (link, process): (Link, Option<Cloned>),
        (jail, born): (String, Born),
        (memory, ledger): (Option<&GateMemory>, Option<Ledger>),
        teller: &Teller,
    ) -> Result<Self, ShimError> {
        let (kept, gate) = record::kept(&jail)?;
        let jobs = Jobs::new(&kept, ledger);
        let journal = Journal::new(&kept.log, (&kept.agent, &jail), teller.clone());
        let meter = Meter::new(journal.clone(), kept.clone());
        let gate = gate.map(|gate| Gatekeeper::adopt(journal, &kept, &gate, memory)).transpose()?;
        // Numbers that earlier owners gave are not given again: who they were for may look still.
        let last = u32::from_ne_bytes(random()?) & 0x7fff_0000;
        Ok(Self {
            link,
            process,
            jail,
            kept,
            born,
            meter,
            gate,
            session: None,
            last,
            recorded_again: 0,
            gate_ended: false,
            server: None,
            jobs,
        })
    }

    /// What the shim keeps.
    #[must_use]
    pub fn born(&self) -> &Born {
        &self.born
    }

    /// Who looks, as its shim has said: given once.
    pub fn take_people(&mut self) -> Vec<(u32, Looker)> {
        std::mem::take(&mut self.born.people)
    }

    /// The name of its jail, as in the records.
    #[must_use]
    pub fn jail(&self) -> &str {
        &self.jail
    }

    /// What the record of the launch tells of the jail.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// How long each step of the launch took; once.
    pub fn take_timings(&mut self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.born.timings)
    }

    /// What to wait for; [`Owner::turn`] takes what came, in the same order.
    #[must_use]
    pub fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut wanted = vec![(self.link.as_fd(), PollFlags::IN)];
        wanted.extend(self.meter.interests());
        wanted.extend(self.gate.as_ref().map(Gatekeeper::interests).unwrap_or_default());
        wanted
    }

    /// How long to wait, if nothing else comes.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let meter = self.meter.patience();
        self.jobs.patience().map_or(meter, |jobs| jobs.min(meter))
    }

    /// Does what there is to do, and gives what the shim said.
    ///
    /// # Errors
    /// [`ShimError`] where the shim is not understood.
    pub fn turn(&mut self, came: &[PollFlags]) -> Result<Heard, ShimError> {
        let any =
            |of: Option<&[PollFlags]>| of.unwrap_or_default().iter().any(|flags| !flags.is_empty());
        let limits = 1 + self.meter.interests().len();
        let mut heard = Heard::default();
        if any(came.get(..1)) {
            self.hear(&mut heard)?;
        }
        let asked = any(came.get(limits..));
        if let Some(gate) = self.gate.as_mut().filter(|gate| asked || gate.has_asker()) {
            gate.turn();
        }
        if self.gate.as_ref().is_some_and(Gatekeeper::is_lost) && !self.gate_ended {
            // Whatever rules it has: nobody knows them any more.
            self.gate_ended = true;
            self.tell(&Order::EndGate, &[])?;
        }
        self.answer_agent(&mut heard)?;
        if let Some(used) = self.meter.turn(any(came.get(1..limits))) {
            self.meter.watch_ended(used);
            heard.watched = Some(used);
            self.kill()?;
        }
        heard.limits = self.meter.take_reached();
        Ok(heard)
    }

    /// Does what the agent asks for, and what is due of its jobs and notes.
    fn answer_agent(&mut self, heard: &mut Heard) -> Result<(), ShimError> {
        let (asked, others): (Vec<_>, Vec<_>) = std::mem::take(&mut heard.reports)
            .into_iter()
            .partition(|report| matches!(report, Report::Asked { .. }));
        heard.reports = others;
        for report in asked {
            if let Report::Asked { ask, request, .. } = report {
                let (answer, door) = self.jobs.answer(*request);
                let along: Vec<BorrowedFd<'_>> = door.iter().map(|fd| fd.as_fd()).collect();
                self.tell(&Order::Answer { ask, answer: Box::new(answer) }, &along)?;
            }
        }
        for (note, text) in self.jobs.turn() {
            self.tell(&Order::Type { note, text }, &[])?;
        }
        heard.told.extend(self.jobs.take_told());
        heard.jobs.extend(self.jobs.take_made());
        Ok(())
    }

    /// What the next owner must know of its jobs and notes, if that has changed.
    pub fn take_ledger(&mut self) -> Option<Ledger> {
        self.jobs.take_changed()
    }

    /// Its jobs.
    #[must_use]
    pub fn shown_jobs(&self) -> Vec<agent::ShownJob> {
        self.jobs.shown()
    }

    /// Ends one of its jobs; what there is to say about that.
    ///
    /// # Errors
    /// Why it is not ended.
    pub fn stop_job(&mut self, number: u32) -> Result<String, Refusal> {
        self.jobs.stop(number)
    }

    fn hear(&mut self, heard: &mut Heard) -> Result<(), ShimError> {
        for _ in 0..HEARD {
            match wire::hear_now::<Report>(&self.link) {
                Ok(Some(report)) => {
                    if let Report::Said(jail::protocol::Report::Own(own)) = &report {
                        self.born.own = own.clone();
                    }
                    heard.reports.push(report);
                }
                // Or what brings descriptors: nothing after it is heard.
                Ok(None) | Err(Errno::CONNRESET | Errno::BADMSG) => {
                    heard.gone = true;
                    return Ok(());
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(cannot("understand", "what the shim says")(errno)),
            }
        }
        Ok(())
    }

    fn tell(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<(), ShimError> {
        match wire::hand(&self.link, order, descriptors) {
            // Its end is heard of.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(cannot("tell", "the shim")(errno)),
        }
    }

    /// The session is there: it must be the agent's, and is looked after from now on.
    ///
    /// # Errors
    /// [`LaunchError::NotAsPlanned`] where it is not the agent's.
    pub fn prove(&mut self) -> Result<(), ShimError> {
        let server = self.session()?.prove()?;
        self.meter.set_server(server);
        self.server = Some(server);
        self.born.up = true;
        self.tell(&Order::Watch, &[])
    }

    /// The tmux server, once it was proved to be the agent's.
    #[must_use]
    pub fn server(&self) -> Option<i32> {
        self.server
    }

    fn session(&mut self) -> Result<&Session, ShimError> {
        if self.session.is_none() {
            self.session = Some(Session::open(&self.kept)?);
        }
        self.session.as_ref().ok_or(ShimError::NoShim)
    }

    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// Shows the session on a new line, whose end for the person is given, with the number of the view. The session is proved
    /// to be the agent's first: it may be another one's by now.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn attach(
        &mut self,
        types: bool,
        size: Size,
        looker: Looker,
    ) -> Result<(u32, Line), ShimError> {
        let session = self.session()?;
        session.prove()?;
        let (master, slave) = session.terminal(size, Mode::Raw)?;
        let (near, far) = Line::pair().map_err(cannot("make", "a line to the jail"))?;
        let view = self.next();
        let all = [&master, &slave, &near.bytes, &near.news].map(|fd| fd.as_fd());
        self.tell(&Order::Attach { view, types, looker }, &all)?;
        Ok((view, far))
    }

    /// Has the session recorded, where its profile says so.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn record(&mut self) -> Result<(), ShimError> {
        if !self.born.records {
            return Ok(());
        }
        let (columns, rows) = self.born.size;
        let (master, slave) = self.session()?.terminal(Size { rows, columns }, Mode::Unread)?;
        let view = self.next();
        self.tell(&Order::Record { view }, &[master.as_fd(), slave.as_fd()])
    }

    /// The client that records was ended, by the agent it may be: another one takes its place, a bounded number of times.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn record_again(&mut self) -> Result<(), ShimError> {
        if self.recorded_again >= RECORDED_AGAIN {
            let cause = format!("the client that records was ended {RECORDED_AGAIN} times");
            return Err(LaunchError::Unusable(cause).into());
        }
        self.recorded_again += 1;
        self.record()
    }

    /// Ends all views but those of the numbers `but`, for the reason `why`: also such as an earlier owner has made.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn send_away(&self, but: Vec<u32>, why: String) -> Result<(), ShimError> {
        self.tell(&Order::SendAway { but, why }, &[])
    }

    /// A further command, of which the shim is told by [`Owner::run`]. Those of its standard descriptors that are `terminals` are a
    /// terminal of the jail, of this size.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn prepare(
        &mut self,
        words: Vec<String>,
        (terminals, size): ([bool; 3], Size),
        looker: Looker,
    ) -> Result<Further, ShimError> {
        let shown = terminals.contains(&true);
        let mode = Mode::of(terminals);
        let terminal = shown.then(|| Ok::<_, ShimError>(self.session()?.terminal(size, mode)?));
        let terminal = terminal.transpose()?;
        let (near, far) = Line::pair().map_err(cannot("make", "a line to the jail"))?;
        let view = self.next();
        let order = Order::Run { view, words, terminals, looker };
        Ok(Further { view, order, terminal, near, far })
    }

    /// Has a further command run, with the descriptors that are `given`: those that are no terminal, in their order.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn run(&self, further: &Further, given: &[OwnedFd]) -> Result<(), ShimError> {
        let Further { order, terminal, near, .. } = further;
        let terminal = terminal.iter().flat_map(|(master, slave)| [master, slave]);
        let all = terminal.chain(given).chain([&near.bytes, &near.news]).map(|fd| fd.as_fd());
        self.tell(order, &all.collect::<Vec<_>>())
    }

    /// By what the shim is told.
    #[must_use]
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// What the next owner must know of the gate, if that has changed.
    pub fn take_gate_memory(&mut self) -> Option<GateMemory> {
        let gate = self.gate.as_mut()?;
        if gate.take_changed() { gate.memory() } else { None }
    }

    /// Answers who has asked the gate for something. Where a change could not be written down for the next owner, `trouble` says
    /// why.
    pub fn answer_network(&mut self, trouble: Option<&str>) {
        self.gate.iter_mut().for_each(|gate| gate.answer(trouble));
    }

    /// Has the gate say what it counts, for [`Owner::network`]; whether it is about to.
    pub fn ask_for_network(&mut self) -> bool {
        self.gate.as_mut().is_some_and(Gatekeeper::ask)
    }

    /// Whether the gate is about to say what it counts.
    #[must_use]
    pub fn waits_for_network(&self) -> bool {
        self.gate.as_ref().is_some_and(Gatekeeper::is_asked)
    }

    /// The jail's network, as its gate told of it last; nothing where it has none, or one that has said nothing yet.
    #[must_use]
    pub fn network(&self) -> Option<crate::control::network::Shown> {
        self.gate.as_ref().and_then(Gatekeeper::shown)
    }

    /// What its gate counted when it said so last; it is asked anew and not waited for. Nothing where there is no gate, or none
    /// that has said anything yet.
    pub fn counted(&mut self) -> Option<Counts> {
        self.gate.as_mut()?.counted()
    }

    /// When that was.
    #[must_use]
    pub fn looked(&self) -> Instant {
        self.meter.looked()
    }

    /// What the jail used when it was looked at last; of the ceiling alone where that has not been.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        self.meter.figures()
    }

    /// Ends the shim itself, where it is a child of this process: it does not do what it is told.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn end_shim(&self) -> Result<(), ShimError> {
        end(self.process.as_ref())
    }

    /// Asks for the screen; a report brings it.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn ask_for_screen(&self) -> Result<(), ShimError> {
        self.tell(&Order::Screen, &[])
    }

    /// Asks for the panes of the session; a report brings them.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn ask_for_panes(&self) -> Result<(), ShimError> {
        self.tell(&Order::Panes, &[])
    }

    /// Asks the agent's command to end.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn stop(&self) -> Result<(), ShimError> {
        self.tell(&Order::Stop, &[])
    }

    /// Freezes the jail, or lets it go on.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn freeze(&self, frozen: bool) -> Result<(), ShimError> {
        self.tell(&Order::Freeze(frozen), &[])
    }

    /// Ends the jail now.
    ///
    /// # Errors
    /// [`ShimError::Launch`].
    pub fn kill(&self) -> Result<(), ShimError> {
        self.tell(&Order::Kill, &[])
    }

    /// What there is to say about the jail's limits and its network, once it has ended; the shim, which has waited for that
    /// to be read, ends then. Where it is a child of this process, it is given, to be reaped.
    #[must_use]
    pub fn finish(self) -> (Vec<String>, Option<Cloned>) {
        let Self { link, process, meter, gate, .. } = self;
        let mut told = meter.finish();
        told.extend(gate.map(Gatekeeper::finish).unwrap_or_default());
        drop(link);
        (told, process)
    }
}

/// A further command that waits for the descriptors that it is given.
#[derive(Debug)]
pub struct Further {
    view: u32,
    order: Order,
    terminal: Option<(OwnedFd, OwnedFd)>,
    near: Line,
    far: Line,
}

impl Further {
    /// What [`Owner::run`] hands over besides what is given.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let terminal = self.terminal.iter().flat_map(|(master, slave)| [master, slave]);
        terminal.chain([&self.near.bytes, &self.near.news]).map(|fd| fd.as_fd())
    }

    /// Its view, and the person's end of its line.
    #[must_use]
    pub fn into_line(self) -> (u32, Line) {
        (self.view, self.far)
    }
}

/// Four bytes by chance.
fn random() -> Result<[u8; 4], ShimError> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(cannot("get", "random bytes"))?;
    Ok(bytes)
}
