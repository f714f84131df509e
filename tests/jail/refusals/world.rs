//! What of the host an attempt is after.

use super::{BTreeMap, Folder, canary, command, start};
use crate::harness::Running;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;

/// Files, listeners and a process of the host, all new for each attempt.
pub(super) struct World {
    pub(super) folder: Folder,
    pub(super) canary: String,
    names: BTreeMap<&'static str, String>,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: [UnixListener; 2],
    victim: Option<Running>,
}

/// The owner of the project.
const PERSON: u32 = 4242;

impl World {
    pub(super) fn new(uid: u32) -> Self {
        // Where /tmp is a file system of its own, no setuid program gains anything there, jail or not.
        let folder = Folder::on_disk();
        let canary = canary();
        files(&folder, &canary);
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let path = UnixListener::bind(folder.path("socket")).unwrap();
        std::fs::set_permissions(
            folder.path("socket"),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        let name = SocketAddr::from_abstract_name(&canary).unwrap();
        let name = UnixListener::bind_addr(&name).unwrap();
        let victim = start(command("/bin/sleep").arg("3600").uid(uid).gid(uid));
        let names = BTreeMap::from([
            ("{dir}", folder.text("").trim_end_matches('/').to_owned()),
            ("{canary}", canary.clone()),
            ("{tcp}", tcp.local_addr().unwrap().port().to_string()),
            ("{udp}", udp.local_addr().unwrap().port().to_string()),
            ("{address}", own_address()),
            ("{victim}", victim.child.id().to_string()),
        ]);
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        path.set_nonblocking(true).unwrap();
        name.set_nonblocking(true).unwrap();
        Self { folder, canary, names, tcp, udp, unix: [path, name], victim: Some(victim) }
    }

    /// `word` with the names of this world.
    pub(super) fn fill(&self, word: &str) -> String {
        self.names.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value))
    }

    /// Whether the canary came to any listener.
    pub(super) fn arrived(&self) -> bool {
        let mut came = Vec::new();
        while let Ok((mut stream, _)) = self.tcp.accept() {
            came.extend(text_of(&mut stream));
        }
        for listener in &self.unix {
            while let Ok((mut stream, _)) = listener.accept() {
                came.extend(text_of(&mut stream));
            }
        }
        let mut packet = [0; 256];
        while let Ok(length) = self.udp.recv(&mut packet) {
            came.extend(&packet[..length]);
        }
        String::from_utf8_lossy(&came).contains(&self.canary)
    }

    /// Whether the process of the test has ended.
    pub(super) fn victim_ended(&mut self) -> bool {
        let victim = self.victim.as_mut().unwrap();
        victim.child.try_wait().unwrap().is_some()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut victim) = self.victim.take() {
            victim.child.kill().ok();
            victim.child.wait().ok();
        }
    }
}

/// What came before the attempt ended.
fn text_of(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), ErrorKind::InvalidInput, "{error}"),
    }
    bytes
}

fn files(folder: &Folder, canary: &str) {
    folder.directory("other", 0o755);
    folder.file("other/file", canary, 0o644);
    folder.directory("open", 0o777);
    folder.directory("shown", 0o777);
    folder.file("shown/file", canary, 0o666);
    // A copy of each program: one to run where it is not allowed, one to become root by.
    for (program, mode) in [("echo", 0o755), ("id", 0o4755)] {
        let copy = folder.path("shown").join(program);
        std::fs::copy(format!("/usr/bin/{program}"), &copy).unwrap();
        std::fs::set_permissions(copy, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    folder.directory("project", 0o755);
    folder.directory("project/.git", 0o755);
    folder.directory("project/.git/hooks", 0o755);
    folder.file("project/.git/config", "[core]\n", 0o644);
    folder.file("project/.env", canary, 0o644);
    folder.file("project/file", canary, 0o644);
    let mut left = vec![folder.path("project")];
    while let Some(path) = left.pop() {
        std::os::unix::fs::lchown(&path, Some(PERSON), Some(PERSON)).unwrap();
        left.extend(std::fs::read_dir(&path).into_iter().flatten().map(|e| e.unwrap().path()));
    }
}

/// Another address of this machine than the usual one. Nothing of a test leaves the machine.
fn own_address() -> String {
    "127.0.0.2".to_owned()
}
