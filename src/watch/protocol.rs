//! All that the watch and its owner may say to each other ([`crate::wire`]).
//!
//! The owner is root, and the watch only has the right to signal processes: what it says is written down and told, and decides
//! about nothing but the agent that it is about.

use super::findings::Finding;
use super::proc::Place;
use super::rules::Rules;
use super::state::Own;
use super::tree::AgentId;
use crate::denial::Denial;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What bounds the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Events of the whole host a second. With more it does not read them for a while, and scans instead.
    pub events_per_second: u64,
}

/// An agent that is to be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// By what number it is told of.
    pub number: AgentId,
    /// PID 1 of its jail, by its number outside.
    pub init: i32,
    /// Its uid.
    pub uid: u32,
    /// Where its cgroup is, if it has one. The file that freezes it comes along then.
    pub cgroup: Option<PathBuf>,
    /// The same, as a path below the mount.
    pub cgroup_path: String,
    /// What is to be found, and done.
    pub rules: Rules,
    /// Whether somebody has frozen it.
    pub is_frozen: bool,
}

impl Agent {
    /// Where its processes are found.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            cgroup: self.cgroup.clone(),
            cgroup_path: self.cgroup_path.clone(),
            uid: self.uid,
            init: self.init,
        }
    }
}

/// What the owner says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Watch it.
    Add(Box<Agent>),
    /// Its tmux server is this process: its session is there.
    Server(AgentId, i32),
    /// What its init has started itself.
    Own(AgentId, Own),
    /// The first processes of the panes of its session, by their numbers inside; nothing where tmux does not tell.
    Panes(AgentId, Option<BTreeSet<i32>>),
    /// Say that you are there.
    Ping,
    /// A limit was reached; in a sentence.
    Limit(AgentId, String),
    /// A job of this number was made: whoever starts it goes there now.
    Job(AgentId, u32),
    /// It was frozen by somebody else, or let go on.
    Frozen(AgentId, bool),
    /// Watch it no more.
    Forget(AgentId),
}

/// What the watch says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// How it sees processes: by the kernel's events, or why by scans alone.
    Sees(Result<(), String>),
    /// It has found something.
    Found(AgentId, Box<Finding>),
    /// Whether it hears what the kernel refuses, or why not all of it.
    Hears(Result<(), String>),
    /// The kernel has refused something to it.
    Denied(AgentId, Box<Denial>),
    /// It has done something about that; in a sentence.
    Acted(AgentId, String),
    /// An action of the owner's is due: the agent is to be stopped.
    Stop(AgentId, String),
    /// It has frozen the agent, and the owner is to keep it so.
    Froze(AgentId, String),
    /// It is there.
    Pong,
    /// The panes of this agent's session must be known.
    AskPanes(AgentId),
    /// It watches this agent no more, and has told everything.
    Forgotten(AgentId),
    /// Something could not be done.
    Trouble(String),
    /// It cannot begin, and ends.
    Failed(String),
}
