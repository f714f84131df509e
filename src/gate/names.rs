//! Answers the jail's questions about names, by UDP and by TCP (RFC 1035, RFC 7766).

use super::protocol::Refused;
use super::state::Gate;
use crate::egress::dns::{Found, reply};
use crate::egress::rate::Bucket;
use crate::egress::refusal::Refusal;
use crate::egress::rules::Peer;
use crate::policy::network::{DEFAULT_PORT, Name};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// The longest question that is read. By UDP the rest of a longer one is lost; nothing stands there that is looked at.
const LONGEST: usize = 4096;

/// Questions that are answered in a second; those above it are not, as by a name server that is busy.
const RATE: u32 = 2000;

/// How long a connection may be without a question.
const IDLE: Duration = Duration::from_secs(10);

/// Connections with questions that are answered at once; others are closed.
const MOST_STREAMS: usize = 64;

/// Answers for ever.
pub(super) async fn answer_datagrams(gate: Rc<Gate>, socket: UdpSocket) {
    let mut bucket = Bucket::new(RATE, Instant::now());
    let mut question = [0; LONGEST];
    loop {
        let came = socket.recv_from(&mut question).await;
        // A message that an answer could not be delivered is no question.
        let Ok((length, from)) = came else { continue };
        if !bucket.take(Instant::now()) {
            continue;
        }
        let found = |name: &str| look(&gate, name, from);
        let Some(answer) = reply(&question[..length], found) else { continue };
        match socket.try_send_to(&answer, from) {
            Ok(_) => {}
            // Who asked does not read, or is gone: as with any name server, it asks again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {}
        }
    }
}

/// Answers until the connection ends or is idle, if so many are not answered already.
pub(super) async fn answer_stream(gate: Rc<Gate>, mut stream: TcpStream, from: SocketAddr) {
    // The gate itself has one more of it.
    let asking = Rc::clone(&gate.asking);
    if Rc::strong_count(&asking) > MOST_STREAMS + 1 {
        return;
    }
    let mut bucket = Bucket::new(RATE / 10, Instant::now());
    loop {
        let turn = tokio::time::timeout(IDLE, answer_one(&gate, &mut stream, from)).await;
        if !matches!(turn, Ok(Ok(true))) || !bucket.take(Instant::now()) {
            return;
        }
    }
}

/// Answers one question; `false` at the end of the connection.
async fn answer_one(
    gate: &Gate,
    stream: &mut TcpStream,
    from: SocketAddr,
) -> Result<bool, std::io::Error> {
    let length = stream.read_u16().await?;
    if usize::from(length) > LONGEST {
        return Ok(false);
    }
    let mut question = vec![0; usize::from(length)];
    stream.read_exact(&mut question).await?;
    let Some(answer) = reply(&question, |name| look(gate, name, from)) else { return Ok(false) };
    let Ok(length) = u16::try_from(answer.len()) else { return Ok(false) };
    let whole = [&length.to_be_bytes()[..], &answer].concat();
    stream.write_all(&whole).await?;
    Ok(true)
}

/// What there is at `name`. A name that no rule allows is told of and never asked of anybody.
fn look(gate: &Gate, text: &str, from: SocketAddr) -> Found {
    let peer = match Name::parse(text) {
        Ok(name) => Peer::named(name),
        // What is no host's name cannot be allowed either.
        Err(_) => return Found::Nothing,
    };
    let rules = gate.rules();
    let refusal = match rules.has(&peer) {
        Ok(()) => match gate.address_of(&peer) {
            Ok(address) => return Found::Address(address),
            Err(refusal) => refusal,
        },
        Err(verdict) => match Refusal::of(verdict) {
            Some(refusal) => refusal,
            None => return Found::Nothing,
        },
    };
    gate.refuse(Refused {
        to: peer.to_string(),
        port: None,
        word: refusal.word().to_owned(),
        why: refusal.to_string(),
        cure: refusal.cure(&peer, DEFAULT_PORT),
        from: Some(from),
        times: 1,
    });
    if matches!(refusal, Refusal::Names(_)) { Found::NoRoom } else { Found::Nothing }
}
