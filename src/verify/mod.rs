//! The escape battery: attempts to get out of a jail, made in it and judged from outside.
//!
//! ```text
//! cellblock verify           the referee, root: makes the world of an attempt, judges what comes of it
//!  ├─ victim                 a process of the agent's uid outside
//!  └─ keeper                 a launcher as for any agent, or another sandbox, or nothing
//!      └─ jail init
//!          └─ prober         this program from the same descriptor: makes one attack
//! ```
//!
//! Every probe is made several times, each in surroundings of its own: without a jail, where it must
//! succeed or it shows nothing; behind each single wall that is said to stop it; behind all of them.
//! Success is seen by the referee (a secret came out, a token was left or arrived, the kernel's answer
//! to a call read by ptrace(2), the state of the prober): the prober's own word decides nothing.

#![forbid(unsafe_code)]

pub mod attempt;
pub mod battery;
pub mod campaign;
pub mod channel;
mod directory;
pub mod interrupt;
pub mod judge;
pub mod keeper;
mod listeners;
pub mod look;
mod objects;
pub mod person;
pub mod probe;
pub mod prober;
pub mod referee;
pub mod report;
pub mod scene;
pub mod setting;
mod uid;
pub mod watch;
pub mod witness;
pub mod world;
