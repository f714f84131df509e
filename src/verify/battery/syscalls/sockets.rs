//! Kinds of sockets that no agent needs, and unusual ways to use one.

use super::{allows, call, descriptor, numbers, refused, socket_pair, word};
use crate::profile::Wall;
use crate::sys::Argument;
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Layer, Probe, Stop, landlock, layer, wall,
};
use crate::verify::scene::Scene;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::io::IoSlice;

pub(super) const PROBES: &[Probe] = &[
    // ---- Talking without connecting ------------------------------------------------------------
    Probe {
        id: "SYS-15.sendmsg",
        title: "talk to a host's socket by a message with an address",
        attack: "sendmsg(2) with the path of a datagram socket outside",
        run: |scene| {
            let (socket, address) = (datagrams()?, SocketAddrUnix::new(scene.at("datagram"))?);
            let token = [IoSlice::new(scene.token.as_bytes())];
            let mut control = rustix::net::SendAncillaryBuffer::default();
            let flags = SendFlags::empty();
            rustix::net::sendmsg_addr(&socket, &address, &token, &mut control, flags)?;
            Ok(Vec::new())
        },
        claims: &[
            wall(Wall::Mount, &[Answer::Error(Errno::NOENT)]),
            landlock(9, &[Answer::Error(Errno::ACCESS)]),
        ],
        evidence: Evidence::Arrived,
        source: "unix(7)",
        ..Probe::NEW
    },
    // ---- Kinds of sockets; those that lead to a network are in the family `network` ---------------
    Probe {
        helpers: true,
        ..socket::<{ libc::AF_NETLINK }, { libc::SOCK_RAW }, NETLINK_FIB_LOOKUP>(
            "SYS-21.routes",
            "have the kernel look up routes",
            "netlink(7)",
        )
    },
    socket::<{ libc::AF_NETLINK }, { libc::SOCK_RAW }, { libc::NETLINK_CRYPTO }>(
        "SYS-21.crypto",
        "list the kernel's ciphers",
        "netlink(7); CVE-2018-19854",
    ),
    Probe {
        claims: ROOT_ONLY_PROTOCOL,
        control: Control::Root,
        // PF_KEY_V2
        ..socket::<{ libc::AF_KEY }, { libc::SOCK_RAW }, 2>(
            "SYS-21.key",
            "manage the keys of IPsec",
            "RFC 2367",
        )
    },
    socket::<{ libc::AF_ALG }, { libc::SOCK_SEQPACKET }, 0>(
        "SYS-21.alg",
        "use the kernel's ciphers",
        "Documentation/crypto/userspace-if.rst; CVE-2019-8912",
    ),
    socket::<{ libc::AF_CAN }, { libc::SOCK_RAW }, 1>(
        "SYS-21.can",
        "talk to a vehicle's bus",
        "Documentation/networking/can.rst; CVE-2021-3609",
    ),
    socket::<{ libc::AF_BLUETOOTH }, { libc::SOCK_SEQPACKET }, 0>(
        "SYS-21.bluetooth",
        "talk by Bluetooth",
        "CVE-2020-12351",
    ),
    socket::<{ libc::AF_RDS }, { libc::SOCK_SEQPACKET }, 0>(
        "SYS-21.rds",
        "talk by RDS",
        "Documentation/networking/rds.rst; CVE-2010-3904",
    ),
    socket::<AF_KCM, { libc::SOCK_SEQPACKET }, 0>(
        "SYS-21.kcm",
        "join TCP connections in the kernel",
        "Documentation/networking/kcm.rst",
    ),
    socket::<{ libc::AF_NFC }, { libc::SOCK_STREAM }, 1>(
        "SYS-21.nfc",
        "talk to near devices",
        "Documentation/networking/nfc.rst; CVE-2021-23134",
    ),
    // ---- Bytes out of band ---------------------------------------------------------------------
    urgent::<{ libc::SYS_sendto }, 3>(
        "SYS-22.sendto",
        "send a byte out of band",
        "sendto(2) with MSG_OOB on a Unix socket of one's own",
        &[],
        |scene| {
            let (socket, _other) = socket_pair()?;
            let byte = Argument::Bytes(b"x");
            let arguments = &mut [
                descriptor(&socket).into(),
                byte,
                1.into(),
                OUT_OF_BAND.into(),
                0.into(),
                0.into(),
            ];
            call(scene, libc::SYS_sendto, arguments)
        },
    ),
    urgent::<{ libc::SYS_sendmsg }, 2>(
        "SYS-22.sendmsg",
        "send a byte out of band by a message",
        "sendmsg(2) with MSG_OOB on a Unix socket of one's own, of a byte at no address",
        &[Errno::FAULT],
        |scene| {
            let (socket, _other) = socket_pair()?;
            let mut byte = [0; 16];
            byte[8] = 1;
            let mut message = [0; 56];
            message[24] = 1;
            let message = Argument::Record { bytes: &message, inner: &[(16, &byte)] };
            call(
                scene,
                libc::SYS_sendmsg,
                &mut [descriptor(&socket).into(), message, OUT_OF_BAND.into()],
            )
        },
    ),
    urgent::<{ libc::SYS_recvfrom }, 3>(
        "SYS-22.recvfrom",
        "take a byte out of band",
        "recvfrom(2) with MSG_OOB on a Unix socket where there is none",
        &[Errno::INVAL],
        |scene| {
            let (socket, _other) = socket_pair()?;
            let mut room = [0];
            let (room, socket) = (Argument::Room(&mut room), descriptor(&socket));
            let flags = OUT_OF_BAND | word(libc::MSG_DONTWAIT);
            let arguments = &mut [socket.into(), room, 1.into(), flags.into(), 0.into(), 0.into()];
            call(scene, libc::SYS_recvfrom, arguments)
        },
    ),
    urgent::<{ libc::SYS_recvmsg }, 2>(
        "SYS-22.recvmsg",
        "take a byte out of band by a message",
        "recvmsg(2) with MSG_OOB on a Unix socket where there is none",
        &[Errno::INVAL],
        |scene| {
            let (socket, _other) = socket_pair()?;
            let mut message = [0; 56];
            let message = Argument::Room(&mut message);
            let flags = OUT_OF_BAND | word(libc::MSG_DONTWAIT);
            call(scene, libc::SYS_recvmsg, &mut [descriptor(&socket).into(), message, flags.into()])
        },
    ),
];

/// The filter refuses it as a kernel would that has no such protocol.
const NO_PROTOCOL: &[Claim] = &[wall(Wall::Seccomp, &[Answer::Error(Errno::AFNOSUPPORT)])];

/// As root only, but the filter has an error of its own.
const ROOT_ONLY_PROTOCOL: &[Claim] = &[
    layer(Layer::Uid, &[Answer::Error(Errno::PERM)]),
    wall(Wall::Seccomp, &[Answer::Error(Errno::AFNOSUPPORT)]),
];

/// The filter refuses bytes out of band.
const NO_URGENT: &[Claim] = &[wall(Wall::Seccomp, &[Answer::Error(Errno::OPNOTSUPP)])];

const AF_KCM: i32 = 41;
const NETLINK_FIB_LOOKUP: i32 = 10;
const OUT_OF_BAND: u64 = libc::MSG_OOB as u64;

/// A socket of a kind that no agent needs.
const fn socket<const DOMAIN: i32, const KIND: i32, const PROTOCOL: i32>(
    id: &'static str,
    title: &'static str,
    source: &'static str,
) -> Probe {
    Probe {
        id,
        title,
        attack: "socket(2), where the kernel has the protocol without loading a module",
        claims: NO_PROTOCOL,
        run: make_socket::<DOMAIN, KIND, PROTOCOL>,
        granted: |plan| allows(plan, libc::SYS_socket, &[DOMAIN, KIND, PROTOCOL].map(word)),
        source,
        ..Probe::NEW
    }
}

/// A byte out of band by call `NUMBER`, whose argument `FLAGS` has the flag.
const fn urgent<const NUMBER: i64, const FLAGS: usize>(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    entered: &'static [Errno],
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        claims: NO_URGENT,
        evidence: Evidence::Answer(entered),
        granted: |plan| {
            let mut arguments = [0; 6];
            arguments[FLAGS] = OUT_OF_BAND;
            allows(plan, NUMBER, &arguments)
        },
        ..refused::<NUMBER>(id, title, attack, "CVE-2025-38236; unix(7)", run)
    }
}

fn datagrams() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
}

fn make_socket<const DOMAIN: i32, const KIND: i32, const PROTOCOL: i32>(
    scene: &Scene,
) -> Attempted {
    has_protocol(DOMAIN, PROTOCOL)?;
    numbers(scene, libc::SYS_socket, &[DOMAIN, KIND, PROTOCOL].map(word))
}

/// Whether the kernel has the protocol. Asking for one that it lacks would make it load a module, which
/// would stay; the answer is one that the filter does not give.
pub(in super::super) fn has_protocol(domain: i32, protocol: i32) -> Result<(), Stop> {
    let (list, column, name) = match domain {
        libc::AF_NETLINK => ("/proc/net/netlink", 1, protocol.to_string()),
        _ => ("/proc/net/protocols", 0, protocol_name(domain).to_owned()),
    };
    let text = std::fs::read_to_string(list)?;
    let known = text.lines().any(|line| line.split_whitespace().nth(column) == Some(&name));
    if known { Ok(()) } else { Err(Errno::PROTONOSUPPORT.into()) }
}

/// The name of a protocol in `/proc/net/protocols`.
fn protocol_name(domain: i32) -> &'static str {
    match domain {
        libc::AF_KEY => "KEY",
        libc::AF_ALG => "ALG",
        libc::AF_CAN => "CAN_RAW",
        libc::AF_BLUETOOTH => "L2CAP",
        libc::AF_RDS => "RDS",
        AF_KCM => "KCM",
        libc::AF_NFC => "NFC_LLCP",
        _ => "",
    }
}
