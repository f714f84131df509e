//! Attempts to get out: each is refused by the full jail, and succeeds once its walls are taken away.
//!
//! An attempt is a record in one of the tables below; `probe.pl` makes it. Where two walls stand
//! before the same thing, the record shows what each of them says while the other is gone.

use crate::harness::{self, Ended, Folder, canary, cellblock, command, finish, start};
use crate::host;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;

mod files;
mod kernel;
mod network;
mod others;
mod programs;
mod world;

use world::World;

/// Makes the attempts; it is given to perl as a text, so that it needs no file in the jail.
pub(crate) const PROBE: &str = include_str!("probe.pl");

/// What stands while the attempt is made.
#[derive(Clone, Copy, Debug)]
enum Setup {
    /// Every wall.
    Full,
    /// Every wall but these.
    Without(&'static [&'static str]),
    /// Every wall, by another profile.
    Profile(&'static str),
    /// Every wall; another thing is tried by the same call.
    Instead(&'static [&'static str]),
    /// No jail: the agent's uid on the host.
    Outside,
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The call fails with this errno.
    Refused(&'static str),
    /// It succeeds, and the evidence is there.
    Done,
}
use Answer::{Done, Refused};
use Setup::{Full, Instead, Outside, Profile, Without};

/// How success is told from the word of who tries.
#[derive(Clone, Copy, Debug)]
enum Evidence {
    /// The canary was printed, which is in a file that only success reads.
    Said,
    /// The canary is in this file of the host.
    Written(&'static str),
    /// The canary came to a listener of the test.
    Arrived,
    /// A process of the test was ended.
    Ended,
    /// The answer of the kernel alone.
    Word,
}

/// One attempt.
struct Attempt {
    name: &'static str,
    /// What the host must have besides.
    needs: &'static [&'static str],
    /// The probe's words; `{…}` is filled in by the world.
    words: &'static [&'static str],
    evidence: Evidence,
    tries: &'static [(Setup, Answer)],
}

/// The profile of the full jail.
const PROFILE: &str = "extends = ['demo']\n[filesystem]\nhide = ['.env']\n";

/// Makes every attempt of `attempts` in every setup and reports all that went otherwise.
#[track_caller]
fn run(agent: &str, attempts: &[Attempt]) {
    let mut wrong = Vec::new();
    finish(&mut cellblock("exec", agent, &[], "demo", &["true"])).expect(0);
    for attempt in attempts {
        if !harness::host_has(&format!("attempt_{}", attempt.name), attempt.needs) {
            continue;
        }
        for (setup, answer) in attempt.tries {
            let result = one(agent, attempt, *setup, *answer);
            let told = format!("{:<24} {setup:?} -> {answer:?}", attempt.name);
            println!("{} {told}", if result.is_ok() { "ok " } else { "BAD" });
            wrong.extend(result.err().map(|why| format!("{told}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    host::expect_nothing_left(agent);
}

fn one(agent: &str, attempt: &Attempt, setup: Setup, answer: Answer) -> Result<(), String> {
    let uid = host::uid_of(agent).unwrap();
    let mut world = World::new(uid);
    let ended = make(agent, attempt, setup, &world, uid);
    let happened = evidence(attempt.evidence, &mut world, &ended);
    match answer {
        Refused(_) if happened => Err(format!("it happened all the same: {ended:?}")),
        Refused(errno) if ended.out.lines().any(|line| line == format!("refused {errno}")) => {
            Ok(())
        }
        Done if happened && ended.out.starts_with("done") => Ok(()),
        Refused(_) | Done => Err(format!("{ended:?}, evidence: {happened}")),
    }
}

fn make(agent: &str, attempt: &Attempt, setup: Setup, world: &World, uid: u32) -> Ended {
    let words = if let Instead(words) = setup { words } else { attempt.words };
    let words: Vec<String> = words.iter().map(|word| world.fill(word)).collect();
    let mut probe = vec!["/usr/bin/perl", "-e", PROBE];
    probe.extend(words.iter().map(String::as_str));
    if let Outside = setup {
        let mut bare = command(probe[0]);
        return finish(bare.args(&probe[1..]).uid(uid).gid(uid));
    }
    let text = if let Profile(text) = setup { world.fill(text) } else { PROFILE.to_owned() };
    let profile = world.folder.profile("attempt", &text);
    let workspace = world.folder.text("project");
    let mut options = vec!["--workspace", &workspace];
    if let Without(walls) = setup {
        options.extend(walls.iter().flat_map(|wall| ["--without", wall]));
    }
    finish(&mut cellblock("exec", agent, &options, &profile, &probe))
}

fn evidence(evidence: Evidence, world: &mut World, ended: &Ended) -> bool {
    match evidence {
        Evidence::Said => ended.out.contains(&world.canary),
        Evidence::Written(path) => {
            let text = std::fs::read_to_string(world.fill(path)).unwrap_or_default();
            text.contains(&world.canary)
        }
        Evidence::Arrived => world.arrived(),
        Evidence::Ended => world.victim_ended(),
        Evidence::Word => ended.out.starts_with("done"),
    }
}
