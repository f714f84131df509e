//! The referee: makes the surroundings and the world of each attempt, and sees what comes of it.

use super::attempt::{self, Place};
use super::directory::{self, Directory, MASTERS};
use super::interrupt;
use super::judge::{self, Outcome, Seen};
use super::keeper::{Start, Surroundings};
use super::listeners;
use super::look;
use super::probe::{Control, Post, Probe, Stage};
use super::prober::{CONTROL, NAME, SELF};
use super::scene::Scene;
use super::setting::{NoPlan, Peer, Setting, Subject, taken_away, workspace};
use super::uid;
use super::witness::Witness;
use super::world::{self, Attacker, Owner, World};
use crate::host::text;
use crate::launch::record;
use crate::plan::{Plan, PlanError};
use crate::profile::Wall;
use crate::profile::types::AgentName;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Signal, WaitOptions};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long what was left behind may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why attempts cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum RefereeError {
    /// Something of the run's own could not be made.
    #[error("cannot prepare the run in {}: {why}", place.display())]
    Prepare {
        /// Where.
        place: PathBuf,
        /// Why.
        why: String,
    },
    /// This host does not let anybody see what becomes of an attempt.
    #[error("{cause}")]
    Unfit {
        /// Why.
        cause: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// The profile's jail cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Two runs would be in each other's way.
    #[error("another run makes its attacks as uid {uid}")]
    Held {
        /// The uid.
        uid: u32,
    },
    /// What else runs as the uid that attacks would be in the way of attacks, and they in its.
    #[error("process {pid} runs as uid {uid}, the one that the attacks are made as")]
    Busy {
        /// One such process.
        pid: i32,
        /// The uid.
        uid: u32,
    },
}

impl RefereeError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Prepare { .. } => "name a directory with room: --scratch DIR".to_owned(),
            Self::Held { .. } | Self::Busy { .. } => {
                "wait for its end, or give this run a uid of its own: --name NAME".to_owned()
            }
            Self::Unfit { hint, .. } => (*hint).to_owned(),
            Self::Plan(_) => String::new(),
        }
    }
}

/// The whole run: a directory on the host with what all attempts share.
#[derive(Debug)]
pub struct Referee<'s> {
    subject: &'s Subject,
    directory: Directory,
    program: PathBuf,
    attacker: Attacker,
    plan: Plan,
    tmux: Option<&'static str>,
    /// That nobody else attacks with its uid.
    _uid: File,
}

/// The copies of this program that would make who runs them more than they are, and their modes.
const LENT: [(&str, u32); 2] = [("suid", 0o4710), ("capable", 0o710)];

/// Makes copies of this program that only root can change.
fn masters(directory: &Path) -> std::io::Result<()> {
    let masters = directory.join(MASTERS);
    directory::make(&masters, 0o755)?;
    for (name, mode) in LENT.map(|(name, _)| (name, 0o700)).into_iter().chain([(NAME, 0o755)]) {
        let copy = masters.join(name);
        std::fs::copy(SELF, &copy)?;
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

/// Makes one copy set-user-ID root and gives another one a file capability, for the group `gid` to run and
/// for nobody else: who can run the first is root.
fn lend(masters: &Path, gid: u32) -> std::io::Result<()> {
    for (name, mode) in LENT {
        let copy = masters.join(name);
        // Before the mode: with the group the bit goes.
        std::os::unix::fs::chown(&copy, Some(0), Some(gid))?;
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode))?;
    }
    // `struct vfs_cap_data`, version 2, with CAP_NET_RAW (13) permitted and effective.
    let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let flags = rustix::fs::XattrFlags::empty();
    Ok(rustix::fs::setxattr(masters.join("capable"), "security.capability", &value, flags)?)
}

/// The plan that is looked at: of a jail on a project like those that are attacked.
fn own_plan(
    subject: &Subject,
    directory: &Path,
    failed: impl FnOnce(String) -> RefereeError,
) -> Result<Plan, RefereeError> {
    let project = world::example(directory)
        .map_err(|stop| failed(format!("cannot make a project: {stop:?}")))?;
    Ok(subject.own_plan(&project)?)
}

impl<'s> Referee<'s> {
    /// Prepares a run below `scratch`.
    ///
    /// # Errors
    /// [`RefereeError`].
    pub fn new(subject: &'s Subject, scratch: &Path) -> Result<Self, RefereeError> {
        let failed = |why: String| RefereeError::Prepare { place: scratch.to_owned(), why };
        make_fit()?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| failed(format!("cannot look after orphans: {errno}")))?;
        let io = |error: std::io::Error| failed(error.to_string());
        let directory = Directory::new(scratch).map_err(io)?;
        masters(directory.path()).map_err(io)?;
        let plan = own_plan(subject, directory.path(), failed)?;
        let masters = directory.path().join(MASTERS);
        let program = masters.join(NAME);
        let attacker = Attacker { uid: plan.identity.uid, gid: plan.identity.gid };
        let uid = uid::hold(attacker.uid)?;
        directory.admit(attacker).map_err(io)?;
        lend(&masters, attacker.gid).map_err(io)?;
        let tmux = TMUX.into_iter().find(|path| Path::new(path).exists());
        Ok(Self { subject, directory, program, attacker, plan, tmux, _uid: uid })
    }

    /// The plan of the whole jail, as the profile asks for it.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn masters_path(&self) -> PathBuf {
        self.directory.path().join(MASTERS)
    }

    /// Makes one attempt and gives what it came to. What shows nothing is made once more: a host with
    /// other things to do can hold an attempt up, and an attempt that got out is never repeated.
    #[must_use]
    pub fn attempt(&self, probe: &Probe, setting: Setting) -> Outcome {
        let outcome = self.attempt_once(probe, setting);
        let Outcome::Unclear(why) = &outcome else { return outcome };
        if interrupt::asked() > 0 {
            return outcome;
        }
        tracing::warn!(probe = probe.id, %setting, %why, "unclear, and made once more");
        self.attempt_once(probe, setting)
    }

    fn attempt_once(&self, probe: &Probe, setting: Setting) -> Outcome {
        let outcome = self.try_attempt(probe, setting).unwrap_or_else(Outcome::Unclear);
        match end_orphans() {
            Ok(()) => outcome,
            Err(why) => {
                Outcome::Unclear(format!("what the attempt left behind does not end: {why}"))
            }
        }
    }

    /// Who attacks in `setting`: the agent, but where another sandbox needs an account of the host.
    fn attacker(&self, setting: Setting) -> Result<Attacker, String> {
        let mut attacker = self.attacker;
        if setting == Setting::Peer(Peer::Firejail) {
            attacker = world::idle_account().ok_or_else(|| {
                "firejail needs an account of this host, and none is idle and has a home".to_owned()
            })?;
        }
        let admitted = self.directory.admit(attacker).map_err(|error| error.to_string())?;
        if admitted {
            lend(&self.masters_path(), attacker.gid).map_err(|error| error.to_string())?;
        }
        Ok(attacker)
    }

    fn try_attempt(&self, probe: &Probe, setting: Setting) -> Result<Outcome, String> {
        let attacker = self.attacker(setting)?;
        let session = probe.stage == Stage::Session || setting.post() == Post::Tmux;
        if session && self.tmux.is_none() {
            return Ok(Outcome::NotHere("tmux is not installed here".to_owned()));
        }
        let tmux = self.tmux.unwrap_or_default();
        let owner = if self.has_own_root(probe, setting) { Owner::Person } else { Owner::Agent };
        if session
            && owner == Owner::Agent
            && !matches!(setting, Setting::Control | Setting::Peer(_))
        {
            let why = "a session needs a root of its own for its server's socket";
            return Ok(Outcome::NotHere(why.to_owned()));
        }
        let told = |stop: super::probe::Stop| format!("cannot make the world: {stop:?}");
        let mut world = World::new(self.directory.path(), self.directory.name(), attacker, owner)
            .map_err(told)?;
        world.start_victim().map_err(told)?;
        let plan = match setting {
            Setting::Only(_) | Setting::Full | Setting::Helper(_) => {
                match self.subject.plan(probe, setting, &world, &self.program) {
                    Ok(plan) => Some(plan),
                    Err(NoPlan::NotHere(why)) => return Ok(Outcome::NotHere(why)),
                    Err(NoPlan::Broken(why)) => return Err(format!("cannot prepare it: {why}")),
                    Err(NoPlan::Refused(why)) => {
                        tracing::debug!(probe = probe.id, %why, "no plan");
                        let seen = Seen { refused: true, words: why, ..Seen::default() };
                        return Ok(judge::outcome(probe, &seen));
                    }
                }
            }
            Setting::Control | Setting::Peer(_) => None,
        };
        let surroundings = match (setting, &plan) {
            (_, Some(plan)) => Surroundings::Jail(plan),
            (Setting::Peer(peer), None) => Surroundings::Peer(peer, attacker),
            (_, None) => match probe.control {
                Control::Agent => Surroundings::Agent(attacker),
                Control::Root | Control::Careless(_) => Surroundings::Root,
            },
        };
        let scene = self.scene(probe, setting, plan.as_ref(), &world)?;
        let stage = if session { Stage::Session } else { probe.stage };
        let program = self.program.display().to_string();
        let start = Start { stage, program: &program, tmux, world: &world };
        let witness = probe.bomb && setting == Setting::Full;
        let witness = witness.then(|| self.witness(&scene, start)).transpose()?;
        let place = Place { surroundings, start, attacker, witness };
        let seen = attempt::make(probe, place, scene)
            .map_err(|errno| format!("cannot make the attempt: {errno}"))?;
        tracing::debug!(probe = probe.id, %setting, ?seen, "attempt");
        Ok(judge::outcome(probe, &seen))
    }

    /// Whether the jail of `probe` in `setting` has a root of its own, in which owners are translated.
    fn has_own_root(&self, probe: &Probe, setting: Setting) -> bool {
        match setting {
            Setting::Control | Setting::Peer(_) => false,
            Setting::Only(layer) => !taken_away(layer, probe).contains(&Wall::Mount),
            Setting::Full | Setting::Helper(_) => self.plan.stands(Wall::Mount),
        }
    }

    /// A second agent in a jail of the same profile.
    fn witness(&self, scene: &Scene, start: Start<'_>) -> Result<Witness, String> {
        let refused = |why: NoPlan| format!("cannot plan a second agent: {why:?}");
        let mut request = self.subject.request.clone();
        request.agent = AgentName::parse("verify-second")?;
        let subject = Subject { request, ..self.subject.clone() };
        let plan = subject.plan(&Probe::NEW, Setting::Full, start.world, &self.program);
        let plan = plan.map_err(refused)?;
        let own_root = plan.stands(Wall::Mount);
        // Without a root of its own nothing is its own to write to: the files there are the first one's.
        let scratch = if own_root { "/tmp".to_owned() } else { String::new() };
        let scene = Scene { id: String::new(), scratch, ..scene.clone() };
        let start = Start { stage: Stage::Command, ..start };
        Witness::start(&Surroundings::Jail(&plan), start, scene)
    }

    fn scene(
        &self,
        probe: &Probe,
        setting: Setting,
        plan: Option<&Plan>,
        world: &World,
    ) -> Result<Scene, String> {
        let own_root = plan.is_some_and(|plan| plan.stands(Wall::Mount));
        let inside = own_root || setting == Setting::Peer(Peer::Bwrap);
        let scratch = workspace(inside, world) + "/scratch";
        let [tcp, tcp6, udp] = world.ports().map_err(|error| error.to_string())?;
        let random = || world::random().map_err(|errno| errno.to_string());
        let mark = i32::from_str_radix(&random()?[..7], 16).map_err(|error| error.to_string())?;
        let home = plan.filter(|_| own_root).map(|plan| plan.identity.home.clone());
        let terminal = plan.and_then(|plan| plan.terminal.as_ref());
        Ok(Scene {
            id: probe.id.to_owned(),
            place: if setting == Setting::Control { CONTROL } else { setting.post().name() }
                .to_owned(),
            token: world.token.clone(),
            challenge: random()?,
            world: world.directory().display().to_string(),
            masters: self.masters_path().display().to_string(),
            workspace: workspace(inside, world),
            home: home.unwrap_or_else(|| scratch.clone()),
            tmux: terminal
                .map_or(self.tmux.unwrap_or_default().to_owned(), |terminal| terminal.tmux.clone()),
            socket: terminal.map_or(scratch.clone() + "/tmux", |terminal| terminal.socket.clone()),
            scratch: if inside { "/tmp".to_owned() } else { scratch },
            uid: self.attacker.uid,
            victim: world.victim(),
            tcp,
            tcp6,
            udp,
            abstract_name: world.name.clone(),
            ipc_key: world.ipc_key,
            name: world.name.clone(),
            address: listeners::own_address(),
            own_root,
            cgroups: self.plan.cgroup.mount.clone(),
            // No process has as many descriptors.
            mark: mark | 0x4000_0000,
        })
    }
}

/// Ends what an attempt without a jail left behind: all that it started and that belongs to nobody else
/// has become the referee's child.
fn end_orphans() -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        for pid in children()? {
            match rustix::process::kill_process(pid, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(format!("process {}: {errno}", pid.as_raw_nonzero())),
            }
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Err(Errno::CHILD) => return Ok(()),
                Ok(None) | Err(_) => break,
            }
        }
        if Instant::now() > until {
            return Err("they are still there".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The children of this process.
fn children() -> Result<Vec<Pid>, String> {
    let own = rustix::thread::gettid().as_raw_nonzero();
    match text::read(format!("/proc/self/task/{own}/children")) {
        Ok(children) => Ok(children
            .split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(Errno::NOENT) => Ok(look::children_of(own.get())),
        Err(errno) => Err(format!("cannot list children: {errno}")),
    }
}

/// What this host must have for attempts to mean anything.
fn make_fit() -> Result<(), RefereeError> {
    let scope = text::read("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if scope.trim() == "3" {
        return Err(RefereeError::Unfit {
            cause: "nobody may trace here (kernel.yama.ptrace_scope is 3), and without that the kernel's \
                    answers to the attempts cannot be read",
            hint: "only a boot with another value changes it",
        });
    }
    let mut files = rustix::process::getrlimit(Resource::Nofile);
    if files.current.is_some_and(|now| now < OPEN_FILES) {
        files.current = Some(OPEN_FILES);
        rustix::process::setrlimit(Resource::Nofile, files).map_err(|_| RefereeError::Unfit {
            cause: "attempts need 1024 open files, and the limit is lower",
            hint: "raise it: ulimit -Hn 1024",
        })?;
    }
    Ok(())
}

/// As many files the referee opens, and whoever it starts, at the most.
const OPEN_FILES: u64 = 1024;
/// Where tmux may be.
const TMUX: [&str; 3] = ["/usr/bin/tmux", "/usr/local/bin/tmux", "/bin/tmux"];

impl Drop for Referee<'_> {
    fn drop(&mut self) {
        // A launcher that had to be killed left to the next one what it could not remove.
        if let Err(error) = record::sweep() {
            tracing::warn!(%error, "what a launcher of the run left stays until the next launch");
        }
    }
}
