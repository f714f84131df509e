//! Why something is refused in a jail, and what would allow it: answered from the plan, whether it happened or not.
//!
//! Decides: by which rule of which wall a path, a host, a system call or a limit is allowed or refused, and the line of the
//! profile that would allow it. Pure: it does not look at files, and so does not know what is at a path, whose it is, or where a
//! link of the host leads. What it allows may still be refused by permissions.

mod calls;
mod files;
mod limits;
mod network;

pub use calls::call;
pub use files::path;
pub use limits::{LIMITS, limit};
pub use network::host;

use super::outline::Outline;
use crate::denial::{Denial, GATE, Opening};
use crate::egress::rules::Peer;
use crate::policy::seccomp::{Arch, Policy};
use serde::Serialize;
use std::fmt;

/// What is to be done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read a file, list a directory.
    Read,
    /// Create, change, rename, remove.
    Write,
    /// Run a program.
    Execute,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Execute];

    /// The word for it, which is also the key of `[filesystem]` that allows it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        }
    }
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A path in the jail.
    Path(String, Access),
    /// A host, and the port; 443 where none is given.
    Host(Peer, Option<u16>),
    /// A system call.
    Call(String),
    /// A limit, by its key.
    Limit(String),
}

/// What the plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No wall refuses it.
    Allowed,
    /// It depends on the arguments of the call, or on how much is used.
    Depends,
    /// A wall refuses it.
    Refused,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Depends => "depends",
            Self::Refused => "refused",
        })
    }
}

/// What the plan says of one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was to be done, as in a denial.
    pub action: String,
    /// With what.
    pub object: String,
    /// Whether it is allowed.
    pub verdict: Verdict,
    /// The wall that refuses it; empty where none does.
    pub wall: String,
    /// The rule that decides, as a clause.
    pub rule: String,
    /// Where that rule stands; empty where it is no rule that somebody wrote.
    pub origin: String,
    /// What a program gets that tries; empty where it is allowed.
    pub errno: String,
    /// What would allow it.
    pub opening: Option<Opening>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

impl Answer {
    fn allowed(action: &str, object: &str, rule: impl Into<String>, origin: &str) -> Self {
        Self {
            action: action.to_owned(),
            object: object.to_owned(),
            verdict: Verdict::Allowed,
            wall: String::new(),
            rule: rule.into(),
            origin: origin.to_owned(),
            errno: String::new(),
            opening: None,
            notes: Vec::new(),
        }
    }

    /// The same refused by `wall`, with `errno`.
    fn refused(self, (wall, errno): (&str, &str), opening: Opening) -> Self {
        Self {
            verdict: Verdict::Refused,
            wall: wall.to_owned(),
            errno: errno.to_owned(),
            opening: Some(opening),
            ..self
        }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// What the plan kept in `outline` says to `question`, with its system call policy.
#[must_use]
pub fn answer(outline: &Outline, policy: &Policy, question: &Question) -> Answer {
    match question {
        Question::Path(at, access) => path(outline, at, *access),
        Question::Host(peer, port) => host(outline, peer, *port),
        Question::Call(name) => call(outline, policy, name),
        Question::Limit(key) => limit(outline, key),
    }
}

/// The question that asks about what was refused; nothing where the plan has no answer to it.
#[must_use]
pub fn question_of(denial: &Denial) -> Option<Question> {
    match denial.wall.as_str() {
        "seccomp" => Some(Question::Call(denial.object.clone())),
        "landlock" => match denial.action.as_str() {
            "read" | "list" => Some(Question::Path(denial.object.clone(), Access::Read)),
            "execute" => Some(Question::Path(denial.object.clone(), Access::Execute)),
            "write" | "make" | "remove" | "move" => {
                Some(Question::Path(denial.object.clone(), Access::Write))
            }
            "connect" => host_of(&denial.object),
            _ => None,
        },
        GATE => host_of(&denial.object),
        wall => LIMITS.contains(&wall).then(|| Question::Limit(wall.to_owned())),
    }
}

fn host_of(object: &str) -> Option<Question> {
    let (to, port) = object.rsplit_once(':').unwrap_or((object, ""));
    let peer = Peer::try_from(to.to_owned()).ok()?;
    Some(Question::Host(peer, port.parse().ok()))
}

/// What would allow what Landlock refused, where [`question_of`] has no question.
#[must_use]
pub fn opening_of(denial: &Denial) -> Option<Opening> {
    if denial.wall != "landlock" || question_of(denial).is_some() {
        return None;
    }
    let why = match denial.action.as_str() {
        "bind" => return Some(Opening::line("network", "mode = \"loopback\"".to_owned())),
        "signal" => "processes of the jail signal each other and no others, and no key opens that",
        "trace" => "processes of the jail trace each other and no others, and no key opens that",
        "connect" => {
            "sockets of others that are reached by a name are nobody's, and no key opens them"
        }
        _ => "no key of a profile opens it",
    };
    Some(Opening::Without { wall: "landlock".to_owned(), why: why.to_owned() })
}

/// Whether `text` is the name of a system call of any architecture.
#[must_use]
pub fn is_call(text: &str) -> bool {
    Arch::ALL.iter().any(|arch| arch.number(text).is_some())
}
