//! `[[agents]]`: what the supervisor starts.

use super::{Checker, absolute, profile};
use crate::config::raw::RawAgent;
use crate::config::{AgentEntry, Defaults, RawConfig, Restart};
use crate::document::{Located, Place};
use crate::profile::Wall;
use crate::profile::types::AgentName;
use std::collections::BTreeMap;

pub(super) fn all(check: &mut Checker, raw: &RawConfig, defaults: &Defaults) -> Vec<AgentEntry> {
    let mut named: BTreeMap<AgentName, Place> = BTreeMap::new();
    let mut agents = Vec::new();
    let has_default = raw.defaults.profile.is_some();
    for raw in &raw.agents {
        let name = name(check, raw, &mut named);
        if raw.profile.is_none() && !has_default {
            let hint = "write profile = \"claude\", or one for all of them in [defaults]";
            check.missing(&raw.place, "profile", hint);
        }
        let own = check.maybe(raw.profile.as_ref(), profile);
        // One that is wrong is told already, and the default is not what was meant.
        let profile = own.or_else(|| defaults.profile.clone().filter(|_| raw.profile.is_none()));
        let workspace = check.maybe(raw.workspace.as_ref(), absolute);
        let command = raw.command.as_ref().and_then(|raw| command(check, raw));
        let without: Vec<_> =
            raw.without.iter().filter_map(|wall| check.one(wall, Wall::parse)).collect();
        let restart = check.or(raw.restart.as_ref(), Restart::parse, defaults.restart.clone());
        if let (Some(name), Some(profile)) = (name, profile) {
            agents.push(AgentEntry { name, profile, workspace, command, without, restart });
        }
    }
    agents
}

fn name(
    check: &mut Checker,
    raw: &RawAgent,
    named: &mut BTreeMap<AgentName, Place>,
) -> Option<Located<AgentName>> {
    if raw.name.is_none() {
        check.missing(&raw.place, "name", "write a name, as in name = \"reviewer\"");
    }
    let name = check.maybe(raw.name.as_ref(), AgentName::parse)?;
    match named.get(&name.value) {
        Some(first) => {
            let cause = format!("is `{}`, as the one at {first} is", name.value);
            check.report(&name.place, cause, "give each agent a name of its own");
        }
        None => drop(named.insert(name.value.clone(), name.place.clone())),
    }
    Some(name)
}

fn command(
    check: &mut Checker,
    raw: &Located<Vec<Located<String>>>,
) -> Option<Located<Vec<String>>> {
    let words: Vec<_> = raw.value.iter().map(|word| word.value.clone()).collect();
    if words.first().is_none_or(String::is_empty) {
        let hint = "write command = [\"program\", \"argument\"], or leave it out for the profile's";
        check.report(&raw.place, "is empty", hint);
        return None;
    }
    if words.iter().any(|word| word.contains('\0')) {
        check.report(&raw.place, "has a NUL character in it", "leave it out");
        return None;
    }
    Some(raw.with(words))
}

/// More agents than there may be could never all be started.
pub(super) fn count(check: &mut Checker, raw: &RawConfig, most: &Located<u32>) {
    let (Some(last), Ok(count)) = (raw.agents.last(), u32::try_from(raw.agents.len())) else {
        return;
    };
    if count > most.value {
        let cause = format!("is the last of {count}, and there may be {} at a time", most.value);
        check.report(&last.place, cause, "set max_agents of [supervisor] higher");
    }
}
