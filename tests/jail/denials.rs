//! What the kernel refuses is told with its process and with the line that would allow it, and adding that line does.
//!
//! The kernel's audit is switched on for as long as such a test runs, and is then as it was. The tests read its socket as the
//! process that watches does.

use crate::harness::{
    DEADLINE, Ended, Folder, canary, cellblock, command, eventually, finish, program, start,
};
use crate::host;
use crate::installation::Installation;
use cellblock::denial::Denial;
use cellblock::host::Audit;
use cellblock::policy::seccomp::Arch;
use cellblock::watch::audit::Refused;
use cellblock::watch::denied::{self, Jail};
use cellblock::watch::source::{self, Source};
use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;

/// A uid that nobody on a host has, and that is no agent's.
const UID: u32 = 64_999;

/// The kernel's audit, on.
struct Kernel {
    was: bool,
    source: Source,
}

impl Kernel {
    fn on() -> Self {
        let Audit::Known(status) = cellblock::host::audit::probe() else { panic!("no audit") };
        let source = Source::open().unwrap();
        source::enable().unwrap();
        Self { was: status.enabled, source }
    }

    /// What the kernel told of the processes of `uid`, as denials of a jail with that uid.
    fn told(&mut self, uid: u32) -> Vec<Denial> {
        let mut refused: Vec<Refused> = Vec::new();
        // What waits for more records is told a turn later.
        for _ in 0..4 {
            refused.extend(self.source.read().unwrap().refused);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(self.source.lost(), 0);
        // Its first process is gone: whose a refusal is is known by the uid.
        let jail = Jail { init: -1, uid, cgroup: None };
        let others = Jail { init: -1, uid: uid + 1, cgroup: None };
        let jails = [others, jail];
        let own = refused.iter().filter(|it| denied::whose(it, jails.iter(), None) == Some(1));
        own.filter_map(|refused| denied::denial(refused, -1)).collect()
    }

    /// The one among them that is of this wall and about this object.
    #[track_caller]
    fn denial(&mut self, agent: &str, wall: &str, object: &str) -> Denial {
        let uid = host::uid_of(agent).unwrap_or(UID);
        let all = self.told(uid);
        let found = all.iter().find(|it| it.wall == wall && it.object.contains(object));
        found.unwrap_or_else(|| panic!("no {object} in {all:#?}")).clone()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if !self.was {
            source::set(false).unwrap();
        }
    }
}

/// What `why` says, as JSON.
fn why(agent: &str, options: &[&str], target: &str) -> serde_json::Value {
    let mut why = command(program());
    why.args(["why", "--json", "--planned"]).args(options).args([agent, target]);
    let ended = finish(&mut why);
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:#?}"))
}

/// The line that `why` says would allow it, as a profile that extends `profile` has it.
#[track_caller]
fn with_line(answer: &serde_json::Value, profile: &str) -> String {
    let opening = &answer["answers"][0]["opening"];
    assert_eq!(opening["by"], "line", "{answer}");
    let [table, line] = ["table", "line"].map(|key| opening[key].as_str().unwrap());
    format!("extends = ['{profile}']\n[{table}]\n{line}\n")
}

/// Makes system call `name` with these arguments, and says the errno that it ends with, 0 for none.
fn perl_call(name: &str, arguments: &str) -> String {
    let number = Arch::native().unwrap().number(name).unwrap();
    format!("$! = 0; syscall({number}, {arguments}); print 'errno ', $! + 0, \"\\n\"")
}

fn exec(agent: &str, options: &[&str], profile: &str, perl: &str) -> Ended {
    finish(&mut cellblock("exec", agent, options, profile, &["perl", "-e", perl]))
}

#[test]
fn a_file_that_landlock_refuses_is_told_and_its_line_allows_it() {
    needs!("root", "cgroup2", "landlock>=7", "audit", "perl", "quiet");
    let mut kernel = Kernel::on();
    let agent = "jt-dn-file";
    let folder = Folder::on_disk();
    let secret = canary();
    let file = folder.file("a file", &secret, 0o644);
    let options = ["--without", "mount"];
    let read = format!("open(F, '<', '{file}') or die \"errno \" . ($! + 0); print <F>");
    let refused = exec(agent, &options, "demo", &read);
    assert!(refused.err.contains("errno 13") && !refused.out.contains(&secret), "{refused:#?}");
    let denial = kernel.denial(agent, "landlock", &file);
    assert_eq!((&*denial.action, &*denial.rule), ("read", "fs.read_file"));
    assert_eq!(denial.process.unwrap().program, "perl");
    let answer = why(agent, &["--profile", "demo", "--without", "mount"], &file);
    assert_eq!(answer["answers"][0]["wall"], "landlock", "{answer}");
    let profile = folder.profile("opened", &with_line(&answer, "demo"));
    let allowed = exec(agent, &options, &profile, &read);
    assert_eq!(allowed.expect(0).out, secret);
}

#[test]
fn a_connection_that_landlock_refuses_is_told_and_its_line_allows_it() {
    needs!("root", "cgroup2", "landlock>=7", "audit", "perl", "quiet");
    let mut kernel = Kernel::on();
    let agent = "jt-dn-net";
    let folder = Folder::on_disk();
    let connect = "use IO::Socket::INET; my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 7123, Listen => 1); \
        my $c = IO::Socket::INET->new('127.0.0.1:7123'); print $c ? 'done' : 'errno ' . ($! + 0)";
    let refused = exec(agent, &[], "demo", connect);
    assert_eq!(refused.expect(0).out, "errno 13");
    let denial = kernel.denial(agent, "landlock", "127.0.0.1:7123");
    assert!(["bind", "connect"].contains(&&*denial.action), "{denial:?}");
    let answer = why(agent, &["--profile", "demo"], "127.0.0.1:7123");
    let profile = folder.profile("opened", &with_line(&answer, "demo"));
    assert_eq!(exec(agent, &[], &profile, connect).expect(0).out, "done");
}

#[test]
fn a_signal_that_landlock_refuses_is_told_and_only_the_whole_wall_away_allows_it() {
    needs!("root", "cgroup2", "landlock>=7", "audit", "perl", "quiet");
    let mut kernel = Kernel::on();
    let agent = "jt-dn-signal";
    let folder = Folder::on_disk();
    let profile = folder.profile("own", &format!("extends = ['demo']\n[agent]\nuser = {UID}\n"));
    let victim = start(command("/bin/sleep").arg("600").uid(UID).gid(UID));
    let pid = victim.pid().as_raw_nonzero();
    let ask = format!("print kill(0, {pid}) ? 'done' : 'errno ' . ($! + 0)");
    let refused = exec(agent, &["--without", "pid"], &profile, &ask);
    assert_eq!(refused.expect(0).out, "errno 1");
    let denial = kernel.denial(agent, "landlock", "sleep");
    assert_eq!((&*denial.action, &*denial.rule), ("signal", "scope.signal"));
    let opening = cellblock::plan::why::opening_of(&denial).unwrap();
    assert!(opening.to_string().starts_with("--without landlock"), "{opening}");
    let options = ["--without", "pid", "--without", "landlock"];
    assert_eq!(exec(agent, &options, &profile, &ask).expect(0).out, "done");
}

#[test]
fn a_socket_that_landlock_refuses_is_told_and_only_the_whole_wall_away_allows_it() {
    needs!("root", "cgroup2", "landlock>=7", "audit", "perl", "quiet");
    let mut kernel = Kernel::on();
    let agent = "jt-dn-socket";
    let folder = Folder::on_disk();
    let profile = folder.profile("own", "extends = ['demo']\n[network]\nmode = 'host'\n");
    let address = SocketAddr::from_abstract_name(b"cellblock \"test").unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let connect = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); my $a = pack('S a*', AF_UNIX, qq(\\0cellblock \"test)); \
        print connect(S, $a) ? 'done' : 'errno ' . ($! + 0)";
    assert_eq!(exec(agent, &[], &profile, connect).expect(0).out, "errno 1");
    let denial = kernel.denial(agent, "landlock", "@cellblock \"test");
    assert_eq!((&*denial.action, &*denial.rule), ("connect", "scope.abstract_unix_socket"));
    let opening = cellblock::plan::why::opening_of(&denial).unwrap();
    assert!(opening.to_string().starts_with("--without landlock"), "{opening}");
    assert_eq!(exec(agent, &["--without", "landlock"], &profile, connect).expect(0).out, "done");
}

/// Needs no switch: filters ask for their records themselves.
#[test]
fn a_call_that_the_filter_refuses_is_told_and_the_policy_that_is_proposed_allows_it() {
    needs!("root", "cgroup2", "audit", "perl");
    let agent = "jt-dn-call";
    let folder = Folder::on_disk();
    // PTRACE_TRACEME, and a netlink socket for events of devices.
    for (name, arguments, errno) in [("ptrace", "0, 0, 0, 0", 1), ("socket", "16, 3, 15", 97)] {
        let mut source = Kernel { was: true, source: Source::open().unwrap() };
        let ask = perl_call(name, arguments);
        let refused = exec(agent, &[], "demo", &ask);
        assert_eq!(refused.expect(0).out, format!("errno {errno}\n"), "{name}");
        let denial = source.denial(agent, "seccomp", name);
        assert_eq!((&*denial.action, &*denial.object), ("call", name));
        assert_eq!(denial.process.unwrap().program, "perl");
        let answer = why(agent, &["--profile", "demo"], name);
        let opening = &answer["answers"][0]["opening"];
        assert_eq!(opening["by"], "policy", "{answer}");
        let [file, text, line] = ["file", "text", "line"].map(|key| opening[key].as_str().unwrap());
        folder.directory("policies", 0o755);
        folder.directory("policies/seccomp", 0o755);
        folder.file(file, text, 0o644);
        let profile = folder.profile(name, &format!("extends = ['demo']\n[seccomp]\n{line}\n"));
        let mut allowed = cellblock("exec", agent, &[], &profile, &["perl", "-e", &ask]);
        let allowed = finish(allowed.current_dir(folder.path("policies").parent().unwrap()));
        assert_eq!(allowed.expect(0).out, "errno 0\n", "{name}");
    }
}

#[test]
fn what_programs_do_without_is_refused_and_not_told() {
    needs!("root", "cgroup2", "audit", "perl");
    let agent = "jt-dn-quiet";
    let mut source = Kernel { was: true, source: Source::open().unwrap() };
    let quiet = perl_call("clone3", "0, 0");
    let loud = perl_call("ptrace", "0, 0, 0, 0");
    let ended = exec(agent, &[], "demo", &format!("{quiet}; {loud}"));
    assert_eq!(ended.expect(0).out, "errno 38\nerrno 1\n");
    let uid = host::uid_of(agent).unwrap();
    let calls: Vec<_> = source.told(uid).into_iter().map(|denial| denial.object).collect();
    // Init's own test of the filter is not told either.
    assert_eq!(calls, ["ptrace"]);
}

#[test]
fn what_the_admin_does_not_want_told_is_not() {
    needs!("root", "cgroup2", "audit", "perl");
    let agent = "jt-dn-off";
    let folder = Folder::on_disk();
    let config = folder.file("config.toml", "schema = 1\n[watch]\naudit = 'off'\n", 0o644);
    let mut source = Kernel { was: true, source: Source::open().unwrap() };
    let ask = perl_call("ptrace", "0, 0, 0, 0");
    let ended = exec(agent, &["--config", &config], "demo", &ask);
    assert_eq!(ended.expect(0).out, "errno 1\n", "it is refused all the same");
    assert_eq!(source.told(host::uid_of(agent).unwrap()), []);
    // The same with the defaults is told.
    exec(agent, &[], "demo", &ask).expect(0);
    source.denial(agent, "seccomp", "ptrace");
}

/// What `why` says of the jail that runs is what it was launched with, whatever the profile says by now.
#[test]
fn why_answers_from_the_jail_that_runs() {
    needs!("root", "cgroup2");
    let agent = "jt-dn-why";
    let folder = Folder::on_disk();
    let shown = folder.directory("shown", 0o755);
    let entry = format!("read = [{{ path = '{shown}', at = '/srv/shown' }}]");
    let profile = folder.profile("own", &format!("extends = ['demo']\n[filesystem]\n{entry}\n"));
    let ask = |words: &[&str]| {
        finish(
            command(program())
                .args(["why", agent, "/srv/shown", "--profile", &profile])
                .args(words),
        )
    };
    let words = ["sh", "-c", "echo started; sleep 1000"];
    let running = start(&mut cellblock("exec", agent, &[], &profile, &words));
    running.says("started");
    folder.profile("own", "extends = ['demo']\n");
    let launched = ask(&["--json"]).expect(0).out.clone();
    let launched: serde_json::Value = serde_json::from_str(&launched).unwrap();
    assert!(launched["jail"].as_str().unwrap().starts_with(&format!("{agent}.exec.")));
    assert_eq!(launched["answers"][0]["verdict"], "allowed");
    let planned = ask(&["--planned"]);
    assert!(planned.expect(1).out.contains("as planned now"), "{planned:#?}");
    running.signal(rustix::process::Signal::TERM);
    running.wait(crate::harness::patient(crate::harness::DEADLINE));
    eventually("the end of the jail", || host::records(agent).is_empty().then_some(()));
    ask(&[]).expect(1);
    host::expect_nothing_left(agent);
}

/// The plan's answers are what a program in the jail meets.
#[test]
fn why_says_of_paths_what_is_so() {
    needs!("root", "cgroup2", "perl");
    let agent = "jt-dn-so";
    let folder = Folder::on_disk();
    folder.directory("project", 0o777);
    folder.directory("project/.git", 0o755);
    folder.file("project/.git/config", "x", 0o666);
    folder.file("project/.env", "x", 0o666);
    folder.file("project/free", "x", 0o666);
    for path in ["project", "project/.git", "project/.git/config", "project/.env", "project/free"] {
        std::os::unix::fs::chown(folder.path(path), Some(UID), Some(UID)).unwrap();
    }
    let workspace = folder.path("project").display().to_string();
    let hides = "extends = ['demo']\n[filesystem]\nhide = ['.env']\n";
    let profile = folder.profile("own", hides);
    let paths = [
        "/etc/passwd",
        "/etc/shadow",
        "/usr/bin/perl",
        "/workspace/free",
        "/workspace/.git/config",
        "/workspace/.env",
        "/dev/null",
        "/dev/kmsg",
        "/proc/self/status",
        "/proc/kallsyms",
        "/.landlock",
        "/nowhere/x",
        "/run/cellblock/tmux.conf",
    ];
    let tries = paths.map(|path| {
        format!("open(F, '<', '{path}') ? print 'y' : print 'n'; open(F, '+<', '{path}') ? print \"y\\n\" : print \"n\\n\"")
    });
    let options = ["--workspace", workspace.as_str()];
    let ended = exec(agent, &options, &profile, &tries.join(";"));
    let found: Vec<_> = ended.expect(0).out.lines().map(str::to_owned).collect();
    let mut said = Vec::new();
    for path in paths {
        let answer = why(
            agent,
            &["--profile", &profile, "--workspace", &workspace, "--read", "--write"],
            path,
        );
        let of =
            |index: usize| if answer["answers"][index]["verdict"] == "allowed" { "y" } else { "n" };
        said.push(format!("{}{}", of(0), of(1)));
    }
    let pairs = |list: &[String]| -> Vec<String> {
        paths.iter().zip(list).map(|(path, found)| format!("{path} {found}")).collect()
    };
    assert_eq!(pairs(&said), pairs(&found));
    assert!(said.iter().any(|it| it == "yy") && said.iter().any(|it| it == "nn"));
}

/// Refusals of limits are in another journal, and lines of an earlier version have less in them.
#[test]
fn denials_are_one_list_of_all_walls() {
    needs!("root");
    let folder = Folder::on_disk();
    let log = folder.directory("log", 0o755);
    let config = format!("schema = 1\n[paths]\nlog = '{log}'\n");
    let config = folder.file("config.toml", &config, 0o644);
    let gate = r#"{"time":3,"agent":"demo","jail":"demo.run","event":"denial","to":"pypi.org","port":443,"wall":"gate","reason":"unlisted","why":"no rule names it","allow":"allow = [\"pypi.org:443\"]","process":"pip (7)","times":1,"told":"pypi.org:443 was refused: no rule names it"}"#;
    let call = r#"{"time":1,"agent":"demo","jail":"demo.run","event":"denial","wall":"seccomp","action":"call","object":"bpf","rule":"x","why":"x","pid":8,"program":"perl","times":2,"told":"x"}"#;
    let tasks = r#"{"time":2,"agent":"demo","jail":"demo.run","event":"limit","limit":"tasks","what":"refused","count":5,"max":128,"peak":128,"unit":"count","processes":[],"told":"tasks: refused 5 times at the limit of 128"}"#;
    let started = r#"{"time":4,"agent":"demo","jail":"demo.run","event":"started","told":"x"}"#;
    folder.file("log/demo.denials.jsonl", &format!("{call}\n{gate}\n"), 0o640);
    folder.file("log/demo.jsonl", &format!("{tasks}\n{started}\n"), 0o640);
    let denials = |words: &[&str]| {
        let mut denials = command(program());
        denials.args(["denials", "--config", &config, "demo"]).args(words);
        finish(denials.current_dir(folder.path("log")))
    };
    let lines = |words: &[&str]| -> Vec<serde_json::Value> {
        let ended = denials(words);
        ended.expect(0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&["--json"]);
    let walls: Vec<_> = all.iter().map(|line| line["wall"].as_str().unwrap()).collect();
    assert_eq!(walls, ["seccomp", "tasks", "gate"], "in the order of time");
    assert_eq!(all[0]["opening"]["line"], "policy = \"agent-bpf\"");
    assert_eq!(all[1]["allow"], "tasks = 256");
    assert_eq!(all[2]["allow"], "allow = [\"pypi.org:443\"]");
    assert_eq!(lines(&["--json", "--wall", "tasks"]).len(), 1);
    assert_eq!(lines(&["--json", "-n", "1"])[0]["wall"], "gate");
    let text = denials(&[]).expect(0).out.clone();
    for line in [
        "to allow it: [limits] tasks = 256",
        "[network] allow = [\"pypi.org:443\"]",
        "pip (7)",
        "perl (8)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // Followed, what is there comes first, and then what comes, in whichever file.
    let mut follows = command(program());
    follows.args(["denials", "--config", &config, "demo", "--follow", "-n", "1"]);
    let follows = start(&mut follows);
    follows.says("pypi.org:443");
    let append = |file: &str, line: &str| {
        let file = std::fs::OpenOptions::new().append(true).open(folder.path(file)).unwrap();
        writeln!(&file, "{line}").unwrap();
    };
    append("log/demo.denials.jsonl", &call.replace("bpf", "keyctl"));
    follows.says("keyctl");
    append("log/demo.jsonl", &tasks.replace("refused 5 times", "refused 6 times"));
    follows.says("refused 6 times");
    let said = follows.out();
    assert_eq!(said.matches("pypi.org:443 was refused").count(), 1, "{said}");
    assert!(!said.contains("bpf"), "{said}");
    follows.signal(rustix::process::Signal::TERM);
    follows.wait(DEADLINE);
    denials(&["--wall", "moat"]).expect_refusal(125, &["moat", "gate, landlock"]);
}

/// The whole way: from the kernel by the watch to its owner, the journal and the list.
#[test]
fn what_the_kernel_refuses_to_agents_of_a_supervisor_is_in_their_lists() {
    needs!("root", "cgroup2", "tmux", "landlock>=7", "audit", "perl", "quiet");
    let (one, other) = ("jt-dn-one", "jt-dn-other");
    // Puts the kernel back as it was: the watch switches auditing on and not off.
    let Audit::Known(status) = cellblock::host::audit::probe() else { panic!("no audit") };
    let _kernel = Kernel { was: status.enabled, source: Source::open().unwrap() };
    // With journals of its own: those of an earlier run stay.
    let log = Folder::on_disk();
    let paths = format!("log = '{}'", log.text("log"));
    let more = "[watch]\naudit = 'enable'\n";
    let installation = Installation::with_paths(&[one, other], &paths, more);
    let ask = perl_call("ptrace", "0, 0, 0, 0");
    let script = format!(
        "for i in 1 2 3; do perl -e '{}'; done; cat /.landlock; sleep 1000",
        ask.replace('\'', "\"")
    );
    for (agent, script) in [(one, script.as_str()), (other, "sleep 1000")] {
        let words = ["--name", agent, "demo", "--", "bash", "-c", script];
        installation.ask("start", &words).expect(0);
    }
    let denials = |agent: &str| -> Vec<serde_json::Value> {
        let ended = installation.ask("denials", &["--json", agent]);
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let told = eventually("both denials, and how often", || {
        let told = denials(one);
        let times: u64 = told.iter().filter_map(|it| it["times"].as_u64()).sum();
        (times == 4).then_some(told)
    });
    let of = |wall: &str| told.iter().find(|it| it["wall"] == wall).unwrap();
    let call = of("seccomp");
    assert_eq!((&call["action"], &call["object"]), (&"call".into(), &"ptrace".into()));
    assert_eq!((&call["program"], &call["jail"]), (&"perl".into(), &format!("{one}.run").into()));
    assert_eq!(call["opening"]["line"], "policy = \"agent-ptrace\"");
    let file = of("landlock");
    assert_eq!((&file["action"], &file["object"]), (&"read".into(), &"/.landlock".into()));
    assert_eq!((&file["program"], &file["opening"]["by"]), (&"cat".into(), &"nothing".into()));
    assert_eq!(denials(other), [""; 0].map(serde_json::Value::from), "nothing of another's");
    for agent in [one, other] {
        installation.ask("stop", &["--now", agent]).expect(0);
    }
}

/// An agent that makes calls only to have them refused costs the watch little, and another agent's denials come through again.
#[test]
fn a_flood_of_refusals_is_told_with_its_count_and_costs_the_watch_little() {
    needs!("root", "cgroup2", "tmux", "audit", "perl", "quiet");
    let (flood, other) = ("jt-dn-flood", "jt-dn-calm");
    let log = Folder::on_disk();
    let paths = format!("log = '{}'", log.text("log"));
    let installation = Installation::with_paths(&[flood, other], &paths, "");
    let number = Arch::native().unwrap().number("ptrace").unwrap();
    let ask = format!("syscall({number}, 0, 0, 0, 0)");
    let script = format!(
        "perl -e 'my $until = time + 4; while (time < $until) {{ {ask} for 1 .. 1000 }}'; sleep 1000"
    );
    let calm = format!("sleep 7; perl -e '{ask}'; sleep 1000");
    for (agent, script) in [(flood, &script), (other, &calm)] {
        let words = ["--name", agent, "demo", "--", "bash", "-c", script];
        installation.ask("start", &words).expect(0);
    }
    let watch = watch_of(installation.pid());
    let before = ticks(watch);
    let denials = |agent: &str| -> Vec<serde_json::Value> {
        let ended = installation.ask("denials", &["--json", "-n", "1000", agent]);
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    eventually("the denial of the other one", || (!denials(other).is_empty()).then_some(()));
    let told = denials(flood);
    let times: u64 = told.iter().filter_map(|it| it["times"].as_u64()).sum();
    assert!(told.len() < 30 && times > 500, "{} lines, {times} times", told.len());
    // Hundredths of a second, in seven.
    let used = ticks(watch) - before;
    println!(
        "{times} refusals were told in {} lines; the watch used {used} hundredths of a second",
        told.len()
    );
    assert!(used < 200, "{used}");
    for agent in [flood, other] {
        installation.ask("stop", &["--now", agent]).expect(0);
    }
}

/// The watch of the supervisor `pid`.
fn watch_of(pid: i32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children = children.split_whitespace().map(|pid| pid.parse::<i32>().unwrap());
    let is_watch = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(b"cellblock-watch")
    };
    children.into_iter().find(is_watch).unwrap()
}

/// The processor time of a process, in ticks.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
