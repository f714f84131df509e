//! All that a shim, its owner and those who look at its jail may say to each other ([`crate::wire`]).
//!
//! ```text
//!  owner (root) ─ link: Order ▷ ◁ Greeting, Report ─ shim ─ jail::protocol ─ init
//!               ─ a line of its own: gate::protocol ─ gate
//!  person ─────── Line: bytes ◁▷ and News ▷ ◁ End ── shim ─ terminal of the jail
//! ```
//!
//! What comes from a person's line is a person's: it is bounded, and may do no more than the line is for.

use crate::control::agent;
use crate::egress::rules::Rules;
use crate::host::Caller;
use crate::jail;
use crate::launch::GateKept;
use crate::planning::Wanted;
use crate::terminal::size::Size;
use crate::watch::state::Own;
use crate::wire;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a new shim is asked to do. The socket on which owners come back comes along, and the file for what it sees while there
/// is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The jail.
    pub wanted: Wanted,
    /// For whom it is planned.
    pub caller: Caller,
}

/// The first word of a shim to each of its owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// The jail stands.
    Born(Box<Born>),
    /// There is no jail.
    Failed {
        /// Why.
        cause: String,
        /// What to do about it; empty where there is nothing to add.
        hint: String,
        /// The exit status that says so.
        status: u8,
    },
}

/// A jail that stands. What its owner does with rights rests on nothing of it: that the record of the launch tells, which the
/// shim wrote as root and cannot change any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Born {
    /// Columns and rows where nobody is attached.
    pub size: (u16, u16),
    /// Whom the agent may reach, as its profile says it.
    pub network: String,
    /// Walls that do not stand, and why.
    pub without: Vec<(String, String)>,
    /// How long each step took.
    pub timings: Vec<(String, Duration)>,
    /// Whether the session is there already, as init says.
    pub session: bool,
    /// Whether an owner has seen that it is the agent's.
    pub up: bool,
    /// Whether the session is to be recorded.
    pub records: bool,
    /// Whether it is.
    pub recording: bool,
    /// Who looks, by the number of their view.
    pub people: Vec<(u32, Looker)>,
    /// What init has started itself, as it said last.
    pub own: Own,
}

/// Somebody who looks, in the words of the owner who let them: the shim keeps that for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looker {
    /// Their uid.
    pub uid: u32,
    /// The group in which their process was.
    pub gid: u32,
    /// What they do, by the name of the verb.
    pub verb: String,
    /// Since when, in seconds since 1970-01-01 UTC.
    pub since: u64,
}

/// What an owner remembers of a gate for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateMemory {
    /// What must be known to take it over.
    pub kept: GateKept,
    /// The rules that hold.
    pub rules: Rules,
}

/// What an owner tells its shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The session is the agent's: look after its end.
    Watch,
    /// Show the session: master and end of a terminal come along, and the shim's end of a [`Line`].
    Attach {
        /// What it is called from now on.
        view: u32,
        /// Whether what is typed there is for the agent.
        types: bool,
        /// For whom.
        looker: Looker,
    },
    /// Record the session: master and end of a terminal come along.
    Record {
        /// What it is called from now on.
        view: u32,
    },
    /// Run a further command: master and end of a terminal come along, where it has one, its other standard descriptors, and
    /// the shim's end of a [`Line`].
    Run {
        /// What it is called from now on.
        view: u32,
        /// Program and arguments.
        words: Vec<String>,
        /// Which of its standard descriptors are the terminal.
        terminals: [bool; 3],
        /// For whom.
        looker: Looker,
    },
    /// Tell what is on the screen.
    Screen,
    /// Tell which panes the session has.
    Panes,
    /// Type a text into the agent's pane.
    Type {
        /// What it is called.
        note: u32,
        /// The text.
        text: String,
    },
    /// Answer a process of the agent. What comes along is for it.
    Answer {
        /// Which one.
        ask: u32,
        /// The answer.
        answer: Box<agent::Answer>,
    },
    /// Ask the agent's command to end.
    Stop,
    /// Freeze the jail, or let it go on.
    Freeze(bool),
    /// End the gate, which did not do what it was told: the jail has no network from now on.
    EndGate,
    /// End the jail now.
    Kill,
    /// End every view but these, and the further commands with theirs.
    SendAway {
        /// Those that stay.
        but: Vec<u32>,
        /// Why, for the others.
        why: String,
    },
}

impl Order {
    /// The view that it is about, if it begins one.
    #[must_use]
    pub fn view(&self) -> Option<u32> {
        match self {
            Self::Attach { view, .. } | Self::Run { view, .. } => Some(*view),
            Self::Watch
            | Self::Record { .. }
            | Self::Screen
            | Self::Panes
            | Self::Type { .. }
            | Self::Answer { .. }
            | Self::Stop
            | Self::Freeze(_)
            | Self::EndGate
            | Self::Kill
            | Self::SendAway { .. } => None,
        }
    }
}

/// What a shim tells its owner, and writes down where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// What init says, as far as it is about the session.
    Said(jail::protocol::Report),
    /// Nobody looks by this view any more.
    ViewOver {
        /// Which.
        view: u32,
    },
    /// The client that records has ended: the session goes on unseen.
    NotRecorded,
    /// The jail was frozen, or let go on.
    Frozen {
        /// Which of both was asked for.
        frozen: bool,
        /// Why it was not done.
        cause: Option<String>,
    },
    /// A process of the agent asks for something.
    Asked {
        /// By what number it is answered.
        ask: u32,
        /// Its number outside, as the kernel says.
        pid: i32,
        /// What it asks for.
        request: Box<agent::Request>,
    },
    /// An order could not be done, or a recording has a gap.
    Trouble(String),
    /// The jail has ended.
    Over {
        /// The exit status of its init, as a shell gives it.
        status: u8,
    },
}

/// What a shim wrote down, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Seconds since 1970-01-01 UTC.
    pub time: u64,
    /// What.
    pub report: Report,
}

/// One end of what leads from a person to a jail's terminal, or to a further command without one.
#[derive(Debug)]
pub struct Line {
    /// What is typed and shown; nothing where the command has no terminal.
    pub bytes: OwnedFd,
    /// All else.
    pub news: OwnedFd,
}

/// Bytes on their way in the kernel, at the most: what is typed waits no longer than what is shown.
const ON_THE_WAY: usize = 64 << 10;

impl Line {
    /// The shim's end and the person's.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        for end in [&near, &far] {
            sockopt::set_socket_send_buffer_size(end, ON_THE_WAY)?;
            // A byte out of band is one as any other: who looks at what is unread would not see it, nor what comes with it.
            sockopt::set_socket_oobinline(end, true)?;
        }
        let (news, others) = wire::pair()?;
        Ok((Self { bytes: near, news }, Self { bytes: far, news: others }))
    }
}

/// What a person tells the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// Their terminal has this size now.
    Size {
        /// Lines.
        rows: u16,
        /// Cells of a line.
        columns: u16,
    },
    /// A signal for the further command.
    Signal(i32),
}

impl From<Size> for News {
    fn from(size: Size) -> Self {
        Self::Size { rows: size.rows, columns: size.columns }
    }
}

/// The last that a person is told; the line is closed then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The session is not shown any more, and the agent goes on.
    Detached,
    /// They may not look, or not any more; the agent goes on.
    SentAway {
        /// Why.
        why: String,
    },
    /// The further command ended.
    Command {
        /// Its exit status, as a shell gives it.
        status: u8,
        /// Why it could not be started.
        cause: Option<String>,
    },
    /// The jail ended: how the agent's command did, as far as it is known.
    Jail {
        /// Its exit status.
        status: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
}
