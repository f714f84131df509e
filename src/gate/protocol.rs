//! All that the gate and its keeper may say to each other.
//!
//! An order is a file in memory that the keeper seals and hands over, with the sockets that the gate is to listen on: so a
//! thousand rules need no more than one datagram. A report is a datagram of JSON; the gate never waits for it to be read.

use crate::egress::proxy::Proxy;
use crate::egress::rules::Rules;
use crate::policy::network::{Credential, Upstream};
use crate::wire;
use ipnet::IpNet;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Where orders come from after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Orders {
    /// From where the first came.
    #[default]
    Here,
    /// From root, who connects to the first socket that comes along. Where the first order came from, somebody without rights
    /// holds the gate, and says nothing any more.
    ByListener,
}

/// What the keeper tells the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Begin: the sockets that come along are those of the jail.
    Start(Box<Start>),
    /// From now on these rules hold; sockets for new ports come along.
    Rules(Rules),
    /// Tell what was counted so far.
    Count,
}

/// What the gate works by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Where orders come from.
    pub orders: Orders,
    /// All rules.
    pub rules: Rules,
    /// Connections that are open at once.
    pub connections: u32,
    /// Connections that are opened in a second.
    pub rate: u32,
    /// Bytes that are sent and received together.
    pub bytes: Option<u64>,
    /// The proxy of the host.
    pub proxy: Option<Proxy>,
    /// The service that the jail reaches by a socket.
    pub api: Option<Api>,
}

/// A service, and all that is needed to speak to it for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// Where it is.
    pub upstream: Upstream,
    /// Where in a request its credential stands.
    pub header: Credential,
    /// The credential.
    pub key: Key,
    /// Addresses that are refused else, and to which its name may lead.
    pub addresses: Vec<IpNet>,
    /// The certificates of the authorities that may speak for it: DER in base64.
    pub roots: Vec<String>,
}

/// A credential, which is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// What the gate tells its keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It listens, and the rules that it was told last hold.
    Ready,
    /// It cannot go on.
    Failed {
        /// Why.
        cause: String,
    },
    /// It refused something.
    Refused(Box<Refused>),
    /// What it counted so far.
    Counts(Counts),
}

/// A refusal, as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Whom the agent wanted to reach: a name as it was asked for, or an address.
    pub to: String,
    /// On which port; none for a question about a name.
    pub port: Option<u16>,
    /// Why, as a word for programs.
    pub word: String,
    /// Why, in words.
    pub why: String,
    /// What to write into the profile to allow it; empty where nothing can be written.
    pub cure: String,
    /// Where it came from in the jail.
    pub from: Option<SocketAddr>,
    /// How often, where it happened many times within a second.
    pub times: u32,
}

/// What the gate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Connections that are open.
    pub open: u32,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections and questions that were refused.
    pub refused: u64,
    /// Bytes that the agent sent.
    pub sent: u64,
    /// Bytes that it received.
    pub received: u64,
    /// Names that have an address.
    pub names: u32,
    /// Reports that nobody took in time.
    pub lost: u64,
}

/// Sends `order`, and `sockets` with it.
///
/// # Errors
/// The kernel's answer; `EPIPE` where the gate is gone.
pub fn command(gate: impl AsFd, order: &Order, sockets: &[OwnedFd]) -> Result<(), Errno> {
    wire::send_sealed(gate, order, sockets)
}

/// Receives an order and the sockets that come with it; nothing where the keeper is gone.
///
/// # Errors
/// The kernel's answer; `EAGAIN` where there is none yet and the socket does not wait, `EPROTO` for what is no order.
pub fn obey(keeper: impl AsFd) -> Result<Option<(Order, Vec<OwnedFd>)>, Errno> {
    wire::receive_sealed(keeper)
}

/// Sends a report, if it can be sent at once.
///
/// # Errors
/// The kernel's answer; `EAGAIN` where too much is unread.
pub fn report(keeper: impl AsFd, report: &Report) -> Result<(), Errno> {
    wire::say_now(keeper, report)
}

/// Receives a report; nothing where the gate is gone.
///
/// # Errors
/// The kernel's answer; `EAGAIN` where there is none yet and `wait` is not set, `EPROTO` for what is no report.
pub fn hear(gate: impl AsFd, wait: bool) -> Result<Option<Report>, Errno> {
    if wait { wire::hear(gate) } else { wire::hear_now(gate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pair;
    use rustix::net::{RecvFlags, SendFlags};

    #[test]
    fn an_order_comes_with_its_sockets() {
        let (keeper, gate) = pair().unwrap();
        let (one, other) = pair().unwrap();
        let order = Order::Start(Box::new(Start { rate: 7, ..Start::default() }));
        command(&keeper, &order, &[one]).unwrap();
        let (heard, sockets) = obey(&gate).unwrap().unwrap();
        assert_eq!((heard, sockets.len()), (order, 1));
        rustix::net::send(&sockets[0], b"x", SendFlags::empty()).unwrap();
        assert_eq!(rustix::net::recv(&other, &mut [0; 8][..], RecvFlags::empty()).unwrap().1, 1);
        drop(keeper);
        assert!(obey(&gate).unwrap().is_none());
    }

    #[test]
    fn what_is_no_order_is_refused() {
        let (keeper, gate) = pair().unwrap();
        rustix::net::send(&keeper, b"o", SendFlags::empty()).unwrap();
        assert_eq!(obey(&gate).unwrap_err(), Errno::PROTO);
    }

    #[test]
    fn a_report_is_never_waited_for() {
        let (keeper, gate) = pair().unwrap();
        let told = Report::Failed { cause: "x".repeat(2000) };
        let mut sent = 0;
        while report(&gate, &told).is_ok() {
            sent += 1;
        }
        for _ in 0..sent {
            assert_eq!(hear(&keeper, false).unwrap().as_ref(), Some(&told));
        }
        assert_eq!(hear(&keeper, false), Err(Errno::AGAIN));
        rustix::net::send(&gate, &[b'x'; 100_000], SendFlags::empty()).unwrap();
        assert_eq!(hear(&keeper, false), Err(Errno::PROTO));
    }
}
