//! Finds and reads profile files: the only file access of this folder.
//!
//! A profile decides what an agent may do, so the file must be as trustworthy as the caller: it is
//! opened once, without following symbolic links, and, where the caller is root, refused if anybody
//! but root and the person behind `sudo` could have written it or replaced it.

use super::inherit::lay;
use super::raw::RawProfile;
use super::{Profile, shipped, validate};
use crate::document::{Located, Place, Problem, Problems};
use crate::host::trust::{self, Trust, TrustError};
use std::path::{Path, PathBuf};

/// Profiles may build on each other this deep.
const MAX_DEPTH: usize = 16;

/// The folder below the current directory. For root only what root wrote is taken from it by name:
/// somebody's project may be the current directory, and an agent that works in it could leave a
/// profile there for the next start.
const HERE: &str = "profiles";

/// What the place of a name is called that was asked for, and stands in no file.
pub const ASKED: &str = "profile";

/// The profiles of the installation.
const INSTALLED: &str = "/etc/cellblock/profiles";

/// Where profiles are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Folders, first match wins; the shipped profiles come last.
    pub folders: Vec<PathBuf>,
    /// The one of them that lies in somebody's directory.
    pub here: Option<PathBuf>,
    /// Who may have written a profile.
    pub trust: Trust,
}

impl Search {
    /// `profiles` in the directory `here`, the user's and the system's configuration folders.
    #[must_use]
    pub fn new(here: Option<&Path>, home: Option<&str>, trust: Trust) -> Self {
        let here = here.map(|here| here.join(HERE));
        let mut folders: Vec<PathBuf> = here.iter().cloned().collect();
        folders.extend(home.map(|home| Path::new(home).join(".config/cellblock/profiles")));
        folders.push(PathBuf::from(INSTALLED));
        Self { folders, here, trust }
    }

    /// The system's configuration folder alone: for who has no directory and no person of its own.
    #[must_use]
    pub fn installed(trust: Trust) -> Self {
        Self { folders: vec![PathBuf::from(INSTALLED)], here: None, trust }
    }

    /// Loads the profile that `wanted` names: a path (with `/` or ending in `.toml`) or a name.
    ///
    /// # Errors
    /// Every problem of the file, of those it extends, and of their values.
    pub fn load(&self, wanted: &str) -> Result<Profile, Problems> {
        let asked = Located { value: wanted.to_owned(), place: Place::outside(ASKED, wanted) };
        let mut gathering = Gathering {
            search: self,
            chain: Vec::new(),
            files: Vec::new(),
            problems: Problems::default(),
        };
        let Some(raw) = gathering.gather(&asked) else { return Err(gathering.problems) };
        let Gathering { mut problems, files, .. } = gathering;
        let profile = match validate::profile(&profile_name(wanted), raw) {
            Ok(profile) if problems.0.is_empty() => return Ok(Profile { files, ..profile }),
            Ok(_) => None,
            Err(more) => Some(more),
        };
        problems.0.extend(profile.into_iter().flat_map(|more| more.0));
        Err(problems.sorted())
    }

    /// The profiles that can be named, each once: where it is, and its description if it loads.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        let in_folders = self.folders.iter().flat_map(|folder| names_in(folder));
        let shipped =
            shipped::ALL.iter().map(|(name, _)| ((*name).to_owned(), "shipped".to_owned()));
        for (name, from) in in_folders.chain(shipped) {
            if !listed.iter().any(|known| known.name == name) {
                let description = self.load(&name).map(|profile| profile.description);
                listed.push(Listed { name, from, description });
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    /// The name for messages and the text of `wanted`.
    fn text(&self, wanted: &Located<String>) -> Result<(Found, String), Problem> {
        let name = &wanted.value;
        if name.contains('/') || Path::new(name).extension().is_some_and(|e| e == "toml") {
            return self.read(Path::new(name), wanted, &self.trust);
        }
        for folder in &self.folders {
            let path = folder.join(format!("{name}.toml"));
            if path.symlink_metadata().is_ok() {
                let trust = if self.here.as_ref() == Some(folder) {
                    self.trust.without_person()
                } else {
                    self.trust.clone()
                };
                return self.read(&path, wanted, &trust);
            }
        }
        match shipped::find(name) {
            Some(text) => {
                Ok((Found { name: format!("{name} (shipped)"), path: None }, text.to_owned()))
            }
            None => Err(self.unknown(wanted)),
        }
    }

    fn read(
        &self,
        path: &Path,
        wanted: &Located<String>,
        trust: &Trust,
    ) -> Result<(Found, String), Problem> {
        let by_name = !wanted.value.contains('/');
        let text = trust::read(path, trust).map_err(|error| {
            // What was found by name may still be meant: its path says so.
            let writable = matches!(error, TrustError::Writable { .. });
            let hint = if by_name && writable && self.trust_allows(path) {
                let dot = if path.is_absolute() { "" } else { "./" };
                format!(
                    "an agent that works here could have written it; if it is yours, name its path: {dot}{}",
                    path.display()
                )
            } else {
                error.hint()
            };
            wanted.problem(error.to_string(), hint)
        })?;
        Ok((Found { name: path.display().to_string(), path: Some(path.to_owned()) }, text))
    }

    fn trust_allows(&self, path: &Path) -> bool {
        trust::read(path, &self.trust).is_ok()
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

/// Where a profile's text is from.
struct Found {
    /// For messages.
    name: String,
    /// The file, if it is not a shipped one.
    path: Option<PathBuf>,
}

/// A profile that can be named.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its file, or `shipped`.
    pub from: String,
    /// Its description, or what is wrong with it.
    pub description: Result<String, Problems>,
}

/// Reads a profile and all it extends; problems gather on the way.
struct Gathering<'s> {
    search: &'s Search,
    /// The profiles being read, outermost first.
    chain: Vec<String>,
    /// Absolute paths of the files that were read.
    files: Vec<String>,
    problems: Problems,
}

impl Gathering<'_> {
    /// The claim of `wanted` laid over everything it extends, as far as it can be read.
    fn gather(&mut self, wanted: &Located<String>) -> Option<RawProfile> {
        if self.chain.contains(&wanted.value) || self.chain.len() == MAX_DEPTH {
            let path = self.chain.join(" → ");
            let cause = format!("extends itself: {path} → {}", wanted.value);
            self.problems.push(wanted.problem(cause, "take one of them out of the circle"));
            return None;
        }
        let (file, text) = match self.search.text(wanted) {
            Ok((found, text)) => {
                let absolute = found.path.as_ref().and_then(|path| std::path::absolute(path).ok());
                self.files.extend(absolute.map(|path| path.display().to_string()));
                (found.name, text)
            }
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let own = self.parse(&file, &text);
        self.chain.push(wanted.value.clone());
        let mut merged = RawProfile::default();
        for base in &own.extends {
            merged = lay(merged, self.gather(base).unwrap_or_default());
        }
        self.chain.pop();
        Some(lay(merged, own))
    }

    fn parse(&mut self, file: &str, text: &str) -> RawProfile {
        let (own, problems) = RawProfile::parse_whole(file, text);
        // Where the file is not TOML, or its schema not a number, that is told already.
        let told = problems.0.iter().any(|p| p.place.key.is_empty() || p.place.key == "schema");
        self.problems.0.extend(problems.0);
        self.problems.0.extend(validate::schema(file, &own).filter(|_| !told));
        own
    }
}

/// Name and file of each profile in `folder`.
fn names_in(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let named = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?.strip_suffix(".toml")?;
        Some((name.to_owned(), path.display().to_string()))
    };
    entries.filter_map(named).collect()
}

/// What a profile is called: the file's stem, or the name itself.
fn profile_name(wanted: &str) -> String {
    let stem = Path::new(wanted).file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or(wanted).to_owned()
}
