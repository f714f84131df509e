//! One record.

use super::kinds;
use super::text::{Words, shown};

/// What records of one event have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: u64,
    /// Milliseconds of that second.
    pub millis: u16,
    /// The event's number since the kernel started.
    pub number: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its event.
    pub serial: Serial,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A filter refused a call.
    Seccomp {
        /// Who called.
        by: Caller,
        /// `AUDIT_ARCH_*`.
        arch: u32,
        /// The call's number there.
        number: u32,
    },
    /// Landlock refused something.
    Access {
        /// The domain.
        domain: u64,
        /// The rights that were missing.
        blockers: Vec<String>,
        /// On what.
        object: Object,
    },
    /// A domain is told of for the first time.
    Domain {
        /// Which.
        domain: u64,
        /// Who made it.
        creator: Caller,
    },
    /// A domain has ended.
    DomainEnd {
        /// Which.
        domain: u64,
    },
    /// The system call of the event.
    Syscall {
        /// Who called.
        by: Caller,
    },
    /// The event is whole.
    End,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its number, as the host counts.
    pub pid: i32,
    /// Its user, as the host counts.
    pub uid: u32,
    /// Its name, as it calls itself.
    pub program: String,
}

/// What a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A file or directory, as its process sees it.
    Path(String),
    /// An address, with its port.
    Address(String),
    /// A socket by a name that is no path.
    Abstract(String),
    /// Another process.
    Process {
        /// Its number, as the host counts.
        pid: i32,
        /// Its name, as it calls itself.
        program: String,
    },
    /// Nothing that the record names.
    None,
}

/// The most missing rights that are kept.
const BLOCKERS: usize = 32;

/// Reads the record of type `kind` with this text; nothing where it is of another type, or not understood.
#[must_use]
pub fn record(kind: u16, text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?.trim_end_matches(['\0', '\n']);
    let (serial, text) = text.strip_prefix("audit(")?.split_once("): ")?;
    let serial = self::serial(serial)?;
    let words = Words::new(text);
    let body = match kind {
        kinds::SECCOMP => Body::Seccomp {
            by: caller(words)?,
            arch: u32::try_from(words.hex("arch")?).ok()?,
            number: words.number("syscall")?,
        },
        kinds::LANDLOCK_ACCESS => Body::Access {
            domain: words.hex("domain")?,
            blockers: blockers(words.get("blockers")?),
            object: object(words),
        },
        kinds::LANDLOCK_DOMAIN => domain(words)?,
        kinds::SYSCALL => Body::Syscall { by: caller(words)? },
        kinds::END => Body::End,
        _ => return None,
    };
    Some(Record { serial, body })
}

/// `SECONDS.MILLIS:NUMBER`.
fn serial(text: &str) -> Option<Serial> {
    let (time, number) = text.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    Some(Serial {
        seconds: seconds.parse().ok()?,
        millis: millis.parse().ok().filter(|millis| *millis < 1000)?,
        number: number.parse().ok()?,
    })
}

fn caller(words: Words<'_>) -> Option<Caller> {
    Some(Caller {
        pid: words.number("pid")?,
        uid: words.number("uid")?,
        program: words.chosen("comm").unwrap_or_default(),
    })
}

fn domain(words: Words<'_>) -> Option<Body> {
    let domain = words.hex("domain")?;
    match words.get("status")? {
        "allocated" => Some(Body::Domain { domain, creator: caller(words)? }),
        "deallocated" => Some(Body::DomainEnd { domain }),
        _ => None,
    }
}

/// Names of rights: anything else is none that a kernel writes.
fn blockers(text: &str) -> Vec<String> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_';
    let names = text.split(',').filter(|name| !name.is_empty() && name.chars().all(known));
    names.take(BLOCKERS).map(str::to_owned).collect()
}

fn object(words: Words<'_>) -> Object {
    if let Some(pid) = words.number("opid") {
        return Object::Process { pid, program: words.chosen("ocomm").unwrap_or_default() };
    }
    if let Some(path) = words.bytes("path") {
        return match path.split_first() {
            Some((0, name)) => Object::Abstract(shown(name)),
            Some(_) | None => Object::Path(shown(&path)),
        };
    }
    let ends = [("daddr", "dest"), ("saddr", "src")];
    let end = ends.into_iter().find_map(|(address, port)| {
        let port: u16 = words.number(port)?;
        Some(match words.get(address).and_then(|it| it.parse::<core::net::IpAddr>().ok()) {
            Some(core::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
            Some(core::net::IpAddr::V4(address)) => format!("{address}:{port}"),
            None => format!("port {port}"),
        })
    });
    end.map_or(Object::None, Object::Address)
}
