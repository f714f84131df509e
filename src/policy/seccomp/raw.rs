//! One policy file as its author wrote it: shapes and values checked, not yet merged with others.

use super::constants;
use super::{Action, Arch, Argument, Compare, Condition, Constant, Errno, Rule, Width};
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
fn missing(table: &Place, key: &str, hint: &str) -> Problem {
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
        List::Allow => (Some(Action::Allow), otherwise(reader, &mut table, conditional)),
        List::Refuse => (refusal(reader, &mut table, &place), None),
    };
    table.finish(reader);
    let (when, reason, action) = (when?, reason?, action?);
    let rule = |name: Located<String>| RawRule {
        call: name.value,
        rule: Rule { when: when.clone(), action, reason: reason.clone(), place: name.place },
        otherwise: otherwise.clone(),
    };
    Some(names.into_iter().map(rule).collect())
}

fn refusal(reader: &mut Reader, table: &mut TableReader<'_>, place: &Place) -> Option<Action> {
    let Some(item) = table.take("errno") else {
        reader.report(missing(place, "errno", "EPERM, or ENOSYS where callers fall back"));
        return None;
    };
    errno(reader, &item).map(|errno| Action::Refuse(errno.value))
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

/// The conditions of an entry; none where one of them is wrong, for a rule without it would be wider.
fn conditions(
    reader: &mut Reader,
    table: &mut TableReader<'_>,
    place: &Place,
) -> Option<Vec<Condition>> {
    if !table.remaining().contains(&"when") {
        return Some(Vec::new());
    }
    let items = table.items(reader, "when");
    if items.is_empty() {
        let mut place = place.clone();
        place.key.push_str(".when");
        reader.report(Problem::new(&place, "holds no condition", "remove it, or add a condition"));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| condition(reader, item)).collect();
    read.into_iter().collect()
}

fn condition(reader: &mut Reader, item: &Item<'_>) -> Option<Condition> {
    let place = item.place(reader);
    let mut table = item.table(reader)?;
    let argument = argument(reader, &mut table, &place);
    let width = width(reader, &mut table, &place);
    // A width that is wrong is reported; the values are still read, with the wider one.
    let read_as = width.unwrap_or(Width::Bits64);
    let mask = table.take("mask").map(|item| value(reader, &item, read_as));
    let compare = compare(reader, &mut table, &place, read_as);
    table.finish(reader);
    let mask = match mask {
        None => None,
        Some(mask) => Some(mask?),
    };
    let condition = Condition { argument: argument?, width: width?, mask, compare: compare? };
    check_mask(reader, &place, &condition)?;
    Some(condition)
}

fn argument(reader: &mut Reader, table: &mut TableReader<'_>, place: &Place) -> Option<Argument> {
    let Some(item) = table.take("argument") else {
        reader.report(missing(place, "argument", "the index of an argument, 0 to 5"));
        return None;
    };
    let index = item.integer(reader)?;
    let argument = u8::try_from(index.value).ok().and_then(Argument::new);
    if argument.is_none() {
        let cause = format!("{} is not the index of an argument", index.value);
        reader.report(index.problem(cause, "arguments are counted from 0 to 5"));
    }
    argument
}

fn width(reader: &mut Reader, table: &mut TableReader<'_>, place: &Place) -> Option<Width> {
    let hint = "32 where the kernel reads an int, 64 where it reads a long, a size or a pointer";
    let Some(item) = table.take("width") else {
        reader.report(missing(place, "width", hint));
        return None;
    };
    let width = item.integer(reader)?;
    match width.value {
        32 => Some(Width::Bits32),
        64 => Some(Width::Bits64),
        other => {
            reader.report(width.problem(format!("{other} is not a width"), hint));
            None
        }
    }
}

/// A comparison that takes one value.
type Single = fn(Constant) -> Compare;

/// The operator of a condition: exactly one.
fn compare(
    reader: &mut Reader,
    table: &mut TableReader<'_>,
    place: &Place,
    width: Width,
) -> Option<Compare> {
    let mut found = Vec::new();
    if let Some(item) = table.take("is") {
        found.push(values(reader, &item, width).map(Compare::OneOf));
    }
    if let Some(item) = table.take("not") {
        found.push(values(reader, &item, width).map(Compare::NoneOf));
    }
    let single: [(&str, Single); 4] = [
        ("below", Compare::Below),
        ("at_least", Compare::AtLeast),
        ("has_any", Compare::HasAny),
        ("has_none", Compare::HasNone),
    ];
    for (key, make) in single {
        if let Some(item) = table.take(key) {
            found.push(value(reader, &item, width).map(make));
        }
    }
    if found.len() == 1 {
        return found.pop().flatten();
    }
    let cause = format!("has {} comparisons, not one", found.len());
    let hint = "write one of is, not, below, at_least, has_any, has_none";
    reader.report(Problem::new(place, cause, hint));
    None
}

/// A value or a list of values.
fn values(reader: &mut Reader, item: &Item<'_>, width: Width) -> Option<Vec<Constant>> {
    if !item.is_list() {
        return value(reader, item, width).map(|value| vec![value]);
    }
    let items = item.list(reader);
    if items.is_empty() {
        let place = item.place(reader);
        reader.report(Problem::new(&place, "is an empty list", "write at least one value"));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| value(reader, item, width)).collect();
    read.into_iter().collect()
}

fn value(reader: &mut Reader, item: &Item<'_>, width: Width) -> Option<Constant> {
    let text = item.scalar(reader)?;
    match constants::parse(&text.value, width) {
        Ok(constant) => Some(constant),
        Err((cause, hint)) => {
            reader.report(text.problem(cause, hint));
            None
        }
    }
}

/// A mask goes with `is` and `not` only, and values must lie within it: `(x & 0xf) == 0x12` never holds.
/// Bits to test must be there: `has_none = 0` always holds.
fn check_mask(reader: &mut Reader, place: &Place, condition: &Condition) -> Option<()> {
    let problem = match (&condition.compare, &condition.mask) {
        (Compare::OneOf(values) | Compare::NoneOf(values), mask) => {
            let bits = mask.as_ref().map_or(u64::MAX, |mask| mask.value);
            match values.iter().find(|value| value.value & bits != value.value) {
                Some(outside) => {
                    (format!("`{outside}` has bits outside the mask"), "it could never be equal")
                }
                None => return Some(()),
            }
        }
        (_, Some(_)) => {
            ("has a mask that its comparison cannot use".to_owned(), "use it with is or not")
        }
        (Compare::HasAny(bits) | Compare::HasNone(bits), None) if bits.value == 0 => {
            ("tests no bits at all".to_owned(), "name at least one bit")
        }
        (_, None) => return Some(()),
    };
    reader.report(Problem::new(place, problem.0, problem.1));
    None
}
