//! An agent's tmux session in a jail, shown on the person's terminal: one shim, whose owner this process is.

use super::client::{Client, Left, Typing};
use super::owner::{Heard, Owner, Starting};
use super::person::own_size;
use super::protocol::{End, Looker, Report as Told};
use super::wait::Waiter;
use super::{Ending, ShimError, ended, was_ended};
use crate::alerts::event::{Event, Kind, Label, Teller};
use crate::denial::Denial;
use crate::jail::protocol::Report as Said;
use crate::launch::{LaunchError, record};
use crate::limits::Kept;
use crate::limits::journal::{Journal, now};
use crate::plan::Plan;
use crate::sys::Cloned;
use crate::terminal::plain::plain_lines;
use crate::watch::keeper::{Heard as FromWatch, Keeper};
use crate::watch::protocol::Report;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::WaitOptions;
use rustix::termios::isatty;
use std::time::{Duration, Instant};

/// Lines of a last screen that are told, at the most.
const SCREEN_LINES: usize = 1000;
/// Lines of what tmux said, at the most.
const SAID_LINES: usize = 20;

/// How long the watch may take to say its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the person is told about a session by their own terminal.
pub trait Notices {
    /// The person left; the agent goes on.
    fn detached(&mut self, agent: &str);
    /// The agent stands still, for this reason, until the person comes back.
    fn frozen(&mut self, agent: &str, why: &str);
}

/// At the end nobody is told anything by the terminal.
struct Nobody;

impl Notices for Nobody {
    fn detached(&mut self, _: &str) {}
    fn frozen(&mut self, _: &str, _: &str) {}
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
    // Before there is an agent: without a watch there is none.
    let watch = plan.watch.as_ref();
    let watch =
        watch.map(|watch| Keeper::start(watch.uids, watch.events_per_second.into(), watch.audit));
    let watch = watch.transpose()?;
    let starting = Starting::fork(plan)?;
    let mut stopped = None;
    loop {
        let (signal, came) = waiter.wait(&[(starting.link(), PollFlags::IN)], None)?;
        stopped = stopped.or(signal.filter(|signal| ends(*signal)));
        if came.iter().any(|flags| !flags.is_empty()) {
            break;
        }
    }
    let mut owner = starting.wait()?;
    timings.extend(owner.take_timings());
    let mut run = Run {
        watch,
        agent: plan.agent.clone(),
        owner,
        client: None,
        on_terminal,
        up: false,
        is_frozen: false,
        told: Vec::new(),
        said: None,
        status: None,
    };
    let begun = run.watch_agent();
    match begun.and_then(|()| run.keep(&waiter, stopped, notices)) {
        Ok(()) => run.finish(),
        Err(error) => Err(run.abandon(error)),
    }
}

fn wait_for(shim: &Cloned) -> Result<(), ShimError> {
    let waited = rustix::process::waitpid(Some(shim.pid), WaitOptions::empty());
    waited.map(|_| ()).map_err(ShimError::Wait)
}

fn ends(signal: Signal) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT)
}

struct Run {
    /// Sees what the agent starts.
    watch: Option<Keeper>,
    agent: String,
    owner: Owner,
    /// The person, where they look.
    client: Option<Client>,
    on_terminal: bool,
    up: bool,
    /// Whether the watch has frozen it.
    is_frozen: bool,
    told: Vec<String>,
    /// What init said last about the session.
    said: Option<Said>,
    /// The status of the jail, once it has ended.
    status: Option<u8>,
}

impl Run {
    /// Keeps it to the end of the jail.
    fn keep(
        &mut self,
        waiter: &Waiter,
        stopped: Option<Signal>,
        notices: &mut dyn Notices,
    ) -> Result<(), ShimError> {
        if let Some(signal) = stopped {
            self.stop(signal)?;
        }
        while !self.turn(waiter, notices)? {}
        Ok(())
    }

    /// Ends what cannot be kept on; the error is what is told.
    fn abandon(self, error: ShimError) -> ShimError {
        let Self { owner, client, .. } = self;
        let closed = client.map_or(Ok(()), Client::close);
        let jail = owner.jail().to_owned();
        let killed = owner.kill();
        let (_, process) = owner.finish();
        let ended = process.map_or(Ok(()), |process| wait_for(&process));
        let removed = ended.and_then(|()| Ok(record::finish(&jail)?));
        for failed in [closed, killed, removed].into_iter().filter_map(Result::err) {
            tracing::warn!(%failed, "while the jail was ended");
        }
        error
    }

    /// Waits and does what there is to do; `true` at the end.
    fn turn(&mut self, waiter: &Waiter, notices: &mut dyn Notices) -> Result<bool, ShimError> {
        let owners = self.owner.interests();
        let persons = match &self.client {
            Some(client) => client.interests(),
            None => self.unseen(),
        };
        let count = owners.len();
        let persons_end = count + persons.len();
        let watch = self.watch.as_ref().map(|watch| (watch.link(), watch.wants()));
        let all: Vec<_> = owners.into_iter().chain(persons).chain(watch).collect();
        let ask = self.watch.as_ref().map(Keeper::patience);
        let patience = ask.into_iter().chain([self.owner.patience()]).min();
        let (signal, came) = waiter.wait(&all, patience)?;
        drop(all);
        // Who asks for the end does not wait for a look at a jail that keeps every processor busy.
        match signal {
            Some(Signal::SIGWINCH) => self.client.as_ref().map_or(Ok(()), Client::fit)?,
            Some(signal) if ends(signal) => self.stop(signal)?,
            Some(_) | None => {}
        }
        self.carry(&came[count..persons_end], notices)?;
        let due = self.watch.as_ref().is_some_and(|watch| watch.patience().is_zero());
        if due || came[persons_end..].iter().any(|flags| !flags.is_empty()) {
            self.hear_watch(notices)?;
        }
        let heard = self.owner.turn(&came[..count])?;
        // Nobody comes after this owner who would have to know.
        self.owner.answer_network(None);
        self.react(heard)
    }

    /// While nobody sees the session: Enter of a person who left.
    fn unseen(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let waits = self.on_terminal && self.up;
        waits.then(|| (rustix::stdio::stdin(), PollFlags::IN)).into_iter().collect()
    }

    fn stop(&mut self, signal: Signal) -> Result<(), ShimError> {
        self.told.push(format!("stopped by {signal}"));
        self.owner.kill()
    }

    fn carry(&mut self, came: &[PollFlags], notices: &mut dyn Notices) -> Result<(), ShimError> {
        let Some(client) = &mut self.client else {
            if came.iter().any(|flags| !flags.is_empty()) {
                return self.come_back();
            }
            return Ok(());
        };
        let Some(left) = client.turn(came)? else { return Ok(()) };
        let Some(client) = self.client.take() else { return Ok(()) };
        match left {
            Left::Detached | Left::End(End::Detached) => {
                client.close()?;
                notices.detached(&self.agent);
            }
            Left::End(End::SentAway { why }) => {
                client.close()?;
                self.told.push(why);
            }
            // The jail's own end follows.
            Left::End(End::Jail { .. } | End::Command { .. }) | Left::Lost | Left::Signal(_) => {
                client.close()?;
            }
            Left::TerminalGone => {
                self.told.push("stopped: the terminal is gone".to_owned());
                self.on_terminal = false;
                client.close()?;
                self.owner.kill()?;
            }
        }
        Ok(())
    }

    /// The person pressed Enter after they had left.
    fn come_back(&mut self) -> Result<(), ShimError> {
        let mut line = [0; 256];
        let read = rustix::io::read(rustix::stdio::stdin(), &mut line).map_err(ShimError::Wait)?;
        if read == 0 {
            self.on_terminal = false;
            return Ok(());
        }
        if std::mem::take(&mut self.is_frozen) {
            self.owner.freeze(false)?;
        }
        self.show()
    }

    fn show(&mut self) -> Result<(), ShimError> {
        let (_, line) = self.owner.attach(true, own_size()?, oneself())?;
        self.client = Some(Client::show(line, Typing::Session, [true; 3])?);
        Ok(())
    }

    fn react(&mut self, heard: Heard) -> Result<bool, ShimError> {
        for (event, told) in heard.told {
            self.note(event, (), &told);
        }
        for told in heard.limits {
            self.tell_watch(|watch, jail| watch.limit(jail, told));
        }
        for job in heard.jobs {
            self.tell_watch(|watch, jail| watch.job(jail, job));
        }
        for report in heard.reports {
            match report {
                Told::Said(Said::Up) => {
                    self.owner.prove()?;
                    self.watch_session();
                    self.owner.record()?;
                    self.up = true;
                    if self.on_terminal {
                        self.show()?;
                    }
                }
                Told::Said(Said::Own(own)) => self.tell_watch(|watch, jail| watch.own(jail, own)),
                Told::Said(Said::Panes(panes)) => {
                    self.tell_watch(|watch, jail| watch.panes(jail, panes));
                }
                Told::Said(Said::Typed { note, done }) => {
                    let told = if done { "was typed" } else { "could not be typed" };
                    self.note(Kind::Note, (), &format!("note {note} {told}"));
                }
                Told::Said(said) => self.said = Some(said),
                Told::Over { status } => self.status = Some(status),
                Told::Trouble(cause) => tracing::warn!(cause, "the shim"),
                Told::NotRecorded => {
                    if let Err(error) = self.owner.record_again() {
                        self.told.push(format!("{} is not recorded any more: {error}", self.agent));
                    }
                }
                Told::Frozen { frozen, cause: None } => {
                    self.tell_watch(|watch, jail| watch.frozen(jail, frozen));
                }
                Told::Frozen { cause: Some(cause), .. } => tracing::warn!(cause, "the shim"),
                Told::ViewOver { .. } | Told::Asked { .. } => {}
            }
        }
        Ok(heard.gone || self.status.is_some())
    }

    fn tell_watch(&mut self, tell: impl FnOnce(&mut Keeper, &str)) {
        if let Some(watch) = &mut self.watch {
            tell(watch, self.owner.jail());
        }
    }

    fn watch_agent(&mut self) -> Result<(), ShimError> {
        let (jail, kept) = (self.owner.jail().to_owned(), self.owner.kept().clone());
        let added = self.watch.as_mut().map_or(Ok(()), |watch| watch.add(&jail, &kept, false));
        added.map_err(|errno| {
            let object = "the agent's cgroup for the watch".to_owned();
            ShimError::Launch(LaunchError::Call { verb: "open", object, errno })
        })
    }

    fn watch_session(&mut self) {
        let server = self.owner.server();
        self.tell_watch(|watch, jail| {
            if let Some(pid) = server {
                watch.server(jail, pid);
            }
        });
    }

    /// The watch has frozen the agent: the person is told where they look, and lets it go on by coming back.
    fn freeze(&mut self, told: &str, notices: &mut dyn Notices) -> Result<(), ShimError> {
        self.note(Kind::Frozen, (), &format!("the watch froze {}: {told}", self.agent));
        self.is_frozen = true;
        self.owner.freeze(true)?;
        if let Some(client) = self.client.take() {
            client.close()?;
        }
        notices.frozen(&self.agent, told);
        if !self.on_terminal {
            // Nobody could ever let it go on.
            self.told.push(format!("stopped by the watch: {told}"));
            self.owner.kill()?;
        }
        Ok(())
    }

    /// What the watch has found is written down; whether it has said everything about the agent. Where it has ended, the agent is
    /// watched by nobody, and does not go on.
    fn hear_watch(&mut self, notices: &mut dyn Notices) -> Result<bool, ShimError> {
        let Some(watch) = &mut self.watch else { return Ok(true) };
        let FromWatch { reports, gone } = watch.hear();
        let mut is_done = false;
        for (_, report) in reports {
            match report {
                Report::Forgotten(_) => is_done = true,
                Report::Found(_, finding) => self.note(Kind::Finding, &*finding, &finding.told()),
                Report::Denied(_, denial) => self.denied(&denial),
                Report::Hears(Err(cause)) => {
                    tracing::info!(cause, "the watch does not hear all that is refused");
                }
                Report::Hears(Ok(())) => {}
                Report::Acted(_, told) => {
                    self.note(Kind::Acted, (), &format!("the watch: {told}"));
                }
                Report::Stop(_, told) => {
                    self.told.push(format!("stopped by the watch: {told}"));
                    self.owner.kill()?;
                }
                Report::Froze(_, told) => self.freeze(&told, notices)?,
                Report::Pong => {}
                Report::AskPanes(_) => self.owner.ask_for_panes()?,
                Report::Sees(Err(cause)) => tracing::warn!(cause, "the watch only scans"),
                Report::Sees(Ok(())) => {}
                Report::Trouble(told) => tracing::warn!(told, "the watch"),
                Report::Failed(cause) => {
                    return Err(LaunchError::Unwatched(cause).into());
                }
            }
        }
        if gone || self.watch.as_mut().is_some_and(Keeper::is_lost) {
            return Err(LaunchError::Unwatched("the watch has ended".to_owned()).into());
        }
        Ok(is_done)
    }

    /// Hears what the watch has still to say.
    fn end_watch(&mut self) -> Result<(), ShimError> {
        self.tell_watch(Keeper::forget);
        let until = Instant::now() + LAST_WORDS;
        while !self.hear_watch(&mut Nobody)? {
            let left = until.saturating_duration_since(Instant::now());
            let Some(watch) = self.watch.as_ref().filter(|_| !left.is_zero()) else { break };
            let mut waited = [PollFd::from_borrowed_fd(watch.link(), watch.wants())];
            let patience = Timespec::try_from(left).ok();
            match poll(&mut waited, patience.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(ShimError::Wait(errno)),
            }
        }
        Ok(())
    }

    /// What the kernel refused to it is written down.
    fn denied(&self, denial: &Denial) {
        let Kept { log, agent, .. } = self.owner.kept();
        let journal = Journal::new(log, (agent, self.owner.jail()), Teller::default());
        let event = Event::new(Kind::Denial, Some(agent), &denial.told());
        let event = event.times(denial.times).with(Label::Wall, denial.wall.clone());
        if let Err(errno) = journal.write_denial(event, denial) {
            tracing::warn!(%errno, "a denial was not written down");
        }
    }

    fn note(&self, kind: Kind, what: impl serde::Serialize, told: &str) {
        let Kept { log, agent, .. } = self.owner.kept();
        let journal = Journal::new(log, (agent, self.owner.jail()), Teller::default());
        if let Err(errno) = journal.write(Event::new(kind, Some(agent), told), what) {
            tracing::warn!(%errno, event = kind.name(), "an event was not written down");
        }
    }

    fn finish(mut self) -> Result<Ending, ShimError> {
        if let Err(error) = self.end_watch() {
            tracing::warn!(%error, "the watch");
        }
        // What was drawn last is shown; the shim has closed the line.
        if let Some(mut client) = self.client.take() {
            for _ in 0..256 {
                let came: Vec<_> = client.interests().iter().map(|(_, flags)| *flags).collect();
                if client.turn(&came)?.is_some() {
                    break;
                }
            }
            client.close()?;
        }
        let Self { owner, mut told, said, status, up, agent, on_terminal, .. } = self;
        let jail = owner.jail().to_owned();
        let (more, process) = owner.finish();
        told.extend(more);
        process.map_or(Ok(()), |process| wait_for(&process))?;
        record::finish(&jail)?;
        let mut screen = Vec::new();
        match said {
            Some(Said::Failed { cause, status }) => {
                return Err(ShimError::Failed { cause, status });
            }
            Some(Said::NoSession { status, said }) => {
                return Err(ShimError::NoSession { status, said: plain_lines(&said, SAID_LINES) });
            }
            Some(Said::ServerGone) if up => told.push(format!("the session of {agent} was closed")),
            Some(Said::Ended { status, signal, screen: text }) => {
                told.push(ended(&agent, status, signal));
                if !on_terminal {
                    screen = plain_lines(&text, SCREEN_LINES);
                }
            }
            Some(_) | None => told.push(was_ended(&agent)),
        }
        Ok(Ending { status: status.unwrap_or(137), told, screen })
    }
}
/// Whoever has this process, to the shim that is its own.
fn oneself() -> Looker {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    Looker { uid, gid, verb: "run".to_owned(), since: now() }
}
