//! One connection of the jail, from its first byte to its last.

use super::opening::{self, Opening};
use super::protocol::Refused;
use super::state::{Gate, Place};
use super::{KEEPALIVE, dial, relay};
use crate::egress::refusal::Refusal;
use crate::egress::rules::Peer;
use crate::policy::network::{Check, Rule};
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// How long a refused program may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// A TLS alert: fatal, `access_denied` (RFC 8446, section 6).
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// A connection that was admitted.
pub(super) struct Arrival {
    /// Whom it is for.
    pub(super) peer: Peer,
    /// On which port.
    pub(super) port: u16,
    /// Where it comes from in the jail.
    pub(super) from: SocketAddr,
    /// The rule that allows it.
    pub(super) rule: Rule,
}

/// Carries it to its end.
pub(super) async fn serve(gate: Rc<Gate>, place: Place, mut client: TcpStream, arrival: Arrival) {
    let begun = Cell::new(false);
    let ended = tokio::select! {
        ended = carry(&gate, &mut client, &arrival, &begun) => ended,
        why = place.end.told() => Err(why),
    };
    // Its place is free again from here on: who is refused may take a moment to read it.
    drop(place);
    let Err(refusal) = ended else { return };
    gate.refuse(Refused {
        to: arrival.peer.to_string(),
        port: Some(arrival.port),
        word: refusal.word().to_owned(),
        why: refusal.to_string(),
        cure: refusal.cure(&arrival.peer, arrival.port),
        from: Some(arrival.from),
        times: 1,
    });
    if begun.get() {
        // In the middle of what the server says, words of the gate would be taken for the server's.
        reset(&client);
    } else {
        // Few are refused: the others hold no room for it.
        Box::pin(dismiss(client, &refusal, &arrival)).await;
    }
}

/// Carries the connection; `Err` where it was refused on the way.
async fn carry(
    gate: &Gate,
    client: &mut TcpStream,
    arrival: &Arrival,
    begun: &Cell<bool>,
) -> Result<(), Refusal> {
    let Arrival { peer, port, rule, .. } = arrival;
    // What it takes to begin is given back once the bytes flow: most connections are idle most of the time.
    let opening = Box::pin(opening::read(client, peer, *port, rule.check)).await?;
    let Some(opening) = opening else { return Ok(()) };
    let dialling = dial::dial(&gate.resolver, gate.proxy.as_ref(), peer, *port, rule);
    let (mut server, already) = Box::pin(dialling).await?;
    prepare(&server);
    // Whatever ends it before its end, the server must not take what it has heard for all.
    reset(&server);
    begun.set(true);
    gate.spend(0, already.len() as u64)?;
    if client.write_all(&already).await.is_err() {
        return Ok(());
    }
    let ended = match opening {
        Opening::Bytes(bytes) => {
            pass(gate, &mut server, &bytes).await?;
            relay::relay(gate, client, &mut server).await
        }
        Opening::Hello(bytes, behind, name) => {
            pass(gate, &mut server, &bytes).await?;
            let second = opening::second_hello(gate, client, &mut server, &name, behind);
            match Box::pin(second).await? {
                true => relay::relay(gate, client, &mut server).await,
                false => Ok(relay::End::Reset),
            }
        }
        Opening::Requests(requests, bytes) => {
            Box::pin(relay::relay_requests(gate, client, &mut server, requests, bytes)).await
        }
    }?;
    match ended {
        relay::End::Reset => reset(client),
        relay::End::Whole => end_well(&server),
    }
    Ok(())
}

/// Passes on the first bytes; what goes wrong is found again by the relay.
async fn pass(gate: &Gate, server: &mut TcpStream, bytes: &[u8]) -> Result<(), Refusal> {
    gate.spend(bytes.len() as u64, 0)?;
    match server.write_all(bytes).await {
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Nothing waits for more bytes, and who is gone without a word is found. Those of the jail have it from the socket that
/// they came to.
pub(super) fn prepare(stream: &TcpStream) {
    use rustix::net::sockopt as option;
    let set = set_tcp_nodelay(stream, true)
        .and_then(|()| option::set_socket_keepalive(stream, true))
        .and_then(|()| option::set_tcp_keepidle(stream, KEEPALIVE.0))
        .and_then(|()| option::set_tcp_keepintvl(stream, KEEPALIVE.1))
        .and_then(|()| option::set_tcp_keepcnt(stream, KEEPALIVE.2));
    // A connection that ended meanwhile takes no settings, and needs none.
    debug_assert!(set.is_ok() || stream.peer_addr().is_err());
}

/// The other side is told that the connection was broken off, at the moment the stream is dropped.
pub(super) fn reset(stream: &TcpStream) {
    // A connection that ended meanwhile needs no end.
    let set = set_socket_linger(stream, Some(Duration::ZERO));
    debug_assert!(set.is_ok() || stream.peer_addr().is_err());
}

/// All was said: what the kernel has not sent yet is sent.
fn end_well(stream: &TcpStream) {
    let set = set_socket_linger(stream, None);
    debug_assert!(set.is_ok() || stream.peer_addr().is_err());
}

/// Tells a refused program, in its own protocol where that is known.
async fn dismiss(mut client: TcpStream, refusal: &Refusal, arrival: &Arrival) {
    let words = match arrival.rule.check {
        Check::Tls => ACCESS_DENIED.to_vec(),
        Check::Http => forbidden(refusal, arrival),
        Check::None => return reset(&client),
    };
    let farewell = async {
        client.write_all(&words).await?;
        client.shutdown().await?;
        // What the program still sends would else break the connection off before it has read why.
        let mut rest = [0; 4096];
        while client.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
        reset(&client);
    }
}

fn forbidden(refusal: &Refusal, arrival: &Arrival) -> Vec<u8> {
    let cure = refusal.cure(&arrival.peer, arrival.port);
    let cure = if cure.is_empty() { cure } else { format!("to allow it: {cure}\n") };
    let text = format!("cellblock: {}:{}: {refusal}\n{cure}", arrival.peer, arrival.port);
    let head = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        text.len()
    );
    [head, text].concat().into_bytes()
}
