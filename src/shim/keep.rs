//! The shim's loop: holds a jail that stands, and carries what its owner and those who look at it say.
//!
//! By now it has no rights: all it can do is what the descriptors that it holds can. It never waits for anybody: who takes
//! nothing is dropped, and what no owner hears is written down.

use super::door::{Asked, Door};
use super::protocol::{Born, End, Greeting, Line, Order, Report, Seen};
use super::record::Recording;
use super::stay::Stay;
use super::view::{Of, Part, View, Wish};
use crate::control::agent::Answer;
use crate::jail;
use crate::jail::protocol::MAX_OWN;
use crate::launch::{Jail, Switches};
use crate::limits::journal::now;
use crate::wire::{self, Link};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most that is written down where there is no owner, in bytes.
const MOST_SEEN: u64 = 1 << 20;
/// The longest that file becomes, in bytes: the last line may begin within the bound, and each byte of what init says may be
/// written as `\u001b`; the end comes after it.
pub(super) const LONGEST_SEEN: u64 = MOST_SEEN + 6 * wire::LONGEST as u64 + 4096;
/// How long those who look at a jail that has ended have to read its last bytes.
const LAST_BYTES: Duration = Duration::from_secs(2);
/// How long the owner has to read the last figures.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// Views at the most: each has three descriptors.
const MOST_VIEWS: usize = 64;
/// Messages that are heard of one side in a turn.
const HEARD: usize = 16;

/// A jail being kept.
pub(super) struct Keep {
    pub(super) jail: Jail,
    pub(super) switches: Option<Switches>,
    pub(super) stay: Stay,
    pub(super) owner: Option<OwnedFd>,
    pub(super) born: Born,
    /// What holds the gate, where the jail has one. Nothing is said on it: what the gate is told is its owner's.
    pub(super) gate: Option<Link>,
    pub(super) views: BTreeMap<u32, View>,
    pub(super) recording: Option<Recording>,
    /// The agent's own socket.
    pub(super) door: Door,
    /// How the agent's command ended.
    pub(super) end: Option<(Option<i32>, Option<i32>)>,
}

/// Whom a descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Jail,
    Control,
    Owner,
    Listener,
    Recording,
    View(u32, Part),
    Door,
    Asker(u32),
}

impl Keep {
    /// Keeps the jail to its end.
    pub(super) fn keep(mut self) -> Result<(), Errno> {
        self.greet();
        loop {
            let came = self.wait()?;
            for (whose, flags) in &came {
                self.turn(*whose, *flags);
            }
            self.settle();
            if came.iter().any(|(whose, _)| *whose == Whose::Jail) {
                return self.finish();
            }
        }
    }

    fn interests(&self) -> Vec<(Whose, BorrowedFd<'_>, PollFlags)> {
        let mut wanted = vec![(Whose::Jail, self.jail.pidfd(), PollFlags::IN)];
        let mut add = |whose, fd| wanted.push((whose, fd, PollFlags::IN));
        // Init may be silent for ever: the end of the jail is then all that is left to wait for.
        if !self.jail.is_silent() {
            add(Whose::Control, self.jail.control());
        }
        if let Some(owner) = &self.owner {
            add(Whose::Owner, owner.as_fd());
        }
        if let Stay::Lasting { listener, .. } = &self.stay {
            add(Whose::Listener, listener.as_fd());
        }
        if let Some(master) = self.recording.as_ref().and_then(Recording::master) {
            add(Whose::Recording, master);
        }
        let (door, askers) = self.door.interests();
        wanted.extend(door.map(|fd| (Whose::Door, fd, PollFlags::IN)));
        wanted.extend(askers.into_iter().map(|(ask, fd)| (Whose::Asker(ask), fd, PollFlags::IN)));
        for (number, view) in &self.views {
            let of = view.interests().into_iter();
            wanted.extend(of.map(|(part, fd, flags)| (Whose::View(*number, part), fd, flags)));
        }
        wanted
    }

    fn wait(&mut self) -> Result<Vec<(Whose, PollFlags)>, Errno> {
        let (patience, trouble) = self.recording.as_mut().map(Recording::turn).unwrap_or_default();
        if let Some(trouble) = trouble {
            self.tell(Report::Trouble(trouble));
        }
        let patience = patience.into_iter().chain(self.door.patience()).min();
        came(&self.interests(), patience)
    }

    fn turn(&mut self, whose: Whose, flags: PollFlags) {
        match whose {
            // Its end comes last.
            Whose::Jail => {}
            Whose::Control => self.hear_init(HEARD),
            Whose::Owner => self.obey(),
            Whose::Listener => self.change_owner(),
            Whose::Door => self.door.accept(),
            Whose::Asker(ask) => self.asked(ask),
            Whose::Recording => self.recording.iter_mut().for_each(Recording::read),
            Whose::View(number, part) => {
                let Some(view) = self.views.get_mut(&number) else { return };
                match view.turn(part, flags) {
                    Wish::Nothing => {}
                    Wish::Resized(size) => {
                        self.recording.iter_mut().for_each(|recording| recording.resize(size));
                    }
                    Wish::Signal(signal) => self.signal(number, signal),
                    Wish::Gone => self.left(number),
                }
            }
        }
    }

    /// Lets go of views that are over.
    fn settle(&mut self) {
        let over =
            self.views.iter_mut().filter_map(|(number, view)| view.is_over().then_some(*number));
        let over: Vec<u32> = over.collect();
        over.into_iter().for_each(|number| self.close(number));
    }

    /// Nobody looks by this view any more. One whose line must stay open counts on, for its owner, too: its place is for nobody
    /// else, so that no person can take those of others.
    fn close(&mut self, number: u32) {
        let Some(view) = self.views.get_mut(&number) else { return };
        if view.close() {
            self.views.remove(&number);
            return self.tell(Report::ViewOver { view: number });
        }
        let uid = view.looker.uid;
        let told = format!(
            "uid {uid} has sent what is not taken from a line for bytes, which stays theirs"
        );
        self.tell(Report::Trouble(told));
    }

    /// A process of the agent asks for something: the owner decides.
    fn asked(&mut self, ask: u32) {
        let Some(Asked { ask, pid, request }) = self.door.hear(ask) else { return };
        if self.owner.is_some() {
            self.tell_owner(Report::Asked { ask, pid, request: Box::new(request) });
        }
        if self.owner.is_none() {
            self.door.answer_all(&nobody());
        }
    }

    fn signal(&self, job: u32, signal: i32) {
        self.order(&jail::protocol::Order::SignalJob { job, signal }, &[]);
    }

    /// A person is gone: what their terminal showed hangs up with it, and a command without one is told so.
    fn left(&mut self, number: u32) {
        let Some(view) = self.views.get(&number) else { return };
        if view.of == Of::Command {
            self.signal(number, rustix::process::Signal::HUP.as_raw());
        }
        self.close(number);
    }

    fn order(&self, order: &jail::protocol::Order, descriptors: &[BorrowedFd<'_>]) {
        if let Err(error) = self.jail.hand(order, descriptors) {
            tracing::debug!(%error, "init was not told");
        }
    }

    fn hear_init(&mut self, most: usize) {
        use jail::protocol::Report as Said;
        for _ in 0..most {
            let Ok(Some(said)) = self.jail.hear_now() else { return };
            match said {
                Said::Detached { client } => {
                    if self.recording.as_mut().is_some_and(|recording| recording.ends(client)) {
                        self.born.recording = false;
                        self.tell(Report::NotRecorded);
                    }
                    self.end_view(client, Of::Session, End::Detached);
                }
                Said::JobEnded { job, status, cause } => {
                    self.end_view(job, Of::Command, End::Command { status, cause });
                }
                Said::Ended { status, signal, .. } => {
                    self.end = Some((status, signal));
                    self.tell(Report::Said(said));
                }
                Said::Up => {
                    self.born.session = true;
                    self.tell(Report::Said(said));
                }
                Said::Own(mut own) => {
                    // Init's word: more than that it never starts.
                    own.clients.truncate(MAX_OWN);
                    own.commands.truncate(MAX_OWN);
                    self.born.own = own.clone();
                    self.tell_owner(Report::Said(Said::Own(own)));
                }
                Said::Panes(_) | Said::Typed { .. } => self.tell_owner(Report::Said(said)),
                Said::Failed { .. }
                | Said::NoSession { .. }
                | Said::Screen(_)
                | Said::ServerGone => self.tell(Report::Said(said)),
            }
        }
    }

    fn end_view(&mut self, number: u32, of: Of, end: End) {
        if let Some(view) = self.views.get_mut(&number).filter(|view| view.of == of) {
            view.end(end);
        }
    }

    /// Tells the owner, and writes down what it must know where there is none.
    fn tell(&mut self, report: Report) {
        let told = self.owner.as_ref().map(|owner| wire::say_now(owner, &report));
        match told {
            Some(Ok(())) => {}
            Some(Err(_)) => {
                self.lose_owner();
                self.write_down(report);
            }
            None => self.write_down(report),
        }
    }

    /// The same for what the next owner is told anyway, or asks for itself.
    fn tell_owner(&mut self, report: Report) {
        if self.owner.is_some() {
            self.tell(report);
        }
    }

    fn write_down(&self, report: Report) {
        let Stay::Lasting { seen, .. } = &self.stay else { return };
        if let Err(errno) = append(seen, &Seen { time: now(), report }) {
            tracing::debug!(%errno, "what was seen is lost");
        }
    }

    /// The owner is gone, or takes nothing any more.
    fn lose_owner(&mut self) {
        self.owner = None;
        self.door.answer_all(&nobody());
        if matches!(self.stay, Stay::With(_)) {
            self.kill();
        }
    }

    fn kill(&self) {
        let killed = self.switches.as_ref().map(Switches::kill);
        // Without a cgroup init ends, and with it its namespace, when nobody is on its socket any more.
        if !matches!(killed, Some(Ok(())))
            && let Err(error) = self.jail.let_go()
        {
            tracing::debug!(%error, "init is gone already");
        }
    }

    fn change_owner(&mut self) {
        let Stay::Lasting { listener, .. } = &self.stay else { return };
        let Ok(owner) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) else {
            return;
        };
        // The socket lies where only root reaches it; the kernel's word on who came is asked for all the same.
        if sockopt::socket_peercred(&owner).is_ok_and(|peer| peer.uid.is_root()) {
            self.lose_owner();
            self.owner = Some(owner);
            self.greet();
        }
    }

    /// Tells a new owner what is kept.
    fn greet(&mut self) {
        let Some(owner) = &self.owner else { return };
        let people = self.views.iter().map(|(number, view)| (*number, view.looker.clone()));
        let born = Born { people: people.collect(), ..self.born.clone() };
        let greeting = Greeting::Born(Box::new(born));
        if wire::say_now(owner, &greeting).is_err() {
            self.lose_owner();
        }
    }

    fn obey(&mut self) {
        for _ in 0..HEARD {
            let Some(owner) = &self.owner else { return };
            match wire::take::<Order>(owner) {
                Ok(Some((order, descriptors))) => {
                    let view = order.view();
                    if let Err(trouble) = self.perform(order, descriptors) {
                        self.tell(Report::Trouble(trouble));
                        view.into_iter().for_each(|view| self.tell(Report::ViewOver { view }));
                    }
                }
                Err(Errno::AGAIN) => return,
                // Of another version: the jail is not given up for that.
                Err(Errno::PROTO) => {
                    self.tell(Report::Trouble("an order is not understood".to_owned()));
                }
                Ok(None) | Err(_) => self.lose_owner(),
            }
        }
    }

    fn perform(&mut self, order: Order, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        use jail::protocol::Order as Say;
        match order {
            Order::Watch => {
                self.born.up = true;
                self.order(&Say::Watch, &[]);
            }
            Order::Screen => self.order(&Say::Screen, &[]),
            Order::Panes => self.order(&Say::Panes, &[]),
            Order::Type { note, text } => self.order(&Say::Type { note, text }, &[]),
            Order::Answer { ask, answer } => {
                let along: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
                self.door.answer(ask, &answer, &along);
            }
            Order::Stop => self.order(&Say::Stop, &[]),
            Order::Kill => self.kill(),
            Order::SendAway { but, why } => self.send_away(&but, &why),
            // It ends when nobody holds it any more.
            Order::EndGate => self.gate = None,
            Order::Freeze(frozen) => {
                let done = match &self.switches {
                    Some(switches) => switches.freeze(frozen).map_err(|errno| errno.to_string()),
                    None => Err("it has no cgroup".to_owned()),
                };
                let cause = done.err().map(|cause| format!("cannot freeze the jail: {cause}"));
                self.tell(Report::Frozen { frozen, cause });
            }
            Order::Attach { view, types, looker } => {
                let (master, slave, line) = on_a_terminal(descriptors)?;
                self.show(view, View::new((Of::Session, looker), line, Some(master), types))?;
                self.order(&Say::Attach { client: view, types }, &[slave.as_fd()]);
            }
            Order::Record { view } => {
                let two = <[OwnedFd; 2]>::try_from(descriptors);
                let [master, slave] = two.map_err(|_| "the shim was not given a terminal")?;
                let recording = self.recording.as_mut().ok_or("this session is not recorded")?;
                recording.begin(view, master);
                self.born.recording = true;
                self.order(&Say::Attach { client: view, types: false }, &[slave.as_fd()]);
            }
            Order::Run { view, words, terminals, looker } => {
                let (master, given, line) = for_a_command(terminals, descriptors)?;
                // What is typed is for it only where it reads from there.
                self.show(view, View::new((Of::Command, looker), line, master, terminals[0]))?;
                let given: Vec<BorrowedFd<'_>> = given.iter().map(|fd| fd.as_fd()).collect();
                self.order(&Say::Run { job: view, words, terminals }, &given);
            }
        }
        Ok(())
    }

    fn show(&mut self, number: u32, view: View) -> Result<(), String> {
        if self.views.len() >= MOST_VIEWS {
            let why = format!("{MOST_VIEWS} people look at the jail already, and no more can");
            view.send_away(&why);
            return Err(why);
        }
        self.views.insert(number, view);
        Ok(())
    }

    /// Lets nobody look but `but`. A command of somebody else's does not go on either: it may not hear that it has lost its
    /// terminal.
    fn send_away(&mut self, but: &[u32], why: &str) {
        let others =
            self.views.iter().filter(|(number, view)| !but.contains(number) && !view.is_left());
        let others: Vec<(u32, Of)> = others.map(|(number, view)| (*number, view.of)).collect();
        for (number, of) in others {
            if of == Of::Command {
                self.signal(number, rustix::process::Signal::KILL.as_raw());
            }
            self.views.get(&number).into_iter().for_each(|view| view.send_away(why));
            self.close(number);
        }
    }

    /// The jail has ended.
    fn finish(mut self) -> Result<(), Errno> {
        self.hear_init(1000);
        let (status, signal) = self.end.unwrap_or_default();
        self.views.values_mut().for_each(|view| view.end(End::Jail { status, signal }));
        let code = status.or(signal.map(|signal| 128 + signal));
        self.recording.iter_mut().for_each(|recording| recording.finish(code));
        let until = Instant::now() + LAST_BYTES;
        loop {
            self.settle();
            let left = until.saturating_duration_since(Instant::now());
            if self.views.values().all(View::is_left) || left.is_zero() {
                break;
            }
            for (whose, flags) in self.wait_for_views(left)? {
                self.turn(whose, flags);
            }
        }
        let Self { jail, owner, stay, views, .. } = self;
        for mut view in views.into_values() {
            if !view.close() {
                tracing::debug!("a line ends with this process");
            }
        }
        // Nothing is told before init is reaped: who hears of the end may remove what it held.
        let status = jail.leave_to_sweep().unwrap_or(125);
        let report = Report::Over { status };
        let written = match &stay {
            Stay::Lasting { seen, .. } => {
                append(seen, &Seen { time: now(), report: report.clone() })
            }
            Stay::With(_) => Ok(()),
        };
        // On a full disk the owner hears of it all the same.
        if let Some(owner) = owner {
            // One that takes nothing any more finds it written down.
            wire::say_now(&owner, &report)?;
            // Where systemd keeps the jail's cgroup, it goes with this process: its last figures are read before.
            let mut read = [PollFd::new(&owner, PollFlags::IN)];
            poll(&mut read, Timespec::try_from(LAST_LOOK).ok().as_ref())?;
        }
        written
    }

    fn wait_for_views(&self, left: Duration) -> Result<Vec<(Whose, PollFlags)>, Errno> {
        let mut wanted = self.interests();
        wanted.retain(|(whose, ..)| matches!(whose, Whose::View(..)));
        came(&wanted, Some(left))
    }
}

/// What an agent is answered while nobody is there who decides.
fn nobody() -> Answer {
    Answer::failed("no supervisor runs now", "try again in a moment")
}

/// Waits for what is wanted, no longer than `patience`, and gives what came.
fn came(
    wanted: &[(Whose, BorrowedFd<'_>, PollFlags)],
    patience: Option<Duration>,
) -> Result<Vec<(Whose, PollFlags)>, Errno> {
    let polled = wanted.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags));
    let mut polled: Vec<_> = polled.collect();
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    match poll(&mut polled, patience.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    let came = wanted.iter().zip(&polled).map(|((whose, ..), fd)| (*whose, fd.revents()));
    Ok(came.filter(|(_, flags)| !flags.is_empty()).collect())
}

fn on_a_terminal(descriptors: Vec<OwnedFd>) -> Result<(OwnedFd, OwnedFd, Line), String> {
    match <[OwnedFd; 4]>::try_from(descriptors) {
        Ok([master, slave, bytes, news]) => Ok((master, slave, Line { bytes, news })),
        Err(_) => Err("the shim was not given a terminal and a line".to_owned()),
    }
}

/// The master of a command's terminal, where it has one; what is init's to give to the command; and its line.
fn for_a_command(
    terminals: [bool; 3],
    mut descriptors: Vec<OwnedFd>,
) -> Result<(Option<OwnedFd>, Vec<OwnedFd>, Line), String> {
    let shown = terminals.contains(&true);
    let others = terminals.iter().filter(|is_terminal| !**is_terminal).count();
    let most = if shown { 2 + others } else { others };
    if descriptors.len() != most + 2 {
        return Err("the shim was not given what a command needs".to_owned());
    }
    let master = shown.then(|| descriptors.remove(0));
    let (news, bytes) = (descriptors.pop(), descriptors.pop());
    match (bytes, news) {
        (Some(bytes), Some(news)) => Ok((master, descriptors, Line { bytes, news })),
        (_, _) => Err("the shim was not given a line".to_owned()),
    }
}

/// Writes one line to the file of what was seen: whole, or not at all.
fn append(file: &OwnedFd, seen: &Seen) -> Result<(), Errno> {
    let mut line = serde_json::to_vec(seen).map_err(|_| Errno::INVAL)?;
    line.push(b'\n');
    let length = rustix::fs::fstat(file)?.st_size.cast_unsigned();
    // The end itself is always written.
    let full = length > MOST_SEEN && !matches!(seen.report, Report::Over { .. });
    let written = if full { Err(Errno::FBIG) } else { rustix::io::pwrite(file, &line, length) };
    match written {
        Ok(count) if count == line.len() => Ok(()),
        // Half a line would swallow the next one.
        Ok(_) => rustix::fs::ftruncate(file, length).and(Err(Errno::NOSPC)),
        Err(errno) => Err(errno),
    }
}
