//! Network policies: whom an agent may reach by name, each rule with its reason.
//!
//! Decides: what a rule means, and which rules a policy file holds. Never does: look a name up, or open a connection;
//! that is the gate's work, by `crate::egress`. Does not protect against: what an allowed host passes on to others.
//!
//! See `docs/network.md` for the format of the files.

mod load;
mod name;
mod rule;
mod shipped;
mod target;
mod upstream;

pub use load::{Policy, load};
pub use name::{Name, Pattern};
pub use rule::{Check, DEFAULT_PORT, Denial, RawRule, Rule, denial, network};
pub use shipped::{SHIPPED, shipped};
pub use target::{HOST, Target};
pub use upstream::{Credential, Upstream};
