//! `run`: the agent's tmux server and the client that shows it, both inside.
//!
//! The server is the agent's own process, and so everything it says is the agent's word: it decides
//! nothing but what the agent's person sees and which status is reported.

use super::super::protocol::{MAX_SCREEN, Order, Report};
use super::children::{Children, reap};
use super::{FAILED, Task, fail};
use crate::wire::{hear, say};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often and how long tmux is asked whether it has seen the end of its pane: a second in all.
const ASKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// How many answers the server may owe.
const PATIENCE: u32 = 2;
/// How long an answer of the server may take, and how much it may say.
const ANSWER: Duration = Duration::from_secs(3);
const MAX_ANSWER: usize = 1 << 20;
/// How soon tmux is asked again where no process could be started to ask it.
const STARVED: Duration = Duration::from_millis(200);

/// Leads a session of its own, with standard input as its terminal if that is one.
///
/// # Errors
/// A clause that says what failed.
pub(super) fn lead() -> Result<(), String> {
    rustix::process::setsid().map_err(|errno| format!("init cannot lead a session: {errno}"))?;
    let stdin = rustix::stdio::stdin();
    // Without a terminal (a pipe, a file) there is nothing to take.
    if rustix::termios::isatty(stdin) {
        rustix::process::ioctl_tiocsctty(stdin)
            .map_err(|errno| format!("init cannot take the jail's terminal: {errno}"))?;
    }
    Ok(())
}

/// The status of a command whose terminal hung up, as a shell gives it: 128 and SIGHUP.
const HUNG_UP: u8 = 129;

/// A session being kept.
struct Session<'t> {
    control: &'t OwnedFd,
    children: Children,
    tmux: &'t OsStr,
    socket: &'t OsStr,
    config: &'t OsStr,
    name: &'t OsStr,
    client: Option<Pid>,
    client_status: i32,
    /// The first process of the agent's pane.
    pane: Option<OwnedFd>,
    /// Whether the launcher waits for the end of that process.
    watching: bool,
    /// Whether the agent has taken all tasks there are, so that none was left to ask tmux with.
    starved: Cell<bool>,
}

/// Keeps the session of `task` to its end.
pub(super) fn run(control: &OwnedFd, task: &Task) -> u8 {
    let Task::Run { tmux, socket, config, session, words } = task else {
        return fail(control, "init was not told which session to keep".to_owned(), FAILED);
    };
    let children = match Children::new() {
        Ok(children) => children,
        Err(errno) => {
            return fail(control, format!("init cannot wait for children: {errno}"), FAILED);
        }
    };
    if let Err(cause) = lead() {
        return fail(control, cause, FAILED);
    }
    let mut session = Session {
        control,
        children,
        tmux,
        socket,
        config,
        name: session,
        client: None,
        client_status: 0,
        pane: None,
        watching: false,
        starved: Cell::new(false),
    };
    match session.start(words).and_then(|()| session.keep()) {
        Ok(status) => status,
        Err(cause) => fail(control, cause, FAILED),
    }
}

/// `words` as tmux must be given them: a word that ends in `;` would end the tmux command, and a
/// single word would go to a shell.
fn for_tmux(words: &[OsString]) -> Vec<OsString> {
    if let [word] = words {
        let quoted = word.to_string_lossy().replace('\'', r"'\''");
        return vec![format!("exec '{quoted}'").into()];
    }
    let escape = |word: &OsString| {
        let mut word = word.clone();
        if word.as_encoded_bytes().ends_with(b";") {
            let text = word.to_string_lossy();
            word = format!(r"{}\;", &text[..text.len() - 1]).into();
        }
        word
    };
    words.iter().map(escape).collect()
}

impl Session<'_> {
    #[allow(clippy::disallowed_methods, reason = "init is where the jail's tmux is started")]
    fn tmux(&self) -> Command {
        let mut command = Command::new(self.tmux);
        command.arg("-u").arg("-S").arg(self.socket).arg("-f").arg(self.config);
        command
    }

    /// Starts server, session and client in one.
    fn start(&mut self, words: &[OsString]) -> Result<(), String> {
        let mut command = self.tmux();
        command.arg("new-session").arg("-s").arg(self.name).arg("--").args(for_tmux(words));
        self.start_client(command)
    }

    fn attach(&mut self) -> Result<(), String> {
        let mut command = self.tmux();
        command.arg("attach-session").arg("-t").arg(self.target());
        self.start_client(command)
    }

    /// The session by its whole name.
    fn target(&self) -> OsString {
        let mut target = OsString::from("=");
        target.push(self.name);
        target
    }

    /// The active pane of the session: as a target for a pane, a name needs the colon.
    fn pane_target(&self) -> OsString {
        let mut target = self.target();
        target.push(":");
        target
    }

    fn start_client(&mut self, mut command: Command) -> Result<(), String> {
        let spawned = self.children.start(|| command.spawn());
        let child = spawned
            .map_err(|errno| format!("init cannot unblock signals: {errno}"))?
            .map_err(|error| format!("cannot run tmux: {error}"))?;
        self.client = pid_of(&child);
        Ok(())
    }

    fn keep(&mut self) -> Result<u8, String> {
        loop {
            if let Some(status) = self.reap()? {
                return Ok(status);
            }
            if self.watching && self.pane.is_none() && !self.watch() {
                return self.finish();
            }
            let pane = self.pane.as_ref().map(|pane| pane.as_fd());
            let again = (self.watching && self.pane.is_none()).then_some(STARVED);
            let ready = self
                .children
                .wait(self.control, pane, again)
                .map_err(|errno| format!("init cannot wait: {errno}"))?;
            if ready.watched {
                return self.finish();
            }
            if ready.control
                && let Some(status) = self.obey()?
            {
                return Ok(status);
            }
        }
    }

    /// Reaps what ended; a status if that was the end of the session.
    fn reap(&mut self) -> Result<Option<u8>, String> {
        let client = self.client;
        let mut ended = None;
        reap(|pid, status| {
            if Some(pid) == client {
                ended = Some(i32::from(super::children::shell_status(status)));
            }
        });
        let Some(status) = ended else { return Ok(None) };
        self.client = None;
        self.client_status = status;
        if !self.server_answers() {
            return self.server_gone().map(Some);
        }
        if self.pane_ended() {
            return self.finish().map(Some);
        }
        self.tell(&Report::Detached)?;
        Ok(None)
    }

    /// The server ended, and with it the word of how the command did: its terminal hung up.
    fn server_gone(&self) -> Result<u8, String> {
        self.tell(&Report::ServerGone { client: self.client_status })?;
        Ok(HUNG_UP)
    }

    fn pane_ended(&self) -> bool {
        self.ask("#{pane_dead}").is_some_and(|answer| answer == "1")
    }

    fn server_answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket).is_ok()
    }

    fn tell(&self, report: &Report) -> Result<(), String> {
        say(self.control, report).map_err(|errno| format!("init cannot tell the launcher: {errno}"))
    }

    /// Does what the launcher says; a status if that ends the session.
    fn obey(&mut self) -> Result<Option<u8>, String> {
        match hear(self.control) {
            Ok(Some(Order::Watch)) => {
                self.watching = true;
                Ok(None)
            }
            Ok(Some(Order::Attach)) if self.client.is_none() => self.attach().map(|()| None),
            Ok(Some(Order::Attach)) => {
                // The client goes on; the terminal it is seen on shows something else by now.
                self.output(&[OsStr::new("refresh-client")], None);
                Ok(None)
            }
            Ok(Some(Order::Start | Order::Signal(_))) => Ok(None),
            // The launcher is gone.
            Ok(None) | Err(_) => Ok(Some(FAILED)),
        }
    }

    /// Finds what is to be watched; false where it has ended already, or the server does not tell: either
    /// way nothing is left to wait for. Who cannot ask now asks again.
    fn watch(&mut self) -> bool {
        self.pane = self.pane_process();
        self.pane.is_some() || (self.starved.get() && self.server_answers())
    }

    /// The first process of the agent's pane, if it still runs. A machine under load may be slow to
    /// answer once.
    fn pane_process(&self) -> Option<OwnedFd> {
        let pid = (0..PATIENCE).find_map(|_| self.ask("#{pane_pid}"))?.parse().ok()?;
        rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
    }

    /// What tmux answers to a format, in one line.
    fn ask(&self, format: &str) -> Option<String> {
        let target = self.pane_target();
        let arguments =
            [OsStr::new("display-message"), OsStr::new("-p"), OsStr::new("-t"), &target];
        let answer = self.output(&arguments, Some(format))?;
        Some(answer.trim_end().to_owned())
    }

    /// The output of a tmux command. The server is the agent's: what it does not answer in time is
    /// not waited for.
    fn output(&self, arguments: &[&OsStr], last: Option<&str>) -> Option<String> {
        let mut command = self.tmux();
        command.args(arguments).args(last).stdin(Stdio::null()).stderr(Stdio::null());
        let spawned = command.stdout(Stdio::piped()).spawn();
        let starved = |error: &Error| error.kind() == ErrorKind::WouldBlock;
        self.starved.set(spawned.as_ref().is_err_and(starved));
        let mut child = spawned.ok()?;
        let output = child.stdout.take().and_then(|output| read_in_time(&output));
        if output.is_none() && child.kill().is_err() {
            tracing::debug!("a tmux client had ended already");
        }
        let status = child.wait().ok()?;
        output.filter(|_| status.success())
    }

    /// The command has ended: tells how, with the last screen, and ends the server.
    fn finish(&mut self) -> Result<u8, String> {
        let (status, signal) = self.how();
        if status.is_none() && signal.is_none() && !self.server_answers() {
            return self.server_gone();
        }
        let target = self.pane_target();
        let capture = [OsStr::new("capture-pane"), OsStr::new("-p"), OsStr::new("-t"), &target];
        let mut screen = self.output(&capture, None).unwrap_or_default();
        let mut end = screen.len().min(MAX_SCREEN);
        while !screen.is_char_boundary(end) {
            end -= 1;
        }
        screen.truncate(end);
        self.tell(&Report::Ended { status, signal, screen })?;
        let code = status.or_else(|| signal.map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(FAILED))
    }

    /// Has the server, `pid` by its own word, look for children that ended. It may have missed one: while
    /// libutempter enters a new window into utmp, it lets SIGCHLD be lost, and the status of a command
    /// that ends in that moment is never told.
    fn remind(&self, pid: Option<&str>) {
        let server = pid.and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        let server = server.filter(|server| !server.is_init());
        // One that is gone needs no reminder, and the signal does nothing to any other process.
        if let Some(Err(errno)) =
            server.map(|server| rustix::process::kill_process(server, Signal::CHILD))
        {
            tracing::debug!(%errno, "the tmux server was not reminded");
        }
    }

    /// The status and the signal with which the command ended, once tmux has seen it.
    fn how(&self) -> (Option<i32>, Option<i32>) {
        let mut silent = 0;
        for _ in 0..ASKS {
            let answer = self.ask("#{pane_dead},#{pane_dead_status},#{pane_dead_signal},#{pid}");
            if answer.is_none() && !self.server_answers() {
                break;
            }
            let Some(answer) = answer else {
                if self.starved.get() {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                silent += 1;
                // A server that is there and does not answer will not tell the status either.
                if silent == PATIENCE {
                    break;
                }
                continue;
            };
            let mut parts = answer.split(',');
            let dead = parts.next() == Some("1");
            let mut number = || parts.next().and_then(|part| part.parse().ok());
            // The pane is dead when its terminal is closed; the status comes when it is reaped.
            if let (true, (status, signal)) = (dead, (number(), number()))
                && (status.is_some() || signal.is_some())
            {
                return (status, signal);
            }
            self.remind(parts.next());
            std::thread::sleep(PAUSE);
        }
        (None, None)
    }
}

/// All that comes from `output` until it is closed, if that is soon.
fn read_in_time(output: &std::process::ChildStdout) -> Option<String> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    loop {
        let left = ANSWER.checked_sub(begun.elapsed())?;
        let mut waited = [PollFd::new(output, PollFlags::IN)];
        let timeout = Timespec::try_from(left).ok()?;
        if poll(&mut waited, Some(&timeout)).ok()? == 0 || bytes.len() > MAX_ANSWER {
            return None;
        }
        let mut block = [0; 4096];
        match rustix::io::read(output, &mut block).ok()? {
            0 => return Some(String::from_utf8_lossy(&bytes).into_owned()),
            count => bytes.extend_from_slice(&block[..count]),
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_command_and_not_tmux() {
        let words = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(for_tmux(&words(&["sh", "-c", "a;"])), words(&["sh", "-c", r"a\;"]));
        assert_eq!(for_tmux(&words(&["a", ";"])), words(&["a", r"\;"]));
        assert_eq!(for_tmux(&words(&["it's"])), words(&[r"exec 'it'\''s'"]));
    }
}
