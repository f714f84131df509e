//! The way from a profile's name to a plan, for whoever launches one.
//!
//! ```text
//! Wanted ─ profile::load ─ Profile ─ plan::questions ─ host::probe ─ HostFacts ─┐
//!                            └──────────────── policies ─ Policies ──────────────┴─ plan::draft ─ Draft
//! ```
//!
//! Reads files through `host::trust` and looks at the host; decides nothing that `plan` decides. What a
//! bound [`Caller`] may not choose is refused here, before anything is read for them.

#![forbid(unsafe_code)]

pub mod policies;

use crate::config::{self, Config};
use crate::document::{Located, Place, Problem, Problems};
use crate::host::trust::Trust;
use crate::host::{self, Caller, HostFacts, PathAnswer};
use crate::plan::{self, Draft, Mode, Plan, PlanError, Request};
use crate::policy::seccomp::CompileError;
use crate::profile::load::Search;
use crate::profile::types::{AgentName, Workspace};
use crate::profile::{Profile, Wall};
use policies::PolicySearch;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// What the values of the command line are said to be from.
pub const COMMAND_LINE: &str = "the command line";

/// What is wanted of a jail, in the words of who wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// A profile's name, or the path of its file (with a `/`, or ending in `.toml`).
    pub profile: String,
    /// The agent's name; the profile's where it is not given.
    pub name: Option<String>,
    /// The directory that appears at `/workspace`.
    pub workspace: Option<PathBuf>,
    /// The command instead of the profile's, where it is not empty.
    pub command: Vec<String>,
    /// Walls to take away.
    pub without: Vec<String>,
    /// The installation's configuration instead of the usual one.
    pub config: Option<PathBuf>,
    /// Whether the profile is looked for among those of the installation alone, because its configuration names it.
    #[serde(default)]
    pub installed: bool,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// Something in files or in what is wanted is wrong.
    #[error("{0}")]
    Problems(#[from] Problems),
    /// The plan cannot be made or launched.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// The policy makes no filter.
    #[error("{0}")]
    Filter(#[from] CompileError),
    /// cellblock has no filters for this machine.
    #[error(
        "cannot make a system call filter for this kind of processor\n  hint: x86_64 and aarch64 are supported"
    )]
    Processor,
}

impl PlanningError {
    /// The exit status that tells of it: 127 where the command is not there, 126 where it cannot be run, else 125.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Plan(PlanError::NoCommand { .. }) => 127,
            Self::Plan(PlanError::CannotRun { .. }) => 126,
            Self::Plan(PlanError::Problems(_) | PlanError::Refused(..))
            | Self::Problems(_)
            | Self::Filter(_)
            | Self::Processor => 125,
        }
    }
}

impl From<Problem> for PlanningError {
    fn from(problem: Problem) -> Self {
        Self::Problems(Problems(vec![problem]))
    }
}

/// A plan that can be launched, and what it was made from.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The profile, with everything it extends.
    pub profile: Profile,
    /// What is asked for.
    pub request: Request,
    /// The host.
    pub facts: HostFacts,
    /// How long each part of the planning took.
    pub timings: Timings,
}

/// How long each part took, in their order.
pub type Timings = Vec<(String, Duration)>;

/// What a profile's jail is planned from, but for the host.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The profile.
    pub profile: Profile,
    /// What is asked for.
    pub request: Request,
    /// Its policies.
    pub policies: plan::Policies,
    /// Who asks.
    pub caller: Caller,
}

/// The plan of what is `wanted`, run as `mode`, if this host can launch it.
///
/// # Errors
/// Every problem of the profile, its policy and what is wanted, or every wall that cannot stand.
pub fn plan(wanted: &Wanted, mode: Mode, caller: &Caller) -> Result<Planned, PlanningError> {
    let mut timings = Timings::new();
    if rustix::process::geteuid().is_root()
        && let Err(error) = crate::launch::record::sweep()
    {
        // The launch will say the same, after all that is wrong with the plan.
        tracing::debug!(%error, "what others left behind stays for now");
    }
    let (draft, inputs) = drafted(wanted, mode, caller, &mut timings)?;
    let Inputs { profile, request, facts } = inputs;
    Ok(Planned { plan: draft.into_plan()?, profile, request, facts, timings })
}

/// The same for showing: with what keeps it from being launched here.
///
/// # Errors
/// Every problem of the profile, its policy and what is wanted.
pub fn draft(wanted: &Wanted, mode: Mode, caller: &Caller) -> Result<Draft, PlanningError> {
    drafted(wanted, mode, caller, &mut Timings::new()).map(|(draft, _)| draft)
}

/// The same as far as it does not depend on the host: to be planned anew again and again.
///
/// # Errors
/// As for [`plan()`].
pub fn subject(wanted: &Wanted, mode: Mode, caller: Caller) -> Result<Subject, PlanningError> {
    let profile = profiles_for(wanted, &caller).load(&wanted.profile)?;
    let config = config(wanted.config.as_deref(), &caller)?;
    let request = request(wanted, mode, &profile, config)?;
    let policies = policies_for(wanted, &caller).all(&profile)?;
    Ok(Subject { profile, request, policies, caller })
}

struct Inputs {
    profile: Profile,
    request: Request,
    facts: HostFacts,
}

fn drafted(
    wanted: &Wanted,
    mode: Mode,
    caller: &Caller,
    timings: &mut Timings,
) -> Result<(Draft, Inputs), PlanningError> {
    let mut since = Instant::now();
    let mut lap = |what: &str| {
        let now = Instant::now();
        timings.push((what.to_owned(), now - since));
        since = now;
    };
    if caller.bound {
        refuse_unbound(wanted)?;
    }
    let profile = profiles_for(wanted, caller).load(&wanted.profile)?;
    let config = config(wanted.config.as_deref(), caller)?;
    let named;
    let wanted = match &caller.directory {
        // The directory of who is bound is their word, and is looked at as one that they name.
        Some(directory) if caller.bound && takes_current(&profile, wanted) => {
            named = Wanted { workspace: Some(PathBuf::from(directory)), ..wanted.clone() };
            &named
        }
        Some(_) | None => wanted,
    };
    if caller.bound {
        refuse_unseen(wanted, caller)?;
    }
    let request = request(wanted, mode, &profile, config)?;
    lap("profile");
    let policies = policies_for(wanted, caller).all(&profile)?;
    lap("policy");
    let facts = host::probe(&plan::questions(&profile, &request, caller), caller);
    lap("host");
    if caller.bound {
        refuse_others_tree(&request, caller, &facts)?;
    }
    tracing::debug!(profile = profile.name, uid = caller.euid, "planning");
    let draft = plan::draft(&profile, &request, &facts, policies)?;
    lap("plan");
    Ok((draft, Inputs { profile, request, facts }))
}

/// Whether the workspace is the directory that who asks is in.
fn takes_current(profile: &Profile, wanted: &Wanted) -> bool {
    wanted.workspace.is_none() && profile.filesystem.workspace.value == Workspace::Current
}

/// Who may start agents and is not root chooses among what root has made: nothing that is said here may give an
/// agent more than an admin's profile does.
fn refuse_unbound(wanted: &Wanted) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let own = "an admin's profile decides it: ask for one";
    let by_path = wanted.profile.contains('/') || wanted.profile.ends_with(".toml");
    if by_path && !wanted.installed {
        let cause = "a profile by its path is for root alone";
        let hint = "name one of /etc/cellblock/profiles, or one that comes with cellblock";
        problems.push(wrong("PROFILE", cause, hint));
    }
    if !wanted.without.is_empty() {
        problems.push(wrong("--without", "only root takes walls away", own));
    }
    problems.into_result(())
}

/// The same for the workspace: what they cannot see they hear nothing about, whether it is there or not. Nothing is looked at
/// with root's eyes before that.
fn refuse_unseen(wanted: &Wanted, caller: &Caller) -> Result<(), Problems> {
    let Some(named) = &wanted.workspace else { return Ok(()) };
    let person = caller.person.uid;
    let look = |path: &str| {
        host::sight::look(person, path).unwrap_or_else(|errno| {
            PathAnswer::Denied(format!("cannot see with the eyes of uid {person}: {errno}"))
        })
    };
    let seen = directory_by("--workspace", named, &look);
    let (directory, answer) = seen.map_err(|problem| Problems(vec![problem]))?;
    refuse_others(&directory, caller, Some(&answer))
}

/// And it is a directory of their own.
fn refuse_others_tree(
    request: &Request,
    caller: &Caller,
    facts: &HostFacts,
) -> Result<(), Problems> {
    let Some(directory) = &request.workspace else { return Ok(()) };
    refuse_others(directory, caller, facts.paths.get(&directory.value))
}

fn refuse_others(
    directory: &Located<String>,
    caller: &Caller,
    answer: Option<&PathAnswer>,
) -> Result<(), Problems> {
    match answer {
        Some(PathAnswer::Found(fact)) if fact.uid == caller.person.uid => Ok(()),
        Some(_) | None => Err(Problems(vec![directory.problem(
            format!("`{}` is not yours", directory.value.escape_debug()),
            "name a directory that belongs to you",
        )])),
    }
}

fn trust(caller: &Caller) -> Trust {
    Trust::for_caller(caller.euid, caller.person.uid)
}

fn home(caller: &Caller) -> Option<&str> {
    Some(caller.person.home.as_str()).filter(|home| !home.is_empty())
}

/// Where `caller` has profiles.
#[must_use]
pub fn profiles(caller: &Caller) -> Search {
    if caller.bound {
        return Search::installed(Trust::root_only());
    }
    Search::new(here(caller).as_deref(), home(caller), trust(caller))
}

/// The directory of `caller`, as it is reached from this process: which may be another one than theirs.
fn here(caller: &Caller) -> Option<PathBuf> {
    let directory = Path::new(caller.directory.as_deref()?);
    let own = std::env::current_dir().is_ok_and(|own| own == directory);
    Some(if own { PathBuf::new() } else { directory.to_owned() })
}

/// Where the profile of what is `wanted` is looked for.
fn profiles_for(wanted: &Wanted, caller: &Caller) -> Search {
    if wanted.installed { installed_profiles(caller) } else { profiles(caller) }
}

/// The same for its policies.
fn policies_for(wanted: &Wanted, caller: &Caller) -> PolicySearch {
    if wanted.installed { installed_policies(caller) } else { policies(caller) }
}

/// Where `caller` has policies.
#[must_use]
pub fn policies(caller: &Caller) -> PolicySearch {
    if caller.bound {
        return PolicySearch::installed(Trust::root_only());
    }
    PolicySearch::new(here(caller).as_deref(), home(caller), trust(caller))
}

/// The profiles that an installation's configuration can name: it has no directory and no person.
#[must_use]
pub fn installed_profiles(caller: &Caller) -> Search {
    Search::installed(trust(caller).without_person())
}

/// The policies of those.
#[must_use]
pub fn installed_policies(caller: &Caller) -> PolicySearch {
    PolicySearch::installed(trust(caller).without_person())
}

/// The installation's configuration, or the one in `named`.
///
/// # Errors
/// Every problem of the file.
pub fn config(named: Option<&Path>, caller: &Caller) -> Result<Config, Problems> {
    // The person behind sudo does not decide over all agents.
    let trust = trust(caller).without_person();
    config::load::load(named.unwrap_or(Path::new(config::PATH)), named.is_some(), &trust)
}

fn request(
    wanted: &Wanted,
    mode: Mode,
    profile: &Profile,
    config: Config,
) -> Result<Request, Problems> {
    let mut problems = Problems::default();
    let mut keep = |problem| problems.push(problem);
    let name = wanted.name.as_deref().unwrap_or(&profile.name);
    let agent = AgentName::parse(name).map_err(|cause| keep(wrong("--name", cause, ""))).ok();
    let named = wanted.workspace.as_deref();
    let directory = named.map(|named| directory("--workspace", named)).transpose();
    let workspace = directory.map_err(&mut keep).ok().flatten();
    let mut without = Vec::new();
    for wall in &wanted.without {
        match Wall::parse(wall) {
            Ok(wall) => without.push(given("--without", wall)),
            Err(cause) => keep(wrong("--without", cause, "")),
        }
    }
    match agent {
        Some(agent) if problems.0.is_empty() => {
            let command = wanted.command.clone();
            Ok(Request { agent, mode, workspace, command, without, config })
        }
        Some(_) | None => Err(problems),
    }
}

fn given<T>(option: &str, value: T) -> Located<T> {
    Located { value, place: Place::outside(COMMAND_LINE, option) }
}

/// A problem of `option` of the command line.
#[must_use]
pub fn wrong(option: &str, cause: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem::new(&Place::outside(COMMAND_LINE, option), cause, hint)
}

/// The absolute path of `directory`, which must be there and be reached without symbolic links.
///
/// # Errors
/// The problem, with its cure.
pub fn directory(option: &str, directory: &Path) -> Result<Located<String>, Problem> {
    directory_by(option, directory, &host::paths::look).map(|(path, _)| path)
}

/// The same as `look` sees it, with what it saw.
fn directory_by(
    option: &str,
    directory: &Path,
    look: &dyn Fn(&str) -> PathAnswer,
) -> Result<(Located<String>, PathAnswer), Problem> {
    let wrong = |cause: String, hint: &str| wrong(option, cause, hint);
    let shown = directory.display().to_string().escape_debug().to_string();
    let absolute = std::path::absolute(directory)
        .map_err(|error| wrong(format!("cannot make `{shown}` absolute: {error}"), ""))?;
    let absolute = absolute.to_str();
    let absolute = absolute.ok_or_else(|| wrong(format!("`{shown}` is not UTF-8"), "rename it"))?;
    let linked = |at: &str, target: &str| {
        let hint = format!("`{at}` leads to `{target}`: name the directory without the link");
        wrong(format!("`{shown}` goes through a symbolic link, which is not followed"), &hint)
    };
    match look(absolute) {
        found @ PathAnswer::Found(_) => Ok((given(option, without_dots(absolute)), found)),
        PathAnswer::Link { target, .. } => Err(linked(absolute, &target)),
        PathAnswer::LinkInside { at, target } => Err(linked(&at, &target)),
        PathAnswer::Missing => {
            Err(wrong(format!("`{shown}` does not exist"), "make it, or name another directory"))
        }
        PathAnswer::Denied(why) => Err(wrong(format!("cannot look at `{shown}`: {why}"), "")),
    }
}

/// `path` with `..` resolved by its words: right where, as was seen, no component is a link.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(kept.pop()),
            Component::Normal(name) => kept.extend(name.to_str()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_gone() {
        assert_eq!(without_dots("/a/../b/./c/"), "/b/c");
        assert_eq!(without_dots("/.."), "/");
    }

    #[test]
    fn a_workspace_is_a_directory_without_links() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        let at = |path: &str| directory("--workspace", &folder.path().join(path));
        let real = folder.path().join("real").display().to_string();
        assert_eq!(at("real/../real").unwrap().value, real);
        assert!(at("link").unwrap_err().to_string().contains("without the link"));
        assert!(at("link/../real").unwrap_err().to_string().contains("symbolic link"));
        assert!(at("none").unwrap_err().cause.contains("does not exist"));
    }
}
