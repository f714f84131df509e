//! The kernel's audit socket: what it tells whoever listens, and whether it audits at all.
//!
//! Decides: how much is read at a time, and what counts as lost. Never does: take a place that a log service has (`auditd` is
//! told by itself, and may be there at the same time), or switch auditing off.
//! Does not protect against: refusals in the first moment of a flood. The kernel keeps so many records for each listener, and drops
//! the others; that some were dropped is known, and not which.
//!
//! Format: netlink(7), `include/uapi/linux/audit.h`.

use super::audit::{Joiner, Refused, record};
use crate::host::audit::{AUDIT_SET, LONGEST, ask, open_socket, receive, status};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// `AUDIT_NLGRP_READLOG`, as a bit of a mask.
const READLOG: u32 = 1;
/// `AUDIT_STATUS_ENABLED`.
const MASK_ENABLED: u32 = 1;
/// `struct audit_status` up to its last member of Linux 3.15; later kernels take a shorter one.
const STATUS_WORDS: usize = 10;

/// The most records that are read in one turn: others wait meanwhile.
const MOST: usize = 512;
/// What the kernel may keep for this listener, in bytes.
const KEPT: usize = 4 << 20;
/// How soon another turn is due where something waits for more records.
const SOON: Duration = Duration::from_millis(100);

/// Has the kernel audit from now on. Needs `CAP_AUDIT_CONTROL`. Where it does already, nothing is changed.
///
/// # Errors
/// The kernel's answer; `EPERM` where it was switched off for good, too.
pub fn enable() -> Result<(), Errno> {
    if status()?.enabled { Ok(()) } else { set(true) }
}

/// Has the kernel audit, or audit no more: for tests, which leave it as it was.
///
/// # Errors
/// As for [`enable()`].
pub fn set(enabled: bool) -> Result<(), Errno> {
    let mut words = [0_u32; STATUS_WORDS];
    (words[0], words[1]) = (MASK_ENABLED, enabled.into());
    let body: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    ask(&open_socket(0)?, AUDIT_SET, &body).map(drop)
}

/// The records that the kernel tells from now on.
#[derive(Debug)]
pub struct Source {
    socket: OwnedFd,
    joiner: Joiner,
    lost: u64,
    /// When another turn is due, where something waits for more records.
    due: Option<Instant>,
}

/// What was read in a turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// What is known whole.
    pub refused: Vec<Refused>,
    /// How many messages were read for it.
    pub messages: usize,
}

impl Source {
    /// Listens. Needs `CAP_AUDIT_READ`, now and not later.
    ///
    /// # Errors
    /// As for [`status()`].
    pub fn open() -> Result<Self, Errno> {
        let socket = open_socket(READLOG)?;
        // Best done, and not needed: with less the kernel drops more.
        if let Err(errno) = setsockopt(&socket, sockopt::RcvBufForce, &KEPT) {
            tracing::debug!(%errno, "the kernel keeps few audit records");
        }
        Ok(Self { socket, joiner: Joiner::default(), lost: 0, due: None })
    }

    /// Reads what is there, so much at the most, and gives what is known whole.
    ///
    /// # Errors
    /// The kernel's answer, where it will tell nothing any more.
    pub fn read(&mut self) -> Result<Turn, Errno> {
        let mut buffer = vec![0; LONGEST];
        let mut messages = 0;
        for _ in 0..MOST {
            match receive(&self.socket, &mut buffer) {
                Ok(message) => {
                    messages += 1;
                    let message = message.and_then(|(kind, text)| record(kind, text));
                    message.into_iter().for_each(|record| self.joiner.take(record));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                // Some were dropped; how many it does not say.
                Err(Errno::NOBUFS) => self.lost += 1,
                Err(errno) => return Err(errno),
            }
        }
        let refused = self.joiner.turn();
        self.due = self.joiner.waits().then(|| Instant::now() + SOON);
        Ok(Turn { refused, messages })
    }

    /// How soon [`Source::read`] is to be called where nothing comes.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// How often the kernel has dropped records because they were not read in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
