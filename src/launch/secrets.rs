//! The agent's environment as it is passed to exec; secrets are read here and nowhere else.

use super::error::LaunchError;
use crate::host::trust::{self, Trust};
use crate::plan::{Plan, Value, Variable};
use crate::profile::types::CREDENTIAL;
use std::ffi::{CString, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// `NAME=value` for every variable of the plan.
pub(super) fn environment(plan: &Plan) -> Result<Vec<CString>, LaunchError> {
    plan.environment.iter().map(variable).collect()
}

/// The key in `file`, which `name` of a profile or the configuration names.
///
/// # Errors
/// [`LaunchError`] where others can read the file, or it is empty.
pub(super) fn key(name: &str, file: &str) -> Result<String, LaunchError> {
    match secret(name, file)? {
        key if key.trim().is_empty() => {
            Err(LaunchError::Unusable(format!("{file} holds no key: it is empty")))
        }
        key => Ok(key),
    }
}

fn variable(variable: &Variable) -> Result<CString, LaunchError> {
    let name = &variable.name;
    let value = match &variable.value {
        Value::Plain(value) | Value::Passed(value) => value.clone(),
        Value::Secret(file) => secret(name, file)?,
    };
    CString::new(format!("{name}={value}")).map_err(|_| {
        LaunchError::Unusable(format!("the value of {name} has a NUL character in it"))
    })
}

/// The text of a file that only root can read, without the final line break.
fn secret(name: &str, place: &str) -> Result<String, LaunchError> {
    let what = || format!("cannot use the secret {name}");
    let path = path(name, place, std::env::var_os(DIRECTORY))?;
    let readable = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.mode() & 0o077 != 0);
    if readable {
        let file = path.display().to_string();
        return Err(LaunchError::OpenSecret { name: name.to_owned(), file });
    }
    let text = trust::read(&path, &Trust::root_only())
        .map_err(|error| LaunchError::File { what: what(), error })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// The variable in which the service manager says where the credentials are (systemd.exec(5)).
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The file of the secret at `place`, for a process that has its credentials in `directory`.
fn path(name: &str, place: &str, directory: Option<OsString>) -> Result<PathBuf, LaunchError> {
    let Some(credential) = place.strip_prefix(CREDENTIAL) else { return Ok(place.into()) };
    match directory.map(PathBuf::from).filter(|directory| directory.is_absolute()) {
        Some(directory) => Ok(directory.join(credential)),
        None => Err(LaunchError::NoCredentials {
            name: name.to_owned(),
            credential: credential.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_credential_is_in_the_directory_of_the_service() {
        let at = |place: &str, directory: Option<&str>| path("K", place, directory.map(Into::into));
        let directory = Some("/run/credentials/cellblock.service");
        let expected = Path::new("/run/credentials/cellblock.service/api");
        assert_eq!(at("credential:api", directory).unwrap(), expected);
        assert_eq!(at("/etc/key", directory).unwrap(), Path::new("/etc/key"));
        assert_eq!(at("/etc/key", None).unwrap(), Path::new("/etc/key"));
        for directory in [None, Some(""), Some("here")] {
            let error = at("credential:api", directory).unwrap_err();
            assert!(error.to_string().contains("K: it is the credential api of"), "{error}");
            assert!(error.hint().contains("LoadCredential=api:FILE"), "{}", error.hint());
        }
    }
}
