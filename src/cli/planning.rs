//! The way from a profile's name to a plan, for every verb that has one.
//!
//! ```text
//! name ─ profile::load ─ Profile ─ plan::questions ─ host::probe ─ HostFacts ─┐
//!                           └──────────────── policies ─ Policies ──────────────┴─ plan::draft ─ Draft
//! ```

use super::error::CliError;
use super::policies::PolicySearch;
use crate::config::{self, Config};
use crate::document::{Located, Place, Problem, Problems};
use crate::host::trust::Trust;
use crate::host::{self, Caller, HostFacts, PathAnswer};
use crate::launch::Timings;
use crate::plan::{self, Draft, Mode, Plan, Request};
use crate::profile::load::Search;
use crate::profile::types::AgentName;
use crate::profile::{Profile, Wall};
use crate::verify::setting::Subject;
use clap::Args;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

/// What the values of the command line are said to be from.
pub(super) const COMMAND_LINE: &str = "the command line";

/// The arguments of every verb that has a jail in mind.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// A profile's name, or the path of its file (with a `/`, or ending in `.toml`)
    #[arg(value_name = "PROFILE")]
    pub profile: String,
    /// The agent's name; the profile's where it is not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The directory that appears at /workspace
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// What can be chosen of every jail.
    #[command(flatten)]
    pub choice: Choice,
    /// The command instead of the profile's
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What can be chosen of every jail, whoever is in it.
#[derive(Args, Clone, Debug, Default)]
pub struct Choice {
    /// Take this wall away; can be given more than once
    #[arg(long, value_name = "WALL")]
    pub without: Vec<String>,
    /// The installation's configuration instead of /etc/cellblock/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A plan that can be launched, and what it was made from.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The profile, with everything it extends.
    pub profile: Profile,
    /// What the command line asks for.
    pub request: Request,
    /// The host.
    pub facts: HostFacts,
    /// How long each part of the planning took.
    pub timings: Timings,
}

/// The plan of what `options` name, run as `mode`, if this host can launch it.
///
/// # Errors
/// Every problem of the profile, its policy and the command line, or every wall that cannot stand.
pub fn plan(options: &Options, mode: Mode) -> Result<Planned, CliError> {
    let mut timings = Timings::new();
    if rustix::process::geteuid().is_root()
        && let Err(error) = crate::launch::record::sweep()
    {
        // The launch will say the same, after all that is wrong with the plan.
        tracing::debug!(%error, "what others left behind stays for now");
    }
    let (draft, inputs) = drafted(options, mode, &mut timings)?;
    let Inputs { profile, request, facts } = inputs;
    Ok(Planned { plan: draft.into_plan()?, profile, request, facts, timings })
}

/// The same for showing: with what keeps it from being launched here.
///
/// # Errors
/// Every problem of the profile, its policy and the command line.
pub fn draft(options: &Options, mode: Mode) -> Result<Draft, CliError> {
    drafted(options, mode, &mut Timings::new()).map(|(draft, _)| draft)
}

/// What `verify` is asked to verify: the profile's jail, planned anew for every attempt.
///
/// # Errors
/// As for [`plan`].
pub fn subject(options: &Options) -> Result<Subject, CliError> {
    let caller = host::probe::caller();
    let profile = profiles(&caller).load(&options.profile)?;
    let config = config(options.choice.config.as_deref(), &caller)?;
    let request = request(options, Mode::Exec, &profile, config)?;
    let policies = policies(&caller).all(&profile)?;
    Ok(Subject { profile, request, policies, caller })
}

struct Inputs {
    profile: Profile,
    request: Request,
    facts: HostFacts,
}

fn drafted(
    options: &Options,
    mode: Mode,
    timings: &mut Timings,
) -> Result<(Draft, Inputs), CliError> {
    let mut since = Instant::now();
    let mut lap = |what: &str| {
        let now = Instant::now();
        timings.push((what.to_owned(), now - since));
        since = now;
    };
    let caller = host::probe::caller();
    let profile = profiles(&caller).load(&options.profile)?;
    let config = config(options.choice.config.as_deref(), &caller)?;
    let request = request(options, mode, &profile, config)?;
    lap("profile");
    let policies = policies(&caller).all(&profile)?;
    lap("policy");
    let facts = host::probe(&plan::questions(&profile, &request, &caller), &caller);
    lap("host");
    tracing::debug!(profile = profile.name, uid = caller.euid, "planning");
    let draft = plan::draft(&profile, &request, &facts, policies)?;
    lap("plan");
    Ok((draft, Inputs { profile, request, facts }))
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
    Search::new(home(caller), trust(caller))
}

/// Where `caller` has policies.
#[must_use]
pub fn policies(caller: &Caller) -> PolicySearch {
    PolicySearch::new(home(caller), trust(caller))
}

/// The profiles that a supervisor finds, which has no directory and no person of its own.
pub(super) fn installed_profiles(caller: &Caller) -> Search {
    Search::installed(trust(caller).without_person())
}

/// The policies that it finds.
pub(super) fn installed_policies(caller: &Caller) -> PolicySearch {
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
    options: &Options,
    mode: Mode,
    profile: &Profile,
    config: Config,
) -> Result<Request, Problems> {
    let mut problems = Problems::default();
    let mut keep = |problem| problems.push(problem);
    let name = options.name.as_deref().unwrap_or(&profile.name);
    let agent = AgentName::parse(name).map_err(|cause| keep(wrong("--name", cause, ""))).ok();
    let named = options.workspace.as_deref();
    let directory = named.map(|named| directory("--workspace", named)).transpose();
    let workspace = directory.map_err(&mut keep).ok().flatten();
    let mut without = Vec::new();
    for wall in &options.choice.without {
        match Wall::parse(wall) {
            Ok(wall) => without.push(given("--without", wall)),
            Err(cause) => keep(wrong("--without", cause, "")),
        }
    }
    match agent {
        Some(agent) if problems.0.is_empty() => {
            let command = options.command.clone();
            Ok(Request { agent, mode, workspace, command, without, config })
        }
        Some(_) | None => Err(problems),
    }
}

fn given<T>(option: &str, value: T) -> Located<T> {
    Located { value, place: Place::outside(COMMAND_LINE, option) }
}

pub(super) fn wrong(option: &str, cause: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem::new(&Place::outside(COMMAND_LINE, option), cause, hint)
}

/// The absolute path of `directory`, which must be there and be reached without symbolic links.
pub(super) fn directory(option: &str, directory: &Path) -> Result<Located<String>, Problem> {
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
    match host::paths::look(absolute) {
        PathAnswer::Found(_) => Ok(given(option, without_dots(absolute))),
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
