//! Finds policies: in folders as profiles are, then among the shipped ones.

use super::PlanningError;
use crate::document::{Located, Place, Problem, Problems};
use crate::host::trust::{self, Trust};
use crate::plan::{Filter, Policies};
use crate::policy::network;
use crate::policy::seccomp::{self, Arch, Policy};
use crate::profile::Profile;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The folder below somebody's directory.
const HERE: &str = "policies";

/// The policies of the installation.
const INSTALLED: &str = "/etc/cellblock/policies";

/// The folders in it.
const SECCOMP: &str = "seccomp";
const NETWORK: &str = "network";

/// Where policies are looked for.
#[derive(Clone, Debug)]
pub struct PolicySearch {
    folders: Vec<PathBuf>,
    /// The one of them that lies in somebody's directory.
    here: Option<PathBuf>,
    trust: Trust,
    /// Absolute paths of the files that were read.
    read: RefCell<Vec<String>>,
}

impl PolicySearch {
    /// `policies` in the directory `here`, the person's and the system's configuration folders.
    #[must_use]
    pub fn new(here: Option<&Path>, home: Option<&str>, trust: Trust) -> Self {
        let here = here.map(|here| here.join(HERE));
        let mut folders: Vec<PathBuf> = here.iter().cloned().collect();
        folders.extend(home.map(|home| Path::new(home).join(".config/cellblock/policies")));
        folders.push(PathBuf::from(INSTALLED));
        Self { folders, here, trust, read: RefCell::default() }
    }

    /// The system's configuration folder alone: for who has no directory and no person of its own.
    #[must_use]
    pub fn installed(trust: Trust) -> Self {
        let folders = vec![PathBuf::from(INSTALLED)];
        Self { folders, here: None, trust, read: RefCell::default() }
    }

    /// All that `profile` names.
    ///
    /// # Errors
    /// Every problem of all the files, or [`PlanningError::Filter`] where the policy makes no filter.
    pub fn all(&self, profile: &Profile) -> Result<Policies, PlanningError> {
        let filter = self.filter(&profile.seccomp.value)?;
        self.read.take();
        let wanted = &profile.egress.policies;
        let network = wanted.iter().map(|name| self.network(name)).collect::<Result<_, _>>()?;
        Ok(Policies { filter, network, network_files: self.read.take() })
    }

    /// Loads the network policy called `name` with all it includes.
    ///
    /// # Errors
    /// Every problem of all the files.
    pub fn network(&self, name: &Located<String>) -> Result<network::Policy, Problems> {
        self.load_by(NETWORK, network::shipped, |find| network::load(name, find))
    }

    /// Loads the seccomp policy called `name` with all it includes.
    ///
    /// # Errors
    /// Every problem of all the files.
    pub fn load(&self, name: &str) -> Result<Policy, Problems> {
        self.load_by(SECCOMP, seccomp::shipped, |find| seccomp::load(name, find))
    }

    fn load_by<T>(
        &self,
        kind: &str,
        shipped: fn(&str) -> Option<&'static str>,
        load: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Result<T, Problems>,
    ) -> Result<T, Problems> {
        let unread = RefCell::new(Problems::default());
        let find = |name: &str| match self.text(kind, name) {
            Ok(found) => found.or_else(|| shipped(name).map(str::to_owned)),
            Err(problem) => {
                unread.borrow_mut().push(problem);
                None
            }
        };
        let loaded = load(&find);
        // A file that may not be read is the cause, and what then is missing only follows from it.
        unread.into_inner().into_result(())?;
        loaded
    }

    /// The filter of the policy called `name`, for this machine. That of a shipped policy was made
    /// when the program was built, and is used where no file takes the place of any shipped one.
    ///
    /// # Errors
    /// Every problem of all the files, or [`PlanningError::Filter`] where the policy makes no filter.
    pub fn filter(&self, name: &str) -> Result<Filter, PlanningError> {
        let replaced = |name: &&str| match self.text(SECCOMP, name) {
            Ok(text) => text.as_deref() != seccomp::shipped(name) && text.is_some(),
            // Reading it again tells the problem.
            Err(_) => true,
        };
        if let Some(filter) = Filter::shipped(name)
            && !seccomp::SHIPPED.iter().any(replaced)
        {
            return Ok(filter);
        }
        let arch = Arch::native().ok_or(PlanningError::Processor)?;
        let filter = Filter::compile(&self.load(name)?, arch)?;
        Ok(Filter { files: self.read.take(), ..filter })
    }

    /// The first file called `name`, if any folder has one.
    fn path(&self, kind: &str, name: &str) -> Option<PathBuf> {
        let file = format!("{kind}/{name}.toml");
        let mut paths = self.folders.iter().map(|folder| folder.join(&file));
        paths.find(|path| path.symlink_metadata().is_ok())
    }

    /// The text of the first file called `name`, if any folder has one.
    fn text(&self, kind: &str, name: &str) -> Result<Option<String>, Problem> {
        let Some(path) = self.path(kind, name) else { return Ok(None) };
        let absolute = std::path::absolute(&path).ok();
        self.read.borrow_mut().extend(absolute.map(|path| path.display().to_string()));
        // As for profiles: what lies below the current directory may be an agent's work.
        let here = self.here.as_ref().is_some_and(|here| path.starts_with(here));
        let trust = if here { self.trust.without_person() } else { self.trust.clone() };
        trust::read(&path, &trust).map(Some).map_err(|error| {
            Problem::new(&Place::outside(kind, name), error.to_string(), error.hint())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_the_shipped_ones_and_unsafe_files_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let folder = root.join(SECCOMP);
        std::fs::create_dir(&folder).unwrap();
        let text = "schema = 1\ndescription = 'mine'\ninclude = ['minimal']\n";
        std::fs::write(folder.join("agent.toml"), text).unwrap();
        let trust = Trust::for_caller(1, 1);
        let search =
            PolicySearch { folders: vec![root], here: None, trust, read: RefCell::default() };
        assert_eq!(search.load("agent").unwrap().description, "mine");
        assert_ne!(search.load("minimal").unwrap().description, "mine");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("linked.toml")).unwrap();
        let problems = search.load("linked").unwrap_err().to_string();
        assert!(problems.contains("cannot open") && !problems.contains("no policy"), "{problems}");
    }
}
