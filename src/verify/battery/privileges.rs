//! Capabilities, ids and namespaces: what the agent is, and what it could become.

use super::sinks::{
    ACCESS, HIDDEN, NO_EFFECT, NO_ENTRY, NO_PROCESS, PERMISSION, READ_ONLY, network_of_host,
    number, open, process, write,
};
use crate::profile::types::{Access, Entry, HostPath, JailPath, Owner};
use crate::profile::{Profile, Wall};
use crate::sys::{self, Argument};
use crate::verify::look::{Look, line};
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Job, Layer, Probe, Stop, broken, landlock,
    layer, wall,
};
use crate::verify::prober::NAME;
use crate::verify::scene::Scene;
use crate::verify::setting::located;
use crate::verify::world::{CALLERS_GROUP, World};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The family.
pub const FAMILY: Family = Family {
    name: "privileges",
    title: "capabilities, ids and namespaces",
    probes: PROBES,
    jobs: &[Job { name: "hold-on", run: |_| hold_on() }],
};

const INVALID: &[Answer] = &[Answer::Error(Errno::INVAL)];
const NO_NAMESPACE: &[Answer] = &[Answer::Error(Errno::NOSPC)];
const NO_REQUEST: &[Answer] = &[Answer::Error(Errno::NOTTY)];

/// The walls that let nobody make a user namespace.
const NO_FILTERED: Claim = wall(Wall::Seccomp, PERMISSION);
const NO_NESTED: Claim = wall(Wall::NestedNamespaces, NO_NAMESPACE);

/// What only a capability allows.
const ROOTS: Probe =
    Probe { claims: &[layer(Layer::Uid, PERMISSION)], control: Control::Root, ..Probe::NEW };

/// A set of capabilities that changing the uid empties.
const SET_OF_ROOT: Probe = Probe {
    claims: &[layer(Layer::Uid, NO_EFFECT)],
    control: Control::Root,
    source: "capabilities(7)",
    ..Probe::NEW
};

/// A set of capabilities that stays whatever the uid.
const SET_OF_ALL: Probe = Probe {
    claims: &[wall(Wall::Capabilities, NO_EFFECT)],
    helpers: true,
    source: "capabilities(7)",
    ..Probe::NEW
};

/// A namespace that the jail has of its own.
const NAMESPACE: Probe = Probe { helpers: true, source: "namespaces(7)", ..Probe::NEW };

/// A program of the host that is set-user-ID or set-group-ID, held before it does anything.
const SET_ID: Probe = Probe {
    claims: &[
        wall(Wall::NoNewPrivs, NO_EFFECT),
        wall(Wall::Mount, NO_EFFECT),
        wall(Wall::User, NO_EFFECT),
    ],
    evidence: Evidence::Look(|look| any_child(look, is_root)),
    source: "execve(2), PR_SET_NO_NEW_PRIVS(2const)",
    ..Probe::NEW
};

/// A mount in a user namespace of its own.
const MOUNT: Probe = Probe {
    claims: &[NO_FILTERED, NO_NESTED, landlock(1, PERMISSION)],
    source: "user_namespaces(7), mount_namespaces(7)",
    ..Probe::NEW
};

const PROBES: &[Probe] = &[
    Probe {
        id: "NS-01.effective",
        title: "capabilities in effect",
        attack: "none: whoever starts the agent has them",
        evidence: Evidence::Look(|look| has(&look.status("CapEff"))),
        ..SET_OF_ROOT
    },
    Probe {
        id: "NS-01.permitted",
        title: "capabilities to take",
        attack: "none: whoever starts the agent has them",
        evidence: Evidence::Look(|look| has(&look.status("CapPrm"))),
        ..SET_OF_ROOT
    },
    Probe {
        id: "NS-01.ambient",
        title: "capabilities for every program",
        attack: "none: whoever starts the agent has one",
        evidence: Evidence::Look(|look| has(&look.status("CapAmb"))),
        ..SET_OF_ROOT
    },
    Probe {
        id: "NS-01.inheritable",
        title: "capabilities for programs whose files say so",
        attack: "none: whoever starts the agent has one, and it stays where the uid changes",
        // Who enters a user namespace leaves them behind.
        claims: &[wall(Wall::Capabilities, NO_EFFECT), wall(Wall::User, NO_EFFECT)],
        evidence: Evidence::Look(|look| has(&look.status("CapInh"))),
        ..SET_OF_ALL
    },
    Probe {
        id: "NS-01.bounding",
        title: "capabilities that programs may gain",
        attack: "none: every process has them that nobody takes them from",
        evidence: Evidence::Look(|look| has(&look.status("CapBnd"))),
        ..SET_OF_ALL
    },
    Probe {
        id: "NS-02.uid",
        title: "become root",
        attack: "setresuid(2) to uid 0",
        claims: &[layer(Layer::Uid, PERMISSION), wall(Wall::User, INVALID)],
        run: |scene| {
            scene.call(libc::SYS_setresuid, &mut [0.into(), 0.into(), 0.into()])?;
            Ok(Vec::new())
        },
        helpers: true,
        source: "setresuid(2), user_namespaces(7)",
        ..ROOTS
    },
    Probe {
        id: "NS-02.gid",
        title: "take root's group",
        attack: "setresgid(2) to gid 0",
        claims: &[layer(Layer::Uid, PERMISSION), wall(Wall::User, INVALID)],
        run: |scene| {
            scene.call(libc::SYS_setresgid, &mut [0.into(), 0.into(), 0.into()])?;
            Ok(Vec::new())
        },
        source: "setresgid(2), user_namespaces(7)",
        ..ROOTS
    },
    Probe {
        id: "NS-02.ambient",
        title: "a capability for every program to come",
        attack: "PR_CAP_AMBIENT_RAISE of CAP_NET_RAW",
        claims: &[layer(Layer::Uid, PERMISSION), wall(Wall::Seccomp, INVALID)],
        run: |scene| {
            const AMBIENT: u64 = 47;
            const RAISE: u64 = 2;
            let arguments = &mut [AMBIENT, RAISE, NET_RAW, 0, 0].map(Argument::Number);
            scene.call(libc::SYS_prctl, arguments)?;
            Ok(Vec::new())
        },
        source: "PR_CAP_AMBIENT(2const)",
        ..ROOTS
    },
    Probe {
        id: "NS-02.securebits",
        title: "that uid 0 means something again",
        attack: "PR_SET_SECUREBITS to none",
        run: |scene| {
            const SECUREBITS: u64 = 28;
            let arguments = &mut [SECUREBITS, 0, 0, 0, 0].map(Argument::Number);
            scene.call(libc::SYS_prctl, arguments)?;
            Ok(Vec::new())
        },
        source: "PR_SET_SECUREBITS(2const)",
        ..ROOTS
    },
    Probe {
        id: "NS-02.file",
        title: "a capability by a file that has it",
        attack: "execve(2) of a program that the profile shows, with CAP_NET_RAW in its attributes",
        // `user` lets it have one that is good for nothing outside.
        claims: &[
            wall(Wall::NoNewPrivs, NO_EFFECT),
            wall(Wall::Mount, NO_EFFECT),
            wall(Wall::Capabilities, PERMISSION),
        ],
        evidence: Evidence::Look(|look| any_child(look, has_capability)),
        run: start_capable,
        arrange: show_masters,
        source: "capabilities(7), execve(2)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-02.no_new_privs",
        title: "privileges by the next program",
        attack: "none: a process may gain them that did not give them up",
        claims: &[wall(Wall::NoNewPrivs, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.status("NoNewPrivs") != "1"),
        helpers: true,
        source: "PR_SET_NO_NEW_PRIVS(2const)",
        ..Probe::NEW
    },
    Probe {
        id: "SYS-12.unfiltered",
        title: "all system calls",
        attack: "none: a process may make them that has no filter",
        claims: &[wall(Wall::Seccomp, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.status("Seccomp") != "2"),
        helpers: true,
        source: "seccomp(2)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-03.init",
        title: "enter the mounts of PID 1",
        attack: "setns(2) to /proc/1/ns/mnt",
        claims: &[layer(Layer::Uid, ACCESS)],
        run: |scene| enter(scene, &open_namespace("/proc/1/ns/mnt")?, libc::CLONE_NEWNS),
        source: "setns(2)",
        ..ROOTS
    },
    Probe {
        id: "NS-03.victim",
        title: "enter the network of a process outside",
        attack: "setns(2) to /proc/PID/ns/net of a process of the agent's uid",
        claims: &[
            HIDDEN,
            layer(Layer::Uid, PERMISSION),
            wall(Wall::User, ACCESS),
            landlock(1, ACCESS),
        ],
        run: |scene| {
            let namespace = open_namespace(&format!("/proc/{}/ns/net", scene.victim))?;
            enter(scene, &namespace, libc::CLONE_NEWNET)
        },
        source: "setns(2)",
        ..ROOTS
    },
    Probe {
        id: "NS-03.user",
        title: "power over the host's namespaces",
        attack: "none: it has the host's user namespace that got none of its own",
        claims: &[wall(Wall::User, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("user")),
        ..NAMESPACE
    },
    Probe {
        id: "NS-03.mnt",
        title: "the host's mounts",
        attack: "none: it has the host's mount namespace that got none of its own",
        claims: &[wall(Wall::Mount, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("mnt")),
        ..NAMESPACE
    },
    Probe {
        id: "NS-03.pid",
        title: "the host's processes",
        attack: "none: it has the host's pid namespace that got none of its own",
        claims: &[wall(Wall::Pid, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("pid")),
        ..NAMESPACE
    },
    Probe {
        id: "NS-03.net",
        title: "the host's network",
        attack: "none: it has the host's network namespace that got none of its own",
        claims: &[wall(Wall::Network, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("net")),
        granted: network_of_host,
        ..NAMESPACE
    },
    Probe {
        id: "NS-03.ipc",
        title: "the host's shared memory and queues",
        attack: "none: it has the host's IPC namespace that got none of its own",
        claims: &[wall(Wall::Ipc, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("ipc")),
        ..NAMESPACE
    },
    Probe {
        id: "NS-03.uts",
        title: "the host's name space for names",
        attack: "none: it has the host's UTS namespace that got none of its own",
        claims: &[wall(Wall::Uts, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("uts")),
        ..NAMESPACE
    },
    Probe {
        id: "NS-03.cgroup",
        title: "the host's tree of cgroups",
        attack: "none: it has the host's cgroup namespace that got none of its own",
        claims: &[wall(Wall::Cgroup, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.shares("cgroup")),
        ..NAMESPACE
    },
    Probe {
        id: "NS-04",
        title: "enter the network of a process outside, by its pidfd",
        attack: "setns(2) to the pidfd of a process of the agent's uid",
        claims: &[layer(Layer::Uid, PERMISSION), wall(Wall::Pid, NO_PROCESS)],
        run: |scene| enter(scene, &process(scene.victim)?, libc::CLONE_NEWNET),
        source: "setns(2)",
        ..ROOTS
    },
    Probe {
        id: "NS-05.owner",
        title: "from a namespace to the host's user namespace",
        attack: "NS_GET_USERNS of the own network namespace",
        claims: &[wall(Wall::User, PERMISSION), wall(Wall::Seccomp, NO_REQUEST)],
        run: |scene| request(scene, &open_namespace("/proc/self/ns/net")?, 0xb701),
        helpers: true,
        source: "ioctl_ns(2)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-05.next",
        title: "from one mount namespace to the next",
        attack: "NS_MNT_GET_NEXT of the own mount namespace",
        // Whose namespaces it may not see, they do not exist for.
        claims: &[
            layer(Layer::Uid, &[Answer::Error(Errno::PERM), Answer::Error(Errno::NOENT)]),
            wall(Wall::Seccomp, NO_REQUEST),
        ],
        run: |scene| request(scene, &open_namespace("/proc/self/ns/mnt")?, 0x8010_b70b),
        source: "the kernel's include/uapi/linux/nsfs.h",
        ..ROOTS
    },
    Probe {
        id: "NS-05.process",
        title: "from a process outside to its namespaces",
        attack: "PIDFD_GET_NET_NAMESPACE of a process of the agent's uid",
        claims: &[
            wall(Wall::Pid, NO_PROCESS),
            wall(Wall::User, ACCESS),
            landlock(1, ACCESS),
            wall(Wall::Seccomp, NO_REQUEST),
        ],
        run: |scene| request(scene, &process(scene.victim)?, 0xff04),
        source: "the kernel's include/uapi/linux/pidfd.h",
        ..Probe::NEW
    },
    Probe {
        id: "NS-06.uids",
        title: "uids of others",
        attack: "none: it has a uid that its user namespace knows",
        claims: &[wall(Wall::User, NO_EFFECT)],
        evidence: Evidence::Look(|look| maps_others(&look.proc("uid_map"))),
        helpers: true,
        source: "user_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-06.gids",
        title: "groups of others",
        attack: "none: it has a gid that its user namespace knows",
        claims: &[wall(Wall::User, NO_EFFECT)],
        evidence: Evidence::Look(|look| maps_others(&look.proc("gid_map"))),
        source: "user_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-07",
        title: "leave a group that files shut out",
        attack: "none: a user namespace that allows setgroups(2) lets its root leave groups",
        claims: &[wall(Wall::User, NO_EFFECT)],
        evidence: Evidence::Look(|look| look.proc("setgroups").trim() == "allow"),
        source: "CVE-2014-8989, user_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-08",
        title: "a group of whoever started it",
        attack: "none: groups stay where the uid changes",
        claims: &[layer(Layer::Launcher, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            let group = CALLERS_GROUP.to_string();
            look.status("Groups").split_whitespace().any(|own| own == group)
        }),
        control: Control::Root,
        helpers: true,
        source: "setgroups(2)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-09.su",
        title: "become root by a program of the system",
        attack: "execve(2) of /usr/bin/su",
        run: |_| hold("/usr/bin/su", "--version"),
        helpers: true,
        ..SET_ID
    },
    Probe {
        id: "NS-09.mount",
        title: "become root by the program that mounts",
        attack: "execve(2) of /usr/bin/mount",
        run: |_| hold("/usr/bin/mount", "--version"),
        ..SET_ID
    },
    Probe {
        id: "NS-09.newuidmap",
        title: "more uids by the program that maps them",
        attack: "execve(2) of /usr/bin/newuidmap",
        // Set-user-ID on some systems, with a file capability on others: `user` stops only the former.
        claims: &[wall(Wall::NoNewPrivs, NO_EFFECT), wall(Wall::Mount, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            any_child(look, |child, own| is_root(child, own) || has_capability(child, own))
        }),
        run: |_| hold("/usr/bin/newuidmap", "--help"),
        source: "newuidmap(1), user_namespaces(7)",
        ..SET_ID
    },
    Probe {
        id: "NS-09.chage",
        title: "a group of the system by a program that has it",
        attack: "execve(2) of /usr/bin/chage, which is set-group-ID",
        evidence: Evidence::Look(|look| {
            any_child(look, |child, own| line(child, "Gid") != line(own, "Gid"))
        }),
        run: |_| hold("/usr/bin/chage", "--help"),
        ..SET_ID
    },
    Probe {
        id: "NS-14.firejail",
        title: "become root by another sandbox",
        attack: "execve(2) of /usr/bin/firejail, which is set-user-ID",
        run: |_| hold("/usr/bin/firejail", "--version"),
        source: "CVE-2022-31214",
        ..SET_ID
    },
    Probe {
        id: "NS-14.bwrap",
        title: "become root by bubblewrap",
        attack: "execve(2) of /usr/bin/bwrap, which is set-user-ID on some systems",
        run: |_| hold("/usr/bin/bwrap", "--version"),
        source: "CVE-2020-5291",
        ..SET_ID
    },
    Probe {
        id: "NS-10.release_agent",
        title: "the program that is run when a cgroup is left",
        attack: "open(2) of release_agent of a version 1 hierarchy to write, which root runs",
        claims: &[layer(Layer::Uid, ACCESS), wall(Wall::Mount, NO_ENTRY)],
        run: open_release_agent,
        source: "CVE-2022-0492, cgroups(7)",
        ..ROOTS
    },
    Probe {
        id: "NS-10.first",
        title: "a cgroup hierarchy of version 1",
        attack: "unshare(2) and mount(2) of a hierarchy that the host has",
        run: |scene| {
            let text = crate::host::text::read("/proc/self/cgroup")?;
            let mut kinds = text.lines().filter_map(|line| line.split(':').nth(1));
            let kind = kinds.find(|kind| !kind.is_empty()).ok_or(Errno::NOENT)?;
            own_mount(scene, CloneFlags::CLONE_NEWCGROUP, "cgroup", kind)
        },
        source: "CVE-2022-0492, cgroups(7)",
        ..MOUNT
    },
    Probe {
        id: "NS-10.second",
        title: "the cgroup hierarchy of version 2",
        attack: "unshare(2) and mount(2)",
        run: |scene| own_mount(scene, CloneFlags::CLONE_NEWCGROUP, "cgroup2", ""),
        source: "cgroup_namespaces(7)",
        ..MOUNT
    },
    Probe {
        id: "NS-11.hostname",
        title: "another host name",
        attack: "sethostname(2) with a name that is too long",
        // The length is looked at after the capability.
        evidence: Evidence::Answer(&[Errno::INVAL]),
        run: |scene| {
            scene.call(libc::SYS_sethostname, &mut [Argument::Bytes(&[b'x'; 65]), 65.into()])?;
            Ok(Vec::new())
        },
        source: "sethostname(2)",
        ..ROOTS
    },
    Probe {
        id: "NS-11.domain",
        title: "another domain name",
        attack: "setdomainname(2) with a name that is too long",
        evidence: Evidence::Answer(&[Errno::INVAL]),
        run: |scene| {
            scene.call(libc::SYS_setdomainname, &mut [Argument::Bytes(&[b'x'; 65]), 65.into()])?;
            Ok(Vec::new())
        },
        source: "setdomainname(2)",
        ..ROOTS
    },
    Probe {
        id: "NS-11.name",
        title: "what the host is called",
        attack: "uname(2)",
        claims: &[wall(Wall::Uts, NO_EFFECT)],
        evidence: Evidence::Look(|look| {
            look.told == rustix::system::uname().nodename().to_bytes() && look.shares("uts")
        }),
        run: |_| Ok(rustix::system::uname().nodename().to_bytes().to_vec()),
        helpers: true,
        source: "uname(2), uts_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-11.clock",
        title: "another time since the start of the machine",
        attack: "unshare(2) and write(2) to the own timens_offsets",
        claims: &[NO_FILTERED, NO_NESTED, wall(Wall::Mount, READ_ONLY), landlock(1, ACCESS)],
        run: |scene| {
            unshare(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME))?;
            write(scene, "/proc/self/timens_offsets", b"monotonic 86400 0")
        },
        source: "time_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-12",
        title: "packets of its own making",
        attack: "unshare(2) and socket(2) of AF_PACKET in a network of its own",
        claims: &[NO_FILTERED, NO_NESTED],
        run: |scene| {
            const PACKET: u64 = 17;
            const RAW: u64 = 3;
            unshare(CloneFlags::CLONE_NEWNET)?;
            scene.call(libc::SYS_socket, &mut [PACKET.into(), RAW.into(), 0.into()])?;
            Ok(Vec::new())
        },
        source: "CVE-2020-14386, packet(7)",
        ..Probe::NEW
    },
    Probe {
        id: "NS-13.sysfs",
        title: "a /sys of its own",
        attack: "unshare(2) and mount(2) of sysfs for a network of its own",
        claims: &[NO_FILTERED, NO_NESTED, wall(Wall::Mount, PERMISSION), landlock(1, PERMISSION)],
        run: |scene| own_mount(scene, CloneFlags::CLONE_NEWNET, "sysfs", ""),
        ..MOUNT
    },
    Probe {
        id: "NS-13.proc",
        title: "a /proc with nothing covered",
        attack: "unshare(2) and, as PID 1 of its own processes, mount(2) of proc",
        claims: &[NO_FILTERED, NO_NESTED, wall(Wall::Mount, PERMISSION), landlock(1, PERMISSION)],
        evidence: Evidence::Look(|look| {
            any_child(look, |child, _| {
                let file = format!("/proc/{}/mountinfo", line(child, "Pid"));
                let mounts = crate::host::text::read(file).unwrap_or_default();
                mounts.lines().any(|mount| mount.contains(AGAIN) && mount.contains(" - proc "))
            })
        }),
        run: mount_proc_again,
        ..MOUNT
    },
];

const NET_RAW: u64 = 13;

/// The place of a mount of its own.
const AGAIN: &str = "/mounted-again";

/// Where the files of the whole run are shown in a jail that has a root of its own.
const MASTERS: &str = "/opt/cellblock-masters";

/// Whether a set of capabilities, as the kernel writes it, has any.
fn has(set: &str) -> bool {
    set.chars().any(|digit| digit != '0')
}

/// Whether `is` holds of one of the prober's children, given its status file and the prober's. A child that
/// has just been started may still be on its way to what it becomes: until all sleep, the answer is open.
fn any_child(look: &Look<'_>, is: fn(&str, &str) -> bool) -> bool {
    let own = look.proc("status");
    let until = Instant::now() + Duration::from_secs(1);
    let mut slept = false;
    loop {
        let children = look.children();
        if children.iter().any(|child| is(child, &own)) {
            return true;
        }
        let sleep = children.iter().all(|child| line(child, "State").starts_with(['S', 'Z']));
        if (slept && sleep) || Instant::now() >= until {
            return false;
        }
        slept = sleep;
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether one of the uids of a process is root's.
fn is_root(child: &str, _: &str) -> bool {
    line(child, "Uid").split_whitespace().any(|id| id == "0")
}

fn has_capability(child: &str, _: &str) -> bool {
    has(&line(child, "CapEff"))
}

/// Whether a map of ids has root's, or more than one.
fn maps_others(map: &str) -> bool {
    map.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        !matches!(fields[..], [_, outside, "1"] if outside != "0")
    })
}

fn open_namespace(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Enters the namespace of this kind that a descriptor stands for, by the watched call.
fn enter(scene: &Scene, whose: &OwnedFd, kind: i32) -> Attempted {
    scene.call(libc::SYS_setns, &mut [number(whose.as_raw_fd()), number(kind)])?;
    Ok(Vec::new())
}

/// ioctl(2) with nothing given along, by the watched call.
fn request(scene: &Scene, whom: &OwnedFd, request: u64) -> Attempted {
    let arguments = &mut [number(whom.as_raw_fd()), request.into(), 0.into()];
    scene.call(libc::SYS_ioctl, arguments)?;
    Ok(Vec::new())
}

/// New namespaces, and the user namespace that has all power over them.
fn unshare(namespaces: CloneFlags) -> Result<(), Stop> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWUSER | namespaces)?)
}

/// Mounts a file system of its own in mounts of its own, by the watched call.
fn own_mount(scene: &Scene, namespaces: CloneFlags, kind: &str, options: &str) -> Attempted {
    let place = scene.scratch.clone() + AGAIN;
    std::fs::create_dir(&place).map_err(broken("make a place for a mount"))?;
    unshare(CloneFlags::CLONE_NEWNS | namespaces)?;
    let [place, kind, options] = [&place, kind, options].map(|text| format!("{text}\0"));
    let arguments = &mut [
        Argument::Bytes(b"none\0"),
        Argument::Bytes(place.as_bytes()),
        Argument::Bytes(kind.as_bytes()),
        0.into(),
        Argument::Bytes(options.as_bytes()),
    ];
    scene.call(libc::SYS_mount, arguments)?;
    Ok(Vec::new())
}

/// Only who is in a pid namespace can mount its `/proc`: a child does it, and stays to be looked at.
fn mount_proc_again(scene: &Scene) -> Attempted {
    let place = scene.scratch.clone() + AGAIN;
    std::fs::create_dir(&place).map_err(broken("make a place for a mount"))?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    let (hear, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    sys::fork(|| {
        let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        let (proc, none) = (Some("proc"), None::<&str>);
        let mounted = nix::mount::mount(proc, place.as_str(), proc, MsFlags::empty(), none);
        let errno = mounted.map_or_else(|errno| errno as i32, |()| 0);
        if rustix::io::write(&tell, &errno.to_ne_bytes()).is_ok() && bound.is_ok() {
            std::thread::sleep(Duration::from_secs(60));
        }
        0
    })?;
    let mut errno = [0; 4];
    rustix::io::read(&hear, &mut errno)?;
    match i32::from_ne_bytes(errno) {
        0 => Ok(Vec::new()),
        errno => Err(Stop::Refused(errno)),
    }
}

/// Shows the files of the whole run in the jail.
fn show_masters(profile: &mut Profile, world: &World) -> Result<(), String> {
    let run = world.directory().parent().ok_or("the run has no directory")?;
    profile.filesystem.entries.push(Entry {
        path: located(HostPath::parse(&run.join("masters").display().to_string())?),
        at: JailPath::parse(MASTERS)?,
        access: Access { write: false, execute: true },
        optional: false,
        owner: Owner::Disk,
    });
    Ok(())
}

/// Starts a program that waits, from the file with a capability.
#[allow(
    clippy::disallowed_methods,
    reason = "an attack by a program that has more than its starter"
)]
fn start_capable(scene: &Scene) -> Attempted {
    let shown = format!("{MASTERS}/capable");
    let program = if scene.own_root { shown } else { scene.master("capable") };
    let mut command = std::process::Command::new(program);
    command.args([NAME, "as", "hold-on"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Its input stays open as long as the prober.
    std::mem::forget(command.spawn()?);
    Ok(Vec::new())
}

/// Waits for the end of who started it.
fn hold_on() -> Result<(), Stop> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Starts a program of the system that only prints something, into a pipe that is full: it cannot end before
/// it was looked at. It ends with the prober, who has the other end.
#[allow(
    clippy::disallowed_methods,
    reason = "an attack by a program that has more than its starter"
)]
fn hold(program: &str, word: &str) -> Attempted {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    loop {
        match rustix::io::write(&writer, &[0; 4096]) {
            Ok(_) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(Stop::Broken(format!("fill a pipe: {errno}"))),
        }
    }
    rustix::io::ioctl_fionbio(&writer, false)?;
    let mut command = std::process::Command::new(program);
    command.arg(word).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    std::mem::forget(command.spawn()?);
    std::mem::forget(reader);
    Ok(Vec::new())
}

fn open_release_agent(scene: &Scene) -> Attempted {
    let mounts = crate::host::text::read("/proc/self/mounts")?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut first = fields.filter_map(|fields| match fields[..] {
        [_, place, "cgroup", ..] => Some(format!("{place}/release_agent")),
        _ => None,
    });
    let path = first.next().ok_or(Errno::NOENT)?;
    open(scene, &path, OFlags::WRONLY)
}
