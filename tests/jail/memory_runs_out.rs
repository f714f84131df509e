//! Who ends when an agent's memory runs out, and what is told of it.

use crate::burning::{Watched, told_in_journal};
use crate::harness::{self, Ended, Folder, eventually};
use crate::host;
use std::time::Duration;

fn small(folder: &Folder, more: &str) -> String {
    small_with("64M", folder, more)
}

/// Above `high` the agent is slowed down: time enough to see who is new.
fn small_with(high: &str, folder: &Folder, more: &str) -> String {
    let limits = "extends = ['demo']\n[limits]\nmemory = '64M'\n";
    folder.profile("small", &format!("{limits}memory_high = '{high}'\n{more}"))
}

/// `cellblock run` of a shell script to its end.
fn run(agent: &str, profile: &str, script: &str) -> Ended {
    let watched = Watched::start("run", agent, profile, &["sh", "-c", script]);
    watched.running.wait(crate::harness::DEADLINE)
}

#[test]
fn a_tool_that_takes_too_much_ends_alone() {
    needs!("root", "cgroup2:memory", "tmux", "perl");
    let (agent, folder) = ("jt-tool", Folder::new());
    let script = "perl -e 'my $x = \"x\" x 400_000_000; sleep 9'; echo child $?; tmux list-windows -F up; exit 7";
    let ended = run(agent, &small(&folder, ""), script);
    assert!(ended.expect(7).out.contains("child 137"), "{ended:#?}");
    assert!(ended.out.lines().any(|line| line.trim() == "up"), "{ended:#?}");
    let told =
        ended.err.lines().find(|line| line.contains("memory: the kernel ended 1 process(es)"));
    let told = told.unwrap_or_else(|| panic!("{ended:#?}"));
    assert!(told.contains("at the limit of 64M") && told.contains(": perl (pid "), "{told}");
    let size = told.rsplit_once(", ").unwrap().1.trim_end_matches("M)").parse::<f64>().unwrap();
    assert!((32.0..=64.0).contains(&size), "{told}");
    let journal = told_in_journal(agent);
    assert!(journal.iter().any(|line| line["what"] == "ended"), "{journal:#?}");
    host::expect_nothing_left(agent);
}

/// A command that holds 15 % of the limit itself and starts 40 programs that hold less each and together
/// take twice the limit, after `pause` seconds. By size alone the command would be the first to end.
fn many(pause: &str) -> String {
    let small = "my $x = q(y) x 1_500_000; sleep 600";
    format!(
        "my $n = 5_000_000; my $held = 'x' x $n; select undef, undef, undef, {pause}; my @p; \
         for (1 .. 40) {{ my $p = fork // next; $p or exec 'perl', '-e', '{small}'; push @p, $p }} \
         wait; my $ended = $? == 9 ? 1 : 0; kill 'TERM', @p; 1 while wait > 0; print qq(ended $ended\\n); exit 7"
    )
}

fn small_children(agent: &str, pause: &str) -> Ended {
    let folder = Folder::new();
    let words = many(pause);
    let profile = small_with("56M", &folder, "");
    let watched = Watched::start("run", agent, &profile, &["perl", "-e", &words]);
    watched.running.wait(crate::harness::DEADLINE)
}

fn expect_command_outlived(agent: &str, ended: &Ended) {
    let count = ended.out.lines().find_map(|line| line.strip_prefix("ended "));
    let count = count.and_then(|count| count.trim().parse::<u32>().ok());
    println!("{agent}: status {:?}, children ended {count:?}, {}", ended.status, ended.err);
    assert_eq!(ended.status, Some(7), "{ended:#?}");
    assert!(count.is_some_and(|count| count > 0), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn many_small_children_end_before_the_command() {
    needs!("root", "cgroup2:memory", "tmux", "perl");
    // So long the launcher has to find the session and give everybody their rank.
    let pause = harness::patient(Duration::from_secs(2)).as_secs_f64().to_string();
    let ended = small_children("jt-children", &pause);
    expect_command_outlived("jt-children", &ended);
}

#[test]
fn many_small_children_at_once_end_before_the_command() {
    // Nobody may come between: the launcher has no time to lose.
    needs!("root", "cgroup2:memory", "tmux", "perl", "quiet");
    let ended = small_children("jt-children-now", "0");
    expect_command_outlived("jt-children-now", &ended);
}

#[test]
fn all_processes_end_together_where_the_profile_says_so() {
    needs!("root", "cgroup2:memory", "tmux", "perl");
    let (agent, folder) = ("jt-together", Folder::new());
    let script = "perl -e 'my $x = \"x\" x 400_000_000; sleep 9'; echo went on; read line";
    let ended = run(agent, &small(&folder, "oom = 'all'\n"), script);
    assert!(!ended.expect(137).out.contains("went on"), "{ended:#?}");
    assert!(ended.err.contains("memory: the kernel ended "), "{ended:#?}");
    let watched = Watched::start("run", agent, &small(&folder, ""), &["sh", "-c", script]);
    eventually("its tool's end", || (watched.field("memory.events", "oom_kill") > 0).then_some(()));
    // Without it the command goes on.
    watched.stop().0.expect(137);
    host::expect_nothing_left(agent);
}
