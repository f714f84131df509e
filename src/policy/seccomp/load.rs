//! Reads a policy and what it includes.

use super::merge::{self, Merged};
use super::raw::{self, RawFile};
use super::{Errno, Policy};
use crate::document::{Located, Place, Problem, Problems, Reader};
use std::collections::BTreeMap;

/// Loads the policy called `name`; `find` gives the text of a policy file by its name.
///
/// A name has small letters, digits, `-` and `_` only, so that `find` is never asked for a path.
///
/// # Errors
/// Every problem of the file and of all files it includes.
pub fn load(name: &str, find: &dyn Fn(&str) -> Option<String>) -> Result<Policy, Problems> {
    let mut loader = Loader {
        find,
        problems: Problems::default(),
        done: BTreeMap::new(),
        open: Vec::new(),
        default: None,
    };
    let asked_for = Located { value: name.to_owned(), place: Place::outside("seccomp", "") };
    let file = loader.file(&asked_for);
    let Loader { mut problems, default, .. } = loader;
    let calls = merge::finish(file.merged, &mut problems);
    if problems.0.is_empty() && !calls.values().any(super::Call::can_be_allowed) {
        let place = Place::outside(&file_name(name), "allow");
        problems.push(Problem::new(&place, "allows nothing", "an empty filter is an error"));
    }
    let default = default.map_or(Errno::Enosys, |errno: Located<Errno>| errno.value);
    let description = file.description;
    problems.into_result(Policy { name: name.to_owned(), description, default, calls })
}

/// A file and all it includes.
#[derive(Clone, Default)]
struct Loaded {
    description: String,
    merged: Merged,
}

struct Loader<'f> {
    find: &'f dyn Fn(&str) -> Option<String>,
    problems: Problems,
    /// Files read already; a file that two others include is read once.
    done: BTreeMap<String, Loaded>,
    /// The files whose includes are being read, outermost first.
    open: Vec<String>,
    default: Option<Located<Errno>>,
}

/// How a policy file is called in messages.
fn file_name(name: &str) -> String {
    format!("seccomp/{name}.toml")
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(allowed)
}

impl Loader<'_> {
    /// The file `wanted`, which is empty where it cannot be had.
    fn file(&mut self, wanted: &Located<String>) -> Loaded {
        let name = &wanted.value;
        if let Some(loaded) = self.done.get(name) {
            return loaded.clone();
        }
        let Some(text) = self.text(wanted) else { return Loaded::default() };
        let Some(raw) = self.parse(name, &text) else { return Loaded::default() };
        self.open.push(name.clone());
        let loaded = self.resolve(raw);
        self.open.pop();
        self.done.insert(name.clone(), loaded.clone());
        loaded
    }

    fn text(&mut self, wanted: &Located<String>) -> Option<String> {
        let name = &wanted.value;
        let (cause, hint) = if !is_name(name) {
            (format!("`{name}` is not a policy's name"), "small letters, digits, - and _ only")
        } else if self.open.contains(name) {
            let way = self.open.join(" → ");
            (format!("`{name}` includes itself: {way} → {name}"), "take one of them out")
        } else if let Some(text) = (self.find)(name) {
            return Some(text);
        } else {
            (format!("there is no policy called `{name}`"), "shipped are `minimal` and `agent`")
        };
        self.problems.push(wanted.problem(cause, hint));
        None
    }

    /// The file as far as it could be read: its problems must not hide those of its includes.
    fn parse(&mut self, name: &str, text: &str) -> Option<RawFile> {
        let file = file_name(name);
        let mut raw = None;
        let result = Reader::read(&file, text, |reader, root| {
            raw = Some(raw::read(&file, reader, root));
        });
        if let Err(problems) = result {
            self.problems.0.extend(problems.0);
        }
        raw
    }

    fn resolve(&mut self, raw: RawFile) -> Loaded {
        let mut merged = Merged::new();
        for include in &raw.include {
            let included = self.file(include);
            merge::add_all(&mut merged, &included.merged);
        }
        for replaced in &raw.replace {
            if merged.remove(&replaced.value).is_none() {
                let cause = format!("no included file mentions `{}`", replaced.value);
                self.problems.push(replaced.problem(cause, "remove it from `replace`"));
            }
        }
        for rule in raw.rules {
            merge::add(&mut merged, rule);
        }
        self.take_default(raw.default);
        Loaded { description: raw.description, merged }
    }

    fn take_default(&mut self, stated: Option<Located<Errno>>) {
        match (&self.default, stated) {
            (Some(known), Some(stated)) if known.value != stated.value => {
                let cause =
                    format!("is {} here, but {} at {}", stated.value, known.value, known.place);
                self.problems
                    .push(stated.problem(cause, "a policy and its includes share one default"));
            }
            (None, Some(stated)) => self.default = Some(stated),
            (_, _) => {}
        }
    }
}
