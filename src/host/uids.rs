//! Uids set apart for agents: a stable one for each name.
//!
//! The range lies between what logins, systemd and containers use (systemd's UIDS-GIDS page): above
//! 65535, below 100000 where subordinate ids begin. A name keeps its uid for ever, because its files
//! may outlive it. [`choose`] is pure; the book it reads is kept by `launch::book`.

use super::facts::AutoUid;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// The uids that agents get.
pub const RANGE: RangeInclusive<u32> = 70_000..=79_999;

/// The file that remembers who has which uid, a line `name uid` each.
pub const BOOK: &str = "/var/lib/cellblock/uids";

/// Who has which uid.
pub type Book = BTreeMap<String, u32>;

/// Reads the lines of a book; what is not a line of one is an error.
///
/// # Errors
/// A clause with the number of the first bad line.
pub fn parse(text: &str) -> Result<Book, String> {
    let entry = |(index, line): (usize, &str)| {
        let bad = || format!("line {} is not `name uid`", index + 1);
        let (name, uid) = line.split_once(' ').ok_or_else(bad)?;
        Ok((name.to_owned(), uid.parse().map_err(|_| bad())?))
    };
    text.lines().enumerate().map(entry).collect()
}

/// The uid of `agent`: the one in `book`, else the first free one from the place its name hashes to.
#[must_use]
pub fn choose(agent: &str, book: &Book, taken: &dyn Fn(u32) -> bool) -> AutoUid {
    if let Some(uid) = book.get(agent) {
        return AutoUid::Assigned(*uid);
    }
    let size = RANGE.end() - RANGE.start() + 1;
    let start = fnv1a(agent) % size;
    let candidates = (0..size).map(|step| RANGE.start() + (start + step) % size);
    let free = |uid: &u32| !book.values().any(|used| used == uid) && !taken(*uid);
    match candidates.take(1024).find(free) {
        Some(uid) => AutoUid::Next(uid),
        None => AutoUid::None(format!("no uid is free in {}-{}", RANGE.start(), RANGE.end())),
    }
}

/// By what name the book has the gate of `agent`: no agent can be called so.
#[must_use]
pub fn gate_of(agent: &str) -> String {
    format!("{agent}.gate")
}

/// By what name the book has the shim of `agent`.
#[must_use]
pub fn shim_of(agent: &str) -> String {
    format!("{agent}.shim")
}

/// The uid on this host of what the book calls `name`, none of `others`.
#[must_use]
pub fn of_helper(name: &str, others: &[Option<u32>]) -> AutoUid {
    named(name, &|uid| others.contains(&Some(uid)) || taken(uid))
}

/// The uid of `agent` on this host.
#[must_use]
pub fn of(agent: &str) -> AutoUid {
    named(agent, &taken)
}

fn named(name: &str, taken: &dyn Fn(u32) -> bool) -> AutoUid {
    let text = match std::fs::read_to_string(BOOK) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return AutoUid::None(format!("cannot read {BOOK}: {error}")),
    };
    match parse(&text) {
        Ok(book) => choose(name, &book, taken),
        Err(cause) => AutoUid::None(format!("{BOOK}: {cause}")),
    }
}

/// Whether `uid` is an account's or lies in a range that containers use.
#[must_use]
pub fn taken(uid: u32) -> bool {
    super::accounts::by_uid(uid).is_some()
        || ["/etc/subuid", "/etc/subgid"].iter().any(|file| in_ranges(Path::new(file), uid))
}

/// Whether a line `name:first:count` of `file` holds `uid` (subuid(5)).
fn in_ranges(file: &Path, uid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    text.lines().any(|line| {
        let mut numbers = line.split(':').skip(1).map(|part| part.parse::<u64>().ok());
        let (Some(Some(first)), Some(Some(count))) = (numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(uid))
    })
}

/// FNV-1a, 32 bits (Fowler, Noll, Vo): stable across releases, which `std`'s hasher is not.
fn fnv1a(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    text.bytes().fold(2_166_136_261, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_uid_and_two_never_share_one() {
        let mut book = Book::new();
        for index in 0..500 {
            let name = format!("agent-{index}");
            let AutoUid::Next(uid) = choose(&name, &book, &|_| false) else { panic!("full") };
            assert!(RANGE.contains(&uid));
            assert!(!book.values().any(|used| *used == uid), "{uid} given twice");
            book.insert(name, uid);
        }
        assert_eq!(choose("agent-7", &book, &|_| true), AutoUid::Assigned(book["agent-7"]));
    }

    #[test]
    fn taken_uids_are_passed_over() {
        let AutoUid::Next(first) = choose("a", &Book::new(), &|_| false) else { panic!() };
        let AutoUid::Next(second) = choose("a", &Book::new(), &|uid| uid == first) else {
            panic!()
        };
        assert_ne!(first, second);
        assert!(matches!(choose("a", &Book::new(), &|_| true), AutoUid::None(_)));
    }

    #[test]
    fn a_torn_book_is_not_guessed_at() {
        assert_eq!(parse("a 70001\nb 70002\n").unwrap()["b"], 70_002);
        assert!(parse("a 70001\nb 7000x").unwrap_err().contains("line 2"));
    }
}
