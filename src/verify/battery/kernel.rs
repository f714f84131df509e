//! Ways to known bugs of the kernel, told by whether one gets there: nothing is exploited.
//!
//! Most lie behind capabilities that anybody has in a user namespace of his own, so that making one is the
//! first step. What needs none and is refused as a call or a kind of socket is in the family `syscalls`.

use super::raw;
use super::syscalls::{
    MISSING, NO_NAMESPACE, NOTHING, allows, call, descriptor, has_protocol, numbers, word,
};
use crate::profile::Wall;
use crate::sys::Argument;
use crate::verify::probe::{Answer, Attempted, Evidence, Family, Probe, Stop, wall};
use crate::verify::scene::Scene;
use nix::sched::CloneFlags;
use rustix::io::Errno;

/// The family.
pub const FAMILY: Family =
    Family { name: "kernel", title: "ways to known bugs of the kernel", probes: PROBES, jobs: &[] };

const PROBES: &[Probe] = &[
    behind_namespace(
        "KRN-01.nft",
        "reach the tables of the packet filter",
        "a netlink socket bound to the group of nf_tables, in a user and a network namespace of one's own",
        "CVE-2024-1086, CVE-2023-32233; netlink(7)",
        |scene| {
            enter(CloneFlags::CLONE_NEWNET)?;
            has_protocol(libc::AF_NETLINK, libc::NETLINK_NETFILTER)?;
            has_module("nf_tables")?;
            // NFNLGRP_NFTABLES
            join_group(scene, libc::NETLINK_NETFILTER, 7)
        },
    ),
    behind_namespace(
        "KRN-02.fsconfig",
        "set up a file system by its parameters",
        "fsconfig(2) of a tmpfs, in a user and a mount namespace of one's own",
        "CVE-2022-0185; fsconfig(2)",
        |scene| {
            enter(CloneFlags::CLONE_NEWNS)?;
            let kind = Argument::Bytes(b"tmpfs\0");
            let context = raw(libc::SYS_fsopen, &mut [kind, 0.into()])?;
            let [key, value] = [&b"size\0"[..], b"4096\0"].map(Argument::Bytes);
            // FSCONFIG_SET_STRING
            let arguments = &mut [context.into(), 1.into(), key, value, 0.into()];
            call(scene, libc::SYS_fsconfig, arguments)
        },
    ),
    behind_namespace(
        "KRN-03.packet",
        "set up a ring of packets",
        "setsockopt(2) PACKET_VERSION on a packet socket, in a user and a network namespace of one's own",
        "CVE-2017-7308, CVE-2020-14386; packet(7)",
        |scene| {
            enter(CloneFlags::CLONE_NEWNET)?;
            let socket = make_socket(libc::AF_PACKET, 0)?;
            // TPACKET_V3
            set_option(scene, socket, [libc::SOL_PACKET, libc::PACKET_VERSION], &[2, 0, 0, 0])
        },
    ),
    behind_namespace(
        "KRN-04.xfrm",
        "reach the states of IPsec",
        "a netlink socket bound to a group of xfrm, in a user and a network namespace of one's own",
        "CVE-2017-7184, CVE-2022-27666",
        |scene| {
            enter(CloneFlags::CLONE_NEWNET)?;
            has_protocol(libc::AF_NETLINK, libc::NETLINK_XFRM)?;
            // XFRMNLGRP_SA
            join_group(scene, libc::NETLINK_XFRM, 3)
        },
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL]),
        ..behind_namespace(
            "KRN-05.iptables",
            "replace the packet filter's rules",
            "setsockopt(2) IPT_SO_SET_REPLACE of an empty table, in a user and a network namespace of one's own",
            "CVE-2021-22555, CVE-2016-4997",
            |scene| {
                enter(CloneFlags::CLONE_NEWNET)?;
                let socket = make_socket(libc::AF_INET, 0)?;
                set_option(scene, socket, [libc::SOL_IP, 64], &[0; 128])
            },
        )
    },
    behind_namespace(
        "KRN-06.tc",
        "set up the queues of a network device",
        "RTM_NEWQDISC for `lo` by netlink, in a user and a network namespace of one's own",
        "CVE-2022-2588, CVE-2023-1829; rtnetlink(7)",
        |scene| {
            enter(CloneFlags::CLONE_NEWNET)?;
            let socket = make_socket(libc::AF_NETLINK, libc::NETLINK_ROUTE)?;
            // What the kernel thinks of a message is a message, too, which the answer of no call shows: only
            // once it has taken the queue is it sent again, by the call that decides.
            let message = new_queue();
            acknowledged(socket, &message)?;
            let (length, message) = (message.len() as u64, Argument::Bytes(&message));
            let arguments =
                &mut [socket.into(), message, length.into(), 0.into(), 0.into(), 0.into()];
            call(scene, libc::SYS_sendto, arguments)
        },
    ),
    behind_namespace(
        "KRN-07.raw",
        "forge packets",
        "a raw socket, in a user and a network namespace of one's own",
        "CVE-2017-17712; raw(7)",
        |scene| {
            enter(CloneFlags::CLONE_NEWNET)?;
            let words = [libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW].map(word);
            numbers(scene, libc::SYS_socket, &words)
        },
    ),
    Probe {
        id: "KRN-08.ulp",
        title: "have TLS in the kernel",
        attack: "setsockopt(2) TCP_ULP on a TCP socket that is not connected",
        claims: &[wall(
            Wall::Seccomp,
            // The second where the policy has no TCP at all.
            &[Answer::Error(Errno::NOPROTOOPT), Answer::Error(Errno::AFNOSUPPORT)],
        )],
        // It is loaded, or only who administers the network has it loaded.
        evidence: Evidence::Answer(&[Errno::NOTCONN, Errno::NOENT]),
        run: |scene| {
            let words = [libc::AF_INET, libc::SOCK_STREAM, 0].map(|it| word(it).into());
            let socket = raw(libc::SYS_socket, &mut { words })?;
            set_option(scene, socket, [libc::SOL_TCP, libc::TCP_ULP], b"tls\0")
        },
        granted: |plan| {
            let option = [0, libc::SOL_TCP, libc::TCP_ULP].map(word);
            allows(plan, libc::SYS_setsockopt, &option)
        },
        source: "CVE-2023-0461; Documentation/networking/tls.rst",
        ..Probe::NEW
    },
    Probe {
        id: "KRN-09.vmsplice",
        title: "give pages of memory away by reference",
        attack: "vmsplice(2) of four bytes into a pipe",
        claims: MISSING,
        run: |scene| {
            let (_reader, writer) = rustix::pipe::pipe()?;
            let mut vector = [0; 16];
            vector[8] = 4;
            let vector = Argument::Record { bytes: &vector, inner: &[(0, b"page")] };
            let arguments = &mut [descriptor(&writer).into(), vector, 1.into(), 0.into()];
            call(scene, libc::SYS_vmsplice, arguments)
        },
        granted: |plan| allows(plan, libc::SYS_vmsplice, &[]),
        source: "CVE-2020-29374, CVE-2008-0600; vmsplice(2)",
        ..Probe::NEW
    },
    Probe {
        id: "KRN-10.mq_notify",
        title: "be notified of messages",
        attack: "mq_notify(2) of a descriptor that does not exist",
        claims: MISSING,
        evidence: Evidence::Answer(&[Errno::BADF]),
        run: |scene| numbers(scene, libc::SYS_mq_notify, &[NOTHING, 0]),
        granted: |plan| allows(plan, libc::SYS_mq_notify, &[]),
        source: "CVE-2017-11176; mq_notify(3)",
        ..Probe::NEW
    },
];

/// What needs a capability in a user namespace, be it one's own.
const fn behind_namespace(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    source: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe { id, title, attack, source, run, claims: NO_NAMESPACE, ..Probe::NEW }
}

/// Enters a user namespace of the prober's own, and another one that belongs to it.
fn enter(other: CloneFlags) -> Result<(), Stop> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWUSER | other)?)
}

/// Whether the kernel has `module`; asking for what it lacks would load it.
fn has_module(module: &str) -> Result<(), Stop> {
    match std::fs::read_to_string("/proc/modules") {
        Ok(text) if text.lines().any(|line| line.split(' ').next() == Some(module)) => Ok(()),
        Ok(_) => Err(Errno::OPNOTSUPP.into()),
        // It loads none: what it lacks it will always lack.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A raw socket, on the way to what decides.
fn make_socket(domain: i32, protocol: i32) -> Result<u64, Errno> {
    // Every protocol of packets with IP has datagrams, without a capability.
    let kind = if domain == libc::AF_INET { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
    raw(libc::SYS_socket, &mut [domain, kind, protocol].map(|it| word(it).into()))
}

/// Joins a multicast group of a netlink protocol, which only the network's administrator may.
fn join_group(scene: &Scene, protocol: i32, group: u32) -> Attempted {
    let socket = make_socket(libc::AF_NETLINK, protocol)?;
    // `struct sockaddr_nl`
    let mut address = [0; 12];
    address[0] = 16;
    address[8..].copy_from_slice(&(1_u32 << (group - 1)).to_ne_bytes());
    let address = Argument::Bytes(&address);
    call(scene, libc::SYS_bind, &mut [socket.into(), address, 12.into()])
}

/// Sets an option of a socket: the call that decides.
fn set_option(scene: &Scene, socket: u64, option: [i32; 2], value: &[u8]) -> Attempted {
    let [level, option] = option.map(|it| Argument::Number(word(it)));
    let (length, value) = (value.len() as u64, Argument::Bytes(value));
    let arguments = &mut [socket.into(), level, option, value, length.into()];
    call(scene, libc::SYS_setsockopt, arguments)
}

/// RTM_NEWQDISC of a plain queue for the first device, `lo` (rtnetlink(7)).
fn new_queue() -> Vec<u8> {
    const NEW_QDISC: u16 = 36;
    // NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE
    const FLAGS: u16 = 0x1 | 0x4 | 0x400 | 0x100;
    let kind = b"pfifo\0\0\0";
    let mut message = 48_u32.to_ne_bytes().to_vec();
    message.extend([NEW_QDISC, FLAGS].iter().flat_map(|half| half.to_ne_bytes()));
    // Sequence and port; `struct tcmsg`: family, device 1, handle, TC_H_ROOT, nothing.
    let words = [1, 0, 0, 1, 0, 0xffff_ffff, 0_u32];
    message.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    // TCA_KIND, 10 bytes with its head.
    message.extend([10_u16, 1].iter().flat_map(|half| half.to_ne_bytes()));
    message.extend(kind);
    message
}

/// Sends a message by netlink; the kernel's answer is a message with an error in it.
fn acknowledged(socket: u64, message: &[u8]) -> Result<(), Stop> {
    let length = (message.len() as u64).into();
    let bytes = Argument::Bytes(message);
    let none = || Argument::Number(0);
    raw(libc::SYS_sendto, &mut [socket.into(), bytes, length, none(), none(), none()])?;
    let mut answer = [0; 256];
    let flags = word(libc::MSG_DONTWAIT).into();
    let room = Argument::Room(&mut answer);
    raw(libc::SYS_recvfrom, &mut [socket.into(), room, 256.into(), flags, none(), none()])?;
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(Stop::Refused(-error)),
    }
}
