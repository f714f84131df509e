//! Walks a parsed document: takes known keys, reports the rest.

use super::{Located, Place, Problem, Problems, Source};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A document being read. Problems gather here until [`Reader::finish`].
#[derive(Debug)]
pub struct Reader {
    source: Source,
    problems: Problems,
}

/// One value whose type is yet to be asked for.
#[derive(Debug)]
pub struct Item<'a> {
    value: &'a Spanned<DeValue<'a>>,
    key: String,
}

/// A string or a whole number, where the two mean different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// A table whose keys are taken one by one.
#[derive(Debug)]
pub struct TableReader<'a> {
    entries: BTreeMap<&'a str, (usize, &'a Spanned<DeValue<'a>>)>,
    prefix: String,
    known: Vec<&'static str>,
}

impl Reader {
    /// Parses `text`, called `name` in messages, and hands its root table to `read`.
    ///
    /// # Errors
    /// Every problem: syntax, types, unknown keys, and what `read` itself reports.
    pub fn read<T>(
        name: &str,
        text: &str,
        read: impl FnOnce(&mut Self, TableReader<'_>) -> T,
    ) -> Result<T, Problems> {
        let (value, problems) = Self::read_whole(name, text, read);
        problems.into_result(value)
    }

    /// As [`Reader::read`], with what could be read beside the problems: a mistake of one kind must
    /// not hide those that only a later look at the values finds.
    pub fn read_whole<T>(
        name: &str,
        text: &str,
        read: impl FnOnce(&mut Self, TableReader<'_>) -> T,
    ) -> (T, Problems) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self { source: Source::new(name, text), problems: Problems::default() };
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let place = reader.source.place(offset, "");
            reader.report(Problem::new(&place, error.message(), "the file is not TOML here"));
        }
        let table = TableReader::new(root.get_ref(), String::new());
        let value = read(&mut reader, table);
        (value, reader.problems)
    }

    /// Adds a problem.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn place(&self, item: &Item<'_>) -> Place {
        self.source.place(item.value.span().start, &item.key)
    }

    fn wrong_type(&mut self, item: &Item<'_>, wanted: &str) {
        let found = item.value.get_ref().type_str();
        let place = self.place(item);
        self.report(Problem::new(&place, format!("must be {wanted}, not {found}"), ""));
    }
}

impl<'a> TableReader<'a> {
    fn new(table: &'a DeTable<'a>, prefix: String) -> Self {
        let entries = table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), (key.span().start, value)))
            .collect();
        Self { entries, prefix, known: Vec::new() }
    }

    fn path(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) }
    }

    /// The names of the keys that were not taken yet.
    pub fn remaining(&self) -> Vec<&'a str> {
        self.entries.keys().copied().collect()
    }

    /// Takes the value of `key`, whatever its type.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        self.take_any(key)
    }

    /// Takes the value of a key that the author chose, such as a variable's name.
    pub fn take_any(&mut self, key: &str) -> Option<Item<'a>> {
        let (_, value) = self.entries.remove(key)?;
        Some(Item { value, key: self.path(key) })
    }

    /// Takes a table and reads it with `read`; reports its unknown keys.
    pub fn table<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl FnOnce(&mut Reader, &mut TableReader<'a>) -> T,
    ) -> Option<T> {
        let item = self.take(key)?;
        let mut table = item.table(reader)?;
        let value = read(reader, &mut table);
        table.finish(reader);
        Some(value)
    }

    /// Takes a string.
    pub fn string(&mut self, reader: &mut Reader, key: &'static str) -> Option<Located<String>> {
        self.take(key)?.string(reader)
    }

    /// Takes a string or a whole number; the number is returned as its digits.
    pub fn scalar(&mut self, reader: &mut Reader, key: &'static str) -> Option<Located<String>> {
        self.take(key)?.scalar(reader)
    }

    /// Takes a truth value.
    pub fn boolean(&mut self, reader: &mut Reader, key: &'static str) -> Option<Located<bool>> {
        self.take(key)?.boolean(reader)
    }

    /// Takes a whole number.
    pub fn integer(&mut self, reader: &mut Reader, key: &'static str) -> Option<Located<i64>> {
        self.take(key)?.integer(reader)
    }

    /// Takes a list of strings; missing is an empty list.
    pub fn strings(&mut self, reader: &mut Reader, key: &'static str) -> Vec<Located<String>> {
        self.items(reader, key).iter().filter_map(|item| item.string(reader)).collect()
    }

    /// Takes a list; missing is an empty list.
    pub fn items(&mut self, reader: &mut Reader, key: &'static str) -> Vec<Item<'a>> {
        self.take(key).map(|item| item.list(reader)).unwrap_or_default()
    }

    /// Takes a list of tables, each written below a `[[key]]`, and reads every one with `read`; reports
    /// their unknown keys. Missing is an empty list.
    pub fn tables<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl Fn(&mut Reader, &Place, &mut TableReader<'a>) -> T,
    ) -> Vec<T> {
        let Some(item) = self.take(key) else { return Vec::new() };
        if !item.is_list() {
            let found = item.value.get_ref().type_str();
            let hint = format!("write [[{}]] above each", item.key);
            let place = item.place(reader);
            reader.report(Problem::new(&place, format!("must be tables, not {found}"), hint));
            return Vec::new();
        }
        let items = item.list(reader);
        let one = |item: &Item<'a>| {
            let place = item.place(reader);
            let mut table = item.table(reader)?;
            let value = read(reader, &place, &mut table);
            table.finish(reader);
            Some(value)
        };
        items.iter().filter_map(one).collect()
    }

    /// Takes a list of strings and whole numbers; `None` where it is missing, or no list and reported.
    pub fn words(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
    ) -> Option<Located<Vec<Located<Word>>>> {
        self.list_of(reader, key, Item::word)
    }

    /// Takes a list whose being there means something though it may be empty; `None` where it is missing, or
    /// no list and reported.
    pub fn list_of<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl Fn(&Item<'a>, &mut Reader) -> Option<T>,
    ) -> Option<Located<Vec<T>>> {
        let item = self.take(key)?;
        let place = item.place(reader);
        let listed = item.is_list();
        let items = item.list(reader);
        let value = items.iter().filter_map(|item| read(item, reader)).collect();
        listed.then_some(Located { value, place })
    }

    /// Reports every key that nobody took.
    pub fn finish(self, reader: &mut Reader) {
        for (key, (offset, _)) in &self.entries {
            let place = reader.source.place(*offset, &self.path(key));
            let hint = match nearest(key, &self.known) {
                Some(known) => format!("did you mean `{known}`?"),
                None if is_secret(key) => SECRET.to_owned(),
                None => format!("known keys here: {}", self.known.join(", ")),
            };
            reader.report(Problem::new(&place, "is not a known key", hint));
        }
    }
}

/// Where a secret goes that somebody wants to write down here.
const SECRET: &str = "a secret is no part of this file: put it into a file that only root can read and name that file \
                      in a profile, in [network.api] or [environment.secrets]; there `credential:NAME` is one that \
                      systemd gives to the service";

/// Whether a key that nobody knows promises a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let parts = ["secret", "token", "passw", "passphrase", "credential"];
    parts.iter().any(|part| key.contains(part))
        || key.split(['_', '-']).any(|word| ["key", "keys", "apikey"].contains(&word))
}

impl<'a> Item<'a> {
    /// Where the value stands.
    #[must_use]
    pub fn place(&self, reader: &Reader) -> Place {
        reader.place(self)
    }

    /// Whether the value is a table.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// The value as a table.
    pub fn table(&self, reader: &mut Reader) -> Option<TableReader<'a>> {
        match self.value.get_ref().as_table() {
            Some(table) => Some(TableReader::new(table, self.key.clone())),
            None => {
                reader.wrong_type(self, "a table");
                None
            }
        }
    }

    /// The value as a list; empty and reported where it is none.
    pub fn list(&self, reader: &mut Reader) -> Vec<Item<'a>> {
        let Some(array) = self.value.get_ref().as_array() else {
            reader.wrong_type(self, "a list");
            return Vec::new();
        };
        let item = |(index, value)| Item { value, key: format!("{}[{index}]", self.key) };
        array.iter().enumerate().map(item).collect()
    }

    /// The value as a string.
    pub fn string(&self, reader: &mut Reader) -> Option<Located<String>> {
        let text = self.value.get_ref().as_str().map(str::to_owned);
        self.located(reader, text, "a string")
    }

    /// The value as a string, or the digits of a whole number.
    pub fn scalar(&self, reader: &mut Reader) -> Option<Located<String>> {
        let value = self.value.get_ref();
        let number = || self.number().map(|number| number.to_string());
        let text = value.as_str().map(str::to_owned).or_else(number);
        self.located(reader, text, "a string or a whole number")
    }

    /// The value as a string or a whole number.
    pub fn word(&self, reader: &mut Reader) -> Option<Located<Word>> {
        let text = self.value.get_ref().as_str().map(|text| Word::Text(text.to_owned()));
        let word = text.or_else(|| self.number().map(Word::Number));
        self.located(reader, word, "a string or a whole number")
    }

    /// The value as a truth value.
    pub fn boolean(&self, reader: &mut Reader) -> Option<Located<bool>> {
        let value = self.value.get_ref().as_bool();
        self.located(reader, value, "true or false")
    }

    /// The value as a whole number.
    pub fn integer(&self, reader: &mut Reader) -> Option<Located<i64>> {
        let value = self.number();
        self.located(reader, value, "a whole number")
    }

    fn number(&self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn located<T>(
        &self,
        reader: &mut Reader,
        value: Option<T>,
        wanted: &str,
    ) -> Option<Located<T>> {
        if value.is_none() {
            reader.wrong_type(self, wanted);
        }
        Some(Located { value: value?, place: reader.place(self) })
    }
}

/// The known key that `key` most likely stands for, if any is near.
pub(crate) fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = |known: &&&str| distance(key, known) <= 1 + known.len() / 4;
    known.iter().filter(near).min_by_key(|known| distance(key, known)).copied()
}

/// Edit distance (insertions, deletions, replacements; Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Problems> {
        Reader::read("x.toml", text, |reader, mut root| {
            let names = root.strings(reader, "names");
            root.table(reader, "limits", |reader, table| table.scalar(reader, "memory"));
            root.finish(reader);
            names.into_iter().map(|name| name.value).collect()
        })
    }

    #[test]
    fn reads_what_is_right() {
        assert_eq!(read("names = ['a', 'b']").unwrap(), ["a", "b"]);
    }

    #[test]
    fn reports_every_problem_with_its_place() {
        let problems = read("names = ['a', 3]\nother = 1\n[limits]\nmemroy = 4\n").unwrap_err();
        let text = problems.to_string();
        assert!(text.contains("x.toml:1:15: names[1]: must be a string, not integer"), "{text}");
        assert!(text.contains("x.toml:2:1: other: is not a known key"), "{text}");
        assert!(text.contains("x.toml:4:1: limits.memroy: is not a known key"), "{text}");
        assert!(text.contains("did you mean `memory`?"), "{text}");
        assert_eq!(problems.0.len(), 3);
    }

    #[test]
    fn tables_in_a_list_have_places_of_their_own() {
        let read = |text: &str| {
            Reader::read("x.toml", text, |reader, mut root| {
                let read = |reader: &mut Reader, place: &Place, table: &mut TableReader<'_>| {
                    let users = table.words(reader, "users").map(|users| users.value);
                    (place.to_string(), users.unwrap_or_default())
                };
                let roles = root.tables(reader, "roles", read);
                root.finish(reader);
                roles
            })
        };
        let roles = read("[[roles]]\nusers = ['ann', 7]\n[[roles]]\n").unwrap();
        assert_eq!((roles[0].0.as_str(), roles[1].0.as_str()), ("x.toml:1:1", "x.toml:3:1"));
        let users: Vec<_> = roles[0].1.iter().map(|user| &user.value).collect();
        assert_eq!(users, [&Word::Text("ann".to_owned()), &Word::Number(7)]);
        assert_eq!(roles[0].1[1].place.key, "roles[0].users[1]");
        let text = read("[[roles]]\nusers = [true]\nuser = 1\n").unwrap_err().to_string();
        assert!(text.contains("2:10: roles[0].users[0]: must be a string or a whole"), "{text}");
        assert!(text.contains("3:1: roles[0].user: is not a known key"), "{text}");
        let text = read("[roles]\nusers = []\n").unwrap_err().to_string();
        assert!(text.contains("must be tables, not table"), "{text}");
        assert!(text.contains("hint: write [[roles]] above each"), "{text}");
    }

    #[test]
    fn whoever_writes_a_secret_down_is_told_where_it_goes() {
        for key in ["token", "api_key", "PASSWORD", "client-secret", "key"] {
            let text = read(&format!("{key} = 'x'\n")).unwrap_err().to_string();
            assert!(text.contains("a secret is no part of this file"), "{text}");
        }
        for key in ["keyboard", "monkeys", "tok"] {
            let text = read(&format!("{key} = 'x'\n")).unwrap_err().to_string();
            assert!(text.contains("known keys here: names, limits"), "{text}");
        }
    }

    #[test]
    fn reports_syntax_and_content_together() {
        let problems = read("names = [1]\nlimits = = 3\n").unwrap_err();
        assert!(problems.0.len() >= 2, "{problems}");
    }
}
