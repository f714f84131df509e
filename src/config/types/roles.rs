//! Who may do what.

use crate::document::Located;
use crate::profile::types::AgentName;
use std::fmt;

/// Who may do what with which agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleEntry {
    /// What they may do.
    pub role: Located<Role>,
    /// Users who have the role.
    pub users: Vec<Located<Principal>>,
    /// Groups whose members have it.
    pub groups: Vec<Located<Principal>>,
    /// With which agents; all where there is no list.
    pub agents: Option<Vec<Located<NamePattern>>>,
}

/// What somebody may do; a later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look on.
    Viewer,
    /// Start, stop and use agents.
    Operator,
    /// Change which agents and roles there are.
    Admin,
}

impl Role {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word for it in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The word in a sentence.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Operator => "an operator",
            Self::Admin => "an admin",
        }
    }

    /// Finds one by its word.
    ///
    /// # Errors
    /// A clause that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| format!("`{}` is not viewer, operator or admin", text.escape_debug()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A user or a group, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// By name.
    Name(String),
    /// By number.
    Id(u32),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

/// Names of agents: `*` stands for any part of a name, `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Checks `text`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        // What is a name with something for each `?`, and for each `*` something or nothing, matches names.
        let shortest = text.replace('?', "x").replace('*', "");
        let longest = text.replace(['?', '*'], "x");
        let name = [shortest, longest].iter().any(|name| AgentName::parse(name).is_ok());
        if !name {
            return Err(format!("`{}` matches no agent's name", text.escape_debug()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether an agent called `name` is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut read) = (0, 0);
        // The last `*`, and where what follows it was tried: a longer one is the only thing to try again.
        let mut star = None;
        while read < name.len() {
            match (pattern.get(at), star) {
                (Some(b'*'), _) => {
                    star = Some((at, read));
                    at += 1;
                }
                (Some(c), _) if *c == b'?' || *c == name[read] => {
                    at += 1;
                    read += 1;
                }
                (_, Some((before, tried))) => {
                    star = Some((before, tried + 1));
                    at = before + 1;
                    read = tried + 1;
                }
                (_, None) => return false,
            }
        }
        pattern[at..].iter().all(|c| *c == b'*')
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_role_is_a_stronger_one() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        assert!(Role::ALL.iter().all(|role| Role::parse(role.word()) == Ok(*role)));
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, yes, no) in [
            ("build", &["build"][..], &["builds", "a-build", ""][..]),
            ("claude-*", &["claude-", "claude-1"], &["claude", "my-claude-1"]),
            ("*", &["a", "a-b"], &[]),
            ("a?c", &["abc"], &["ac", "abbc"]),
            ("*a*b", &["ab", "aab", "xaxaxb", "ababab"], &["ba", "aba", "b"]),
            ("**b?", &["bx", "abcbx"], &["b", "abc1"]),
        ] {
            let pattern = NamePattern::parse(pattern).unwrap();
            for (names, expected) in [(yes, true), (no, false)] {
                for name in names {
                    assert_eq!(pattern.matches(name), expected, "{} {name}", pattern.as_str());
                }
            }
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused() {
        for good in
            ["a", "*", "??", "a-*", "*-a", &"?".repeat(32), &format!("*{}*", "x".repeat(32))]
        {
            NamePattern::parse(good).unwrap_or_else(|cause| panic!("{cause}"));
        }
        for bad in ["", "A*", "a b", "a/*", "[ab]", "a.b", "{a,b}", "-a", &"?".repeat(33)] {
            NamePattern::parse(bad).unwrap_err();
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        /// A matcher that others wrote has the same opinion.
        #[test]
        fn patterns_mean_what_globs_mean(pattern in "[ab?*]{1,8}", name in "[ab]{1,8}") {
            let ours = NamePattern::parse(&pattern).unwrap().matches(&name);
            let theirs = globset::Glob::new(&pattern).unwrap().compile_matcher().is_match(&name);
            assert_eq!(ours, theirs, "{pattern} {name}");
        }
    }
}
