//! What is run, and whether the jail has it.

use super::refusal::PlanError;
use super::request::{Mode, Request};
use super::tree::{HostTrees, join};
use super::types::CommandPlan;
use crate::host::{HostFacts, PathAnswer};
use crate::profile::Profile;
use crate::profile::types::Workspace;
use std::collections::BTreeSet;

/// Where programs are looked for where the profile sets no `PATH`.
pub(super) const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The program that keeps the session.
const TMUX: &str = "tmux";

fn search_path(profile: &Profile) -> &str {
    let set = profile.environment.set.iter().find(|(name, _)| name.as_str() == "PATH");
    set.map_or(DEFAULT_PATH, |(_, value)| value.value.as_str())
}

/// The places in the jail where `program` may be.
fn places(profile: &Profile, program: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    search_path(profile).split(':').map(|directory| join(directory, program)).collect()
}

fn words(profile: &Profile, request: &Request) -> Vec<String> {
    if !request.command.is_empty() {
        return request.command.clone();
    }
    profile.agent.command.as_ref().map(|command| command.value.clone()).unwrap_or_default()
}

/// Host paths of the programs that the plan must know to exist.
pub(super) fn candidates(
    profile: &Profile,
    request: &Request,
    trees: &HostTrees,
) -> BTreeSet<String> {
    let mut programs = words(profile, request).first().cloned().into_iter().collect::<Vec<_>>();
    programs.extend((request.mode == Mode::Run).then(|| TMUX.to_owned()));
    let places = programs.iter().flat_map(|program| places(profile, program));
    places.filter_map(|place| host_of(trees, &place)).collect()
}

/// Host path of a command that was given with its place: what is there and cannot be run is told
/// apart from what is not there.
pub(super) fn named(profile: &Profile, request: &Request, trees: &HostTrees) -> Option<String> {
    let program = words(profile, request).into_iter().next()?;
    if program.contains('/') { host_of(trees, &program) } else { None }
}

fn host_of(trees: &HostTrees, place: &str) -> Option<String> {
    trees.showing(place).map(|(tree, rest)| join(&tree.host, rest))
}

/// Where `program` is in the jail.
fn find(
    profile: &Profile,
    program: &str,
    trees: &HostTrees,
    facts: &HostFacts,
) -> Result<String, PlanError> {
    let places = places(profile, program);
    let exists =
        |place: &&String| host_of(trees, place).is_some_and(|host| facts.programs.contains(&host));
    // A place that no tree of the host shows is in memory or a link: only the jail can tell.
    let unknown = |place: &&String| program.contains('/') && host_of(trees, place).is_none();
    let found = places.iter().find(exists).or_else(|| places.iter().find(unknown));
    let there = |place: &String| {
        let answer = host_of(trees, place).and_then(|host| facts.paths.get(&host));
        matches!(answer, Some(PathAnswer::Found(_)))
    };
    if found.is_none() && program.contains('/') && places.iter().any(there) {
        return Err(PlanError::CannotRun { command: program.escape_debug().to_string() });
    }
    found.cloned().ok_or_else(|| PlanError::NoCommand {
        command: program.escape_debug().to_string(),
        cause: if program.contains('/') {
            "nothing is there\n  hint: the profile's `execute` names what there is to run"
                .to_owned()
        } else {
            let places = places_told(profile);
            format!("looked in {places}\n  hint: see the profile's `execute` and PATH")
        },
    })
}

fn places_told(profile: &Profile) -> String {
    search_path(profile).replace(':', ", ").escape_debug().to_string()
}

/// The command, and what keeps it from being run.
pub(super) fn resolve(
    profile: &Profile,
    request: &Request,
    trees: &HostTrees,
    facts: &HostFacts,
) -> (CommandPlan, Option<PlanError>) {
    let words = words(profile, request);
    let missing = match words.first() {
        Some(program) => find(profile, program, trees, facts).err(),
        None => Some(PlanError::NoCommand {
            command: String::new(),
            cause: format!("the profile `{}` has none\n  hint: give one after `--`", profile.name),
        }),
    };
    let origin = match &profile.agent.command {
        Some(command) if request.command.is_empty() => command.place.to_string(),
        Some(_) | None => "command line".to_owned(),
    };
    let workdir = workdir(profile, request);
    (CommandPlan { words, workdir, origin }, missing)
}

/// Where tmux is in the jail.
///
/// # Errors
/// [`PlanError::NoCommand`] where it is not.
pub(super) fn tmux(
    profile: &Profile,
    trees: &HostTrees,
    facts: &HostFacts,
) -> Result<String, PlanError> {
    find(profile, TMUX, trees, facts)
}

fn workdir(profile: &Profile, request: &Request) -> String {
    let home = profile.agent.home.value.as_str();
    match &profile.agent.workdir {
        Some(workdir) => workdir.value.resolve(home),
        None if profile.filesystem.workspace.value != Workspace::None => {
            super::WORKSPACE.to_owned()
        }
        None if request.workspace.is_some() => super::WORKSPACE.to_owned(),
        None => home.to_owned(),
    }
}
