//! Names of hosts, in the one form in which they are compared.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name, in bytes without the final dot (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;

/// The longest label, in bytes (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// The name of a host: labels of `a-z`, `0-9`, `-` and `_`, in small letters, without a final dot, and no number.
///
/// Every text that names a host (of a profile, a DNS question, a TLS hello, a `Host` header) becomes one of these or
/// nothing, so that two parts of the program cannot take the same text for two names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

impl Name {
    /// The name by which a jail reaches the loopback of the machine that it is on.
    #[must_use]
    pub fn host() -> Self {
        Self(super::HOST.to_owned())
    }

    /// Reads `text`: any case, and with or without the final dot.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| Err(format!("`{}` is not a host's name: {why}", text.escape_debug()));
        let bare = text.strip_suffix('.').unwrap_or(text);
        if !text.is_ascii() {
            return wrong(
                "it is not ASCII; DNS has such a name in another form, which begins with xn--",
            );
        }
        if bare.is_empty() {
            return wrong("it is empty");
        }
        if bare.len() > LONGEST_NAME {
            return wrong("it is longer than 253 characters");
        }
        if let Some(why) = bare.split('.').find_map(wrong_label) {
            return wrong(why);
        }
        if bare.rsplit('.').next().is_some_and(is_number) {
            return wrong("it ends in a number, as addresses do");
        }
        Ok(Self(bare.to_ascii_lowercase()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn wrong_label(label: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() {
        Some("one of its labels is empty")
    } else if label.len() > LONGEST_LABEL {
        Some("one of its labels is longer than 63 characters")
    } else if !label.bytes().all(allowed) {
        Some("a label has letters, digits, - and _ only")
    } else if label.starts_with('-') || label.ends_with('-') {
        Some("a label neither begins nor ends with -")
    } else {
        None
    }
}

/// Whether some program reads a name with this last label as an address (URL Standard, "ends in a number checker").
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// A name, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Pattern {
    /// This name alone.
    Exact(Name),
    /// Every name with one label or more before this one, and not this one itself.
    Below(Name),
}

impl Pattern {
    /// Reads a name, or `*.` and a name of two labels or more.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(below) = text.strip_prefix("*.") else {
            if text.contains('*') {
                let rule =
                    "`*` stands for whole labels, and only at the beginning, as in *.example.com";
                return Err(format!("`{}` is not a pattern: {rule}", text.escape_debug()));
            }
            return Name::parse(text).map(Self::Exact);
        };
        let name = Name::parse(below)?;
        if !name.0.contains('.') {
            let rule = "it would cover a whole top-level domain";
            return Err(format!("`{}` is too wide: {rule}", text.escape_debug()));
        }
        Ok(Self::Below(name))
    }

    /// Whether `name` is one of those it stands for.
    #[must_use]
    pub fn covers(&self, name: &Name) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Below(below) => name
                .0
                .strip_suffix(&below.0)
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        }
    }

    /// Whether it stands for more than one name.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Below(_))
    }

    /// The name in it.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Exact(name) | Self::Below(name) => name,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for same in
            ["api.example.test", "API.Example.Test", "api.example.test.", "API.EXAMPLE.TEST."]
        {
            assert_eq!(Name::parse(same).unwrap().as_str(), "api.example.test");
        }
        for other in ["a", "xn--bcher-kva.test", "_dmarc.a.test", "1.a", "a.0y", &"a.".repeat(126)]
        {
            Name::parse(other).unwrap();
        }
    }

    #[test]
    fn what_another_program_could_read_as_something_else_is_no_name() {
        let long_label = "x".repeat(64);
        let long_name = format!("{}a.test", "x.".repeat(125));
        let no_names = [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.test..",
            "a b",
            "a\0.allowed.test",
            "a\n",
            "evil@allowed.test",
            "evil#allowed.test",
            "a%2etest",
            "a:443",
            "a/b",
            "bücher.test",
            "allowed\u{ff0e}test",
            "-a.test",
            "a-.test",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "1.2.3.4",
            "a.0x1",
            "a.0x",
            "[::1]",
            "::1",
            "0",
            &long_label,
            &long_name,
        ];
        for text in no_names {
            Name::parse(text).unwrap_err();
        }
    }

    #[test]
    fn a_pattern_stands_for_whole_labels() {
        let below = Pattern::parse("*.Example.test").unwrap();
        let covered = |name: &str| below.covers(&Name::parse(name).unwrap());
        assert!(covered("a.example.test") && covered("a.b.EXAMPLE.test."));
        assert!(
            !covered("example.test")
                && !covered("evilexample.test")
                && !covered("a.example.test.evil.test")
        );
        let exact = Pattern::parse("example.test").unwrap();
        assert!(exact.covers(&Name::parse("example.test").unwrap()));
        assert!(!exact.covers(&Name::parse("a.example.test").unwrap()));
        for wrong in [
            "*",
            "*.",
            "*.test",
            "a.*.test",
            "*a.example.test",
            "*.*.example.test",
            "**.example.test",
        ] {
            Pattern::parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["a.test", "*.a.test"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
    }
}
