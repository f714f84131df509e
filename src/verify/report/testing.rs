//! Made-up findings for the tests: every verdict, every cell, and texts that break what does not escape.

use super::{Danger, Header};
use crate::plan::{WallPlan, WallState};
use crate::profile::Wall;
use crate::verify::campaign::{Finding, Verdict};
use crate::verify::judge::Outcome;
use crate::verify::probe::{Answer, Family, Layer, Probe};
use crate::verify::setting::Setting;
use rustix::io::Errno;
use std::time::Duration;

/// A layer and what it says.
pub(super) type Claimed = (Layer, &'static str);

const MOUNT: Layer = Layer::Wall(Wall::Mount);
const LANDLOCK: Layer = Layer::Wall(Wall::Landlock);
const NETWORK: Layer = Layer::Wall(Wall::Network);
const SECCOMP: Layer = Layer::Wall(Wall::Seccomp);
const PRIVILEGES: Layer = Layer::Wall(Wall::NoNewPrivs);

/// What no format may let through as it is.
pub(super) const NASTY: &str = "<script src=x>\"'&]]> \u{1b}[31m\u{0}\u{202e}| `x` \u{ffff} é";

static FILES: Family = Family { name: "files", title: "files and mounts", probes: &[], jobs: &[] };
static ODD: Family = Family { name: "odd", title: "odd <ends>", probes: &[], jobs: &[] };

/// A run of the profile `demo` with seccomp taken away.
pub(super) fn header() -> Header {
    let state = |wall| {
        if wall == Wall::Seccomp {
            WallState::Without("taken away by the command line".to_owned())
        } else if wall == Wall::Disk {
            WallState::NotSet
        } else {
            WallState::Stands("it stands".to_owned())
        }
    };
    let walls = Wall::ALL.into_iter().map(|wall| WallPlan { wall, state: state(wall) }).collect();
    Header {
        profile: "demo".to_owned(),
        version: "0.1.0".to_owned(),
        kernel: "6.18.44".to_owned(),
        machine: "x86_64".to_owned(),
        landlock_abi: Some(7),
        date: "2026-08-20T12:30:00Z".to_owned(),
        took: Duration::from_millis(12_345),
        walls,
        without: vec![Wall::Seccomp],
        peer: None,
        only: Vec::new(),
        matrix: true,
        dangers: vec![Danger {
            grade: "high",
            place: "demo.toml:3:9".to_owned(),
            cause: "is `host`: <everything> | that listens".to_owned(),
            hint: "mode = \"none\"".to_owned(),
        }],
    }
}

fn answer(said: &str) -> Answer {
    match said {
        "ENOENT" => Answer::Error(Errno::NOENT),
        "EACCES" => Answer::Error(Errno::ACCESS),
        "EPERM" => Answer::Error(Errno::PERM),
        said => panic!("no test says {said}"),
    }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn probe(id: &'static str, claims: &[Claimed]) -> &'static Probe {
    let claims = claims.iter().map(|(layer, said)| {
        let answers = leak([answer(said)]);
        super::super::probe::layer(*layer, answers)
    });
    leak(Probe {
        id,
        title: "read <b>a file</b>",
        attack: "open(2) of \"a file\" & more",
        claims: leak(claims.collect::<Vec<_>>()),
        source: "open(2)",
        ..Probe::NEW
    })
}

fn stopped(said: &str) -> Outcome {
    Outcome::Stopped(said.to_owned())
}

/// A finding whose control succeeds.
fn finding(
    family: &'static Family,
    probe: &'static Probe,
    alone: &[(Layer, Outcome)],
    full: Outcome,
    verdict: Verdict,
) -> Finding {
    let alone = alone.iter().map(|(layer, outcome)| (Setting::Only(*layer), outcome.clone()));
    let control = (Setting::Control, Outcome::Through);
    let cells = [control].into_iter().chain(alone).chain([(Setting::Full, full)]).collect();
    Finding { family, probe, cells, verdict, took: Duration::from_millis(60) }
}

/// A probe with `claims` that each of `layers` alone stops with `said`.
pub(super) fn made(claims: &'static [Claimed], layers: &[Layer], said: &str) -> Finding {
    let alone: Vec<_> = layers.iter().map(|layer| (*layer, stopped(said))).collect();
    finding(&FILES, probe("FS-00", claims), &alone, stopped(said), Verdict::Denied)
}

fn denied() -> [Finding; 4] {
    let files = &[(MOUNT, "ENOENT"), (LANDLOCK, "EACCES")];
    let secret = [
        (MOUNT, stopped("ENOENT")),
        (LANDLOCK, stopped("EACCES")),
        (NETWORK, Outcome::Through),
        (Layer::Uid, Outcome::Through),
        (Layer::Wall(Wall::Disk), Outcome::NotHere("the profile sets no such limit".to_owned())),
    ];
    let memory = [
        (MOUNT, stopped("ENOENT")),
        (LANDLOCK, stopped("EACCES")),
        (NETWORK, stopped("EACCES")),
        (Layer::Uid, stopped("EACCES")),
    ];
    let setuid =
        [(PRIVILEGES, stopped("EPERM")), (SECCOMP, stopped("EPERM")), (MOUNT, Outcome::Through)];
    let of = |id, claims, alone: &[(Layer, Outcome)], said| {
        finding(&FILES, probe(id, claims), alone, stopped(said), Verdict::Denied)
    };
    [
        of("FS-01.secret", files, &secret, "ENOENT"),
        of("FS-02.open", files, &secret[..2], "ENOENT"),
        of("FS-24.mem", &[(MOUNT, "ENOENT"), (Layer::Uid, "EACCES")], &memory, "ENOENT"),
        of("FS-28.suid", &[(PRIVILEGES, "EPERM")], &setuid, "EPERM"),
    ]
}

/// At least one of each verdict.
pub(super) fn findings() -> Vec<Finding> {
    let why = || NASTY.to_owned();
    let of = |id, alone: &[(Layer, Outcome)], full, verdict| {
        finding(&ODD, probe(id, &[(SECCOMP, "EPERM"), (MOUNT, "ENOENT")]), alone, full, verdict)
    };
    let stops = [(SECCOMP, stopped("EPERM"))];
    let hollow = [(SECCOMP, Outcome::Through), (MOUNT, stopped("ENOENT"))];
    let unclear = [(MOUNT, Outcome::Unclear(why()))];
    let skipped = |id| {
        let mut finding = of(id, &[], stopped("EPERM"), Verdict::Skipped(why()));
        finding.cells = vec![(Setting::Control, stopped("ENODEV"))];
        finding
    };
    let escaped = Verdict::Escaped("it succeeds".to_owned());
    let lets = Verdict::Hollow("`seccomp` alone lets it through".to_owned());
    let odd = [
        of("XX-01.escape", &stops, Outcome::Through, escaped),
        of("XX-02.hollow", &hollow, stopped("ENOENT"), lets),
        of("XX-03.unclear", &unclear, Outcome::Unclear(why()), Verdict::Unclear(why())),
        of("XX-04.granted", &stops, Outcome::Through, Verdict::Granted(why())),
        skipped("XX-05.skipped"),
        skipped("XX-06.skipped"),
    ];
    denied().into_iter().chain(odd).collect()
}
