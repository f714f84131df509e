//! Sinks of the kernel in `/proc` and `/sys`, and processes of others.
//!
//! What only root may open is opened and never written; a probe that does write there writes what the
//! kernel refuses after it has looked at who writes.

use crate::plan::Plan;
use crate::profile::Wall;
use crate::profile::types::Network;
use crate::sys::{self, Argument, Entry};
use crate::verify::look::Look;
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Layer, Probe, Stop, broken, landlock,
    layer, wall, wall_beside,
};
use crate::verify::prober::CONTROL;
use crate::verify::scene::Scene;
use crate::verify::world::SECRET_FD;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, Signal, WaitOptions};
use std::time::{Duration, Instant};

/// The family.
pub const FAMILY: Family = Family {
    name: "sinks",
    title: "sinks of the kernel, and processes of others",
    probes: PROBES,
    jobs: &[],
};

pub(super) const ACCESS: &[Answer] = &[Answer::Error(Errno::ACCESS)];
pub(super) const NO_EFFECT: &[Answer] = &[Answer::NoEffect];
pub(super) const NO_ENTRY: &[Answer] = &[Answer::Error(Errno::NOENT)];
pub(super) const NO_PROCESS: &[Answer] = &[Answer::Error(Errno::SRCH)];
pub(super) const PERMISSION: &[Answer] = &[Answer::Error(Errno::PERM)];
pub(super) const READ_ONLY: &[Answer] = &[Answer::Error(Errno::ROFS)];

/// Hidden processes: without a `/proc` of its own a jail would still see the host's in it.
pub(super) const HIDDEN: Claim = wall_beside(Wall::Pid, &[Wall::Mount], NO_ENTRY);

/// What only root may open. The agent's uid stops it before any wall is asked.
const ROOTS: Probe =
    Probe { claims: &[layer(Layer::Uid, ACCESS)], control: Control::Root, ..Probe::NEW };

/// As [`ROOTS`], in a place that a jail with a root of its own does not have.
const ROOTS_ELSEWHERE: Probe =
    Probe { claims: &[layer(Layer::Uid, ACCESS), wall(Wall::Mount, NO_ENTRY)], ..ROOTS };

/// What everybody may read in `/proc`, and a jail's own `/proc` has covered.
const COVERED: Probe = Probe { claims: &[wall(Wall::Mount, ACCESS)], ..Probe::NEW };

/// What everybody may read in a place that a jail with a root of its own does not have.
const ELSEWHERE: Probe =
    Probe { claims: &[wall(Wall::Mount, NO_ENTRY), landlock(1, ACCESS)], ..Probe::NEW };

/// What a process may write about itself in `/proc`.
const ABOUT_ITSELF: Probe =
    Probe { claims: &[wall(Wall::Mount, READ_ONLY), landlock(1, ACCESS)], ..Probe::NEW };

/// A call that reaches into another process of the agent's uid by its pid.
const INTO_VICTIM: Probe = Probe {
    claims: &[
        wall(Wall::Pid, NO_PROCESS),
        wall(Wall::User, PERMISSION),
        landlock(1, PERMISSION),
        wall(Wall::Seccomp, PERMISSION),
    ],
    ..Probe::NEW
};

/// What only the number of another process is needed for, and only its own uid.
const BY_NUMBER: Probe = Probe { claims: &[wall(Wall::Pid, NO_PROCESS)], ..Probe::NEW };

/// A file in the directory of another process in `/proc` that is for those who may trace it.
const VICTIMS: Probe =
    Probe { claims: &[HIDDEN, wall(Wall::User, ACCESS), landlock(1, ACCESS)], ..Probe::NEW };

/// A signal to a process outside.
const SIGNAL: Probe = Probe {
    claims: &[wall(Wall::Pid, NO_PROCESS), landlock(6, PERMISSION)],
    source: "kill(2), landlock(7)",
    ..Probe::NEW
};

/// An attack on the jail's init, which closes itself to all others of its uid.
const AT_INIT: Probe = Probe {
    claims: &[layer(Layer::Launcher, PERMISSION)],
    source: "PR_SET_DUMPABLE(2const), ptrace(2)",
    ..Probe::NEW
};

const READ: OFlags = OFlags::RDONLY;
const WRITE: OFlags = OFlags::WRONLY;
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

const PROBES: &[Probe] = &[
    Probe {
        id: "PROC-01",
        title: "the program that takes core dumps",
        attack: "open(2) of /proc/sys/kernel/core_pattern to write, which a crash would run as root",
        run: |scene| open(scene, "/proc/sys/kernel/core_pattern", WRITE),
        helpers: true,
        source: "core(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-02",
        title: "the program that is told of devices",
        attack: "open(2) of /sys/kernel/uevent_helper to write, which the kernel runs as root",
        run: |scene| open(scene, "/sys/kernel/uevent_helper", WRITE),
        source: "CONFIG_UEVENT_HELPER in the kernel's drivers/base/Kconfig",
        ..ROOTS_ELSEWHERE
    },
    Probe {
        id: "PROC-03.modprobe",
        title: "the program that loads modules",
        attack: "open(2) of /proc/sys/kernel/modprobe to write, which the kernel runs as root",
        run: |scene| open(scene, "/proc/sys/kernel/modprobe", WRITE),
        source: "proc_sys_kernel(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-03.binfmt",
        title: "an interpreter for everybody's programs",
        attack: "open(2) of /proc/sys/fs/binfmt_misc/register to write",
        run: |scene| open(scene, "/proc/sys/fs/binfmt_misc/register", WRITE),
        source: "the kernel's Documentation/admin-guide/binfmt-misc.rst",
        ..ROOTS_ELSEWHERE
    },
    Probe {
        id: "PROC-04.sysrq",
        title: "commands to the kernel by sysrq",
        attack: "open(2) of /proc/sysrq-trigger to write",
        run: |scene| open(scene, "/proc/sysrq-trigger", WRITE),
        source: "the kernel's Documentation/admin-guide/sysrq.rst",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.kcore",
        title: "the memory of the kernel",
        attack: "open(2) of /proc/kcore",
        run: |scene| open(scene, "/proc/kcore", READ),
        source: "proc_kcore(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.kmsg",
        title: "the kernel's messages",
        attack: "open(2) of /proc/kmsg",
        run: |scene| open(scene, "/proc/kmsg", READ),
        source: "proc_kmsg(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.kpagecount",
        title: "the state of every page of memory",
        attack: "open(2) of /proc/kpagecount",
        run: |scene| open(scene, "/proc/kpagecount", READ),
        source: "the kernel's Documentation/admin-guide/mm/pagemap.rst",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.timer_list",
        title: "the timers of all processes",
        attack: "open(2) of /proc/timer_list",
        run: |scene| open(scene, "/proc/timer_list", READ),
        source: "the kernel's kernel/time/timer_list.c",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.slabinfo",
        title: "the kernel's caches, which exploits groom",
        attack: "open(2) of /proc/slabinfo",
        run: |scene| open(scene, "/proc/slabinfo", READ),
        source: "slabinfo(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.mtrr",
        title: "how the processor caches memory",
        attack: "open(2) of /proc/mtrr to write",
        run: |scene| open(scene, "/proc/mtrr", WRITE),
        source: "the kernel's Documentation/arch/x86/mtrr.rst",
        ..ROOTS
    },
    Probe {
        id: "PROC-04.kallsyms",
        title: "the names of the kernel's symbols",
        attack: "open(2) of /proc/kallsyms",
        run: |scene| open(scene, "/proc/kallsyms", READ),
        helpers: true,
        source: "proc_kallsyms(5)",
        ..COVERED
    },
    Probe {
        id: "PROC-04.config",
        title: "how the kernel was built",
        attack: "open(2) of /proc/config.gz",
        run: |scene| open(scene, "/proc/config.gz", READ),
        source: "proc_config.gz(5)",
        ..COVERED
    },
    Probe {
        id: "PROC-04.modules",
        title: "the modules of the kernel",
        attack: "open(2) of /proc/modules",
        run: |scene| open(scene, "/proc/modules", READ),
        source: "proc_modules(5)",
        ..COVERED
    },
    Probe {
        id: "PROC-04.interrupts",
        title: "the interrupts of the machine, which tell of keys pressed",
        attack: "open(2) of /proc/interrupts",
        run: |scene| open(scene, "/proc/interrupts", READ),
        source: "proc_interrupts(5)",
        ..COVERED
    },
    Probe {
        id: "PROC-04.schedstat",
        title: "the scheduler's figures of all processes",
        attack: "open(2) of /proc/schedstat",
        run: |scene| open(scene, "/proc/schedstat", READ),
        source: "the kernel's Documentation/scheduler/sched-stats.rst",
        ..COVERED
    },
    Probe {
        id: "PROC-04.pressure",
        title: "how much others wait for the machine",
        attack: "open(2) of the directory /proc/pressure",
        run: |scene| open(scene, "/proc/pressure", LIST),
        source: "the kernel's Documentation/accounting/psi.rst",
        ..COVERED
    },
    Probe {
        id: "PROC-04.irq",
        title: "which processor serves which device",
        attack: "open(2) of the directory /proc/irq",
        run: |scene| open(scene, "/proc/irq", LIST),
        source: "the kernel's Documentation/core-api/irq/irq-affinity.rst",
        ..COVERED
    },
    Probe {
        id: "PROC-05.trace",
        title: "trace a process outside",
        attack: "PTRACE_SEIZE of a process of the agent's uid",
        run: |scene| trace(scene, victim(scene)),
        helpers: true,
        source: "ptrace(2)",
        ..INTO_VICTIM
    },
    Probe {
        id: "PROC-05.read",
        title: "read the memory of a process outside",
        attack: "process_vm_readv(2) of a process of the agent's uid, at an address where nothing is",
        evidence: Evidence::Answer(&[Errno::FAULT]),
        run: |scene| transfer(scene, libc::SYS_process_vm_readv, victim(scene)),
        source: "process_vm_readv(2)",
        ..INTO_VICTIM
    },
    Probe {
        id: "PROC-05.write",
        title: "write to the memory of a process outside",
        attack: "process_vm_writev(2) to a process of the agent's uid, at an address where nothing is",
        evidence: Evidence::Answer(&[Errno::FAULT]),
        run: |scene| transfer(scene, libc::SYS_process_vm_writev, victim(scene)),
        source: "process_vm_writev(2)",
        ..INTO_VICTIM
    },
    Probe {
        id: "PROC-05.init_trace",
        title: "trace the jail's init",
        attack: "PTRACE_SEIZE of the process that started the command",
        run: |scene| trace(scene, init(scene)),
        ..AT_INIT
    },
    Probe {
        id: "PROC-05.init_write",
        title: "write to the memory of the jail's init",
        attack: "process_vm_writev(2) to the process that started the command",
        evidence: Evidence::Answer(&[Errno::FAULT]),
        run: |scene| transfer(scene, libc::SYS_process_vm_writev, init(scene)),
        ..AT_INIT
    },
    Probe {
        id: "PROC-05.init_memory",
        title: "open the memory of the jail's init",
        attack: "open(2) of /proc/PID/mem of the process that started the command",
        claims: &[layer(Layer::Launcher, ACCESS)],
        run: |scene| open(scene, &format!("/proc/{}/mem", init(scene)), OFlags::RDWR),
        ..AT_INIT
    },
    Probe {
        id: "PROC-05.init_environment",
        title: "read the environment of the jail's init",
        attack: "open(2) of /proc/PID/environ of the process that started the command",
        claims: &[layer(Layer::Launcher, ACCESS)],
        run: |scene| open(scene, &format!("/proc/{}/environ", init(scene)), READ),
        ..AT_INIT
    },
    Probe {
        id: "PROC-07.descriptor",
        title: "take a descriptor of a process outside",
        attack: "pidfd_getfd(2) of a file that the agent could not open itself",
        evidence: Evidence::Secret,
        run: take_descriptor,
        helpers: true,
        source: "pidfd_getfd(2)",
        ..INTO_VICTIM
    },
    Probe {
        id: "PROC-07.compare",
        title: "compare the kernel's pointers of two processes",
        attack: "kcmp(2) of the own process and one of the agent's uid outside",
        run: compare,
        source: "kcmp(2)",
        ..INTO_VICTIM
    },
    Probe {
        id: "PROC-07.advise",
        title: "have the memory of a process outside put away",
        attack: "process_madvise(2) with MADV_COLD of a process outside, where it has no memory",
        // Whether it may look comes before the capability.
        claims: &[
            layer(Layer::Uid, PERMISSION),
            wall(Wall::Pid, NO_PROCESS),
            wall(Wall::User, ACCESS),
            landlock(1, ACCESS),
        ],
        evidence: Evidence::Answer(&[Errno::NOMEM]),
        control: Control::Root,
        run: advise,
        source: "process_madvise(2)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-07.init_descriptor",
        title: "take a descriptor of the jail's init",
        attack: "pidfd_getfd(2) of descriptor 1 of the process that started the command",
        run: |scene| {
            let process = process(init(scene))?;
            let arguments = &mut [number(process.as_raw_fd()), 1.into(), 0.into()];
            scene.call(libc::SYS_pidfd_getfd, arguments)?;
            Ok(Vec::new())
        },
        source: "pidfd_getfd(2)",
        ..AT_INIT
    },
    Probe {
        id: "PROC-08.see",
        title: "see a process outside",
        attack: "open(2) of /proc/PID/stat, which everybody may read",
        claims: &[HIDDEN],
        run: |scene| open(scene, &of_victim(scene, "stat"), READ),
        helpers: true,
        source: "proc_pid_stat(5), pid_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-08.find",
        title: "learn that a process outside exists",
        attack: "getpgid(2) of a process outside",
        run: |scene| {
            scene.call(libc::SYS_getpgid, &mut [number(victim(scene))])?;
            Ok(Vec::new())
        },
        helpers: true,
        source: "getpgid(2), pid_namespaces(7)",
        ..BY_NUMBER
    },
    Probe {
        id: "PROC-08.limit",
        title: "take away what a process outside may use",
        attack: "prlimit(2) of a process of the agent's uid, with a limit on the size of its files",
        evidence: Evidence::Look(|look| {
            look.victim_file("limits").lines().any(|line| {
                line.starts_with("Max file size") && line.contains(&FILE_SIZE.to_string())
            })
        }),
        run: |scene| {
            let limit = Rlimit { current: Some(FILE_SIZE), maximum: Some(FILE_SIZE) };
            rustix::process::prlimit(Some(pid(victim(scene))?), Resource::Fsize, limit)?;
            Ok(Vec::new())
        },
        helpers: true,
        source: "prlimit(2), pid_namespaces(7)",
        ..BY_NUMBER
    },
    Probe {
        id: "PROC-08.stop",
        title: "stop a process outside",
        attack: "pidfd_send_signal(2) to a process of the agent's uid",
        evidence: Evidence::Look(|look| {
            soon(look, |look| look.victim_status("State").starts_with('T'))
        }),
        run: |scene| {
            rustix::process::pidfd_send_signal(process(victim(scene))?, Signal::STOP)?;
            Ok(SENT.to_vec())
        },
        source: "pidfd_send_signal(2), landlock(7)",
        ..SIGNAL
    },
    Probe {
        id: "PROC-08.group",
        title: "kill a group of processes outside",
        attack: "kill(2) of the process group of a process outside, by a signal the prober blocks",
        evidence: Evidence::Look(|look| soon(look, |look| look.victim_ended())),
        run: kill_group,
        ..SIGNAL
    },
    Probe {
        id: "PROC-09.descriptor",
        title: "a file by a descriptor of a process outside",
        attack: "open(2) of /proc/PID/fd/N, which leads into a directory that only root can enter",
        evidence: Evidence::Secret,
        run: |scene| Ok(std::fs::read(of_victim(scene, &format!("fd/{SECRET_FD}")))?),
        helpers: true,
        source: "proc_pid_fd(5)",
        ..VICTIMS
    },
    Probe {
        id: "PROC-09.root",
        title: "the host's root by a process outside",
        attack: "open(2) below /proc/PID/root",
        evidence: Evidence::Secret,
        run: |scene| {
            let path = format!("root{}", scene.at("secret/canary"));
            Ok(std::fs::read(of_victim(scene, &path))?)
        },
        helpers: true,
        source: "proc_pid_root(5)",
        ..VICTIMS
    },
    Probe {
        id: "PROC-09.directory",
        title: "the working directory of a process outside",
        attack: "open(2) below /proc/PID/cwd, of a file of the agent's uid",
        evidence: Evidence::Secret,
        run: |scene| Ok(std::fs::read(of_victim(scene, "cwd/canary"))?),
        source: "proc_pid_cwd(5)",
        ..VICTIMS
    },
    Probe {
        id: "PROC-09.environment",
        title: "the environment of a process outside",
        attack: "open(2) of /proc/PID/environ",
        run: |scene| open(scene, &of_victim(scene, "environ"), READ),
        source: "proc_pid_environ(5)",
        ..VICTIMS
    },
    Probe {
        id: "PROC-09.maps",
        title: "the addresses of a process outside",
        attack: "open(2) of /proc/PID/maps",
        run: |scene| open(scene, &of_victim(scene, "maps"), READ),
        source: "proc_pid_maps(5)",
        ..VICTIMS
    },
    Probe {
        id: "PROC-09.memory",
        title: "a secret in the memory of a process outside",
        attack: "read(2) of all that /proc/PID/maps names, by /proc/PID/mem",
        evidence: Evidence::Secret,
        run: search_memory,
        source: "proc_pid_mem(5)",
        ..VICTIMS
    },
    Probe {
        id: "PROC-11",
        title: "replace cellblock's own program",
        attack: "open(2) of /proc/self/exe to write: the file that the launcher runs from, too",
        // Who runs it only makes it busy: that is told to who may write it.
        evidence: Evidence::Answer(&[Errno::TXTBSY]),
        run: |scene| open(scene, "/proc/self/exe", WRITE),
        helpers: true,
        source: "CVE-2019-5736",
        ..ROOTS
    },
    Probe {
        id: "PROC-12.rank",
        title: "a place in the order in which processes end",
        attack: "write(2) of another rank to the own oom_score_adj",
        evidence: Evidence::Look(|look| look.proc("oom_score_adj").trim() == RANK),
        run: |_| {
            put("/proc/self/oom_score_adj", RANK)?;
            Ok(Vec::new())
        },
        source: "proc_pid_oom_score_adj(5)",
        ..ABOUT_ITSELF
    },
    Probe {
        id: "PROC-12.others_rank",
        title: "that a process outside ends first",
        attack: "write(2) of a rank to the oom_score_adj of a process of the agent's uid",
        claims: &[HIDDEN, wall(Wall::Mount, READ_ONLY), landlock(1, ACCESS)],
        evidence: Evidence::Look(|look| look.victim_file("oom_score_adj").trim() == RANK),
        run: |scene| {
            put(&of_victim(scene, "oom_score_adj"), RANK)?;
            Ok(Vec::new())
        },
        source: "proc_pid_oom_score_adj(5)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-12.last_rank",
        title: "never to end for want of memory",
        attack: "write(2) of -1000 to the own oom_score_adj",
        claims: &[layer(Layer::Uid, ACCESS), wall(Wall::Mount, READ_ONLY), landlock(1, ACCESS)],
        evidence: Evidence::Answer(&[]),
        control: Control::Root,
        run: |scene| write(scene, "/proc/self/oom_score_adj", b"-1000"),
        source: "proc_pid_oom_score_adj(5)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-12.dump",
        title: "more of its memory in a core dump",
        attack: "write(2) to the own coredump_filter",
        evidence: Evidence::Look(|look| look.proc("coredump_filter").trim() == DUMPED),
        run: |_| {
            put("/proc/self/coredump_filter", &format!("0x{DUMPED}"))?;
            Ok(Vec::new())
        },
        source: "core(5)",
        ..ABOUT_ITSELF
    },
    Probe {
        id: "PROC-12.references",
        title: "which pages it used of what it shares",
        attack: "open(2) of the own clear_refs to write",
        run: |scene| open(scene, "/proc/self/clear_refs", WRITE),
        source: "proc_pid_clear_refs(5)",
        ..ABOUT_ITSELF
    },
    Probe {
        id: "PROC-12.uid_map",
        title: "to be root in a user namespace of its own",
        attack: "unshare(2) and write(2) of `0 UID 1` to the own uid_map",
        claims: &[
            wall(Wall::Seccomp, PERMISSION),
            wall(Wall::NestedNamespaces, &[Answer::Error(Errno::NOSPC)]),
            wall(Wall::Mount, READ_ONLY),
            landlock(1, ACCESS),
        ],
        run: |scene| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
            write(scene, "/proc/self/uid_map", format!("0 {} 1", scene.uid).as_bytes())
        },
        source: "user_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-13.keys",
        title: "the keys of everybody that it may see",
        attack: "open(2) of /proc/keys",
        run: |scene| open(scene, "/proc/keys", READ),
        source: "keyrings(7)",
        ..COVERED
    },
    Probe {
        id: "PROC-13.key_users",
        title: "who has how many keys",
        attack: "open(2) of /proc/key-users",
        run: |scene| open(scene, "/proc/key-users", READ),
        source: "keyrings(7)",
        ..COVERED
    },
    Probe {
        id: "PROC-13.sockets",
        title: "the names of the host's sockets",
        attack: "read(2) of /proc/net/unix",
        claims: &[wall(Wall::Network, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            let named = look.world.name.as_str();
            told(look).contains(named) && look.proc("net/unix").contains(named)
        }),
        run: |scene| lines("/proc/net/unix", &scene.abstract_name),
        granted: network_of_host,
        helpers: true,
        source: "proc_pid_net(5), network_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-13.ports",
        title: "the ports at which the host listens",
        attack: "read(2) of /proc/net/tcp",
        claims: &[wall(Wall::Network, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            let port = look.world.ports().map_or(0, |[tcp, ..]| tcp);
            let listens = format!(":{port:04X} 00000000:0000 0A");
            told(look).contains(&listens) && look.proc("net/tcp").contains(&listens)
        }),
        run: |scene| lines("/proc/net/tcp", &format!(":{:04X} ", scene.tcp)),
        granted: network_of_host,
        source: "proc_pid_net(5), network_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-13.mounts",
        title: "what is mounted where on the host",
        attack: "read(2) of /proc/self/mountinfo",
        claims: &[wall(Wall::Mount, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            let host = crate::host::text::read("/proc/self/mountinfo").unwrap_or_default();
            host.lines().next().is_some_and(|first| told(look).contains(first))
        }),
        run: |_| Ok(std::fs::read("/proc/self/mountinfo")?),
        source: "proc_pid_mountinfo(5), mount_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-13.cgroup",
        title: "where on the host its cgroup is",
        attack: "read(2) of /proc/self/cgroup",
        claims: &[wall(Wall::Cgroup, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            let outside = look.proc("cgroup");
            let path = outside.lines().find(|line| line.starts_with("0::"));
            path.is_some_and(|path| told(look).lines().any(|line| line == path))
        }),
        run: |_| Ok(std::fs::read("/proc/self/cgroup")?),
        helpers: true,
        source: "cgroup_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-13.shared_memory",
        title: "who shares which memory on the host",
        attack: "read(2) of /proc/sysvipc/shm",
        claims: &[wall(Wall::Ipc, NO_EFFECT), wall(Wall::Mount, ACCESS)],
        evidence: Evidence::Look(|look| {
            let key = look.world.ipc_key.to_string();
            let host = crate::host::text::read("/proc/sysvipc/shm").unwrap_or_default();
            let row = host.lines().find(|row| row.split_whitespace().next() == Some(&key));
            row.is_some_and(|row| told(look).contains(row))
        }),
        run: |scene| lines("/proc/sysvipc/shm", &scene.ipc_key.to_string()),
        source: "proc_sysvipc(5), ipc_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-13.interfaces",
        title: "the host's network interfaces",
        attack: "open(2) of the directory /sys/class/net",
        run: |scene| open(scene, "/sys/class/net", LIST),
        source: "sysfs(5)",
        ..ELSEWHERE
    },
    Probe {
        id: "PROC-13.machine",
        title: "which machine it is",
        attack: "open(2) of /sys/class/dmi/id/modalias",
        run: |scene| open(scene, "/sys/class/dmi/id/modalias", READ),
        source: "sysfs(5)",
        ..ELSEWHERE
    },
    Probe {
        id: "PROC-14.last_pid",
        title: "which pid the next process has",
        attack: "write(2) of what is no number to /proc/sys/kernel/ns_last_pid",
        // Everybody may open it; the number is looked at after the capability.
        claims: &[layer(Layer::Uid, PERMISSION), wall(Wall::Mount, READ_ONLY), landlock(1, ACCESS)],
        evidence: Evidence::Answer(&[Errno::INVAL]),
        control: Control::Root,
        run: |scene| write(scene, "/proc/sys/kernel/ns_last_pid", b"none"),
        source: "pid_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-14.namespaces",
        title: "user namespaces again",
        attack: "open(2) of /proc/sys/user/max_user_namespaces to write",
        run: |scene| open(scene, "/proc/sys/user/max_user_namespaces", WRITE),
        source: "namespaces(7), proc_sys_user(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-14.memfd",
        title: "programs in memory again",
        attack: "open(2) of /proc/sys/vm/memfd_noexec to write",
        run: |scene| open(scene, "/proc/sys/vm/memfd_noexec", WRITE),
        source: "the kernel's Documentation/userspace-api/mfd_noexec.rst",
        ..ROOTS
    },
    Probe {
        id: "PROC-14.hostname",
        title: "the host name, by /proc",
        attack: "open(2) of /proc/sys/kernel/hostname to write",
        run: |scene| open(scene, "/proc/sys/kernel/hostname", WRITE),
        source: "uts_namespaces(7), proc_sys_kernel(5)",
        ..ROOTS
    },
    Probe {
        id: "PROC-14.forward",
        title: "that packets are forwarded",
        attack: "open(2) of /proc/sys/net/ipv4/ip_forward to write",
        run: |scene| open(scene, "/proc/sys/net/ipv4/ip_forward", WRITE),
        source: "the kernel's Documentation/networking/ip-sysctl.rst",
        ..ROOTS
    },
    Probe {
        id: "PROC-15.debugfs",
        title: "the kernel's debugging files",
        attack: "open(2) of the root of debugfs",
        run: |scene| open_root(scene, "/sys/kernel/debug", 0x6462_6720),
        source: "the kernel's Documentation/filesystems/debugfs.rst",
        ..ROOTS_ELSEWHERE
    },
    Probe {
        id: "PROC-15.tracefs",
        title: "tracing of the kernel",
        attack: "open(2) of the root of tracefs",
        run: |scene| open_root(scene, "/sys/kernel/tracing", 0x7472_6163),
        source: "the kernel's Documentation/trace/ftrace.rst",
        ..ROOTS_ELSEWHERE
    },
    Probe {
        id: "PROC-15.bpf",
        title: "programs of others in the kernel",
        attack: "open(2) of the root of the BPF file system",
        // Its root may be for everybody.
        claims: &[wall(Wall::Mount, NO_ENTRY)],
        run: |scene| open_root(scene, "/sys/fs/bpf", 0xcafe_4a11),
        source: "bpf(2)",
        ..ROOTS_ELSEWHERE
    },
    Probe {
        id: "PROC-15.efivars",
        title: "the firmware's variables",
        attack: "open(2) of the root of efivarfs",
        run: |scene| open_root(scene, "/sys/firmware/efi/efivars", 0xde5e_81e4),
        source: "the kernel's Documentation/filesystems/efivarfs.rst",
        ..ELSEWHERE
    },
    Probe {
        id: "PROC-15.securityfs",
        title: "the settings of security modules",
        attack: "open(2) of the root of securityfs",
        run: |scene| open_root(scene, "/sys/kernel/security", 0x7363_6673),
        source: "the kernel's Documentation/admin-guide/LSM/index.rst",
        ..ELSEWHERE
    },
    Probe {
        id: "PROC-16.list",
        title: "the mounts of the host, by number",
        attack: "listmount(2) from the root of the own mount namespace",
        claims: &[wall(Wall::Mount, NO_EFFECT), wall(Wall::Seccomp, PERMISSION)],
        evidence: Evidence::Look(|look| {
            let host = list_mounts(|request, room| {
                sys::attempt(-1, Entry::Native, LISTMOUNT, &mut listing(request, room))
            });
            let host = host.unwrap_or_default();
            look.told.chunks_exact(8).any(|mount| host.chunks_exact(8).any(|own| own == mount))
        }),
        run: |scene| {
            let call = |request: &[u8], room: &mut [u8]| {
                scene.call(LISTMOUNT, &mut listing(request, room))
            };
            Ok(list_mounts(call)?)
        },
        source: "listmount(2)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-16.state",
        title: "what a mount shows and by which options",
        attack: "statmount(2) of the own root",
        claims: &[wall(Wall::Seccomp, PERMISSION)],
        run: state_of_root,
        source: "statmount(2)",
        ..Probe::NEW
    },
    Probe {
        id: "PROC-17",
        title: "its memory in a file that the kernel writes",
        attack: "a crash in the workspace after setrlimit(2) of RLIMIT_CORE to the most there is",
        claims: &[wall(Wall::Rlimits, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            let project = std::fs::read_dir(look.world.path("project")).into_iter().flatten();
            let names = project.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            names.into_iter().any(|name| look.world.planted(&format!("project/{name}")))
        }),
        run: dump_core,
        granted: |plan| {
            let core = |limit: &&crate::plan::Rlimit| {
                limit.resource == crate::plan::RlimitName::Core && limit.value > 0
            };
            let limit = plan.rlimits.iter().find(core)?;
            Some(format!(
                "the profile allows core dumps of {} bytes ({})",
                limit.value, limit.origin
            ))
        },
        source: "core(5)",
        ..Probe::NEW
    },
];

/// A limit, a rank and a filter that nobody has by default.
const FILE_SIZE: u64 = 42_424_242;
const RANK: &str = "717";
const DUMPED: &str = "0000003f";

/// What is told once the kernel took a signal.
const SENT: &[u8] = b"sent";

/// Whether the profile itself gives the host's network.
pub(super) fn network_of_host(plan: &Plan) -> Option<String> {
    (plan.network == Network::Host).then(|| "the profile gives it the host's network".to_owned())
}

fn told(look: &Look<'_>) -> String {
    String::from_utf8_lossy(look.told).into_owned()
}

/// Whether `seen` comes true: a signal that was sent may still be on its way.
fn soon(look: &Look<'_>, seen: fn(&Look<'_>) -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(1);
    while look.told == SENT && !seen(look) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    seen(look)
}

/// An argument that may be below zero.
pub(super) fn number(number: i32) -> Argument<'static> {
    Argument::Number(i64::from(number).cast_unsigned())
}

fn pid(number: i32) -> Result<Pid, Stop> {
    Pid::from_raw(number).ok_or_else(|| Stop::Broken("there is no such process".to_owned()))
}

/// The pidfd of a process.
pub(super) fn process(number: i32) -> Result<OwnedFd, Stop> {
    Ok(rustix::process::pidfd_open(pid(number)?, PidfdFlags::empty())?)
}

fn victim(scene: &Scene) -> i32 {
    scene.victim
}

fn of_victim(scene: &Scene, file: &str) -> String {
    format!("/proc/{}/{file}", scene.victim)
}

/// The jail's init, which started the prober. Where there is none, a process of the same uid that does not
/// close itself to others.
fn init(scene: &Scene) -> i32 {
    let parent = rustix::process::getppid();
    match parent {
        Some(parent) if scene.place != CONTROL => parent.as_raw_nonzero().get(),
        Some(_) | None => scene.victim,
    }
}

/// Opens `path` by the watched call.
pub(super) fn open(scene: &Scene, path: &str, flags: OFlags) -> Attempted {
    let path = format!("{path}\0");
    let flags = u64::from(flags.bits());
    let arguments =
        &mut [number(libc::AT_FDCWD), Argument::Bytes(path.as_bytes()), flags.into(), 0.into()];
    scene.call(libc::SYS_openat, arguments)?;
    Ok(Vec::new())
}

/// As [`open`], of the directory `path` where a file system with this magic number is mounted.
fn open_root(scene: &Scene, path: &str, magic: u32) -> Attempted {
    let mounted = rustix::fs::statfs(path)?.f_type;
    if mounted != i64::from(magic) {
        return Err(Errno::NOENT.into());
    }
    open(scene, path, LIST)
}

/// Opens `path` and writes `bytes` to it by the watched call.
pub(super) fn write(scene: &Scene, path: &str, bytes: &[u8]) -> Attempted {
    let file = rustix::fs::open(path, WRITE | OFlags::CLOEXEC, Mode::empty())?;
    let length = bytes.len() as u64;
    let arguments = &mut [number(file.as_raw_fd()), Argument::Bytes(bytes), length.into()];
    scene.call(libc::SYS_write, arguments)?;
    Ok(Vec::new())
}

/// Writes `text` to `path`, which exists.
fn put(path: &str, text: &str) -> Result<(), Errno> {
    let file = rustix::fs::open(path, WRITE | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(|_| ())
}

/// The lines of the file `path` that have `word` in them.
fn lines(path: &str, word: &str) -> Attempted {
    let text = crate::host::text::read(path)?;
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(word)).collect();
    Ok(lines.join("\n").into_bytes())
}

/// `PTRACE_SEIZE`: stops nobody, and ends with who does it.
fn trace(scene: &Scene, whom: i32) -> Attempted {
    const SEIZE: u64 = 0x4206;
    scene.call(libc::SYS_ptrace, &mut [SEIZE.into(), number(whom), 0.into(), 0.into()])?;
    Ok(Vec::new())
}

/// Eight bytes between the prober and page 1 of another process, where nothing is mapped.
fn transfer(scene: &Scene, call: libc::c_long, whom: i32) -> Attempted {
    let vector = |address: u64| [address.to_ne_bytes(), 8_u64.to_ne_bytes()].concat();
    let (local, remote) = (vector(0), vector(4096));
    let arguments = &mut [
        number(whom),
        Argument::Record { bytes: &local, inner: &[(0, &[0; 8])] },
        1.into(),
        Argument::Bytes(&remote),
        1.into(),
        0.into(),
    ];
    scene.call(call, arguments)?;
    Ok(Vec::new())
}

fn take_descriptor(scene: &Scene) -> Attempted {
    let process = process(victim(scene))?;
    let file = rustix::process::pidfd_getfd(process, SECRET_FD, PidfdGetfdFlags::empty())?;
    let mut loot = vec![0; 256];
    let length = rustix::io::pread(file, &mut loot, 0)?;
    loot.truncate(length);
    Ok(loot)
}

/// Whether both have the same files.
fn compare(scene: &Scene) -> Attempted {
    const FILES: u64 = 2;
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let arguments = &mut [number(own), number(victim(scene)), FILES.into(), 0.into(), 0.into()];
    scene.call(libc::SYS_kcmp, arguments)?;
    Ok(Vec::new())
}

fn advise(scene: &Scene) -> Attempted {
    const COLD: u64 = 20;
    let process = process(victim(scene))?;
    let remote = [4096_u64.to_ne_bytes(), 4096_u64.to_ne_bytes()].concat();
    let arguments = &mut [
        number(process.as_raw_fd()),
        Argument::Bytes(&remote),
        1.into(),
        COLD.into(),
        0.into(),
    ];
    scene.call(libc::SYS_process_madvise, arguments)?;
    Ok(Vec::new())
}

/// Of the group, which is the referee's, only processes of the agent's uid are in reach: the victim, and
/// the prober itself where there is no jail.
fn kill_group(scene: &Scene) -> Attempted {
    let group = rustix::process::getpgid(Some(pid(victim(scene))?))?;
    let signal = nix::sys::signal::Signal::SIGUSR1;
    nix::sys::signal::SigSet::from(signal).thread_block()?;
    rustix::process::kill_process_group(group, Signal::USR1)?;
    Ok(SENT.to_vec())
}

/// All that looks like a secret of a world in the memory of the victim.
fn search_memory(scene: &Scene) -> Attempted {
    const MARK: &[u8] = b"secret-";
    /// Of one mapping.
    const MOST: u64 = 4 << 20;
    let maps = crate::host::text::read(of_victim(scene, "maps"))?;
    let flags = READ | OFlags::CLOEXEC;
    let memory = rustix::fs::open(of_victim(scene, "mem"), flags, Mode::empty())?;
    let mut loot = Vec::new();
    for map in maps.lines().filter(|map| map.contains(" rw-p ")) {
        let Some((from, to)) = map.split(' ').next().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let number = |text| u64::from_str_radix(text, 16).map_err(broken("read the maps"));
        let (from, to) = (number(from)?, number(to)?);
        let length = usize::try_from((to - from).min(MOST)).map_err(broken("read the maps"))?;
        let mut bytes = vec![0; length];
        let Ok(count) = rustix::io::pread(&memory, &mut bytes, from) else { continue };
        let found = |at: &usize| bytes[*at..count].starts_with(MARK);
        for at in (0..count).filter(found) {
            loot.extend(bytes[at..count].iter().take(MARK.len() + 32));
        }
    }
    Ok(loot)
}

const STATMOUNT: libc::c_long = 457;
const LISTMOUNT: libc::c_long = 458;

/// The arguments of listmount(2).
fn listing<'a>(request: &'a [u8], room: &'a mut [u8]) -> [Argument<'a>; 4] {
    let most = room.len() as u64 / 8;
    [Argument::Bytes(request), Argument::Room(room), most.into(), 0.into()]
}

/// The numbers of the first mounts of the own namespace, by `call`.
fn list_mounts(
    call: impl FnOnce(&[u8], &mut [u8]) -> Result<u64, Errno>,
) -> Result<Vec<u8>, Errno> {
    let mut room = vec![0; 64 * 8];
    // `LSMT_ROOT`
    let count = call(&mount_request(u64::MAX, 0), &mut room)?;
    room.truncate(usize::try_from(count).unwrap_or(0) * 8);
    Ok(room)
}

/// `struct mnt_id_req`, of the size that all kernels know.
fn mount_request(mount: u64, parameter: u64) -> Vec<u8> {
    let (size, spare) = (24_u32.to_ne_bytes(), 0_u32.to_ne_bytes());
    [&size[..], &spare, &mount.to_ne_bytes(), &parameter.to_ne_bytes()].concat()
}

fn state_of_root(scene: &Scene) -> Attempted {
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    const TYPE_OF_FILE_SYSTEM: u64 = 0x20;
    let root = rustix::fs::statx(CWD, "/", AtFlags::empty(), UNIQUE)?;
    let request = mount_request(root.stx_mnt_id, TYPE_OF_FILE_SYSTEM);
    let mut room = vec![0; 4096];
    let length = room.len() as u64;
    let arguments =
        &mut [Argument::Bytes(&request), Argument::Room(&mut room), length.into(), 0.into()];
    scene.call(STATMOUNT, arguments)?;
    Ok(Vec::new())
}

/// Crashes a child that has the token in its memory. A host that hands dumps to a program, or gathers them
/// in a place of its own, is left alone: nobody would remove them there.
fn dump_core(scene: &Scene) -> Attempted {
    const MOST: u64 = 64 << 20;
    if crate::host::text::read("/proc/sys/kernel/core_pattern")?.contains(['|', '@', '/']) {
        return Err(Errno::OPNOTSUPP.into());
    }
    let most = rustix::process::getrlimit(Resource::Core).maximum;
    let limit = Rlimit { current: Some(most.map_or(MOST, |most| most.min(MOST))), maximum: most };
    rustix::process::setrlimit(Resource::Core, limit)?;
    let child = sys::fork(|| {
        let there = rustix::process::chdir(scene.workspace.as_str()).is_ok();
        let crashed = nix::sys::signal::raise(nix::sys::signal::Signal::SIGQUIT);
        i32::from(there && crashed.is_ok())
    })?;
    let mut waited = [PollFd::new(&child.pidfd, PollFlags::IN)];
    let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
    if poll(&mut waited, Some(&patience))? == 0 {
        return Err(Stop::Broken("the child does not end".to_owned()));
    }
    rustix::process::waitpid(Some(child.pid), WaitOptions::empty())?;
    Ok(Vec::new())
}
