//! PID 1 of a jail: starts the command, reaps what is orphaned, ends with it.
//!
//! It runs behind every wall, with the agent's uid, and is of use to nobody who takes it over: it has
//! no right that the agent lacks. It is not dumpable, so that the agent can neither trace it nor read
//! its memory; it ends, and with it the jail, when the launcher goes away.

mod canary;
mod children;
mod command;
mod programs;
mod session;
mod tmux;

use super::protocol::{Order, Report};
use crate::wire::{hear, say};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags};
use rustix::process::DumpableBehavior;
use std::ffi::OsString;

/// The name by which the program knows that it is to be init.
pub const NAME: &str = "cellblock-init";

/// The command that init itself takes the place of: how the escape battery attacks from PID 1.
pub const STAND_IN: &str = "cellblock-prober";

/// What init does in the place of the command [`STAND_IN`], with its standard input.
pub type StandIn = fn(BorrowedFd<'_>) -> u8;

/// The status of a failure of cellblock itself, as for `env`(1).
const FAILED: u8 = 125;

/// What init is asked to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run one command.
    Exec {
        /// Program and arguments.
        words: Vec<OsString>,
    },
    /// Keep a tmux session.
    Run {
        /// tmux in the jail.
        tmux: OsString,
        /// The server's socket.
        socket: OsString,
        /// Its configuration.
        config: OsString,
        /// The session's name.
        session: OsString,
        /// Columns and rows where nobody is attached.
        size: [OsString; 2],
        /// Program and arguments.
        words: Vec<OsString>,
    },
}

/// The words that follow the name: the control socket, the walls to test, the task.
pub(crate) struct Invocation {
    control: OwnedFd,
    walls: String,
    task: Task,
}

/// Does the work of init and returns the exit status of the jail.
///
/// # Errors
/// None is returned: what goes wrong is told to the launcher, and the status is 125.
#[must_use]
pub fn main(arguments: Vec<OsString>, stand_in: StandIn) -> u8 {
    let Some(invocation) = parse(arguments) else {
        return FAILED;
    };
    let control = &invocation.control;
    match prepare(control, &invocation.walls) {
        Ok(true) => {}
        // The launcher went away before it said anything.
        Ok(false) => return FAILED,
        Err(cause) => return fail(control, cause, FAILED),
    }
    match &invocation.task {
        Task::Exec { words } if *words == [STAND_IN] => stand_in(rustix::stdio::stdin()),
        Task::Exec { words } => command::run(control, words),
        task @ Task::Run { .. } => session::run(control, task),
    }
}

/// The words after the name, as `arguments` of `launch` puts them.
fn parse(arguments: Vec<OsString>) -> Option<Invocation> {
    let mut words = arguments.into_iter().skip(1);
    let number = words.next()?.to_str()?.parse().ok()?;
    let control = crate::sys::inherited(number).ok()?;
    let walls = words.next()?.into_string().ok()?;
    let kind = words.next()?;
    let task = match kind.to_str()? {
        "exec" => Task::Exec { words: words.collect() },
        "run" => Task::Run {
            tmux: words.next()?,
            socket: words.next()?,
            config: words.next()?,
            session: words.next()?,
            size: [words.next()?, words.next()?],
            words: words.collect(),
        },
        _ => return None,
    };
    Some(Invocation { control, walls, task })
}

/// Closes itself to the agent, tests the walls, and waits for the word of the launcher.
fn prepare(control: &OwnedFd, walls: &str) -> Result<bool, String> {
    // Before anything of the agent runs: exec made the process dumpable again.
    let call = |what: &str| format!("init cannot {what}");
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| format!("{}: {errno}", call("close itself to the agent")))?;
    rustix::io::fcntl_setfd(control, FdFlags::CLOEXEC)
        .map_err(|errno| format!("{}: {errno}", call("keep the control socket to itself")))?;
    // What whoever launched it ignores is nothing of the agent's: `nohup`, for one, makes everything it starts ignore SIGHUP.
    crate::sys::reset_signals().map_err(|errno| format!("{}: {errno}", call("reset signals")))?;
    canary::test(walls)?;
    match hear(control) {
        Ok(Some(Order::Start)) => Ok(true),
        Ok(None) => Ok(false),
        Ok(Some(_)) => Err("init was told something else than to start".to_owned()),
        Err(errno) => Err(format!("{}: {errno}", call("hear the launcher"))),
    }
}

/// Tells the launcher what went wrong; if it is gone, there is nobody to tell.
fn fail(control: &OwnedFd, cause: String, status: u8) -> u8 {
    match say(control, &Report::Failed { cause, status }) {
        Ok(()) | Err(Errno::PIPE) => status,
        Err(_) => FAILED,
    }
}
