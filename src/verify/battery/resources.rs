//! What everybody needs a share of. Every bomb is bounded by itself: it takes a little more than the
//! limit and no more, and goes off with limits lowered for it.

use super::super::look::Look;
use super::super::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Job, Layer, Probe, Stop, broken, landlock,
    layer, wall,
};
use super::super::prober::{CONTROL, NAME, SELF};
use super::super::scene::Scene;
use super::super::setting::located;
use super::super::world::World;
use crate::plan::{Plan, WallState};
use crate::profile::types::Bytes;
use crate::profile::{Profile, Wall};
use crate::sys::Argument;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The family.
pub const FAMILY: Family = Family {
    name: "resources",
    title: "what everybody needs a share of",
    probes: PROBES,
    jobs: &[Job { name: "hoard", run: hoard }],
};

/// The limits that bombs go off with, whatever the profile's are: the mechanism is the same.
const TASKS: u64 = 40;
const MEMORY: u64 = 96 << 20;
const TREE: u64 = 4 << 20;
const INODES: u64 = 512;
const OPEN_FILES: u64 = 200;
/// More than a jail's own terminals.
const TERMINALS: usize = 300;
/// How much a bomb takes beyond the limit.
const BEYOND: u64 = 24;
/// How long a memory bomb holds what it took: a watch in the place of the controller needs its time. Seconds.
const HOLD: &str = "3";

/// Lowers a limit that the profile sets; one that it does not set is not tested.
/// As many descriptors as this process may give itself.
fn raise_open_files() -> Result<(), Errno> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
}

fn lower(profile: &mut Profile, _world: &World) -> Result<(), String> {
    let limits = &mut profile.limits;
    if let Some(tasks) = &mut limits.tasks {
        tasks.value = tasks.value.min(TASKS);
    }
    if let Some(memory) = &mut limits.memory {
        memory.value = memory.value.min(Bytes(MEMORY));
    }
    limits.memory_high = None;
    limits.open_files = Some(located(OPEN_FILES));
    for tree in [&mut profile.filesystem.tmp, &mut profile.filesystem.home] {
        tree.size.value = tree.size.value.min(Bytes(TREE));
        tree.inodes.value = tree.inodes.value.min(INODES);
    }
    Ok(())
}

/// That the profile sets no limit for `wall`, if so.
fn unset(plan: &Plan, wall: Wall) -> Option<String> {
    let found = plan.walls.iter().find(|plan| plan.wall == wall);
    let unset = found.is_some_and(|plan| plan.state == WallState::NotSet);
    unset.then(|| format!("the profile sets no limit on {wall}"))
}

/// This program as a child with `words`.
#[allow(clippy::disallowed_methods, reason = "a bomb is made of programs")]
fn start(words: &[&str]) -> std::io::Result<Child> {
    let mut child = Command::new(SELF);
    child.args([NAME, "as"]).args(words);
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// What a process of a bomb does: nothing, as long as the prober lives.
fn idle() -> i32 {
    if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_ok() {
        std::thread::sleep(Duration::from_secs(20));
    }
    0
}

/// Starts processes that do nothing, until it may not or there are more than the limit.
fn fork_bomb(_scene: &Scene) -> Attempted {
    let mut children = Vec::new();
    let wanted = usize::try_from(TASKS + BEYOND).unwrap_or(usize::MAX);
    let mut refused = None;
    while children.len() < wanted && refused.is_none() {
        match crate::sys::fork(idle) {
            Ok(child) => children.push(child),
            Err(errno) => refused = Some(errno),
        }
    }
    // They stay until the referee has looked, and end with the prober's end.
    std::mem::forget(children);
    refused.map_or(Ok(Vec::new()), |errno| Err(errno.into()))
}

/// Whether the prober has more children than the limit.
fn has_too_many(look: &Look<'_>) -> bool {
    let own = look.proc(&format!("task/{}/children", look.pid));
    own.split_whitespace().count() as u64 >= TASKS
}

/// Takes memory in the way that is asked for and holds it.
fn hoard(words: &[&str]) -> Result<(), Stop> {
    let length = usize::try_from(MEMORY + (BEYOND << 20)).map_err(broken("count"))?;
    let block = vec![0x5a_u8; 1 << 20];
    let [seconds, way @ ..] = words else { return Err(Stop::Broken("hoard what?".to_owned())) };
    let hold = || hold(seconds);
    match way {
        ["anonymous"] => {
            let mut held = Vec::new();
            held.resize(length, 0x5a_u8);
            hold()?;
            // Used after the rest, so that it is not let go before.
            held.push(0);
        }
        ["memfd"] => {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            let file = rustix::fs::memfd_create("hoard", flags)?;
            let mut file = std::fs::File::from(file);
            for _ in 0..length >> 20 {
                file.write_all(&block)?;
            }
            hold()?;
        }
        _ => return Err(Stop::Broken(format!("there is no way {words:?}"))),
    }
    Ok(())
}

fn hold(seconds: &str) -> Result<(), Stop> {
    let seconds = seconds.parse().map_err(broken("read how long"))?;
    std::thread::sleep(Duration::from_secs(seconds));
    rustix::io::write(rustix::stdio::stdout(), b"held")?;
    Ok(())
}

/// Has a child take more memory than the limit; it succeeded if the child held it to the end.
fn memory_bomb(scene: &Scene, words: &[&str]) -> Attempted {
    // Without a jail nobody watches.
    let hold = if scene.place == CONTROL { "0" } else { HOLD };
    let child = start(&[&["hoard", hold], words].concat()).map_err(broken("start a child"))?;
    let output = child.wait_with_output().map_err(broken("wait for a child"))?;
    match (output.status.code(), output.status.signal()) {
        (Some(0), _) if output.stdout == b"held" => Ok(b"held".to_vec()),
        (Some(errno @ 1..255), _) => Err(Stop::Refused(errno)),
        (_, Some(_)) => Err(Stop::Refused(libc::ENOMEM)),
        (status, _) => Err(Stop::Broken(format!("the child ended with {status:?}"))),
    }
}

/// Fills a tree with one file, or with many.
fn fill(directory: &str, files: bool) -> Attempted {
    let begun = Instant::now();
    if files {
        for number in 0..INODES + BEYOND {
            std::fs::File::create(format!("{directory}/fill-{number}"))?;
        }
    } else {
        let mut file = std::fs::File::create(format!("{directory}/fill"))?;
        let block = vec![0_u8; 1 << 20];
        for _ in 0..(TREE >> 20) + 2 {
            file.write_all(&block)?;
        }
    }
    if begun.elapsed() > Duration::from_secs(30) {
        return Err(Stop::Broken("it took too long".to_owned()));
    }
    Ok(directory.as_bytes().to_vec())
}

/// Whether the file with which a tree was filled is there, as root sees it in the prober's root.
fn is_filled(look: &Look<'_>) -> bool {
    let directory = String::from_utf8_lossy(look.told).into_owned();
    let root = format!("/proc/{}/root{directory}", look.pid);
    let length = |name: &str| std::fs::metadata(format!("{root}/{name}")).map(|file| file.len());
    length("fill").is_ok_and(|length| length > TREE)
        || length(&format!("fill-{}", INODES + BEYOND - 1)).is_ok()
}

/// Where what an agent keeps in memory is full.
const FULL: &[Answer] = &[Answer::Error(Errno::NOSPC)];
const OWN_TREES: &[Claim] = &[wall(Wall::Mount, FULL)];

/// Who stops an agent at the files of the cgroup hierarchy.
const CGROUP_FILES: &[Claim] = &[
    wall(Wall::Mount, &[Answer::Error(Errno::NOENT)]),
    landlock(1, &[Answer::Error(Errno::ACCESS)]),
    layer(Layer::Uid, &[Answer::Error(Errno::ACCESS)]),
];

const fn fills(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        id,
        title,
        attack,
        claims: OWN_TREES,
        evidence: Evidence::Look(is_filled),
        run,
        arrange: lower,
        bomb: true,
        source: "tmpfs(5)",
        ..Probe::NEW
    }
}

/// A file of the cgroup hierarchy opened to be written; nothing is written.
fn open_cgroup(scene: &Scene, file: &str) -> Attempted {
    let path = format!("{}/{file}\0", scene.cgroups);
    let arguments = &mut [
        Argument::Number(libc::AT_FDCWD as u64),
        Argument::Bytes(path.as_bytes()),
        Argument::Number(u64::from((OFlags::WRONLY | OFlags::CLOEXEC).bits())),
        Argument::Number(u64::from(Mode::empty().bits())),
    ];
    scene.call(libc::SYS_openat, arguments)?;
    Ok(Vec::new())
}

const fn cgroup_file(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        id,
        title,
        attack,
        claims: CGROUP_FILES,
        evidence: Evidence::Answer(&[]),
        run,
        control: Control::Root,
        source: "cgroups(7), Documentation/admin-guide/cgroup-v2.rst",
        ..Probe::NEW
    }
}

const PROBES: &[Probe] = &[
    Probe {
        id: "DOS-01",
        title: "start more processes than allowed",
        attack: "fork(2) until it is refused or the limit is passed",
        claims: &[
            wall(Wall::Tasks, &[Answer::Error(Errno::AGAIN)]),
            wall(Wall::Rlimits, &[Answer::Error(Errno::AGAIN)]),
        ],
        evidence: Evidence::Look(has_too_many),
        run: fork_bomb,
        arrange: lower,
        granted: |plan| unset(plan, Wall::Tasks),
        bomb: true,
        source: "cgroups(7) pids, getrlimit(2) RLIMIT_NPROC",
        ..Probe::NEW
    },
    Probe {
        id: "DOS-02.anonymous",
        title: "take more memory than allowed",
        attack: "a child that fills memory up to beyond the limit",
        run: |scene| memory_bomb(scene, &["anonymous"]),
        ..MEMORY_BOMB
    },
    Probe {
        id: "DOS-02.memfd",
        title: "take more memory than allowed by files without a name",
        attack: "a child that fills a memfd up to beyond the limit",
        run: |scene| memory_bomb(scene, &["memfd"]),
        ..MEMORY_BOMB
    },
    fills(
        "DOS-06.inodes",
        "make more files in /tmp than allowed",
        "open(2) with O_CREAT until it is refused or the bound is passed",
        |scene| fill(&scene.scratch, true),
    ),
    fills(
        "DOS-07.tmp",
        "fill /tmp",
        "write(2) to a file until it is refused or the bound is passed",
        |scene| fill(&scene.scratch, false),
    ),
    fills(
        "DOS-07.home",
        "fill the home directory",
        "write(2) to a file until it is refused or the bound is passed",
        |scene| fill(&scene.home, false),
    ),
    Probe {
        id: "DOS-10",
        title: "open more files than allowed",
        attack: "dup(2) until it is refused or the limit is passed, after raising the soft limit",
        claims: &[wall(Wall::Rlimits, &[Answer::Error(Errno::MFILE)])],
        evidence: Evidence::Look(|look| look.descriptors().len() as u64 > OPEN_FILES),
        run: |_| {
            raise_open_files()?;
            let mut held = Vec::new();
            for _ in 0..OPEN_FILES + BEYOND {
                held.push(rustix::io::dup(rustix::stdio::stdin())?);
            }
            std::mem::forget(held);
            Ok(Vec::new())
        },
        arrange: lower,
        source: "getrlimit(2) RLIMIT_NOFILE",
        ..Probe::NEW
    },
    Probe {
        id: "DOS-08",
        title: "take more terminals than allowed",
        attack: "open(2) of /dev/ptmx until it is refused or the bound is passed",
        claims: &[wall(Wall::Mount, FULL)],
        evidence: Evidence::Look(|look| {
            let terminals = look.descriptors();
            let count = terminals.iter().filter(|(_, target)| target.ends_with("ptmx")).count();
            count >= TERMINALS
        }),
        run: |_| {
            raise_open_files()?;
            let mut held = Vec::new();
            for _ in 0..TERMINALS {
                let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
                held.push(rustix::fs::open("/dev/ptmx", flags, Mode::empty())?);
            }
            std::mem::forget(held);
            Ok(Vec::new())
        },
        bomb: true,
        arrange: |profile, _| {
            // Descriptors must not run out first.
            let needed = 2 * TERMINALS as u64;
            let limit = profile.limits.open_files.get_or_insert(located(needed));
            limit.value = limit.value.max(needed);
            Ok(())
        },
        source: "pts(4), Documentation/filesystems/devpts.rst",
        ..Probe::NEW
    },
    cgroup_file(
        "DOS-12.procs",
        "move to another cgroup",
        "open(2) of cgroup.procs of the root cgroup to write",
        |scene| open_cgroup(scene, "cgroup.procs"),
    ),
    cgroup_file(
        "DOS-13.kill",
        "end every other agent",
        "open(2) of cgroup.kill of the slice of all agents to write",
        |scene| open_cgroup(scene, "cellblock.slice/cgroup.kill"),
    ),
    cgroup_file(
        "DOS-13.freeze",
        "freeze every other agent",
        "open(2) of cgroup.freeze of the slice of all agents to write",
        |scene| open_cgroup(scene, "cellblock.slice/cgroup.freeze"),
    ),
];

const MEMORY_BOMB: Probe = Probe {
    claims: &[wall(Wall::Memory, &[Answer::Error(Errno::NOMEM), Answer::Signal(libc::SIGKILL)])],
    evidence: Evidence::Look(|look| look.told == b"held"),
    arrange: lower,
    granted: |plan| unset(plan, Wall::Memory),
    bomb: true,
    source: "cgroups(7) memory",
    ..Probe::NEW
};
