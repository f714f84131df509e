//! Profiles: what the author of an agent asks for.
//!
//! The way of the data: [`load`] finds and reads the files (the only file access here), [`raw`] is
//! the author's claim as written, [`inherit`] lays a profile over those it extends, [`validate`]
//! turns the claim into a [`Profile`] of checked values and reports every problem at once.
//!
//! Never decides what the host can do: that is `host` and `plan`.

#![forbid(unsafe_code)]

pub mod inherit;
pub mod load;
pub mod raw;
pub mod shipped;
pub mod types;
pub mod validate;

pub use types::{Profile, Wall};
