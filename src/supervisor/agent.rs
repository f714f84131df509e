//! One agent: what is known of it, and how it goes from a state to the next.
//!
//! ```text
//!  start ─ Starting ─ Up ─ Cleaning ─┬─ Ended
//!             │        ▲             └─ Resting ─ Starting
//!  come back ─┴────────┘
//! ```

use super::state::{Outcome, Record};
use crate::control::protocol::{Looks, Shown, State, Used};
use crate::jail::protocol::Report as Said;
use crate::limits::read;
use crate::shim::owner::{Owner, Starting};
use crate::shim::run::ended;
use crate::sys::Cloned;
use std::collections::BTreeMap;
use std::time::Instant;

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// That it runs, or does not.
    Start,
    /// That it has ended.
    End,
    /// That it has ended and runs again.
    Restart,
    /// Its screen.
    Screen,
}

/// An agent with a jail.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) owner: Box<Owner>,
    /// Since when.
    pub(super) since: Instant,
    /// Until when its session must be there; nothing once it is.
    pub(super) until_up: Option<Instant>,
    /// When it is looked again whether the session is the agent's, which could not be seen.
    pub(super) prove_at: Option<Instant>,
    /// When everything of it is ended, where it was asked to end.
    pub(super) stopping: Option<Instant>,
    /// What its init said last about the session.
    pub(super) said: Option<Said>,
    /// Why it was ended from here.
    pub(super) ended_for: Option<String>,
    /// How often everything of it was ended.
    pub(super) endings: u32,
    /// Troubles that were written down.
    pub(super) troubles: u32,
}

/// Where it stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// A shim makes its jail, or comes back.
    Starting {
        /// The shim; taken when it says something.
        shim: Option<Starting>,
        /// Until when it must.
        until: Instant,
    },
    /// Its jail stands.
    Up(Up),
    /// Its jail has ended, and a child of this process removes what is left.
    Cleaning {
        /// The child.
        child: Cloned,
        /// How long the agent ran.
        ran: std::time::Duration,
    },
    /// It is started again then.
    Resting(Instant),
    /// It has ended.
    Ended,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) record: Record,
    pub(super) phase: Phase,
    /// Those who look, by the number of their view.
    pub(super) people: BTreeMap<u32, Looks>,
    /// Those who wait, by the number of their connection, and since when.
    pub(super) waits: Vec<(u64, Wait, Instant)>,
    /// Refused calls that were written down, since when.
    pub(super) refusals: Option<(Instant, u32)>,
}

impl Agent {
    pub(super) fn new(record: Record, phase: Phase) -> Self {
        Self { record, phase, people: BTreeMap::new(), waits: Vec::new(), refusals: None }
    }

    /// The name of its jail, as in the records of launches.
    pub(super) fn jail(&self) -> String {
        crate::launch::session_of(&self.record.name)
    }

    /// Whether it has processes, or is about to have some.
    pub(super) fn is_active(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Up(_) | Phase::Cleaning { .. } => true,
            Phase::Resting(_) | Phase::Ended => false,
        }
    }

    /// How it is, as it is told.
    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Starting { .. } => State::Starting,
            Phase::Up(up) if up.stopping.is_some() || up.ended_for.is_some() => State::Stopping,
            Phase::Up(up) if up.until_up.is_some() => State::Starting,
            Phase::Up(up) if is_frozen(&up.owner) => State::Frozen,
            Phase::Up(_) => State::Running,
            Phase::Cleaning { .. } => State::Stopping,
            Phase::Resting(_) => State::Waiting,
            Phase::Ended => State::Ended,
        }
    }

    /// In a list.
    pub(super) fn shown(&self) -> Shown {
        let Record { name, wanted, since, restarts, outcome, kept, .. } = &self.record;
        let up = matches!(self.phase, Phase::Up(_));
        let kept = kept.as_ref();
        let figures = kept.filter(|_| up).and_then(|kept| kept.cgroup.as_deref());
        let figures = figures.map(read::of_cgroup).unwrap_or_default();
        let used = |name: &str| {
            figures.gauge(name).map(|gauge| Used { used: gauge.used, limit: gauge.limit })
        };
        let profile = kept.map(|kept| kept.profile.clone()).filter(|profile| !profile.is_empty());
        Shown {
            name: name.clone(),
            profile: profile.unwrap_or_else(|| wanted.profile.clone()),
            state: self.state(),
            since: *since,
            uid: kept.map(|kept| kept.uid),
            people: u32::try_from(self.people.len()).unwrap_or(u32::MAX),
            restarts: *restarts,
            memory: used("memory"),
            tasks: used("tasks"),
            cpu: figures.cpu.map(|cpu| cpu.used_usec),
            how: outcome.as_ref().map(|outcome| outcome.how.clone()),
        }
    }
}

/// By the kernel's word: whoever froze it.
fn is_frozen(owner: &Owner) -> bool {
    let cgroup = owner.kept().cgroup.as_ref();
    let frozen = cgroup.and_then(|path| crate::host::text::read(path.join("cgroup.freeze")).ok());
    frozen.is_some_and(|text| text.trim() == "1")
}

/// How the agent `name` ended, by what its init said last and the status of the jail.
pub(super) fn outcome(name: &str, said: Option<&Said>, status: u8) -> Outcome {
    let of = |how: String, status| Outcome { how, status };
    match said {
        Some(Said::Failed { cause, status }) => of(cause.clone(), *status),
        Some(Said::NoSession { status: tmux, said }) => {
            let said = crate::terminal::plain::plain_lines(said, 5).join(" ");
            of(format!("tmux ended with status {tmux} before there was a session: {said}"), 125)
        }
        Some(Said::ServerGone) => of(format!("the session of {name} was closed"), status),
        Some(Said::Ended { status: code, signal, .. }) => of(ended(name, *code, *signal), status),
        Some(Said::Up | Said::Detached { .. } | Said::Screen(_) | Said::JobEnded { .. }) | None => {
            of(format!("{name} was ended"), status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_words_and_its_status() {
        let ended = |status, signal| Said::Ended { status, signal, screen: String::new() };
        let words = |said: Option<Said>| outcome("a", said.as_ref(), 9);
        assert_eq!(words(Some(ended(Some(0), None))).how, "a ended with exit status 0");
        assert_eq!(words(Some(ended(None, Some(9)))).how, "a ended by signal 9");
        assert_eq!(words(Some(Said::ServerGone)).how, "the session of a was closed");
        assert_eq!(words(None), Outcome { how: "a was ended".to_owned(), status: 9 });
        let failed = Said::Failed { cause: "no".to_owned(), status: 127 };
        assert_eq!(words(Some(failed)), Outcome { how: "no".to_owned(), status: 127 });
        let none = Said::NoSession { status: 1, said: "bad\x1b[1m".to_owned() };
        assert_eq!(words(Some(none)).status, 125);
    }
}
