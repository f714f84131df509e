//! How a person's terminal takes part in a command, by which of the standard descriptors are a terminal.
//!
//! Decides: whether it is raw, and so which of both terminals shows what is typed. Must never: make a terminal raw that the
//! person does not see the command on, as in a pipeline whose other programs use it.

#![forbid(unsafe_code)]

use super::TerminalError;
use rustix::fd::AsFd;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// What is done with what a person types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They type to the command and see it: every key goes to the jail, whose terminal shows and edits what is typed.
    Raw,
    /// They type to the command, whose output goes elsewhere: their terminal stays as it is, and shows and edits lines.
    Lines,
    /// They do not type to the command.
    Unread,
}

impl Mode {
    /// Of a command for which those of standard input, output and errors are a terminal.
    #[must_use]
    pub fn of([input, output, _]: [bool; 3]) -> Self {
        match (input, output) {
            (true, true) => Self::Raw,
            (true, false) => Self::Lines,
            (false, _) => Self::Unread,
        }
    }

    /// Makes the jail's terminal ready, by its master: what was shown already is not shown once more.
    ///
    /// # Errors
    /// [`TerminalError::ReadSettings`], [`TerminalError::Echo`].
    pub fn prepare(self, master: impl AsFd) -> Result<(), TerminalError> {
        match self {
            Self::Raw | Self::Unread => Ok(()),
            Self::Lines => {
                let mut settings = tcgetattr(&master).map_err(TerminalError::ReadSettings)?;
                settings.local_modes.remove(LocalModes::ECHO);
                tcsetattr(&master, OptionalActions::Now, &settings).map_err(TerminalError::Echo)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::testing::Pty;

    #[test]
    fn what_is_typed_is_shown_by_one_of_both_terminals() {
        for (terminals, mode) in [
            ([true, true, true], Mode::Raw),
            ([true, true, false], Mode::Raw),
            ([true, false, true], Mode::Lines),
            ([true, false, false], Mode::Lines),
            ([false, true, true], Mode::Unread),
            ([false, false, true], Mode::Unread),
        ] {
            assert_eq!(Mode::of(terminals), mode);
            let pty = Pty::open();
            mode.prepare(&pty.master).unwrap();
            let shows = tcgetattr(&pty.slave).unwrap().local_modes.contains(LocalModes::ECHO);
            // A raw one shows nothing, and one that stays as it is shows all.
            assert_eq!(shows, mode != Mode::Lines);
        }
    }
}
