//! A policy as plain data, and its verdict on a call.

use super::{Condition, Errno};
use crate::document::Place;
use std::collections::BTreeMap;
use std::fmt;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The kernel performs it.
    Allow,
    /// The kernel does not see it; the caller gets this error.
    Refuse(Errno),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allowed"),
            Self::Refuse(errno) => write!(f, "refused with {errno}"),
        }
    }
}

/// One rule for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule applies where all of these hold; always, where there are none.
    pub when: Vec<Condition>,
    /// What then happens.
    pub action: Action,
    /// Whether the kernel is to record it, where it is a refusal.
    pub log: bool,
    /// Why, in the words of the policy's author.
    pub reason: String,
    /// Where the rule is written.
    pub place: Place,
}

/// All rules for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The first rule that applies decides. A loaded policy has refusals before permissions, so that
    /// a refusal always wins.
    pub rules: Vec<Rule>,
    /// What the caller gets where no rule applies.
    pub otherwise: Errno,
}

impl Call {
    /// The action, where it does not depend on the arguments.
    #[must_use]
    pub fn constant(&self) -> Option<Action> {
        match self.rules.first() {
            None => Some(Action::Refuse(self.otherwise)),
            Some(rule) if rule.when.is_empty() => Some(rule.action),
            Some(_) => None,
        }
    }

    /// What a filter does with the call.
    pub(super) fn branches(&self) -> Branches<'_> {
        let rules = self.rules.iter().map(|rule| (rule.when.as_slice(), rule.action)).collect();
        Branches { rules, otherwise: Action::Refuse(self.otherwise) }
    }

    /// What a filter does with the call that refuses what is to be recorded, and nothing else.
    pub(super) fn told_branches(&self) -> Branches<'_> {
        let told = |rule: &Rule| if rule.log { rule.action } else { Action::Allow };
        let rules = self.rules.iter().map(|rule| (rule.when.as_slice(), told(rule)));
        let mut rules: Vec<_> = rules.collect();
        let always = rules.iter().position(|(when, _)| when.is_empty());
        let otherwise = match always.and_then(|always| rules.drain(always..).next()) {
            Some((_, action)) => action,
            None if self.otherwise.is_told() => Action::Refuse(self.otherwise),
            None => Action::Allow,
        };
        // What comes to the same as the rest needs no look at arguments.
        while rules.last().is_some_and(|(_, action)| *action == otherwise) {
            rules.pop();
        }
        Branches { rules, otherwise }
    }

    /// Whether at least one rule allows the call.
    #[must_use]
    pub fn can_be_allowed(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Allow)
    }
}

/// What a filter does with one call: the first rule that applies decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branches<'p> {
    pub(super) rules: Vec<(&'p [Condition], Action)>,
    pub(super) otherwise: Action,
}

impl Branches<'_> {
    /// The action, where it does not depend on the arguments.
    pub(super) fn constant(&self) -> Option<Action> {
        match self.rules.first() {
            None => Some(self.otherwise),
            Some(([], action)) => Some(*action),
            Some(_) => None,
        }
    }
}

/// A system call policy: what is not in it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What the caller of a call that is not mentioned gets.
    pub default: Errno,
    /// The calls that are mentioned, by their kernel names. An architecture may lack some of them.
    pub calls: BTreeMap<String, Call>,
}

/// What a policy says to one call with known arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: &'p str,
    /// Where that is written; none where it follows from what is not written.
    pub place: Option<&'p Place>,
}

/// What a policy says to one call, whatever its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'p> {
    /// The same for all arguments.
    Always(Decision<'p>),
    /// By its arguments: the first rule that applies, else [`Call::otherwise`].
    Depends(&'p Call),
}

impl Policy {
    /// The verdict on the call `name`, for `why`.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Verdict<'_> {
        match self.calls.get(name) {
            Some(call) if call.constant().is_none() => Verdict::Depends(call),
            Some(_) | None => Verdict::Always(self.decide(name, &[0; 6])),
        }
    }

    /// What happens to the call `name` with these arguments. The compiled filter decides the same.
    #[must_use]
    pub fn decide(&self, name: &str, arguments: &[u64; 6]) -> Decision<'_> {
        let Some(call) = self.calls.get(name) else {
            let action = Action::Refuse(self.default);
            return Decision { action, reason: "the policy does not mention it", place: None };
        };
        let applies = |rule: &&Rule| rule.when.iter().all(|condition| condition.holds(arguments));
        match call.rules.iter().find(applies) {
            Some(Rule { action, reason, place, .. }) => {
                Decision { action: *action, reason, place: Some(place) }
            }
            None => Decision {
                action: Action::Refuse(call.otherwise),
                reason: "none of the rules for it applies to these arguments",
                place: None,
            },
        }
    }
}
