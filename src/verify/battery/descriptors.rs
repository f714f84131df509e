//! Descriptors that a careless launcher would leave to the agent.

use super::shared::{climb, flags, number, text};
use crate::profile::Wall::{Descriptors, Mount};
use crate::sys::Argument::{Bytes, Room};
use crate::sys::{Entry, attempt};
use crate::verify::look::Look;
use crate::verify::probe::{Answer, Attempted, Evidence, Family, Probe, Stop, landlock, wall};
use crate::verify::world::{DIRECTORY_FD, LOG_FD, SECRET_FD, SOCKET_FD};
use rustix::io::Errno;

/// The family.
pub const FAMILY: Family = Family {
    name: "descriptors",
    title: "descriptors that were left open",
    probes: PROBES,
    jobs: &[],
};

const BADF: &[Answer] = &[Answer::Error(Errno::BADF)];
const NOENT: &[Answer] = &[Answer::Error(Errno::NOENT)];
const ACCESS: &[Answer] = &[Answer::Error(Errno::ACCESS)];

/// What only the closing of descriptors stops: an open file has the rights of who opened it.
const OPEN: Probe = Probe {
    claims: &[wall(Descriptors, BADF)],
    evidence: Evidence::Secret,
    source: "close_range(2); landlock(7): rights are those at the time of open(2)",
    ..Probe::NEW
};

/// What begins at an open directory, where Landlock looks at what is opened from there.
const FROM_DIRECTORY: Probe = Probe {
    claims: &[wall(Descriptors, BADF), landlock(1, ACCESS)],
    source: "CVE-2024-21626",
    ..OPEN
};

/// What goes by the path of a descriptor in /proc.
const BY_PATH: Probe = Probe {
    claims: &[wall(Descriptors, NOENT), landlock(1, ACCESS)],
    source: "proc_pid_fd(5)",
    ..OPEN
};

/// What can be read from `descriptor`.
fn read_from(descriptor: i32) -> Attempted {
    let mut room = [0; 256];
    let size = room.len() as u64;
    let arguments = &mut [number(descriptor), Room(&mut room), size.into(), 0.into()];
    let count = attempt(-1, Entry::Native, libc::SYS_pread64, arguments)?;
    Ok(room[..usize::try_from(count).unwrap_or(0)].to_vec())
}

/// What stands in `path`, which is looked up from the directory `descriptor`.
fn read_below(descriptor: i32, path: &str) -> Attempted {
    let (path, how) = (text(path), flags(libc::O_RDONLY | libc::O_CLOEXEC));
    let arguments = &mut [number(descriptor), Bytes(&path), how, 0.into()];
    let opened = attempt(-1, Entry::Native, libc::SYS_openat, arguments)?;
    read_from(i32::try_from(opened).map_err(|_| Stop::Broken("no descriptor".to_owned()))?)
}

/// Whether the prober has another descriptor than its standard ones and its way to the referee.
fn holds_another(look: &Look<'_>) -> bool {
    let all = look.descriptors();
    let own = all.iter().find(|(number, _)| *number == 0).map(|(_, target)| target.clone());
    all.iter().any(|(number, target)| *number > 2 && Some(target) != own.as_ref())
}

const PROBES: &[Probe] = &[
    Probe {
        id: "FD-01.any",
        title: "hold a descriptor of the launcher's",
        attack: "nothing: what is open at the start is open",
        claims: &[wall(Descriptors, &[Answer::NoEffect])],
        evidence: Evidence::Look(holds_another),
        run: |_| Ok(Vec::new()),
        source: "CVE-2024-21626",
        ..OPEN
    },
    Probe {
        id: "FD-02.cwd",
        title: "go up from the working directory to the host's files",
        attack: "open(2) of a relative path with more `..` than there are directories",
        claims: &[wall(Mount, NOENT), landlock(1, ACCESS)],
        run: |scene| Ok(std::fs::read(climb(&scene.at("secret/canary")))?),
        source: "CVE-2024-21626",
        ..OPEN
    },
    Probe {
        id: "FD-03.reopen",
        title: "open the file of a descriptor once more",
        attack: "open(2) of the descriptor's path in /proc",
        run: |_| Ok(std::fs::read(format!("/proc/self/fd/{SECRET_FD}"))?),
        ..BY_PATH
    },
    Probe {
        id: "FD-03.write",
        title: "write to a log of the launcher's",
        attack: "write(2) to a descriptor of a file that only root can open",
        evidence: Evidence::Planted("locked/log"),
        run: |scene| {
            let token = scene.token.as_bytes();
            let size = token.len() as u64;
            let arguments = &mut [number(LOG_FD), Bytes(token), size.into()];
            attempt(-1, Entry::Native, libc::SYS_write, arguments)?;
            Ok(Vec::new())
        },
        ..OPEN
    },
    Probe {
        id: "FD-03.truncate",
        title: "empty a log of the launcher's",
        attack: "ftruncate(2) of a descriptor of a file that only root can open",
        evidence: Evidence::Look(|look| {
            look.world.path("locked/log").metadata().is_ok_and(|log| log.len() == 0)
        }),
        run: |_| {
            let arguments = &mut [number(LOG_FD), 0.into()];
            attempt(-1, Entry::Native, libc::SYS_ftruncate, arguments)?;
            Ok(Vec::new())
        },
        source: "ftruncate(2)",
        ..OPEN
    },
    Probe {
        id: "FD-04.read",
        title: "read a secret that the launcher has open",
        attack: "pread(2) from the descriptor",
        run: |_| read_from(SECRET_FD),
        helpers: true,
        ..OPEN
    },
    Probe {
        id: "FD-04.send",
        title: "send through a socket of the launcher's that is connected",
        attack: "send(2): neither a network of one's own nor a filter on socket(2) counts any more",
        evidence: Evidence::Arrived,
        run: |scene| {
            let token = scene.token.as_bytes();
            let size = token.len() as u64;
            let arguments = &mut [number(SOCKET_FD), Bytes(token), size.into(), 0.into()];
            attempt(-1, Entry::Native, libc::SYS_sendto, arguments)?;
            Ok(Vec::new())
        },
        source: "network_namespaces(7): a socket stays in the network it was made in",
        ..OPEN
    },
    Probe {
        id: "FD-05.list",
        title: "list a directory that the launcher has open",
        attack: "getdents64(2) of the descriptor of a directory of the host",
        evidence: Evidence::Answer(&[]),
        run: |scene| {
            let mut room = [0; 1024];
            let size = room.len() as u64;
            let arguments = &mut [number(DIRECTORY_FD), Room(&mut room), size.into()];
            scene.call(libc::SYS_getdents64, arguments)?;
            Ok(Vec::new())
        },
        ..OPEN
    },
    Probe {
        id: "FD-05.open",
        title: "open a file in a directory that the launcher has open",
        attack: "openat(2) with the descriptor of a directory of the host",
        run: |_| read_below(DIRECTORY_FD, "canary"),
        ..FROM_DIRECTORY
    },
    Probe {
        id: "FD-05.up",
        title: "go up from a directory that the launcher has open",
        attack: "openat(2) with the descriptor of a directory and a path that begins with `..`",
        run: |_| read_below(DIRECTORY_FD, "../own/canary"),
        ..FROM_DIRECTORY
    },
    Probe {
        id: "FD-05.enter",
        title: "enter a directory that the launcher has open",
        attack: "fchdir(2), and open(2) of a relative path",
        run: |_| {
            attempt(-1, Entry::Native, libc::SYS_fchdir, &mut [number(DIRECTORY_FD)])?;
            Ok(std::fs::read("canary")?)
        },
        ..FROM_DIRECTORY
    },
    Probe {
        id: "FD-05.path",
        title: "go up from the path of a descriptor",
        attack: "open(2) of a path below the descriptor's in /proc",
        run: |_| Ok(std::fs::read(format!("/proc/self/fd/{DIRECTORY_FD}/../own/canary"))?),
        ..BY_PATH
    },
];
