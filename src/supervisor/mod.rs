//! Runs the agents of an installation: starts them, answers those who call, and comes back to them when it was gone.
//!
//! ```text
//!  callers ─ control socket ─ conn ─ verbs ─ roles ─┐
//!                                                   ├─ life ─ shim::owner ─ the shim of each agent
//!  the clock, what shims say ───────────────────────┘    └─ state: a file for each agent, written first
//! ```
//!
//! One thread waits for everything at once and never for anybody: a caller that takes nothing is dropped, and what can take
//! long is done by a child. It holds nothing that an agent needs to live: when it ends, in whichever way, agents go on,
//! and the next one takes them over from their shims.

mod agent;
mod alerts;
mod apart;
mod conn;
mod desk;
mod ends;
mod errands;
mod figures;
mod life;
mod names;
mod partings;
mod people;
mod reach;
mod restart;
mod state;
mod verbs;
mod watching;

use crate::config::Config;
use crate::control::protocol::Answer;
use crate::control::roles::{self, Caller, Register, Roles};
use crate::control::{account, socket};
use crate::shim::ShimError;
use crate::shim::wait::Waiter;
use crate::systemd::notify::{Notifier, NotifyError};
use crate::wire;
use agent::{Agent, Phase, Wait};
use alerts::Alerts;
use conn::{Came, Conn, Groups};
use errands::Errand;
use names::Names;
use nix::sys::signal::Signal;
use partings::Partings;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::WaitOptions;
use state::{Folders, StateError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use watching::Watching;

/// What is due for agents within this time is done together.
const TOGETHER: Duration = Duration::from_millis(50);
/// How long the lock of an earlier supervisor may be held before that one is taken to run.
const LOCKED: Duration = Duration::from_secs(2);
/// Calls that are taken in a turn.
const TAKEN: usize = 32;
/// Children that close what callers have sent, at the most.
const MOST_PARTINGS: usize = 2 * conn::MOST;

/// Why there is no supervisor, or an agent is not started.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Not root.
    #[error("only root can supervise agents")]
    NotRoot,
    /// There is one already.
    #[error("a supervisor runs already (it holds {})", .0.display())]
    Another(PathBuf),
    /// The files of its agents cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A socket cannot be made.
    #[error("cannot listen at {}: {errno}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A shim cannot be started, or nothing can be waited for.
    #[error(transparent)]
    Shim(#[from] ShimError),
    /// The service manager cannot be told.
    #[error(transparent)]
    Notify(#[from] NotifyError),
}

impl SuperviseError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotRoot => "run it with sudo".to_owned(),
            Self::Another(_) => "cellblock ls shows its agents".to_owned(),
            Self::State(error) => error.hint(),
            Self::Socket { errno: Errno::NOSPC, path } => {
                format!("make room on the disk of {}", path.display())
            }
            Self::Shim(error) => error.hint(),
            Self::Socket { .. } | Self::Notify(_) => String::new(),
        }
    }
}

/// What is read anew on SIGHUP, and by `reload`.
pub type ReadConfig<'r> = dyn Fn() -> Result<Config, String> + 'r;

/// A supervisor.
struct Supervisor {
    config: Config,
    /// The file that it is from, where another one than the usual was named.
    named: Option<PathBuf>,
    roles: Roles,
    folders: Folders,
    names: Names,
    agents: BTreeMap<String, Agent>,
    /// Names whose files cannot be read.
    unread: Vec<String>,
    /// The control socket, where it is, and the group whose members reach it besides root.
    listener: OwnedFd,
    control: PathBuf,
    group: Option<u32>,
    conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    groups: Groups,
    /// Children that work for callers, by the number of the connection.
    errands: BTreeMap<u64, Errand>,
    partings: Partings,
    /// Sees what agents start.
    watching: Watching,
    alerts: Alerts,
    /// How often the configuration was read anew, and whether it is to be again.
    reads: u64,
    reload: bool,
    /// Connections that wait for that.
    reload_for: Vec<u64>,
    ended: bool,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Listener,
    Conn(u64),
    Errand(u64),
    Desk,
    Agent(String),
    Watch,
}

/// Supervises as `config` says, which is from the file `named` or the usual one, until a signal says to end; agents go on
/// then. Where it is asked to, it starts what `config` names.
///
/// # Errors
/// [`SuperviseError`].
pub fn supervise(
    config: Config,
    named: Option<PathBuf>,
    read: &ReadConfig<'_>,
    up: bool,
) -> Result<(), SuperviseError> {
    if !rustix::process::geteuid().is_root() {
        return Err(SuperviseError::NotRoot);
    }
    raise_descriptors();
    // So that no child stays for longer than it lives.
    let waiter = Waiter::with(&[Signal::SIGCHLD])?;
    let notifier = notifier()?;
    let run = PathBuf::from(&config.paths.run.value);
    let folders = Folders::open(Path::new(&config.paths.state.value), &run)?;
    let _lock = lock(&run)?;
    let roles = resolve_roles(&config);
    let (records, unread) = folders.load()?;
    let names = folders.names()?;
    let (control, group, listener) = listen(&config, &run)?;
    let watching = Watching::start(&config).map_err(ShimError::Launch)?;
    let mut supervisor = Supervisor {
        alerts: Alerts::new(&config),
        config,
        named,
        roles,
        folders,
        names,
        agents: BTreeMap::new(),
        unread,
        listener,
        control,
        group,
        conns: BTreeMap::new(),
        next_conn: 0,
        groups: Groups::default(),
        errands: BTreeMap::new(),
        partings: Partings::default(),
        watching,
        reads: 0,
        reload: false,
        reload_for: Vec::new(),
        ended: false,
    };
    records.into_iter().for_each(|record| supervisor.come_back(record));
    if up {
        for told in supervisor.up_all(true).0 {
            tracing::info!(told, "up");
        }
    }
    notifier.ready();
    while !supervisor.ended {
        supervisor.turn(&waiter, &notifier)?;
        if std::mem::take(&mut supervisor.reload) {
            supervisor.reload(read, &notifier);
        }
    }
    notifier.stopping();
    // What this turn has told, too.
    supervisor.alert();
    supervisor.close();
    Ok(())
}

/// The control socket, where it is, and who reaches it besides root.
fn listen(config: &Config, run: &Path) -> Result<(PathBuf, Option<u32>, OwnedFd), SuperviseError> {
    let (path, group) = (socket::path(run), group(config));
    match socket::open(&path, group) {
        Ok(listener) => Ok((path, group, listener)),
        Err(errno) => Err(SuperviseError::Socket { path, errno }),
    }
}

/// Each agent takes some descriptors; agents have limits of their own.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%errno, "the number of agents is bounded by the descriptors of this process");
    }
}

fn notifier() -> Result<Notifier, SuperviseError> {
    let text = |name: &str| std::env::var(name).ok();
    let own = std::process::id();
    let notifier = Notifier::from_environment(
        std::env::var_os("NOTIFY_SOCKET"),
        text("WATCHDOG_USEC"),
        text("WATCHDOG_PID"),
        own,
    )?;
    Ok(notifier)
}

/// Held as long as this process lives: there is one supervisor.
fn lock(run: &Path) -> Result<OwnedFd, SuperviseError> {
    let path = run.join("supervisor.lock");
    let failed = |errno| StateError::Call { verb: "lock", path: path.clone(), errno };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
    let until = Instant::now() + LOCKED;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // A child of one that was killed has it until it has closed what is not its own.
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(TOGETHER),
            Err(Errno::WOULDBLOCK) => return Err(SuperviseError::Another(path)),
            Err(errno) => return Err(failed(errno).into()),
        }
    }
}

/// Names without an account give nobody a role; each is told of.
fn resolve_roles(config: &Config) -> Roles {
    let (roles, problems) = Roles::resolve(&config.roles, &account);
    for problem in problems {
        tracing::warn!(%problem, "gives nobody a role");
    }
    roles
}

fn group(config: &Config) -> Option<u32> {
    let group = config.supervisor.group.as_ref()?;
    match roles::id(Register::Groups, group, &account) {
        Ok(gid) => Some(gid),
        Err(problem) => {
            tracing::warn!(%problem, "only root reaches the control socket");
            None
        }
    }
}

impl Supervisor {
    /// The folder with the journals.
    fn log(&self) -> PathBuf {
        PathBuf::from(&self.config.paths.log.value)
    }

    fn patience(&self) -> Duration {
        self.config.supervisor.patience.value
    }

    fn turn(&mut self, waiter: &Waiter, notifier: &Notifier) -> Result<(), SuperviseError> {
        let (signal, came) = {
            let wanted = self.interests();
            let fds: Vec<_> = wanted.iter().map(|(_, fd, flags)| (*fd, *flags)).collect();
            let patience = self.wait_for(notifier);
            let (signal, came) = waiter.wait(&fds, patience)?;
            let whose = wanted.into_iter().map(|(whose, ..)| whose);
            (signal, whose.zip(came).collect::<Vec<_>>())
        };
        notifier.watchdog();
        match signal {
            Some(Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT) => self.ended = true,
            Some(Signal::SIGHUP) => self.reload = true,
            Some(_) | None => {}
        }
        self.dispatch(came);
        self.clock();
        self.drop_silent();
        // What was left of shims and gates that had sent more than words.
        self.partings.add(0, wire::left());
        self.partings.settle();
        self.reap();
        self.alert();
        Ok(())
    }

    /// What came, one agent's descriptors together.
    fn dispatch(&mut self, came: Vec<(Whose, PollFlags)>) {
        let mut of_agents: BTreeMap<String, Vec<PollFlags>> = BTreeMap::new();
        for (whose, flags) in came {
            let any = !flags.is_empty();
            match whose {
                Whose::Agent(name) => of_agents.entry(name).or_default().push(flags),
                Whose::Listener if any => self.accept(),
                Whose::Conn(number) if any => self.hear(number),
                Whose::Errand(number) if any => self.hear_errand(number),
                Whose::Watch if any => self.hear_watch(),
                Whose::Desk if any => self.hear_desk(),
                Whose::Listener
                | Whose::Conn(_)
                | Whose::Errand(_)
                | Whose::Watch
                | Whose::Desk => {}
            }
        }
        for (name, flags) in of_agents {
            self.turn_agent(&name, &flags);
            self.look_at(&name);
        }
    }

    fn interests(&self) -> Vec<(Whose, BorrowedFd<'_>, PollFlags)> {
        let mut wanted = Vec::new();
        // Nobody is taken whom it could not let go.
        if self.partings.count() < MOST_PARTINGS {
            wanted.push((Whose::Listener, self.listener.as_fd(), PollFlags::IN));
        }
        for (number, conn) in self.conns.iter().filter(|(_, conn)| !conn.is_lent) {
            wanted.push((Whose::Conn(*number), conn.as_fd(), PollFlags::IN));
        }
        for (number, errand) in &self.errands {
            wanted.push((Whose::Errand(*number), errand.as_fd(), PollFlags::IN));
        }
        wanted.extend(self.watching.link().map(|(fd, flags)| (Whose::Watch, fd, flags)));
        wanted.extend(self.alerts.desk.interest().map(|(fd, flags)| (Whose::Desk, fd, flags)));
        for (name, agent) in &self.agents {
            let mut add = |whose, fd, flags| wanted.push((whose, fd, flags));
            match &agent.phase {
                Phase::Starting { shim: Some(shim), .. } => {
                    add(Whose::Agent(name.clone()), shim.link(), PollFlags::IN);
                }
                Phase::Up(up) => {
                    for (fd, flags) in up.owner.interests() {
                        add(Whose::Agent(name.clone()), fd, flags);
                    }
                }
                // The end of a child is told by a signal.
                Phase::Starting { shim: None, .. }
                | Phase::Cleaning { .. }
                | Phase::Resting(_)
                | Phase::Ended => {}
            }
        }
        wanted
    }

    /// How long to wait, if nothing comes.
    fn wait_for(&self, notifier: &Notifier) -> Option<Duration> {
        let now = Instant::now();
        let until = |instant: Instant| instant.saturating_duration_since(now);
        let of_agents = self.agents.values().filter_map(|agent| match &agent.phase {
            Phase::Up(up) => {
                let due = up.stopping.or(up.until_up).into_iter().chain(up.prove_at).map(until);
                due.chain([up.owner.patience().max(TOGETHER)]).min()
            }
            Phase::Resting(instant) => Some(until(*instant)),
            Phase::Starting { until: late, .. } => Some(until(*late)),
            Phase::Cleaning { .. } | Phase::Ended => None,
        });
        let waits = self.agents.values().flat_map(|agent| &agent.waits);
        let waits = waits.filter_map(|(_, wait, since)| Some(until(*since + wait.patience()?)));
        let behind = self.partings.is_behind().then_some(Duration::from_secs(1));
        let of_conns = self.conns.values().filter(|conn| !conn.waits).map(|conn| until(conn.until));
        let watch = self.watching.next().map(until);
        let alerts = self.alerts.next().map(|at| until(at).max(TOGETHER));
        let own = behind.into_iter().chain(watch).chain(waits).chain(notifier.watchdog_period());
        let own = own.chain(alerts);
        of_agents.chain(of_conns).chain(own).min()
    }

    fn accept(&mut self) {
        for _ in 0..TAKEN {
            let Some(mut conn) = Conn::accept(&self.listener) else { return };
            let uid = conn.uid;
            let same = self.conns.values().filter(|other| other.uid == uid).count();
            let same = same + self.partings.of(uid);
            let full = self.conns.len() >= conn::MOST && uid != 0;
            if full || (uid != 0 && same >= conn::MOST_OF_ONE) || self.conns.len() >= 2 * conn::MOST
            {
                let cause = "too many callers at once";
                conn.answer(&Answer::failed(cause, "try again in a moment"), &[]);
                self.part_with(conn);
                continue;
            }
            self.next_conn += 1;
            self.conns.insert(self.next_conn, conn);
        }
    }

    fn hear(&mut self, number: u64) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let came = conn.hear();
        let (waits, is_along) = (conn.waits, matches!(came, Came::Along(_)));
        match came {
            Came::Nothing => {}
            Came::Gone => self.forget_conn(number),
            Came::Refused(answer) => {
                conn.answer(&answer, &[]);
                self.forget_conn(number);
            }
            // One call at a time: who does not wait for an answer gets none.
            Came::Call(_) | Came::Along(_) if waits => self.forget_conn(number),
            Came::Call(request) | Came::Along(request) => {
                conn.waits = true;
                let caller = self.groups.caller(conn.uid, conn.gid);
                let Some((answer, descriptors)) = self.perform(number, &caller, request) else {
                    return;
                };
                self.answer(number, &answer, &descriptors);
                self.partings.add(caller.uid, descriptors);
                // It is unread, and what came along nobody needs.
                if is_along && self.conns.get(&number).is_some_and(|conn| !conn.skip()) {
                    self.forget_conn(number);
                }
            }
        }
    }

    fn answer(&mut self, number: u64, answer: &Answer, descriptors: &[OwnedFd]) {
        let answered = self.conns.get_mut(&number).map(|conn| conn.answer(answer, descriptors));
        if answered == Some(false) {
            self.forget_conn(number);
        }
    }

    fn forget_conn(&mut self, number: u64) {
        if let Some(conn) = self.conns.remove(&number) {
            self.part_with(conn);
        }
        for agent in self.agents.values_mut() {
            agent.waits.retain(|(conn, ..)| *conn != number);
        }
    }

    /// Ends: nobody is waited for even now, and nobody by whom it waits to be taken.
    fn close(self) {
        let Self { conns, errands, mut partings, listener, agents, alerts, .. } = self;
        for conn in conns.into_values() {
            let uid = conn.uid;
            conn.leave().into_iter().for_each(|left| partings.add_connection(uid, left));
        }
        for (uid, line) in errands.into_values().filter_map(Errand::give_up) {
            partings.add(uid, line);
        }
        // Who tells alerts goes on for a moment, and ends by itself.
        drop((agents, alerts));
        partings.add(0, wire::left().into_iter().chain([listener]));
        partings.settle();
    }

    fn part_with(&mut self, conn: Conn) {
        let uid = conn.uid;
        conn.leave().into_iter().for_each(|left| self.partings.add_connection(uid, left));
    }

    /// Answers those who wait for one of `waits`.
    fn answer_waits(&mut self, name: &str, waits: &[Wait], answer: &Answer) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let (met, others) = std::mem::take(&mut agent.waits)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, wait, _)| waits.contains(wait));
        agent.waits = others;
        for (number, ..) in met {
            self.answer(number, answer, &[]);
        }
    }

    fn drop_silent(&mut self) {
        let now = Instant::now();
        let silent = self.conns.iter().filter(|(_, conn)| !conn.waits && conn.until <= now);
        let silent: Vec<u64> = silent.map(|(number, _)| *number).collect();
        silent.into_iter().for_each(|number| self.forget_conn(number));
    }

    /// Children that have ended: shims, those that removed what was left, and those that closed what callers had sent.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if self.partings.reaped(pid) {
                continue;
            }
            if self.alerts.desk.has(pid) {
                self.desk_ended(pid);
                continue;
            }
            let cleaned = self.agents.iter().find_map(|(name, agent)| match &agent.phase {
                Phase::Cleaning { child, ran } if child.pid == pid => Some((name.clone(), *ran)),
                Phase::Cleaning { .. }
                | Phase::Starting { .. }
                | Phase::Up(_)
                | Phase::Resting(_)
                | Phase::Ended => None,
            });
            if let Some((name, ran)) = cleaned {
                self.cleaned(&name, ran, status.exit_status() == Some(0));
            }
        }
    }

    /// Whether `caller` could connect now.
    fn reaches(&self, caller: &Caller) -> bool {
        caller.uid == 0 || self.group.is_some_and(|group| caller.groups.contains(&group))
    }

    /// Ends what the configuration does not allow any more: connections of who could not connect now, and lines of who may not
    /// look any more.
    fn end_unallowed(&mut self) {
        let conns: Vec<_> =
            self.conns.iter().map(|(number, conn)| (*number, conn.uid, conn.gid)).collect();
        for (number, uid, gid) in conns {
            let caller = self.groups.caller(uid, gid);
            if !self.reaches(&caller) {
                let cause = "the configuration was changed: you may not call any more";
                self.answer(number, &Answer::failed(cause, "have an admin give you a role"), &[]);
                self.forget_conn(number);
            }
        }
        let names: Vec<String> = self.agents.keys().cloned().collect();
        for name in names {
            self.agents.get_mut(&name).into_iter().for_each(|agent| agent.recheck = true);
            self.send_away(&name);
        }
        self.partings.settle();
    }

    fn reload(&mut self, read: &ReadConfig<'_>, notifier: &Notifier) {
        notifier.reloading();
        let answer = self.read_anew(read);
        for number in std::mem::take(&mut self.reload_for) {
            self.answer(number, &answer, &[]);
        }
        self.end_unallowed();
        notifier.ready();
    }

    fn read_anew(&mut self, read: &ReadConfig<'_>) -> Answer {
        match read() {
            Ok(config) => {
                let group = group(&config);
                if let Err(errno) = socket::admit(&self.control, group) {
                    let path = self.control.display();
                    let cause = format!("cannot change who reaches {path}: {errno}");
                    let hint = "the configuration stays as it was; correct that, and reload again";
                    return Answer::failed(cause, hint);
                }
                self.group = group;
                self.groups.forget();
                self.reads += 1;
                self.roles = resolve_roles(&config);
                let mut told = vec!["the configuration was read".to_owned()];
                let (old, new) = (&self.config.paths, &config.paths);
                let moved = |of: fn(&crate::config::Paths) -> &str| of(old) != of(new);
                if moved(|paths| &paths.run.value) || moved(|paths| &paths.state.value) {
                    told.push(
                        "[paths] run and state are taken over by the next start alone".to_owned(),
                    );
                }
                self.config = config;
                self.alerts_read_anew();
                Answer::Done(told)
            }
            Err(cause) => {
                tracing::error!(cause, "the configuration stays as it was");
                Answer::failed(format!("the configuration stays as it was: {cause}"), "")
            }
        }
    }
}
