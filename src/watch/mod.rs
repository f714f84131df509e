//! What the kernel tells of running agents.
//!
//! ```text
//!  audit socket ─ source ─ text ─ audit::{record → join} ─ Refused ─ denied ─ Denial ─ owner ─ journal
//! ```
//!
//! [`audit`] and [`denied`] are pure: the first reads what the kernel wrote, in which an agent chooses names and paths; the
//! second says whose it is, and what it means. [`source`] is the socket.

pub mod audit;
pub mod denied;
pub mod source;
