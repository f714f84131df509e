//! Opens the connection to the world (RFC 8305: every address, a moment apart).

use super::resolver::Resolver;
use crate::egress::proxy::{Proxy, answer};
use crate::egress::refusal::Refusal;
use crate::egress::rules::Peer;
use crate::egress::special::{Special, special};
use crate::policy::network::{Name, Rule};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long one address is tried before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How long all of them together are tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port of which nothing is wanted (RFC 863).
const DISCARD: u16 = 9;

/// Addresses that nobody has (RFC 5737, RFC 3849).
const NOBODYS: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The most addresses of one name that are tried.
const MOST: usize = 16;

/// A connection to the world, and what came on it already.
pub(crate) type Dialled = (TcpStream, Vec<u8>);

/// Connects to `port` of `peer`, as `rule` allows it.
pub(crate) async fn dial(
    resolver: &Resolver,
    proxy: Option<&Proxy>,
    peer: &Peer,
    port: u16,
    rule: &Rule,
) -> Result<Dialled, Refusal> {
    let late = || Refusal::Unreachable("it does not answer".to_owned());
    let dialling = async {
        match proxy.filter(|proxy| proxy.is_for(peer)) {
            Some(proxy) => by_proxy(resolver, proxy, peer, port).await,
            None => Ok((direct(resolver, peer, port, rule).await?, Vec::new())),
        }
    };
    tokio::time::timeout(PATIENCE, dialling).await.unwrap_or_else(|_| Err(late()))
}

/// Has the proxy connect. Where the name leads is its decision then.
async fn by_proxy(
    resolver: &Resolver,
    proxy: &Proxy,
    peer: &Peer,
    port: u16,
) -> Result<Dialled, Refusal> {
    let failed =
        |error: std::io::Error| Refusal::Unreachable(format!("the proxy {proxy}: {error}"));
    let addresses = match (proxy.host.parse(), Name::parse(&proxy.host)) {
        (Ok(address), _) => vec![address],
        (_, Ok(name)) => resolver.look_up(&name).await.map_err(Refusal::Unresolved)?,
        (_, Err(_)) => resolver.own(&proxy.host).map_err(Refusal::Unresolved)?,
    };
    let mut stream = connect(&alternating(addresses), proxy.port).await?;
    stream.write_all(&proxy.request(peer, port)).await.map_err(failed)?;
    let mut heard = Vec::new();
    let mut block = [0; 4096];
    loop {
        if let Some(end) = answer(&heard).map_err(Refusal::Unreachable)? {
            return Ok((stream, heard.split_off(end)));
        }
        match stream.read(&mut block).await.map_err(failed)? {
            0 => return Err(Refusal::Unreachable(format!("the proxy {proxy} says nothing"))),
            count => heard.extend_from_slice(&block[..count]),
        }
    }
}

async fn direct(
    resolver: &Resolver,
    peer: &Peer,
    port: u16,
    rule: &Rule,
) -> Result<TcpStream, Refusal> {
    let addresses = match peer {
        Peer::Address(address) => vec![IpAddr::V4(*address)],
        Peer::Host => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Peer::Name(name) => {
            let found = resolver.look_up(name).await.map_err(Refusal::Unresolved)?;
            permitted(found, rule, is_own)?
        }
    };
    connect(&alternating(addresses), port).await
}

/// Those of `found` that a name may lead to; `is_own` tells the addresses of this machine.
fn permitted(
    found: Vec<IpAddr>,
    rule: &Rule,
    is_own: impl Fn(IpAddr) -> bool,
) -> Result<Vec<IpAddr>, Refusal> {
    let own = |address: IpAddr| is_own(address).then_some(Special::Loopback);
    let refused = |address: &IpAddr| {
        special(*address).or_else(|| own(*address)).filter(|_| !rule.names(*address))
    };
    let first = found.first().copied();
    let kept: Vec<IpAddr> =
        found.into_iter().filter(|address| refused(address).is_none()).collect();
    match first.and_then(|address| Some((address, refused(&address)?))) {
        Some((address, special)) if kept.is_empty() => Err(Refusal::Special { address, special }),
        Some(_) | None => Ok(kept),
    }
}

/// Whether `address` is one of this machine's. Nothing is sent for that. What cannot be told counts as one.
fn is_own(address: IpAddr) -> bool {
    let (any, nobodys): (IpAddr, IpAddr) = match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), NOBODYS.0.into()),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), NOBODYS.1.into()),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    match from {
        // What is sent to an address of its own comes from that, too; but from another one where it has several of one
        // network. Those can be taken; and where this host lets anybody take any (`ip_nonlocal_bind`), that tells nothing.
        Ok(from) => from.ip() == address || (can_be_taken(address) && !can_be_taken(nobodys)),
        // Where there is no way to it, there is nothing to reach.
        Err(error) => !matches!(
            Errno::from_io_error(&error),
            Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
        ),
    }
}

fn can_be_taken(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// IPv6 and IPv4 by turns, each in the order in which it was found, the first one first.
fn alternating(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let longest = first.len().max(second.len());
    let by_turns = (0..longest).flat_map(|index| [first.get(index), second.get(index)]);
    by_turns.flatten().copied().take(MOST).collect()
}

/// The first connection that stands.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Refusal> {
    let mut waiting = addresses.iter().map(|address| SocketAddr::new(*address, port));
    let mut tried = FuturesUnordered::new();
    let mut failed: Option<String> = None;
    loop {
        tried.extend(waiting.next().map(attempt));
        let ended = if waiting.len() > 0 {
            tokio::time::timeout(HEAD_START, tried.next()).await
        } else {
            Ok(tried.next().await)
        };
        match ended {
            Ok(Some(Ok(stream))) => return Ok(stream),
            // The first cause says most: the first address is the preferred one.
            Ok(Some(Err(cause))) => failed = failed.or(Some(cause)),
            Ok(None) => {
                let cause = failed.unwrap_or_else(|| "it has no address".to_owned());
                return Err(Refusal::Unreachable(cause));
            }
            // The next one is tried beside those.
            Err(_) => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| format!("{}: {error}", address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::network::{Check, Pattern, Target};

    fn addresses(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    fn rule(networks: &[&str]) -> Rule {
        Rule {
            target: Target::Name(Pattern::parse("a.test").unwrap()),
            port: 443,
            check: Check::Tls,
            addresses: networks.iter().map(|network| network.parse().unwrap()).collect(),
            reason: String::new(),
            origin: String::new(),
        }
    }

    #[test]
    fn what_is_not_the_open_internet_must_be_named() {
        let strange = |_| false;
        let open = addresses("8.8.8.8 2600::1");
        assert_eq!(permitted(open.clone(), &rule(&[]), strange).unwrap(), open);
        let mixed = addresses("10.0.0.1 8.8.8.8 ::1");
        assert_eq!(permitted(mixed.clone(), &rule(&[]), strange).unwrap(), addresses("8.8.8.8"));
        assert_eq!(
            permitted(mixed, &rule(&["10.0.0.0/8"]), strange).unwrap(),
            addresses("10.0.0.1 8.8.8.8")
        );
        for alone in ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00::1", "0.0.0.0"] {
            assert!(matches!(
                permitted(addresses(alone), &rule(&[]), strange),
                Err(Refusal::Special { .. })
            ));
        }
        assert!(permitted(Vec::new(), &rule(&[]), strange).unwrap().is_empty());
    }

    #[test]
    fn an_address_of_this_machine_must_be_named() {
        let own = addresses("8.8.8.8");
        let refused = permitted(own.clone(), &rule(&[]), |_| true);
        assert!(matches!(refused, Err(Refusal::Special { special: Special::Loopback, .. })));
        assert_eq!(permitted(own.clone(), &rule(&["8.8.8.8/32"]), |_| true).unwrap(), own);
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn families_take_turns() {
        let found = addresses("2600::1 2600::2 8.8.8.8 8.8.4.4 1.1.1.1");
        let turns = addresses("2600::1 8.8.8.8 2600::2 8.8.4.4 1.1.1.1");
        assert_eq!(alternating(found), turns);
    }
}
