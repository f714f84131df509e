//! Reads a policy and what it includes.

use super::SHIPPED;
use super::rule::{Denial, RawRule, Rule, denial};
use crate::document::{Located, Place, Problem, Problems, Reader, TableReader};

/// Policies may include each other this deep.
const MAX_DEPTH: usize = 8;

/// A network policy with all it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// What it allows.
    pub allow: Vec<Rule>,
    /// What it refuses, whatever else allows.
    pub deny: Vec<Denial>,
}

/// Loads the policy called `wanted`; `find` gives the text of a policy file by its name.
///
/// A name has small letters, digits, `-` and `_` only, so that `find` is never asked for a path.
///
/// # Errors
/// Every problem of the file and of all files it includes.
pub fn load(
    wanted: &Located<String>,
    find: &dyn Fn(&str) -> Option<String>,
) -> Result<Policy, Problems> {
    let mut loader = Loader { find, problems: Problems::default(), open: Vec::new() };
    let policy = loader.file(wanted).unwrap_or_default();
    loader.problems.into_result(policy)
}

struct Loader<'f> {
    find: &'f dyn Fn(&str) -> Option<String>,
    problems: Problems,
    /// The files whose includes are being read, outermost first.
    open: Vec<String>,
}

/// A file as its author wrote it.
#[derive(Default)]
struct RawFile {
    description: Option<Located<String>>,
    include: Vec<Located<String>>,
    allow: Vec<RawRule>,
    deny: Vec<Located<String>>,
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(allowed)
}

impl Loader<'_> {
    fn file(&mut self, wanted: &Located<String>) -> Option<Policy> {
        let name = &wanted.value;
        let text = self.text(wanted)?;
        let file = format!("network/{name}.toml");
        let (raw, problems) =
            Reader::read_whole(&file, &text, |reader, root| read(reader, root, &file));
        self.problems.0.extend(problems.0);
        let mut policy = Policy {
            name: name.clone(),
            description: raw.description.map(|text| text.value).unwrap_or_default(),
            ..Policy::default()
        };
        self.open.push(name.clone());
        for include in &raw.include {
            let included = self.file(include).unwrap_or_default();
            policy.allow.extend(included.allow);
            policy.deny.extend(included.deny);
        }
        self.open.pop();
        policy.allow.extend(raw.allow.iter().filter_map(|rule| rule.check(&mut self.problems)));
        for text in &raw.deny {
            match denial(text) {
                Ok(denial) => policy.deny.push(denial),
                Err(problem) => self.problems.push(problem),
            }
        }
        Some(policy)
    }

    fn text(&mut self, wanted: &Located<String>) -> Option<String> {
        let name = &wanted.value;
        let (cause, hint) = if !is_name(name) {
            let cause = format!("`{}` is not a policy's name", name.escape_debug());
            (cause, "small letters, digits, - and _ only".to_owned())
        } else if self.open.contains(name) || self.open.len() >= MAX_DEPTH {
            let way = self.open.join(" → ");
            (format!("`{name}` includes itself: {way} → {name}"), "take one of them out".to_owned())
        } else if let Some(text) = (self.find)(name) {
            return Some(text);
        } else {
            let shipped = SHIPPED.join(", ");
            (
                format!("there is no network policy called `{name}`"),
                format!("shipped are {shipped}"),
            )
        };
        self.problems.push(wanted.problem(cause, hint));
        None
    }
}

fn read(reader: &mut Reader, mut root: TableReader<'_>, file: &str) -> RawFile {
    match root.integer(reader, "schema") {
        Some(schema) if schema.value == 1 => {}
        Some(schema) => reader.report(schema.problem("is not a known version", "write 1")),
        None => {
            let place = Place::outside(file, "schema");
            reader.report(Problem::new(
                &place,
                "is missing",
                "write `schema = 1` as the first line",
            ));
        }
    }
    let raw = RawFile {
        description: root.string(reader, "description"),
        include: root.strings(reader, "include"),
        allow: root
            .items(reader, "allow")
            .iter()
            .filter_map(|item| RawRule::read(reader, item))
            .collect(),
        deny: root.strings(reader, "deny"),
    };
    for rule in &raw.allow {
        if rule.reason.as_ref().is_none_or(|reason| reason.value.trim().is_empty()) {
            let hint = "say who needs it, and what for";
            reader.report(rule.to.problem("has no `reason`", hint));
        }
    }
    root.finish(reader);
    raw
}

#[cfg(test)]
mod tests {
    use super::super::shipped;
    use super::*;

    fn load_from(files: &[(&str, &str)]) -> Result<Policy, Problems> {
        let find = |name: &str| {
            files.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        let wanted =
            Located { value: files[0].0.to_owned(), place: Place::outside("x.toml", "policy") };
        load(&wanted, &find)
    }

    #[test]
    fn the_shipped_policies_load() {
        for name in SHIPPED {
            let wanted = Located { value: name.to_owned(), place: Place::outside("test", "") };
            let policy = load(&wanted, &|name| shipped(name).map(str::to_owned)).unwrap();
            assert!(!policy.allow.is_empty() && !policy.description.is_empty(), "{name}");
            assert!(policy.allow.iter().all(|rule| rule.reason.len() > 10), "{name}");
        }
    }

    #[test]
    fn what_is_included_is_part_of_it() {
        let policy = load_from(&[
            ("mine", "schema = 1\ninclude = ['base']\nallow = [{ to = 'b.test', reason = 'b' }]"),
            ("base", "schema = 1\nallow = [{ to = 'a.test', reason = 'a' }]\ndeny = ['c.a.test', '*.b.test:80']"),
        ])
        .unwrap();
        let allowed: Vec<_> = policy.allow.iter().map(ToString::to_string).collect();
        assert_eq!(allowed, ["a.test:443", "b.test:443"]);
        let denied: Vec<_> = policy.deny.iter().map(ToString::to_string).collect();
        assert_eq!(denied, ["c.a.test", "*.b.test:80"]);
    }

    #[test]
    fn every_problem_of_all_files_is_told() {
        let problems = load_from(&[
            ("mine", "include = ['base', 'mine', 'none', '../x']\nallow = ['a.test']\ndney = []"),
            ("base", "schema = 2\ndeny = ['a b']\nallow = [{ to = 'a.test', reason = ' ' }]"),
        ])
        .unwrap_err()
        .to_string();
        for cause in [
            "network/mine.toml: schema: is missing",
            "network/base.toml:1:10: schema: is not a known version",
            "`mine` includes itself",
            "no network policy called `none`",
            "`../x` is not a policy's name",
            "network/mine.toml:2:10: allow[0]: has no `reason`",
            "allow[0].to: has no `reason`",
            "dney: is not a known key",
            "`a b` is not a host's name",
        ] {
            assert!(problems.contains(cause), "{cause}: {problems}");
        }
    }
}
