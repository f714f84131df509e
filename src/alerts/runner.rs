//! The process that runs the command of a sink: one for each, as the user that the configuration names, never root.
//!
//! It has no right and no descriptor but its line, on which alerts come from the process that tells them. What it starts has the
//! alert as JSON on its standard input and in variables, no other variable, no terminal, and a bounded time; then everything of it
//! is ended, what has left its session, too: this process is whom the kernel gives orphans to.
//!
//! Does not protect against: what the command itself does. It is root's choice, and has that user's rights.

#![forbid(unsafe_code)]

use super::alert::Alert;
use super::protocol::{Job, Ran, Run};
use crate::confine::{self, Bounds};
use crate::wire;
use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name by which the program knows that it is to run the command of a sink.
pub const NAME: &str = "cellblock-alerts-command";

/// What the command has for a `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What it, and this process, may use. Address space is not bounded: some runtimes take terabytes of it and use nothing.
const BOUNDS: Bounds = Bounds { descriptors: 256, memory: u64::MAX, file: 1 << 30 };
/// Bytes of its complaints that are told.
const COMPLAINT: usize = 400;
/// The status of one that could not go on.
const FAILED: u8 = 125;
/// How often everything that is left is ended.
const ENDINGS: u32 = 1000;

/// Runs the command for each alert that comes, until nobody is left who could send one. The words are the name, the uid and the
/// gid.
#[must_use]
pub fn main(words: &[OsString]) -> u8 {
    let id = |index: usize| words.get(index)?.to_str()?.parse::<u32>().ok();
    let (Some(uid), Some(gid)) = (id(1), id(2)) else { return FAILED };
    let Ok(line) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return FAILED;
    };
    if prepare(uid, gid).is_err() {
        return FAILED;
    }
    let Ok(Some(run)) = wire::hear::<Run>(&line) else { return FAILED };
    match serve(&line, &run) {
        Ok(()) => 0,
        Err(_) => FAILED,
    }
}

/// Gives up all rights. Nothing of the line stays as standard input.
fn prepare(uid: u32, gid: u32) -> Result<(), String> {
    if uid == 0 || gid == 0 {
        return Err("root runs no commands of sinks".to_owned());
    }
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let nowhere = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty());
    nowhere.and_then(|it| rustix::stdio::dup2_stdin(&it)).map_err(|errno| errno.to_string())?;
    // The supervisor's is among the last to end where memory runs out, and this is no reason for what is started here to be.
    std::fs::write("/proc/self/oom_score_adj", "0").map_err(|error| error.to_string())?;
    confine::bound(BOUNDS).map_err(|error| error.to_string())?;
    confine::become_user(uid, gid).map_err(|error| error.to_string())?;
    // What the supervisor waits for otherwise is not for what is started here to be deaf to.
    let unblocked = SigSet::empty().thread_set_mask();
    unblocked.map_err(|errno| errno.to_string())?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(|errno| errno.to_string())
}

fn serve(line: &OwnedFd, run: &Run) -> Result<(), Errno> {
    while let Some(Job { number, alert }) = wire::hear::<Job>(line)? {
        let ran = perform(line, run, &alert);
        end_all_left();
        match ran {
            Some(failed) => wire::say(line, &Ran { number, failed })?,
            // Nobody waits for it any more.
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Runs the command once: why it did not go well, or nothing. Nothing at all where nobody waits for it any more.
fn perform(line: &OwnedFd, run: &Run, alert: &Alert) -> Option<Option<String>> {
    let mut child = match start(run, alert) {
        Ok(child) => child,
        Err(cause) => return Some(Some(cause)),
    };
    let complaint = child.stderr.take().map(OwnedFd::from);
    let (outcome, said) = attend(line, &child, (run.timeout, complaint.as_ref()));
    if outcome != Outcome::Ended {
        end(&child);
    }
    let status = child.wait();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    match (outcome, status) {
        (Outcome::Alone, _) => None,
        (Outcome::Late, _) => {
            let seconds = Duration::from_millis(run.timeout).as_secs();
            Some(Some(format!("it took longer than {seconds} s and was ended{said}")))
        }
        (Outcome::Ended, Ok(status)) if status.success() => Some(None),
        (Outcome::Ended, Ok(status)) => Some(Some(format!("it ended with {status}{said}"))),
        (Outcome::Ended, Err(error)) => Some(Some(format!("cannot wait for it: {error}"))),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "what a sink runs is root's word, and has a user's rights"
)]
fn start(run: &Run, alert: &Alert) -> Result<Child, String> {
    let (program, arguments) = run.words.split_first().ok_or("no program is named")?;
    let text = serde_json::to_vec(alert).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LANG", "C.UTF-8");
    let Alert { id, time, host, rule, severity, agent, event, count, told, repeated, test } = alert;
    let flag = |set: &bool| if *set { "1" } else { "" }.to_owned();
    for (name, value) in [
        ("CELLBLOCK_ID", id.clone()),
        ("CELLBLOCK_TIME", time.to_string()),
        ("CELLBLOCK_HOST", host.clone()),
        ("CELLBLOCK_RULE", rule.clone()),
        ("CELLBLOCK_SEVERITY", severity.word().to_owned()),
        ("CELLBLOCK_AGENT", agent.clone().unwrap_or_default()),
        ("CELLBLOCK_EVENT", event.clone()),
        ("CELLBLOCK_COUNT", count.to_string()),
        ("CELLBLOCK_TOLD", told.clone()),
        ("CELLBLOCK_REPEATED", flag(repeated)),
        ("CELLBLOCK_TEST", flag(test)),
    ] {
        // A variable cannot have it.
        command.env(name, value.replace('\0', ""));
    }
    // A group of its own: it is ended as a whole.
    command.process_group(0).stdin(input(&text)?).stdout(Stdio::null()).stderr(Stdio::piped());
    let cannot = |error| format!("cannot start {}: {error}", program.escape_debug());
    command.spawn().map_err(cannot)
}

/// A file in memory with `text`: a command that does not read it holds nobody up.
fn input(text: &[u8]) -> Result<Stdio, String> {
    let cannot = |error: std::io::Error| format!("cannot write the alert down: {error}");
    let file = rustix::fs::memfd_create("alert", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = File::from(file.map_err(|errno| cannot(errno.into()))?);
    file.write_all(text).and_then(|()| file.write_all(b"\n")).map_err(cannot)?;
    file.rewind().map_err(cannot)?;
    Ok(Stdio::from(file))
}

/// How a command came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// By itself.
    Ended,
    /// It takes too long.
    Late,
    /// Who waits for it has gone away.
    Alone,
}

/// Waits for the command, so many milliseconds at the most, and reads what it complains of.
fn attend(
    line: &OwnedFd,
    child: &Child,
    (timeout, complaint): (u64, Option<&OwnedFd>),
) -> (Outcome, Vec<u8>) {
    let until = Instant::now() + Duration::from_millis(timeout);
    let mut said = Vec::new();
    let Some(pidfd) =
        pid(child).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return (Outcome::Late, said);
    };
    let mut open = complaint;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (Outcome::Late, said);
        }
        let mut waited = vec![
            PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(line.as_fd(), PollFlags::RDHUP),
        ];
        waited.extend(open.map(|fd| PollFd::new(fd, PollFlags::IN)));
        let patience = Timespec::try_from(left).ok();
        if poll(&mut waited, patience.as_ref()).is_err() {
            continue;
        }
        let came: Vec<bool> = waited.iter().map(|fd| !fd.revents().is_empty()).collect();
        if came.get(2) == Some(&true) && !read(open, &mut said) {
            open = None;
        }
        match (came[0], came[1]) {
            (true, _) => return (Outcome::Ended, said),
            (false, true) => return (Outcome::Alone, said),
            (false, false) => {}
        }
    }
}

/// Reads what is there, and keeps the beginning; whether there may be more.
fn read(from: Option<&OwnedFd>, said: &mut Vec<u8>) -> bool {
    let mut block = [0; 4096];
    let Some(Ok(count @ 1..)) = from.map(|from| rustix::io::read(from, &mut block)) else {
        return false;
    };
    let room = COMPLAINT.saturating_sub(said.len());
    said.extend_from_slice(&block[..count.min(room)]);
    true
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// The group of a command that is not reaped yet: its number is its own.
fn end(child: &Child) {
    if let Some(Err(errno)) =
        pid(child).map(|pid| rustix::process::kill_process_group(pid, Signal::KILL))
    {
        tracing::debug!(%errno, "the command has ended already");
    }
}

/// Ends what the command has left behind: this process has no other children.
fn end_all_left() {
    for _ in 0..ENDINGS {
        let own = rustix::process::getpid().as_raw_nonzero();
        let all = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let all = all.unwrap_or_default();
        let pids =
            all.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw);
        for pid in pids {
            // A child that is not reaped: nobody else has its number.
            if let Err(errno) = rustix::process::kill_process(pid, Signal::KILL) {
                tracing::debug!(%errno, "has ended already");
            }
        }
        // Those that end leave their own children to this process.
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
