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

/// How one way of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halt {
    /// All was said, and that is passed on.
    Said,
    /// The side from which the bytes flow broke it off.
    Broken,
    /// The side to which they flow takes no more.
    Deaf,
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
    both(to_client.as_ref(), sent, received).await
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
                return Ok(Halt::Deaf);
            }
            // While nothing comes, no room is held for it.
            out = Vec::new();
            let mut bytes = Vec::new();
            match more(from.0.as_ref(), &mut bytes).await {
                Ok(0) => break,
                Ok(_) => requests.take(&bytes, &mut out).map_err(Refusal::Http)?,
                Err(_) => return Ok(Halt::Broken),
            }
        }
        match to.1.shutdown().await {
            Ok(()) => Ok(Halt::Said),
            Err(_) => Ok(Halt::Deaf),
        }
    };
    let received = pump(gate, to.0, from.1.as_ref(), Direction::Received);
    both(from.1.as_ref(), sent, received).await
}

/// Both ways at once; a break or a refusal on one ends the other. A server that takes no more may have said why: what it said
/// is passed on. A `client` that has said all is read no more, and the kernel is asked whether it is still there.
async fn both(
    client: &TcpStream,
    sent: impl Future<Output = Result<Halt, Refusal>>,
    received: impl Future<Output = Result<Halt, Refusal>>,
) -> Result<End, Refusal> {
    let (mut sent, mut received) = (std::pin::pin!(sent), std::pin::pin!(received));
    let first = tokio::select! {
        halt = &mut sent => (Direction::Sent, halt?),
        halt = &mut received => (Direction::Received, halt?),
    };
    let halts = match first {
        (Direction::Sent, Halt::Broken) | (Direction::Received, Halt::Broken | Halt::Deaf) => {
            return Ok(End::Reset);
        }
        (Direction::Sent, said) => tokio::select! {
            halt = received => (said, halt?),
            _ = client.ready(Interest::ERROR) => return Ok(End::Reset),
        },
        (Direction::Received, said) => (sent.await?, said),
    };
    Ok(if halts == (Halt::Said, Halt::Said) { End::Whole } else { End::Reset })
}

/// Moves bytes one way to their end, and passes that on. A little is copied: a request is on its way sooner so. What fills
/// the room for that is a stream, and moved in the kernel for as long as it flows.
async fn pump(
    gate: &Gate,
    mut from: ReadHalf<'_>,
    to: &TcpStream,
    direction: Direction,
) -> Result<Halt, Refusal> {
    let mut streams = false;
    loop {
        if streams {
            if from.as_ref().readable().await.is_err() {
                return Ok(Halt::Broken);
            }
        } else {
            let copied = match copy(&mut from, to).await {
                Ok(Copied::Nothing) => return Ok(finish(to)),
                Ok(copied) => copied,
                Err(halt) => return Ok(halt),
            };
            gate.spend_one_way(copied.count(), direction)?;
            match copied {
                Copied::Nothing | Copied::All(..COPIED) => continue,
                Copied::All(_) => {}
                Copied::Part(_, rest) => {
                    if write(to, &rest).await.is_err() {
                        return Ok(Halt::Deaf);
                    }
                }
            }
        }
        match stream(gate, from.as_ref(), to, direction).await? {
            Streamed::Ended(halt) => return Ok(halt),
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
async fn copy(from: &mut ReadHalf<'_>, to: &TcpStream) -> Result<Copied, Halt> {
    core::future::poll_fn(|context| {
        let mut room = [MaybeUninit::uninit(); COPIED];
        let mut read = ReadBuf::uninit(&mut room);
        if ready!(Pin::new(&mut *from).poll_read(context, &mut read)).is_err() {
            return Poll::Ready(Err(Halt::Broken));
        }
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(Copied::Nothing));
        }
        let written = match to.try_write(bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return Poll::Ready(Err(Halt::Deaf)),
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
    Ended(Halt),
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
    let Ok(pipe) = Pipe::take() else { return Ok(Streamed::Ended(Halt::Broken)) };
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
            Err(_) => return Ok(Streamed::Ended(Halt::Broken)),
        };
        gate.spend_one_way(count, direction)?;
        if empty(&pipe, to, count).await.is_err() {
            return Ok(Streamed::Ended(Halt::Deaf));
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
fn finish(to: &TcpStream) -> Halt {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        Ok(()) => Halt::Said,
        Err(_) => Halt::Deaf,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::connection::reset;
    use crate::gate::protocol::Start;
    use rustix::net::sockopt::set_socket_linger;
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream as Stream};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn connected() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = Stream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    /// Carries what is between `near` and `far`, as a gate does.
    fn carried(near: Stream, far: Stream) -> Result<End, Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new(Start::default()).unwrap();
            let [mut client, mut server] = [near, far].map(|stream| {
                stream.set_nonblocking(true).unwrap();
                TcpStream::from_std(stream).unwrap()
            });
            let ended = relay(&gate, &mut client, &mut server);
            let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap();
            reset(&client);
            ended
        })
    }

    /// A server that has heard enough of a request answers and ends: what is on its way to it breaks the connection off, but
    /// not before the answer is there.
    #[test]
    fn an_answer_before_the_end_of_the_question_is_heard() {
        for _ in 0..10 {
            let (mut agent, near) = connected();
            let (far, mut world) = connected();
            let gate = std::thread::spawn(|| carried(near, far));
            let world = std::thread::spawn(move || {
                world.read_exact(&mut [0; 1000]).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                world.write_all(&[b'x'; 20_000]).unwrap();
            });
            let block = [7; 1 << 16];
            while agent.write_all(&block).is_ok() {}
            let mut heard = Vec::new();
            // It ends with the break.
            let end = agent.read_to_end(&mut heard);
            assert_eq!(heard.len(), 20_000, "{end:?}");
            assert_eq!(gate.join().unwrap(), Ok(End::Reset));
            world.join().unwrap();
        }
    }

    /// Who had said all, and is gone: no answer is waited for that nobody would hear.
    #[test]
    fn a_client_that_leaves_after_its_end_is_noticed() {
        let (agent, near) = connected();
        let (far, mut world) = connected();
        let gate = std::thread::spawn(|| carried(near, far));
        agent.shutdown(Shutdown::Write).unwrap();
        // The end has passed the gate; the server is silent.
        assert_eq!(world.read(&mut [0; 8]).unwrap(), 0);
        set_socket_linger(&agent, Some(Duration::ZERO)).unwrap();
        drop(agent);
        assert_eq!(gate.join().unwrap(), Ok(End::Reset));
    }

    #[test]
    fn a_client_that_stays_after_its_end_hears_the_answer() {
        let (mut agent, near) = connected();
        let (far, mut world) = connected();
        let gate = std::thread::spawn(|| carried(near, far));
        agent.write_all(b"question").unwrap();
        agent.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        world.read_to_string(&mut heard).unwrap();
        world.write_all(b"answer").unwrap();
        drop(world);
        agent.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "questionanswer");
        assert_eq!(gate.join().unwrap(), Ok(End::Whole));
    }
}
