//! Bombs: what one agent does without end reaches its limit and nobody else, is told, and can be ended.

use crate::burning::{Answers, Watched, told_in_journal};
use crate::harness::{
    self, COMPILERS, Folder, command, eventually, exec, finish, installed, patient,
};
use crate::host;
use std::time::{Duration, Instant};

/// A bomb that burns until its agent is stopped.
struct Bomb<'t> {
    agent: &'t str,
    /// The profile's file.
    profile: &'t str,
    words: &'t [&'t str],
    /// The gauge that it fills.
    gauge: &'t str,
    /// How the sentence about it begins.
    told: &'t str,
    /// How long its end may take from the launcher's signal on.
    ends_within: Duration,
}

/// What an end may take. The kernel's part is a tenth of it.
const SOON: Duration = Duration::from_secs(1);

impl Bomb<'_> {
    /// Lights it; while it burns another agent and the host answer, and `held` looks at the kernel's
    /// figures; then stops it.
    #[track_caller]
    fn burn(&self, held: impl Fn(&Watched)) {
        let before = Answers::ask();
        let bombed = Watched::start("run", self.agent, self.profile, self.words);
        eventually("its limit", || self.burns(&bombed).then_some(()));
        let now = Answers::ask();
        held(&bombed);
        // It is told while it burns, not only at the end.
        eventually("its journal", || self.in_journal().then_some(()));
        let (ended, took) = bombed.stop();
        println!("{}: answers {before:?}, under fire {now:?}; empty {took:?} after", self.agent);
        now.expect_not_far_from(before);
        assert!(took < self.ends_within, "the last process ended after {took:?}");
        assert!(ended.expect(137).err.contains("stopped by SIGTERM"), "{ended:#?}");
        assert!(ended.err.contains(self.told), "no `{}` in {ended:#?}", self.told);
        host::expect_nothing_left(self.agent);
    }

    fn burns(&self, bombed: &Watched) -> bool {
        let gauge = bombed.gauge(self.gauge);
        let number = |key: &str| gauge[key].as_u64().unwrap_or(0);
        number("used") >= number("limit") || number("hits") > 0
    }

    fn in_journal(&self) -> bool {
        let told = |line: &serde_json::Value| {
            line["event"] == "limit"
                && line["limit"] == self.gauge
                && line["told"].as_str().is_some_and(|told| told.starts_with(self.told))
        };
        told_in_journal(self.agent).iter().any(told)
    }
}

fn tasks_held(bombed: &Watched) {
    assert!(bombed.number("pids.peak") <= 32 && bombed.number("pids.max") == 32);
    assert!(bombed.field("pids.events", "max") > 0);
}

const SMALL_TASKS: &str = "extends = ['demo']\n[limits]\ntasks = 32\n";

#[test]
fn a_fork_bomb_of_a_shell() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "tmux", "quiet");
    let folder = Folder::new();
    let bomb = Bomb {
        agent: "jt-forks",
        profile: &folder.profile("small", SMALL_TASKS),
        // The first shell is the agent's command: it stays.
        words: &["bash", "-c", ":(){ :|:& };:; read line"],
        gauge: "tasks",
        told: "tasks: refused ",
        // The launcher has one share of the processors of 33.
        ends_within: patient(SOON),
    };
    bomb.burn(tasks_held);
}

/// A program of C, compiled into a directory of its own in `folder`.
pub(crate) fn compiled(folder: &Folder, text: &str) -> String {
    let place = folder.directory("built", 0o755);
    let source = folder.file("program.c", text, 0o644);
    let program = format!("{place}/program");
    let compiler = installed(COMPILERS).unwrap();
    finish(command(compiler).args(["-o", &program, &source])).expect(0);
    program
}

const FORK: &str = "#include <unistd.h>\nint main(void) { for (;;) fork(); }\n";

#[test]
fn a_fork_bomb_of_a_program() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "tmux", "cc", "quiet");
    let folder = Folder::new();
    let program = compiled(&folder, FORK);
    let text = format!("{SMALL_TASKS}[filesystem]\nexecute = ['{}']\n", folder.text("built"));
    let bomb = Bomb {
        agent: "jt-forks-fast",
        profile: &folder.profile("small", &text),
        words: &[&program],
        gauge: "tasks",
        told: "tasks: refused ",
        // The launcher has one share of the processors of 33.
        ends_within: patient(SOON),
    };
    bomb.burn(tasks_held);
}

#[test]
fn a_memory_bomb() {
    needs!("root", "cgroup2:memory", "tmux", "perl", "quiet");
    let folder = Folder::new();
    let text = "extends = ['demo']\n[limits]\nmemory = '64M'\nmemory_high = '64M'\n";
    let eater = "while :; do perl -e 'my $x = \"x\" x 400_000_000; sleep 9'; done";
    let bomb = Bomb {
        agent: "jt-memory",
        profile: &folder.profile("small", text),
        words: &["sh", "-c", eater],
        gauge: "memory",
        told: "memory: the ",
        ends_within: SOON,
    };
    bomb.burn(|bombed| {
        assert!(
            bombed.number("memory.peak") <= 64 << 20 && bombed.number("memory.max") == 64 << 20
        );
        eventually("its victim", || (bombed.field("memory.events", "oom_kill") > 0).then_some(()));
    });
}

/// `statfs` of a tree of the jail: bytes in all and left, files in all and left.
fn tree(bombed: &Watched, at: &str) -> [u64; 4] {
    let stat = rustix::fs::statfs(format!("/proc/{}/root{at}", bombed.init)).unwrap();
    let block = u64::try_from(stat.f_bsize).unwrap();
    [stat.f_blocks * block, stat.f_bfree * block, stat.f_files, stat.f_ffree]
}

#[test]
fn a_full_tmp() {
    needs!("root", "cgroup2:memory", "tmux", "quiet");
    let folder = Folder::new();
    let text = "extends = ['demo']\n[filesystem]\ntmp_size = '16M'\n[limits]\nmemory = '64M'\n\
        memory_high = '64M'\n";
    let bomb = Bomb {
        agent: "jt-full-tmp",
        profile: &folder.profile("small", text),
        words: &["sh", "-c", "while :; do cat /dev/zero > /tmp/zero 2>/dev/null; read line; done"],
        gauge: "/tmp",
        told: "/tmp: nothing was left of 16M",
        ends_within: SOON,
    };
    bomb.burn(|bombed| {
        let [bytes, left, ..] = tree(bombed, "/tmp");
        assert_eq!((bytes, left), (16 << 20, 0));
        // What is kept in memory counts as the agent's memory.
        assert!(bombed.number("memory.current") >= 16 << 20);
    });
}

#[test]
fn a_home_full_of_files() {
    needs!("root", "cgroup2:memory", "tmux", "perl", "quiet");
    let folder = Folder::new();
    let text = "extends = ['demo']\n[filesystem]\nhome_inodes = 500\n";
    let files = "my $n = 0; 1 while open(my $f, '>', \"$ENV{HOME}/\" . $n++); sleep 600";
    let bomb = Bomb {
        agent: "jt-files",
        profile: &folder.profile("small", text),
        words: &["perl", "-e", files],
        gauge: "/home/agent (files)",
        told: "/home/agent (files): nothing was left of 500",
        ends_within: SOON,
    };
    bomb.burn(|bombed| {
        let [_, _, files, left] = tree(bombed, "/home/agent");
        assert_eq!((files, left), (500, 0));
    });
}

#[test]
fn all_descriptors_of_a_process() {
    needs!("root", "cgroup2:memory", "tmux", "perl", "quiet");
    let folder = Folder::new();
    let profile = folder.profile("small", "extends = ['demo']\n[limits]\nopen_files = 64\n");
    let opener = "my @all; while (open(my $f, '<', '/dev/null')) { push @all, $f } sleep 600";
    let bomb = Bomb {
        agent: "jt-descriptors",
        profile: &profile,
        words: &["perl", "-e", opener],
        gauge: "open_files",
        told: "open_files: nothing was left of 64: perl (pid ",
        ends_within: SOON,
    };
    bomb.burn(|bombed| {
        let gauge = bombed.gauge("open_files");
        assert!(gauge["process"].as_str().unwrap().starts_with("perl (pid "), "{gauge}");
        let most = host::processes(host::uid_of(bombed.agent.as_str()).unwrap());
        let count =
            |pid: i32| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        assert_eq!(most.into_iter().map(|(pid, _)| count(pid)).max(), Some(64));
    });
}

#[test]
fn all_terminals() {
    needs!("root", "cgroup2:memory", "tmux", "perl", "quiet");
    let opener = "my @all; while (open(my $f, '+<', '/dev/ptmx')) { push @all, $f } sleep 600";
    let bomb = Bomb {
        agent: "jt-terminals",
        profile: "demo",
        words: &["perl", "-e", opener],
        gauge: "terminals",
        told: "terminals: nothing was left of 256",
        ends_within: SOON,
    };
    bomb.burn(|bombed| {
        let pts = format!("/proc/{}/root/dev/pts", bombed.init);
        let names = std::fs::read_dir(pts).unwrap().flatten();
        let numbers =
            names.filter(|name| name.file_name().to_string_lossy().parse::<u32>().is_ok());
        assert_eq!(numbers.count(), 256);
    });
}

/// Two processes that compute for ever.
const HOG: &str = "fork; 1 while 1";

#[test]
fn a_processor_hog() {
    needs!("root", "cgroup2:memory", "cgroup2:cpu", "tmux", "perl", "quiet");
    let folder = Folder::new();
    let profile = folder.profile("small", "extends = ['demo']\n[limits]\ncpu = '50%'\n");
    let share = |hog: &Watched| {
        let (used, begun) = (hog.field("cpu.stat", "usage_usec"), Instant::now());
        // What is measured is a stretch of time. A virtual processor that is switched away in it is charged too much for
        // what it runs, and the kernel takes that back only later.
        std::thread::sleep(Duration::from_secs(if harness::is_slow() { 20 } else { 2 }));
        let used = Duration::from_micros(hog.field("cpu.stat", "usage_usec") - used);
        used.as_secs_f64() / begun.elapsed().as_secs_f64()
    };
    let before = Answers::ask();
    let hog = Watched::start("run", "jt-hog", &profile, &["perl", "-e", HOG]);
    let reported = || hog.limits()?["figures"]["cpu"]["throttled"].as_u64().filter(|it| *it > 8);
    eventually("being held back", reported);
    let now = Answers::ask();
    let held = share(&hog);
    eventually("its journal", || {
        told_in_journal("jt-hog").iter().find(|line| line["limit"] == "cpu").map(|_| ())
    });
    let (ended, took) = hog.stop();
    println!("jt-hog: {held:.2} processors; {before:?}, under fire {now:?}; empty {took:?} after");
    now.expect_not_far_from(before);
    assert!(held < 0.65, "{held} processors");
    assert!(took < SOON, "the last process ended after {took:?}");
    assert!(ended.err.contains("cpu: held back for "), "{ended:#?}");
    assert!(ended.err.contains("by the limit of 0.50 processors"), "{ended:#?}");
    // Without the limit it takes more.
    let hog = Watched::start("run", "jt-hog", "demo", &["perl", "-e", HOG]);
    let uid = host::uid_of("jt-hog").unwrap();
    eventually("both of its processes", || {
        let hogs = host::processes(uid).iter().filter(|(_, name)| name == "perl").count();
        (hogs == 2).then_some(())
    });
    let free = share(&hog);
    hog.stop();
    assert!(free > 2.0 * held, "{free} processors without the limit, {held} with it");
    host::expect_nothing_left("jt-hog");
}

/// An attempt that counts how far it gets.
struct Attempt {
    name: &'static str,
    small: &'static str,
    large: &'static str,
    script: &'static str,
    /// What it gets under `large`; under `small` it is less.
    all: u32,
}

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "tasks",
        small: "[limits]\ntasks = 32",
        large: "[limits]\ntasks = 64",
        script: "while ($n < 40 && defined(my $p = fork)) { $p or sleep 600; $n++ }",
        all: 40,
    },
    Attempt {
        name: "memory",
        small: "[limits]\nmemory = '64M'\nmemory_high = '64M'",
        large: "[limits]\nmemory = '256M'\nmemory_high = '256M'",
        // A child takes it: the kernel ends that one.
        script: "pipe(R, W); if (!fork) { close R; syswrite(W, '.'), push @x, 'x' x (4 << 20) for 1 .. 25; exit } \
            close W; $n++ while sysread(R, $_, 1);",
        all: 25,
    },
    Attempt {
        name: "bytes in /tmp",
        small: "[filesystem]\ntmp_size = '8M'",
        large: "[filesystem]\ntmp_size = '16M'",
        script: "open F, '>', '/tmp/f'; $n++ while $n < 12 && syswrite(F, 'x' x (1 << 20)) == 1 << 20;",
        all: 12,
    },
    Attempt {
        name: "files at home",
        small: "[filesystem]\nhome_inodes = 64",
        large: "[filesystem]\nhome_inodes = 256",
        script: "$n++ while $n < 100 && open F, '>', \"$ENV{HOME}/$n\";",
        all: 100,
    },
    Attempt {
        name: "descriptors",
        small: "[limits]\nopen_files = 32",
        large: "[limits]\nopen_files = 256",
        script: "while ($n < 100 && open(my $f, '<', '/dev/null')) { push @f, $f; $n++ }",
        all: 100,
    },
];

#[test]
fn what_a_limit_refuses_is_possible_under_a_higher_one() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "perl");
    let folder = Folder::new();
    let got = |attempt: &Attempt, limits: &str| -> u32 {
        let profile = folder.profile("limited", &format!("extends = ['demo']\n{limits}\n"));
        let script = format!("$n = 0; {} print $n", attempt.script);
        let ended = exec("jt-attempt", &[], &profile, &["perl", "-e", &script]);
        ended.expect(0).out.parse().unwrap()
    };
    for attempt in ATTEMPTS {
        let (small, large) = (got(attempt, attempt.small), got(attempt, attempt.large));
        println!("{}: {small} under the small limit, {large} under the large one", attempt.name);
        assert!(small < attempt.all && large == attempt.all, "{}: {small}, {large}", attempt.name);
    }
    host::expect_nothing_left("jt-attempt");
}
