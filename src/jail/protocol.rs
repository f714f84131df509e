//! All that the launcher and init may say to each other, one message a datagram ([`crate::wire`]).
//!
//! What init says comes from behind the walls: whoever hears it bounds it, checks its form, and treats
//! every string in it as the agent's own words. Descriptors go inside alone; none ever comes out.

use crate::watch::state::Own;
use serde::{Deserialize, Serialize};

/// The most text of a screen that is sent, in bytes; JSON may double it.
pub const MAX_SCREEN: usize = 40 << 10;

/// The most that is told of what tmux says where it does not start, in bytes.
pub const MAX_SAID: usize = 4 << 10;

/// The most processes of init's own that are told of.
pub const MAX_OWN: usize = 256;

/// The most panes that are told of.
pub const MAX_PANES: usize = 4096;

/// What the launcher tells init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The walls were read back: start the command.
    Start,
    /// Pass a signal on to the command.
    Signal(i32),
    /// The session was seen and belongs to the agent: look after its end.
    Watch,
    /// Ask the agent's command to end.
    Stop,
    /// Attach a tmux client to the terminal that comes along.
    Attach {
        /// What it is called from now on.
        client: u32,
        /// Whether what is typed there is for the agent.
        types: bool,
    },
    /// Tell what is on the screen.
    Screen,
    /// Tell which panes the session has.
    Panes,
    /// Type a text into the agent's pane.
    Type {
        /// What it is called in the answer.
        note: u32,
        /// The text; it has no control characters but line breaks.
        text: String,
    },
    /// Run a further command. Its terminal comes along, where it has one, and then its other standard descriptors.
    Run {
        /// What it is called from now on.
        job: u32,
        /// Program and arguments.
        words: Vec<String>,
        /// Which of its standard descriptors are the terminal.
        terminals: [bool; 3],
    },
    /// Pass a signal on to such a command.
    SignalJob {
        /// Which.
        job: u32,
        /// The signal.
        signal: i32,
    },
}

/// What init tells the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The command or tmux could not be started, or a wall does not stand.
    Failed {
        /// What happened.
        cause: String,
        /// The exit status that says so: 125, 126 or 127.
        status: u8,
    },
    /// The session is there.
    Up,
    /// tmux ended before there was a session.
    NoSession {
        /// Its exit status.
        status: i32,
        /// What it said.
        said: String,
    },
    /// A tmux client ended, and the agent goes on.
    Detached {
        /// Which.
        client: u32,
    },
    /// What is on the screen; nothing where tmux does not tell.
    Screen(Option<String>),
    /// A further command ended, or could not be started.
    JobEnded {
        /// Which.
        job: u32,
        /// Its exit status, as a shell gives it.
        status: u8,
        /// Why it could not be started.
        cause: Option<String>,
    },
    /// The agent's command ended.
    Ended {
        /// Its exit status, if it exited.
        status: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// The last screen, as text.
        screen: String,
    },
    /// The processes that init has started itself and that run, and the first one of the agent's pane, by their numbers inside.
    Own(Own),
    /// The first processes of the panes of the session, by their numbers inside; nothing where tmux does not tell.
    Panes(Option<Vec<i32>>),
    /// A text was typed, or could not be.
    Typed {
        /// Which.
        note: u32,
        /// Whether it was.
        done: bool,
    },
    /// The tmux server ended without telling how the command did.
    ServerGone,
}
