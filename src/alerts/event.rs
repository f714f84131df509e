//! What happens, as rules of alerts see it: one type for all of it, with names that stay.
//!
//! Pure, and knows nothing of anybody else: the journals write events down, rules count them, metrics number them.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Characters of a text that an event keeps: what agents say may be long.
const LONGEST: usize = 500;

/// Defines the kinds of events, each with its name and what it is.
macro_rules! kinds {
    ($($kind:ident $name:literal $about:literal,)+) => {
        /// What kind of thing happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind {
            $(
                #[doc = $about]
                #[serde(rename = $name)]
                $kind,
            )+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Its name: in journals, rules and metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What it is, in a clause.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$kind => $about,)+
                }
            }
        }
    };
}

kinds! {
    Start "start" "somebody starts an agent",
    Started "started" "an agent runs",
    Ended "ended" "an agent has ended",
    Restarted "restarted" "an agent that has ended is started again by itself",
    Stop "stop" "somebody stops an agent",
    Restart "restart" "somebody has an agent start anew",
    Frozen "frozen" "an agent waits until somebody lets it go on",
    Thawed "thawed" "a frozen agent goes on",
    Attached "attached" "somebody came to look at an agent, or to run a command in it",
    Detached "detached" "somebody left an agent",
    SentAway "sent-away" "somebody may not look at an agent any more",
    Told "told" "something is summed up at an agent's end",
    Trouble "trouble" "something about an agent does not work",
    Limit "limit" "an agent reached one of its limits",
    Denial "denial" "something was refused to an agent",
    Finding "finding" "the watch has found something about an agent's processes",
    Acted "acted" "the watch has done something about an agent's processes",
    JobStarted "job-started" "an agent started a declared job",
    JobStopped "job-stopped" "somebody ended a job",
    JobEnded "job-ended" "a job has ended",
    Scheduled "scheduled" "an agent asked for a note later",
    Note "note" "a note was typed, or could not be",
    RefusedCall "refused-call" "a call by the control socket was refused to its caller",
    AlertFailed "alert-failed" "a sink did not take an alert",
    AuthFailure "auth-failure" "somebody was not who they said they are",
    Message "message" "an agent sent a message",
    Spawn "spawn" "an agent had another one started",
}

impl Kind {
    /// The one of this name.
    ///
    /// # Errors
    /// A clause that says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|kind| kind.name() == text);
        found.copied().ok_or_else(|| format!("`{}` is no kind of event", text.escape_debug()))
    }

    /// What its events tell besides their text.
    #[must_use]
    pub fn labels(self) -> &'static [Label] {
        match self {
            Self::Ended => &[Label::Outcome],
            Self::Limit => &[Label::Limit, Label::Outcome],
            Self::Denial => &[Label::Wall],
            Self::Finding => &[Label::Finding, Label::Action],
            Self::AlertFailed => &[Label::Sink],
            Self::Start
            | Self::Started
            | Self::Restarted
            | Self::Stop
            | Self::Restart
            | Self::Frozen
            | Self::Thawed
            | Self::Attached
            | Self::Detached
            | Self::SentAway
            | Self::Told
            | Self::Trouble
            | Self::Acted
            | Self::JobStarted
            | Self::JobStopped
            | Self::JobEnded
            | Self::Scheduled
            | Self::Note
            | Self::RefusedCall
            | Self::AuthFailure
            | Self::Message
            | Self::Spawn => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an event tells besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// Which limit was reached.
    Limit,
    /// Which rule of the watch has found it.
    Finding,
    /// What the watch did about it.
    Action,
    /// Which wall refused it.
    Wall,
    /// How an agent ended (`well`, `badly`, `asked`), or what came of a limit.
    Outcome,
    /// Which sink it is about.
    Sink,
}

impl Label {
    /// Its name: the key of rules that ask for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Finding => "finding",
            Self::Action => "action",
            Self::Wall => "wall",
            Self::Outcome => "outcome",
            Self::Sink => "sink",
        }
    }
}

/// How bad it is; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warning,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::High, Self::Critical];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The priority of syslog(3) that says the same.
    #[must_use]
    pub fn priority(self) -> u8 {
        match self {
            Self::Info => 6,
            Self::Warning => 4,
            Self::High => 3,
            Self::Critical => 2,
        }
    }

    /// The one of this word.
    ///
    /// # Errors
    /// A clause that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|severity| severity.word() == text).ok_or_else(|| {
            format!("`{}` is not info, warning, high or critical", text.escape_debug())
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// To which agent, where it is about one.
    pub agent: Option<String>,
    /// How often: a storm is one event with a count.
    pub count: u64,
    /// In a sentence.
    pub text: String,
    /// What else it tells.
    pub labels: Vec<(Label, String)>,
}

impl Event {
    /// One that happened once, to `agent` where it is about one.
    #[must_use]
    pub fn new(kind: Kind, agent: Option<&str>, text: &str) -> Self {
        let (agent, text) = (agent.map(str::to_owned), text.to_owned());
        Self { kind, agent, count: 1, text, labels: Vec::new() }
    }

    /// The same, so many times.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// The same, with `value` for `label`.
    #[must_use]
    pub fn with(mut self, label: Label, value: impl Into<String>) -> Self {
        self.labels.push((label, value.into()));
        self
    }

    /// What it tells for `label`.
    #[must_use]
    pub fn label(&self, label: Label) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| *known == label);
        found.map(|(_, value)| value.as_str())
    }
}

/// The most events that wait to be looked at: more than happen in a turn of a supervisor.
const MOST: usize = 10_000;

/// By which what is written down is told, to who looks at it later in the same thread.
#[derive(Clone, Debug, Default)]
pub struct Teller(Option<Rc<RefCell<Vec<Event>>>>);

impl Teller {
    /// One that somebody listens to.
    #[must_use]
    pub fn heard() -> Self {
        Self(Some(Rc::default()))
    }

    /// Tells of `event`. Its text is cut where it is long: what agents say may be.
    pub fn tell(&self, mut event: Event) {
        let Some(told) = &self.0 else { return };
        if let Some((end, _)) = event.text.char_indices().nth(LONGEST) {
            event.text.truncate(end);
        }
        let mut told = told.borrow_mut();
        if told.len() < MOST {
            told.push(event);
        }
    }

    /// What was told since this was asked last.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        self.0.as_ref().map(|told| std::mem::take(&mut *told.borrow_mut())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_that_finds_it() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Ok(*kind));
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.name());
            let same = Kind::ALL.iter().filter(|other| other.name() == kind.name()).count();
            assert_eq!(same, 1, "{kind}");
        }
        Kind::parse("Start").unwrap_err();
    }

    #[test]
    fn a_worse_one_is_higher_and_more_urgent_to_syslog() {
        for pair in Severity::ALL.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].priority() > pair[1].priority());
        }
        assert!(Severity::ALL.iter().all(|it| Severity::parse(it.word()) == Ok(*it)));
    }

    #[test]
    fn a_long_text_is_cut() {
        let event = Event::new(Kind::Denial, None, &"ä".repeat(LONGEST + 9));
        let teller = Teller::heard();
        teller.clone().tell(event.clone());
        let told = teller.take();
        assert_eq!((told.len(), told[0].text.chars().count()), (1, LONGEST));
        assert!(teller.take().is_empty());
        Teller::default().tell(event.clone());
        assert!(Teller::default().take().is_empty());
        let event = event.with(Label::Wall, "gate").times(3);
        assert_eq!((event.label(Label::Wall), event.label(Label::Limit)), (Some("gate"), None));
    }
}
