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
mod keeper;
mod listen;
mod metered;
mod names;
mod opening;
mod relay;
mod resolver;
mod servers;
mod state;
mod tell;

pub(crate) use api::secured;
pub(crate) use confine::folders as resolver_folders;
pub(crate) use dial::dial;
pub(crate) use resolver::Resolver;

use keeper::Line;
use protocol::{Order, Orders, Report};
use rustix::fd::OwnedFd;
use state::Gate;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixListener;

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

/// Does the work of a gate until its keeper is gone, or who holds it. The words are the name, its uid, the most connections
/// and [`WITH_LANDLOCK`]; its standard input is the socket on which the first order comes.
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

fn serve(birth: &Rc<OwnedFd>, uid: u32, connections: u32, landlock: bool) -> Result<(), String> {
    confine::give_up_rights(uid, connections)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot wait for events: {error}"))?;
    confine::restrict(landlock)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, begin(birth))
}

/// What is said where something comes out of its turn.
const OUT_OF_TURN: &str = "the keeper said something out of its turn";

/// Begins as the first order says, and works until its keeper is gone, or who holds it.
async fn begin(birth: &Rc<OwnedFd>) -> Result<(), String> {
    let birth = Line::new(Rc::clone(birth))?;
    let Some((order, mut sockets)) = birth.hear().await? else { return Ok(()) };
    let Order::Start(start) = order else { return Err(OUT_OF_TURN.to_owned()) };
    let orders = start.orders;
    let listener = match orders {
        Orders::Here => None,
        Orders::ByListener if sockets.is_empty() => return Err("no listener came".to_owned()),
        Orders::ByListener => Some(sockets.remove(0)),
    };
    let gate = Gate::new(*start)?;
    listen::begin(&gate, sockets)?;
    tokio::task::spawn_local(tell::repeatedly(Rc::clone(&gate)));
    let Some(listener) = listener else {
        gate.keeper().come(&birth);
        birth.answer(&Report::Ready).await?;
        return obey(&gate, &birth).await;
    };
    let listener = UnixListener::from_std(listener.into())
        .map_err(|error| format!("cannot wait for a keeper: {error}"))?;
    birth.answer(&Report::Ready).await?;
    tokio::select! {
        ended = held(&birth) => ended,
        failed = keepers(&gate, &listener) => failed,
    }
}

/// Waits until nobody holds the gate any more. Whoever holds it says nothing: it has no rights.
async fn held(birth: &Line) -> Result<(), String> {
    match birth.hear().await? {
        None => Ok(()),
        Some(_) => Err(OUT_OF_TURN.to_owned()),
    }
}

/// Obeys one keeper after another; one that comes takes the place of the one before, which may be gone without a word.
async fn keepers(gate: &Rc<Gate>, listener: &UnixListener) -> Result<(), String> {
    let mut keeper = keeper::next(listener).await?;
    loop {
        gate.keeper().come(&keeper);
        tokio::select! {
            next = keeper::next(listener) => keeper = next?,
            left = attend(gate, &keeper) => {
                left?;
                gate.keeper().leave();
                keeper = keeper::next(listener).await?;
            }
        }
    }
}

/// Tells a new keeper what it has missed, and obeys it until it is gone.
async fn attend(gate: &Rc<Gate>, keeper: &Line) -> Result<(), String> {
    gate.keeper().catch_up(keeper).await?;
    let obeyed = obey(gate, keeper).await;
    if let Err(cause) = &obeyed {
        keeper.answer(&Report::Failed { cause: cause.clone() }).await?;
    }
    obeyed
}

/// Does what `keeper` says, until it is gone.
async fn obey(gate: &Rc<Gate>, keeper: &Line) -> Result<(), String> {
    while let Some((order, sockets)) = keeper.hear().await? {
        match order {
            Order::Rules(rules) => {
                gate.change(rules);
                listen::begin(gate, sockets)?;
                keeper.answer(&Report::Ready).await?;
            }
            Order::Count => {
                keeper.answer(&Report::Counts(gate.counts())).await?;
            }
            Order::Start(_) => return Err(OUT_OF_TURN.to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
