//! The policies that come with cellblock, kept in the binary.

/// The names of the shipped policies.
pub const SHIPPED: [&str; 2] = ["minimal", "agent"];

/// The text of the shipped policy called `name`.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    match name {
        "minimal" => Some(include_str!("../../../policies/seccomp/minimal.toml")),
        "agent" => Some(include_str!("../../../policies/seccomp/agent.toml")),
        _ => None,
    }
}
