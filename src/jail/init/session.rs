//! `run`: the agent's tmux session, and those who look at it, all inside.
//!
//! The server is the agent's own process, and so everything it says is the agent's word: it decides
//! nothing but what the agent's person sees and which status is reported.

use super::super::protocol::{MAX_SAID, Order, Report};
use super::children::{Children, reap};
use super::programs::{NotStarted, Program, Programs, Standard};
use super::tmux::Tmux;
use super::{FAILED, Task, fail};
use crate::watch::state::Own;
use crate::wire::{say, take};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

/// How soon tmux is asked again where no process could be started to ask it.
const STARVED: Duration = Duration::from_millis(200);

/// The status of a command whose terminal hung up, as a shell gives it: 128 and SIGHUP.
const HUNG_UP: u8 = 129;

/// A session being kept.
struct Session<'t> {
    control: &'t OwnedFd,
    children: Children,
    tmux: Tmux<'t>,
    programs: Programs,
    /// The process that listens on the server's socket, once the session is there.
    server: Option<Pid>,
    /// The first process of the agent's pane.
    pane: Option<(Pid, OwnedFd)>,
    /// Whether the launcher waits for the end of that process.
    watching: bool,
    /// What was told of the programs that were started here.
    told: Option<Report>,
}

/// Keeps the session of `task` to its end.
pub(super) fn run(control: &OwnedFd, task: &Task) -> u8 {
    let Task::Run { tmux, socket, config, session, size, words } = task else {
        return fail(control, "init was not told which session to keep".to_owned(), FAILED);
    };
    let children = match Children::new() {
        Ok(children) => children,
        Err(errno) => {
            return fail(control, format!("init cannot wait for children: {errno}"), FAILED);
        }
    };
    let mut kept = Session {
        control,
        children,
        tmux: Tmux::new([tmux, socket, config, session]),
        programs: Programs::default(),
        server: None,
        pane: None,
        watching: false,
        told: None,
    };
    let begun = rustix::process::setsid()
        .map_err(|errno| format!("init cannot lead a session: {errno}"))
        .and_then(|_| kept.open([&size[0], &size[1]], words));
    match begun.and_then(|()| kept.keep()) {
        Ok(status) => status,
        Err(cause) => fail(control, cause, FAILED),
    }
}

impl Session<'_> {
    fn open(&mut self, size: [&OsString; 2], words: &[OsString]) -> Result<(), String> {
        let command = self.tmux.new_session(size.map(OsString::as_os_str), words);
        self.programs.open(&self.children, command).map_err(|(cause, _)| cause)
    }

    fn keep(&mut self) -> Result<u8, String> {
        loop {
            if let Some(status) = self.reap()? {
                return Ok(status);
            }
            if self.watching && self.pane.is_none() && !self.watch() {
                return self.finish();
            }
            self.tell_own()?;
            let pane = self.pane.as_ref().map(|(_, pane)| pane.as_fd());
            let again = (self.watching && self.pane.is_none()).then_some(STARVED);
            let ready = self
                .children
                .wait(self.control, pane, again)
                .map_err(|errno| format!("init cannot wait: {errno}"))?;
            if ready.watched {
                return self.finish();
            }
            if ready.control && !self.obey()? {
                return Ok(FAILED);
            }
        }
    }

    /// Reaps what ended; a status if that was the end of the session.
    fn reap(&mut self) -> Result<Option<u8>, String> {
        let (programs, server) = (&mut self.programs, self.server);
        let (mut ended, mut gone) = (Vec::new(), false);
        reap(|pid, status| {
            gone |= Some(pid) == server;
            ended.extend(programs.ended(pid, status));
        });
        for (program, status) in ended {
            match program {
                Program::Opening => {
                    if let Some(status) = self.opened(status)? {
                        return Ok(Some(status));
                    }
                }
                Program::Client(client) => self.tell(&Report::Detached { client })?,
                Program::Job(job) => self.tell(&Report::JobEnded { job, status, cause: None })?,
            }
        }
        if gone {
            return self.server_gone().map(Some);
        }
        Ok(None)
    }

    /// The program that was to make the session has ended; a status if there is none.
    fn opened(&mut self, status: u8) -> Result<Option<u8>, String> {
        self.server = self.tmux.server();
        if status == 0 && (self.server.is_some() || self.tmux.is_there()) {
            self.tell(&Report::Up)?;
            return Ok(None);
        }
        let said = self.programs.said(MAX_SAID);
        self.tell(&Report::NoSession { status: status.into(), said })?;
        Ok(Some(FAILED))
    }

    /// The server ended, and with it the word of how the command did: its terminal hung up.
    fn server_gone(&self) -> Result<u8, String> {
        self.tell(&Report::ServerGone)?;
        Ok(HUNG_UP)
    }

    /// Tells which programs are no orphans, though their parent is init.
    fn tell_own(&mut self) -> Result<(), String> {
        let pane = self.pane.as_ref().map(|(pid, _)| pid.as_raw_nonzero().get());
        let (clients, commands) = self.programs.pids();
        let own = Report::Own(Own { clients, commands, pane });
        if self.told.as_ref() != Some(&own) {
            self.tell(&own)?;
            self.told = Some(own);
        }
        Ok(())
    }

    fn tell(&self, report: &Report) -> Result<(), String> {
        say(self.control, report).map_err(|errno| format!("init cannot tell the launcher: {errno}"))
    }

    /// Does what the launcher says; false once it is gone.
    fn obey(&mut self) -> Result<bool, String> {
        let (order, descriptors) = match take(self.control) {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(false),
            Err(Errno::AGAIN) => return Ok(true),
            Err(_) => return Ok(false),
        };
        match order {
            Order::Watch => self.watching = true,
            Order::Stop => self.stop(),
            Order::Attach { client, types } => self.attach(client, types, descriptors)?,
            Order::Screen => self.tell(&Report::Screen(self.tmux.screen()))?,
            Order::Type { note, text } => {
                let done = self.tmux.type_in(&text);
                self.tell(&Report::Typed { note, done })?;
            }
            Order::Panes => self.tell(&Report::Panes(self.tmux.panes()))?,
            Order::Run { job, words, terminals } => {
                self.start(job, &words, Standard::new(terminals, descriptors))?;
            }
            Order::SignalJob { job, signal } => self.programs.signal(job, signal),
            Order::Start | Order::Signal(_) => {}
        }
        Ok(true)
    }

    fn attach(
        &mut self,
        client: u32,
        types: bool,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let command = self.tmux.attach_session(types);
        let Some(terminal) = Standard::new([true; 3], descriptors) else {
            return self.tell(&Report::Detached { client });
        };
        let program = Program::Client(client);
        match self.programs.start_on(&self.children, command, terminal, program) {
            Ok(()) => Ok(()),
            // Where the agent has taken all tasks there are, for one.
            Err((cause, _)) => {
                tracing::debug!(cause, "no tmux client");
                self.tell(&Report::Detached { client })
            }
        }
    }

    #[allow(clippy::disallowed_methods, reason = "what the agent's person runs in the jail")]
    fn start(
        &mut self,
        job: u32,
        words: &[String],
        standard: Option<Standard>,
    ) -> Result<(), String> {
        let refused = |cause: &str| -> Result<(), NotStarted> { Err((cause.to_owned(), FAILED)) };
        let started = match (words.split_first(), standard) {
            (Some((name, rest)), Some(standard)) => {
                let mut command = Command::new(name);
                command.args(rest);
                let program = Program::Job(job);
                self.programs.start_on(&self.children, command, standard, program)
            }
            (None, _) => refused("no command was given"),
            (Some(_), None) => refused("init was not given what the command is to use"),
        };
        match started {
            Ok(()) => Ok(()),
            Err((cause, status)) => {
                self.tell(&Report::JobEnded { job, status, cause: Some(cause) })
            }
        }
    }

    /// Asks the first process of the pane to end: by SIGTERM, and by SIGHUP for shells, which pass over the first.
    fn stop(&mut self) {
        if self.pane.is_none() {
            self.pane = self.tmux.pane_process();
        }
        let Some((_, pane)) = &self.pane else { return };
        for signal in [Signal::TERM, Signal::HUP, Signal::CONT] {
            if let Err(errno) = rustix::process::pidfd_send_signal(pane, signal) {
                tracing::debug!(%errno, "the agent's command was not asked to end");
            }
        }
    }

    /// Finds what is to be watched; false where it has ended already, or the server does not tell: either
    /// way nothing is left to wait for. Who cannot ask now asks again.
    fn watch(&mut self) -> bool {
        self.pane = self.tmux.pane_process();
        self.pane.is_some() || (self.tmux.starved() && self.tmux.is_there())
    }

    /// The command has ended: tells how, with the last screen, and ends the server.
    fn finish(&mut self) -> Result<u8, String> {
        let (status, signal) = self.tmux.how();
        if status.is_none() && signal.is_none() && !self.tmux.is_there() {
            return self.server_gone();
        }
        let screen = self.tmux.screen().unwrap_or_default();
        self.tell(&Report::Ended { status, signal, screen })?;
        let code = status.or_else(|| signal.map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(FAILED))
    }
}
