//! What an agent and its supervisor say to each other by the agent's own socket, inside its jail.
//!
//! A call is one datagram ([`crate::wire`]), and so is its answer; one call at a time on a connection. The shim takes them, and knows
//! by the socket whose they are: nobody outside of the jail reaches it. What an agent says is its own word, bounded here.

use crate::wire::LONGEST;
use serde::{Deserialize, Serialize};

/// Where the socket is in the jail.
pub const SOCKET: &str = "/run/cellblock/agent";

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The most words of a job, and the longest of all together, in bytes.
pub const MOST_WORDS: usize = 256;
/// See [`MOST_WORDS`].
pub const LONGEST_WORDS: usize = 16 << 10;
/// The longest note, in bytes.
pub const LONGEST_NOTE: usize = 4 << 10;

/// The longest request, as JSON in bytes: it is passed on with more around it.
const LONGEST_REQUEST: usize = LONGEST - (1 << 10);
/// How much of the words of a job, and of the text of a note, is told of, as JSON in bytes: a hundred of them are one answer.
const LONGEST_SHOWN: usize = 600;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which version of the protocol it is of.
    pub version: u32,
    /// What is asked for.
    pub request: Request,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who the agent is.
    WhoAmI,
    /// A job of these words: what counts it comes with the answer, and whoever writes `0` there is of the job from then on.
    StartJob {
        /// Program and arguments, as they are told of.
        words: Vec<String>,
        /// Seconds that it may take; as long as the profile allows where it is not said.
        lease: Option<u64>,
    },
    /// The jobs that there are.
    Jobs,
    /// End a job.
    StopJob {
        /// Which.
        number: u32,
    },
    /// Have a text typed into the agent's session.
    Schedule {
        /// Seconds from now.
        after: u64,
        /// The text.
        text: String,
    },
    /// The texts that wait.
    Notes,
    /// Do not type one.
    Cancel {
        /// Which.
        number: u32,
    },
}

impl Request {
    /// Whether it is so short that it can be passed on.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        serde_json::to_vec(self).is_ok_and(|bytes| bytes.len() <= LONGEST_REQUEST)
    }
}

/// The bytes of `c` in a text of JSON (RFC 8259, section 7).
fn escaped(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..'\u{20}' => 6,
        _ => c.len_utf8(),
    }
}

/// As much of `words` as is told of; what is cut ends with `…`.
#[must_use]
pub fn shortened<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut left = LONGEST_SHOWN;
    let mut all = Vec::new();
    for word in words {
        // Quotation marks and a comma.
        left = left.saturating_sub(3);
        let mut shown = String::new();
        for c in word.chars() {
            let Some(rest) = left.checked_sub(escaped(c)) else {
                shown.push('…');
                all.push(shown);
                return all;
            };
            left = rest;
            shown.push(c);
        }
        all.push(shown);
    }
    all
}

/// A job, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownJob {
    /// Its number.
    pub number: u32,
    /// Program and arguments.
    pub words: Vec<String>,
    /// Since when, in seconds since 1970-01-01 UTC.
    pub since: u64,
    /// Until when it may run, as above.
    pub until: u64,
    /// Its processes.
    pub processes: u64,
    /// Processor time, in microseconds.
    pub cpu: u64,
}

/// A text that waits, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownNote {
    /// Its number.
    pub number: u32,
    /// When it is typed, in seconds since 1970-01-01 UTC.
    pub at: u64,
    /// The text.
    pub text: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::WhoAmI`].
    Me {
        /// The agent's name.
        agent: String,
        /// Its profile's.
        profile: String,
    },
    /// To [`Request::StartJob`].
    Job(ShownJob),
    /// To [`Request::Jobs`].
    Jobs(Vec<ShownJob>),
    /// To [`Request::Schedule`].
    Note(ShownNote),
    /// To [`Request::Notes`].
    Notes(Vec<ShownNote>),
    /// It is done; in a sentence.
    Done(String),
    /// It is not done.
    Failed {
        /// Why.
        cause: String,
        /// What to do about it; empty where there is nothing to add.
        hint: String,
    },
}

impl Answer {
    /// It is not done, for this reason.
    #[must_use]
    pub fn failed(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), hint: hint.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_is_bounded_and_the_rest_is_as_it_was() {
        assert_eq!(shortened(["make", "-k", ""]), ["make", "-k", ""]);
        for c in ['x', '"', '\u{1}', '\u{7f}', 'ä', '🦀'] {
            let long = c.to_string().repeat(2000);
            let all = shortened([&*long, "never"]);
            assert!(all.len() == 1 && all[0].ends_with('…') && all[0].len() > 90, "{all:?}");
            let json = serde_json::to_vec(&all).unwrap();
            assert!(json.len() <= LONGEST_SHOWN + '…'.len_utf8() + 2, "{c:?}: {}", json.len());
        }
        let many = vec!["x"; 1000];
        assert!(serde_json::to_vec(&shortened(many)).unwrap().len() <= LONGEST_SHOWN + 100);
    }

    #[test]
    fn the_longest_answers_are_messages() {
        let long = "\u{1}".repeat(LONGEST_NOTE);
        let words = shortened([&*long]);
        let (number, at, moment) = (u32::MAX, u64::MAX, u64::MAX);
        let text = words.concat();
        let job = ShownJob { number, words, since: at, until: at, processes: moment, cpu: moment };
        let jobs = Answer::Jobs(vec![job; 100]);
        let notes = Answer::Notes(vec![ShownNote { number, at, text }; 100]);
        for answer in [jobs, notes] {
            let length = serde_json::to_vec(&answer).unwrap().len();
            assert!(length + 1000 < LONGEST, "{length}");
        }
    }

    #[test]
    fn a_request_that_could_not_be_passed_on_is_too_long() {
        let of = |length| Request::StartJob { words: vec!["x".repeat(length)], lease: None };
        assert!(of(LONGEST_WORDS).is_bounded());
        assert!(!of(LONGEST_REQUEST).is_bounded());
    }
}
