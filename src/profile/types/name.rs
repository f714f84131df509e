//! Names that appear in paths, tmux targets and environments.

use std::fmt;

/// Name of an agent or session: `[a-z0-9][a-z0-9-]{0,31}`.
///
/// It becomes a directory, a cgroup, a host name and a tmux target; the small alphabet keeps it from
/// meaning anything else in any of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentName(String);

impl AgentName {
    /// Checks `text`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let rule = "a name has 1 to 32 of a-z, 0-9 and -, and does not begin with -";
        if text.is_empty() || text.len() > 32 || text.starts_with('-') {
            return Err(format!("`{}` is not a name: {rule}", text.escape_debug()));
        }
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(format!(
                "`{}` is not a name because of `{}`: {rule}",
                text.escape_debug(),
                c.escape_debug()
            )),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, and none that changes how programs load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VariableName(String);

/// Variables that the jail sets by itself or that would undo it.
const RESERVED: &[&str] = &["TMUX", "TMUX_PANE", "TMUX_TMPDIR"];

impl VariableName {
    /// Checks `text`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.starts_with(first) || !text.chars().all(rest) {
            let shown = text.escape_debug();
            return Err(format!("`{shown}` is not the name of an environment variable"));
        }
        if text.starts_with("LD_") || RESERVED.contains(&text) {
            return Err(format!("`{text}` cannot be set: it would reach around the jail"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_names_mean_nothing_else_anywhere() {
        for good in ["a", "pm-1", "claude", "0", &"x".repeat(32)] {
            AgentName::parse(good).unwrap();
        }
        let long = "x".repeat(33);
        for bad in ["", "-x", "a/b", "..", "a:0", "=x", "%3", "@1", "A", "a.b", "a b", "é", &long]
        {
            AgentName::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn variables_that_change_loading_are_refused() {
        for good in ["PATH", "_x", "ANTHROPIC_API_KEY"] {
            VariableName::parse(good).unwrap();
        }
        for bad in ["", "1A", "A=B", "A B", "LD_PRELOAD", "TMUX", "A\0"] {
            VariableName::parse(bad).unwrap_err();
        }
    }
}
