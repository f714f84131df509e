//! `[watch]` and `[jobs]`.

use super::{Checker, DEFAULT};
use crate::document::{Located, Place, duration};
use crate::jobs::ledger::Rules as JobRules;
use crate::profile::raw::{RawJobs, RawWatch};
use crate::profile::types::{Cpus, Jobs, Watch};
use crate::watch::rules::{Action, Background, Count, Detached, Rule, Rules, Sign, Spawns};
use globset::Glob;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest grace: what is older is not left behind a moment ago.
const LONGEST_GRACE: Duration = Duration::from_secs(24 * 3600);
/// The longest time over which something is counted.
const LONGEST_OVER: Duration = Duration::from_secs(3600);
/// More than any machine does.
const MOST_SPAWNS: u64 = 1_000_000;
/// The most processes that the kernel has numbers for (`PID_MAX_LIMIT`).
const MOST_PROCESSES: u64 = 4_194_304;

pub(super) fn watch(check: &mut Checker, raw: &RawWatch) -> Watch {
    let default = Rules::default();
    let mut origins = BTreeMap::new();
    let mut action = |check: &mut Checker, rule: Rule, raw: Option<&Located<String>>| {
        let written = raw.and_then(|raw| one(check, rule, raw));
        let action = written.unwrap_or_else(|| Located {
            value: default.action(rule),
            place: Place::outside(DEFAULT, &format!("watch.{rule}.action")),
        });
        let value = action.value;
        origins.insert(rule.name(), action);
        value
    };
    let rules = Rules {
        detached: Detached {
            action: action(check, Rule::Detached, raw.detached.action.as_ref()),
            ..detached(check, raw, &default.detached)
        },
        spawns: Spawns {
            action: action(check, Rule::Spawns, raw.spawns.action.as_ref()),
            ..spawns(check, raw, &default.spawns)
        },
        count: Count {
            processes: number(check, raw.count.processes.as_ref(), MOST_PROCESSES)
                .unwrap_or(default.count.processes),
            action: action(check, Rule::Count, raw.count.action.as_ref()),
        },
        limits: action(check, Rule::Limits, raw.limits.as_ref()),
        background: Background {
            action: action(check, Rule::Background, raw.background.action.as_ref()),
            ..background(check, raw, &default.background)
        },
        orphans: action(check, Rule::Orphans, raw.orphans.as_ref()),
    };
    Watch { rules, origins }
}

/// A job is for hours: what never ends is an agent of its own.
const LONGEST_JOB: Duration = Duration::from_secs(7 * 24 * 3600);
/// Each is a cgroup.
const MOST_JOBS: u64 = 100;
/// Each is kept in memory.
const MOST_NOTES: u64 = 100;

pub(super) fn jobs(check: &mut Checker, raw: &RawJobs) -> Jobs {
    let default = JobRules::default();
    let places = [&raw.most, &raw.notes].map(|it| it.as_ref().map(|it| it.place.clone()));
    let longest = raw.longest.as_ref();
    let origin = places.into_iter().chain([longest.map(|it| it.place.clone())]).flatten().next();
    let mut count = |raw: Option<&Located<i64>>, most: u64, default: u32| {
        let number = at_most(check, raw, 0, most);
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    let (most, notes) = (
        count(raw.most.as_ref(), MOST_JOBS, default.most),
        count(raw.notes.as_ref(), MOST_NOTES, default.notes),
    );
    let longest = longest.and_then(|raw| within(check, raw, Duration::from_secs(1), LONGEST_JOB));
    let rules = JobRules { most, longest: longest.unwrap_or(default.longest), notes };
    Jobs { rules, origin: origin.unwrap_or_else(|| Place::outside(DEFAULT, "jobs")) }
}

/// An action that `rule` can have.
fn one(check: &mut Checker, rule: Rule, raw: &Located<String>) -> Option<Located<Action>> {
    let Some(action) = Action::named(&raw.value) else {
        let names = "write off, log, alert, signal, freeze or stop";
        let cause = format!("`{}` is not an action", raw.value.escape_debug());
        check.report(&raw.place, cause, names);
        return None;
    };
    let refused = match (rule, action) {
        (Rule::Spawns | Rule::Count | Rule::Limits, Action::Signal) => Some((
            "is about no single process that could be signalled",
            "write freeze or stop, or log or alert",
        )),
        (Rule::Orphans, Action::Signal | Action::Freeze | Action::Stop) => {
            Some(("is about processes that are ended anyway", "write off, log or alert"))
        }
        (_, _) => None,
    };
    if let Some((cause, hint)) = refused {
        check.report(&raw.place, cause, hint);
        return None;
    }
    Some(raw.with(action))
}

fn detached(check: &mut Checker, raw: &RawWatch, default: &Detached) -> Detached {
    let raw = &raw.detached;
    let grace =
        raw.grace.as_ref().and_then(|raw| within(check, raw, Duration::ZERO, LONGEST_GRACE));
    let signs = raw.signs.as_ref().map(|signs| check.all(signs, sign));
    let signs = signs.map(|signs| signs.into_iter().map(|sign| sign.value).collect());
    let except = check.all(&raw.except, pattern);
    Detached {
        grace: grace.unwrap_or(default.grace),
        signs: signs.unwrap_or_else(|| default.signs.clone()),
        except: except.into_iter().map(|text| text.value).collect(),
        action: default.action,
    }
}

fn spawns(check: &mut Checker, raw: &RawWatch, default: &Spawns) -> Spawns {
    let raw = &raw.spawns;
    let second = Duration::from_secs(1);
    let over = raw.over.as_ref().and_then(|raw| within(check, raw, second, LONGEST_OVER));
    let per_second = number(check, raw.per_second.as_ref(), MOST_SPAWNS);
    Spawns {
        per_second: per_second.unwrap_or(default.per_second),
        over: over.unwrap_or(default.over),
        action: default.action,
    }
}

fn background(check: &mut Checker, raw: &RawWatch, default: &Background) -> Background {
    let raw = &raw.background;
    let second = Duration::from_secs(1);
    let over = raw.over.as_ref().and_then(|raw| within(check, raw, second, LONGEST_OVER));
    let cpu = check.maybe(raw.cpu.as_ref(), Cpus::parse);
    Background {
        percent: cpu.map_or(default.percent, |cpu| u64::from(cpu.value.0)),
        over: over.unwrap_or(default.over),
        action: default.action,
    }
}

fn number(check: &mut Checker, raw: Option<&Located<i64>>, most: u64) -> Option<u64> {
    at_most(check, raw, 1, most)
}

fn at_most(check: &mut Checker, raw: Option<&Located<i64>>, least: i64, most: u64) -> Option<u64> {
    let number = check.number(raw, least)?;
    if number.value > most {
        let cause = format!("is {}, above the most, {most}", number.value);
        check.report(&number.place, cause, "");
        return None;
    }
    Some(number.value)
}

fn within(
    check: &mut Checker,
    raw: &Located<String>,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    let value = check.one(raw, duration::parse)?.value;
    if value < least || value > most {
        let (least, most) = (duration::shown(least), duration::shown(most));
        check.report(&raw.place, format!("`{}` is not from {least} to {most}", raw.value), "");
        return None;
    }
    Some(value)
}

fn sign(text: &str) -> Result<Sign, String> {
    let unknown = || format!("`{}` is not line, pane, hangup or terminal", text.escape_debug());
    Sign::named(text).ok_or_else(unknown)
}

fn pattern(text: &str) -> Result<String, String> {
    if text.trim_matches('*').trim().is_empty() {
        return Err("would except every process: use action = \"off\" for that".to_owned());
    }
    Glob::new(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("`{}` is not a pattern: {}", text.escape_debug(), error.kind()))
}
