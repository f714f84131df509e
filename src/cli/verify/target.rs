//! Where a report is written: a file that comes to be as a whole, or not at all.

use crate::cli::error::CliError;
use crate::planning::wrong;
use crate::verify::report::{Report, html, markdown};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Whether `file` means standard output.
pub(super) fn is_output(file: &Path) -> bool {
    file == Path::new("-")
}

/// A file for a report. Until it is written it has another name, and is removed if it never is.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    meanwhile: PathBuf,
    file: File,
    render: fn(&Report<'_>) -> String,
}

impl Target {
    /// Prepares to write `path` for `option`.
    ///
    /// Root writes here, perhaps in a directory in which an agent has worked: a link is not followed,
    /// and what is no file is not replaced.
    pub(super) fn open(option: &str, path: &Path) -> Result<Self, CliError> {
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            let cause = format!("`{}` is not a file", path.display());
            return Err(wrong(option, cause, "name a file, or `-` for standard output").into());
        }
        let Some(name) = path.file_name() else {
            let cause = format!("`{}` names no file", path.display());
            return Err(wrong(option, cause, "name a file, or `-` for standard output").into());
        };
        let other = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let meanwhile = path.with_file_name(other);
        let opened = OpenOptions::new().write(true).create_new(true).open(&meanwhile);
        let file = opened.map_err(|error| CliError::Write { path: path.to_owned(), error })?;
        let render = if option == "--html" { html::page } else { markdown::text };
        Ok(Self { path: path.to_owned(), meanwhile, file, render })
    }

    /// Writes `report`.
    pub(super) fn write(&mut self, report: &Report<'_>) -> Result<(), CliError> {
        let text = (self.render)(report);
        let written = self.file.write_all(text.as_bytes());
        let kept = written.and_then(|()| std::fs::rename(&self.meanwhile, &self.path));
        kept.map_err(|error| CliError::Write { path: self.path.clone(), error })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Where it was written it has its own name by now.
        drop(std::fs::remove_file(&self.meanwhile));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_replaced_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (link, other) = (folder.path().join("link"), folder.path().join("other"));
        std::os::unix::fs::symlink(&other, &link).unwrap();
        for path in [link.as_path(), folder.path(), Path::new("/dev/null"), Path::new("/")] {
            let error = Target::open("--html", path).unwrap_err().to_string();
            assert!(error.contains("--html") && error.contains("hint:"), "{error}");
        }
        drop(Target::open("--html", &other).unwrap());
        let missing = Target::open("--html", &folder.path().join("no/file")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot write "), "{missing}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
