//! The policies that come with cellblock, kept in the binary.

/// The names of the shipped policies.
pub const SHIPPED: [&str; 2] = ["minimal", "agent"];

/// The names of the policies of cellblock's own processes outside of jails.
pub const OWN: [&str; 4] = ["alerts", "gate", "shim", "watch"];

/// The text of the shipped policy called `name`.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    match name {
        "minimal" => Some(include_str!("../../../policies/seccomp/minimal.toml")),
        "agent" => Some(include_str!("../../../policies/seccomp/agent.toml")),
        "alerts" => Some(include_str!("../../../policies/seccomp/alerts.toml")),
        "gate" => Some(include_str!("../../../policies/seccomp/gate.toml")),
        "shim" => Some(include_str!("../../../policies/seccomp/shim.toml")),
        "watch" => Some(include_str!("../../../policies/seccomp/watch.toml")),
        _ => None,
    }
}
