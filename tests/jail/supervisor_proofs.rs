//! The supervisor killed a hundred times, at moments that nobody chose, beside twenty agents.
//!
//! Each agent counts: it writes one number after the other to a file, with a word that is another one each time that it
//! begins. A number that is missing or comes twice, a second life and two at once are seen there, from outside.

use crate::harness::{self, Ended, Folder, Running, eventually, start};
use crate::host;
use crate::installation::{Installation, project};
use crate::pty::Person;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 100;
/// They run from the beginning to the end, with people in front of them.
const STEADY: [&str; 6] = ["jt-kl-00", "jt-kl-01", "jt-kl-02", "jt-kl-03", "jt-kl-04", "jt-kl-05"];
/// They are started, stopped and started again.
const MOVED: [&str; 14] = [
    "jt-kl-06", "jt-kl-07", "jt-kl-08", "jt-kl-09", "jt-kl-10", "jt-kl-11", "jt-kl-12", "jt-kl-13",
    "jt-kl-14", "jt-kl-15", "jt-kl-16", "jt-kl-17", "jt-kl-18", "jt-kl-19",
];
/// How many of them are moved in a round, each by a caller of its own.
const AT_ONCE: usize = 4;

/// Counts, in a file and on the screen. Nothing is started for the pause: twenty of them share the host.
const COUNTING: &str = "life=$EPOCHREALTIME; i=0; while :; do i=$((i + 1)); \
    echo \"$life $i\" >>/workspace/counts; echo \"count $i.\"; read -rt 0.2; done";

/// Numbers that are the same for the same seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    /// From `CELLBLOCK_TEST_SEED`, where a run is to be repeated.
    fn new() -> Self {
        let named = std::env::var("CELLBLOCK_TEST_SEED").ok();
        let seed = named.unwrap_or_else(|| harness::canary()[..15].to_owned());
        println!("CELLBLOCK_TEST_SEED={seed}");
        Self(u64::from_str_radix(&seed, 16).unwrap().max(1))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len().try_into().unwrap())).unwrap()]
    }
}

/// What an agent has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// How often it began.
    lives: usize,
    /// The word of its last life, and the number that it came to in that.
    last: (String, u64),
}

impl Counts {
    /// What is wrong where a number is missing or comes twice, or a life goes on when another has begun.
    fn read(text: &str) -> Result<Self, String> {
        let mut counts = Self::default();
        // Of the last line there may be a part.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let (life, number) = line.split_once(' ').unwrap();
            let (before, last) = &counts.last;
            let begins = life != before;
            let next = if begins { 1 } else { last + 1 };
            if number != next.to_string() {
                return Err(format!("`{line}` comes after `{before} {last}`"));
            }
            counts.lives += usize::from(begins);
            counts.last = (life.to_owned(), next);
        }
        Ok(counts)
    }
}

/// The number that the screen shows last, in what was drawn.
fn shown(drawn: &str) -> Option<u64> {
    let whole = &drawn[..drawn.rfind('.')?];
    whole[whole.rfind("count ")? + 6..].parse().ok()
}

/// What somebody wants of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Start,
    Stop,
    StopNow,
    Restart,
}

/// What somebody is asking for.
type Call = (&'static str, Wish, Running);

/// An agent as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    runs: bool,
    /// Its jail's first process.
    init: Option<i32>,
    lives: usize,
    life: String,
}

/// Twenty agents and those who use them.
struct Fleet {
    installation: Installation,
    projects: Folder,
    random: Random,
    people: Vec<(&'static str, Person)>,
    found: BTreeMap<&'static str, Found>,
    /// The supervisor is killed so many microseconds after the calls of a round, at the most: a little longer than they take.
    latest: u64,
    tally: Tally,
}

/// How many calls were answered, and how many the end of the supervisor cut off.
#[derive(Debug, Default)]
struct Tally {
    answered: u32,
    cut_off: u32,
    came_in: u32,
    kept_out: u32,
}

fn all() -> impl Iterator<Item = &'static str> {
    STEADY.into_iter().chain(MOVED)
}

impl Fleet {
    fn new() -> Self {
        let names: Vec<_> = all().collect();
        let mut fleet = Self {
            installation: Installation::new(&names, ""),
            projects: Folder::on_disk(),
            random: Random::new(),
            people: Vec::new(),
            found: BTreeMap::new(),
            latest: 0,
            tally: Tally::default(),
        };
        let starts: Vec<_> = all().map(|name| (name, fleet.call(name, Wish::Start))).collect();
        for (_, started) in starts {
            started.wait(harness::DEADLINE).expect(0);
        }
        fleet.find(&BTreeMap::new());
        // In front of half of them are two.
        for name in STEADY.into_iter().chain(STEADY[..3].iter().copied()) {
            let mut person = fleet.visit(name);
            person.draws("a count", shown);
            fleet.people.push((name, person));
        }
        fleet
    }

    fn call(&self, name: &str, wish: Wish) -> Running {
        let project = project(&self.projects, name);
        let (verb, words) = match wish {
            Wish::Start => (
                "start",
                vec!["--workspace", &project, "--name", name, "demo", "--", "bash", "-c", COUNTING],
            ),
            Wish::Stop => ("stop", vec![name]),
            Wish::StopNow => ("stop", vec!["--now", name]),
            Wish::Restart => ("restart", vec![name]),
        };
        start(&mut self.installation.verb(verb, &words))
    }

    fn visit(&self, name: &str) -> Person {
        Person::start(&self.installation.verb("attach", &[name]))
    }

    #[track_caller]
    fn counts(&self, name: &str) -> Counts {
        let text = std::fs::read_to_string(self.projects.path(name).join("counts"));
        Counts::read(&text.unwrap_or_default()).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
    }

    /// Calls for some agents at once, and visits another one.
    fn calls(&mut self) -> (Vec<Call>, (&'static str, Person)) {
        let mut names = MOVED.to_vec();
        let mut calls = Vec::new();
        for _ in 0..AT_ONCE {
            let name = self.random.of(&names);
            names.retain(|other| *other != name);
            let wish = if self.found[name].runs {
                self.random.of(&[Wish::Stop, Wish::StopNow, Wish::StopNow, Wish::Restart])
            } else {
                Wish::Start
            };
            calls.push((name, wish, self.call(name, wish)));
        }
        let name = self.random.of(&STEADY);
        (calls, (name, self.visit(name)))
    }

    /// The agents count, and whoever was in front of one sees it.
    #[track_caller]
    fn go_on(&mut self) {
        let before: BTreeMap<_, _> =
            STEADY.iter().map(|name| (*name, self.counts(name).last.1)).collect();
        for (name, person) in &mut self.people {
            person.draws(&format!("more of {name} than {}", before[name]), |drawn| {
                shown(drawn).filter(|number| *number > before[name])
            });
        }
    }

    /// Waits until the supervisor knows how every agent is, and looks whether it is so; `wished` is what was wanted of some,
    /// and how that ended.
    #[track_caller]
    fn find(&mut self, wished: &BTreeMap<&str, (Wish, Ended)>) {
        let names: BTreeSet<_> = all().map(str::to_owned).collect();
        let states = eventually("the state of every agent", || {
            let listed = self.installation.list();
            let states: BTreeMap<String, [String; 2]> = listed
                .iter()
                .map(|agent| {
                    ["name", "state", "how"].map(|key| agent[key].as_str().unwrap_or("").to_owned())
                })
                .map(|[name, state, how]| (name, [state, how]))
                .collect();
            // All of them, at any time, and each once.
            assert_eq!((states.keys().cloned().collect(), listed.len()), (names.clone(), 20));
            let settled = |state: &[String; 2]| ["running", "ended"].contains(&state[0].as_str());
            states.values().all(settled).then_some(states)
        });
        let processes = host::processes_by_uid();
        for name in all() {
            let [state, how] = &states[name];
            let runs = state == "running";
            let of_it = host::uid_of(name).and_then(|uid| processes.get(&uid));
            let of_it = of_it.cloned().unwrap_or_default();
            let inits: Vec<i32> =
                of_it.iter().filter_map(|(pid, first)| first.then_some(*pid)).collect();
            assert_eq!(inits.len(), usize::from(runs), "{name} is {state} ({how}): {of_it:?}");
            assert_eq!(of_it.is_empty(), !runs, "{name} is {state} ({how}): {of_it:?}");
            let (init, before) = (inits.first().copied(), self.found.get(name).cloned());
            // Its session is there before its command has begun to count.
            let known = before.as_ref().map_or((None, 0), |before| (before.init, before.lives));
            let least = known.1 + usize::from(runs && init != known.0);
            let counts =
                eventually(name, || Some(self.counts(name)).filter(|it| it.lives >= least));
            let now = Found { runs, init, lives: counts.lives, life: counts.last.0 };
            self.found.insert(name, now.clone());
            match (wished.get(name), before) {
                (Some((wish, ended)), Some(before)) => {
                    let allowed = judge((*wish, ended), &before, &now);
                    assert!(allowed, "{name} ({how}), {wish:?}: {before:?} {now:?} {ended:?}");
                }
                (None, Some(before)) => {
                    assert_eq!(now, before, "nobody wanted this: {name} ({how})")
                }
                (_, None) => assert!(now.runs && now.lives == 1, "{name}: {now:?}"),
            }
        }
    }

    /// Calls whom nobody cuts off: all are answered, and it is seen how long that takes.
    fn undisturbed(&mut self) {
        let begun = Instant::now();
        let (calls, (visited, mut visitor)) = self.calls();
        let wished = answers(calls);
        visitor.draws(visited, shown);
        self.latest = u64::try_from(begun.elapsed().as_micros()).unwrap() * 5 / 4;
        for (_, ended) in wished.values() {
            ended.expect(0);
        }
        self.find(&wished);
        visitor.types("\x1dd");
        visitor.ends().0.expect(0);
    }

    fn round(&mut self) {
        let (calls, (visited, mut visitor)) = self.calls();
        std::thread::sleep(Duration::from_micros(self.random.below(self.latest)));
        self.installation.dies();
        let wished = answers(calls);
        let came = visitor.draws_or_ends("a count, or that it is refused", shown);
        self.tally.note(&wished, came.is_some());
        self.go_on();
        self.installation.begin();
        self.find(&wished);
        self.go_on();
        let (ended, _) = if came.is_some() {
            let before = self.counts(visited).last.1;
            visitor.draws(visited, |drawn| shown(drawn).filter(|number| *number > before));
            visitor.types("\x1dd");
            visitor.ends()
        } else {
            visitor.ends()
        };
        ended.expect(if came.is_some() { 0 } else { 125 });
    }

    fn end(mut self) {
        println!("{:?}, killed within {} ms", self.tally, self.latest / 1000);
        // Else nothing was in the middle of anything.
        let Tally { answered, cut_off, came_in, kept_out } = self.tally;
        assert!([answered, cut_off, came_in, kept_out].iter().all(|times| *times > 0));

        for (_, mut person) in std::mem::take(&mut self.people) {
            person.types("\x1dd");
            person.ends().0.expect(0);
        }
        for name in STEADY {
            assert_eq!(self.counts(name).lives, 1, "{name} ran from the beginning to the end");
        }
        let stops = all().map(|name| (name, Wish::StopNow, self.call(name, Wish::StopNow)));
        let wished = answers(stops.collect());
        self.find(&wished);
    }
}

impl Tally {
    fn note(&mut self, calls: &BTreeMap<&str, (Wish, Ended)>, came_in: bool) {
        for (_, ended) in calls.values() {
            let counted =
                if ended.status == Some(0) { &mut self.answered } else { &mut self.cut_off };
            *counted += 1;
        }
        *(if came_in { &mut self.came_in } else { &mut self.kept_out }) += 1;
    }
}

/// Whether an agent is as it may be, of which something was wanted when the supervisor was killed.
fn judge((wish, ended): (Wish, &Ended), before: &Found, now: &Found) -> bool {
    let cut_off = ended.status != Some(0);
    let again = now.runs && now.lives == before.lives + 1 && now.init != before.init;
    let over = !now.runs && now.lives == before.lives;
    let done = match wish {
        // One that ran runs: before or after.
        Wish::Start | Wish::Restart => again,
        Wish::Stop | Wish::StopNow => over,
    };
    done || (cut_off && now == before)
}

/// How the calls ended.
fn answers(calls: Vec<Call>) -> BTreeMap<&'static str, (Wish, Ended)> {
    let answer = |(name, wish, call): Call| (name, (wish, call.wait(harness::DEADLINE)));
    calls.into_iter().map(answer).collect()
}

#[test]
fn killed_a_hundred_times_beside_twenty_agents_it_loses_and_doubles_nothing() {
    needs!("root", "cgroup2", "tmux", "speed");
    let mut fleet = Fleet::new();
    fleet.undisturbed();
    for round in 0..ROUNDS {
        println!("round {round}");
        fleet.round();
    }
    fleet.end();
}

#[test]
fn what_is_missing_doubled_or_begun_again_is_seen_in_the_counts() {
    let whole = Counts { lives: 2, last: ("b".to_owned(), 3) };
    assert_eq!(Counts::read("a 1\na 2\nb 1\nb 2\nb 3\nb 4"), Ok(whole));
    for wrong in ["a 1\na 3\n", "a 1\na 1\n", "a 1\na 2\nb 2\n", "a 1\nb 1\na 2\n", "a 2\n"] {
        assert!(Counts::read(wrong).is_err(), "{wrong}");
    }
    assert_eq!(shown("count 6.\r\ncount 17.\r\ncount 1"), Some(17));
    assert_eq!(shown("unt 17.\r\ncou"), None);
}

#[test]
fn a_start_that_was_only_written_down_is_done_by_the_next_supervisor() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-kl-written";
    let mut supervisor = Installation::new(&[agent], "");
    supervisor.start(agent, "sleep 1000").expect(0);
    supervisor.ask("stop", &["--now", agent]).expect(0);
    let file = supervisor.path(&format!("state/{agent}.json"));
    let seen = supervisor.path(&format!("run/shims/{agent}.seen"));
    let write = |stage: &str, goes: bool| {
        let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        (record["stage"], record["goes"]) = (stage.into(), goes.into());
        std::fs::write(&file, record.to_string()).unwrap();
        std::fs::write(&seen, "").unwrap();
    };
    // As it is between the two: the file is written, and no shim was asked.
    for (goes, state) in [(true, "running"), (false, "ended")] {
        supervisor.dies();
        write("starting", goes);
        supervisor.begin();
        supervisor.becomes(agent, state);
        supervisor.ask("stop", &["--now", agent]).expect(0);
    }
}
