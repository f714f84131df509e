//! Those who look at an agent, or run a further command in it: who may, how they come, and how they leave.

use super::agent::{Agent, Phase};
use super::errands::{self, For, Refusal};
use super::verbs::{Answered, failed, not_running, refused};
use super::{Supervisor, conn};
use crate::alerts::event::Kind;
use crate::control::handed;
use crate::control::protocol::Answer;
use crate::control::roles::{Caller, Verb};
use crate::limits::journal::now;
use crate::shim::owner::Further;
use crate::shim::protocol::{Line, Looker};
use crate::sys::Cloned;
use crate::terminal::size::Size;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;

/// Those who look at an agent, those of them that are root's alone, and those of one who is not root; the shim takes a few more.
pub(super) const MOST_PEOPLE: usize = 60;
const FOR_ROOT: usize = 8;
const MOST_OF_ONE: usize = 16;
/// What those are told whose lines are ended.
const SENT_AWAY: &str = "you may not look any more: the configuration was changed";

/// What a further command is made of: its words, which of its standard descriptors are a terminal, and the size of that.
pub(super) type Wanted = (Vec<String>, [bool; 3], Size);

/// Somebody whom a child tells the shim of.
#[derive(Debug)]
pub(super) struct Coming {
    agent: String,
    view: u32,
    pub(super) uid: u32,
    /// Their end of the line.
    line: Line,
    /// Which configuration they were allowed by.
    reads: u64,
    /// Whether the shim has said already that they have left.
    pub(super) has_left: bool,
}

impl Coming {
    /// Their end of the line, and the user that it is for.
    pub(super) fn into_line(self) -> (u32, [OwnedFd; 2]) {
        (self.uid, [self.line.bytes, self.line.news])
    }

    /// Whether that is the view `view` of `agent`.
    pub(super) fn is(&self, agent: &str, view: u32) -> bool {
        self.agent == agent && self.view == view
    }
}

impl Supervisor {
    /// Whether somebody looks so often that others might not any more.
    fn too_many(&self, caller: &Caller, name: &str) -> Option<Answered> {
        let agent = self.agents.get(name)?;
        let own = agent.people.values().filter(|person| person.uid == caller.uid).count();
        let most = if caller.uid == 0 { MOST_PEOPLE } else { MOST_PEOPLE - FOR_ROOT };
        if agent.people.len() >= most {
            let cause =
                format!("{most} look at {name} or run a command in it, and no more can at a time");
            return Some(refused(cause, "wait until one leaves: cellblock status shows who looks"));
        }
        if caller.uid != 0 && own >= MOST_OF_ONE {
            let cause = format!(
                "uid {} has {MOST_OF_ONE} sessions and commands of {name} open, and no more can be one's",
                caller.uid
            );
            return Some(refused(cause, "leave one of those"));
        }
        None
    }

    /// `caller`, as the shim is told who looks.
    fn looker(&self, number: u64, caller: &Caller, verb: Verb) -> Looker {
        let gid = self.conns.get(&number).map_or(u32::MAX, |conn| conn.gid);
        Looker { uid: caller.uid, gid, verb: verb.name().to_owned(), since: now() }
    }

    /// Shows the session of `name` to `caller`, who may type there where `types` says so.
    pub(super) fn attach(
        &mut self,
        (number, caller): (u64, &Caller),
        name: &str,
        types: bool,
        size: Size,
    ) -> Answered {
        if let Some(refusal) = self.too_many(caller, name) {
            return refusal;
        }
        let verb = if types { Verb::Attach } else { Verb::Watch };
        let looker = self.looker(number, caller, verb);
        let Some(up) = self.running(name) else { return not_running(name) };
        match up.owner.attach(types, size, looker.clone()) {
            Ok((view, line)) => {
                let coming = self.expect(name, (view, line), looker);
                Some(self.let_in(coming))
            }
            Err(error) => failed(&error),
        }
    }

    /// Runs a further command in `name`. What the caller hands over for it is taken by a child: whoever has made that may have
    /// who closes it wait for as long as they like, as with a file of a FUSE file system.
    pub(super) fn exec(
        &mut self,
        (number, caller): (u64, &Caller),
        name: &str,
        (words, terminals, size): Wanted,
    ) -> Answered {
        if let Some(refusal) = self.too_many(caller, name) {
            return refusal;
        }
        let uid = caller.uid;
        if uid != 0 && self.partings.of(uid) >= conn::MOST_OF_ONE {
            let cause = "what you have handed over before is still being closed";
            return refused(cause, "try again in a moment");
        }
        let looker = self.looker(number, caller, Verb::Exec);
        let Some(up) = self.running(name) else { return not_running(name) };
        let further = match up.owner.prepare(words, (terminals, size), looker.clone()) {
            Ok(further) => further,
            Err(error) => return failed(&error),
        };
        match self.tell_of(&further, (number, uid), (name, terminals)) {
            Ok(child) => {
                let (view, line) = further.into_line();
                let coming = self.expect(name, (view, line), looker);
                self.await_errand((number, uid), child, For::Exec(coming));
                None
            }
            Err(errno) => refused(format!("cannot make the process that asks for it: {errno}"), ""),
        }
    }

    /// A child that takes what the caller hands over, and tells the shim of `name` of the command.
    fn tell_of(
        &self,
        further: &Further,
        (number, uid): (u64, u32),
        (name, terminals): (&str, [bool; 3]),
    ) -> Result<(Cloned, OwnedFd), Errno> {
        let conn = self.conns.get(&number).ok_or(Errno::PIPE)?;
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(name) else {
            return Err(Errno::SRCH);
        };
        let owner = &up.owner;
        let needed: Vec<_> = [owner.link()].into_iter().chain(further.descriptors()).collect();
        errands::start(conn.as_fd(), &needed, || {
            let given = match conn.take_along() {
                Ok(given) => given,
                Err(errno) => {
                    let cause = format!("cannot take what you hand over: {errno}");
                    return (Err(Refusal::new(&cause, "")), Vec::new());
                }
            };
            let told = handed::check(uid, terminals, &given)
                .map_err(|error| Refusal::new(&error.to_string(), error.hint()))
                .and_then(|()| {
                    let told = owner.run(further, &given);
                    told.map_err(|error| Refusal::new(&error.to_string(), &error.hint()))
                });
            (told, given)
        })
    }

    /// Somebody is about to come: they are among those who look from now on, who may be sent away.
    fn expect(&mut self, name: &str, (view, line): (u32, Line), looker: Looker) -> Coming {
        let uid = looker.uid;
        if let Some(agent) = self.agents.get_mut(name) {
            agent.people.insert(view, looker);
        }
        let agent = name.to_owned();
        Coming { agent, view, uid, line, reads: self.reads, has_left: false }
    }

    /// The shim was told of somebody who comes: their line is given to them.
    pub(super) fn let_in(&mut self, coming: Coming) -> (Answer, Vec<OwnedFd>) {
        let Coming { agent: name, view, line, reads, has_left, .. } = coming;
        let read_anew = self.reads != reads;
        let looker = self.agents.get_mut(&name).and_then(|agent| {
            // Their rights may have ended meanwhile: the shim was told so before it knew of them, and is told once more.
            agent.recheck |= read_anew;
            agent.sent_away.remove(&view);
            agent.people.get(&view).cloned()
        });
        if let Some(looker) = looker {
            let told = format!("uid {} came to {name} ({})", looker.uid, looker.verb);
            self.note(&name, Kind::Attached, Some(looker.uid), told);
        }
        if has_left {
            self.left(&name, view);
        }
        self.send_away(&name);
        (Answer::Line, vec![line.bytes, line.news])
    }

    /// The shim was not told of somebody who wanted to come.
    pub(super) fn turn_back(&mut self, coming: Coming) {
        if let Some(agent) = self.agents.get_mut(&coming.agent) {
            agent.people.remove(&coming.view);
        }
        let (uid, line) = coming.into_line();
        self.partings.add(uid, line);
    }

    /// Nobody looks by this view any more.
    pub(super) fn left(&mut self, name: &str, view: u32) {
        // Who has not come yet leaves after that.
        if self.leaves_early(name, view) {
            return;
        }
        let Some(agent) = self.agents.get_mut(name) else { return };
        agent.sent_away.remove(&view);
        if let Some(looked) = agent.people.remove(&view) {
            let told = format!("uid {} left {name} ({})", looked.uid, looked.verb);
            self.note(name, Kind::Detached, Some(looked.uid), told);
        }
    }

    /// Ends the lines of those who may not look any more, where that is to be looked at.
    pub(super) fn send_away(&mut self, name: &str) {
        let Some(agent) = self.agents.get(name).filter(|agent| agent.recheck) else { return };
        let people = agent.people.iter().filter(|(view, _)| !agent.sent_away.contains(view));
        let people: Vec<_> = people.map(|(view, looker)| (*view, looker.clone())).collect();
        let (mut stay, mut leave) = (Vec::new(), Vec::new());
        for (view, looker) in people {
            let caller = self.groups.caller(looker.uid, looker.gid);
            let verb = Verb::named(&looker.verb);
            let allowed =
                verb.is_some_and(|verb| self.roles.allows(&caller, verb, Some(name)).is_ok());
            if allowed && self.reaches(&caller) {
                stay.push(view)
            } else {
                leave.push((view, looker))
            }
        }
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Phase::Up(up) = &agent.phase else { return };
        agent.recheck = false;
        if leave.is_empty() {
            return;
        }
        if let Err(error) = up.owner.send_away(stay, SENT_AWAY.to_owned()) {
            tracing::warn!(%error, agent = name, "its shim does not hear");
            agent.recheck = true;
            return;
        }
        agent.sent_away.extend(leave.iter().map(|(view, _)| *view));
        for (_, Looker { uid, verb, .. }) in leave {
            let told = format!("uid {uid} may not look at {name} any more ({verb})");
            self.note(name, Kind::SentAway, Some(uid), told);
        }
    }
}
