//! What was refused to an agent, by whichever wall, in one form.
//!
//! ```text
//!  gate ─ Refused ──┐
//!  kernel's audit ──┼─ Denial ─ journal NAME.denials.jsonl ─┐
//!  limits ─ Hit ────┴────────── journal NAME.jsonl ─────────┴─ read ─ Told ─ cellblock denials
//! ```
//!
//! Decides: how a refusal is written down, and how a line of a journal is read, one of an earlier version too. Pure.
//! What would allow it is said by the gate for its own refusals, by [`limit`] for limits, and by `plan::why` for the rest.
//! Does not protect against: an agent that has much refused. Whoever writes bounds that.

#![forbid(unsafe_code)]

mod limit;
mod opening;
mod read;

pub use opening::{Opening, quoted};
pub use read::{Refusal, Told, read};

use serde::{Deserialize, Serialize};

/// The name by which the gate is called among the walls: it holds the wall `network` open for whom rules allow.
pub const GATE: &str = "gate";

/// What init of each jail has refused to itself, to see that Landlock stands: a file that everybody may read and no rule allows.
/// No denial tells of it.
pub const LANDLOCK_CANARY: &str = "/.landlock";

/// Something that was refused to an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Denial {
    /// What refused it: the name of a wall, or `gate`.
    pub wall: String,
    /// What was to be done, as a word: `connect`, `read`, `call`.
    pub action: String,
    /// With what: a host, a path, a system call, a limit.
    pub object: String,
    /// The rule that refused it, in the words of the wall.
    pub rule: String,
    /// Why, as a clause.
    pub why: String,
    /// Who wanted it, where that is known.
    #[serde(flatten)]
    pub process: Option<Process>,
    /// How often, where it happened many times in a moment.
    pub times: u64,
    /// What would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
}

/// A process of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number outside of the jail.
    pub pid: i32,
    /// Its name, as it calls itself.
    pub program: String,
}

impl Process {
    /// Reads it as it is shown, `NAME (PID)`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (program, pid) = text.strip_suffix(')')?.rsplit_once(" (")?;
        Some(Self { pid: pid.parse().ok()?, program: program.to_owned() })
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.program, self.pid)
    }
}

impl Denial {
    /// The same in a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { action, object, why, .. } = self;
        if self.wall == GATE {
            return format!("{object} was refused: {why}");
        }
        format!("{action} {object} was refused: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_as_it_is_shown() {
        for (text, program, pid) in [("pip (4711)", "pip", 4711), ("a (1) (2)", "a (1)", 2)] {
            let process = Process::parse(text).unwrap();
            assert_eq!((&*process.program, process.pid), (program, pid));
            assert_eq!(process.to_string(), text);
        }
        for text in ["", "pip", "pip ()", "(4)", "pip (4"] {
            assert_eq!(Process::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let denial = Denial {
            wall: "landlock".to_owned(),
            action: "read".to_owned(),
            object: "/srv/x".to_owned(),
            process: Some(Process { pid: 7, program: "cat".to_owned() }),
            times: 2,
            opening: Some(Opening::line("filesystem", "read = [\"/srv/x\"]".to_owned())),
            ..Denial::default()
        };
        for denial in [denial, Denial::default()] {
            let text = serde_json::to_string(&denial).unwrap();
            assert_eq!(serde_json::from_str::<Denial>(&text).unwrap(), denial, "{text}");
        }
    }
}
