//! The network policies that come with cellblock, kept in the binary.

/// The names of the shipped policies.
pub const SHIPPED: [&str; 4] = ["anthropic", "openai", "google-ai", "github"];

/// The text of the shipped policy called `name`.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    match name {
        "anthropic" => Some(include_str!("../../../policies/network/anthropic.toml")),
        "openai" => Some(include_str!("../../../policies/network/openai.toml")),
        "google-ai" => Some(include_str!("../../../policies/network/google-ai.toml")),
        "github" => Some(include_str!("../../../policies/network/github.toml")),
        _ => None,
    }
}
