//! What the watch has found, and how often it is told.
//!
//! Pure. A storm of findings is one with a count: the first of a rule is told at once, and those that follow within
//! [`TOGETHER`] are told as one when that time is over.

use super::rules::{Action, Rule, Sign};
use super::tree::{AgentId, Moment, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Findings of one rule at one agent are told so often at the most.
pub const TOGETHER: Duration = Duration::from_secs(10);

/// How many processes are named.
pub const NAMED: usize = 5;

/// The longest that is told of a process' words, in characters.
pub const LONGEST_WORDS: usize = 200;

/// A process as it is told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number on the host.
    pub pid: i32,
    /// Its number in the jail; 0 where that was not seen.
    pub inside: i32,
    /// Its words, as it has them: a process may change them.
    pub words: String,
}

impl Process {
    /// As told, in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let words: String = self.words.chars().take(LONGEST_WORDS).collect();
        let more = if words.len() < self.words.len() { "…" } else { "" };
        format!("{}{more} (pid {})", words.escape_debug(), self.pid)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that holds.
    pub rule: Rule,
    /// What is done.
    pub action: Action,
    /// By what it was found, where the rule is about a process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
    /// What was seen, in figures and words.
    pub seen: String,
    /// How many processes it is about.
    pub count: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// How many findings this one stands for.
    pub times: u64,
    /// The process that was left behind, for what is done about it.
    #[serde(skip)]
    pub top: Option<NodeId>,
}

impl Finding {
    /// The same in a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let named: Vec<String> = self.processes.iter().map(Process::told).collect();
        let more = self.count.saturating_sub(named.len() as u64);
        let mut text = format!("{}: {}", self.rule, self.seen);
        if !named.is_empty() {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text = format!("{text}: {}{more}", named.join(", "));
        }
        if self.times > 1 {
            text = format!("{text} ({} times)", self.times);
        }
        text
    }

    fn add(&mut self, other: Self) {
        self.times += other.times;
        self.count += other.count;
        self.seen = other.seen;
        self.action = self.action.max(other.action);
        for sign in other.signs {
            if !self.signs.contains(&sign) {
                self.signs.push(sign);
            }
        }
        let room = NAMED.saturating_sub(self.processes.len());
        self.processes.extend(other.processes.into_iter().take(room));
    }
}

/// Findings that wait to be told together.
#[derive(Debug, Default)]
pub struct Folds {
    folds: BTreeMap<(AgentId, Rule), Fold>,
}

#[derive(Debug)]
struct Fold {
    until: Moment,
    waits: Option<Finding>,
}

impl Folds {
    /// Takes what was found now; what is to be told now.
    pub fn put(&mut self, now: Moment, agent: AgentId, finding: Finding) -> Option<Finding> {
        match self.folds.get_mut(&(agent, finding.rule)) {
            Some(fold) => {
                match &mut fold.waits {
                    Some(waits) => waits.add(finding),
                    None => fold.waits = Some(finding),
                }
                None
            }
            None => {
                let fold = Fold { until: now + TOGETHER, waits: None };
                self.folds.insert((agent, finding.rule), fold);
                Some(finding)
            }
        }
    }

    /// Whether a finding of this rule would be told now.
    #[must_use]
    pub fn is_told_now(&self, agent: AgentId, rule: Rule) -> bool {
        !self.folds.contains_key(&(agent, rule))
    }

    /// When something is to be told.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.folds.values().map(|fold| fold.until).min()
    }

    /// What is to be told by now.
    pub fn due(&mut self, now: Moment) -> Vec<(AgentId, Finding)> {
        let mut told = Vec::new();
        self.folds.retain(|(agent, _), fold| {
            if fold.until > now {
                return true;
            }
            let waits = fold.waits.take();
            let goes_on = waits.is_some();
            told.extend(waits.map(|finding| (*agent, finding)));
            fold.until = now + TOGETHER;
            goes_on
        });
        told
    }

    /// What is left of an agent that is watched no more.
    pub fn rest(&mut self, agent: AgentId) -> Vec<Finding> {
        let all = std::mem::take(&mut self.folds);
        let (of, others) = all.into_iter().partition(|((whose, _), _)| *whose == agent);
        self.folds = others;
        let of: BTreeMap<(AgentId, Rule), Fold> = of;
        of.into_values().filter_map(|fold| fold.waits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(pid: i32) -> Finding {
        Finding {
            rule: Rule::Detached,
            action: Action::Alert,
            signs: vec![Sign::Line],
            seen: "was left behind".to_owned(),
            count: 1,
            processes: vec![Process { pid, inside: 7, words: "sleep 9".to_owned() }],
            times: 1,
            top: None,
        }
    }

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_storm_is_one_finding_with_a_count() {
        let mut folds = Folds::default();
        assert_eq!(folds.put(at(1), 1, finding(10)).map(|f| f.times), Some(1));
        for pid in 0..1000 {
            assert_eq!(folds.put(at(2), 1, finding(pid)), None);
        }
        // Another agent, and another rule, are told for themselves.
        assert!(folds.put(at(2), 2, finding(10)).is_some());
        assert!(folds.put(at(2), 1, Finding { rule: Rule::Count, ..finding(1) }).is_some());
        assert_eq!(folds.next(), Some(at(11)));
        assert!(folds.due(at(10)).is_empty());
        let told = folds.due(at(11));
        assert_eq!(told.len(), 1);
        let (agent, folded) = &told[0];
        assert_eq!((*agent, folded.times, folded.count), (1, 1000, 1000));
        assert_eq!(folded.processes.len(), NAMED);
        let text = folded.told();
        assert!(text.contains("sleep 9 (pid 0), ") && text.ends_with("and 995 more (1000 times)"));
        // Once it is quiet the next one is told at once again.
        assert!(folds.due(at(60)).is_empty());
        assert!(folds.put(at(61), 1, Finding { times: 2, ..finding(1) }).is_some());
    }

    #[test]
    fn what_waits_is_told_when_the_agent_goes() {
        let mut folds = Folds::default();
        assert!(folds.put(at(1), 1, finding(1)).is_some());
        assert!(folds.put(at(1), 1, finding(2)).is_none());
        assert!(folds.put(at(1), 2, finding(2)).is_some());
        assert_eq!(folds.rest(1).len(), 1);
        assert!(folds.rest(1).is_empty() && folds.next().is_some());
    }

    #[test]
    fn words_are_bounded_and_in_one_line() {
        let process = Process { pid: 3, inside: 1, words: format!("a\n{}", "b".repeat(999)) };
        assert!(process.told().starts_with("a\\nbbb") && process.told().ends_with("b… (pid 3)"));
    }
}
