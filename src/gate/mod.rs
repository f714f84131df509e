//! The gate: the process outside of a jail that carries its connections to whom its rules name, and to nobody else.
//!
//! ```text
//!  jail │ 127.0.0.1:53 ─ dns ── Rules ─ Pool: a synthetic address, or the name does not exist
//!       │ 198.18.x.y:port ─ listen ─ connection ─ hello or http ─ resolver ─ dial ─ relay ─ the world
//! ```
//!
//! The listening sockets are the jail's, made in its network and handed over; the jail itself has no way out. It decides
//! by [`crate::egress`], which is pure. It runs as a uid of its own without any right: behind Landlock and a filter of
//! system calls ([`confine`]), it reads the host's resolver configuration and opens connections, and nothing else.
//!
//! Does not protect against: what an allowed host does with what it is sent.

#![forbid(unsafe_code)]

pub mod protocol;

mod api;
mod confine;
mod connection;
mod dial;
mod listen;
mod metered;
mod names;
mod opening;
mod relay;
mod resolver;
mod servers;
mod state;
mod tell;

use protocol::{Order, Report};
use rustix::fd::OwnedFd;
use state::Gate;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The name by which the program knows that it is to be a gate.
pub const NAME: &str = "cellblock-gate";

/// The word that says that the kernel has Landlock.
pub const WITH_LANDLOCK: &str = "landlock";

/// When a connection is asked whether its peer is still there, how long after that again, and how often before it is given
/// up (tcp(7)): two minutes.
pub const KEEPALIVE: (Duration, Duration, u32) =
    (Duration::from_secs(60), Duration::from_secs(15), 4);

/// The status of a gate that could not go on.
const FAILED: u8 = 125;

/// Does the work of a gate until its keeper is gone. The words are the name, its uid, the most connections and
/// [`WITH_LANDLOCK`]; its standard input is the keeper's socket.
#[must_use]
pub fn main(words: &[OsString]) -> u8 {
    let word = |index: usize| words.get(index)?.to_str()?.parse::<u32>().ok();
    let (Some(uid), Some(connections)) = (word(1), word(2)) else { return FAILED };
    let keeper = match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) {
        Ok(keeper) => Rc::new(keeper),
        Err(_) => return FAILED,
    };
    let landlock = words.get(3).is_some_and(|word| word == WITH_LANDLOCK);
    match serve(&keeper, uid, connections, landlock) {
        Ok(()) => 0,
        Err(cause) => {
            // Where the keeper is gone, nobody is left to be told.
            let told = protocol::report(&keeper, &Report::Failed { cause });
            if told.is_ok() { FAILED } else { FAILED - 1 }
        }
    }
}

fn serve(keeper: &Rc<OwnedFd>, uid: u32, connections: u32, landlock: bool) -> Result<(), String> {
    confine::give_up_rights(uid, connections)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot wait for events: {error}"))?;
    confine::restrict(landlock)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, obey(keeper))
}

/// Does what the keeper says, until it is gone.
async fn obey(keeper: &Rc<OwnedFd>) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("cannot wait for the keeper: {error}");
    let orders = keeper.try_clone().map_err(wrong)?;
    rustix::io::ioctl_fionbio(&orders, true).map_err(|errno| wrong(errno.into()))?;
    // Its messages are datagrams that come in order, whatever the type of the socket is called.
    let orders = UnixDatagram::from_std(orders.into()).map_err(wrong)?;
    let mut gate: Option<Rc<Gate>> = None;
    loop {
        let heard = orders.async_io(Interest::READABLE, || Ok(protocol::obey(&orders)?));
        let heard =
            heard.await.map_err(|error| format!("the keeper is not understood: {error}"))?;
        let Some((order, sockets)) = heard else { return Ok(()) };
        match (order, &gate) {
            (Order::Start(start), None) => {
                let new = Gate::new(*start, Rc::clone(keeper))?;
                listen::begin(&new, sockets)?;
                tokio::task::spawn_local(tell::repeatedly(Rc::clone(&new)));
                gate = Some(new);
            }
            (Order::Rules(rules), Some(gate)) => {
                gate.change(rules);
                listen::begin(gate, sockets)?;
            }
            (Order::Count, Some(gate)) => {
                report(&orders, keeper, &Report::Counts(gate.counts())).await?;
                continue;
            }
            (Order::Start(_), Some(_)) | (Order::Rules(_) | Order::Count, None) => {
                return Err("the keeper said something out of its turn".to_owned());
            }
        }
        report(&orders, keeper, &Report::Ready).await?;
    }
}

/// What the keeper has asked for and waits for: it is reading what was said before, so that there will be room.
async fn report(orders: &UnixDatagram, keeper: &OwnedFd, report: &Report) -> Result<(), String> {
    let told = orders.async_io(Interest::WRITABLE, || Ok(protocol::report(keeper, report)?));
    told.await.map_err(|error| format!("cannot tell the keeper: {error}"))
}
