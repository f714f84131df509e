//! An agent's tmux session in a jail, shown on the person's terminal.

use super::gatekeeper::Gatekeeper;
use super::person::{Person, PersonKeys};
use super::wait::{Events, Waiter};
use super::{Ending, ShimError, keeper};
use crate::jail::protocol::{Order, Report};
use crate::launch::{Jail, Standard, launch};
use crate::limits::Meter;
use crate::plan::Plan;
use crate::terminal::keys::DetachKey;
use crate::terminal::plain::plain_lines;
use crate::terminal::relay::{Side, Status};
use crate::terminal::screenless::{Drained, Screenless};
use crate::terminal::size::{self, Size};
use nix::sys::signal::Signal;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use rustix::termios::isatty;
use std::time::Duration;

/// Lines of a last screen that are told, at the most.
const SCREEN_LINES: usize = 1000;

/// What the person is told about a session by their own terminal.
pub trait Notices {
    /// The person left; the agent goes on.
    fn detached(&mut self, agent: &str);
}

/// Keeps the session of `plan` to its end.
///
/// # Errors
/// [`ShimError`].
pub fn run(
    plan: &Plan,
    notices: &mut dyn Notices,
    timings: &mut Vec<(String, Duration)>,
) -> Result<Ending, ShimError> {
    let waiter = Waiter::new()?;
    let on_terminal = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
    let fixed = plan.terminal.as_ref().map(|terminal| terminal.size);
    let (columns, rows) = fixed.unwrap_or((80, 24));
    let size = if on_terminal {
        size::get(rustix::stdio::stdout())?.or_default()
    } else {
        Size { rows, columns }
    };
    let mut jail = launch(plan, Standard::Terminal { replaces: [true; 3], size }, timings)?;
    let gate = keeper(&mut jail, plan)?;
    let mut run = Run {
        gate,
        agent: plan.agent.clone(),
        meter: Meter::new(&jail.name(), jail.kept()),
        jail,
        on_terminal,
        view: View::Nobody(Box::default()),
        proved: false,
        told: Vec::new(),
        report: None,
    };
    while !run.turn(&waiter, notices)? {}
    run.finish()
}

/// Who sees the session.
enum View {
    /// The person.
    Shown(Box<Person>),
    /// Nobody: what it draws is dropped.
    Nobody(Box<Screenless>),
}

struct Run {
    agent: String,
    jail: Jail,
    gate: Option<Gatekeeper>,
    meter: Meter,
    on_terminal: bool,
    view: View,
    proved: bool,
    told: Vec<String>,
    report: Option<Report>,
}

impl Run {
    fn master(&self) -> Result<BorrowedFd<'_>, ShimError> {
        self.jail.master().ok_or(ShimError::Wait(rustix::io::Errno::BADF))
    }

    /// Waits and does what there is to do; `true` at the end.
    fn turn(&mut self, waiter: &Waiter, notices: &mut dyn Notices) -> Result<bool, ShimError> {
        let master = self.master()?;
        let wanted = match &self.view {
            View::Shown(person) => person.interests(master),
            View::Nobody(_) => self.unseen(master),
        };
        let own: Vec<_> = wanted.iter().map(|(_, fd, flags)| (*fd, *flags)).collect();
        let events = waiter.wait(&self.jail, &self.meter, self.gate.as_ref(), &own)?;
        let came: Vec<_> =
            wanted.iter().map(|(side, ..)| *side).zip(events.own.iter().copied()).collect();
        let any =
            |side: Side| came.iter().any(|(known, flags)| *known == side && !flags.is_empty());
        if !self.proved && any(Side::Master) {
            self.prove()?;
        }
        self.carry(&came, any(Side::Input), notices)?;
        self.react(&events, notices)?;
        Ok(events.ended)
    }

    /// What to wait for while nobody sees the session: its output, and Enter of a person who left.
    fn unseen<'f>(&self, master: BorrowedFd<'f>) -> Vec<(Side, BorrowedFd<'f>, PollFlags)> {
        let mut wanted = vec![(Side::Master, master, Screenless::INTEREST)];
        if self.on_terminal && self.proved {
            wanted.push((Side::Input, rustix::stdio::stdin(), PollFlags::IN));
        }
        wanted
    }

    /// The first byte came: before it is shown, the session must be the agent's.
    fn prove(&mut self) -> Result<(), ShimError> {
        match self.jail.prove_session() {
            Ok(server) => self.meter.set_server(server),
            // tmux complains before it has a server: that is heard when it ends.
            Err(crate::launch::LaunchError::Call { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.proved = true;
        self.jail.tell(&Order::Watch)?;
        if self.on_terminal {
            self.show()?;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<(), ShimError> {
        let keys = PersonKeys::Detach(DetachKey::new(DetachKey::PREFIX));
        let person = Person::attach(keys, [true; 3])?;
        person.fit(self.master()?)?;
        self.view = View::Shown(Box::new(person));
        Ok(())
    }

    /// Gives the terminal back to the person while the agent goes on.
    fn hide(&mut self, notices: &mut dyn Notices) -> Result<(), ShimError> {
        let nobody = View::Nobody(Box::default());
        if let View::Shown(person) = std::mem::replace(&mut self.view, nobody) {
            person.close()?;
            notices.detached(&self.agent);
        }
        Ok(())
    }

    fn carry(
        &mut self,
        came: &[(Side, PollFlags)],
        typed: bool,
        notices: &mut dyn Notices,
    ) -> Result<(), ShimError> {
        let master = self.jail.master().ok_or(ShimError::Wait(rustix::io::Errno::BADF))?;
        let status = match &mut self.view {
            View::Shown(person) => person.progress(master, came)?,
            View::Nobody(screenless) => {
                if screenless.drain(master)? == Drained::Closed {
                    // The jail's own end follows; until then there is nothing to wait for here.
                    std::thread::sleep(Duration::from_millis(5));
                }
                if typed && self.on_terminal && self.proved {
                    return self.come_back();
                }
                Status::Running
            }
        };
        match status {
            Status::Running => Ok(()),
            Status::Detached => self.hide(notices),
            Status::JailClosed => {
                std::thread::sleep(Duration::from_millis(5));
                Ok(())
            }
            Status::TerminalGone => {
                self.told.push("stopped: the terminal is gone".to_owned());
                // Once: it would be found gone again and again until the jail has ended.
                self.view = View::Nobody(Box::default());
                self.on_terminal = false;
                Ok(self.jail.kill()?)
            }
        }
    }

    /// The person pressed Enter after they had left.
    fn come_back(&mut self) -> Result<(), ShimError> {
        let mut line = [0; 256];
        let read = rustix::io::read(rustix::stdio::stdin(), &mut line).map_err(ShimError::Wait)?;
        if read == 0 {
            self.on_terminal = false;
            return Ok(());
        }
        self.show()?;
        Ok(self.jail.tell(&Order::Attach)?)
    }

    fn react(&mut self, events: &Events, notices: &mut dyn Notices) -> Result<(), ShimError> {
        if events.control {
            match self.jail.hear()? {
                Some(Report::Detached) => self.hide(notices)?,
                Some(report) => self.report = Some(report),
                None => {}
            }
        }
        if let Some(gate) = self.gate.as_mut().filter(|_| events.gate) {
            gate.turn();
        }
        // Who asks for the end does not wait for a look at a jail that keeps every processor busy.
        match events.signal {
            Some(Signal::SIGWINCH) => match &self.view {
                View::Shown(person) => person.fit(self.master()?)?,
                View::Nobody(_) => {}
            },
            Some(
                signal @ (Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT),
            ) => {
                self.told.push(format!("stopped by {signal}"));
                self.jail.kill()?;
            }
            Some(_) | None => {}
        }
        if let Some(used) = self.meter.turn(events.limits) {
            self.meter.watch_ended(used);
            self.jail.kill()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Ending, ShimError> {
        // What init said last may have come together with its end.
        while let Ok(Some(report)) = self.jail.hear() {
            self.report = Some(report);
        }
        let said = match std::mem::replace(&mut self.view, View::Nobody(Box::default())) {
            View::Shown(person) => {
                person.close()?;
                Vec::new()
            }
            View::Nobody(mut screenless) => {
                screenless.drain(self.master()?)?;
                screenless.last_lines(20)
            }
        };
        let mut told = std::mem::take(&mut self.told);
        told.extend(self.meter.finish());
        told.extend(self.gate.take().map(Gatekeeper::finish).unwrap_or_default());
        let report = self.report.take();
        let (proved, on_terminal, agent) = (self.proved, self.on_terminal, self.agent.clone());
        let status = self.jail.end()?;
        let mut screen = Vec::new();
        match report {
            Some(Report::Failed { cause, status }) => {
                return Err(ShimError::Failed { cause, status });
            }
            Some(Report::ServerGone { client }) if !proved => {
                return Err(ShimError::NoSession { status: client, said });
            }
            Some(Report::ServerGone { .. }) => {
                told.push(format!("the session of {agent} was closed"));
            }
            Some(Report::Ended { status, signal, screen: text }) => {
                told.push(ended(&agent, status, signal));
                if !on_terminal {
                    screen = plain_lines(&text, SCREEN_LINES);
                }
            }
            Some(Report::Detached) | None => told.push(format!("{agent} was ended")),
        }
        Ok(Ending { status, told, screen })
    }
}

fn ended(agent: &str, status: Option<i32>, signal: Option<i32>) -> String {
    match (status, signal) {
        (_, Some(signal)) => format!("{agent} ended by signal {signal}"),
        (Some(status), None) => format!("{agent} ended with exit status {status}"),
        (None, None) => format!("{agent} ended, and its tmux server did not tell how"),
    }
}
