//! What belongs to the host and all on it: its modules, clocks, quotas, ports and memory nodes.

use super::super::shared::{here, text};
use super::{
    NOTHING, REFUSED, allows, call, descriptor, filter_oneself, numbers, raw, refused, word,
};
use crate::sys::Argument;
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Layer, Probe, Stop, layer,
};
use crate::verify::scene::Scene;
use rustix::io::Errno;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "SYS-20.asked",
        title: "administer the host",
        attack: "every call of administration, under a filter of one's own that keeps each from the kernel and \
                 answers ENOSYS where the jail's filter has nothing to say",
        claims: REFUSED,
        evidence: Evidence::Answer(&[Errno::NOSYS]),
        run: |scene| {
            // SECCOMP_RET_TRACE: weaker than an errno, and without a tracer that asked for it ENOSYS.
            filter_oneself(ADMINISTRATION, 0x7ff0_0000)?;
            let gets_past = |number: &&i64| raw(**number, &mut []) == Err(Errno::NOSYS);
            let first = ADMINISTRATION.iter().find(gets_past).or(ADMINISTRATION.first());
            let number = first.ok_or_else(|| Stop::Broken("there is no such call".to_owned()))?;
            numbers(scene, *number, &[])
        },
        helpers: true,
        granted: |plan| ADMINISTRATION.iter().find_map(|number| allows(plan, *number, &[])),
        source: "seccomp(2), on the precedence of actions and on SECCOMP_RET_TRACE",
        ..Probe::NEW
    },
    administration::<{ libc::SYS_reboot }>(
        "SYS-20.reboot",
        "reboot(2) without its magic numbers",
        &[Errno::INVAL],
        "reboot(2)",
        |scene| numbers(scene, libc::SYS_reboot, &[0, 0, 0, 0]),
    ),
    administration::<{ libc::SYS_kexec_load }>(
        "SYS-20.kexec_load",
        "kexec_load(2) with flags that it does not have and too many segments",
        &[Errno::INVAL],
        "kexec_load(2)",
        |scene| numbers(scene, libc::SYS_kexec_load, &[0, 1 << 20, 0, 0x8000]),
    ),
    administration::<KEXEC_FILE_LOAD>(
        "SYS-20.kexec_file_load",
        "kexec_file_load(2) of no file, with flags that it does not have",
        &[Errno::INVAL],
        "kexec_file_load(2)",
        |scene| numbers(scene, KEXEC_FILE_LOAD, &[NOTHING, NOTHING, 0, 0, 0x8000_0000]),
    ),
    administration::<{ libc::SYS_init_module }>(
        "SYS-20.init_module",
        "init_module(2) of an empty module",
        &[Errno::NOEXEC],
        "init_module(2)",
        |scene| {
            let nothing = [Argument::Bytes(b"\0"), 0.into(), Argument::Bytes(b"\0")];
            call(scene, libc::SYS_init_module, &mut { nothing })
        },
    ),
    administration::<{ libc::SYS_finit_module }>(
        "SYS-20.finit_module",
        "finit_module(2) of no file, with flags that it does not have",
        &[Errno::INVAL, Errno::BADF],
        "finit_module(2)",
        |scene| {
            let parameters = Argument::Bytes(b"\0");
            let arguments = &mut [NOTHING.into(), parameters, 0x8000_0000.into()];
            call(scene, libc::SYS_finit_module, arguments)
        },
    ),
    administration::<{ libc::SYS_delete_module }>(
        "SYS-20.delete_module",
        "delete_module(2) of a module that does not exist",
        &[Errno::NOENT],
        "delete_module(2)",
        |scene| {
            let name = Argument::Bytes(b"cellblock_no_such_module\0");
            call(scene, libc::SYS_delete_module, &mut [name, word(libc::O_NONBLOCK).into()])
        },
    ),
    administration::<{ libc::SYS_acct }>(
        "SYS-20.acct",
        "acct(2) with a file that does not exist",
        &[Errno::NOENT],
        "acct(2)",
        |scene| with_path(scene, libc::SYS_acct, &scene.at("nowhere/file"), 0),
    ),
    administration::<{ libc::SYS_swapoff }>(
        "SYS-20.swapoff",
        "swapoff(2) of a file that does not exist",
        &[Errno::NOENT],
        "swapoff(2)",
        |scene| with_path(scene, libc::SYS_swapoff, &scene.at("nowhere/file"), 0),
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL]),
        ..refused::<{ libc::SYS_swapon }>(
            "SYS-20.swapon",
            "have the host swap to a file",
            "swapon(2) with flags that it does not have, which it looks at before it asks who calls",
            "swapon(2)",
            |scene| with_path(scene, libc::SYS_swapon, &scene.at("nowhere/file"), 0x4000_0000),
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::NODEV]),
        ..refused::<{ libc::SYS_quotactl }>(
            "SYS-20.quotactl",
            "reach the quotas of disks",
            "quotactl(2) Q_GETFMT of no device",
            "quotactl(2)",
            |scene| numbers(scene, libc::SYS_quotactl, &[0x8000_0400, 0, 0, 0]),
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::BADF]),
        ..refused::<{ libc::SYS_quotactl_fd }>(
            "SYS-20.quotactl_fd",
            "reach the quotas of disks by a descriptor",
            "quotactl_fd(2) Q_GETFMT of a descriptor that does not exist",
            "quotactl(2)",
            |scene| numbers(scene, libc::SYS_quotactl_fd, &[NOTHING, 0x8000_0400, 0, 0]),
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL]),
        ..refused::<{ libc::SYS_settimeofday }>(
            "SYS-20.settimeofday",
            "set the host's clock",
            "settimeofday(2) with a time that no clock has, which is looked at before who calls",
            "settimeofday(2)",
            |scene| {
                let time: Vec<u8> =
                    [0, -1_i64].iter().flat_map(|part| part.to_ne_bytes()).collect();
                call(scene, libc::SYS_settimeofday, &mut [Argument::Bytes(&time), 0.into()])
            },
        )
    },
    Probe {
        evidence: Evidence::Answer(&[Errno::INVAL]),
        ..refused::<{ libc::SYS_clock_settime }>(
            "SYS-20.clock_settime",
            "set one of the host's clocks",
            "clock_settime(2) of CLOCK_MONOTONIC, which nobody can set",
            "clock_settime(2)",
            |scene| {
                let time = Argument::Bytes(&[0; 16]);
                call(scene, libc::SYS_clock_settime, &mut [1.into(), time])
            },
        )
    },
    refused::<{ libc::SYS_clock_adjtime }>(
        "SYS-20.clock_adjtime",
        "read how the host's clock is kept",
        "clock_adjtime(2) without changing anything",
        "clock_adjtime(2)",
        |scene| {
            let mut state = [0; 208];
            call(scene, libc::SYS_clock_adjtime, &mut [0.into(), Argument::Room(&mut state)])
        },
    ),
    refused::<{ libc::SYS_adjtimex }>(
        "SYS-20.adjtimex",
        "read how the host's clock is kept, by the older call",
        "adjtimex(2) without changing anything",
        "adjtimex(2)",
        |scene| {
            let mut state = [0; 208];
            call(scene, libc::SYS_adjtimex, &mut [Argument::Room(&mut state)])
        },
    ),
    refused::<{ libc::SYS_syslog }>(
        "SYS-20.syslog",
        "ask for the kernel's log",
        "syslog(2) SYSLOG_ACTION_SIZE_BUFFER, where kernel.dmesg_restrict lets everybody",
        "syslog(2)",
        |scene| numbers(scene, libc::SYS_syslog, &[10, 0, 0]),
    ),
    Probe {
        granted: |plan| allows(plan, libc::SYS_personality, &[READ_IMPLIES_EXEC]),
        ..refused::<{ libc::SYS_personality }>(
            "SYS-20.personality",
            "make all memory executable",
            "personality(2) READ_IMPLIES_EXEC",
            "personality(2)",
            |scene| numbers(scene, libc::SYS_personality, &[READ_IMPLIES_EXEC]),
        )
    },
    Probe {
        granted: |plan| allows(plan, libc::SYS_personality, &[ADDR_NO_RANDOMIZE]),
        ..refused::<{ libc::SYS_personality }>(
            "SYS-20.randomize",
            "have programs at addresses that can be guessed",
            "personality(2) ADDR_NO_RANDOMIZE",
            "personality(2)",
            |scene| numbers(scene, libc::SYS_personality, &[ADDR_NO_RANDOMIZE]),
        )
    },
    refused::<{ libc::SYS_kcmp }>(
        "SYS-20.kcmp",
        "compare what processes have in the kernel",
        "kcmp(2) KCMP_VM of the process with itself",
        "kcmp(2)",
        |scene| numbers(scene, libc::SYS_kcmp, &[own_pid(), own_pid(), 1, 0, 0]),
    ),
    refused::<{ libc::SYS_process_madvise }>(
        "SYS-20.process_madvise",
        "rule another process's memory",
        "process_madvise(2) MADV_COLD of nothing, of the process itself",
        "process_madvise(2)",
        |scene| {
            let process = raw(libc::SYS_pidfd_open, &mut [own_pid().into(), 0.into()])?;
            numbers(scene, libc::SYS_process_madvise, &[process, 0, 0, 20, 0])
        },
    ),
    refused::<{ libc::SYS_move_pages }>(
        "SYS-20.move_pages",
        "move pages between memory nodes",
        "move_pages(2) of no page",
        "move_pages(2)",
        |scene| numbers(scene, libc::SYS_move_pages, &[0, 0, 0, 0, 0, 0]),
    ),
    refused::<{ libc::SYS_migrate_pages }>(
        "SYS-20.migrate_pages",
        "move a process between memory nodes",
        "migrate_pages(2) of the process itself, from the first node to the first",
        "migrate_pages(2)",
        |scene| {
            let [from, to] = [[1, 0, 0, 0, 0, 0, 0, 0]; 2];
            let (from, to) = (Argument::Bytes(&from), Argument::Bytes(&to));
            call(scene, libc::SYS_migrate_pages, &mut [0.into(), 64.into(), from, to])
        },
    ),
    refused::<{ libc::SYS_set_mempolicy }>(
        "SYS-20.set_mempolicy",
        "choose the memory node of one's memory",
        "set_mempolicy(2) MPOL_DEFAULT",
        "set_mempolicy(2)",
        |scene| numbers(scene, libc::SYS_set_mempolicy, &[0, 0, 0]),
    ),
    refused::<{ libc::SYS_get_mempolicy }>(
        "SYS-20.get_mempolicy",
        "ask where one's memory is",
        "get_mempolicy(2)",
        "get_mempolicy(2)",
        |scene| numbers(scene, libc::SYS_get_mempolicy, &[0, 0, 0, 0, 0]),
    ),
    refused::<{ libc::SYS_mbind }>(
        "SYS-20.mbind",
        "choose the memory node of some memory",
        "mbind(2) of no memory",
        "mbind(2)",
        |scene| numbers(scene, libc::SYS_mbind, &[0, 0, 0, 0, 0, 0]),
    ),
    refused::<CACHESTAT>(
        "SYS-20.cachestat",
        "see which pages of a file others have read",
        "cachestat(2), Linux 6.5, of a file of one's own",
        "kernel commit cf264e1329fb",
        |scene| {
            // Since Linux 6.15 only of a file that one may write.
            let file = std::fs::File::create_new(scene.in_scratch("own"))?;
            let mut told = [0; 40];
            let (range, told) = (Argument::Bytes(&[0; 16]), Argument::Room(&mut told));
            call(scene, CACHESTAT, &mut [descriptor(&file).into(), range, told, 0.into()])
        },
    ),
    refused::<{ libc::SYS_fanotify_init }>(
        "SYS-20.fanotify_init",
        "watch whole file systems",
        "fanotify_init(2) with FAN_REPORT_FID, which needs no privilege",
        "fanotify_init(2)",
        |scene| numbers(scene, libc::SYS_fanotify_init, &[0x201, 0]),
    ),
    Probe {
        evidence: Evidence::Answer(&[Errno::BADF]),
        ..refused::<{ libc::SYS_fanotify_mark }>(
            "SYS-20.fanotify_mark",
            "add to a watch of whole file systems",
            "fanotify_mark(2) of a descriptor that does not exist",
            "fanotify_mark(2)",
            |scene| {
                let root = Argument::Bytes(b"/\0");
                // FAN_MARK_ADD, FAN_OPEN
                let arguments = &mut [NOTHING.into(), 1.into(), 0x20.into(), here(), root];
                call(scene, libc::SYS_fanotify_mark, arguments)
            },
        )
    },
];

/// The kernel refuses it to everybody but root. So does the filter, by the same error, so that nothing
/// tells the two apart: that the filter alone does is asked for all such calls in `SYS-20.asked`.
const ROOT_ONLY: &[Claim] = &[layer(Layer::Uid, &[Answer::Error(Errno::PERM)])];

/// Calls of administration, most of which the kernel refuses to others than root before it looks at
/// anything else.
const ADMINISTRATION: &[i64] = &[
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_syslog,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Numbers that libc does not have everywhere; they are the same on every machine.
const CACHESTAT: i64 = 451;
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: i64 = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: i64 = 294;
const READ_IMPLIES_EXEC: u64 = 0x0040_0000;
const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;

/// A call of the host's administration, made as root with arguments that it takes for wrong.
const fn administration<const NUMBER: i64>(
    id: &'static str,
    attack: &'static str,
    entered: &'static [Errno],
    source: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        claims: ROOT_ONLY,
        control: Control::Root,
        evidence: Evidence::Answer(entered),
        ..refused::<NUMBER>(id, "administer the host", attack, source, run)
    }
}

fn with_path(scene: &Scene, number: i64, path: &str, flags: u64) -> Attempted {
    let path = text(path);
    call(scene, number, &mut [Argument::Bytes(&path), flags.into()])
}

fn own_pid() -> u64 {
    std::process::id().into()
}
