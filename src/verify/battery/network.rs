//! The network: whom the agent reaches, and who reaches the agent.
//!
//! Nothing here leaves the machine: all is spoken to listeners on `lo`, or not spoken at all.

use super::raw;
use super::shared::number;
use super::sinks::network_of_host;
use super::syscalls::{allowed, allows, word};
use crate::plan::Plan;
use crate::profile::Wall;
use crate::sys::Argument;
use crate::verify::look::Look;
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Layer, Probe, Stop, broken, landlock,
    layer, wall,
};
use crate::verify::scene::Scene;
use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketType, ipproto};
use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket,
};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

/// The family.
pub const FAMILY: Family =
    Family { name: "network", title: "the network", probes: PROBES, jobs: &[] };

/// How long a connection within one machine may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long who listens may take to answer: its machine may be slow.
const ANSWER: Duration = Duration::from_secs(5);

/// A network of its own has no way to an address, or no address to come from; with `lo` up, nobody
/// listens there.
const NOWHERE: &[Answer] = &[
    Answer::Error(Errno::NETUNREACH),
    Answer::Error(Errno::ADDRNOTAVAIL),
    Answer::Error(Errno::CONNREFUSED),
];

/// What Landlock stops of TCP, where a rule of the plan says so.
const TCP_RULE: Claim = landlock(4, &[Answer::Error(Errno::ACCESS)]).unless(|plan| {
    let why =
        || format!("Landlock has no rule for TCP with network.mode = \"{}\"", plan.network.word());
    (!plan.landlock.restrict_tcp).then(why)
});

/// What a policy without TCP says.
const NO_TCP: Claim = wall(Wall::Seccomp, NO_PROTOCOL).unless(allows_tcp);

/// What a policy without UDP says.
const NO_UDP: Claim = wall(Wall::Seccomp, NO_PROTOCOL)
    .unless(|plan| allows(plan, libc::SYS_socket, &[INTERNET, word(libc::SOCK_DGRAM)]));

const NO_PROTOCOL: &[Answer] = &[Answer::Error(Errno::AFNOSUPPORT)];

/// By what stops who connects by TCP in the usual way.
const BY_TCP: &[Claim] = &[wall(Wall::Network, NOWHERE), TCP_RULE, NO_TCP];

/// By what stops who sends by UDP.
const BY_UDP: &[Claim] =
    &[wall(Wall::Network, &[Answer::Error(Errno::NETUNREACH), Answer::NoEffect]), NO_UDP];

/// By what stops who asks for a way.
const BY_ROUTE: &[Claim] = &[
    wall(Wall::Network, &[Answer::Error(Errno::NETUNREACH), Answer::Error(Errno::ADDRNOTAVAIL)]),
    NO_UDP,
];

/// By what stops who makes a socket that needs a privilege.
const BY_PRIVILEGE: &[Claim] = &[
    layer(Layer::Uid, &[Answer::Error(Errno::PERM)]),
    wall(Wall::Seccomp, &[Answer::Error(Errno::PERM), Answer::Error(Errno::AFNOSUPPORT)]),
];

/// By what stops who waits for others to connect.
const BY_LISTENING: &[Claim] = &[wall(Wall::Network, &[Answer::NoEffect]), TCP_RULE, NO_TCP];

const PROBES: &[Probe] = &[
    Probe {
        helpers: true,
        ..by_tcp(
            "NET-01.tcp",
            "connect to a service of the host",
            "TCP to 127.0.0.1",
            |scene| say_by_tcp(scene, Ipv4Addr::LOCALHOST.into(), scene.tcp),
            "tcp(7), network_namespaces(7); landlock(7), LANDLOCK_ACCESS_NET_CONNECT_TCP",
        )
    },
    by_tcp(
        "NET-01.tcp6",
        "connect to a service of the host by IPv6",
        "TCP to ::1",
        |scene| say_by_tcp(scene, Ipv6Addr::LOCALHOST.into(), scene.tcp6),
        "ipv6(7)",
    ),
    Probe {
        helpers: true,
        ..by_udp(
            "NET-01.udp",
            "send to a service of the host",
            "UDP to 127.0.0.1 by sendto(2)",
            |scene| {
                UdpSocket::bind(EPHEMERAL)?.send_to(scene.token.as_bytes(), to_udp(scene))?;
                Ok(Vec::new())
            },
            "udp(7); Landlock has rights for UDP only from ABI 10 on",
        )
    },
    by_udp(
        "NET-01.udp-connected",
        "send to a service of the host after connect(2)",
        "UDP to 127.0.0.1 by connect(2) and send(2)",
        |scene| {
            let socket = UdpSocket::bind(EPHEMERAL)?;
            socket.connect(to_udp(scene))?;
            socket.send(scene.token.as_bytes())?;
            Ok(Vec::new())
        },
        "udp(7)",
    ),
    by_udp(
        "NET-01.udp-sendmsg",
        "send to a service of the host by sendmsg(2)",
        "UDP to 127.0.0.1 by sendmsg(2)",
        |scene| {
            let socket = UdpSocket::bind(EPHEMERAL)?;
            send_message(scene, &socket, to_udp(scene), SendFlags::empty())
        },
        "udp(7), sendmsg(2)",
    ),
    by_udp(
        "NET-01.udp-sendmmsg",
        "send to a service of the host by sendmmsg(2)",
        "UDP to 127.0.0.1 by sendmmsg(2)",
        |scene| {
            let socket = UdpSocket::bind(EPHEMERAL)?;
            send_messages(scene, &socket, to_udp(scene), SendFlags::empty())
        },
        "udp(7), sendmmsg(2)",
    ),
    privileged_socket(
        "NET-01.raw",
        "forge packets",
        "socket(2) of AF_INET, SOCK_RAW",
        |scene| make_raw_socket(scene, libc::AF_INET),
        "raw(7)",
    ),
    privileged_socket(
        "NET-01.raw6",
        "forge packets of IPv6",
        "socket(2) of AF_INET6, SOCK_RAW",
        |scene| make_raw_socket(scene, libc::AF_INET6),
        "raw(7), ipv6(7)",
    ),
    by_fastopen::<{ libc::SYS_sendto }, 3>(
        "NET-02.sendto",
        "connect by TCP without connect(2)",
        "sendto(2) with MSG_FASTOPEN",
        |scene| {
            let socket = stream_socket(None)?;
            let token = scene.token.as_bytes();
            rustix::net::sendto(&socket, token, FASTOPEN, &to_tcp(scene))?;
            Ok(Vec::new())
        },
        "tcp(7), TCP_FASTOPEN; kernel commit \"landlock: Fix TCP Fast Open connection bypass\"",
    ),
    by_fastopen::<{ libc::SYS_sendmsg }, 2>(
        "NET-02.sendmsg",
        "connect by TCP without connect(2), by sendmsg(2)",
        "sendmsg(2) with MSG_FASTOPEN",
        |scene| send_message(scene, &stream_socket(None)?, to_tcp(scene), FASTOPEN),
        "tcp(7), TCP_FASTOPEN",
    ),
    by_fastopen::<{ libc::SYS_sendmmsg }, 3>(
        "NET-02.sendmmsg",
        "connect by TCP without connect(2), by sendmmsg(2)",
        "sendmmsg(2) with MSG_FASTOPEN",
        |scene| send_messages(scene, &stream_socket(None)?, to_tcp(scene), FASTOPEN),
        "tcp(7), TCP_FASTOPEN",
    ),
    by_tcp(
        "NET-02.option",
        "connect by TCP with the first write",
        "connect(2) put off by TCP_FASTOPEN_CONNECT, then write(2)",
        |scene| {
            const FASTOPEN_CONNECT: u64 = 30;
            let socket = stream_socket(None)?;
            let yes = 1_i32.to_ne_bytes();
            let protocol = number(libc::IPPROTO_TCP);
            let option = FASTOPEN_CONNECT.into();
            let (descriptor, value) = (number(socket.as_raw_fd()), Argument::Bytes(&yes));
            let set = &mut [descriptor, protocol, option, value, 4.into()];
            raw(libc::SYS_setsockopt, set).map_err(broken("TCP_FASTOPEN_CONNECT"))?;
            say(scene, socket, to_tcp(scene))
        },
        "tcp(7), TCP_FASTOPEN_CONNECT",
    ),
    Probe {
        claims: &[
            wall(Wall::Network, NOWHERE),
            wall(
                Wall::Seccomp,
                &[Answer::Error(Errno::PROTONOSUPPORT), Answer::Error(Errno::AFNOSUPPORT)],
            )
            .unless(|plan| {
                let words = [libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP];
                allows(plan, libc::SYS_socket, &words.map(word))
            }),
        ],
        granted: Probe::NEW.granted,
        ..by_tcp(
            "NET-02.mptcp",
            "connect by multipath TCP",
            "connect(2) of a socket of IPPROTO_MPTCP, which falls back to TCP",
            |scene| say(scene, stream_socket(Some(ipproto::MPTCP))?, to_tcp(scene)),
            "kernel documentation, networking/mptcp; Landlock's rules for TCP do not hold for it",
        )
    },
    Probe {
        claims: &[
            // Where `lo` is down, the address is not there.
            wall(Wall::Network, &[Answer::Error(Errno::ADDRNOTAVAIL), Answer::NoEffect]),
            TCP_RULE,
            NO_TCP,
        ],
        ..by_listening(
            "NET-03.bind",
            "be reached on the host's loopback",
            "bind(2) to 127.0.0.1, listen(2)",
            |scene| serve(scene, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?),
            "tcp(7); landlock(7), LANDLOCK_ACCESS_NET_BIND_TCP",
        )
    },
    Probe {
        claims: &[wall(Wall::Network, &[Answer::NoEffect]), NO_TCP],
        ..by_listening(
            "NET-03.autobind",
            "be reached without bind(2)",
            "listen(2) alone: the kernel chooses a port",
            |scene| {
                let socket = stream_socket(None)?;
                rustix::net::listen(&socket, 8)?;
                serve(scene, socket.into())
            },
            "ip(7): autobind; Landlock's right to bind is not asked for",
        )
    },
    by_listening(
        "NET-03.unspecified",
        "be reached by an address of no family",
        "bind(2) to an address of AF_UNSPEC, listen(2)",
        |scene| {
            let socket = stream_socket(None)?;
            let address = [0; 16];
            let to = number(socket.as_raw_fd());
            raw(libc::SYS_bind, &mut [to, Argument::Bytes(&address), 16.into()])?;
            rustix::net::listen(&socket, 8)?;
            serve(scene, socket.into())
        },
        "bind(2): the kernel takes it for AF_INET",
    ),
    by_tcp(
        "NET-04.second",
        "connect to another loopback address of the host",
        "TCP to 127.0.0.2",
        |scene| say_by_tcp(scene, Ipv4Addr::new(127, 0, 0, 2).into(), scene.tcp),
        "ip(7)",
    ),
    by_tcp(
        "NET-04.any",
        "connect to the address that means this host",
        "TCP to 0.0.0.0",
        |scene| say_by_tcp(scene, Ipv4Addr::UNSPECIFIED.into(), scene.tcp),
        "RFC 1122, 3.2.1.3; as a target, Linux takes it for its loopback",
    ),
    by_tcp(
        "NET-04.any6",
        "connect to the IPv6 address that means this host",
        "TCP to ::",
        |scene| say_by_tcp(scene, Ipv6Addr::UNSPECIFIED.into(), scene.tcp6),
        "ipv6(7)",
    ),
    by_tcp(
        "NET-04.mapped",
        "connect to the host's loopback as an IPv6 address",
        "TCP to ::ffff:127.0.0.1",
        |scene| say_by_tcp(scene, Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), scene.tcp),
        "ipv6(7); RFC 4291, 2.5.5.2",
    ),
    by_tcp(
        "NET-04.own",
        "connect to the host by the address it has in its network",
        "TCP to an address of the host's that is not its loopback; the kernel delivers it on lo",
        |scene| {
            let address: IpAddr = scene.address.parse().map_err(|_| Errno::ADDRNOTAVAIL)?;
            say_by_tcp(scene, address, scene.tcp)
        },
        "ip(7)",
    ),
    no_route(
        "NET-05.metadata",
        "have a way to the cloud's metadata",
        "connect(2) of a UDP socket to 169.254.169.254: the kernel looks for a way, and sends nothing",
        |scene| has_route(scene, Ipv4Addr::new(169, 254, 169, 254).into()),
        "the address at which clouds tell credentials to whoever asks from a machine",
    ),
    no_route(
        "NET-05.metadata6",
        "have a way to the cloud's metadata by IPv6",
        "connect(2) of a UDP socket to fd00:ec2::254: the kernel looks for a way, and sends nothing",
        |scene| has_route(scene, Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254).into()),
        "the address at which Amazon EC2 tells credentials to whoever asks from a machine",
    ),
    Probe {
        id: "NET-07.address",
        title: "give the network an address",
        attack: "RTM_NEWLINK to raise lo and RTM_NEWADDR of an address of 127.0.0.0/8",
        claims: &[
            layer(Layer::Uid, &[Answer::Error(Errno::PERM)]),
            wall(Wall::Seccomp, NO_PROTOCOL).unless(|plan| {
                let words = [libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE];
                allows(plan, libc::SYS_socket, &words.map(word))
            }),
        ],
        evidence: Evidence::Look(has_address),
        run: add_address,
        control: Control::Careless(|scene| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            add_address(scene)
        }),
        source: "rtnetlink(7): needs CAP_NET_ADMIN in the user namespace that owns the network",
        ..Probe::NEW
    },
    Probe {
        id: "NET-07.namespace",
        title: "be the administrator of a network of its own",
        attack: "unshare(2) of a user and a network namespace, then RTM_NEWADDR in it",
        claims: &[
            wall(Wall::Seccomp, &[Answer::Error(Errno::PERM)])
                .unless(allowed::<{ libc::SYS_unshare }>),
            wall(Wall::NestedNamespaces, &[Answer::Error(Errno::NOSPC)]),
        ],
        evidence: Evidence::Look(has_address),
        run: |scene| {
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
            add_address(scene)
        },
        source: "user_namespaces(7); CVE-2023-32233 and CVE-2024-1086 need it",
        ..Probe::NEW
    },
    by_listening(
        "NET-26.tcp",
        "be reached by everybody",
        "bind(2) to 0.0.0.0, listen(2), and somebody of the host connects",
        |scene| serve(scene, TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?),
        "ip(7)",
    ),
    by_listening(
        "NET-26.tcp6",
        "be reached by everybody by IPv6",
        "bind(2) to ::, listen(2), and somebody of the host connects",
        |scene| serve(scene, TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))?),
        "ipv6(7)",
    ),
    Probe {
        claims: &[wall(Wall::Network, &[Answer::NoEffect]), NO_UDP],
        evidence: Evidence::Look(|look| answers_by_udp(look).unwrap_or(false)),
        ..by_listening(
            "NET-26.udp",
            "be sent to by everybody",
            "bind(2) of a UDP socket to 0.0.0.0, and somebody of the host sends",
            |scene| answer_by_udp(scene, UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?),
            "udp(7)",
        )
    },
];

/// A way to say something to a TCP service of the host.
const fn by_tcp(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    let (evidence, granted): (_, fn(&Plan) -> _) = (Evidence::Arrived, network_of_host);
    Probe { id, title, attack, claims: BY_TCP, evidence, run, granted, source, ..Probe::NEW }
}

/// As [`by_tcp`], without connect(2): by call `NUMBER`, which has the flag in its argument `FLAGS`.
const fn by_fastopen<const NUMBER: i64, const FLAGS: usize>(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    let claims = const {
        &[
            wall(Wall::Network, NOWHERE),
            wall(
                Wall::Seccomp,
                &[Answer::Error(Errno::OPNOTSUPP), Answer::Error(Errno::AFNOSUPPORT)],
            )
            .unless(|plan| {
                let mut arguments = [0; 6];
                arguments[FLAGS] = FASTOPEN.bits().into();
                allows(plan, NUMBER, &arguments).and(allows_tcp(plan))
            }),
        ]
    };
    // The filter refuses it with every network.
    Probe { claims, granted: Probe::NEW.granted, ..by_tcp(id, title, attack, run, source) }
}

/// A way to say something to a UDP service of the host.
const fn by_udp(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    Probe { claims: BY_UDP, ..by_tcp(id, title, attack, run, source) }
}

/// A way to be reached by somebody of the host.
const fn by_listening(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    let evidence = Evidence::Look(|look| answers_by_tcp(look).unwrap_or(false));
    Probe { claims: BY_LISTENING, evidence, ..by_tcp(id, title, attack, run, source) }
}

/// A place that only a network with a way out has a way to.
const fn no_route(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    Probe {
        claims: BY_ROUTE,
        evidence: Evidence::Answer(&[]),
        ..by_tcp(id, title, attack, run, source)
    }
}

/// A socket that only root can make.
const fn privileged_socket(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    let claims = BY_PRIVILEGE;
    Probe { id, title, attack, claims, run, source, control: Control::Root, ..Probe::NEW }
}

const INTERNET: u64 = word(libc::AF_INET);
const FASTOPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);
const EPHEMERAL: (Ipv4Addr, u16) = (Ipv4Addr::UNSPECIFIED, 0);

fn allows_tcp(plan: &Plan) -> Option<String> {
    allows(plan, libc::SYS_socket, &[INTERNET, word(libc::SOCK_STREAM)])
}

fn to_tcp(scene: &Scene) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, scene.tcp))
}

fn to_udp(scene: &Scene) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, scene.udp))
}

fn stream_socket(protocol: Option<rustix::net::Protocol>) -> Result<OwnedFd, Errno> {
    rustix::net::socket(AddressFamily::INET, SocketType::STREAM, protocol)
}

/// Says the token by TCP.
fn say_by_tcp(scene: &Scene, address: IpAddr, port: u16) -> Attempted {
    if port == 0 {
        // This host has no such address.
        return Err(Errno::ADDRNOTAVAIL.into());
    }
    let connected = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
    let mut stream = connected.map_err(|error| {
        let late = error.kind() == ErrorKind::TimedOut;
        if late { Stop::from(Errno::TIMEDOUT) } else { Stop::from(error) }
    })?;
    stream.write_all(scene.token.as_bytes())?;
    Ok(Vec::new())
}

/// Connects `socket` and says the token.
fn say(scene: &Scene, socket: OwnedFd, address: SocketAddr) -> Attempted {
    rustix::net::connect(&socket, &address)?;
    rustix::io::write(&socket, scene.token.as_bytes())?;
    Ok(Vec::new())
}

fn send_message(
    scene: &Scene,
    socket: impl std::os::fd::AsFd,
    address: SocketAddr,
    flags: SendFlags,
) -> Attempted {
    let parts = [IoSlice::new(scene.token.as_bytes())];
    let mut nothing = SendAncillaryBuffer::default();
    rustix::net::sendmsg_addr(socket, &address, &parts, &mut nothing, flags)?;
    Ok(Vec::new())
}

fn send_messages(
    scene: &Scene,
    socket: impl std::os::fd::AsFd,
    address: SocketAddr,
    flags: SendFlags,
) -> Attempted {
    let parts = [IoSlice::new(scene.token.as_bytes())];
    let mut nothing = SendAncillaryBuffer::default();
    let address = address.as_any();
    let message = MMsgHdr::new_with_addr(&address, &parts, &mut nothing);
    rustix::net::sendmmsg(socket, &mut [message], flags)?;
    Ok(Vec::new())
}

/// The watched socket(2).
fn make_raw_socket(scene: &Scene, family: i32) -> Attempted {
    let words = [family, libc::SOCK_RAW, libc::IPPROTO_RAW];
    scene.call(libc::SYS_socket, &mut words.map(number))?;
    Ok(Vec::new())
}

/// The watched connect(2) of a UDP socket, which sends nothing.
fn has_route(scene: &Scene, address: IpAddr) -> Attempted {
    let port = 80_u16.to_be_bytes();
    let (family, bytes) = match address {
        IpAddr::V4(address) => {
            let family = AddressFamily::INET;
            let head = family.as_raw().to_ne_bytes();
            (family, [&head, &port, &address.octets()[..], &[0; 8]].concat())
        }
        IpAddr::V6(address) => {
            let family = AddressFamily::INET6;
            let head = family.as_raw().to_ne_bytes();
            (family, [&head, &port, &[0; 4][..], &address.octets(), &[0; 4]].concat())
        }
    };
    let socket = rustix::net::socket(family, SocketType::DGRAM, None)?;
    let length = Argument::Number(bytes.len() as u64);
    let to = &mut [number(socket.as_raw_fd()), Argument::Bytes(&bytes), length];
    scene.call(libc::SYS_connect, to)?;
    Ok(Vec::new())
}

/// Says the token to whoever connects, as long as the prober lives; tells the port.
fn serve(scene: &Scene, listener: TcpListener) -> Attempted {
    let port = listener.local_addr()?.port();
    let token = scene.token.clone();
    let serve = move || {
        for stream in listener.incoming() {
            if stream.and_then(|mut stream| stream.write_all(token.as_bytes())).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().spawn(serve)?;
    Ok(port.to_string().into_bytes())
}

/// Says the token to whoever sends something, as long as the prober lives; tells the port.
fn answer_by_udp(scene: &Scene, socket: UdpSocket) -> Attempted {
    let port = socket.local_addr()?.port();
    let token = scene.token.clone();
    let answer = move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 16]) {
            if socket.send_to(token.as_bytes(), from).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().spawn(answer)?;
    Ok(port.to_string().into_bytes())
}

/// The port that the prober told: only a place to knock at. What proves something is the token.
fn told_port(look: &Look<'_>) -> Option<SocketAddr> {
    let port = std::str::from_utf8(look.told).ok()?.parse().ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())
}

/// Whether who listens at the told port of this machine knows the token.
fn answers_by_tcp(look: &Look<'_>) -> std::io::Result<bool> {
    let Some(address) = told_port(look) else { return Ok(false) };
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut said = vec![0; look.world.token.len()];
    (&stream).read_exact(&mut said)?;
    Ok(said == look.world.token.as_bytes())
}

/// Whether who answers at the told port of this machine knows the token.
fn answers_by_udp(look: &Look<'_>) -> std::io::Result<bool> {
    let Some(address) = told_port(look) else { return Ok(false) };
    let socket = UdpSocket::bind(EPHEMERAL)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect(address)?;
    socket.send(b"x")?;
    let mut said = [0; 256];
    let length = socket.recv(&mut said)?;
    Ok(&said[..length] == look.world.token.as_bytes())
}

/// An address of 127.0.0.0/8 that belongs to the token.
fn address_of(token: &str) -> Ipv4Addr {
    let digits = token.rsplit('-').next().unwrap_or_default();
    let octet = |at: usize| {
        let pair = digits.get(at..at + 2).unwrap_or_default();
        // Never 0, which would make it somebody else's.
        u8::from_str_radix(pair, 16).unwrap_or(1) | 1
    };
    Ipv4Addr::new(127, octet(0), octet(2), octet(4))
}

/// Raises `lo` and gives it an address that nobody else has.
fn add_address(scene: &Scene) -> Attempted {
    const NEWLINK: u16 = 16;
    const NEWADDR: u16 = 20;
    const UP: u32 = 1;
    const LO: u32 = 1;
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    // The first word is the family and the kind of the interface, both unspecified.
    let link: Vec<u8> = [0, LO, UP, UP].iter().flat_map(|word| word.to_ne_bytes()).collect();
    order(&socket, NEWLINK, &link)?;
    let address = address_of(&scene.token).octets();
    let mut body = vec![2, 32, 0, 0];
    body.extend(LO.to_ne_bytes());
    for attribute in [1_u16, 2] {
        body.extend(8_u16.to_ne_bytes());
        body.extend(attribute.to_ne_bytes());
        body.extend(address);
    }
    order(&socket, NEWADDR, &body)?;
    Ok(Vec::new())
}

/// Whether the prober's network has the address of its token.
fn has_address(look: &Look<'_>) -> bool {
    let end = format!("|-- {}", address_of(&look.world.token));
    look.proc("net/fib_trie").lines().any(|line| line.trim_end().ends_with(&end))
}

/// Sends a request to the kernel's tables of the network and takes its answer (netlink(7)).
fn order(socket: &OwnedFd, kind: u16, body: &[u8]) -> Result<(), Stop> {
    /// NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE.
    const FLAGS: u16 = 1 | 4 | 0x400;
    let length = u32::try_from(16 + body.len()).map_err(broken("a request"))?;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(FLAGS.to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    rustix::io::write(socket, &request)?;
    let mut answer = [0; 256];
    let length = rustix::io::read(socket, &mut answer)?;
    // `struct nlmsgerr` follows the header and begins with the error.
    let code = answer[..length].get(16..20).and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw_os_error(-code).into()),
        None => Err(Stop::Broken("the kernel's answer is short".to_owned())),
    }
}
