//! What a probe is: one attempt to get out, as a record.
//!
//! A record says what is tried, which layers each stop it alone and how, and how its success is seen
//! from outside. Nothing here acts; the records are in [`super::battery`], what performs them in
//! [`super::prober`] (inside) and [`super::referee`] (outside).

use super::look::Look;
use super::scene::Scene;
use super::world::World;
use crate::plan::{Mode, Plan};
use crate::profile::{Profile, Wall};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its name: that of an attack in the catalogue, and after a dot a variant of it. Stable.
    pub id: &'static str,
    /// What is attempted, in a few words.
    pub title: &'static str,
    /// How it is done, in one sentence.
    pub attack: &'static str,
    /// The layers of which each stops it alone, and how.
    pub claims: &'static [Claim],
    /// How success is seen from outside.
    pub evidence: Evidence,
    /// The attack, made inside. Where it succeeds, gives what it got hold of.
    pub run: fn(&Scene) -> Attempted,
    /// How it is shown that the attack works where nothing stops it.
    pub control: Control,
    /// Where else it may be made from: each helper that cellblock itself puts into the jail.
    pub helpers: bool,
    /// What the attack is made from.
    pub stage: Stage,
    /// Whether it takes what everybody needs: then a second agent and the launcher must answer meanwhile.
    pub bomb: bool,
    /// How the surroundings end after the attack.
    pub end: End,
    /// What the profile must have besides, for there to be something to attack.
    pub arrange: fn(&mut Profile, &World) -> Result<(), String>,
    /// Why success is no escape with this plan: its profile grants it.
    pub granted: fn(&Plan) -> Option<String>,
    /// Where the attack is described.
    pub source: &'static str,
}

impl Probe {
    /// What most records have; the rest is filled in by each.
    pub const NEW: Self = Self {
        id: "",
        title: "",
        attack: "",
        claims: &[],
        evidence: Evidence::Answer(&[]),
        run: |_| Ok(Vec::new()),
        control: Control::Agent,
        helpers: false,
        stage: Stage::Command,
        bomb: false,
        end: End::Gently,
        arrange: |_, _| Ok(()),
        granted: |_| None,
        source: "",
    };

    /// The attack of the catalogue that this is a variant of.
    #[must_use]
    pub fn entry(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }

    /// Whether `layer` is among those that stop it alone.
    #[must_use]
    pub fn claim(&self, layer: Layer) -> Option<&'static Claim> {
        self.claims.iter().find(|claim| claim.layer == layer)
    }
}

/// Probes of one kind.
#[derive(Debug)]
pub struct Family {
    /// Its name on the command line.
    pub name: &'static str,
    /// What its attacks are after.
    pub title: &'static str,
    /// Its records.
    pub probes: &'static [Probe],
    /// What its attacks start as programs of their own.
    pub jobs: &'static [Job],
}

/// What the prober's program does when an attack starts it again, as `… as NAME WORDS…`.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub name: &'static str,
    /// What it does; an errno becomes its exit status.
    pub run: fn(&[&str]) -> Result<(), Stop>,
}

/// What can stop an attack: a wall, or something that no option takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A wall of the jail.
    Wall(Wall),
    /// The agent's own uid, and the permissions of files and kernel interfaces.
    Uid,
    /// The launcher's own care: what it refuses, how it resolves paths, what it passes on.
    Launcher,
    /// The filter between the jail's terminal and a person's.
    Relay,
}

impl Layer {
    /// Those that no option takes away.
    pub const FIXED: [Self; 3] = [Self::Uid, Self::Launcher, Self::Relay];

    /// All layers, walls first.
    pub fn all() -> impl Iterator<Item = Self> {
        Wall::ALL.into_iter().map(Self::Wall).chain(Self::FIXED)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wall(wall) => wall.name(),
            Self::Uid => "uid",
            Self::Launcher => "launcher",
            Self::Relay => "relay",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// That a layer stops an attack alone, and what the attack hears.
#[derive(Debug)]
pub struct Claim {
    /// The layer.
    pub layer: Layer,
    /// What the attack ends with.
    pub answers: &'static [Answer],
    /// The least version of Landlock's ABI that stops it; 0 for other layers.
    pub abi: u32,
    /// Walls that must stand beside it for that: it stops nothing alone.
    pub beside: &'static [Wall],
    /// Why the layer does not stop it in the jail of this plan, where its profile does not ask for that.
    pub given_up: fn(&Plan) -> Option<String>,
}

impl Claim {
    /// The same, but not with plans that give it up.
    #[must_use]
    pub const fn unless(self, given_up: fn(&Plan) -> Option<String>) -> Self {
        Self { given_up, ..self }
    }
}

/// A wall stops it with one of these errors.
#[must_use]
pub const fn wall(wall: Wall, answers: &'static [Answer]) -> Claim {
    layer(Layer::Wall(wall), answers)
}

/// As [`wall`], where others stand beside it.
#[must_use]
pub const fn wall_beside(wall: Wall, beside: &'static [Wall], answers: &'static [Answer]) -> Claim {
    Claim { beside, ..layer(Layer::Wall(wall), answers) }
}

/// Landlock stops it from this version of its ABI on.
#[must_use]
pub const fn landlock(abi: u32, answers: &'static [Answer]) -> Claim {
    Claim { abi, ..wall(Wall::Landlock, answers) }
}

/// A layer that is no wall stops it.
#[must_use]
pub const fn layer(layer: Layer, answers: &'static [Answer]) -> Claim {
    Claim { layer, answers, abi: 0, beside: &[], given_up: |_| None }
}

/// What an attack that was stopped ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The deciding call fails so.
    Error(Errno),
    /// The call succeeds, and nothing of it is seen outside.
    NoEffect,
    /// The process is ended by this signal.
    Signal(i32),
    /// cellblock refuses to launch, and these words are in what it says.
    Refused(&'static str),
}

/// How success is told, never by the word of who tries.
#[derive(Clone, Copy, Debug)]
pub enum Evidence {
    /// The prober brings out a secret of the world that it cannot guess.
    Secret,
    /// The token of the attempt stands in this file of the world.
    Planted(&'static str),
    /// The token of the attempt came to one of the world's listeners.
    Arrived,
    /// The kernel's answer to the marked call, read from outside while it is made: success, or one of
    /// these errors, which only hears who was let in.
    Answer(&'static [Errno]),
    /// What reached the person's terminal, given the token.
    Shown(fn(&[u8], &str) -> bool),
    /// Something waits to be read as if the person had typed it.
    Typed,
    /// This file of the world still grows after the end.
    Outlives(&'static str),
    /// What is seen of the prober and the world from outside after the attack.
    Look(fn(&Look<'_>) -> bool),
}

/// What an attack is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// One command without a terminal.
    Command,
    /// One command on a terminal that a person sees.
    Terminal,
    /// The first pane of an agent's tmux session, which a person sees.
    Session,
}

impl Stage {
    /// How such a jail is started.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Self::Command | Self::Terminal => Mode::Exec,
            Self::Session => Mode::Run,
        }
    }
}

/// How the surroundings of an attack end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The prober ends by itself, and the launcher after it.
    Gently,
    /// The launcher is killed.
    LauncherKilled,
}

/// Whose place the prober takes in the jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Post {
    /// The agent's command.
    Command,
    /// The jail's PID 1.
    Init,
    /// tmux, the client that is the server, too.
    Tmux,
}

impl Post {
    /// The helpers that cellblock itself puts into a jail.
    pub const HELPERS: [Self; 2] = [Self::Init, Self::Tmux];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Init => "init",
            Self::Tmux => "tmux",
        }
    }
}

/// How it is shown that the attack works where nothing stops it.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// The same attack with the agent's uid, and no jail.
    Agent,
    /// The same attack as root, and no jail: not even the uid stands in the way. Only for attacks that
    /// harm nothing when they succeed.
    Root,
    /// Another attack as root, which does without care what cellblock does with care.
    Careless(fn(&Scene) -> Attempted),
}

/// What became of an attack, by the word of who made it.
pub type Attempted = Result<Vec<u8>, Stop>;

/// Why an attack did not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// The kernel said no, by this error.
    Refused(i32),
    /// The attack itself could not be set up; says nothing about any wall.
    Broken(String),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno.raw_os_error())
    }
}

impl From<nix::errno::Errno> for Stop {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Refused(errno as i32)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Refused(errno),
            None => Self::Broken(error.to_string()),
        }
    }
}

/// Turns an error of the set-up into one that says nothing about walls.
pub fn broken<E: fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Stop {
    move |error| Stop::Broken(format!("{what}: {error}"))
}

/// The name of an error as manual pages have it, as `EPERM`.
#[must_use]
pub fn errno_name(number: i32) -> String {
    let known = nix::errno::Errno::from_raw(number);
    if known == nix::errno::Errno::UnknownErrno {
        return format!("errno {number}");
    }
    format!("{known:?}")
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(errno) => f.write_str(&errno_name(errno.raw_os_error())),
            Self::NoEffect => f.write_str("no effect"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => f.write_str(signal.as_str()),
                Err(_) => write!(f, "signal {signal}"),
            },
            Self::Refused(words) => write!(f, "launch refused: {words}"),
        }
    }
}
