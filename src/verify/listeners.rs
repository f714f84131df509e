//! Who listens around an attempt: on every kind of socket that an agent might reach.
//!
//! What listens on the Internet's protocols is reached by every address of this machine, and only from
//! this machine: a filter drops what did not come by `lo`.

use super::probe::Stop;
use crate::sys::{self, Argument, Entry};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{self, UnixDatagram, UnixListener};
use std::path::Path;

/// Sockets in the file system that take connections, by directory. Those in [`ALIASED`] are made by
/// another path than the one they are found at.
const STREAMS: &[&str] = &["socket", "served/socket", "served too/socket"];
const ALIASED: &str = "aliased";
const DATAGRAM: &str = "datagram";
/// The end of the name of the abstract socket that takes datagrams.
pub(super) const ABSTRACT_DATAGRAM: &str = "-datagram";

/// All listeners of a world.
#[derive(Debug)]
pub(super) struct Listeners {
    tcp: TcpListener,
    tcp6: Option<TcpListener>,
    udp: UdpSocket,
    streams: Vec<UnixListener>,
    datagrams: Vec<UnixDatagram>,
}

impl Listeners {
    /// Listens in `directory`, and by the abstract name `name`.
    pub(super) fn new(directory: &Path, name: &str) -> Result<Self, Stop> {
        let mut streams = Vec::new();
        for path in STREAMS {
            streams.push(UnixListener::bind(directory.join(path))?);
        }
        streams.push(bind_by_descriptor(&directory.join(ALIASED))?);
        let datagram = UnixDatagram::bind(directory.join(DATAGRAM))?;
        let aliased = format!("{ALIASED}/socket");
        for path in STREAMS.iter().chain(&[DATAGRAM, &aliased]) {
            std::fs::set_permissions(directory.join(path), PermissionsExt::from_mode(0o777))?;
        }
        let abstract_name = |name: &str| net::SocketAddr::from_abstract_name(name);
        streams.push(UnixListener::bind_addr(&abstract_name(name)?)?);
        let by_name = abstract_name(&format!("{name}{ABSTRACT_DATAGRAM}"))?;
        let datagrams = vec![datagram, UnixDatagram::bind_addr(&by_name)?];
        for socket in &streams {
            socket.set_nonblocking(true)?;
        }
        for socket in &datagrams {
            socket.set_nonblocking(true)?;
        }
        let listen =
            |socket: OwnedFd| rustix::net::listen(&socket, 128).map(|()| TcpListener::from(socket));
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let everywhere6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        Ok(Self {
            tcp: listen(bind_for_this_machine(SocketType::STREAM, everywhere)?)?,
            tcp6: bind_for_this_machine(SocketType::STREAM, everywhere6)
                .ok()
                .map(listen)
                .transpose()?,
            udp: bind_for_this_machine(SocketType::DGRAM, everywhere)?.into(),
            streams,
            datagrams,
        })
    }

    /// The ports: TCP, TCP over IPv6 (0 where the host has none), UDP.
    pub(super) fn ports(&self) -> Result<[u16; 3], std::io::Error> {
        let tcp6 = self.tcp6.as_ref().map_or(Ok(0), |tcp| tcp.local_addr().map(|at| at.port()))?;
        Ok([self.tcp.local_addr()?.port(), tcp6, self.udp.local_addr()?.port()])
    }

    /// All that came since the last look.
    pub(super) fn came(&self) -> Vec<u8> {
        let mut came = Vec::new();
        for tcp in [Some(&self.tcp), self.tcp6.as_ref()].into_iter().flatten() {
            while let Ok((stream, _)) = tcp.accept() {
                // Who does not end its side must not be waited for.
                if stream.set_nonblocking(true).is_ok() {
                    came.extend(what_came(stream));
                }
            }
        }
        for listener in &self.streams {
            while let Ok((stream, _)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    came.extend(what_came(stream));
                }
            }
        }
        let mut packet = [0; 512];
        while let Ok(length) = self.udp.recv(&mut packet) {
            came.extend(&packet[..length]);
        }
        for socket in &self.datagrams {
            while let Ok(length) = socket.recv(&mut packet) {
                came.extend(&packet[..length]);
            }
        }
        came
    }
}

/// What came before the other side ended, or was still.
fn what_came(mut stream: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.by_ref().take(4096).read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => tracing::debug!(%error, "a connection broke"),
    }
    bytes
}

/// A socket at `address` that only this machine reaches.
fn bind_for_this_machine(kind: SocketType, address: SocketAddr) -> Result<OwnedFd, Stop> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    drop_from_elsewhere(&socket)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Drops what comes to `socket` by another interface than `lo`, which is always the first one (socket(7),
/// SO_ATTACH_FILTER). To bind it to `lo` would not do: what this machine sends to its other addresses
/// comes by `lo` and counts as having come by theirs.
fn drop_from_elsewhere(socket: &OwnedFd) -> Result<(), Errno> {
    /// `SKF_AD_OFF + SKF_AD_IFINDEX`: where the number of the interface is read from.
    const INTERFACE: u32 = (-0x1000_i32 + 8).cast_unsigned();
    // Each one is a code, two jumps and a value.
    let program: Vec<u8> = [
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, [0, 0], INTERFACE),
        (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, [0, 1], 1),
        (libc::BPF_RET | libc::BPF_K, [0, 0], u32::MAX),
        (libc::BPF_RET | libc::BPF_K, [0, 0], 0),
    ]
    .into_iter()
    .flat_map(|(code, jumps, value)| {
        let [low, high, ..] = code.to_ne_bytes();
        [&[low, high][..], &jumps, &value.to_ne_bytes()].concat()
    })
    .collect();
    let mut header = [0; 16];
    header[..2].copy_from_slice(&4_u16.to_ne_bytes());
    let length = header.len() as u64;
    let option = &mut [
        Argument::Number(socket.as_raw_fd().cast_unsigned().into()),
        Argument::Number(libc::SOL_SOCKET.cast_unsigned().into()),
        Argument::Number(libc::SO_ATTACH_FILTER.cast_unsigned().into()),
        Argument::Record { bytes: &header, inner: &[(8, &program)] },
        Argument::Number(length),
    ];
    sys::attempt(-1, Entry::Native, libc::SYS_setsockopt, option).map(|_| ())
}

/// Listens on `socket` in `directory`, made by a path through a descriptor: the kernel lists it by that
/// path, as it lists those that services make by a relative one.
fn bind_by_descriptor(directory: &Path) -> Result<UnixListener, Stop> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let at = rustix::fs::open(directory, flags, Mode::empty())?;
    Ok(UnixListener::bind(format!("/proc/self/fd/{}/socket", at.as_raw_fd()))?)
}

/// An address of this machine by which others reach it; empty where there is none. Nothing is sent: the
/// kernel only looks up by which address it would speak to the documentation's network.
pub(super) fn own_address() -> String {
    let look_up = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9))?;
        socket.local_addr()
    };
    match look_up() {
        Ok(address) if !address.ip().is_loopback() => address.ip().to_string(),
        Ok(_) => String::new(),
        Err(error) => {
            tracing::debug!(%error, "this machine has no address but its own loopback");
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_is_sent_from_this_machine_comes() {
        let folder = tempfile::tempdir().unwrap();
        for directory in ["served", "served too", "aliased"] {
            std::fs::create_dir(folder.path().join(directory)).unwrap();
        }
        let name = format!("cellblock-test-{}", std::process::id());
        let listeners = Listeners::new(folder.path(), &name).unwrap();
        let [tcp, _, udp] = listeners.ports().unwrap();
        let mut stream = std::net::TcpStream::connect(("127.0.0.2", tcp)).unwrap();
        stream.write_all(b"by tcp;").unwrap();
        drop(stream);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"by udp;", ("127.0.0.1", udp)).unwrap();
        let path = folder.path().join("aliased/socket");
        let mut stream = net::UnixStream::connect(path).unwrap();
        stream.write_all(b"by path;").unwrap();
        let came = String::from_utf8(listeners.came()).unwrap();
        assert_eq!(came, "by tcp;by path;by udp;");
        let own = own_address();
        if !own.is_empty() {
            let mut stream = std::net::TcpStream::connect(format!("{own}:{tcp}")).unwrap();
            stream.write_all(b"by its own address;").unwrap();
            drop(stream);
            assert_eq!(listeners.came(), b"by its own address;");
        }
        assert_eq!(listeners.came(), b"");
    }
}
