//! What the watch is to find at an agent, and what it does then: the `[watch]` tables of a profile, as plain data.

use crate::document::duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A process that was left behind.
    Detached,
    /// Many new processes in a short time.
    Spawns,
    /// Many processes at once.
    Count,
    /// A limit was reached.
    Limits,
    /// Processor time of what was left behind.
    Background,
    /// What still ran when the agent's command ended.
    Orphans,
}

impl Rule {
    /// Every rule, in the order in which they are told of.
    pub const ALL: [Self; 6] =
        [Self::Detached, Self::Spawns, Self::Count, Self::Limits, Self::Background, Self::Orphans];

    /// Its name, which is that of its table in a profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Spawns => "spawns",
            Self::Count => "count",
            Self::Limits => "limits",
            Self::Background => "background",
            Self::Orphans => "orphans",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is done about a finding, each including those before it but for `signal`, which ends what was found and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The rule is not applied.
    Off,
    /// It is written down.
    #[default]
    Log,
    /// Somebody is told.
    Alert,
    /// The processes found are asked to end by SIGTERM, and ended by SIGKILL.
    Signal,
    /// The agent stands still until a person lets it go on.
    Freeze,
    /// The agent is stopped.
    Stop,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] =
        [Self::Off, Self::Log, Self::Alert, Self::Signal, Self::Freeze, Self::Stop];

    /// Its name in a profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Log => "log",
            Self::Alert => "alert",
            Self::Signal => "signal",
            Self::Freeze => "freeze",
            Self::Stop => "stop",
        }
    }

    /// The action called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// By what a process is taken to have been left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Whoever started it has ended, and so nothing leads from it to a process of a pane.
    Line,
    /// Its pane is in no window of the agent's session.
    Pane,
    /// It ignores SIGHUP, and whoever started it does not.
    Hangup,
    /// It leads a session that has no terminal.
    Terminal,
}

impl Sign {
    /// Every sign.
    pub const ALL: [Self; 4] = [Self::Line, Self::Pane, Self::Hangup, Self::Terminal];

    /// Its name in a profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Pane => "pane",
            Self::Hangup => "hangup",
            Self::Terminal => "terminal",
        }
    }

    /// The sign called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sign| sign.name() == name)
    }
}

/// A process that was left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// How long a sign must last.
    pub grace: Duration,
    /// The signs that count.
    pub signs: Vec<Sign>,
    /// Commands that are not told of: patterns of all their words, separated by spaces.
    pub except: Vec<String>,
    /// What is done.
    pub action: Action,
}

/// Many new processes in a short time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawns {
    /// New processes a second, at the most.
    pub per_second: u64,
    /// On an average over this time.
    pub over: Duration,
    /// What is done.
    pub action: Action,
}

/// Many processes at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Processes at the most.
    pub processes: u64,
    /// What is done.
    pub action: Action,
}

/// Processor time of what was left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Background {
    /// Hundredths of a processor, at the most.
    pub percent: u64,
    /// On an average over this time.
    pub over: Duration,
    /// What is done.
    pub action: Action,
}

/// All rules of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// `[watch.detached]`.
    pub detached: Detached,
    /// `[watch.spawns]`.
    pub spawns: Spawns,
    /// `[watch.count]`.
    pub count: Count,
    /// `[watch.limits] action`.
    pub limits: Action,
    /// `[watch.background]`.
    pub background: Background,
    /// `[watch.orphans] action`.
    pub orphans: Action,
}

impl Default for Rules {
    /// What holds where a profile says nothing.
    fn default() -> Self {
        Self {
            detached: Detached {
                grace: Duration::from_secs(10),
                signs: vec![Sign::Line, Sign::Pane, Sign::Hangup],
                except: Vec::new(),
                action: Action::Alert,
            },
            spawns: Spawns {
                per_second: 200,
                over: Duration::from_secs(10),
                action: Action::Alert,
            },
            count: Count { processes: 100, action: Action::Alert },
            limits: Action::Log,
            background: Background {
                percent: 50,
                over: Duration::from_secs(300),
                action: Action::Alert,
            },
            orphans: Action::Log,
        }
    }
}

impl Rules {
    /// What `rule` finds, in words.
    #[must_use]
    pub fn told(&self, rule: Rule) -> String {
        match rule {
            Rule::Detached => {
                let grace = duration::shown(self.detached.grace);
                let signs: Vec<_> = self.detached.signs.iter().map(|sign| sign.name()).collect();
                format!("left behind for {grace}, by {}", signs.join(", "))
            }
            Rule::Spawns => {
                let Spawns { per_second, over, .. } = &self.spawns;
                let over = duration::shown(*over);
                format!("more than {per_second} new processes a second, over {over}")
            }
            Rule::Count => format!("more than {} processes", self.count.processes),
            Rule::Limits => "a limit is reached".to_owned(),
            Rule::Background => {
                let Background { percent, over, .. } = &self.background;
                let over = duration::shown(*over);
                format!("left behind, and uses more than {percent}% of a processor, over {over}")
            }
            Rule::Orphans => "runs on when the agent's command ends".to_owned(),
        }
    }

    /// What is done about a finding of `rule`.
    #[must_use]
    pub fn action(&self, rule: Rule) -> Action {
        match rule {
            Rule::Detached => self.detached.action,
            Rule::Spawns => self.spawns.action,
            Rule::Count => self.count.action,
            Rule::Limits => self.limits,
            Rule::Background => self.background.action,
            Rule::Orphans => self.orphans,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_own() {
        assert!(Action::ALL.into_iter().all(|action| Action::named(action.name()) == Some(action)));
        assert!(Sign::ALL.into_iter().all(|sign| Sign::named(sign.name()) == Some(sign)));
        assert_eq!((Action::named("kill"), Sign::named("")), (None, None));
        let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }

    #[test]
    fn rules_of_an_older_record_are_the_usual_ones() {
        let rules: Rules = serde_json::from_str("{}").unwrap();
        assert_eq!(rules, Rules::default());
        assert_eq!(rules.action(Rule::Count), Action::Alert);
    }
}
