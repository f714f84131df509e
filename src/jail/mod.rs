//! The child's half of a launch, and what runs as PID 1 of a jail afterwards.
//!
//! [`perform()`] does the steps that `plan` decided, in the child, in their order; it contains no
//! policy. [`init`] is the program that the child becomes: behind every wall, with memory of its own.
//!
//! Until the exec the child shares the launcher's memory (see `sys::clone_into`), so it must leave
//! alone what it was not given, and end by exec or exit, never by returning past [`perform()`].

pub mod init;
pub mod protocol;

mod confine;
mod cover;
mod error;
mod landlock;
mod mount;
mod perform;
mod settings;

pub use error::StepError;
pub use perform::{Inside, Terminal, perform};
