//! Becomes a shim: launches as root, gives up every right, keeps the jail.

use super::ShimError;
use super::door::Door;
use super::keep::{Keep, LONGEST_SEEN};
use super::protocol::{Ask, Born, Greeting};
use super::record::{self, Prepared, Recording};
use crate::confine::{self, Bounds, Reach};
use crate::launch::{Jail, Standard, Timings, launch};
use crate::plan::{Mode, Plan, WallState};
use crate::planning::{self, PlanningError};
use crate::sys;
use crate::watch::state::Own;
use crate::wire;
use nix::sys::signal::SigSet;
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::{CWD, Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// The name by which the program knows that it is to be a shim.
pub const NAME: &str = "cellblock-shim";

/// What it may use: descriptors of 64 views, memory for what is on its way, and the longest file that it writes, of what it
/// sees or a part of the `recording`. A message to its owner that is a file in memory is shorter than either.
fn bounds(recording: Option<&Prepared>) -> Bounds {
    let part = recording.map_or(0, Prepared::longest);
    Bounds { descriptors: 512, memory: 1 << 30, file: part.max(LONGEST_SEEN) }
}

/// How long the jail is kept.
pub(super) enum Stay {
    /// As long as its owner lives: this process.
    With(Pid),
    /// As long as the agent does.
    Lasting {
        /// Where owners come back.
        listener: OwnedFd,
        /// What it sees while there is none.
        seen: OwnedFd,
    },
}

/// The status of a shim that could not keep its jail.
const FAILED: u8 = 125;

/// Does the work of a shim that was started for it, to the end of its jail. Its standard input is its owner's socket, on which
/// an [`Ask`] comes first.
#[must_use]
pub fn main() -> u8 {
    let Ok(link) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return FAILED;
    };
    let Ok(Some((ask, descriptors))) = wire::receive_sealed::<Ask>(&link) else { return FAILED };
    let Ok([listener, seen]) = <[OwnedFd; 2]>::try_from(descriptors) else { return FAILED };
    let stay = Stay::Lasting { listener, seen };
    match planning::plan(&ask.wanted, Mode::Run, &ask.caller) {
        Ok(planned) => serve(&planned.plan, link, stay, planned.timings),
        Err(error) => refuse(&link, &stay, refusal_of_plan(&error)),
    }
}

/// The longest cause, in characters: a greeting is one datagram, in which each may take six bytes.
const LONGEST_CAUSE: usize = wire::LONGEST / 8;

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_CAUSE).collect()
}

fn refusal_of_plan(error: &PlanningError) -> Greeting {
    let cause = cut(&error.to_string());
    Greeting::Failed { cause, hint: String::new(), status: error.status() }
}

fn refusal(error: &ShimError) -> Greeting {
    let (cause, hint) = (cut(&error.to_string()), error.hint());
    Greeting::Failed { cause, hint, status: error.status() }
}

/// Tells the owner that there is no jail; where there is no owner any more, it is written down.
fn refuse(link: &OwnedFd, stay: &Stay, refusal: Greeting) -> u8 {
    if let Stay::Lasting { seen, .. } = stay {
        // One line, as those of what was seen: who reads it tells them apart.
        let written = serde_json::to_vec(&refusal).map_err(|_| Errno::INVAL);
        let written = written.and_then(|text| rustix::io::pwrite(seen, &text, 0));
        if let Err(errno) = written {
            tracing::debug!(%errno, "the refusal is not written down");
        }
    }
    match wire::say_now(link, &refusal) {
        Ok(()) => 0,
        Err(_) => FAILED,
    }
}

/// Launches the jail of `plan` and keeps it.
pub(super) fn serve(plan: &Plan, link: OwnedFd, stay: Stay, mut timings: Timings) -> u8 {
    let with = match &stay {
        Stay::With(owner) => Some(*owner),
        Stay::Lasting { .. } => None,
    };
    let launched = prepare(with).map_err(ShimError::Wait).and_then(|()| {
        let recording = record::prepare(plan)?;
        let jail = launch(plan, Standard::Inherit, with, &mut timings)?;
        Ok((jail, recording))
    });
    let launched = match launched {
        Ok(launched) => launched,
        Err(error) => return refuse(&link, &stay, refusal(&error)),
    };
    match settle(plan, launched, (link, stay), timings) {
        Ok(keep) => match keep.keep() {
            Ok(()) => 0,
            Err(_) => FAILED,
        },
        Err(status) => status,
    }
}

/// Nothing that the owner's terminal or signals do reaches a shim.
///
/// One that ends with its owner is ended by the kernel as long as it has rights: what it has made by then, the next launch
/// removes. Later the end of file on its socket takes the place of that (PR_SET_PDEATHSIG(2const)).
fn prepare(with: Option<Pid>) -> Result<(), Errno> {
    if let Some(owner) = with {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(owner) {
            return Err(Errno::SRCH);
        }
    }
    // One that was started for it leads a session already.
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let nowhere = rustix::fs::openat(CWD, "/dev/null", flags, FileMode::empty())?;
    rustix::stdio::dup2_stdin(&nowhere)?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    let unblocked = SigSet::empty().thread_set_mask();
    unblocked.map_err(|errno| Errno::from_raw_os_error(errno as i32))
}

/// Gives up all rights; what is kept afterwards.
fn settle(
    plan: &Plan,
    (mut jail, recording): (Jail, Option<Prepared>),
    (link, stay): (OwnedFd, Stay),
    timings: Timings,
) -> Result<Keep, u8> {
    let gate = jail.take_gate().map(crate::launch::Gate::into_hold);
    let without = plan.walls.iter().filter_map(|wall| match &wall.state {
        WallState::Without(why) => Some((wall.wall.name().to_owned(), why.clone())),
        WallState::Stands(_)
        | WallState::NotInKernel(_)
        | WallState::NotSet
        | WallState::CannotStand(_) => None,
    });
    let born = Born {
        size: plan.terminal.as_ref().map_or((80, 24), |terminal| terminal.size),
        network: plan.network.word().to_owned(),
        without: without.collect(),
        timings,
        session: false,
        up: false,
        recording: false,
        people: Vec::new(),
        own: Own::default(),
        records: recording.is_some(),
    };
    let switches = match jail.switches().and_then(|switches| {
        jail.keep_record_unwritten()?;
        Ok(switches)
    }) {
        Ok(switches) => switches,
        Err(error) => {
            drop(jail);
            return Err(refuse(&link, &stay, refusal(&error.into())));
        }
    };
    let door = Door::new(jail.take_door());
    let keep = Keep {
        jail,
        door,
        switches,
        stay,
        owner: Some(link),
        born,
        gate,
        views: BTreeMap::new(),
        recording: None,
        end: None,
    };
    let Some(uid) = plan.terminal.as_ref().map(|terminal| terminal.shim.uid) else {
        let none = "only a session is kept by a shim".to_owned();
        return Err(keep.give_up(&ShimError::Launch(crate::launch::LaunchError::Unusable(none))));
    };
    match keep.confine(uid, plan.landlock.abi > 0, recording.as_ref()) {
        Ok(()) => Ok(Keep { recording: recording.map(Recording::new), ..keep }),
        Err(error) => Err(keep.give_up(&error)),
    }
}

impl Keep {
    /// Closes all that is not needed, and gives up every right.
    fn confine(
        &self,
        uid: u32,
        landlock: bool,
        recording: Option<&Prepared>,
    ) -> Result<(), ShimError> {
        let folder = recording.map(|prepared| prepared.folder.as_fd());
        let mut kept = self.descriptors();
        kept.extend(folder.map(|folder| folder.as_raw_fd()));
        sys::close_all_but(&kept).map_err(ShimError::Wait)?;
        // A file that would become too long is not written, and ends nobody. Only now: the jail's init inherits nothing of it.
        sys::ignore_signal(nix::sys::signal::Signal::SIGXFSZ).map_err(ShimError::Wait)?;
        let reach = Reach::Write(folder.into_iter().collect());
        let confined = confine::bound(bounds(recording))
            .and_then(|()| confine::give_up_rights(uid, false))
            .and_then(|()| confine::restrict("shim", landlock, &reach));
        confined.map_err(ShimError::Confine)
    }

    /// All that it goes on with.
    fn descriptors(&self) -> Vec<i32> {
        let mut kept: Vec<i32> = self.jail.descriptors();
        kept.extend(self.owner.as_ref().map(|fd| fd.as_raw_fd()));
        kept.extend(self.gate.as_ref().map(|gate| gate.as_fd().as_raw_fd()));
        let switches = self.switches.iter().flat_map(crate::launch::Switches::descriptors);
        kept.extend(switches.map(|fd| fd.as_raw_fd()));
        kept.extend(self.door.interests().0.map(|fd| fd.as_raw_fd()));
        if let Stay::Lasting { listener, seen } = &self.stay {
            kept.extend([listener.as_fd().as_raw_fd(), seen.as_fd().as_raw_fd()]);
        }
        kept
    }

    /// A shim with rights keeps nothing: the jail ends. Whoever has the record removes the rest.
    fn give_up(self, error: &ShimError) -> u8 {
        let Self { jail, owner, stay, .. } = self;
        let killed = jail.kill();
        let left = jail.leave_to_sweep();
        if let (Err(error), _) | (_, Err(error)) = (killed, left.map(|_| ())) {
            tracing::debug!(%error, "the next launch will remove what is left of the jail");
        }
        owner.map_or(FAILED, |link| refuse(&link, &stay, refusal(error)))
    }
}

/// Whether `words` mean a shim.
#[must_use]
pub fn is_meant(words: &[OsString]) -> bool {
    words.first().is_some_and(|name| name == NAME)
}
