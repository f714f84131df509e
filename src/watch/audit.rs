//! The kernel's audit records of what Landlock and seccomp refused, read and put together.
//!
//! The kernel writes several records for one event: what Landlock refused, once for each domain who made it, and the system
//! call with its process. They have the event's serial number in common, and records of other events may come in between.
//!
//! Decides: what a record says, which records are one event, and when an event is whole. Never does: believe that there is an
//! end to records, or order in them; what waits is bounded, and what falls out is counted. An agent chooses the names of its
//! processes and files: the kernel writes those in quotes, or in hexadecimal where they have anything in them that is not a
//! printed character, a quote or a space.
//! Does not protect against: records that the kernel dropped. It says so in its log, and not here.
//!
//! Format: `kernel/audit.c` (`audit_log_n_untrustedstring`), `security/landlock/audit.c`, `kernel/auditsc.c` (`audit_seccomp`).

mod join;
mod record;
mod text;

pub use join::Joiner;
pub use record::{Body, Caller, Object, Record, Serial, record};

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// Who called; nobody where the kernel does not say so, because the process is older than auditing.
    pub by: Option<Caller>,
    /// What was refused.
    pub what: What,
}

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A system call, by a filter.
    Call {
        /// The architecture, `AUDIT_ARCH_*`.
        arch: u32,
        /// The call's number there.
        number: u32,
    },
    /// Something by Landlock.
    Access {
        /// The domain that refused it.
        domain: u64,
        /// The process that made the domain; nobody where it was told before anybody listened.
        creator: Option<Caller>,
        /// The rights that were missing, such as `fs.read_file`.
        blockers: Vec<String>,
        /// On what.
        object: Object,
    },
}

/// `LANDLOCK_ACCESS`, `LANDLOCK_DOMAIN`, `SECCOMP`, `SYSCALL` and the end of an event (`include/uapi/linux/audit.h`).
pub mod kinds {
    /// What Landlock refused.
    pub const LANDLOCK_ACCESS: u16 = 1423;
    /// A domain of Landlock, at its first refusal and at its end.
    pub const LANDLOCK_DOMAIN: u16 = 1424;
    /// What a filter refused.
    pub const SECCOMP: u16 = 1326;
    /// The system call of an event.
    pub const SYSCALL: u16 = 1300;
    /// The end of an event.
    pub const END: u16 = 1320;
}

#[cfg(test)]
mod tests;
