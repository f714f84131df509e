//! What the watch is to find at an agent, as its profile says it.

use crate::document::{Located, Place};
use crate::jobs::ledger::Rules as JobRules;
use crate::watch::rules::{Action, Rule, Rules};
use std::collections::BTreeMap;

/// Which jobs and notes an agent may have, as its profile says it.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// How many, and how long.
    pub rules: JobRules,
    /// Where the first of them was written.
    pub origin: Place,
}

/// The rules, and where what is done about each was written.
#[derive(Clone, Debug)]
pub struct Watch {
    /// All of them.
    pub rules: Rules,
    /// Where the action of each was written, by its name.
    pub origins: BTreeMap<&'static str, Located<Action>>,
}

impl Watch {
    /// Where the action of `rule` was written.
    #[must_use]
    pub fn origin(&self, rule: Rule) -> String {
        self.origins.get(rule.name()).map(|action| action.place.to_string()).unwrap_or_default()
    }
}
