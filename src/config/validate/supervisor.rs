//! `[paths]`, `[supervisor]`, `[uids]`, `[watch]` and `[defaults]`.

use super::roles::principal;
use super::{Checker, absolute, profile};
use crate::config::raw::{RawDefaults, RawPaths, RawSupervisor, RawUids, RawWatch};
use crate::config::{Audit, Defaults, Paths, Restart, Supervisor, Watch};
use crate::document::{Located, duration};
use crate::host::uids::UidRange;
use std::time::Duration;

/// The longest path of the folder with the control socket, in bytes: a socket's has 108 at most (unix(7)).
const LONGEST_RUN: usize = 80;
/// Each agent has two processes outside of its jail, and descriptors of the supervisor.
const MOST_AGENTS: u32 = 4096;
/// Each is a file, and a line of a list.
const MOST_KNOWN: u32 = 65_536;
/// More than the usual range has uids for.
const MOST_NAMES: u32 = 4096;
/// More than any machine has.
const MOST_EVENTS: u32 = 10_000_000;
/// Somebody waits for it.
const MOST_PATIENCE: Duration = Duration::from_secs(600);
/// Fewer uids than a few agents with gates need are a slip of the pen.
const FEWEST_UIDS: u32 = 16;
/// The highest uid of the system's own accounts, and those of its first person (`UID_MIN`, login.defs(5)).
const SYSTEM: u32 = 1000;
/// systemd gives these to services as they start; 65534 is `nobody`, 65535 the -1 of old calls (UIDS-GIDS of
/// systemd).
const SERVICES: UidRange = UidRange { first: 61_184, last: 65_535 };
/// `(uid_t) -2` has been somebody's `nobody`, and -1 means "no change" to the kernel.
const HIGHEST: u32 = u32::MAX - 2;

pub(super) fn paths(check: &mut Checker, raw: &RawPaths) -> Paths {
    let default = Paths::default();
    Paths {
        run: check.or(raw.run.as_ref(), run, default.run),
        state: check.or(raw.state.as_ref(), absolute, default.state),
        log: check.or(raw.log.as_ref(), absolute, default.log),
    }
}

fn run(text: &str) -> Result<String, String> {
    match absolute(text)? {
        path if path.len() > LONGEST_RUN => {
            Err(format!("is {} bytes long, and a socket in it can have {LONGEST_RUN}", path.len()))
        }
        path => Ok(path),
    }
}

pub(super) fn supervisor(check: &mut Checker, raw: &RawSupervisor) -> Supervisor {
    let default = Supervisor::default();
    Supervisor {
        group: raw.group.as_ref().and_then(|group| principal(check, group)),
        max_agents: number(
            check,
            (raw.max_agents.as_ref(), default.max_agents),
            MOST_AGENTS,
            "write how many agents there may be at a time",
        ),
        max_known: number(
            check,
            (raw.max_known.as_ref(), default.max_known),
            MOST_KNOWN,
            "write how many agents may be known, those that have ended among them",
        ),
        max_names: number(
            check,
            (raw.max_names.as_ref(), default.max_names),
            MOST_NAMES,
            "write how many names one person who is not root may give",
        ),
        patience: check.or(raw.patience.as_ref(), patience, default.patience),
    }
}

pub(super) fn watch(check: &mut Checker, raw: &RawWatch) -> Watch {
    let default = Watch::default();
    Watch {
        events_per_second: number(
            check,
            (raw.events_per_second.as_ref(), default.events_per_second),
            MOST_EVENTS,
            "write how many events of processes on this host are read a second",
        ),
        audit: check.or(raw.audit.as_ref(), Audit::parse, default.audit),
    }
}

/// A number from 1 to `most`, or the default.
fn number(
    check: &mut Checker,
    (raw, default): (Option<&Located<i64>>, Located<u32>),
    most: u32,
    hint: &str,
) -> Located<u32> {
    let Some(raw) = raw else { return default };
    match u32::try_from(raw.value).ok().filter(|number| (1..=most).contains(number)) {
        Some(number) => raw.with(number),
        None => {
            let cause = format!("is {}, and not from 1 to {most}", raw.value);
            check.report(&raw.place, cause, hint);
            default
        }
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration > MOST_PATIENCE {
        return Err(format!("`{text}` is more than anybody waits"));
    }
    Ok(duration)
}

/// The range, or the default where anything is wrong with it.
pub(super) fn uids(check: &mut Checker, raw: &RawUids) -> UidRange {
    let default = UidRange::default();
    let first = end(check, raw.first.as_ref(), default.first);
    let last = end(check, raw.last.as_ref(), default.last);
    let (Some(first), Some(last)) = (first, last) else { return default };
    let range = UidRange { first, last };
    // The end that was written is the one to change; the first where both were.
    let Some(place) = raw.first.as_ref().or(raw.last.as_ref()).map(|end| &end.place) else {
        return default;
    };
    let wrong = if first > last {
        Some((
            format!("makes the range {range}, which ends before it begins"),
            "write both, `first` below `last`".to_owned(),
        ))
    } else if last - first < FEWEST_UIDS - 1 {
        let has = last - first + 1;
        Some((
            format!(
                "makes the range {range}, which has {has}, and at least {FEWEST_UIDS} are needed"
            ),
            "each agent takes one for good, and its gate another".to_owned(),
        ))
    } else if first <= SERVICES.last && last >= SERVICES.first {
        Some((
            format!(
                "makes the range {range}, and {SERVICES} are systemd's for services and `nobody`"
            ),
            "choose uids above 65535 that nothing else on this machine hands out".to_owned(),
        ))
    } else {
        None
    };
    match wrong {
        Some((cause, hint)) => {
            check.report(place, cause, hint);
            default
        }
        None => range,
    }
}

/// One end of the range; `None` where it is wrong, and reported.
fn end(check: &mut Checker, raw: Option<&Located<i64>>, default: u32) -> Option<u32> {
    let Some(raw) = raw else { return Some(default) };
    let (cause, hint) = match u32::try_from(raw.value) {
        Err(_) => (format!("is {}, which is no uid", raw.value), "write a number above 65535"),
        Ok(uid) if uid <= SYSTEM => (
            format!("is {uid}, and uids up to {SYSTEM} are the system's and its first person's"),
            "an agent with one of them would own their files: write a number above 65535",
        ),
        Ok(uid) if uid > HIGHEST => (
            format!("is {uid}, and the kernel has a meaning of its own for the highest uids"),
            "write 4294967293 or less",
        ),
        Ok(uid) => return Some(uid),
    };
    check.report(&raw.place, cause, hint);
    None
}

pub(super) fn defaults(check: &mut Checker, raw: &RawDefaults) -> Defaults {
    let default = Defaults::default();
    Defaults {
        restart: check.or(raw.restart.as_ref(), Restart::parse, default.restart),
        profile: check.maybe(raw.profile.as_ref(), profile),
    }
}
