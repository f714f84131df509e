//! Finds and reads profile files: the only file access of this folder.
//!
//! A profile decides what an agent may do, so the file must be as trustworthy as the caller: it is
//! opened once, without following symbolic links, and, where the caller is root, refused if anybody
//! but root and the person behind `sudo` could have written it or replaced it.

use super::inherit::lay;
use super::raw::RawProfile;
use super::{Profile, shipped, validate};
use crate::document::{Located, Place, Problem, Problems};
use crate::host::trust::{self, Trust};
use std::path::{Path, PathBuf};

/// Profiles may build on each other this deep.
const MAX_DEPTH: usize = 16;

/// Where profiles are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Folders, first match wins; the shipped profiles come last.
    pub folders: Vec<PathBuf>,
    /// Who may have written a profile.
    pub trust: Trust,
}

impl Search {
    /// `./profiles`, the user's and the system's configuration folders.
    #[must_use]
    pub fn new(home: Option<&str>, trust: Trust) -> Self {
        let mut folders = vec![PathBuf::from("profiles")];
        folders.extend(home.map(|home| Path::new(home).join(".config/cellblock/profiles")));
        folders.push(PathBuf::from("/etc/cellblock/profiles"));
        Self { folders, trust }
    }

    /// Loads the profile that `wanted` names: a path (with `/` or ending in `.toml`) or a name.
    ///
    /// # Errors
    /// Every problem of the file, of those it extends, and of their values.
    pub fn load(&self, wanted: &str) -> Result<Profile, Problems> {
        let asked = Located { value: wanted.to_owned(), place: Place::outside("profile", wanted) };
        let mut chain = Vec::new();
        let raw = self.gather(&asked, &mut chain)?;
        validate::profile(&profile_name(wanted), raw)
    }

    /// The claim of `wanted` laid over everything it extends.
    fn gather(
        &self,
        wanted: &Located<String>,
        chain: &mut Vec<String>,
    ) -> Result<RawProfile, Problems> {
        if chain.contains(&wanted.value) || chain.len() == MAX_DEPTH {
            let path = chain.join(" → ");
            let cause = format!("extends itself: {path} → {}", wanted.value);
            return Err(one(wanted.problem(cause, "take one of them out of the circle")));
        }
        let (file, text) = self.text(wanted)?;
        let own = RawProfile::parse(&file, &text)?;
        chain.push(wanted.value.clone());
        let mut merged = RawProfile::default();
        let mut problems = Problems::default();
        for base in &own.extends {
            match self.gather(base, chain) {
                Ok(raw) => merged = lay(merged, raw),
                Err(more) => problems.0.extend(more.0),
            }
        }
        chain.pop();
        problems.into_result(lay(merged, own))
    }

    /// The name for messages and the text of `wanted`.
    fn text(&self, wanted: &Located<String>) -> Result<(String, String), Problems> {
        let name = &wanted.value;
        if name.contains('/') || Path::new(name).extension().is_some_and(|e| e == "toml") {
            return self.read(Path::new(name), wanted);
        }
        for folder in &self.folders {
            let path = folder.join(format!("{name}.toml"));
            if path.symlink_metadata().is_ok() {
                return self.read(&path, wanted);
            }
        }
        match shipped::find(name) {
            Some(text) => Ok((format!("{name} (shipped)"), text.to_owned())),
            None => Err(one(self.unknown(wanted))),
        }
    }

    fn read(&self, path: &Path, wanted: &Located<String>) -> Result<(String, String), Problems> {
        let text = trust::read(path, &self.trust)
            .map_err(|error| one(wanted.problem(error.to_string(), error.hint())))?;
        Ok((path.display().to_string(), text))
    }

    fn unknown(&self, wanted: &Located<String>) -> Problem {
        let folders: Vec<_> = self.folders.iter().map(|f| f.display().to_string()).collect();
        let names: Vec<_> = shipped::ALL.iter().map(|(name, _)| *name).collect();
        let cause = format!("there is no profile `{}`", wanted.value.escape_debug());
        let hint = format!(
            "looked in {} and among the shipped ones ({})",
            folders.join(", "),
            names.join(", ")
        );
        wanted.problem(cause, hint)
    }
}

/// What a profile is called: the file's stem, or the name itself.
fn profile_name(wanted: &str) -> String {
    let stem = Path::new(wanted).file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or(wanted).to_owned()
}

fn one(problem: Problem) -> Problems {
    Problems(vec![problem])
}
