//! The way between a jail's pty and a person's terminal.
//!
//! Decides: which bytes of a jail may reach a terminal, and how they are carried there and back.
//! Must never: pass a byte of a jail on without having understood it, block for ever on either side,
//! or leave a person's terminal in another state than it was found in.
//!
//! Before: the jail's init opened a pty inside and started a tmux client on it; the launcher holds
//! the master. After: the person's terminal, or nobody ([`screenless`]).
//!
//! ```text
//!  jail's pty master ─ relay ─ filter ─ the person's terminal     hostile bytes → canonical bytes
//!  the person's keys ─ relay ─ keys ─── jail's pty master         the one place for a detach key
//!  jail's pty master ─ recording ─ files ─ filter ─ a terminal    what was shown, shown again
//!  names, titles, messages of agents ─ plain ─ what the CLI prints
//! ```
//!
//! Does not protect against: what text itself says. Inside its screen an agent may draw anything, a
//! false prompt too; what belongs to cellblock is told apart by standing outside that screen.

pub mod descriptor;
pub mod error;
pub mod filter;
pub mod fullscreen;
pub mod keys;
pub mod mode;
pub mod plain;
pub mod raw;
pub mod recording;
pub mod relay;
pub mod rescue;
pub mod reset;
pub mod screenless;
pub mod size;
#[cfg(test)]
pub(crate) mod testing;

pub use error::TerminalError;
