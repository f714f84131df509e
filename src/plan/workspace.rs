//! Which directory stands at `/workspace`.

use super::request::Request;
use crate::document::{Located, Place, Problem};
use crate::host::{Caller, Kind, PathFact};
use crate::profile::Profile;
use crate::profile::types::Workspace;

/// The directory of the host, if there is to be one.
///
/// # Errors
/// It is far more than a project. That its name tells, so nobody looks through such a tree first.
pub(super) fn directory(
    profile: &Profile,
    request: &Request,
    caller: &Caller,
) -> Result<Option<Located<String>>, Problem> {
    let Some(directory) = wanted(profile, request, caller) else { return Ok(None) };
    let path = &directory.value;
    if NEVER.contains(&path.as_str()) || *path == caller.person.home {
        return Err(directory.problem(
            format!("`{path}` as a workspace would give the agent far more than a project"),
            "go to the project's own directory, or name it with --workspace DIR",
        ));
    }
    Ok(Some(directory))
}

fn wanted(profile: &Profile, request: &Request, caller: &Caller) -> Option<Located<String>> {
    let wanted = &profile.filesystem.workspace;
    if wanted.value == Workspace::None {
        return request.workspace.clone();
    }
    if let Some(given) = &request.workspace {
        return Some(given.clone());
    }
    let current = caller.directory.clone().filter(|_| wanted.value == Workspace::Current)?;
    let place = Place::outside("the current directory", "filesystem.workspace");
    Some(Located { value: current, place })
}

/// Directories that nobody means when they say "my project".
const NEVER: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc",
    "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
];

/// Why `directory` cannot be the workspace, seen from what it is.
pub(super) fn objection(directory: &Located<String>, fact: &PathFact) -> Option<Problem> {
    (fact.kind != Kind::Directory).then(|| {
        directory.problem(
            format!("`{}` is {}, not a directory", directory.value, fact.kind.word()),
            "name the project's directory with --workspace DIR",
        )
    })
}
