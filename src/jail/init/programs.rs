//! The programs that init starts besides the agent's own: tmux's clients and further commands.

use super::children::{Children, shell_status};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitStatus};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::process::{Command, Stdio};

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// It makes the session.
    Opening,
    /// It shows the session to the client of this number.
    Client(u32),
    /// A further command.
    Job(u32),
}

/// The standard descriptors of a program.
pub(super) struct Standard {
    descriptors: [OwnedFd; 3],
    /// By which of them it has its terminal.
    terminal: Option<BorrowedFd<'static>>,
}

impl Standard {
    /// From what comes along with an order: the terminal that is to be those that are `terminals`, if any is, and then the
    /// others.
    pub(super) fn new(terminals: [bool; 3], given: Vec<OwnedFd>) -> Option<Self> {
        let mut given = given.into_iter();
        let shown = terminals.contains(&true).then(|| given.next());
        let shown = match shown {
            Some(None) => return None,
            Some(terminal) => terminal,
            None => None,
        };
        let mut next = |is_terminal: bool| match &shown {
            Some(terminal) if is_terminal => terminal.try_clone().ok(),
            Some(_) | None => given.next(),
        };
        let [input, output, complaints] = terminals;
        let descriptors = [next(input)?, next(output)?, next(complaints)?];
        if given.next().is_some() {
            return None;
        }
        let own = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        let terminal = own.into_iter().zip(terminals).find_map(|(fd, is)| is.then_some(fd));
        Some(Self { descriptors, terminal })
    }
}

/// Those that run.
#[derive(Default)]
pub(super) struct Programs {
    running: BTreeMap<i32, Program>,
    /// What the opening says.
    says: Option<File>,
}

/// Why a program was not started, with the status that tells of it.
pub(super) type NotStarted = (String, u8);

impl Programs {
    /// Starts the program that makes the session; what it says is kept.
    pub(super) fn open(
        &mut self,
        children: &Children,
        mut command: Command,
    ) -> Result<(), NotStarted> {
        let failed = |errno: Errno| (format!("cannot hear tmux: {errno}"), super::FAILED);
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (says, said) = rustix::pipe::pipe_with(flags).map_err(failed)?;
        rustix::io::ioctl_fionbio(&said, false).map_err(failed)?;
        let other = said.try_clone().map_err(|_| failed(Errno::MFILE))?;
        command.stdin(Stdio::null()).stdout(said).stderr(other);
        self.says = Some(says.into());
        self.start(children, command, Program::Opening)
    }

    /// Starts a program on `standard`; it leads the session of its terminal, where it has one.
    pub(super) fn start_on(
        &mut self,
        children: &Children,
        mut command: Command,
        standard: Standard,
        program: Program,
    ) -> Result<(), NotStarted> {
        let Standard { descriptors: [input, output, complaints], terminal } = standard;
        command.stdin(input).stdout(output).stderr(complaints);
        if let Some(terminal) = terminal {
            crate::sys::lead_session_of(&mut command, terminal);
        }
        self.start(children, command, program)
    }

    /// Starts a program, which keeps the standard descriptors of `command`.
    pub(super) fn start(
        &mut self,
        children: &Children,
        mut command: Command,
        program: Program,
    ) -> Result<(), NotStarted> {
        let spawned = children.start(|| command.spawn());
        let spawned = spawned
            .map_err(|errno| (format!("init cannot unblock signals: {errno}"), super::FAILED))?;
        match spawned {
            Ok(child) => {
                let pid = i32::try_from(child.id()).map_err(|_| ("no pid".to_owned(), 125))?;
                self.running.insert(pid, program);
                Ok(())
            }
            Err(error) => {
                let status = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
                let name = command.get_program().to_string_lossy();
                let cause = Errno::from_io_error(&error)
                    .map_or(error.to_string(), |errno| errno.to_string());
                Err((format!("cannot run {name}: {cause}"), status))
            }
        }
    }

    /// The numbers of those that run: those that show the session, and the others.
    pub(super) fn pids(&self) -> (Vec<i32>, Vec<i32>) {
        let all = self.running.iter();
        let (clients, others): (Vec<_>, Vec<_>) =
            all.partition(|(_, program)| matches!(program, Program::Client(_)));
        let numbers = |of: Vec<(&i32, &Program)>| of.into_iter().map(|(pid, _)| *pid).collect();
        (numbers(clients), numbers(others))
    }

    /// Which program it was that ended, with its status as a shell gives it.
    pub(super) fn ended(&mut self, pid: Pid, status: WaitStatus) -> Option<(Program, u8)> {
        let program = self.running.remove(&pid.as_raw_nonzero().get())?;
        Some((program, shell_status(status)))
    }

    /// What the program that makes the session has said, so much at the most.
    pub(super) fn said(&mut self, most: usize) -> String {
        let Some(mut says) = self.says.take() else { return String::new() };
        let mut bytes = vec![0; most];
        // Nothing is waited for: whoever it started may hold the other end for ever.
        let count = says.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// Sends `signal` to the further command `job`, and to all of its group.
    pub(super) fn signal(&self, job: u32, signal: i32) {
        let wanted = self.running.iter().find(|(_, program)| **program == Program::Job(job));
        let (Some((pid, _)), Some(signal)) = (wanted, Signal::from_named_raw(signal)) else {
            return;
        };
        // One that has just ended takes no signal, and needs none; one without a terminal leads no group.
        let Some(pid) = Pid::from_raw(*pid) else { return };
        let sent = rustix::process::kill_process_group(pid, signal)
            .or_else(|_| rustix::process::kill_process(pid, signal));
        if let Err(errno) = sent {
            tracing::debug!(%errno, "the command was not signalled");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::testing::Pty;
    use rustix::termios::isatty;

    #[test]
    fn each_standard_descriptor_is_the_terminal_or_what_came_for_it() {
        let file = || OwnedFd::from(tempfile::tempfile().unwrap());
        // A terminal whose other end is closed is none any more.
        let pty = Pty::open();
        for number in 0..8 {
            let terminals = [0, 1, 2].map(|bit| number & (1 << bit) != 0);
            let others = terminals.iter().filter(|is| !**is).count();
            let mut given: Vec<OwnedFd> = Vec::new();
            if others < 3 {
                given.push(pty.slave.try_clone().unwrap());
            }
            given.extend((0..others).map(|_| file()));
            let more = given.iter().map(|fd| fd.try_clone().unwrap()).chain([file()]).collect();
            assert!(Standard::new(terminals, more).is_none());
            let standard = Standard::new(terminals, given).unwrap();
            assert_eq!(standard.descriptors.each_ref().map(isatty), terminals);
            let first = terminals.iter().position(|is| *is).and_then(|at| i32::try_from(at).ok());
            let at = standard.terminal.map(|fd| rustix::fd::AsRawFd::as_raw_fd(&fd));
            assert_eq!(at, first);
            assert!(Standard::new(terminals, Vec::new()).is_none());
        }
    }
}
