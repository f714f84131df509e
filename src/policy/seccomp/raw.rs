//! One policy file as its author wrote it: shapes and values checked, not yet merged with others.

use super::when::conditions;
use super::{Action, Arch, Errno, Rule};
use crate::document::{Item, Located, Place, Problem, Reader, TableReader, nearest};

/// One file.
#[derive(Debug)]
pub(super) struct RawFile {
    pub(super) description: String,
    pub(super) include: Vec<Located<String>>,
    pub(super) default: Option<Located<Errno>>,
    pub(super) replace: Vec<Located<String>>,
    pub(super) rules: Vec<RawRule>,
}

/// One rule for one call.
#[derive(Debug)]
pub(super) struct RawRule {
    pub(super) call: String,
    pub(super) rule: Rule,
    pub(super) otherwise: Option<Located<Errno>>,
}

/// Which of the two lists an entry stands in.
#[derive(Clone, Copy)]
enum List {
    Allow,
    Refuse,
}

/// Reads the root table of the file called `name` in messages.
pub(super) fn read(name: &str, reader: &mut Reader, mut root: TableReader<'_>) -> RawFile {
    match root.integer(reader, "schema") {
        Some(schema) if schema.value == 1 => {}
        Some(schema) => reader.report(schema.problem("is not a known version", "write 1")),
        None => reader.report(missing(&Place::outside(name, ""), "schema", "write `schema = 1`")),
    }
    let description = root.string(reader, "description").map(|text| text.value);
    let include = root.strings(reader, "include");
    let default = root.take("default").and_then(|item| errno(reader, &item));
    let replace = calls(reader, &mut root, "replace");
    let mut rules = Vec::new();
    for (list, key) in [(List::Refuse, "refuse"), (List::Allow, "allow")] {
        for item in root.items(reader, key) {
            rules.extend(entry(reader, &item, list).into_iter().flatten());
        }
    }
    root.finish(reader);
    RawFile { description: description.unwrap_or_default(), include, default, replace, rules }
}

/// A problem about a key that is not there, at the place of its table.
pub(super) fn missing(table: &Place, key: &str, hint: &str) -> Problem {
    let mut place = table.clone();
    place.key = if place.key.is_empty() { key.to_owned() } else { format!("{}.{key}", place.key) };
    Problem::new(&place, "is missing", hint)
}

/// One `[[allow]]` or `[[refuse]]`: a rule for each of its calls.
fn entry(reader: &mut Reader, item: &Item<'_>, list: List) -> Option<Vec<RawRule>> {
    let place = item.place(reader);
    let mut table = item.table(reader)?;
    let conditional = table.remaining().contains(&"when");
    let names = calls(reader, &mut table, "calls");
    if names.is_empty() {
        reader.report(missing(&place, "calls", "name at least one system call"));
    }
    let when = conditions(reader, &mut table, &place);
    let reason = reason(reader, &mut table, &place);
    let (action, otherwise) = match list {
        List::Allow => (Some((Action::Allow, false)), otherwise(reader, &mut table, conditional)),
        List::Refuse => (refusal(reader, &mut table, &place), None),
    };
    table.finish(reader);
    let (when, reason, (action, log)) = (when?, reason?, action?);
    let rule = |name: Located<String>| RawRule {
        call: name.value,
        rule: Rule { when: when.clone(), action, log, reason: reason.clone(), place: name.place },
        otherwise: otherwise.clone(),
    };
    Some(names.into_iter().map(rule).collect())
}

/// What is done, and whether it is recorded.
fn refusal(
    reader: &mut Reader,
    table: &mut TableReader<'_>,
    place: &Place,
) -> Option<(Action, bool)> {
    let log = table.boolean(reader, "log");
    let Some(item) = table.take("errno") else {
        reader.report(missing(place, "errno", "EPERM, or ENOSYS where callers fall back"));
        return None;
    };
    let errno = errno(reader, &item)?.value;
    Some((Action::Refuse(errno), log.map_or(errno.is_told(), |log| log.value)))
}

fn otherwise(
    reader: &mut Reader,
    table: &mut TableReader<'_>,
    conditional: bool,
) -> Option<Located<Errno>> {
    let errno = table.take("otherwise").and_then(|item| errno(reader, &item))?;
    if !conditional {
        reader.report(errno.problem("means nothing without `when`", "remove it, or add `when`"));
    }
    Some(errno)
}

fn reason(reader: &mut Reader, table: &mut TableReader<'_>, place: &Place) -> Option<String> {
    let hint = "say why: who needs it, or what it would open";
    let item = table.take("reason");
    if item.is_none() {
        reader.report(missing(place, "reason", hint));
    }
    let reason = item?.string(reader)?;
    if reason.value.trim().is_empty() {
        reader.report(reason.problem("is empty", hint));
        return None;
    }
    Some(reason.value)
}

fn errno(reader: &mut Reader, item: &Item<'_>) -> Option<Located<Errno>> {
    let name = item.string(reader)?;
    let errno = Errno::from_name(&name.value);
    if errno.is_none() {
        let known = Errno::ALL.map(Errno::name).join(", ");
        let cause = format!("`{}` is not an error a refused call can return", name.value);
        reader.report(name.problem(cause, format!("one of {known}")));
    }
    Some(name.with(errno?))
}

/// Names of calls. A call that only another architecture has is fine: the compiler skips it.
fn calls(
    reader: &mut Reader,
    table: &mut TableReader<'_>,
    key: &'static str,
) -> Vec<Located<String>> {
    let known = |name: &str| Arch::ALL.iter().any(|arch| arch.number(name).is_some());
    let names = table.strings(reader, key);
    for name in names.iter().filter(|name| !known(&name.value)) {
        let all: Vec<&str> =
            Arch::ALL.iter().flat_map(|arch| arch.calls()).map(|(name, _)| name).collect();
        let hint = nearest(&name.value, &all).map_or_else(
            || "the kernel's name is wanted, see syscalls(2)".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let cause = format!("`{}` is not a system call of any known architecture", name.value);
        reader.report(name.problem(cause, hint));
    }
    names
}
