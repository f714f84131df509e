//! Reads the conditions of one entry of a policy file, and refuses such as cannot be meant.

use super::constants;
use super::raw::missing;
use super::{Argument, Compare, Condition, Constant, Width};
use crate::document::{Item, Place, Problem, Reader, TableReader};

/// The conditions of an entry; none where one of them is wrong, for a rule without it would be wider.
pub(super) fn conditions(
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
