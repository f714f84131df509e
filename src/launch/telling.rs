//! Starts the processes that tell alerts: what they need is made or read with the caller's rights, and handed over.
//!
//! ```text
//!  supervisor ─ start ─┬─ cellblock-alerts           a uid of its own, no rights
//!                      └─ cellblock-alerts-command   for each command, as the user that is named, no rights
//! ```
//!
//! What one sink lacks breaks that sink, which says so for every alert, and no other.

use super::error::{LaunchError, cannot};
use super::{api, book, helper, record, recordings, secrets};
use crate::alerts::protocol::{Collecting, Order, Run, SinkStart, Start, WayStart};
use crate::alerts::{process, runner};
use crate::config::{Auth, Config, Listen, Principal, SinkEntry, Url, Way};
use crate::document::Located;
use crate::egress::proxy::Proxy;
use crate::gate::protocol::Key;
use crate::host::uids::{self, ALERTS};
use crate::host::{AutoUid, accounts};
use crate::sys::{self, Cloned};
use crate::wire::{self, Link, pair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::net::SocketAddr;
use rustix::fd::OwnedFd;
use rustix::fs::{Gid, Mode};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use rustix::process::{Pid, Signal};
use std::path::Path;

/// Connections that wait to be taken by who shows figures.
const BACKLOG: i32 = 64;

/// Those who tell alerts. They end when this is dropped, after they have told what they have.
#[derive(Debug)]
pub struct Told {
    line: Link,
    all: Vec<Cloned>,
}

impl Told {
    /// By which they are told, and tell.
    #[must_use]
    pub fn line(&self) -> &Link {
        &self.line
    }

    /// Whether `pid` is one of them.
    #[must_use]
    pub fn has(&self, pid: Pid) -> bool {
        self.all.iter().any(|process| process.pid == pid)
    }

    /// Ends who tells alerts at once. Those who run commands see that, end what they run, and end.
    pub fn end(self) {
        let process = self.all.last();
        let killed =
            process.map(|process| rustix::process::pidfd_send_signal(&process.pidfd, Signal::KILL));
        match killed {
            Some(Err(errno)) if errno != Errno::SRCH => {
                tracing::warn!(%errno, "who tells alerts does not end");
            }
            Some(Ok(()) | Err(_)) | None => {}
        }
    }

    /// Hands over what listens for those who collect figures.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn listen(&self, (how, listener): &Listener) -> Result<(), Errno> {
        let copy = rustix::io::fcntl_dupfd_cloexec(listener, 3)?;
        wire::send_sealed(&self.line, &Order::Listen(*how), &[copy])
    }
}

/// What single sinks lack, in sentences.
pub type Troubles = Vec<String>;

/// What listens for those who collect figures, and how it is spoken to there.
pub type Listener = (Collecting, OwnedFd);

/// Starts them as `config` says, with files in a folder below `log`; and what is wrong with single sinks.
///
/// The caller must have no second thread.
///
/// # Errors
/// [`LaunchError`] where there is nobody to tell anything.
pub fn start(config: &Config, log: &Path) -> Result<(Told, Troubles), LaunchError> {
    let uid = own_uid(config)?;
    let mut new = Preparing::default();
    let sinks = &config.alerts.sinks;
    if sinks.iter().any(|sink| sink.way == Way::Log) {
        let folder = log.join("alerts").display().to_string();
        new.descriptors.push(recordings(&folder, uid)?);
    }
    let sinks = sinks.iter().map(|sink| new.sink(sink)).collect();
    let proxy = new.proxy();
    let landlock = sys::landlock_abi().is_some();
    let start = Start { sinks, proxy, landlock };
    let Preparing { mut descriptors, commands, mut all, troubles } = new;
    descriptors.extend(commands);
    let (line, inner) = pair().map_err(cannot("make", "a socket for alerts"))?;
    let words = [process::NAME.to_owned(), uid.to_string()];
    let process = helper::start_bare(&inner, &words)?;
    let told = wire::send_sealed(&line, &Order::Start(Box::new(start)), &descriptors);
    all.push(process);
    let told = told.map_err(cannot("tell", "the process that tells alerts"));
    let new = Told { line: line.into(), all };
    match told {
        Ok(()) => Ok((new, troubles)),
        Err(error) => {
            new.end();
            Err(error)
        }
    }
}

/// The uid of who tells alerts: the same for ever.
fn own_uid(config: &Config) -> Result<u32, LaunchError> {
    match uids::of_helper(ALERTS, config.uids, &[]) {
        AutoUid::Assigned(uid) => Ok(uid),
        AutoUid::Next(uid) => {
            // A launch that is under way is not waited for.
            let all = record::lock_at_once()?;
            book::enter_helper(ALERTS, uid, &all)?;
            Ok(uid)
        }
        AutoUid::None(cause) => Err(LaunchError::Unusable(cause)),
    }
}

#[derive(Default)]
struct Preparing {
    descriptors: Vec<OwnedFd>,
    /// Lines to those who run commands.
    commands: Vec<OwnedFd>,
    all: Vec<Cloned>,
    troubles: Troubles,
}

impl Preparing {
    fn sink(&mut self, sink: &SinkEntry) -> SinkStart {
        let name = sink.name.value.clone();
        let millis = u64::try_from(sink.timeout.as_millis()).unwrap_or(u64::MAX);
        let way = match &sink.way {
            Way::Log => Ok(WayStart::Log),
            Way::Journald { socket } => Ok(WayStart::Journald(socket.clone())),
            Way::Command { words, user } => self.command(words, user, millis),
            Way::Webhook { url, auth, ca } => webhook(url, auth.as_ref(), ca.as_deref()),
        };
        let way = way.unwrap_or_else(|cause| {
            self.troubles.push(format!("{name}: {cause}"));
            WayStart::Broken(cause)
        });
        SinkStart { name, timeout: millis, attempts: sink.attempts, way }
    }

    /// Starts the process that runs a command.
    fn command(
        &mut self,
        words: &[String],
        user: &Located<Principal>,
        timeout: u64,
    ) -> Result<WayStart, String> {
        let (uid, gid) = ids_of(&user.value)?;
        let mut start = || {
            let (line, inner) = pair().map_err(cannot("make", "a socket for a command"))?;
            let own = [runner::NAME.to_owned(), uid.to_string(), gid.to_string()];
            let process = helper::start_bare(&inner, &own)?;
            let run = Run { words: words.to_vec(), timeout };
            let told = wire::say_now(&line, &run);
            self.all.push(process);
            told.map_err(cannot("tell", "the process that runs a command"))?;
            Ok::<_, LaunchError>(line)
        };
        let line = start().map_err(|error| error.to_string())?;
        self.commands.push(line);
        Ok(WayStart::Command)
    }

    /// The proxy of the host, if the environment names one.
    fn proxy(&mut self) -> Option<Proxy> {
        let of = |names: [&str; 2]| {
            let mut set = names.into_iter().filter_map(|name| std::env::var(name).ok());
            set.find(|value| !value.is_empty())
        };
        let url = of(["HTTPS_PROXY", "https_proxy"])?;
        let direct = of(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        match Proxy::parse(&url, &direct) {
            Ok(proxy) => Some(proxy),
            Err(cause) => {
                self.troubles.push(format!("HTTPS_PROXY {cause}"));
                None
            }
        }
    }
}

/// What listens for those who collect figures; nothing where the configuration wants none.
///
/// # Errors
/// A clause that says why nobody can be listened for.
pub fn listener(config: &Config) -> Result<Option<Listener>, String> {
    let Some(place) = &config.metrics.listen else { return Ok(None) };
    match &place.value {
        Listen::Unix(path) => {
            let group = config.metrics.group.as_ref().map(gid_of).transpose()?;
            let listener = at_path(path, group);
            let listener = listener.map_err(|errno| format!("cannot listen at {path}: {errno}"))?;
            Ok(Some((Collecting::Unix, listener)))
        }
        Listen::Loopback(address) => {
            let listener = at_port(*address);
            let told = |errno| format!("cannot listen at {address}: {errno}");
            Ok(Some((Collecting::Tcp, listener.map_err(told)?)))
        }
    }
}

/// The ids of an account that is not root's.
fn ids_of(user: &Principal) -> Result<(u32, u32), String> {
    let found = match user {
        Principal::Name(name) => {
            let account = accounts::by_name(name);
            let none = || format!("there is no user `{}` on this host", name.escape_debug());
            account.map(|account| (account.uid, account.gid)).ok_or_else(none)?
        }
        Principal::Id(uid) => {
            accounts::by_uid(*uid).map_or((*uid, *uid), |account| (account.uid, account.gid))
        }
    };
    match found {
        (0, _) | (_, 0) => Err(format!("{user} is root or in its group, and no command runs so")),
        ids => Ok(ids),
    }
}

fn gid_of(group: &Located<Principal>) -> Result<u32, String> {
    match &group.value {
        Principal::Id(gid) => Ok(*gid),
        Principal::Name(name) => {
            let none = || format!("there is no group `{}` on this host", name.escape_debug());
            accounts::group(name).ok_or_else(none)
        }
    }
}

fn webhook(url: &Url, auth: Option<&(Auth, String)>, ca: Option<&str>) -> Result<WayStart, String> {
    let told = |error: LaunchError| error.to_string();
    let roots = match (url.tls, ca) {
        (false, _) => Vec::new(),
        (true, Some(file)) => api::authorities_in("alerts.sinks.ca", file).map_err(told)?,
        (true, None) => api::authorities_of_host().map_err(told)?,
    };
    let key = |(auth, file): &(Auth, String)| {
        let key = secrets::key("alerts.sinks.secret", file)?;
        Ok::<_, LaunchError>((*auth, Key(key)))
    };
    Ok(WayStart::Webhook {
        url: url.clone(),
        auth: auth.map(key).transpose().map_err(told)?,
        roots: roots.iter().map(|root| STANDARD.encode(root)).collect(),
    })
}

/// A socket that only root reaches, and the members of `group`. One that is there already is replaced; anything else is not.
fn at_path(path: &str, group: Option<u32>) -> Result<OwnedFd, Errno> {
    match rustix::fs::lstat(path) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_socket() => {
            rustix::fs::unlink(path)?;
        }
        Ok(_) => return Err(Errno::EXIST),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody reaches it between the two: it does not listen yet.
    rustix::fs::chmod(path, Mode::from_raw_mode(0o600))?;
    if let Some(group) = group {
        rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
        rustix::fs::chmod(path, Mode::from_raw_mode(0o660))?;
    }
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn at_port(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // Connections of the one before may linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
