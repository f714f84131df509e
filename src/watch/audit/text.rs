//! The words of a record.

/// The most words of a record that are looked at; the longest one that the kernel writes has some thirty.
const WORDS: usize = 64;

/// The longest name or path that is kept, in bytes: longer ones are cut.
const LONGEST: usize = 4096;

/// The text behind the serial number, by its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'t>(&'t str);

impl<'t> Words<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self(text)
    }

    /// What stands behind the first `key=`. The kernel's own words come before those that an agent chooses.
    pub(super) fn get(self, key: &str) -> Option<&'t str> {
        let mut rest = self.0;
        for _ in 0..WORDS {
            rest = rest.trim_start_matches(' ');
            let (name, behind) = rest.split_once('=')?;
            let (value, after) = value(behind);
            // A word without a value, as `op` before `res=`.
            let name = name.rsplit(' ').next().unwrap_or(name);
            if name == key {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    pub(super) fn number<T: TryFrom<i64>>(self, key: &str) -> Option<T> {
        T::try_from(self.get(key)?.parse::<i64>().ok()?).ok()
    }

    /// The same in hexadecimal.
    pub(super) fn hex(self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.get(key)?, 16).ok()
    }

    /// A text that an agent chose.
    pub(super) fn chosen(self, key: &str) -> Option<String> {
        self.get(key).map(|word| shown(&chosen(word)))
    }

    /// The same as bytes.
    pub(super) fn bytes(self, key: &str) -> Option<Vec<u8>> {
        self.get(key).map(chosen)
    }
}

/// A value with its quotes, if it has any, and what comes behind it.
fn value(text: &str) -> (&str, &str) {
    if let Some(inside) = text.strip_prefix('"')
        && let Some(end) = inside.find('"')
    {
        return text.split_at(end + 2);
    }
    text.split_at(text.find(' ').unwrap_or(text.len()))
}

/// What was written in quotes or in hexadecimal; else as it stands, as `(null)` or `<too_long>`.
fn chosen(word: &str) -> Vec<u8> {
    let inside = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    let bytes = match inside {
        Some(inside) => inside.as_bytes().to_vec(),
        None => unhex(word).unwrap_or_else(|| word.as_bytes().to_vec()),
    };
    bytes.into_iter().take(LONGEST).collect()
}

fn unhex(word: &str) -> Option<Vec<u8>> {
    let (pairs, []) = word.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? * 16 + digit(*low)?);
    if pairs.is_empty() { None } else { pairs.iter().map(byte).collect() }
}

/// The bytes as a text of one line.
pub(super) fn shown(bytes: &[u8]) -> String {
    crate::document::one_line(&String::from_utf8_lossy(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_keys() {
        let words = Words::new("a=1 comm=\"a b\" exe=2F61 op=x y z=  last=(null)");
        assert_eq!(words.number::<i32>("a"), Some(1));
        assert_eq!(words.chosen("comm").as_deref(), Some("a b"));
        assert_eq!(words.chosen("exe").as_deref(), Some("/a"));
        assert_eq!(words.get("z"), Some(""));
        assert_eq!(words.chosen("last").as_deref(), Some("(null)"));
        assert_eq!(words.get("b"), None);
        assert_eq!(Words::new("pid=1 comm=70 pid=2").get("pid"), Some("1"));
    }

    #[test]
    fn what_is_not_hexadecimal_stays_and_what_is_long_is_cut() {
        assert_eq!(chosen("612"), b"612");
        assert_eq!(chosen("6G"), b"6G");
        assert_eq!(chosen(""), b"");
        assert_eq!(chosen("\""), b"\"");
        assert_eq!(chosen(&"61".repeat(5000)).len(), LONGEST);
        assert_eq!(shown(b"a\n\xff\x1b"), "a\\n\u{fffd}\\u{1b}");
    }
}
