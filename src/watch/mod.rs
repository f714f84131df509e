//! The watch: sees what agents start and leave behind, and acts as their profiles say.
//!
//! ```text
//!  proc connector ─┐                                      ┌─ Finding ─▷ owner ─ journal, alerts
//!  scans ──────────┴─ state: tree, rates ─ rules ─────────┴─ act: signals, freezing
//! ```
//!
//! It is a process of its own, so that a supervisor that has much to do holds up nothing, and so that what reads the words of
//! agents has no right but to signal processes. It ends with its owner, and the next one begins with a scan.
//!
//! ```text
//!  audit socket ─ source ─ audit ─ Refused ─ denied: whose, what ─ Denial ─▷ owner ─ journal of denials
//! ```
//!
//! [`tree`], [`rules`], [`findings`], [`state`], [`audit`] and [`denied`] decide and are pure. A process is an agent's by its cgroup, never by its
//! parent: events say when to look, and what is told or done rests on what the kernel says at that moment.

#![forbid(unsafe_code)]

pub mod audit;
pub mod denied;
pub mod findings;
pub mod keeper;
pub mod proc;
pub mod protocol;
pub mod rules;
pub mod source;
pub mod state;
pub mod tree;

mod act;
mod confine;
mod connector;
mod hearing;
mod run;

use crate::config::Audit;
use crate::wire;
use connector::Connector;
use hearing::Hearing;
use protocol::{Bounds, Report};
use run::Watch;
use rustix::fd::OwnedFd;
use std::ffi::OsString;

/// The name by which the program knows that it is to be a watch.
pub const NAME: &str = "cellblock-watch";

/// The status of a watch that could not go on.
const FAILED: u8 = 125;

/// Whether the kernel tells of processes here.
///
/// # Errors
/// Why it does not, in a clause.
pub fn sees() -> Result<(), String> {
    Connector::open().map(drop)
}

/// Whether these `words` start a watch.
#[must_use]
pub fn is_meant(words: &[OsString]) -> bool {
    words.first().is_some_and(|name| name == NAME)
}

/// Watches until its owner is gone. The words are the name, its uid, the events of a second, and what becomes of the kernel's
/// audit; its standard input is the socket of its owner.
#[must_use]
pub fn main(words: &[OsString]) -> u8 {
    let word = |index: usize| words.get(index)?.to_str()?.parse::<u64>().ok();
    let uid = word(1).and_then(|uid| u32::try_from(uid).ok());
    let audit = words.get(3).and_then(|word| Audit::parse(word.to_str()?).ok());
    let (Some(uid), Some(events_per_second), Some(audit)) = (uid, word(2), audit) else {
        return FAILED;
    };
    let Ok(link) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return FAILED;
    };
    match serve(link, uid, Bounds { events_per_second }, audit) {
        Ok(()) => 0,
        Err(()) => FAILED,
    }
}

fn serve(link: OwnedFd, uid: u32, bounds: Bounds, audit: Audit) -> Result<(), ()> {
    // With rights, which are given up before anything of an agent is looked at.
    let connector = Connector::open();
    let hearing = Hearing::open(audit);
    if let Err(cause) = confine::confine(uid) {
        // Where the owner is gone, nobody is left to be told.
        return wire::say(&link, &Report::Failed(cause)).map_err(|_| ());
    }
    Watch::new(link, (connector, hearing), bounds).run().map_err(|_| ())
}
