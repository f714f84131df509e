//! Which names agents have because somebody who is not root has asked for it. Each takes uids, for ever: so it is remembered,
//! also of agents that are forgotten, and over restarts of the supervisor.
//!
//! A line `name uid` each, as in the book of uids. A name counts as long as something holds it: an agent that is known, or
//! a uid in the book. One that never came so far is given back.

use super::state::{StateError, cannot, replace};
use crate::host::uids::{self, Book};
use std::path::{Path, PathBuf};

/// Who has taken which name.
#[derive(Debug)]
pub(super) struct Names {
    path: PathBuf,
    taken: Book,
}

impl Names {
    /// Those of the file at `path`; none where there is no file.
    pub(super) fn read(path: &Path) -> Result<Self, StateError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(cannot("read", path)(super::state::errno(&error))),
        };
        let taken = uids::parse(&text)
            .map_err(|cause| StateError::NotUnderstood { path: path.to_owned(), cause })?;
        Ok(Self { path: path.to_owned(), taken })
    }

    /// How many names of `uid` count.
    pub(super) fn of(&self, uid: u32, counts: &dyn Fn(&str) -> bool) -> usize {
        self.taken.iter().filter(|(name, whose)| **whose == uid && counts(name)).count()
    }

    /// Writes down that `name` is that of `uid` from now on, and leaves out those that do not count any more.
    pub(super) fn take(
        &mut self,
        name: &str,
        uid: u32,
        counts: &dyn Fn(&str) -> bool,
    ) -> Result<(), StateError> {
        let mut taken = self.taken.clone();
        taken.retain(|name, _| counts(name));
        taken.insert(name.to_owned(), uid);
        let lines = taken.iter().map(|(name, uid)| format!("{name} {uid}\n"));
        replace(&self.path, lines.collect::<String>().as_bytes())?;
        self.taken = taken;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_something_holds_count_for_who_took_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        let mut names = Names::read(&path).unwrap();
        for name in ["a", "b", "c"] {
            names.take(name, 7, &|_| true).unwrap();
        }
        names.take("d", 8, &|_| true).unwrap();
        let held = |name: &str| name != "b";
        let names = Names::read(&path).unwrap();
        assert_eq!((names.of(7, &|_| true), names.of(7, &held), names.of(8, &held)), (3, 2, 1));
        // What nothing holds is not kept for ever.
        let mut names = names;
        names.take("e", 8, &held).unwrap();
        assert_eq!(Names::read(&path).unwrap().of(7, &|_| true), 2);
    }

    #[test]
    fn a_file_that_is_not_understood_is_not_guessed_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        std::fs::write(&path, "a 7\nb").unwrap();
        let error = Names::read(&path).unwrap_err();
        assert!(error.to_string().contains("line 2") && !error.hint().is_empty(), "{error}");
    }
}
