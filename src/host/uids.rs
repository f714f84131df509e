//! Uids set apart for agents: a stable one for each name.
//!
//! The range lies between what logins, systemd and containers use (systemd's UIDS-GIDS page): above
//! 65535, below 100000 where subordinate ids begin. A name keeps its uid for ever, because its files
//! may outlive it. [`choose`] is pure; the book it reads is kept by `launch::book`.

use super::facts::AutoUid;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The uids that agents get where the configuration names no others.
pub const RANGE: UidRange = UidRange { first: 70_000, last: 79_999 };

/// Uids set apart for agents, both ends among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidRange {
    /// The lowest.
    pub first: u32,
    /// The highest; not below the lowest.
    pub last: u32,
}

impl UidRange {
    /// Whether `uid` is one of them.
    #[must_use]
    pub fn contains(self, uid: u32) -> bool {
        (self.first..=self.last).contains(&uid)
    }
}

impl Default for UidRange {
    fn default() -> Self {
        RANGE
    }
}

impl fmt::Display for UidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

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

/// The uid of `agent`: the one in `book`, also where it is outside of `range`, else the first free one of
/// the range from the place its name hashes to.
#[must_use]
pub fn choose(agent: &str, book: &Book, range: UidRange, taken: &dyn Fn(u32) -> bool) -> AutoUid {
    if let Some(uid) = book.get(agent) {
        return AutoUid::Assigned(*uid);
    }
    let size = u64::from(range.last.saturating_sub(range.first)) + 1;
    let start = u64::from(fnv1a(agent)) % size;
    let candidates = (0..size).map(|step| u64::from(range.first) + (start + step) % size);
    let candidates = candidates.filter_map(|uid| u32::try_from(uid).ok());
    let free = |uid: &u32| !book.values().any(|used| used == uid) && !taken(*uid);
    match candidates.take(MOST_TRIED).find(free) {
        Some(uid) => AutoUid::Next(uid),
        None => AutoUid::None(format!("no uid is free in {range}")),
    }
}

/// How many uids are looked at for a free one: whether an account has one is a question that takes time.
const MOST_TRIED: usize = 1024;

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

/// By what name the book has the watch: no agent's helper can be called so.
pub const WATCH: &str = "cellblock.watch";

/// By what name the book has the process that tells alerts: no agent, gate or shim is called so.
pub const ALERTS: &str = "cellblock.alerts";

/// The uid on this host of what the book calls `name`, none of `others`.
#[must_use]
pub fn of_helper(name: &str, range: UidRange, others: &[Option<u32>]) -> AutoUid {
    named(name, range, &|uid| others.contains(&Some(uid)) || taken(uid))
}

/// The uid of `agent` on this host.
#[must_use]
pub fn of(agent: &str, range: UidRange) -> AutoUid {
    named(agent, range, &taken)
}

/// The book of this host; empty where there is none yet.
///
/// # Errors
/// A clause that says why it cannot be read.
pub fn book() -> Result<Book, String> {
    let text = match std::fs::read_to_string(BOOK) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot read {BOOK}: {error}")),
    };
    parse(&text).map_err(|cause| format!("{BOOK}: {cause}"))
}

/// Whether `book` has a uid of `agent`: its own, its gate's or its shim's.
#[must_use]
pub fn is_entered(book: &Book, agent: &str) -> bool {
    [agent.to_owned(), gate_of(agent), shim_of(agent)].iter().any(|name| book.contains_key(name))
}

fn named(name: &str, range: UidRange, taken: &dyn Fn(u32) -> bool) -> AutoUid {
    match book() {
        Ok(book) => choose(name, &book, range, taken),
        Err(cause) => AutoUid::None(cause),
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
            let AutoUid::Next(uid) = choose(&name, &book, RANGE, &|_| false) else {
                panic!("full")
            };
            assert!(RANGE.contains(uid));
            assert!(!book.values().any(|used| *used == uid), "{uid} given twice");
            book.insert(name, uid);
        }
        assert_eq!(choose("agent-7", &book, RANGE, &|_| true), AutoUid::Assigned(book["agent-7"]));
    }

    #[test]
    fn taken_uids_are_passed_over() {
        let AutoUid::Next(first) = choose("a", &Book::new(), RANGE, &|_| false) else { panic!() };
        let AutoUid::Next(second) = choose("a", &Book::new(), RANGE, &|uid| uid == first) else {
            panic!()
        };
        assert_ne!(first, second);
        assert!(matches!(choose("a", &Book::new(), RANGE, &|_| true), AutoUid::None(_)));
    }

    #[test]
    fn another_range_is_for_new_names_alone() {
        let range = UidRange { first: 200_000, last: 200_015 };
        let mut book = Book::from([("old".to_owned(), 70_001)]);
        assert_eq!(choose("old", &book, range, &|_| true), AutoUid::Assigned(70_001));
        for index in 0..16 {
            let name = format!("agent-{index}");
            let AutoUid::Next(uid) = choose(&name, &book, range, &|_| false) else { panic!() };
            assert!(range.contains(uid) && !book.values().any(|used| *used == uid), "{uid}");
            book.insert(name, uid);
        }
        let full = AutoUid::None("no uid is free in 200000-200015".to_owned());
        assert_eq!(choose("one-more", &book, range, &|_| false), full);
        let top = UidRange { first: u32::MAX - 20, last: u32::MAX - 2 };
        assert!(matches!(choose("a", &book, top, &|_| false), AutoUid::Next(_)));
    }

    #[test]
    fn a_torn_book_is_not_guessed_at() {
        assert_eq!(parse("a 70001\nb 70002\n").unwrap()["b"], 70_002);
        assert!(parse("a 70001\nb 7000x").unwrap_err().contains("line 2"));
    }
}
