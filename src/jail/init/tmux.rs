//! What init asks the tmux server of its session.
//!
//! The server is the agent's: what it does not answer in time is not waited for, and what it answers is the agent's word.

use super::super::protocol::{MAX_PANES, MAX_SCREEN};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the text is called in tmux that is about to be typed.
const BUFFER: &str = "cellblock";

/// How often and how long tmux is asked whether it has seen the end of its pane: a second in all.
const ASKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// How many answers the server may owe.
const PATIENCE: u32 = 2;
/// How long an answer of the server may take, and how much it may say.
const ANSWER: Duration = Duration::from_secs(3);
const MAX_ANSWER: usize = 1 << 20;

/// How the agent's command ended, as far as tmux tells.
pub(super) type How = (Option<i32>, Option<i32>);

/// The tmux of one session.
#[derive(Debug)]
pub(super) struct Tmux<'t> {
    program: &'t OsStr,
    socket: &'t OsStr,
    config: &'t OsStr,
    session: &'t OsStr,
    /// Whether the agent had taken all tasks there are, so that none was left to ask with.
    starved: Cell<bool>,
}

impl<'t> Tmux<'t> {
    pub(super) fn new(words: [&'t OsStr; 4]) -> Self {
        let [program, socket, config, session] = words;
        Self { program, socket, config, session, starved: Cell::new(false) }
    }

    /// tmux, as it is started for this session's server.
    #[allow(clippy::disallowed_methods, reason = "init is where the jail's tmux is started")]
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("-u").arg("-S").arg(self.socket).arg("-f").arg(self.config);
        command
    }

    /// Makes server and session, with nobody attached.
    pub(super) fn new_session(&self, size: [&OsStr; 2], words: &[OsString]) -> Command {
        let mut command = self.command();
        command.args(["new-session", "-d", "-x"]).arg(size[0]).arg("-y").arg(size[1]);
        command.arg("-s").arg(self.session).arg("--").args(for_tmux(words));
        command
    }

    /// Shows the session.
    pub(super) fn attach_session(&self, types: bool) -> Command {
        let mut command = self.command();
        command.arg("attach-session").arg("-t").arg(self.target());
        if !types {
            // Its size does not count while somebody types: from 3.2 on by the flag that comes with this, in 3.1 by this itself
            // (ignore_client_size in tmux's resize.c).
            command.arg("-r");
        }
        command
    }

    /// The session by its whole name.
    fn target(&self) -> OsString {
        let mut target = OsString::from("=");
        target.push(self.session);
        target
    }

    /// The active pane of the session: as a target for a pane, a name needs the colon.
    fn pane_target(&self) -> OsString {
        let mut target = self.target();
        target.push(":");
        target
    }

    /// Whether the last question could not be asked, as no process could be started.
    pub(super) fn starved(&self) -> bool {
        self.starved.get()
    }

    /// The process that listens on the server's socket, by the kernel's word (unix(7), `SO_PEERCRED`).
    pub(super) fn server(&self) -> Option<Pid> {
        let path = SocketAddrUnix::new(self.socket).ok()?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
        connect(&socket, &path).ok()?;
        Some(rustix::net::sockopt::socket_peercred(&socket).ok()?.pid)
    }

    /// Whether anybody listens there, now or as soon as there is room. Who may not be reached from inside does, too: from
    /// Landlock ABI 9 on a jail's processes reach no listener of another domain, and whose session that is is looked at
    /// from outside.
    pub(super) fn is_there(&self) -> bool {
        let Ok(path) = SocketAddrUnix::new(self.socket) else { return false };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        socket.is_ok_and(|socket| {
            matches!(connect(&socket, &path), Ok(()) | Err(Errno::AGAIN | Errno::ACCESS))
        })
    }

    /// The first process of the agent's pane, if it still runs. A machine under load may be slow to
    /// answer once.
    pub(super) fn pane_process(&self) -> Option<(Pid, OwnedFd)> {
        let pid = (0..PATIENCE).find_map(|_| self.ask("#{pane_pid}"))?.parse().ok()?;
        let pid = Pid::from_raw(pid)?;
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some((pid, process))
    }

    /// What is on the screen.
    pub(super) fn screen(&self) -> Option<String> {
        let target = self.pane_target();
        let capture = [OsStr::new("capture-pane"), OsStr::new("-p"), OsStr::new("-t"), &target];
        let mut screen = self.output(&capture, None)?;
        // A screen has none; in JSON each would take six times the room, and the message would be too long.
        screen.retain(|c| c == '\n' || !c.is_control());
        let mut end = screen.len().min(MAX_SCREEN);
        while !screen.is_char_boundary(end) {
            end -= 1;
        }
        screen.truncate(end);
        Some(screen)
    }

    /// Types `text` into the active pane of the session, as one that is pasted, and Enter after it: an editor of lines takes both
    /// apart. Whether that was done; where the pane's process has ended, nothing is typed.
    pub(super) fn type_in(&self, text: &str) -> bool {
        let target = self.pane_target();
        let pane = self.ask("#{pane_dead} #{pane_in_mode}");
        let Some(mode) = pane.as_deref().and_then(|pane| pane.strip_prefix("0 ")) else {
            return false;
        };
        let cancel = ["send-keys", "-X", "-t"].map(OsStr::new);
        // Somebody scrolls: tmux pastes without marks while they do.
        if mode != "0" && self.output(&[&cancel[..], &[&target]].concat(), Some("cancel")).is_none()
        {
            tracing::debug!(mode, "the pane stays in its mode");
        }
        // A word that ends in `;` would end tmux's command.
        let text = if text.ends_with(';') { format!("{text} ") } else { text.to_owned() };
        // A line feed is pasted as a carriage return, and reaches the program also where keys are a mode's.
        self.paste(&text, &["-p"]) && self.paste("\n", &[])
    }

    fn paste(&self, text: &str, options: &[&str]) -> bool {
        let target = self.pane_target();
        let set = ["set-buffer", "-b", BUFFER, "--"].map(OsStr::new);
        let paste = [&["paste-buffer", "-d", "-b", BUFFER], options, &["-t"]].concat();
        let paste = paste.into_iter().map(OsStr::new).chain([target.as_os_str()]);
        self.output(&set, Some(text)).is_some()
            && self.output(&paste.collect::<Vec<_>>(), None).is_some()
    }

    /// The first processes of the panes of the session.
    pub(super) fn panes(&self) -> Option<Vec<i32>> {
        let target = self.target();
        let list = [OsStr::new("list-panes"), OsStr::new("-s"), OsStr::new("-t"), &target];
        let list = [&list[..], &[OsStr::new("-F")]].concat();
        let answer = self.output(&list, Some("#{pane_pid}"))?;
        Some(answer.lines().filter_map(|line| line.parse().ok()).take(MAX_PANES).collect())
    }

    /// What tmux answers to a format, in one line.
    fn ask(&self, format: &str) -> Option<String> {
        let target = self.pane_target();
        let arguments =
            [OsStr::new("display-message"), OsStr::new("-p"), OsStr::new("-t"), &target];
        let answer = self.output(&arguments, Some(format))?;
        Some(answer.trim_end().to_owned())
    }

    /// The output of a tmux command.
    fn output(&self, arguments: &[&OsStr], last: Option<&str>) -> Option<String> {
        let mut command = self.command();
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
    pub(super) fn how(&self) -> How {
        let mut silent = 0;
        for _ in 0..ASKS {
            let answer = self.ask("#{pane_dead},#{pane_dead_status},#{pane_dead_signal},#{pid}");
            if answer.is_none() && !self.is_there() {
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
