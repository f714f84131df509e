//! Ways into the kernel that a filter may not see, or not see whole.

use super::super::shared::here;
use super::{
    MISSING, NO_NAMESPACE, NO_SUCH_NAMESPACE, NOTHING, REFUSED, USER, allowed, call,
    filter_oneself, numbers, raw, refused,
};
use crate::sys::Argument;
use crate::verify::look::Look;
use crate::verify::probe::{Evidence, Probe, Stop};
use rustix::io::Errno;

pub(super) const PROBES: &[Probe] = &[
    // ---- Calls made by somebody else -----------------------------------------------------------
    Probe {
        helpers: true,
        ..refused::<{ libc::SYS_io_uring_setup }>(
            "SYS-03.setup",
            "make an io_uring",
            "io_uring_setup(2): a ring performs calls that no filter sees",
            "io_uring_setup(2)",
            |scene| {
                let mut parameters = [0; 120];
                call(
                    scene,
                    libc::SYS_io_uring_setup,
                    &mut [1.into(), Argument::Room(&mut parameters)],
                )
            },
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::BADF]),
        ..refused::<{ libc::SYS_io_uring_enter }>(
            "SYS-03.enter",
            "use an io_uring that somebody else made",
            "io_uring_enter(2) of a descriptor that does not exist",
            "io_uring_enter(2)",
            |scene| numbers(scene, libc::SYS_io_uring_enter, &[NOTHING, 0, 0, 0, 0, 0]),
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::BADF]),
        ..refused::<{ libc::SYS_io_uring_register }>(
            "SYS-03.register",
            "change an io_uring that somebody else made",
            "io_uring_register(2) of a descriptor that does not exist",
            "io_uring_register(2)",
            // IORING_UNREGISTER_BUFFERS
            |scene| numbers(scene, libc::SYS_io_uring_register, &[NOTHING, 1, 0, 0]),
        )
    },
    // ---- Namespaces -----------------------------------------------------------------------------
    Probe {
        id: "SYS-06.user",
        title: "make a user namespace with clone3",
        attack: "clone3(2) with CLONE_NEWUSER, behind a pointer that no filter follows",
        claims: NO_SUCH_NAMESPACE,
        run: |scene| {
            scene.clone3(USER)?;
            Ok(Vec::new())
        },
        helpers: true,
        source: "clone(2); CVE-2021-41133",
        ..Probe::NEW
    },
    Probe {
        id: "SYS-06.all",
        title: "make all namespaces at once with clone3",
        attack: "clone3(2) with CLONE_NEWUSER and six other namespaces",
        claims: NO_SUCH_NAMESPACE,
        run: |scene| {
            scene.clone3(ALL)?;
            Ok(Vec::new())
        },
        source: "clone(2); namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        helpers: true,
        claims: NO_NAMESPACE,
        // A policy that allows it grants no user namespace.
        granted: |_| None,
        ..refused::<{ libc::SYS_unshare }>(
            "SYS-07.unshare",
            "make a user namespace",
            "unshare(2) with CLONE_NEWUSER",
            "user_namespaces(7)",
            |scene| numbers(scene, libc::SYS_unshare, &[USER]),
        )
    },
    Probe {
        id: "SYS-07.clone",
        title: "make a user namespace with a child",
        attack: "clone(2) with CLONE_NEWUSER",
        claims: NO_NAMESPACE,
        run: |scene| {
            scene.make_child(USER)?;
            Ok(Vec::new())
        },
        source: "clone(2); user_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "SYS-07.capabilities",
        title: "have every capability in a user namespace of one's own",
        attack: "unshare(2) with CLONE_NEWUSER, which gives its caller all capabilities there",
        claims: NO_NAMESPACE,
        evidence: Evidence::Look(|look| look.status("CapEff").contains(|digit| digit != '0')),
        run: |_| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
            Ok(Vec::new())
        },
        source: "user_namespaces(7)",
        ..Probe::NEW
    },
    // ---- Calls that are newer than most filters ------------------------------------------------
    refused::<OPEN_TREE_ATTR>(
        "SYS-08.open_tree_attr",
        "take hold of a mount with a call of 2025",
        "open_tree_attr(2), Linux 6.15, of the root directory",
        "open_tree(2); kernel commit c4a16820d901",
        |scene| {
            let root = Argument::Bytes(b"/\0");
            call(scene, OPEN_TREE_ATTR, &mut [here(), root, 0.into(), 0.into(), 0.into()])
        },
    ),
    Probe {
        claims: MISSING,
        ..refused::<FILE_GETATTR>(
            "SYS-08.file_getattr",
            "read a file's attributes with a call that the policy does not know",
            "file_getattr(2), Linux 6.17, of the root directory",
            "file_getattr(2)",
            |scene| {
                let root = Argument::Bytes(b"/\0");
                let mut room = [0; 24];
                let room = Argument::Room(&mut room);
                call(scene, FILE_GETATTR, &mut [here(), root, room, 24.into(), 0.into()])
            },
        )
    },
    Probe {
        claims: MISSING,
        evidence: Evidence::Answer(&[Errno::INVAL, Errno::FAULT]),
        ..refused::<LISTNS>(
            "SYS-08.listns",
            "list the host's namespaces",
            "listns(2), Linux 6.19, with flags that it does not have",
            "kernel commit 76b6f5dfb3fd",
            |scene| numbers(scene, LISTNS, &[0, 0, 0, 0x8000_0000]),
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL, Errno::OPNOTSUPP, Errno::TOOBIG]),
        ..refused::<LSM_SET_SELF_ATTR>(
            "SYS-08.lsm_set_self_attr",
            "change the process's security attributes",
            "lsm_set_self_attr(2), Linux 6.8, of an attribute that does not exist",
            "Documentation/userspace-api/lsm.rst",
            |scene| {
                let context = Argument::Bytes(&[0; 32]);
                let arguments = &mut [0xffff.into(), context, 32.into(), 0.into()];
                call(scene, LSM_SET_SELF_ATTR, arguments)
            },
        )
    },
    Probe {
        claims: MISSING,
        evidence: Evidence::Answer(&[Errno::BADF]),
        ..refused::<{ libc::SYS_process_mrelease }>(
            "SYS-08.process_mrelease",
            "take away a dying process's memory",
            "process_mrelease(2), Linux 5.15, of a descriptor that does not exist",
            "kernel commit 884a7e5964e0",
            |scene| numbers(scene, libc::SYS_process_mrelease, &[NOTHING, 0]),
        )
    },
    // ---- Ways around a filter that stands, and siblings of what it refuses ---------------------
    Probe {
        id: "SYS-09.thread",
        title: "make an io_uring from a new thread",
        attack: "a thread that is started after the filter calls io_uring_setup(2)",
        claims: REFUSED,
        evidence: Evidence::Look(has_ring),
        run: |_| {
            let made = std::thread::spawn(make_ring).join();
            made.map_err(|_| Stop::Broken("the thread panicked".to_owned()))??;
            Ok(Vec::new())
        },
        helpers: true,
        granted: allowed::<{ libc::SYS_io_uring_setup }>,
        source: "seccomp(2)",
        ..Probe::NEW
    },
    refused::<{ libc::SYS_io_uring_setup }>(
        "SYS-12.allow",
        "lay a filter that allows all over the jail's",
        "seccomp(2) with a filter that allows every call, then io_uring_setup(2)",
        "seccomp(2), on the precedence of actions",
        |scene| {
            filter_oneself(&[], 0)?;
            let mut parameters = [0; 120];
            let arguments = &mut [1.into(), Argument::Room(&mut parameters)];
            call(scene, libc::SYS_io_uring_setup, arguments)
        },
    ),
    Probe {
        claims: MISSING,
        ..refused::<{ libc::SYS_io_setup }>(
            "SYS-14.io_setup",
            "read and write by the older asynchronous calls",
            "io_setup(2)",
            "io_setup(2)",
            |scene| {
                let mut context = [0; 8];
                let arguments = &mut [1.into(), Argument::Room(&mut context)];
                call(scene, libc::SYS_io_setup, arguments)
            },
        )
    },
    Probe {
        claims: MISSING,
        ..refused::<{ libc::SYS_memfd_secret }>(
            "SYS-14.memfd_secret",
            "have memory that the kernel itself cannot read",
            "memfd_secret(2)",
            "memfd_secret(2)",
            |scene| numbers(scene, libc::SYS_memfd_secret, &[0]),
        )
    },
];

/// All namespaces at once.
const ALL: u64 = USER
    | (libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP) as u64;

const LSM_SET_SELF_ATTR: i64 = 460;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_GETATTR: i64 = 468;
const LISTNS: i64 = 470;

fn make_ring() -> Result<u64, Errno> {
    let mut parameters = [0; 120];
    let arguments = &mut [1.into(), Argument::Room(&mut parameters)];
    raw(libc::SYS_io_uring_setup, arguments)
}

fn has_ring(look: &Look<'_>) -> bool {
    look.descriptors().iter().any(|(_, target)| target.contains("[io_uring]"))
}
