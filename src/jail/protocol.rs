//! All that the launcher and init may say to each other, one message a datagram ([`crate::wire`]).
//!
//! What init says comes from behind the walls: the launcher bounds it, checks its form, and treats
//! every string in it as the agent's own words.

use serde::{Deserialize, Serialize};

/// The most text of a screen that is sent, in bytes; JSON may double it.
pub const MAX_SCREEN: usize = 40 << 10;

/// What the launcher tells init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The walls were read back: start the command.
    Start,
    /// Pass a signal on to the command.
    Signal(i32),
    /// The session was seen and belongs to the agent: look after it.
    Watch,
    /// Attach a tmux client again, or let the one that is attached draw everything again.
    Attach,
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
    /// The tmux client ended, and the agent goes on.
    Detached,
    /// The agent's command ended.
    Ended {
        /// Its exit status, if it exited.
        status: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// The last screen, as text.
        screen: String,
    },
    /// The tmux server ended without telling how the command did.
    ServerGone {
        /// The exit status of the client.
        client: i32,
    },
}
