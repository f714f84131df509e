//! Reads the configuration file: the only file access of this folder.

use super::{Config, parse};
use crate::document::{Place, Problem, Problems};
use crate::host::trust::{self, Trust, TrustError};
use rustix::io::Errno;
use std::path::Path;

/// The configuration in `path`, or the defaults where there is no such file and `must_exist` is not
/// set. It decides over every agent: for root, one that `trust` does not allow is refused.
///
/// # Errors
/// Every problem of the file.
pub fn load(path: &Path, must_exist: bool, trust: &Trust) -> Result<Config, Problems> {
    let name = path.display().to_string();
    match trust::read(path, trust) {
        Ok(text) => parse(&name, &text),
        Err(TrustError::Call { errno: Errno::NOENT, .. }) if !must_exist => Ok(Config::default()),
        Err(error) => {
            let place = Place::outside(&name, "");
            Err(Problems(vec![Problem::new(&place, error.to_string(), error.hint())]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_the_defaults_unless_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let trust = Trust::for_caller(1, 1);
        assert_eq!(load(&path, false, &trust).unwrap(), Config::default());
        load(&path, true, &trust).unwrap_err();
        std::fs::write(&path, "schema = 1\n[slice]\ntasks = 100\n").unwrap();
        assert_ne!(load(&path, false, &trust).unwrap(), Config::default());
        std::os::unix::fs::chown(&path, Some(4242), None).unwrap_or_default();
        let owner = std::os::unix::fs::MetadataExt::uid(&path.metadata().unwrap());
        let refused = load(&path, false, &Trust::root_only()).is_err();
        assert_eq!(refused, owner != 0, "owner {owner}");
    }
}
