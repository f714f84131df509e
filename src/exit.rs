//! What the exit status of cellblock means.
//!
//! The numbers above 124 are those of env(1), timeout(1) and container engines, so that a script tells
//! apart what cellblock says and what the agent's command says. `exec` passes the command's own status
//! through, and 128 + n where a signal n ended it.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, and nothing is wrong.
    Success,
    /// 1: the question was answered, and the answer is "something is wrong": `check` found problems,
    /// `doctor` a wall that cannot stand, `verify` a probe that got out or showed nothing, `why` that it is refused.
    FoundProblems,
    /// 2: the command line is not understood.
    Usage,
    /// 125: cellblock itself failed, or refused to start the agent.
    Failed,
    /// 126: the command is there and cannot be run.
    CannotRun,
    /// 127: the command is not there.
    NotFound,
    /// The status of the agent's command.
    Command(u8),
    /// 128 + n: the agent's command, or a run of `verify`, was ended by the signal n.
    Signal(u8),
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::FoundProblems => 1,
            Self::Usage => 2,
            Self::Failed => 125,
            Self::CannotRun => 126,
            Self::NotFound => 127,
            Self::Command(status) => status,
            Self::Signal(signal) => 128_u8.saturating_add(signal),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        let all = [Exit::Success, Exit::FoundProblems, Exit::Usage];
        assert_eq!(all.map(Exit::code), [0, 1, 2]);
        assert_eq!(
            [Exit::Failed, Exit::CannotRun, Exit::NotFound].map(Exit::code),
            [125, 126, 127]
        );
        assert_eq!(Exit::Command(7).code(), 7);
        assert_eq!(Exit::Signal(9).code(), 137);
        assert_eq!(Exit::Signal(200).code(), 255);
    }
}
