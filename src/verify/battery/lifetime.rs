//! What an agent leaves behind when it ends, or when its launcher does.

use super::super::probe::{
    Answer, Attempted, Claim, End, Evidence, Family, Job, Probe, Stop, broken, wall,
};
use super::super::prober::{NAME, SELF};
use super::super::scene::Scene;
use crate::profile::Wall;
use nix::sys::signal::Signal;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The family.
pub const FAMILY: Family = Family {
    name: "lifetime",
    title: "processes that outlive the agent",
    probes: PROBES,
    jobs: &[Job { name: "outlive", run: outlive }],
};

/// How long a process that outlived goes on where nothing ends it: longer than any end of a launcher is
/// waited for.
const LIFE: Duration = Duration::from_secs(20);
/// How often it shows that it lives.
const BEAT: Duration = Duration::from_millis(20);

/// Goes on in the way that is asked for, and writes to a file all the time.
fn outlive(words: &[&str]) -> Result<(), Stop> {
    let [way, file] = words else { return Err(Stop::Broken("outlive how?".to_owned())) };
    match *way {
        "nohup" => ignore(&[Signal::SIGHUP])?,
        "setsid" => {
            rustix::process::setsid()?;
        }
        "double" => {
            rustix::process::setsid()?;
            // The parent ends: the grandchild belongs to PID 1.
            start("beat", file)?;
            return Ok(());
        }
        "deaf" => {
            rustix::process::setsid()?;
            let all = Signal::iterator()
                .filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP));
            ignore(&all.collect::<Vec<_>>())?;
        }
        "beat" => {}
        _ => return Err(Stop::Broken(format!("there is no way {way}"))),
    }
    rustix::process::set_parent_process_death_signal(None)?;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    let begun = Instant::now();
    while begun.elapsed() < LIFE {
        file.write_all(b".")?;
        std::thread::sleep(BEAT);
    }
    Ok(())
}

fn ignore(signals: &[Signal]) -> Result<(), Stop> {
    signals.iter().try_for_each(|number| Ok(crate::sys::ignore_signal(*number)?))
}

/// Starts a process that goes on in `way`; nobody waits for it.
#[allow(clippy::disallowed_methods, reason = "what is left behind must be a program")]
fn start(way: &str, file: &str) -> Result<(), Stop> {
    let mut child = Command::new(SELF);
    child.args([NAME, "as", "outlive", way, file]);
    child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().map(drop).map_err(broken("start a process"))
}

fn leave(scene: &Scene, way: &str) -> Attempted {
    let file = scene.in_workspace("scratch/heart");
    start(way, &file)?;
    // It must live before the agent ends.
    for _ in 0..2000 {
        if std::fs::metadata(&file).is_ok_and(|file| file.len() > 0) {
            return Ok(Vec::new());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(Stop::Broken("the process that was to outlive did not start".to_owned()))
}

const ENDED: &[Answer] = &[Answer::NoEffect];
const BOTH: &[Claim] = &[wall(Wall::Pid, ENDED), wall(Wall::Cgroup, ENDED)];

const fn outlives(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        id,
        title,
        attack,
        claims: BOTH,
        evidence: Evidence::Outlives("project/scratch/heart"),
        run,
        source: "credentials(7), pid_namespaces(7), cgroup.kill",
        ..Probe::NEW
    }
}

const PROBES: &[Probe] = &[
    outlives(
        "LIFE-01.nohup",
        "go on after the agent's end, deaf to SIGHUP",
        "a child that ignores SIGHUP, as nohup(1) starts it",
        |scene| leave(scene, "nohup"),
    ),
    outlives(
        "LIFE-01.setsid",
        "go on after the agent's end in another session",
        "setsid(2) in a child",
        |scene| leave(scene, "setsid"),
    ),
    outlives(
        "LIFE-01.double",
        "go on after the agent's end as a child of PID 1",
        "fork(2) twice, as a daemon does",
        |scene| leave(scene, "double"),
    ),
    outlives(
        "LIFE-01.deaf",
        "go on after the agent's end, deaf to every signal",
        "a child that ignores all signals that can be ignored",
        |scene| leave(scene, "deaf"),
    ),
    Probe {
        claims: &[wall(Wall::Pid, ENDED)],
        end: End::LauncherKilled,
        source: "pid_namespaces(7), PR_SET_PDEATHSIG(2const)",
        ..outlives(
            "LIFE-02",
            "go on after the launcher was killed",
            "a daemon that is there when SIGKILL ends the launcher",
            |scene| leave(scene, "double"),
        )
    },
];
