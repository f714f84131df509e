//! A sink that is systemd's journal, by its own protocol: a datagram of fields, one a line (systemd's NATIVE_JOURNAL_PROTOCOL).

use super::super::alert::Alert;
use super::Failure;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};

/// By which all alerts are found: `journalctl MESSAGE_ID=…`. It stays.
pub(super) const MESSAGE_ID: &str = "5f0b4a1c8d3e4c59a7e26d90b13f7c84";

/// The socket of the journal.
pub(super) struct Journald {
    path: String,
    socket: OwnedFd,
}

impl Journald {
    pub(super) fn new(path: &str) -> Result<Self, String> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        let socket = socket.map_err(|errno| format!("cannot make a socket: {errno}"))?;
        Ok(Self { path: path.to_owned(), socket })
    }

    /// Sends `alert`. The journal is not waited for: one that has no room is asked again.
    pub(super) fn tell(&self, alert: &Alert) -> Result<(), Failure> {
        let failed = |errno: Errno| {
            Failure::for_now(format!("cannot reach the journal at {}: {errno}", self.path))
        };
        let address = SocketAddrUnix::new(&*self.path).map_err(failed)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendto(&self.socket, &fields(alert), flags, &address).map(|_| ()).map_err(failed)
    }
}

/// The fields of an entry.
fn fields(alert: &Alert) -> Vec<u8> {
    let Alert { id, rule, severity, agent, event, count, told, .. } = alert;
    let mut all = Vec::new();
    let priority = severity.priority().to_string();
    let count = count.to_string();
    let about = agent.as_ref().map(|agent| format!("{agent}: ")).unwrap_or_default();
    let message = format!("{about}{told}");
    let flag = |set: bool, name| set.then_some((name, "1"));
    let pairs = [
        ("MESSAGE", message.as_str()),
        ("MESSAGE_ID", MESSAGE_ID),
        ("PRIORITY", &priority),
        ("SYSLOG_IDENTIFIER", "cellblock"),
        ("CELLBLOCK_ID", id),
        ("CELLBLOCK_RULE", rule),
        ("CELLBLOCK_SEVERITY", severity.word()),
        ("CELLBLOCK_EVENT", event),
        ("CELLBLOCK_COUNT", &count),
    ];
    let agent = agent.as_deref().map(|agent| ("CELLBLOCK_AGENT", agent));
    let marks = [flag(alert.repeated, "CELLBLOCK_REPEATED"), flag(alert.test, "CELLBLOCK_TEST")];
    for (name, value) in pairs.into_iter().chain(agent).chain(marks.into_iter().flatten()) {
        field(&mut all, name, value);
    }
    all
}

/// A value with a line feed comes with its length, so that it is one.
fn field(all: &mut Vec<u8>, name: &str, value: &str) {
    all.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        all.push(b'\n');
        all.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        all.push(b'=');
    }
    all.extend_from_slice(value.as_bytes());
    all.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::super::alert::example;
    use super::*;

    #[test]
    fn an_entry_has_the_documented_fields_and_no_value_makes_another() {
        let alert = Alert { told: "one\nPRIORITY=0".to_owned(), ..example() };
        let entry = fields(&alert);
        let text = String::from_utf8_lossy(&entry);
        for line in ["PRIORITY=4", "CELLBLOCK_AGENT=a", "CELLBLOCK_RULE=denial-spike"] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
        assert!(text.contains(&format!("MESSAGE_ID={MESSAGE_ID}\n")));
        let value = "a: one\nPRIORITY=0";
        let mut expected = b"MESSAGE\n".to_vec();
        expected.extend((value.len() as u64).to_le_bytes());
        expected.extend(value.as_bytes());
        expected.push(b'\n');
        assert!(entry.starts_with(&expected), "{text}");
    }

    #[test]
    fn the_journal_hears_it_and_one_that_is_not_there_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let shown = path.to_str().unwrap();
        let sink = Journald::new(shown).unwrap();
        let missing = sink.tell(&example()).unwrap_err();
        assert!(missing.again && missing.cause.contains(shown), "{missing:?}");
        let journal = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        sink.tell(&example()).unwrap();
        let mut bytes = [0; 4096];
        let length = journal.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], fields(&example()));
        // One that does not read is not waited for.
        let full = (0..10_000).find_map(|_| sink.tell(&example()).err());
        assert!(full.unwrap().again);
    }
}
