//! What a service tells the service manager that started it: that it is ready, reloads, stops or lives
//! (sd_notify(3), sd_watchdog_enabled(3)). One datagram each, to a socket that the environment names.
//!
//! Nothing here waits: a manager that does not read must not stop who keeps agents. Without a manager nothing
//! is said, and that is no error. What is told is the process's own word and gives nobody a right.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

/// The longest status that is told, in bytes: systemd reads datagrams of 4096.
const LONGEST: usize = 1024;

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The environment names what is no address of a socket.
    #[error("cannot tell the service manager: NOTIFY_SOCKET is `{}`, which is no address of a socket", .0.escape_debug())]
    Address(String),
    /// No socket can be made.
    #[error("cannot tell the service manager: {0}")]
    Socket(Errno),
}

/// A way to tell the service manager how this service is; silent where there is none.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<(OwnedFd, SocketAddrUnix)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From the values of `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`, for the process `own`. A service
    /// takes them out of the environment of what it starts: that has nothing to tell.
    ///
    /// # Errors
    /// [`NotifyError`]; a missing `NOTIFY_SOCKET` is none.
    pub fn from_environment(
        socket: Option<OsString>,
        watchdog_usec: Option<String>,
        watchdog_pid: Option<String>,
        own: u32,
    ) -> Result<Self, NotifyError> {
        let manager = match socket.filter(|socket| !socket.is_empty()) {
            None => None,
            Some(socket) => {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let made = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
                Some((made.map_err(NotifyError::Socket)?, address(&socket)?))
            }
        };
        let watchdog = manager.as_ref().and_then(|_| {
            let mine = watchdog_pid.is_none_or(|pid| pid.parse() == Ok(own));
            let period: u64 = watchdog_usec?.parse().ok()?;
            (mine && period > 0).then(|| Duration::from_micros(period))
        });
        Ok(Self { manager, watchdog })
    }

    /// The service is up, or has reloaded.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is being read anew; [`Notifier::ready`] says when it is done. The time is what tells this
    /// message from the one of a reload before (`Type=notify-reload`).
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = i128::from(now.tv_sec) * 1_000_000;
        self.say(&format!(
            "RELOADING=1\nMONOTONIC_USEC={}",
            seconds + i128::from(now.tv_nsec) / 1000
        ));
    }

    /// The service ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// How the service is, for `systemctl status`: one line, cut where it is long.
    pub fn status(&self, text: &str) {
        // A line feed would begin another message.
        let line = crate::document::one_line(text);
        let mut ends = (0..=LONGEST.min(line.len())).rev();
        let end = ends.find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        self.say(&format!("STATUS={}", &line[..end]));
    }

    /// The service lives.
    pub fn watchdog(&self) {
        self.say("WATCHDOG=1");
    }

    /// How often the manager wants to hear that the service lives: half of the time after which it ends the
    /// service. `None` where it does not want to.
    #[must_use]
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|period| period / 2)
    }

    fn say(&self, message: &str) {
        let Some((socket, address)) = &self.manager else { return };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if let Err(errno) = sendto(socket, message.as_bytes(), flags, address) {
            tracing::warn!(%errno, message, "the service manager was not told");
        }
    }
}

/// A path, or a name in the abstract namespace after `@` (unix(7)).
fn address(socket: &OsString) -> Result<SocketAddrUnix, NotifyError> {
    let wrong = || NotifyError::Address(socket.to_string_lossy().into_owned());
    match socket.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => SocketAddrUnix::new_abstract_name(name),
        path @ [b'/', ..] => SocketAddrUnix::new(path),
        _ => return Err(wrong()),
    }
    .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn notifier(socket: &str) -> Notifier {
        Notifier::from_environment(Some(socket.into()), None, None, 1).unwrap()
    }

    fn heard(manager: &UnixDatagram) -> String {
        manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut text = [0; 8192];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_each_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = notifier(path.to_str().unwrap());
        notifier.ready();
        notifier.stopping();
        notifier.watchdog();
        notifier.status("3 agents\nREADY=1");
        notifier.status(&"ä".repeat(5000));
        assert_eq!(heard(&manager), "READY=1");
        assert_eq!(heard(&manager), "STOPPING=1");
        assert_eq!(heard(&manager), "WATCHDOG=1");
        assert_eq!(heard(&manager), "STATUS=3 agents\\nREADY=1");
        assert_eq!(heard(&manager), format!("STATUS={}", "ä".repeat(LONGEST / 2)));
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = notifier(path.to_str().unwrap());
        let time = || {
            notifier.reloading();
            let told = heard(&manager);
            let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            time.parse::<u64>().unwrap()
        };
        let (first, second) = (time(), time());
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(first <= second && first > 0, "{first} {second}");
        // In microseconds since the boot; what the machine slept is not in it.
        assert!(Duration::from_micros(second).as_secs_f64() < uptime + 1.0, "{second} {uptime}");
    }

    #[test]
    fn a_name_after_an_at_sign_is_in_the_abstract_namespace() {
        let name = format!("cellblock-test-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        notifier(&format!("@{name}")).ready();
        assert_eq!(heard(&manager), "READY=1");
    }

    #[test]
    fn nobody_waits_for_a_manager_that_does_not_read_or_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = notifier(path.to_str().unwrap());
        (0..5000).for_each(|_| notifier.watchdog());
        assert_eq!(heard(&manager), "WATCHDOG=1");
        drop(manager);
        notifier.ready();
        Notifier::from_environment(None, None, None, 1).unwrap().ready();
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let period = |socket: Option<&str>, usec: Option<&str>, pid: Option<&str>| {
            let [usec, pid] = [usec, pid].map(|value| value.map(str::to_owned));
            let notifier = Notifier::from_environment(socket.map(Into::into), usec, pid, 42);
            notifier.unwrap().watchdog_period()
        };
        let half = Some(Duration::from_secs(15));
        let usec = Some("30000000");
        assert_eq!(period(Some("/x"), usec, Some("42")), half);
        assert_eq!(period(Some("/x"), usec, None), half);
        for (socket, usec, pid) in [
            (Some("/x"), usec, Some("43")),
            (Some("/x"), usec, Some("me")),
            (Some("/x"), Some("0"), None),
            (Some("/x"), Some("often"), None),
            (Some("/x"), None, Some("42")),
            (None, usec, Some("42")),
        ] {
            assert_eq!(period(socket, usec, pid), None, "{socket:?} {usec:?} {pid:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let of = |text: &str| Notifier::from_environment(Some(text.into()), None, None, 1);
        let long = format!("/{}", "x".repeat(200));
        for bad in ["@", "notify", "vsock:2:1234", &long] {
            let error = of(bad).unwrap_err().to_string();
            assert!(error.starts_with("cannot tell the service manager: NOTIFY_SOCKET"), "{error}");
        }
        of("").unwrap().ready();
    }
}
