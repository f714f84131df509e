//! `[[roles]]`: who may do what.

use super::Checker;
use crate::config::raw::RawRole;
use crate::config::{NamePattern, Principal, Role, RoleEntry};
use crate::document::{Located, Word};

pub(super) fn entry(check: &mut Checker, raw: &RawRole) -> Option<RoleEntry> {
    let RawRole { place, role, users, groups, agents } = raw;
    if role.is_none() {
        let hint = "write role = \"viewer\", \"operator\" or \"admin\"";
        check.missing(place, "role", hint);
    }
    let told = check.is_told(place, "users") || check.is_told(place, "groups");
    if users.is_none() && groups.is_none() && !told {
        let hint = "write users = [\"ann\"], groups = [\"dev\"], or both";
        check.report(place, "names nobody who has the role", hint);
    }
    let role = check.maybe(role.as_ref(), Role::parse);
    let users = principals(check, users.as_ref());
    for user in users.iter().filter(|user| is_root(&user.value)) {
        check.report(&user.place, "is root, who is always an admin", "leave it out");
    }
    let groups = principals(check, groups.as_ref());
    let agents = agents.as_ref().map(|agents| patterns(check, agents));
    if let (Some(role), Some(_)) = (&role, &agents)
        && role.value == Role::Admin
    {
        let cause = "is one of some agents, and what only an admin may do is about all of them";
        let hint = "write role = \"operator\", or leave `agents` out";
        check.report(&role.place, cause, hint);
    }
    Some(RoleEntry { role: role?, users, groups, agents })
}

fn patterns(check: &mut Checker, raw: &Located<Vec<Located<String>>>) -> Vec<Located<NamePattern>> {
    if raw.value.is_empty() {
        let hint =
            "name agents, as in agents = [\"claude-*\"], or leave it out: then all are meant";
        check.report(&raw.place, "is empty", hint);
    }
    raw.value.iter().filter_map(|pattern| check.one(pattern, NamePattern::parse)).collect()
}

fn principals(
    check: &mut Checker,
    raw: Option<&Located<Vec<Located<Word>>>>,
) -> Vec<Located<Principal>> {
    let Some(raw) = raw else { return Vec::new() };
    if raw.value.is_empty() {
        check.report(&raw.place, "is empty", "name somebody, or leave it out");
    }
    raw.value.iter().filter_map(|word| principal(check, word)).collect()
}

pub(super) fn is_root(principal: &Principal) -> bool {
    match principal {
        Principal::Name(name) => name == "root",
        Principal::Id(id) => *id == 0,
    }
}

/// A user or a group; a problem is reported and gives `None`.
pub(super) fn principal(check: &mut Checker, raw: &Located<Word>) -> Option<Located<Principal>> {
    match parse(&raw.value) {
        Ok(principal) => Some(raw.with(principal)),
        Err((cause, hint)) => {
            check.report(&raw.place, cause, hint);
            None
        }
    }
}

fn parse(word: &Word) -> Result<Principal, (String, &'static str)> {
    let hint = "write the name of an account, or its number without quotes";
    match word {
        Word::Number(number) => match u32::try_from(*number) {
            Ok(u32::MAX) => {
                Err(("is not an id: the kernel means \"no change\" by it".to_owned(), hint))
            }
            Ok(id) => Ok(Principal::Id(id)),
            Err(_) => Err((format!("is {number}, which is no id"), hint)),
        },
        Word::Text(text) => {
            let shown = text.escape_debug();
            let odd = |c: char| c.is_whitespace() || c.is_control() || [':', '/', ','].contains(&c);
            if text.is_empty() || text.starts_with('-') || text.contains(odd) {
                return Err((format!("`{shown}` is not the name of an account"), hint));
            }
            // An account may be called so, and a person may have meant the number.
            if text.chars().all(|c| c.is_ascii_digit()) {
                let hint = "write the number without quotes";
                return Err((format!("`{shown}` is a number in the place of a name"), hint));
            }
            Ok(Principal::Name(text.clone()))
        }
    }
}
