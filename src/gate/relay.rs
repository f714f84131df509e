//! Carries bytes both ways, in the kernel (splice(2)), as one connection would.
//!
//! An end of one side's bytes is passed on as such, and the other side may go on; a broken connection is broken off on the
//! other side, too. Nothing is given up for being idle.

use super::opening::more;
use super::state::Gate;
use crate::egress::http::Requests;
use crate::egress::refusal::Refusal;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

/// The most that is moved at once.
const MOST: usize = 1 << 20;

/// How large a pipe is asked to be. Where the kernel gives no more, it stays as it is.
const PIPE: usize = 1 << 20;

/// The most pipes that are kept while nothing flows through them.
const MOST_PIPES: usize = 32;

/// What is copied at once: for less than this a pipe costs more than it saves.
const COPIED: usize = 32 << 10;

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
    client: &mut TcpStream,
    server: &mut TcpStream,
) -> Result<End, Refusal> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let sent = pump(gate, from_client, to_server.as_ref(), Direction::Sent);
    let received = pump(gate, from_server, to_client.as_ref(), Direction::Received);
    both(sent, received).await
}

/// The same where requests are looked at on their way; `first` has been already.
pub(super) async fn relay_requests(
    gate: &Gate,
    client: &mut TcpStream,
    server: &mut TcpStream,
    requests: Box<Requests>,
    first: Vec<u8>,
) -> Result<End, Refusal> {
    let (from, mut to) = (client.split(), server.split());
    let sent = async {
        let (mut requests, mut out) = (requests, first);
        loop {
            gate.spend(out.len() as u64, 0)?;
            if to.1.write_all(&out).await.is_err() {
                return Ok(End::Reset);
            }
            // While nothing comes, no room is held for it.
            out = Vec::new();
            let mut bytes = Vec::new();
            match more(from.0.as_ref(), &mut bytes).await {
                Ok(0) => break,
                Ok(_) => requests.take(&bytes, &mut out).map_err(Refusal::Http)?,
                Err(_) => return Ok(End::Reset),
            }
        }
        match to.1.shutdown().await {
            Ok(()) => Ok(End::Whole),
            Err(_) => Ok(End::Reset),
        }
    };
    let received = pump(gate, to.0, from.1.as_ref(), Direction::Received);
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

/// Moves bytes one way to their end, and passes that on. A little is copied: a request is on its way sooner so. What fills
/// the room for that is a stream, and moved in the kernel for as long as it flows.
async fn pump(
    gate: &Gate,
    mut from: ReadHalf<'_>,
    to: &TcpStream,
    direction: Direction,
) -> Result<End, Refusal> {
    let mut streams = false;
    loop {
        if streams {
            if from.as_ref().readable().await.is_err() {
                return Ok(End::Reset);
            }
        } else {
            let copied = match copy(&mut from, to).await {
                Ok(Copied::Nothing) => return Ok(finish(to)),
                Ok(copied) => copied,
                Err(_) => return Ok(End::Reset),
            };
            gate.spend_one_way(copied.count(), direction)?;
            match copied {
                Copied::Nothing | Copied::All(..COPIED) => continue,
                Copied::All(_) => {}
                Copied::Part(_, rest) => {
                    if write(to, &rest).await.is_err() {
                        return Ok(End::Reset);
                    }
                }
            }
        }
        match stream(gate, from.as_ref(), to, direction).await? {
            Streamed::Ended(end) => return Ok(end),
            Streamed::Paused(count) => streams = count >= COPIED,
        }
    }
}

/// What became of the bytes that were read.
enum Copied {
    /// There were none: the other side has said all.
    Nothing,
    /// They are written.
    All(usize),
    /// So many are written, and these are not: there was no room for them.
    Part(usize, Box<[u8]>),
}

impl Copied {
    fn count(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::All(count) => *count,
            Self::Part(count, rest) => count + rest.len(),
        }
    }
}

/// Waits for bytes, and passes on as many as there is room for. While it waits, it holds no room itself.
async fn copy(from: &mut ReadHalf<'_>, to: &TcpStream) -> Result<Copied, Error> {
    core::future::poll_fn(|context| {
        let mut room = [MaybeUninit::uninit(); COPIED];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *from).poll_read(context, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(Copied::Nothing));
        }
        let written = match to.try_write(bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let rest = &bytes[written..];
        Poll::Ready(Ok(if rest.is_empty() {
            Copied::All(written)
        } else {
            Copied::Part(written, rest.into())
        }))
    })
    .await
}

async fn write(to: &TcpStream, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How a stream came to a halt.
enum Streamed {
    /// Its side of the connection is at its end.
    Ended(End),
    /// After so many bytes nothing more has come yet.
    Paused(usize),
}

/// Moves bytes through a pipe until none come any more for the moment.
async fn stream(
    gate: &Gate,
    from: &TcpStream,
    to: &TcpStream,
    direction: Direction,
) -> Result<Streamed, Refusal> {
    // Held while bytes flow: an idle connection costs none.
    let Ok(pipe) = Pipe::take() else { return Ok(Streamed::Ended(End::Reset)) };
    let mut moved = 0;
    loop {
        let into = || move_bytes(from, &pipe.into, MOST);
        let count = match from.try_io(Interest::READABLE, into) {
            Ok(0) => {
                pipe.give_back();
                return Ok(Streamed::Ended(finish(to)));
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                pipe.give_back();
                return Ok(Streamed::Paused(moved));
            }
            Err(_) => return Ok(Streamed::Ended(End::Reset)),
        };
        gate.spend_one_way(count, direction)?;
        if empty(&pipe, to, count).await.is_err() {
            return Ok(Streamed::Ended(End::Reset));
        }
        moved += count;
        // One that always has more to say does not keep the others, or its own end, from their turn.
        tokio::task::coop::consume_budget().await;
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
