//! What only x86_64 has: the calls of 32-bit programs, ports and segments.

use super::super::shared::text;
use super::{MISSING, NO_SUCH_NAMESPACE, SESSION_KEYRING, USER, call, numbers, refused};
use crate::profile::Wall;
use crate::sys::Argument;
use crate::verify::probe::{Answer, Attempted, Evidence, Probe, landlock, wall};
use crate::verify::scene::Scene;
use rustix::io::Errno;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "SYS-01.open",
        title: "open a secret with a 32-bit program's call",
        attack: "int 0x80 with i386's number of open, which is fstat's of x86_64",
        claims: &[
            wall(Wall::Mount, &[Answer::Error(Errno::NOENT)]),
            landlock(1, &[Answer::Error(Errno::ACCESS)]),
            wall(Wall::Seccomp, &[Answer::Error(Errno::NOSYS)]),
        ],
        evidence: Evidence::Secret,
        run: |scene| {
            let path = text(&scene.at("secret/canary"));
            let file = scene.call_i386(5, &mut [Argument::Bytes(&path), 0.into()])?;
            Ok(std::fs::read(format!("/proc/self/fd/{file}"))?)
        },
        source: "seccomp(2), on the arch field; syscall(2)",
        ..Probe::NEW
    },
    Probe {
        helpers: true,
        ..i386(
            "SYS-01.keyctl",
            "name a keyring with a 32-bit program's call",
            "int 0x80 with i386's number of keyctl, which is accept4's of x86_64",
            |scene| {
                scene.call_i386(288, &mut [0.into(), SESSION_KEYRING.into(), 0.into()])?;
                Ok(Vec::new())
            },
        )
    },
    i386(
        "SYS-01.socketcall",
        "make a netlink socket with a 32-bit program's call",
        "int 0x80 with i386's number of socketcall, whose arguments no filter sees",
        |scene| {
            // AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT.
            let words: Vec<u8> =
                [16_u32, 3, 15].iter().flat_map(|word| word.to_ne_bytes()).collect();
            scene.call_i386(102, &mut [1.into(), Argument::Bytes(&words)])?;
            Ok(Vec::new())
        },
    ),
    i386(
        "SYS-01.io_uring",
        "make an io_uring with a 32-bit program's call",
        "int 0x80 with the number of io_uring_setup, the same for i386 and x86_64",
        |scene| {
            let mut parameters = [0; 120];
            scene.call_i386(425, &mut [1.into(), Argument::Room(&mut parameters)])?;
            Ok(Vec::new())
        },
    ),
    Probe {
        claims: NO_SUCH_NAMESPACE,
        ..i386(
            "SYS-01.unshare",
            "make a user namespace with a 32-bit program's call",
            "int 0x80 with i386's number of unshare and CLONE_NEWUSER",
            |scene| {
                scene.call_i386(310, &mut [USER.into()])?;
                Ok(Vec::new())
            },
        )
    },
    Probe {
        id: "SYS-02.keyctl",
        title: "name a keyring with an x32 program's call",
        attack: "keyctl by its number with the x32 bit 0x40000000",
        claims: MISSING,
        run: |scene| {
            let number = 0x4000_0000 | libc::SYS_keyctl;
            numbers(scene, number, &[0, SESSION_KEYRING, 0])
        },
        source: "seccomp(2), on __X32_SYSCALL_BIT",
        ..Probe::NEW
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL]),
        ..refused::<{ libc::SYS_iopl }>(
            "SYS-20.iopl",
            "use the machine's ports",
            "iopl(2) with a level that does not exist",
            "iopl(2)",
            |scene| numbers(scene, libc::SYS_iopl, &[4]),
        )
    },
    refused::<{ libc::SYS_ioperm }>(
        "SYS-20.ioperm",
        "use one of the machine's ports",
        "ioperm(2) that gives a port back, which everybody may",
        "ioperm(2)",
        |scene| numbers(scene, libc::SYS_ioperm, &[0x80, 1, 0]),
    ),
    refused::<{ libc::SYS_modify_ldt }>(
        "SYS-20.modify_ldt",
        "have segments of one's own",
        "modify_ldt(2) that writes an empty entry",
        "modify_ldt(2)",
        |scene| {
            // `struct user_desc`: entry 0, neither readable nor present, which is what an empty one is.
            let entry: Vec<u8> =
                [0_u32, 0, 0, 0x28].iter().flat_map(|word| word.to_ne_bytes()).collect();
            let arguments = &mut [1.into(), Argument::Bytes(&entry), 16.into()];
            call(scene, libc::SYS_modify_ldt, arguments)
        },
    ),
];

/// A call by `int 0x80`, which the filter takes for one of another machine.
const fn i386(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        id,
        title,
        attack,
        claims: MISSING,
        run,
        source: "seccomp(2), on the arch field; syscall(2)",
        ..Probe::NEW
    }
}
