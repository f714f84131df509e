//! The first bytes of a connection: whether they are what the rule asks for.

use super::state::Gate;
use crate::egress::hello::{Hello, HelloError};
use crate::egress::http::Requests;
use crate::egress::refusal::Refusal;
use crate::egress::rules::Peer;
use crate::policy::network::{Check, Name};
use std::io::{Error, ErrorKind};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// How long a program may take for its hello, or for its first request.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is read at once.
const BLOCK: usize = 16 << 10;

/// What a connection begins with.
pub(super) enum Opening {
    /// Whatever; it is passed on as it is.
    Bytes(Vec<u8>),
    /// A TLS hello for this name, and what came behind it.
    Hello(Vec<u8>, Vec<u8>, Name),
    /// HTTP requests, of which these bytes may be passed on.
    Requests(Box<Requests>, Vec<u8>),
}

/// Reads as much as must be known; nothing where the program left before it had said anything.
pub(super) async fn read(
    client: &mut TcpStream,
    peer: &Peer,
    port: u16,
    check: Check,
) -> Result<Option<Opening>, Refusal> {
    let (Check::Tls | Check::Http, Peer::Name(name)) = (check, peer) else {
        return Ok(Some(Opening::Bytes(Vec::new())));
    };
    let reading = async {
        if check == Check::Tls {
            hello(client, name).await
        } else {
            requests(client, name, port).await
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or(Err(Refusal::Slow))
}

/// Adds what comes next to `bytes`; how much it was, nothing at the end. While nothing comes, it holds no room for it: of
/// a connection that is open most is waiting.
pub(super) async fn more(stream: &TcpStream, bytes: &mut Vec<u8>) -> Result<usize, Error> {
    loop {
        stream.readable().await?;
        match take(stream, bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

fn take(stream: &TcpStream, bytes: &mut Vec<u8>) -> Result<usize, Error> {
    let mut block = [0; BLOCK];
    let count = stream.try_read(&mut block)?;
    bytes.extend_from_slice(&block[..count]);
    Ok(count)
}

async fn hello(client: &mut TcpStream, name: &Name) -> Result<Option<Opening>, Refusal> {
    let mut hello = Hello::default();
    let mut bytes = Vec::new();
    loop {
        let count = match more(client, &mut bytes).await {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(Refusal::Hello(HelloError::Malformed("it ends in the middle"))),
            Ok(count) => count,
            Err(_) => return Ok(None),
        };
        let new = &bytes[bytes.len() - count..];
        if let Some((found, behind)) = hello.take(new).map_err(Refusal::Hello)? {
            let behind = bytes.split_off(bytes.len() - behind.len());
            return if found == *name {
                Ok(Some(Opening::Hello(bytes, behind, found)))
            } else {
                Err(Refusal::OtherServer(found.to_string()))
            };
        }
    }
}

async fn requests(
    client: &mut TcpStream,
    name: &Name,
    port: u16,
) -> Result<Option<Opening>, Refusal> {
    let mut requests = Requests::new(name.clone(), port);
    let (mut out, mut bytes) = (Vec::new(), Vec::new());
    // A first head must be whole and right before anybody is called.
    while out.is_empty() {
        match more(client, &mut bytes).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => requests.take(&bytes, &mut out).map_err(Refusal::Http)?,
        }
        bytes.clear();
    }
    Ok(Some(Opening::Requests(Box::new(requests), out)))
}

/// A record that holds handshake messages (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The handshake message that a server begins with.
const SERVER_HELLO: u8 = 2;

/// The random bytes by which a server asks for another hello (RFC 8446, section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Where those bytes stand: behind a record's header, a message's header and a version.
const RANDOM_AT: usize = 5 + 4 + 2;

/// The most that a client may send between a server's wish for another hello and the end of it.
const MOST_BETWEEN: usize = 96 << 10;

/// How long a server may take for its first bytes: no client waits longer.
const ANSWER: Duration = Duration::from_secs(60);

/// Waits for the server's first bytes. Where they ask for another hello, that one must be for `name`, too: a server that
/// forgot the first one would else serve whom the second one names. What came `behind` the first hello goes on only then.
/// `false` where either side left.
pub(super) async fn second_hello(
    gate: &Gate,
    client: &mut TcpStream,
    server: &mut TcpStream,
    name: &Name,
    behind: Vec<u8>,
) -> Result<bool, Refusal> {
    let answer = tokio::time::timeout(ANSWER, read_answer(server)).await;
    let Some(answer) = answer.ok().flatten() else { return Ok(false) };
    gate.spend(0, answer.len() as u64)?;
    if client.write_all(&answer).await.is_err() {
        return Ok(false);
    }
    let bytes = if wants_another(&answer) {
        read_second(client, name, behind).await?
    } else {
        Some(behind)
    };
    let Some(bytes) = bytes else { return Ok(false) };
    gate.spend(bytes.len() as u64, 0)?;
    Ok(server.write_all(&bytes).await.is_ok())
}

/// The server's first bytes, so many that it can be told what they are, or all of them; nothing where it broke off.
async fn read_answer(server: &mut TcpStream) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    while !is_decided(&answer) && more(server, &mut answer).await.ok()? > 0 {}
    Some(answer)
}

/// Whether it can be told what the server's first bytes are.
fn is_decided(answer: &[u8]) -> bool {
    let begins = |at: usize, byte: u8| answer.get(at).is_none_or(|found| *found == byte);
    !begins(0, HANDSHAKE) || !begins(5, SERVER_HELLO) || answer.len() >= RANDOM_AT + RETRY.len()
}

fn wants_another(answer: &[u8]) -> bool {
    answer.first() == Some(&HANDSHAKE)
        && answer.get(5) == Some(&SERVER_HELLO)
        && answer.get(RANDOM_AT..RANDOM_AT + RETRY.len()) == Some(&RETRY[..])
}

/// Reads a second hello, and what stands before it: a change of ciphers that changes nothing, and data that the server
/// throws away (RFC 8446, section 4.2.10, appendix D.4).
async fn read_second(
    client: &mut TcpStream,
    name: &Name,
    behind: Vec<u8>,
) -> Result<Option<Vec<u8>>, Refusal> {
    let reading = async {
        let mut second = Second { bytes: behind, at: 0, hello: Hello::default() };
        loop {
            if let Some(found) = second.look().map_err(Refusal::Hello)? {
                return Ok(Some((found, second.bytes)));
            }
            if !matches!(more(client, &mut second.bytes).await, Ok(1..)) {
                return Ok(None);
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await.unwrap_or(Err(Refusal::Slow))?;
    match read {
        None => Ok(None),
        Some((found, bytes)) if found == *name => Ok(Some(bytes)),
        Some((found, _)) => Err(Refusal::OtherServer(found.to_string())),
    }
}

/// A second hello on its way.
struct Second {
    /// All that came since the first one.
    bytes: Vec<u8>,
    /// How much of it was looked at: whole records.
    at: usize,
    hello: Hello,
}

impl Second {
    /// Looks at what is new; the server's name once the hello is whole.
    fn look(&mut self) -> Result<Option<Name>, HelloError> {
        if self.bytes.len() > MOST_BETWEEN {
            return Err(HelloError::TooLong);
        }
        while let Some([kind, _, _, high, low]) =
            self.bytes.get(self.at..).and_then(|rest| rest.first_chunk())
        {
            let length = 5 + usize::from(u16::from_be_bytes([*high, *low]));
            let Some(record) = self.bytes.get(self.at..self.at + length) else { break };
            self.at += length;
            // 20: change of ciphers; 23: early data.
            if !matches!(*kind, 20 | 23)
                && let Some((found, _)) = self.hello.take(record)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(random: [u8; 32]) -> Vec<u8> {
        [&[22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3][..], &random].concat()
    }

    #[test]
    fn a_second_hello_is_found_behind_what_means_nothing() {
        let between = [&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3, 0, 2, 9, 9]].concat();
        let mut second = Second { bytes: between, at: 0, hello: Hello::default() };
        assert_eq!(second.look(), Ok(None));
        second.bytes.extend_from_slice(&[22, 3, 3, 0, 4, 2, 0, 0, 0]);
        assert!(
            matches!(second.look(), Err(HelloError::Malformed(_))),
            "another message than a hello"
        );
        let long = Second { bytes: vec![0; MOST_BETWEEN + 1], at: 0, hello: Hello::default() };
        assert_eq!({ long }.look(), Err(HelloError::TooLong));
    }

    #[test]
    fn a_server_that_wants_another_hello_is_recognized() {
        assert!(wants_another(&answer(RETRY)));
        assert!(!wants_another(&answer([7; 32])));
        assert!(!wants_another(&[21, 3, 3, 0, 2, 2, 40]));
        for length in 0..RANDOM_AT + RETRY.len() {
            assert!(!is_decided(&answer(RETRY)[..length]), "{length}");
        }
        assert!(is_decided(&answer(RETRY)) && is_decided(&answer([7; 32])) && is_decided(&[21]));
    }
}
