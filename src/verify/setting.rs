//! In which surroundings an attempt is made, and the plan of each.

use super::probe::{Layer, Post, Probe, Stage};
use super::prober::{NAME, SELF};
use super::world::World;
use crate::document::{Located, Place};
use crate::host;
use crate::plan::{self, Draft, Mode, Plan, PlanError, Request, WORKSPACE, WallState};
pub use crate::planning::Subject;
use crate::profile::types::{Access, Entry, HostPath, JailPath, User, Workspace};
use crate::profile::{self, Profile, Wall};
use std::fmt;
use std::path::Path;

/// The surroundings of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// No jail: the attack must succeed, or it shows nothing.
    Control,
    /// A jail in which every wall is away but this layer (and what it rests on).
    Only(Layer),
    /// The jail as the profile asks for it.
    Full,
    /// The same, from the place of a process that cellblock itself puts into it.
    Helper(Post),
    /// The sandbox of somebody else.
    Peer(Peer),
}

impl Setting {
    /// Whose place the prober takes.
    #[must_use]
    pub fn post(self) -> Post {
        match self {
            Self::Helper(post) => post,
            Self::Control | Self::Only(_) | Self::Full | Self::Peer(_) => Post::Command,
        }
    }
}

/// Other sandboxes, in the way their manuals propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Peer {
    /// bubblewrap with all namespaces and a read-only system
    Bwrap,
    /// firejail with its default profile and no network
    Firejail,
    /// nothing: the agent's uid alone
    None,
}

impl Peer {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bwrap => "bwrap",
            Self::Firejail => "firejail",
            Self::None => "none",
        }
    }

    /// What must be installed for it.
    #[must_use]
    pub fn program(self) -> Option<Program> {
        match self {
            Self::Bwrap => Some(Program { path: "/usr/bin/bwrap", package: "bubblewrap" }),
            Self::Firejail => Some(Program { path: "/usr/bin/firejail", package: "firejail" }),
            Self::None => None,
        }
    }
}

/// A program that somebody else has made.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Where it is.
    pub path: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Only(layer) => write!(f, "only {layer}"),
            Self::Full => f.write_str("full"),
            Self::Helper(post) => write!(f, "as {}", post.name()),
            Self::Peer(Peer::Bwrap) => f.write_str("bwrap"),
            Self::Peer(Peer::Firejail) => f.write_str("firejail"),
            Self::Peer(Peer::None) => f.write_str("uid alone"),
        }
    }
}

/// Why there is no jail for an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlan {
    /// cellblock refuses to plan it.
    Refused(String),
    /// The layer does not exist or cannot stand on this host.
    NotHere(String),
    /// What is to be attacked could not be prepared.
    Broken(String),
}

/// What a wall rests on: without it the wall cannot stand.
#[must_use]
pub fn footing(wall: Wall) -> &'static [Wall] {
    match wall {
        Wall::Landlock | Wall::Seccomp => &[Wall::NoNewPrivs],
        Wall::NestedNamespaces => &[Wall::User],
        Wall::MemfdExec => &[Wall::Pid],
        Wall::Disk => &[Wall::User, Wall::Mount],
        Wall::Memory | Wall::Tasks | Wall::Cpu | Wall::Io => &[Wall::Cgroup],
        Wall::User
        | Wall::Mount
        | Wall::Pid
        | Wall::Network
        | Wall::Ipc
        | Wall::Uts
        | Wall::Cgroup
        | Wall::Keyring
        | Wall::Capabilities
        | Wall::NoNewPrivs
        | Wall::Rlimits
        | Wall::Descriptors => &[],
    }
}

/// The walls that are taken away where only `layer` is to stand against `probe`, with what it needs beside
/// it. Something must see to the jail's end: the cgroup, or the pid namespace where that is what is looked
/// at. A session needs a place for its server's socket, and so a root of its own.
#[must_use]
pub fn taken_away(layer: Layer, probe: &Probe) -> Vec<Wall> {
    let mut kept: Vec<Wall> = match layer {
        Layer::Wall(Wall::Pid) => vec![Wall::Pid],
        Layer::Wall(wall) => [wall, Wall::Cgroup].iter().chain(footing(wall)).copied().collect(),
        Layer::Uid | Layer::Launcher | Layer::Relay => vec![Wall::Cgroup],
    };
    if probe.stage == Stage::Session {
        kept.push(Wall::Mount);
    }
    kept.extend(probe.claim(layer).map_or(&[][..], |claim| claim.beside));
    Wall::ALL.into_iter().filter(|wall| !kept.contains(wall)).collect()
}

impl Subject {
    /// The plan of the whole jail with `workspace`, to look at.
    ///
    /// # Errors
    /// What is wrong with it, as cellblock says it.
    pub fn own_plan(&self, workspace: &Path) -> Result<Plan, PlanError> {
        let profile = self.own_profile();
        let request = self.own_request(&profile, workspace);
        self.draft(&profile, &request)?.into_plan_with(vec![SELF.to_owned()])
    }

    /// An agent of the run's own: another one's processes and files are not for attacks.
    fn own_profile(&self) -> Profile {
        let mut profile = self.profile.clone();
        profile.agent.user.value = User::Auto;
        profile
    }

    fn own_request(&self, profile: &Profile, workspace: &Path) -> Request {
        let mut request = self.request.clone();
        request.command.clear();
        if profile.filesystem.workspace.value != Workspace::None {
            request.workspace = Some(located(workspace.display().to_string()));
        }
        request
    }

    fn draft(&self, profile: &Profile, request: &Request) -> Result<Draft, PlanError> {
        let facts = host::probe(&plan::questions(profile, request, &self.caller), &self.caller);
        plan::draft(profile, request, &facts, self.policies.clone())
    }

    /// The plan of the jail in which `probe` is made, in `setting`.
    ///
    /// # Errors
    /// [`NoPlan`].
    pub fn plan(
        &self,
        probe: &Probe,
        setting: Setting,
        world: &World,
        program: &Path,
    ) -> Result<Plan, NoPlan> {
        let post = setting.post();
        let mut profile = self.own_profile();
        (probe.arrange)(&mut profile, world).map_err(NoPlan::Broken)?;
        let mut request = self.own_request(&profile, &world.path("project"));
        let session = probe.stage == Stage::Session || post == Post::Tmux;
        request.mode = if session { Mode::Run } else { probe.stage.mode() };
        if let Setting::Only(layer) = setting {
            request.without = taken_away(layer, probe).into_iter().map(located).collect();
        }
        if session {
            profile.filesystem.entries.push(shown_program(program).map_err(NoPlan::Broken)?);
        }
        let refused = |error: PlanError| NoPlan::Refused(error.to_string());
        let draft = self.draft(&profile, &request).map_err(refused)?;
        // Which words they are depends on whether the jail has a root of its own: known only now.
        let mut plan = draft.into_plan_with(vec![SELF.to_owned()]).map_err(refused)?;
        let own_root = plan.stands(Wall::Mount);
        let program = if own_root { SHOWN_AT.to_owned() } else { program.display().to_string() };
        plan.command.words = words(probe.stage, post, &program, &workspace(own_root, world));
        if let (Post::Tmux, Some(terminal)) = (post, &mut plan.terminal) {
            terminal.tmux = program;
        }
        if let Setting::Only(layer) = setting
            && let Some(why) = probe.claim(layer).and_then(|claim| (claim.given_up)(&plan))
        {
            return Err(NoPlan::NotHere(why));
        }
        match setting {
            Setting::Only(Layer::Wall(wall)) => stands(plan, wall),
            Setting::Only(_)
            | Setting::Control
            | Setting::Full
            | Setting::Helper(_)
            | Setting::Peer(_) => Ok(plan),
        }
    }
}

/// What `verify` itself puts into a profile or a request.
pub(super) fn located<T>(value: T) -> Located<T> {
    Located { value, place: Place::outside("verify", "") }
}

/// Where the prober's program is shown in a jail in which it is not started by init.
const SHOWN_AT: &str = "/opt/cellblock-prober";

/// What shows the prober's program in the jail.
fn shown_program(program: &Path) -> Result<Entry, String> {
    Ok(Entry {
        path: located(HostPath::parse(&program.display().to_string())?),
        at: JailPath::parse(SHOWN_AT)?,
        access: Access { write: false, execute: true },
        optional: false,
        owner: profile::types::Owner::Disk,
    })
}

/// Where the workspace is for who is in the jail.
#[must_use]
pub fn workspace(own_root: bool, world: &World) -> String {
    if own_root { WORKSPACE.to_owned() } else { world.path("project").display().to_string() }
}

/// The command of the jail: the prober.
fn words(stage: Stage, post: Post, program: &str, workspace: &str) -> Vec<String> {
    let words: &[&str] = match (post, stage) {
        // Init knows the word, and does the prober's work in its own process.
        (Post::Init, _) => &[NAME],
        (Post::Command, Stage::Command) => &[SELF, NAME],
        (Post::Command, Stage::Terminal) => &[SELF, NAME, "by", workspace],
        (Post::Command | Post::Tmux, Stage::Session) | (Post::Tmux, _) => {
            &[program, NAME, "by", workspace]
        }
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// `plan`, if `wall` stands in it.
fn stands(plan: Plan, wall: Wall) -> Result<Plan, NoPlan> {
    let state = plan.walls.iter().find(|plan| plan.wall == wall).map(|plan| &plan.state);
    let why = match state {
        Some(WallState::Stands(_)) => return Ok(plan),
        Some(
            WallState::Without(why) | WallState::NotInKernel(why) | WallState::CannotStand(why),
        ) => why.clone(),
        Some(WallState::NotSet) => "the profile sets no such limit".to_owned(),
        None => "unknown".to_owned(),
    };
    Err(NoPlan::NotHere(why))
}
