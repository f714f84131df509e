//! What would allow something that is refused.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What would allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Opening {
    /// A line of the profile.
    Line {
        /// The table that it stands in.
        table: String,
        /// The line; several where one is not enough.
        line: String,
    },
    /// A policy of one's own, and the line of the profile that names it.
    Policy {
        /// The file, as a path below a folder of policies.
        file: String,
        /// What stands in it.
        text: String,
        /// The table of the profile.
        table: String,
        /// The line in it.
        line: String,
    },
    /// A change that is no line to add: something is taken out, or stands elsewhere.
    Change {
        /// What to do.
        what: String,
    },
    /// An option of `run`, `exec` or `start`, which takes a whole wall away.
    Without {
        /// The wall.
        wall: String,
        /// Why no line of the profile does it.
        why: String,
    },
    /// Nothing.
    Nothing {
        /// Why not.
        why: String,
    },
}

impl Opening {
    /// The line `line` in `table` of the profile.
    #[must_use]
    pub fn line(table: &str, line: String) -> Self {
        Self::Line { table: table.to_owned(), line }
    }

    /// Nothing, because of `why`.
    #[must_use]
    pub fn nothing(why: impl Into<String>) -> Self {
        Self::Nothing { why: why.into() }
    }

    /// What to write or to say, without a word of explanation; empty where that is nothing.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Line { line, .. } | Self::Policy { line, .. } => line,
            Self::Change { what } => what,
            Self::Without { .. } | Self::Nothing { .. } => "",
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { table, line } => write!(f, "[{table}] {}", line.replace('\n', "; ")),
            Self::Policy { file, text, table, line } => {
                write!(f, "[{table}] {line}, with {file}:\n{}", text.trim_end())
            }
            Self::Change { what } => f.write_str(what),
            Self::Without { wall, why } => write!(f, "--without {wall} at the start: {why}"),
            Self::Nothing { why } => write!(f, "nothing: {why}"),
        }
    }
}

/// `value` as a string of TOML.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_a_string_of_toml() {
        for value in ["/srv/x", "/a \"b\" \\c", "/\u{1b}[2J\n\t\u{7f}", "/é\u{200b}", ""] {
            let text = format!("x = {}", quoted(value));
            let read: toml::Table = text.parse().unwrap_or_else(|it| panic!("{text}: {it}"));
            assert_eq!(read["x"].as_str(), Some(value), "{text}");
        }
    }
}
