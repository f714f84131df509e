//! Changes of the limits of jails that run.

use super::cgroup;
use super::error::LaunchError;
use super::record::Running;
use crate::limits::change::Change;
use crate::plan::Limit;
use std::path::PathBuf;

/// Makes `changes` of the limits of jails that run: all of them, or none. A jail that ends meanwhile is left out.
/// Gives those that have the new limits.
///
/// # Errors
/// [`LaunchError::Call`], or [`LaunchError::NotAsPlanned`] where the kernel made something else of it; the limits
/// are as they were, but where the message says otherwise.
pub fn set_limits<'r>(
    jails: &'r [Running],
    changes: &[Change],
) -> Result<Vec<&'r Running>, LaunchError> {
    let limit = |file, value| Limit { file, value, origin: String::from("cellblock limits") };
    let (mut changed, mut before) = (Vec::new(), Vec::new());
    for jail in jails {
        let Some(cgroup) = &jail.kept.cgroup else { continue };
        let made = changes.iter().try_for_each(|change| {
            before.push((cgroup, limit(change.file, cgroup::setting_of(cgroup, change.file)?)));
            cgroup::set(cgroup, &[limit(change.file, change.value())])
        });
        match made {
            Ok(()) => changed.push(jail),
            Err(_) if !cgroup.exists() => {}
            Err(error) => return Err(undone(error, &before)),
        }
    }
    Ok(changed)
}

/// The error, after the limits are what they were `before`.
fn undone(error: LaunchError, before: &[(&PathBuf, Limit)]) -> LaunchError {
    let mut still = Vec::new();
    for (cgroup, limit) in before.iter().rev().filter(|(cgroup, _)| cgroup.exists()) {
        if cgroup::set(cgroup, std::slice::from_ref(limit)).is_err() {
            still.push(format!("{}/{}", cgroup.display(), limit.file));
        }
    }
    if still.is_empty() {
        return error;
    }
    LaunchError::Unusable(format!("{error}; and these are not as they were: {}", still.join(", ")))
}
