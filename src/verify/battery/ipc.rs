//! Sockets, shared memory, signals and keys: whatever lets processes of one machine talk to each other.

use super::raw;
use super::shared::{READ, number, show};
use super::sinks::network_of_host;
use super::syscalls::allowed;
use crate::profile::Wall;
use crate::sys::Argument;
use crate::verify::listeners::ABSTRACT_DATAGRAM;
use crate::verify::look::Look;
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Layer, Probe, Stop, broken, landlock,
    layer, wall,
};
use crate::verify::scene::Scene;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The family.
pub const FAMILY: Family = Family {
    name: "ipc",
    title: "sockets, shared memory, signals, keys",
    probes: PROBES,
    jobs: &[],
};

/// By what stops who connects to a path that everybody on the host may connect to.
const BY_PATH: &[Claim] = &[
    wall(Wall::Mount, &[Answer::Error(Errno::NOENT)]),
    landlock(9, &[Answer::Error(Errno::ACCESS)]),
];

/// By what stops who connects to a path that is root's or a person's.
const BY_PRIVATE_PATH: &[Claim] = &[
    layer(Layer::Uid, &[Answer::Error(Errno::ACCESS)]),
    wall(Wall::Mount, &[Answer::Error(Errno::NOENT)]),
];

/// By what stops who connects to an abstract name.
const BY_NAME: &[Claim] = &[
    wall(Wall::Network, &[Answer::Error(Errno::CONNREFUSED)]),
    landlock(6, &[Answer::Error(Errno::PERM)]),
];

/// A shown tree with a socket in it.
const BY_LAUNCHER: &[Claim] = &[layer(Layer::Launcher, &[Answer::Refused("unix socket")])];

/// System V objects.
const BY_NAMESPACE: &[Claim] = &[
    wall(Wall::Ipc, &[Answer::Error(Errno::NOENT)]),
    wall(Wall::Seccomp, &[Answer::Error(Errno::NOSYS)]).unless(allowed::<{ libc::SYS_shmget }>),
];

/// A process outside.
const BY_PROCESS: &[Claim] =
    &[wall(Wall::Pid, &[Answer::Error(Errno::SRCH)]), landlock(6, &[Answer::Error(Errno::PERM)])];

/// The filter refuses everything about keys.
const BY_FILTER: Claim =
    wall(Wall::Seccomp, &[Answer::Error(Errno::PERM)]).unless(allowed::<{ libc::SYS_keyctl }>);

/// Keys of the caller's.
const BY_KEYRING: &[Claim] = &[wall(Wall::Keyring, &[Answer::Error(Errno::NOKEY)]), BY_FILTER];

const PROBES: &[Probe] = &[
    Probe {
        id: "IPC-01.stream",
        title: "connect to a socket of the host by its path",
        attack: "connect(2) to a Unix socket outside that everybody on the host may use",
        claims: BY_PATH,
        evidence: Evidence::Arrived,
        run: |scene| connect_and_say(scene, "socket"),
        helpers: true,
        source: "unix(7); Landlock has a right for it from ABI 9 on",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-01.datagram",
        title: "send to a socket of the host by its path",
        attack: "sendto(2) to a Unix datagram socket outside, without connect(2)",
        claims: BY_PATH,
        evidence: Evidence::Arrived,
        run: |scene| {
            UnixDatagram::unbound()?.send_to(scene.token.as_bytes(), scene.at("datagram"))?;
            Ok(Vec::new())
        },
        source: "unix(7); Landlock has a right for it from ABI 9 on",
        ..Probe::NEW
    },
    private_service(
        "IPC-01.engine",
        "connect to a container engine or hypervisor",
        "connect(2) to the first of the usual sockets of Docker, Podman, containerd, CRI-O, LXD, Incus and libvirt",
        |scene| connect_to_first(scene, SocketType::STREAM, ENGINES),
        "the API of each of them starts programs as root on the host",
    ),
    Probe {
        id: "IPC-02.read",
        title: "have a tree shown that has a socket in it",
        attack: "a profile that shows a directory of root's to be read, then connect(2) to a socket in it",
        claims: BY_LAUNCHER,
        evidence: Evidence::Arrived,
        run: |scene| connect_and_say(scene, "served/socket"),
        arrange: |profile, world| show(profile, &world.path("served"), READ),
        source: "unix(7): neither a read-only mount nor a network namespace stops connect(2) by path",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-02.aliased",
        title: "have a tree shown with a socket that was made by another path",
        attack: "a profile that shows a directory to be read with a socket that the kernel lists by a \
                 path through /proc, as it lists those made by a relative path",
        claims: BY_LAUNCHER,
        evidence: Evidence::Arrived,
        run: |scene| connect_and_say(scene, "aliased/socket"),
        arrange: |profile, world| show(profile, &world.path("aliased"), READ),
        source: "proc_pid_net(5): /proc/net/unix has the path that was given to bind(2)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-02.spaced",
        title: "have a tree shown with a space in its name and a socket in it",
        attack: "a profile that shows a directory to be read with a socket whose path has a space in it",
        claims: BY_LAUNCHER,
        evidence: Evidence::Arrived,
        run: |scene| connect_and_say(scene, "served too/socket"),
        arrange: |profile, world| show(profile, &world.path("served too"), READ),
        source: "proc_pid_net(5): in /proc/net/unix the path is the rest of the line",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-03.stream",
        title: "connect to a socket of the host by its abstract name",
        attack: "connect(2) to an abstract Unix socket outside",
        claims: BY_NAME,
        evidence: Evidence::Arrived,
        run: |scene| {
            let mut stream = UnixStream::connect_addr(&abstract_name(&scene.abstract_name)?)?;
            stream.write_all(scene.token.as_bytes())?;
            Ok(Vec::new())
        },
        helpers: true,
        source: "unix(7); CVE-2020-15257 (containerd); landlock(7), LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-03.datagram",
        title: "send to a socket of the host by its abstract name",
        attack: "sendto(2) to an abstract Unix datagram socket outside, without connect(2)",
        claims: BY_NAME,
        evidence: Evidence::Arrived,
        run: |scene| {
            let name = format!("{}{ABSTRACT_DATAGRAM}", scene.abstract_name);
            let socket = UnixDatagram::unbound()?;
            socket.send_to_addr(scene.token.as_bytes(), &abstract_name(&name)?)?;
            Ok(Vec::new())
        },
        source: "unix(7); landlock(7), LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-04.stream",
        title: "be reached from outside by an abstract name",
        attack: "listen(2) on an abstract Unix socket whose name an accomplice outside knows",
        claims: &[wall(Wall::Network, &[Answer::NoEffect])],
        evidence: Evidence::Look(|look| {
            let connect = |name| UnixStream::connect_addr(&name);
            abstract_name(&look.world.token).is_ok_and(|name| connect(name).is_ok())
        }),
        run: |scene| stays(UnixListener::bind_addr(&abstract_name(&scene.token)?)?),
        granted: network_of_host,
        source: "unix(7): who connects can hand over descriptors (SCM_RIGHTS)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-04.datagram",
        title: "be sent to from outside by an abstract name",
        attack: "bind(2) of a datagram socket to an abstract name that an accomplice outside knows",
        claims: &[wall(Wall::Network, &[Answer::NoEffect])],
        evidence: Evidence::Look(|look| {
            let send = |name| UnixDatagram::unbound()?.send_to_addr(b"x", &name);
            abstract_name(&look.world.token).is_ok_and(|name| send(name).is_ok())
        }),
        run: |scene| stays(UnixDatagram::bind_addr(&abstract_name(&scene.token)?)?),
        granted: network_of_host,
        source: "unix(7): who sends can hand over descriptors (SCM_RIGHTS)",
        ..Probe::NEW
    },
    service(
        "IPC-05.system",
        "connect to the system's message bus",
        "connect(2) to D-Bus, through which systemd, polkit and others take orders",
        |scene| connect_to_first(scene, SocketType::STREAM, &["/run/dbus/system_bus_socket"]),
        "D-Bus specification, well-known message bus instances",
    ),
    private_service(
        "IPC-05.session",
        "connect to a person's message bus",
        "connect(2) to D-Bus in a directory of /run/user, where `systemd-run --user` takes orders",
        |scene| {
            connect_to_first(scene, SocketType::STREAM, &of_persons(&["bus", "systemd/private"])?)
        },
        "D-Bus specification; XDG base directory specification",
    ),
    service(
        "IPC-06.manager",
        "connect to systemd itself",
        "connect(2) to the private sockets of the service manager",
        |scene| connect_to_first(scene, SocketType::STREAM, MANAGERS),
        "systemd(1)",
    ),
    service(
        "IPC-06.notify",
        "speak to systemd as one of its services",
        "connect(2) of a datagram socket to the socket on which services tell their state",
        |scene| connect_to_first(scene, SocketType::DGRAM, &["/run/systemd/notify"]),
        "sd_notify(3)",
    ),
    service(
        "IPC-06.journal",
        "write to the system's log",
        "connect(2) of a datagram socket to the socket of journald or syslogd",
        |scene| connect_to_first(scene, SocketType::DGRAM, LOGS),
        "systemd-journald.service(8), syslog(3)",
    ),
    service(
        "IPC-07.x11",
        "connect to the X server",
        "connect(2) to the X server's socket by its path",
        |scene| connect_to_first(scene, SocketType::STREAM, DISPLAYS),
        "X(7): a client can read and make every key press",
    ),
    Probe {
        id: "IPC-07.abstract",
        title: "connect to the X server by its abstract name",
        attack: "connect(2) to the X server's abstract socket",
        claims: BY_NAME,
        run: |scene| {
            let mut address = vec![0];
            address.extend(DISPLAYS[0].as_bytes());
            connect_by_address(scene, SocketType::STREAM, &address)
        },
        source: "X(7): a client can read and make every key press",
        ..Probe::NEW
    },
    private_service(
        "IPC-07.wayland",
        "connect to a person's desktop",
        "connect(2) to the compositor or the sound server in a directory of /run/user",
        |scene| connect_to_first(scene, SocketType::STREAM, &of_persons(DESKTOP)?),
        "Wayland, PipeWire and PulseAudio keep their sockets in XDG_RUNTIME_DIR",
    ),
    private_service(
        "IPC-08.ssh",
        "connect to a person's ssh-agent",
        "connect(2) to a socket that ssh-agent(1) made in /tmp",
        |scene| {
            let sockets = below("/tmp", "ssh-", |directory| below(directory, "agent.", one))?;
            connect_to_first(scene, SocketType::STREAM, &sockets)
        },
        "ssh-agent(1)",
    ),
    private_service(
        "IPC-08.person",
        "connect to the keeper of a person's keys",
        "connect(2) to gpg-agent, the desktop's keyring or an ssh-agent in a directory of /run/user",
        |scene| connect_to_first(scene, SocketType::STREAM, &of_persons(KEEPERS)?),
        "gpg-agent(1), gnome-keyring-daemon(1), ssh-agent(1)",
    ),
    service(
        "IPC-08.cards",
        "connect to the keeper of smart cards",
        "connect(2) to pcscd",
        |scene| connect_to_first(scene, SocketType::STREAM, &["/run/pcscd/pcscd.comm"]),
        "pcscd(8)",
    ),
    service(
        "IPC-09.names",
        "have somebody else look up names",
        "connect(2) to nscd, sssd or systemd-resolved, which ask the network on behalf of who asks them",
        |scene| connect_to_first(scene, SocketType::STREAM, RESOLVERS),
        "nscd(8), sssd(8), nss-resolve(8)",
    ),
    Probe {
        id: "IPC-11.memory",
        title: "find shared memory of the host",
        attack: "shmget(2) with a key of another process of the same uid, then shmctl(2) IPC_STAT",
        claims: BY_NAMESPACE,
        run: |scene| {
            let id = existing(libc::SYS_shmget, &[scene.ipc_key.cast_unsigned().into(), 0, 0])?;
            let stat = &mut [id.into(), 2.into(), Argument::Room(&mut [0; 256])];
            scene.call(libc::SYS_shmctl, stat)?;
            Ok(Vec::new())
        },
        helpers: true,
        source: "shmget(2), ipc_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-11.semaphore",
        title: "read a semaphore of the host",
        attack: "semget(2) with a key of another process of the same uid, then semctl(2) GETVAL",
        claims: BY_NAMESPACE,
        run: |scene| {
            let id = existing(libc::SYS_semget, &[scene.ipc_key.cast_unsigned().into(), 0, 0])?;
            scene.call(libc::SYS_semctl, &mut [id.into(), 0.into(), 12.into()])?;
            Ok(Vec::new())
        },
        source: "semget(2), ipc_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-11.queue",
        title: "take a message out of a queue of the host",
        attack: "msgget(2) with a key of another process of the same uid, then msgrcv(2)",
        claims: BY_NAMESPACE,
        evidence: Evidence::Secret,
        run: |scene| {
            let id = existing(libc::SYS_msgget, &[scene.ipc_key.cast_unsigned().into(), 0])?;
            let mut message = [0; 264];
            const NOWAIT: u64 = 0o4000;
            let room = Argument::Room(&mut message);
            raw(libc::SYS_msgrcv, &mut [id.into(), room, 256.into(), 0.into(), NOWAIT.into()])?;
            Ok(message.to_vec())
        },
        source: "msgget(2), ipc_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-11.posix-queue",
        title: "take a message out of a POSIX queue of the host",
        attack: "mq_open(3) of the queue of another process of the same uid, then mq_receive(3)",
        claims: &[
            wall(Wall::Ipc, &[Answer::Error(Errno::NOENT)]),
            wall(Wall::Seccomp, &[Answer::Error(Errno::NOSYS)])
                .unless(allowed::<{ libc::SYS_mq_open }>),
            // The queue is a file on a mount that no rule is about.
            landlock(1, &[Answer::Error(Errno::ACCESS)]),
        ],
        evidence: Evidence::Secret,
        run: |scene| {
            use nix::mqueue::{MQ_OFlag, mq_open, mq_receive};
            let flags = MQ_OFlag::O_RDONLY | MQ_OFlag::O_NONBLOCK;
            let name = format!("/{}", scene.name);
            let queue = mq_open(name.as_str(), flags, nix::sys::stat::Mode::empty(), None)?;
            let mut message = [0; 256];
            mq_receive(&queue, &mut message, &mut 0)?;
            Ok(message.to_vec())
        },
        source: "mq_overview(7), ipc_namespaces(7)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-11.posix-memory",
        title: "read POSIX shared memory of the host",
        attack: "open(2) of a file in /dev/shm of another process of the same uid",
        claims: &[wall(Wall::Mount, &[Answer::Error(Errno::NOENT)])],
        evidence: Evidence::Secret,
        run: |scene| Ok(std::fs::read(format!("/dev/shm/{}", scene.name))?),
        source: "shm_overview(7)",
        ..Probe::NEW
    },
    Probe {
        helpers: true,
        ..signal(
            "IPC-12.kill",
            "end a process of the host",
            "kill(2) of a process of the same uid outside with SIGKILL",
            |scene| {
                rustix::process::kill_process(victim(scene)?, Signal::KILL)?;
                done()
            },
            "kill(2); landlock(7), LANDLOCK_SCOPE_SIGNAL",
        )
    },
    signal(
        "IPC-12.tgkill",
        "end a thread of the host",
        "tgkill(2) of a thread of the same uid outside",
        |scene| {
            let pid = || number(scene.victim);
            raw(libc::SYS_tgkill, &mut [pid(), pid(), number(libc::SIGKILL)])?;
            done()
        },
        "tgkill(2)",
    ),
    signal(
        "IPC-12.queue",
        "queue a signal to a process of the host",
        "rt_sigqueueinfo(2) of a process of the same uid outside",
        |scene| {
            let (pid, signal) = (number(scene.victim), number(libc::SIGTERM));
            let queue = &mut [pid, signal, Argument::Bytes(&QUEUED)];
            raw(libc::SYS_rt_sigqueueinfo, queue)?;
            done()
        },
        "rt_sigqueueinfo(2)",
    ),
    signal(
        "IPC-12.pidfd",
        "end a process of the host by a descriptor",
        "pidfd_open(2) of a process of the same uid outside, then pidfd_send_signal(2)",
        |scene| {
            let pidfd = rustix::process::pidfd_open(victim(scene)?, PidfdFlags::empty())?;
            rustix::process::pidfd_send_signal(pidfd, Signal::KILL)?;
            done()
        },
        "pidfd_open(2), pidfd_send_signal(2)",
    ),
    Probe {
        claims: &[wall(Wall::Pid, &[Answer::Error(Errno::SRCH)]), landlock(6, &[Answer::NoEffect])],
        ..signal(
            "IPC-12.sigio",
            "have the kernel signal a process of the host",
            "fcntl(2) F_SETOWN of a pipe to a process of the same uid outside, then a write to the pipe",
            signal_by_pipe,
            "fcntl(2), F_SETOWN; landlock(7), LANDLOCK_SCOPE_SIGNAL",
        )
    },
    Probe {
        id: "IPC-12.scheduler",
        title: "have a process of the host run only when nothing else does",
        attack: "sched_setscheduler(2) with SCHED_IDLE of a process of the same uid outside",
        claims: &[
            wall(Wall::Pid, &[Answer::Error(Errno::SRCH)]),
            wall(Wall::Seccomp, &[Answer::Error(Errno::NOSYS)])
                .unless(allowed::<{ libc::SYS_sched_setscheduler }>),
        ],
        evidence: Evidence::Look(|look| stat_of_victim(look, 41) == "5"),
        run: |scene| {
            const IDLE: u64 = 5;
            let set = &mut [number(scene.victim), IDLE.into(), Argument::Bytes(&[0; 4])];
            raw(libc::SYS_sched_setscheduler, set)?;
            Ok(Vec::new())
        },
        source: "sched_setscheduler(2), sched(7)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-13.session",
        title: "read a key of who started the agent",
        attack: "keyctl(2) KEYCTL_SEARCH in the session keyring, then KEYCTL_READ",
        claims: BY_KEYRING,
        evidence: Evidence::Secret,
        run: |scene| {
            let name = format!("{}\0", scene.name);
            read_key(raw(libc::SYS_keyctl, &mut search(SESSION_KEYRING, &name, 0))?)
        },
        helpers: true,
        source: "session-keyring(7): inherited by fork and exec, bound to no namespace",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-13.request",
        title: "ask for a key of who started the agent",
        attack: "request_key(2) without calling anybody out, then keyctl(2) KEYCTL_READ",
        claims: BY_KEYRING,
        evidence: Evidence::Secret,
        run: |scene| {
            let name = format!("{}\0", scene.name);
            let wanted = &mut [
                Argument::Bytes(b"user\0"),
                Argument::Bytes(name.as_bytes()),
                0.into(),
                0.into(),
            ];
            read_key(raw(libc::SYS_request_key, wanted)?)
        },
        source: "request_key(2)",
        ..Probe::NEW
    },
    Probe {
        id: "IPC-13.user",
        title: "read a key of another process of the same uid",
        attack: "keyctl(2) KEYCTL_SEARCH in the user keyring with a link to it, then KEYCTL_READ",
        claims: &[wall(Wall::User, &[Answer::Error(Errno::NOKEY)]), BY_FILTER],
        evidence: Evidence::Secret,
        run: |scene| {
            let name = format!("{}\0", scene.name);
            let found = raw(libc::SYS_keyctl, &mut search(USER_KEYRING, &name, THREAD_KEYRING))?;
            read_key(found)
        },
        source: "user-keyring(7): one for each uid of a user namespace",
        ..Probe::NEW
    },
];

/// A service of the host that everybody may connect to.
const fn service(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    Probe { id, title, attack, run, source, ..REACHED }
}

/// A service that is there, and would have been reached by a socket of its kind.
const REACHED: Probe = Probe {
    claims: &[wall(Wall::Mount, &[Answer::Error(Errno::NOENT)])],
    evidence: Evidence::Answer(&[Errno::PROTOTYPE]),
    ..Probe::NEW
};

/// A service of the host that only root or one person may connect to.
const fn private_service(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    let claims = BY_PRIVATE_PATH;
    Probe { id, title, attack, claims, run, source, control: Control::Root, ..REACHED }
}

/// A way to end the victim.
const fn signal(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
    source: &'static str,
) -> Probe {
    let evidence = Evidence::Look(|look| in_time(look, || look.victim_ended()));
    Probe { id, title, attack, claims: BY_PROCESS, evidence, run, source, ..Probe::NEW }
}

const ENGINES: &[&str] = &[
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/libvirt/libvirt-sock",
];
const MANAGERS: &[&str] = &["/run/systemd/private", "/run/systemd/io.systemd.Manager"];
const LOGS: &[&str] = &["/run/systemd/journal/socket", "/run/systemd/journal/dev-log", "/dev/log"];
const DISPLAYS: &[&str] =
    &["/tmp/.X11-unix/X0", "/tmp/.X11-unix/X1", "/tmp/.X11-unix/X10", "/tmp/.X11-unix/X1024"];
const DESKTOP: &[&str] = &["wayland-0", "wayland-1", "pipewire-0", "pulse/native"];
const KEEPERS: &[&str] = &["gnupg/S.gpg-agent", "keyring/control", "keyring/ssh", "openssh_agent"];
const RESOLVERS: &[&str] = &[
    "/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/var/lib/sss/pipes/nss",
    "/run/avahi-daemon/socket",
];

/// The numbers of keyctl(2).
const KEYCTL_SEARCH: u64 = 10;
const KEYCTL_READ: u64 = 11;
const THREAD_KEYRING: i64 = -1;
const SESSION_KEYRING: i64 = -3;
const USER_KEYRING: i64 = -4;

/// `siginfo_t` with SIGTERM and SI_QUEUE, which is what processes may send to each other.
const QUEUED: [u8; 128] = {
    let mut info = [0; 128];
    let signal = libc::SIGTERM.to_ne_bytes();
    let mut at = 0;
    while at < 4 {
        info[at] = signal[at];
        info[8 + at] = 0xff;
        at += 1;
    }
    info
};

/// The id of an object that exists.
fn existing(get: libc::c_long, arguments: &[u64]) -> Result<u64, Errno> {
    let mut arguments: Vec<_> = arguments.iter().map(|number| Argument::Number(*number)).collect();
    raw(get, &mut arguments)
}

fn abstract_name(name: &str) -> Result<SocketAddr, std::io::Error> {
    SocketAddr::from_abstract_name(name)
}

/// Says the token on the socket at `path` in the world.
fn connect_and_say(scene: &Scene, path: &str) -> Attempted {
    let mut stream = UnixStream::connect(scene.at(path))?;
    stream.write_all(scene.token.as_bytes())?;
    Ok(Vec::new())
}

/// Connects to the first of `paths` that is there, or may be, with a socket that is not of its `kind`: the
/// kernel says so (`EPROTOTYPE`) where nothing else stands in the way, and nobody is woken by it. A service
/// that waits for its first caller to be started would go on running.
fn connect_to_first<P: AsRef<Path>>(scene: &Scene, kind: SocketType, paths: &[P]) -> Attempted {
    let missing = |path: &Path| {
        std::fs::symlink_metadata(path).is_err_and(|error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        })
    };
    let found = paths.iter().map(AsRef::as_ref).find(|path| !missing(path)).ok_or(Errno::NOENT)?;
    let mut address = found.as_os_str().as_encoded_bytes().to_vec();
    address.push(0);
    let other = if kind == SocketType::STREAM { SocketType::DGRAM } else { SocketType::STREAM };
    connect_by_address(scene, other, &address)
}

/// The watched connect(2) to what stands in `sun_path`. Nothing is said.
fn connect_by_address(scene: &Scene, kind: SocketType, path: &[u8]) -> Attempted {
    let socket = rustix::net::socket(AddressFamily::UNIX, kind, None).map_err(broken("socket"))?;
    let mut address = AddressFamily::UNIX.as_raw().to_ne_bytes().to_vec();
    address.extend(path);
    let length = address.len() as u64;
    let to = &mut [number(socket.as_raw_fd()), Argument::Bytes(&address), Argument::Number(length)];
    scene.call(libc::SYS_connect, to)?;
    Ok(Vec::new())
}

/// `names` in the directory of each person who is logged in.
fn of_persons(names: &[&str]) -> Result<Vec<String>, Stop> {
    below("/run/user", "", |directory| {
        Ok(names.iter().map(|name| format!("{directory}/{name}")).collect())
    })
}

/// What `go_on` makes of each entry of `directory` that begins with `prefix`.
fn below(
    directory: &str,
    prefix: &str,
    go_on: impl Fn(&str) -> Result<Vec<String>, Stop>,
) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.starts_with(prefix)) {
            found.extend(go_on(&format!("{directory}/{name}"))?);
        }
    }
    Ok(found)
}

fn one(path: &str) -> Result<Vec<String>, Stop> {
    Ok(vec![path.to_owned()])
}

/// Keeps `socket` open as long as the prober lives.
fn stays(socket: impl AsFd) -> Attempted {
    std::mem::forget(socket);
    Ok(Vec::new())
}

fn victim(scene: &Scene) -> Result<Pid, Stop> {
    Pid::from_raw(scene.victim).ok_or_else(|| Stop::Broken("there is no victim".to_owned()))
}

/// The kernel took the order; what became of it is seen from outside.
fn done() -> Attempted {
    Ok(b"done".to_vec())
}

/// Whether `seen` comes to be true: at once, or soon where the kernel took the order.
fn in_time(look: &Look<'_>, seen: impl Fn() -> bool) -> bool {
    let patience = if look.told.is_empty() { Duration::ZERO } else { Duration::from_millis(300) };
    let until = Instant::now() + patience;
    loop {
        if seen() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn of_victim(look: &Look<'_>, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{}/{file}", look.world.victim())).unwrap_or_default()
}

/// A field of the victim's `stat`, by its number in proc_pid_stat(5).
fn stat_of_victim(look: &Look<'_>, field: usize) -> String {
    let stat = of_victim(look, "stat");
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // The third field is the first one after the name.
    rest.split(' ').nth(field - 3).unwrap_or_default().to_owned()
}

/// The kernel signals who owns a pipe that something comes into; the default of SIGIO is to end it.
fn signal_by_pipe(scene: &Scene) -> Attempted {
    const SETFL: u64 = 4;
    const SETOWN: u64 = 8;
    const ASYNC: u64 = 0o20000;
    let (out, into) = rustix::pipe::pipe().map_err(broken("pipe"))?;
    let descriptor = || number(out.as_raw_fd());
    raw(libc::SYS_fcntl, &mut [descriptor(), SETOWN.into(), number(scene.victim)])?;
    raw(libc::SYS_fcntl, &mut [descriptor(), SETFL.into(), ASYNC.into()])?;
    rustix::io::write(&into, b"x")?;
    done()
}

/// The arguments of a search for the world's key.
fn search(keyring: i64, name: &str, link_to: i64) -> [Argument<'_>; 5] {
    [
        KEYCTL_SEARCH.into(),
        Argument::Number(keyring.cast_unsigned()),
        Argument::Bytes(b"user\0"),
        Argument::Bytes(name.as_bytes()),
        Argument::Number(link_to.cast_unsigned()),
    ]
}

fn read_key(key: u64) -> Attempted {
    let mut text = [0; 128];
    let length = text.len() as u64;
    let room = Argument::Room(&mut text);
    raw(libc::SYS_keyctl, &mut [KEYCTL_READ.into(), key.into(), room, length.into()])?;
    Ok(text.to_vec())
}
