//! What the gate has in the jail's network: addresses for names, and sockets that listen.
//!
//! They are made in that network by the launcher, which enters it for a moment. It has one thread, and nothing of the
//! agent runs in it meanwhile.

use super::error::{LaunchError, cannot};
use super::netlink;
use crate::egress::rules::Rules;
use crate::gate::KEEPALIVE;
use crate::plan::MOST_PORTS;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{self, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The addresses that names have inside (`egress::pool`).
const NAMES: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);

/// The port of name servers.
const DNS: u16 = 53;

/// Connections that wait to be accepted; the kernel may hold fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// What could not be done where the launcher is still in the jail's network.
pub(super) const LEAVE: &str = "leave";

/// What is open in a jail's network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Openings {
    /// Ports on which a socket listens.
    pub(super) ports: BTreeSet<u16>,
    /// Addresses that are taken for the jail's own.
    pub(super) addresses: BTreeSet<Ipv4Addr>,
}

/// Opens what `rules` need and `openings` do not have yet, in the network of the process `pid`.
pub(super) fn open(
    pid: i32,
    rules: &Rules,
    openings: &mut Openings,
) -> Result<Vec<OwnedFd>, LaunchError> {
    let first = openings.ports.is_empty();
    // The name server's port is the gate's own from the beginning.
    let wanted: BTreeSet<u16> = rules.ports().into_iter().chain([DNS]).collect();
    let ports: Vec<u16> = wanted.difference(&openings.ports).copied().collect();
    if openings.ports.len() + ports.len() > MOST_PORTS + 1 {
        let cause = format!("there would be more than {MOST_PORTS} ports, those of before counted");
        return Err(LaunchError::Unusable(cause));
    }
    let addresses: Vec<_> = rules.addresses().difference(&openings.addresses).copied().collect();
    if ports.is_empty() && addresses.is_empty() {
        return Ok(Vec::new());
    }
    let sockets = inside(pid, || make(first, &ports, &addresses))?;
    openings.ports.extend(ports);
    openings.addresses.extend(addresses);
    Ok(sockets)
}

fn make(first: bool, ports: &[u16], addresses: &[Ipv4Addr]) -> Result<Vec<OwnedFd>, LaunchError> {
    let routes = netlink::open()?;
    if first {
        netlink::add_local(&routes, NAMES.0, NAMES.1)?;
    }
    addresses.iter().try_for_each(|address| netlink::add_local(&routes, *address, 32))?;
    let mut sockets = Vec::new();
    if first {
        sockets.push(socket(SocketType::DGRAM, Ipv4Addr::LOCALHOST, DNS)?);
    }
    for port in ports {
        let socket = socket(SocketType::STREAM, Ipv4Addr::UNSPECIFIED, *port)?;
        prepare(&socket).map_err(cannot("prepare", &format!("port {port} of the jail")))?;
        listen(&socket, BACKLOG).map_err(cannot("listen on", &format!("port {port}")))?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn socket(kind: SocketType, address: Ipv4Addr, port: u16) -> Result<OwnedFd, LaunchError> {
    let shown = format!("port {port} of the jail");
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, kind, flags, None);
    let socket = socket.map_err(cannot("open a socket for", &shown))?;
    set_socket_reuseaddr(&socket, true).map_err(cannot("prepare", &shown))?;
    bind(&socket, &SocketAddrV4::new(address, port)).map_err(cannot("take", &shown))?;
    Ok(socket)
}

/// What each connection to `socket` has from it: nothing waits for more bytes, who is gone without a word is found, and the
/// rate is never held back for a network that is not there (BBR, where a host has it for all, times every packet).
fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE.0)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE.1)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE.2)?;
    sockopt::set_tcp_congestion(socket, "reno")
}

/// Does `work` in the network of the process `pid`.
fn inside<T>(pid: i32, work: impl FnOnce() -> Result<T, LaunchError>) -> Result<T, LaunchError> {
    let theirs = network_of(&pid.to_string())?;
    let own = network_of("self")?;
    let enter = |network: &OwnedFd| -> Result<(), Errno> {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
    };
    enter(&theirs).map_err(cannot("enter", "the jail's network"))?;
    let done = work();
    // Nothing must be done by mistake in the jail's network: a launcher that cannot leave it gives the jail up.
    enter(&own).map_err(cannot(LEAVE, "the jail's network"))?;
    done
}

fn network_of(process: &str) -> Result<OwnedFd, LaunchError> {
    let path = format!("/proc/{process}/ns/net");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, &path, flags, Mode::empty()).map_err(cannot("open", &path))
}
