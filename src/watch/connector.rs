//! The kernel's events of processes: the proc connector (Documentation/driver-api/connector.rst, linux/cn_proc.h).
//!
//! It tells of every process of the host, and has no lists of those that are wanted: a filter in the kernel passes on only what
//! the tree is made of, and for threads nothing.
//!
//! Needs `CAP_NET_ADMIN` and the host's first user, pid and network namespaces to be opened, and nothing afterwards.

use super::state::Event;
use super::tree::Moment;
use crate::sys::{self, Instruction, MOST_AT_ONCE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, send, socket_with, sockopt,
};
use std::time::{Duration, Instant};

/// The group of the events (linux/connector.h, `CN_IDX_PROC`).
const GROUP: u32 = 1;
/// Events on their way, in bytes: about fifty thousand.
const ON_THE_WAY: usize = 16 << 20;
/// How long the kernel may take to say that it tells.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most bytes of one message.
const LONGEST: usize = 128;

/// Where the parts of a message begin (linux/netlink.h, connector.h, cn_proc.h).
const WHAT: usize = 36;
const TIME: usize = 44;
const DATA: usize = 52;

const NONE: u32 = 0;
const FORK: u32 = 1;
const EXEC: u32 = 2;
const SESSION: u32 = 0x80;
const EXIT: u32 = 0x8000_0000;

/// Events, as they come.
#[derive(Debug)]
pub(super) struct Connector {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What came at once.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Events and their times.
    pub(super) events: Vec<(Moment, Event)>,
    /// Whether some were lost.
    pub(super) lost: bool,
    /// Whether there may be more.
    pub(super) more: bool,
}

impl Connector {
    /// Has the kernel tell.
    ///
    /// # Errors
    /// Why it does not, in a clause.
    pub(super) fn open() -> Result<Self, String> {
        let cannot = |what: &'static str| move |errno: Errno| format!("cannot {what}: {errno}");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let made = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(CONNECTOR));
        let socket = made.map_err(cannot("make a connector socket"))?;
        sockopt::set_socket_recv_buffer_size_force(&socket, ON_THE_WAY)
            .map_err(cannot("keep many events"))?;
        sys::attach_filter(&socket, &program()).map_err(cannot("filter events"))?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUP)).map_err(cannot("join the proc events"))?;
        send(&socket, &listen(), SendFlags::empty()).map_err(cannot("ask for the proc events"))?;
        let connector = Self { socket, buffer: vec![0; LONGEST * MOST_AT_ONCE] };
        connector.wait_for_answer()?;
        Ok(connector)
    }

    /// The kernel says nothing where this is not the host's first pid or user namespace.
    fn wait_for_answer(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let mut buffer = [0; LONGEST];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut waited = [PollFd::new(&self.socket, PollFlags::IN)];
            let timeout = Timespec::try_from(left).ok();
            let came = poll(&mut waited, timeout.as_ref());
            if left.is_zero() || came == Ok(0) {
                let outside = "are only for the host's first namespaces, or not in this kernel";
                return Err(format!("the proc events {outside}"));
            }
            let received = sys::receive_many(&self.socket, &mut buffer, LONGEST);
            let Some(bytes) = received.ok().and_then(|all| buffer.get(..all.first()?.0)) else {
                continue;
            };
            match (word(bytes, WHAT), word(bytes, DATA)) {
                (Some(NONE), Some(0)) => return Ok(()),
                (Some(NONE), Some(error)) => {
                    let errno = Errno::from_raw_os_error(i32::try_from(error).unwrap_or(0));
                    return Err(format!("the kernel tells of no processes: {errno}"));
                }
                (_, _) => {}
            }
        }
    }

    /// What came; nothing is waited for.
    pub(super) fn read(&mut self) -> Came {
        let mut came = Came::default();
        match sys::receive_many(&self.socket, &mut self.buffer, LONGEST) {
            Ok(received) => {
                came.more = received.len() == MOST_AT_ONCE;
                let messages = received.iter().zip(self.buffer.chunks_exact(LONGEST));
                let own = messages.filter(|((_, is_kernel), _)| *is_kernel);
                let parsed = own.filter_map(|((length, _), chunk)| parse(chunk.get(..*length)?));
                came.events.extend(parsed);
            }
            Err(Errno::NOBUFS) => (came.lost, came.more) = (true, true),
            Err(_) => {}
        }
        came
    }

    /// Has the kernel pass on nothing, or everything again: both need no right.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn pause(&self, is_paused: bool) -> Result<(), Errno> {
        let nothing: &[Instruction] = &[(RETURN, 0, 0, 0)];
        if is_paused {
            sys::attach_filter(&self.socket, nothing)
        } else {
            sys::attach_filter(&self.socket, &program())
        }
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The message that asks for events (`PROC_CN_MCAST_LISTEN`).
fn listen() -> Vec<u8> {
    let (length, kind) = (40_u32, 3_u16);
    let netlink = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
    let identity = [1_u32, 1, 0, 0].map(u32::to_ne_bytes).concat();
    let rest = [&4_u16.to_ne_bytes()[..], &[0; 2], &1_u32.to_ne_bytes()].concat();
    [netlink, identity, rest].concat()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn parse(bytes: &[u8]) -> Option<(Moment, Event)> {
    let time = u64::from_ne_bytes(bytes.get(TIME..TIME + 8)?.try_into().ok()?);
    let number = |index: usize| i32::try_from(word(bytes, DATA + 4 * index)?).ok();
    let event = match word(bytes, WHAT)? {
        FORK if number(2)? == number(3)? => Event::Fork { parent: number(1)?, child: number(3)? },
        EXEC => Event::Exec { pid: number(1)? },
        SESSION => Event::Session { pid: number(1)? },
        EXIT if number(0)? == number(1)? => {
            // As wait(2) has it: a signal in the low bits.
            Event::Exit { pid: number(1)?, killed: word(bytes, DATA + 8)? & 0x7f == 9 }
        }
        _ => return None,
    };
    Some((Moment::from_nanos(time), event))
}

const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const EQUAL_TO_INDEX: u16 = 0x1d;
const TO_INDEX: u16 = 0x07;
const RETURN: u16 = 0x06;

/// Passes what [`parse`] takes, and the kernel's answer.
fn program() -> Vec<Instruction> {
    let offset = |at: usize| u32::try_from(at).unwrap_or(0);
    // The kernel reads words as the network has them.
    let is = |what: u32| what.to_be();
    let load = |at: usize| (LOAD, 0, 0, offset(at));
    vec![
        load(WHAT),
        (EQUAL, 5, 0, is(FORK)),
        (EQUAL, 12, 0, is(EXEC)),
        (EQUAL, 11, 0, is(SESSION)),
        (EQUAL, 10, 0, is(NONE)),
        (EQUAL, 5, 0, is(EXIT)),
        (RETURN, 0, 0, 0),
        // A fork: a child that is a thread has another number than its process.
        load(DATA + 8),
        (TO_INDEX, 0, 0, 0),
        load(DATA + 12),
        (EQUAL_TO_INDEX, 4, 5, 0),
        // An end, as above.
        load(DATA),
        (TO_INDEX, 0, 0, 0),
        (LOAD, 0, 0, offset(DATA + 4)),
        (EQUAL_TO_INDEX, 0, 1, 0),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
    use rustix::time::{ClockId, clock_gettime};

    /// All events of the next moment.
    fn gather(connector: &mut Connector, millis: u64) -> Vec<(Moment, Event)> {
        let until = Instant::now() + Duration::from_millis(millis);
        let mut all = Vec::new();
        while Instant::now() < until {
            all.extend(connector.read().events);
            std::thread::sleep(Duration::from_millis(5));
        }
        all
    }

    #[test]
    fn every_step_of_a_process_is_told_and_nothing_of_threads() {
        let mut connector = match Connector::open() {
            Ok(connector) => connector,
            Err(cause) => {
                println!(
                    "SKIP every_step_of_a_process_is_told_and_nothing_of_threads: needs connector: {cause}"
                );
                return;
            }
        };
        let begun = Moment::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        for _ in 0..20 {
            std::thread::spawn(|| {}).join().unwrap();
        }
        let run = |lead: bool, signal: Option<Signal>| {
            let child = crate::sys::fork(|| {
                let led = !lead || rustix::process::setsid().is_ok();
                let sent = signal.map_or(Ok(()), |it| kill_process(rustix::process::getpid(), it));
                i32::from(!led || sent.is_err())
            });
            let child = child.unwrap();
            waitpid(Some(child.pid), WaitOptions::empty()).unwrap();
            child.pid.as_raw_nonzero().get()
        };
        let (leads, killed) = (run(true, None), run(false, Some(Signal::KILL)));
        let all = gather(&mut connector, 200);
        let of = |pid: i32| -> Vec<Event> {
            let about = all.iter().filter(|(_, event)| match event {
                Event::Fork { child, .. } => *child == pid,
                Event::Exec { pid: it } | Event::Session { pid: it } => *it == pid,
                Event::Exit { pid: it, .. } => *it == pid,
            });
            about.map(|(_, event)| *event).collect()
        };
        let fork = |child| Event::Fork { parent: own, child };
        let exit = |pid, killed| Event::Exit { pid, killed };
        assert_eq!(of(leads), [fork(leads), Event::Session { pid: leads }, exit(leads, false)]);
        assert_eq!(of(killed), [fork(killed), exit(killed, true)]);
        let children = all
            .iter()
            .filter(|(_, event)| matches!(event, Event::Fork { parent, .. } if *parent == own));
        assert!(children.count() < 20, "threads were told of");
        assert!(all.iter().all(|(at, _)| *at + Duration::from_millis(1) >= begun));
        connector.pause(true).unwrap();
        // Other tests fork, too, and theirs may have come just before the pause.
        gather(&mut connector, 50);
        let unheard = run(false, None);
        let all = gather(&mut connector, 50);
        assert!(all.iter().all(|(_, event)| *event != fork(unheard)), "{all:?}");
        connector.pause(false).unwrap();
        let again = run(false, None);
        let all = gather(&mut connector, 100);
        assert!(all.iter().any(|(_, event)| *event == fork(again)));
        assert!(all.iter().all(|(_, event)| *event != fork(unheard)), "{all:?}");
    }
}
