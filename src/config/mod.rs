//! The installation's configuration: what its admin sets for all agents together.
//!
//! ```text
//!  /etc/cellblock/config.toml ─ load ─ text ─ raw ─ RawConfig ─ validate ─ Config ─ plan, for every agent
//! ```
//!
//! A missing file is the defaults. Decides which keys exist and what they mean; what a share of the
//! machine comes to is decided by `plan`, which knows the machine, and whom a name means by
//! `control::roles`, which is told the accounts.

#![forbid(unsafe_code)]

pub mod load;
mod raw;
mod types;
mod validate;

pub use raw::RawConfig;
pub use types::{
    AgentEntry, Alerts, Audit, Auth, Ceiling, Config, Defaults, Listen, Metrics, NamePattern,
    Paths, Principal, Restart, Role, RoleEntry, Share, SinkEntry, Slice, Supervisor, Url, Watch,
    Way,
};
pub use validate::parse;

/// Where the configuration is, if no other place is named.
pub const PATH: &str = "/etc/cellblock/config.toml";
