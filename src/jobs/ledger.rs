//! Which jobs and notes an agent has, and when something is due. Pure: it is told the time, in seconds since 1970-01-01 UTC.

use crate::control::agent::{LONGEST_NOTE, LONGEST_WORDS, MOST_WORDS, ShownNote, shortened};
use crate::document::duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time until a note is typed.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a profile allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Jobs at a time, at the most.
    pub most: u32,
    /// How long one may take, at the most.
    pub longest: Duration,
    /// Notes that wait, at the most.
    pub notes: u32,
}

impl Default for Rules {
    /// What holds where a profile says nothing.
    fn default() -> Self {
        Self { most: 4, longest: Duration::from_secs(4 * 3600), notes: 16 }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Program and arguments, as far as they are told of.
    pub words: Vec<String>,
    /// Since when.
    pub since: u64,
    /// Until when it may run.
    pub until: u64,
}

/// A text that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Since when.
    pub since: u64,
    /// When it is typed.
    pub at: u64,
    /// The text.
    pub text: String,
}

/// Why something is not done: the cause, and what to do about it.
pub type Refusal = (String, String);

/// All jobs and notes of an agent, as they are kept for the next owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The last number that was given.
    pub last: u32,
    /// The jobs, by their numbers.
    pub jobs: BTreeMap<u32, Job>,
    /// The notes, by theirs.
    pub notes: BTreeMap<u32, Note>,
}

impl Ledger {
    /// Takes a job; its number.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn start(
        &mut self,
        rules: &Rules,
        now: u64,
        words: Vec<String>,
        lease: Option<u64>,
    ) -> Result<u32, Refusal> {
        let length: usize = words.iter().map(String::len).sum();
        if words.first().is_none_or(String::is_empty) {
            return refused("a job needs a command", "write it after --");
        }
        if words.len() > MOST_WORDS || length > LONGEST_WORDS {
            return refused("the command is too long for a job", "put it into a script");
        }
        let (most, longest) = (rules.most as usize, duration::shown(rules.longest));
        if self.jobs.len() >= most {
            let cause = format!("{most} jobs run, and the most are {most}");
            return refused(cause, "end one, or have [jobs] most in the profile raised");
        }
        let lease = lease.map_or(rules.longest, Duration::from_secs);
        if lease > rules.longest || lease.is_zero() {
            let cause = format!("a job may take {longest} at the most");
            return refused(cause, "ask for less, or have [jobs] longest in the profile raised");
        }
        let until = now.saturating_add(lease.as_secs());
        let number = self.next_number();
        let words = shortened(words.iter().map(String::as_str));
        self.jobs.insert(number, Job { words, since: now, until });
        Ok(number)
    }

    /// Takes a note; its number.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn schedule(
        &mut self,
        rules: &Rules,
        now: u64,
        after: u64,
        text: &str,
    ) -> Result<u32, Refusal> {
        if text.trim().is_empty() || text.len() > LONGEST_NOTE {
            let cause = format!("a note has from 1 to {LONGEST_NOTE} bytes");
            return refused(cause, "write down what it is about, and schedule a short reminder");
        }
        // What is typed must not be a key: the session would obey it.
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return refused("a note has control characters in it", "leave them out");
        }
        if Duration::from_secs(after) > LONGEST_WAIT || after == 0 {
            let longest = duration::shown(LONGEST_WAIT);
            return refused(format!("a note is typed from 1s to {longest} from now"), "");
        }
        if self.notes.len() >= rules.notes as usize {
            let cause = format!("{} notes wait, and no more can", self.notes.len());
            return refused(cause, "cancel one, or have [jobs] notes in the profile raised");
        }
        let number = self.next_number();
        let note = Note { since: now, at: now.saturating_add(after), text: text.to_owned() };
        self.notes.insert(number, note);
        Ok(number)
    }

    fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// Jobs whose time is over.
    #[must_use]
    pub fn over(&self, now: u64) -> Vec<u32> {
        self.jobs.iter().filter(|(_, job)| job.until <= now).map(|(number, _)| *number).collect()
    }

    /// Notes that are to be typed, which are taken out.
    pub fn take_due(&mut self, now: u64) -> Vec<(u32, Note)> {
        let all = std::mem::take(&mut self.notes);
        let (due, others): (BTreeMap<_, _>, _) = all.into_iter().partition(|(_, it)| it.at <= now);
        self.notes = others;
        due.into_iter().collect()
    }

    /// The notes that wait.
    #[must_use]
    pub fn shown_notes(&self) -> Vec<ShownNote> {
        let shown = |(number, note): (&u32, &Note)| ShownNote {
            number: *number,
            at: note.at,
            text: shortened([&*note.text]).concat(),
        };
        self.notes.iter().map(shown).collect()
    }
}

fn refused<T>(cause: impl Into<String>, hint: &str) -> Result<T, Refusal> {
    Err((cause.into(), hint.to_owned()))
}

/// A note as it is typed: what stands before it says that no person wrote it, and no program takes it for a command.
#[must_use]
pub fn typed(number: u32, note: &Note, now: u64) -> String {
    let ago = duration::shown(Duration::from_secs(now.saturating_sub(note.since)));
    format!("[note {number}, set {ago} ago] {}", note.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn jobs_are_counted_and_have_a_lease() {
        let rules = Rules { most: 2, longest: Duration::from_secs(60), notes: 1 };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.start(&rules, 100, words("make -k"), None), Ok(1));
        assert_eq!(ledger.start(&rules, 100, words("make"), Some(10)), Ok(2));
        let refused = ledger.start(&rules, 100, words("make"), Some(10)).unwrap_err();
        assert!(refused.0.contains("the most are 2") && refused.1.contains("[jobs] most"));
        assert!(ledger.over(109).is_empty());
        assert_eq!((ledger.over(110), ledger.over(160)), (vec![2], vec![1, 2]));
        ledger.jobs.remove(&2);
        for lease in [0, 61] {
            assert!(ledger.start(&rules, 100, words("make"), Some(lease)).is_err(), "{lease}");
        }
        assert!(ledger.start(&rules, 100, vec![String::new()], None).is_err());
        assert!(ledger.start(&rules, 100, vec!["x".repeat(LONGEST_WORDS + 1)], None).is_err());
        // A number is not given again.
        assert_eq!(ledger.start(&rules, 100, words("make"), None), Ok(3));
    }

    #[test]
    fn notes_are_typed_when_they_are_due_and_never_as_keys() {
        let rules = Rules { notes: 2, ..Rules::default() };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.schedule(&rules, 100, 60, "!ls; look"), Ok(1));
        for text in ["", " ", "a\u{1b}[201~b", "a\rb", &"x".repeat(LONGEST_NOTE + 1)] {
            assert!(ledger.schedule(&rules, 100, 60, text).is_err(), "{text:?}");
        }
        assert!(ledger.schedule(&rules, 100, 0, "x").is_err());
        assert!(ledger.schedule(&rules, 100, 8 * 24 * 3600, "x").is_err());
        assert_eq!(ledger.schedule(&rules, 100, 61, "two\nlines"), Ok(2));
        assert!(ledger.schedule(&rules, 100, 60, "x").unwrap_err().0.contains("2 notes wait"));
        assert!(ledger.take_due(159).is_empty());
        let due = ledger.take_due(160);
        assert_eq!(due.len(), 1);
        assert_eq!(typed(due[0].0, &due[0].1, 160), "[note 1, set 1m ago] !ls; look");
        assert_eq!(ledger.shown_notes().len(), 1);
    }
}
