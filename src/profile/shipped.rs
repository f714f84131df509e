//! The profiles that come with the program.

/// Name and text of each shipped profile.
pub const ALL: &[(&str, &str)] = &[
    ("base", include_str!("../../profiles/base.toml")),
    ("shell", include_str!("../../profiles/shell.toml")),
    ("claude", include_str!("../../profiles/claude.toml")),
    ("codex", include_str!("../../profiles/codex.toml")),
    ("demo", include_str!("../../profiles/demo.toml")),
];

/// The text of the shipped profile called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
