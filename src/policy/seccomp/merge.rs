//! Rules of several files put together, and the contradictions that come to light.

use super::raw::RawRule;
use super::{Action, Call, Errno, Rule};
use crate::document::{Located, Problem, Problems};
use std::collections::BTreeMap;

/// What one file and its includes say about one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    rules: Vec<Rule>,
    otherwise: Vec<Located<Errno>>,
}

/// What one file and its includes say.
pub(super) type Merged = BTreeMap<String, Said>;

/// Adds all of `from`. A rule that came by another way already (two files that include a third) is the
/// same rule, known by its place.
pub(super) fn add_all(to: &mut Merged, from: &Merged) {
    for (name, said) in from {
        let known = to.entry(name.clone()).or_default();
        for rule in &said.rules {
            if known.rules.iter().all(|other| other.place != rule.place) {
                known.rules.push(rule.clone());
            }
        }
        for errno in &said.otherwise {
            if !known.otherwise.contains(errno) {
                known.otherwise.push(errno.clone());
            }
        }
    }
}

/// Adds one rule.
pub(super) fn add(to: &mut Merged, raw: RawRule) {
    let known = to.entry(raw.call).or_default();
    known.rules.push(raw.rule);
    known.otherwise.extend(raw.otherwise);
}

/// The final calls: refusals first. Reports whatever cannot be meant.
pub(super) fn finish(merged: Merged, problems: &mut Problems) -> BTreeMap<String, Call> {
    let mut calls = BTreeMap::new();
    for (name, Said { mut rules, otherwise }) in merged {
        report_clashes(&name, &rules, problems);
        report_two_answers(&name, &otherwise, problems);
        rules.sort_by_key(|rule| rule.action == Action::Allow);
        let otherwise = otherwise.first().map_or(Errno::Eperm, |errno| errno.value);
        calls.insert(name, Call { rules, otherwise });
    }
    calls
}

fn report_clashes(name: &str, rules: &[Rule], problems: &mut Problems) {
    for (index, rule) in rules.iter().enumerate() {
        for earlier in &rules[..index] {
            if let Some(clash) = clash(earlier, rule) {
                let other = &earlier.place;
                let cause = format!("`{name}` {clash} {other} ({})", earlier.action);
                let hint =
                    "keep one of the two; to overrule an included file, list the call in `replace`";
                problems.push(Problem::new(&rule.place, cause, hint));
            }
        }
    }
}

/// How two rules for one call get in each other's way, if they do.
fn clash(a: &Rule, b: &Rule) -> Option<&'static str> {
    let always = |rule: &Rule| rule.when.is_empty();
    let same_action = a.action == b.action;
    if a.when == b.when {
        return Some(if same_action { "repeats" } else { "contradicts" });
    }
    if same_action && (always(a) || always(b)) {
        return Some("has conditions that mean nothing next to");
    }
    let refused_always = |rule: &Rule| always(rule) && rule.action != Action::Allow;
    (refused_always(a) || refused_always(b)).then_some("contradicts")
}

fn report_two_answers(name: &str, otherwise: &[Located<Errno>], problems: &mut Problems) {
    let Some((first, rest)) = otherwise.split_first() else { return };
    for other in rest.iter().filter(|other| other.value != first.value) {
        let cause =
            format!("`{name}` gets {} here, but {} at {}", other.value, first.value, first.place);
        problems.push(other.problem(cause, "a call has one answer where no rule applies"));
    }
}
