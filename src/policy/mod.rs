//! Policy files: the reusable parts of a profile.
//!
//! Decides: what a policy file means. Never does: read a file, look at the environment, or put a
//! policy in force (that is the jail's work). Before it comes `document`, which reads TOML; after it
//! comes `plan`, which puts a policy into a plan.

#![forbid(unsafe_code)]

pub mod network;
pub mod seccomp;
