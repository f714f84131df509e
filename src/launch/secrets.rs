//! The agent's environment as it is passed to exec; secrets are read here and nowhere else.

use super::error::LaunchError;
use crate::host::trust::{self, Trust};
use crate::plan::{Plan, Value, Variable};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// `NAME=value` for every variable of the plan.
pub(super) fn environment(plan: &Plan) -> Result<Vec<CString>, LaunchError> {
    plan.environment.iter().map(variable).collect()
}

/// The key in `file`.
///
/// # Errors
/// [`LaunchError`] where others can read the file, or it is empty.
pub(super) fn key(file: &str) -> Result<String, LaunchError> {
    match secret("network.api.key", file)? {
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
fn secret(name: &str, file: &str) -> Result<String, LaunchError> {
    let what = || format!("cannot use the secret {name}");
    let path = Path::new(file);
    let readable = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.mode() & 0o077 != 0);
    if readable {
        return Err(LaunchError::OpenSecret { name: name.to_owned(), file: file.to_owned() });
    }
    let text = trust::read(path, &Trust::root_only())
        .map_err(|error| LaunchError::File { what: what(), error })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
