//! Takes what comes on the jail's sockets.

use super::protocol::Refused;
use super::state::Gate;
use super::{api, connection, names};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener};
use tokio::task::spawn_local;

/// The port of name servers.
pub(super) const DNS_PORT: u16 = 53;

/// How long nothing is accepted where no descriptor is left.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Begins to listen on `sockets`.
pub(super) fn begin(gate: &Rc<Gate>, sockets: Vec<OwnedFd>) -> Result<(), String> {
    for socket in sockets {
        begin_on(gate, socket).map_err(|error| format!("cannot listen in the jail: {error}"))?;
    }
    Ok(())
}

fn begin_on(gate: &Rc<Gate>, socket: OwnedFd) -> Result<(), Error> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    let gate = Rc::clone(gate);
    if socket_domain(&socket)? == AddressFamily::UNIX {
        let listener = UnixListener::from_std(socket.into())?;
        spawn_local(api::accept(gate, listener));
    } else if socket_type(&socket)? == SocketType::DGRAM {
        let socket = UdpSocket::from_std(socket.into())?;
        spawn_local(names::answer_datagrams(gate, socket));
    } else {
        let listener = TcpListener::from_std(socket.into())?;
        spawn_local(accept(gate, listener));
    }
    Ok(())
}

/// Accepts connections for ever.
async fn accept(gate: Rc<Gate>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => take(&gate, stream, from),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // No descriptor or no memory is left: those that wait go on waiting.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn take(gate: &Rc<Gate>, stream: TcpStream, from: SocketAddr) {
    // One that is gone by now needs nothing.
    let Ok(local) = stream.local_addr() else { return };
    let IpAddr::V4(address) = local.ip() else { return };
    let gate = Rc::clone(gate);
    if address == Ipv4Addr::LOCALHOST && local.port() == DNS_PORT {
        spawn_local(names::answer_stream(gate, stream, from));
        return;
    }
    let peer = gate.peer_at(address);
    let port = local.port();
    match gate.admit(&peer, port) {
        Ok((place, rule)) => {
            let arrival = connection::Arrival { peer, port, from, rule };
            spawn_local(connection::serve(gate, place, stream, arrival));
        }
        Err(refusal) => {
            gate.refuse(Refused {
                to: peer.to_string(),
                port: Some(port),
                word: refusal.word().to_owned(),
                why: refusal.to_string(),
                cure: refusal.cure(&peer, port),
                from: Some(from),
                times: 1,
            });
            connection::reset(&stream);
        }
    }
}
