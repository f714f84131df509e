//! Large parts of the kernel with a history: programs in it, counters, keys, terminals, prctl(2).

use super::{SESSION_KEYRING, allows, call, descriptor, numbers, refused, socket_pair, word};
use crate::plan::Plan;
use crate::sys::Argument;
use crate::verify::probe::{Attempted, Evidence, Probe};
use crate::verify::scene::Scene;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

pub(super) const PROBES: &[Probe] = &[
    // ---- Programs in the kernel, counters, keys ------------------------------------------------
    Probe {
        helpers: true,
        evidence: Evidence::Answer(&[Errno::BADF]),
        ..refused::<{ libc::SYS_bpf }>(
            "SYS-16.bpf",
            "reach the machine for programs in the kernel",
            "bpf(2) BPF_MAP_LOOKUP_ELEM of a descriptor that does not exist",
            "bpf(2); CVE-2021-3490, CVE-2022-23222",
            |scene| {
                let mut attributes = [0; 128];
                attributes[..4].copy_from_slice(&[0xf0, 0xff, 0xff, 0x7f]);
                let attributes = Argument::Bytes(&attributes);
                call(scene, libc::SYS_bpf, &mut [1.into(), attributes, 32.into()])
            },
        )
    },
    Probe {
        granted: |plan| {
            let option = [libc::SOL_SOCKET, libc::SO_ATTACH_FILTER].map(word);
            allows(plan, libc::SYS_setsockopt, &[0, option[0], option[1]])
        },
        ..refused::<{ libc::SYS_setsockopt }>(
            "SYS-16.filter",
            "put a program of one's own into the kernel",
            "setsockopt(2) SO_ATTACH_FILTER on a socket of one's own",
            "socket(7)",
            |scene| {
                let (socket, _other) = socket_pair()?;
                // `BPF_RET | BPF_K` with 0: lets nothing through.
                let program = [0x06, 0, 0, 0, 0, 0, 0, 0];
                let mut record = [0; 16];
                record[0] = 1;
                let (socket, option) = (descriptor(&socket), word(libc::SO_ATTACH_FILTER));
                let record = Argument::Record { bytes: &record, inner: &[(8, &program)] };
                let level = word(libc::SOL_SOCKET);
                let arguments =
                    &mut [socket.into(), level.into(), option.into(), record, 16.into()];
                call(scene, libc::SYS_setsockopt, arguments)
            },
        )
    },
    refused::<{ libc::SYS_perf_event_open }>(
        "SYS-17.clock",
        "count what the processor does",
        "perf_event_open(2) of a clock in software, without the kernel's part",
        "perf_event_open(2); CVE-2013-2094",
        |scene| open_counter(scene, 0),
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL]),
        ..refused::<{ libc::SYS_perf_event_open }>(
            "SYS-17.entry",
            "reach the kernel's counters",
            "perf_event_open(2) with flags that it does not have",
            "perf_event_open(2); CVE-2013-2094",
            |scene| open_counter(scene, 0x8000_0000),
        )
    },
    refused::<{ libc::SYS_userfaultfd }>(
        "SYS-18.user",
        "stop the kernel in the middle of a copy",
        "userfaultfd(2) with UFFD_USER_MODE_ONLY, which needs no privilege",
        "userfaultfd(2)",
        |scene| numbers(scene, libc::SYS_userfaultfd, &[1]),
    ),
    Probe {
        helpers: true,
        ..refused::<{ libc::SYS_keyctl }>(
            "SYS-19.keyctl",
            "name the session's keyring",
            "keyctl(2) KEYCTL_GET_KEYRING_ID",
            "keyctl(2); CVE-2016-0728",
            |scene| numbers(scene, libc::SYS_keyctl, &[0, SESSION_KEYRING, 0]),
        )
    },
    refused::<{ libc::SYS_add_key }>(
        "SYS-19.add_key",
        "add a key",
        "add_key(2) to the process's own keyring",
        "add_key(2)",
        |scene| {
            let [kind, name, text] = [&b"user\0"[..], b"cellblock\0", b"text"].map(Argument::Bytes);
            // KEY_SPEC_PROCESS_KEYRING
            let arguments = &mut [kind, name, text, 4.into(), word(-2).into()];
            call(scene, libc::SYS_add_key, arguments)
        },
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::NOKEY]),
        ..refused::<{ libc::SYS_request_key }>(
            "SYS-19.request_key",
            "look for a key, and have the kernel ask for it",
            "request_key(2) of a key that nobody has, without the text that starts a helper",
            "request_key(2)",
            |scene| {
                let [kind, name] = [&b"user\0"[..], b"cellblock:none\0"].map(Argument::Bytes);
                call(scene, libc::SYS_request_key, &mut [kind, name, 0.into(), 0.into()])
            },
        )
    },
    // ---- Terminals -----------------------------------------------------------------------------
    Probe {
        granted: allowed_ioctl::<TIOCSETD>,
        ..refused::<{ libc::SYS_ioctl }>(
            "SYS-05.setd",
            "change a line discipline, with high bits in the request",
            "ioctl(2) TIOCSETD with bits above the 32 that the kernel looks at",
            "CVE-2019-10063; ioctl_tty(2)",
            |scene| set_discipline(scene, TIOCSETD | HIGH_BITS),
        )
    },
    Probe {
        granted: allowed_ioctl::<TIOCSTI>,
        ..refused::<{ libc::SYS_ioctl }>(
            "SYS-05.sti",
            "type into a terminal, with high bits in the request",
            "ioctl(2) TIOCSTI with bits above the 32 that the kernel looks at",
            "CVE-2019-10063; ioctl_tty(2)",
            |scene| type_letter(scene, TIOCSTI | HIGH_BITS),
        )
    },
    Probe {
        granted: allowed_ioctl::<TIOCSTI>,
        ..refused::<{ libc::SYS_ioctl }>(
            "SYS-23.sti",
            "type into a terminal",
            "ioctl(2) TIOCSTI on a terminal of one's own, where dev.tty.legacy_tiocsti lets everybody",
            "CVE-2017-5226; ioctl_tty(2)",
            |scene| type_letter(scene, TIOCSTI),
        )
    },
    Probe {
        granted: allowed_ioctl::<TIOCSETD>,
        ..refused::<{ libc::SYS_ioctl }>(
            "SYS-23.setd",
            "change a terminal's line discipline",
            "ioctl(2) TIOCSETD on a terminal of one's own, to the discipline that it has",
            "CVE-2017-2636; ioctl_tty(2)",
            |scene| set_discipline(scene, TIOCSETD),
        )
    },
    Probe {
        granted: allowed_ioctl::<TIOCLINUX>,
        evidence: Evidence::Answer(&[Errno::NOTTY, Errno::INVAL]),
        ..refused::<{ libc::SYS_ioctl }>(
            "SYS-23.linux",
            "select and paste on the console",
            "ioctl(2) TIOCLINUX on a terminal of one's own, which has no such thing",
            "CVE-2023-28100; ioctl_console(2)",
            |scene| {
                let terminal = terminal()?;
                let what = Argument::Bytes(&[2]);
                call(
                    scene,
                    libc::SYS_ioctl,
                    &mut [descriptor(&terminal).into(), TIOCLINUX.into(), what],
                )
            },
        )
    },
    // ---- What a process may make of itself -----------------------------------------------------
    Probe {
        granted: allowed_prctl::<{ libc::PR_SET_MM }>,
        ..refused::<{ libc::SYS_prctl }>(
            "SYS-25.mm",
            "disguise a process",
            "prctl(2) PR_SET_MM, its question for the size of the record",
            "PR_SET_MM(2const)",
            |scene| {
                let mut size = [0; 4];
                let (option, size) = (word(libc::PR_SET_MM), Argument::Room(&mut size));
                // PR_SET_MM_MAP_SIZE
                let arguments = &mut [option.into(), 15.into(), size, 0.into(), 0.into()];
                call(scene, libc::SYS_prctl, arguments)
            },
        )
    },
    control_of_oneself::<{ libc::PR_SET_PTRACER }>(
        "SYS-25.ptracer",
        "invite any process to trace this one",
        "prctl(2) PR_SET_PTRACER, where the kernel has Yama",
        "PR_SET_PTRACER(2const)",
        |scene| numbers(scene, libc::SYS_prctl, &[word(libc::PR_SET_PTRACER), u64::MAX]),
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::NXIO, Errno::NODEV]),
        ..control_of_oneself::<PR_SET_SPECULATION_CTRL>(
            "SYS-25.speculation",
            "undo a mitigation of the processor's bugs",
            "prctl(2) PR_SET_SPECULATION_CTRL with PR_SPEC_ENABLE",
            "PR_SET_SPECULATION_CTRL(2const)",
            |scene| {
                let option = word(PR_SET_SPECULATION_CTRL);
                numbers(scene, libc::SYS_prctl, &[option, 0, 2, 0, 0])
            },
        )
    },
    control_of_oneself::<PR_SET_SYSCALL_USER_DISPATCH>(
        "SYS-25.dispatch",
        "have one's system calls come back as signals",
        "prctl(2) PR_SET_SYSCALL_USER_DISPATCH, off",
        "PR_SET_SYSCALL_USER_DISPATCH(2const)",
        |scene| {
            let option = word(PR_SET_SYSCALL_USER_DISPATCH);
            numbers(scene, libc::SYS_prctl, &[option, 0, 0, 0, 0])
        },
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::NODEV]),
        ..control_of_oneself::<{ libc::PR_SCHED_CORE }>(
            "SYS-25.core",
            "rule with whom one shares a processor's core",
            "prctl(2) PR_SCHED_CORE_CREATE for the calling thread",
            "Documentation/admin-guide/hw-vuln/core-scheduling.rst",
            |scene| numbers(scene, libc::SYS_prctl, &[word(libc::PR_SCHED_CORE), 1, 0, 0, 0]),
        )
    },
    control_of_oneself::<PR_SET_MEMORY_MERGE>(
        "SYS-25.merge",
        "learn from merged pages what others hold",
        "prctl(2) PR_SET_MEMORY_MERGE, Linux 6.4, off",
        "PR_SET_MEMORY_MERGE(2const)",
        |scene| numbers(scene, libc::SYS_prctl, &[word(PR_SET_MEMORY_MERGE), 0, 0, 0, 0]),
    ),
];

const PR_SET_SPECULATION_CTRL: i32 = 53;
const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
const PR_SET_MEMORY_MERGE: i32 = 67;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TIOCSETD: u64 = 0x5423;
/// What the kernel does not look at, where a request is an `unsigned int`.
const HIGH_BITS: u64 = 0xdead_beef << 32;

/// An option of prctl(2) that the filter refuses.
const fn control_of_oneself<const OPTION: i32>(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    source: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    let granted = allowed_prctl::<OPTION>;
    Probe { granted, ..refused::<{ libc::SYS_prctl }>(id, title, attack, source, run) }
}

fn allowed_ioctl<const REQUEST: u64>(plan: &Plan) -> Option<String> {
    allows(plan, libc::SYS_ioctl, &[0, REQUEST])
}

fn allowed_prctl<const OPTION: i32>(plan: &Plan) -> Option<String> {
    allows(plan, libc::SYS_prctl, &[word(OPTION)])
}

fn open_counter(scene: &Scene, flags: u64) -> Attempted {
    // `struct perf_event_attr`, version 5: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, and neither
    // the kernel nor a hypervisor.
    let mut attributes = [0; 112];
    (attributes[0], attributes[4], attributes[40]) = (1, 112, 0b110_0000);
    let arguments = &mut [
        Argument::Bytes(&attributes),
        0.into(),
        word(-1).into(),
        word(-1).into(),
        flags.into(),
    ];
    call(scene, libc::SYS_perf_event_open, arguments)
}

/// A terminal of the prober's own: its slave, and nothing else of it left open. The master is kept, or
/// the terminal would hang up.
fn terminal() -> Result<OwnedFd, Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    std::mem::forget(master);
    Ok(slave)
}

/// Types a letter into a terminal of its own, which the kernel may let who has it as controlling terminal.
fn type_letter(scene: &Scene, request: u64) -> Attempted {
    let terminal = terminal()?;
    // Not rustix: a session that is led from outside of this pid namespace has no number, 0.
    if nix::unistd::getsid(None)? != nix::unistd::getpid() {
        rustix::process::setsid()?;
    }
    rustix::process::ioctl_tiocsctty(&terminal)?;
    let letter = Argument::Bytes(b"x");
    call(scene, libc::SYS_ioctl, &mut [descriptor(&terminal).into(), request.into(), letter])
}

/// Sets the discipline of a terminal of its own to the one that it has: N_TTY.
fn set_discipline(scene: &Scene, request: u64) -> Attempted {
    let terminal = terminal()?;
    let discipline = Argument::Bytes(&[0; 4]);
    call(scene, libc::SYS_ioctl, &mut [descriptor(&terminal).into(), request.into(), discipline])
}
