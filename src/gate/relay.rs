//! Carries bytes both ways, in the kernel (splice(2)), as one connection would.
//!
//! An end of one side's bytes is passed on as such, and the other side may go on; a broken connection is broken off on the
//! other side, too. Nothing is given up for being idle.

use super::state::Gate;
use crate::egress::http::Requests;
use crate::egress::refusal::Refusal;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

/// The most that is moved at once.
const MOST: usize = 1 << 20;

/// How large a pipe is asked to be. Where the kernel gives no more, it stays as it is.
const PIPE: usize = 1 << 20;

/// The most pipes that are kept while nothing flows through them.
const MOST_PIPES: usize = 32;

/// Which way bytes flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the jail.
    Sent,
    /// To the jail.
    Received,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides had said all.
    Whole,
    /// One side broke it off.
    Reset,
}

/// Carries bytes until both sides have said all, or one breaks off.
pub(super) async fn relay(
    gate: &Gate,
    client: &TcpStream,
    server: &TcpStream,
) -> Result<End, Refusal> {
    let sent = pump(gate, client, server, Direction::Sent);
    let received = pump(gate, server, client, Direction::Received);
    both(sent, received).await
}

/// The same where requests are looked at on their way; `first` has been already.
pub(super) async fn relay_requests(
    gate: &Gate,
    client: &mut TcpStream,
    server: &mut TcpStream,
    requests: Requests,
    first: Vec<u8>,
) -> Result<End, Refusal> {
    let (mut from, mut to) = (client.split(), server.split());
    let sent = async {
        let (mut requests, mut out) = (requests, first);
        let mut block = vec![0; 16 << 10];
        loop {
            gate.spend(out.len() as u64, 0)?;
            if to.1.write_all(&out).await.is_err() {
                return Ok(End::Reset);
            }
            out.clear();
            match from.0.read(&mut block).await {
                Ok(0) => break,
                Ok(count) => requests.take(&block[..count], &mut out).map_err(Refusal::Http)?,
                Err(_) => return Ok(End::Reset),
            }
        }
        match to.1.shutdown().await {
            Ok(()) => Ok(End::Whole),
            Err(_) => Ok(End::Reset),
        }
    };
    let received = pump_between(gate, to.0.as_ref(), from.1.as_ref(), Direction::Received);
    both(sent, received).await
}

/// Both ways at once; a break or a refusal on one ends the other.
async fn both(
    sent: impl Future<Output = Result<End, Refusal>>,
    received: impl Future<Output = Result<End, Refusal>>,
) -> Result<End, Refusal> {
    let broken = |end: Result<End, Refusal>| match end {
        Ok(End::Whole) => Ok(()),
        Ok(End::Reset) => Err(None),
        Err(refusal) => Err(Some(refusal)),
    };
    let sent = async { broken(sent.await) };
    let received = async { broken(received.await) };
    match tokio::try_join!(sent, received) {
        Ok(_) => Ok(End::Whole),
        Err(None) => Ok(End::Reset),
        Err(Some(refusal)) => Err(refusal),
    }
}

async fn pump(
    gate: &Gate,
    from: &TcpStream,
    to: &TcpStream,
    direction: Direction,
) -> Result<End, Refusal> {
    pump_between(gate, from, to, direction).await
}

/// Moves bytes one way to their end, and passes that on.
async fn pump_between(
    gate: &Gate,
    from: &TcpStream,
    to: &TcpStream,
    direction: Direction,
) -> Result<End, Refusal> {
    loop {
        if from.readable().await.is_err() {
            return Ok(End::Reset);
        }
        // A pipe is held while bytes flow: an idle connection costs none.
        let Ok(pipe) = Pipe::take() else { return Ok(End::Reset) };
        loop {
            let into = || move_bytes(from, &pipe.into, MOST);
            let count = match from.try_io(Interest::READABLE, into) {
                Ok(0) => {
                    pipe.give_back();
                    return Ok(finish(to));
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Ok(End::Reset),
            };
            match direction {
                Direction::Sent => gate.spend(count as u64, 0)?,
                Direction::Received => gate.spend(0, count as u64)?,
            }
            if empty(&pipe, to, count).await.is_err() {
                return Ok(End::Reset);
            }
            // One that always has more to say does not keep the others, or its own end, from their turn.
            tokio::task::coop::consume_budget().await;
        }
        pipe.give_back();
    }
}

/// Moves what is in the pipe on.
async fn empty(pipe: &Pipe, to: &TcpStream, mut count: usize) -> Result<(), Error> {
    while count > 0 {
        let out = || move_bytes(&pipe.out, to, count);
        match to.try_io(Interest::WRITABLE, out) {
            Ok(moved) => count -= moved,
            Err(error) if error.kind() == ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn move_bytes(
    from: impl rustix::fd::AsFd,
    to: impl rustix::fd::AsFd,
    most: usize,
) -> Result<usize, Error> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        match splice(&from, None, &to, None, most, flags) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// The other side has said all.
fn finish(to: &TcpStream) -> End {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        Ok(()) => End::Whole,
        Err(_) => End::Reset,
    }
}

thread_local! {
    /// Empty pipes, for the next connection that has something to say.
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    fn take() -> Result<Self, Errno> {
        if let Some(pipe) = PIPES.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Every user may have so many large pipes only.
        if rustix::pipe::fcntl_setpipe_size(&into, PIPE).is_err() {
            tracing::debug!("a pipe stays small");
        }
        Ok(Self { out, into })
    }

    /// It is empty, and of use to others.
    fn give_back(self) {
        PIPES.with_borrow_mut(|pipes| {
            if pipes.len() < MOST_PIPES {
                pipes.push(self);
            }
        });
    }
}
