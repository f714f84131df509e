//! The plan of every shipped profile on invented hosts, compared with the text in `tests/plans/`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test plans` writes the texts anew: read the difference before it is
//! committed, it is what changes for every agent. Nothing here looks at the machine it runs on.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(missing_docs, reason = "tests")]

use cellblock::config::{Audit, Config};
use cellblock::denial::Opening;
use cellblock::document::{Located, Place};
use cellblock::egress::rules::Peer;
use cellblock::host::trust::Trust;
use cellblock::host::{
    AutoUid, Caller, Cgroups, Disk, HostFacts, Keeper, Kernel, Kind, PathAnswer, PathFact, Person,
    ProjectQuota, Questions, Walk,
};
use cellblock::plan::why::{self, Access, Verdict};
use cellblock::plan::{self, Log, Mode, Outline, PlanError, Request};
use cellblock::policy::network;
use cellblock::policy::seccomp::{self, Arch};
use cellblock::profile::load::Search;
use cellblock::profile::types::{AgentName, Bytes, Limits, Oom};
use cellblock::profile::{Profile, Wall, shipped};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the invented host has: path, type, owner.
const FILES: &[(&str, Kind, u32)] = &[
    ("/usr", Kind::Directory, 0),
    ("/etc/alternatives", Kind::Directory, 0),
    ("/etc/ca-certificates", Kind::Directory, 0),
    ("/etc/ld.so.cache", Kind::File, 0),
    ("/etc/ld.so.conf", Kind::File, 0),
    ("/etc/ld.so.conf.d", Kind::Directory, 0),
    ("/etc/mime.types", Kind::File, 0),
    ("/etc/protocols", Kind::File, 0),
    ("/etc/services", Kind::File, 0),
    ("/etc/ssl/certs", Kind::Directory, 0),
    ("/etc/ssl/openssl.cnf", Kind::File, 0),
    ("/etc/terminfo", Kind::Directory, 0),
    ("/etc/timezone", Kind::File, 0),
    ("/home/ada/.local/share/claude", Kind::Directory, 1000),
    ("/home/ada/project", Kind::Directory, 1000),
    ("/home/ada/project/.env", Kind::File, 1000),
    ("/home/ada/project/.git", Kind::Directory, 1000),
    ("/home/ada/project/.git/config", Kind::File, 1000),
    ("/home/ada/project/.git/hooks", Kind::Directory, 1000),
];

/// Symbolic links that root made: path, text.
const LINKS: &[(&str, &str)] = &[
    ("/bin", "usr/bin"),
    ("/sbin", "usr/sbin"),
    ("/lib", "usr/lib"),
    ("/lib64", "usr/lib64"),
    ("/etc/localtime", "/usr/share/zoneinfo/Europe/Vienna"),
];

const PROGRAMS: &[&str] =
    &["/usr/bin/bash", "/usr/bin/claude", "/usr/bin/codex", "/usr/bin/tmux", "/usr/bin/true"];

/// What a walk through the project finds by patterns.
const MATCHES: &[(&str, &str, bool)] =
    &[(".*rc", ".npmrc", false), (".*profile", ".profile", false)];

fn strings<C: FromIterator<String>>(words: &[&str]) -> C {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn look(path: &str) -> PathAnswer {
    if let Some((_, target)) = LINKS.iter().find(|(link, _)| *link == path) {
        return PathAnswer::Link { target: (*target).to_owned(), trusted: true };
    }
    let Some((_, kind, uid)) = FILES.iter().find(|(known, ..)| *known == path) else {
        return PathAnswer::Missing;
    };
    let mode = if *kind == Kind::Directory { 0o755 } else { 0o644 };
    PathAnswer::Found(PathFact { kind: *kind, uid: *uid, gid: *uid, mode, device: (259, 2) })
}

fn walk(tree: &str, questions: &Questions) -> Walk {
    let globs = questions.patterns.iter().filter(|(directory, _)| directory == tree);
    let matching = |glob: &str| {
        let here = MATCHES.iter().filter(|(known, ..)| *known == glob && tree.ends_with("project"));
        here.map(|(_, path, directory)| ((*path).to_owned(), *directory)).collect()
    };
    let matches = globs.map(|(_, glob)| (glob.clone(), matching(glob))).collect();
    Walk { sockets: Vec::new(), matches }
}

/// The one file system of the invented host, as most installers make it.
fn disk() -> Disk {
    Disk {
        device: (259, 2),
        block: Some((259, 0)),
        kind: "ext4".to_owned(),
        source: "/dev/nvme0n1p2".to_owned(),
        mount: "/".to_owned(),
        quota: ProjectQuota::None,
    }
}

/// Debian with cgroup v2 alone, as root called by ada with sudo from her project.
fn unified(questions: &Questions) -> HostFacts {
    HostFacts {
        twins: BTreeMap::new(),
        kernel: Kernel {
            release: "6.12.9-amd64".to_owned(),
            landlock_abi: Some(6),
            seccomp: true,
            namespaces: strings(&["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]),
            memfd_noexec: true,
            max_user_namespaces: true,
            keyrings: true,
            memory: 16 << 30,
            tasks: 32_768,
        },
        cgroups: Cgroups {
            mount: Some(PathBuf::from("/sys/fs/cgroup")),
            controllers: strings(&["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]),
            held_by_v1: BTreeSet::new(),
            keeper: Keeper::Systemd { delegated: None },
        },
        caller: caller(),
        account: None,
        groups: BTreeMap::new(),
        auto_uid: AutoUid::Next(71_234),
        gate_uid: AutoUid::Next(71_235),
        shim_uid: AutoUid::Next(71_236),
        own_program: Some("/usr/bin/cellblock".to_owned()),
        paths: questions.paths.iter().map(|path| (path.clone(), look(path))).collect(),
        disks: questions.disks.iter().map(|path| (path.clone(), Ok(disk()))).collect(),
        io_weights: None,
        root_links: LINKS[..4].iter().map(|(l, t)| ((*l).to_owned(), (*t).to_owned())).collect(),
        programs: questions
            .programs
            .iter()
            .filter(|path| PROGRAMS.contains(&path.as_str()))
            .cloned()
            .collect(),
        variables: BTreeMap::from([("TZ".to_owned(), "Europe/Vienna".to_owned())]),
        resolver: "nameserver 192.0.2.53\n".to_owned(),
        live_sockets: Some(strings(&["/run/dbus/system_bus_socket"])),
        walks: questions.trees.iter().map(|t| (t.clone(), Ok(walk(t, questions)))).collect(),
    }
}

/// The same with the limit controllers in cgroup v1, an old kernel, and neither tmux nor claude.
fn hybrid(questions: &Questions) -> HostFacts {
    let mut facts = unified(questions);
    facts.kernel.release = "5.15.0-91-generic".to_owned();
    facts.kernel.landlock_abi = Some(1);
    facts.kernel.memfd_noexec = false;
    facts.cgroups.mount = Some(PathBuf::from("/sys/fs/cgroup/unified"));
    facts.cgroups.keeper = Keeper::Nobody;
    facts.cgroups.controllers.clear();
    facts.cgroups.held_by_v1 = strings(&["memory", "pids", "cpu", "blkio"]);
    facts.programs.retain(|path| path.ends_with("/bash"));
    facts
}

/// The first with project quotas, and shares of the disks.
fn bounded(questions: &Questions) -> HostFacts {
    let mut facts = unified(questions);
    for disk in facts.disks.values_mut().flatten() {
        disk.quota = ProjectQuota::Enforced;
    }
    facts.io_weights = Some(strings(&["io.weight"]));
    facts
}

fn caller() -> Caller {
    Caller {
        euid: 0,
        person: Person { uid: 1000, home: "/home/ada".to_owned() },
        directory: Some("/home/ada/project".to_owned()),
        terminal: true,
        bound: false,
    }
}

type Host = fn(&Questions) -> HostFacts;

struct Case {
    /// The name of the file with its text.
    name: &'static str,
    profile: &'static str,
    host: Host,
    mode: Mode,
    command: &'static [&'static str],
    workspace: Option<&'static str>,
    without: &'static [Wall],
    /// What a profile that extends the shipped one sets.
    sets: fn(&mut Limits),
}

const CASE: Case = Case {
    name: "",
    profile: "",
    host: unified,
    mode: Mode::Run,
    command: &[],
    workspace: None,
    without: &[],
    sets: |_| {},
};

/// Limits on disks, which no shipped profile sets.
fn disk_limits(limits: &mut Limits) {
    limits.disk = Some(given("disk", Bytes(10 << 30)));
    limits.io = Some(given("io", Bytes(1 << 20)));
    limits.io_weight = Some(given("io_weight", 50));
}

const CASES: &[Case] = &[
    Case { name: "base", profile: "base", mode: Mode::Exec, command: &["true"], ..CASE },
    Case { name: "shell", profile: "shell", ..CASE },
    Case { name: "claude", profile: "claude", ..CASE },
    Case { name: "codex", profile: "codex", ..CASE },
    Case { name: "demo", profile: "demo", ..CASE },
    Case { name: "claude-bounded", profile: "claude", host: bounded, sets: disk_limits, ..CASE },
    Case { name: "claude-on-hybrid", profile: "claude", host: hybrid, ..CASE },
    Case {
        name: "demo-on-hybrid",
        profile: "demo",
        host: hybrid,
        mode: Mode::Exec,
        workspace: Some("/home/ada/project"),
        ..CASE
    },
    Case {
        name: "base-without-root",
        profile: "base",
        mode: Mode::Exec,
        command: &["true"],
        without: &[Wall::Mount, Wall::Seccomp],
        ..CASE
    },
];

/// A shipped profile, whatever the folders of this machine hold.
fn profile(name: &str) -> Profile {
    Search { folders: Vec::new(), here: None, trust: Trust::for_caller(1, 1) }.load(name).unwrap()
}

/// The text of a plan does not depend on the processor.
fn filter(name: &str) -> plan::Filter {
    let policy = seccomp::load(name, &|name| seccomp::shipped(name).map(str::to_owned)).unwrap();
    plan::Filter::compile(&policy, Arch::X86_64).unwrap()
}

/// All that `profile` names, as shipped.
fn policies(profile: &Profile) -> plan::Policies {
    let load = |name| network::load(name, &|name| network::shipped(name).map(str::to_owned));
    let network = profile.egress.policies.iter().map(|name| load(name).unwrap()).collect();
    let filter = filter(&profile.seccomp.value);
    plan::Policies { filter, network, network_files: Vec::new() }
}

fn given<T>(option: &str, value: T) -> Located<T> {
    Located { value, place: Place::outside("the command line", option) }
}

fn request(case: &Case) -> Request {
    Request {
        agent: AgentName::parse(case.profile).unwrap(),
        mode: case.mode,
        workspace: case.workspace.map(|path| given("--workspace", path.to_owned())),
        command: strings(case.command),
        without: case.without.iter().map(|wall| given("--without", *wall)).collect(),
        config: Config::default(),
    }
}

fn draft(case: &Case) -> Result<plan::Draft, PlanError> {
    let mut profile = profile(case.profile);
    (case.sets)(&mut profile.limits);
    let request = request(case);
    let facts = (case.host)(&plan::questions(&profile, &request, &caller()));
    plan::draft(&profile, &request, &facts, policies(&profile))
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(format!("{name}.txt"))
}

/// The first line in which the two differ, to read in a failure.
fn difference(expected: &str, found: &str) -> Option<String> {
    let mut pairs = expected.lines().zip(found.lines()).enumerate();
    let differ = pairs.find(|(_, (expected, found))| expected != found);
    if let Some((index, (expected, found))) = differ {
        return Some(format!("line {}:\n- {expected}\n+ {found}", index + 1));
    }
    let (expected, found) = (expected.lines().count(), found.lines().count());
    (expected != found).then(|| format!("{found} lines instead of {expected}"))
}

#[test]
fn every_plan_is_the_one_that_was_read_and_agreed_to() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for case in CASES {
        let text = plan::explain_draft(&draft(case).unwrap());
        if update {
            std::fs::write(golden(case.name), &text).unwrap();
        }
        let expected = std::fs::read_to_string(golden(case.name)).unwrap_or_default();
        let told = difference(&expected, &text);
        different.extend(told.map(|told| format!("{}: {told}", case.name)));
    }
    let hint = "UPDATE_GOLDEN=1 cargo test --test plans writes them anew";
    assert!(different.is_empty(), "{}\n{hint}", different.join("\n"));
}

#[test]
fn every_shipped_profile_has_a_golden_plan_and_no_text_is_left_over() {
    for (name, _) in shipped::ALL {
        assert!(CASES.iter().any(|case| case.profile == *name), "{name} has no golden plan");
    }
    for entry in std::fs::read_dir(golden("x").parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(CASES.iter().any(|case| case.name == name), "{} is nobody's", path.display());
    }
}

#[test]
fn only_a_plan_that_nothing_hinders_can_be_launched() {
    let case = |name: &str| CASES.iter().find(|case| case.name == name).unwrap();
    assert!(draft(case("claude")).unwrap().into_plan().is_ok());
    assert!(draft(case("demo-on-hybrid")).unwrap().into_plan().is_ok());
    let draft = draft(case("claude-on-hybrid")).unwrap();
    let walls: Vec<_> = match draft.hindrances().first() {
        Some(PlanError::Refused(refusals, _)) => refusals.iter().map(|r| r.wall).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(walls, [Wall::Memory, Wall::Tasks]);
    let missing = |error: &PlanError| matches!(error, PlanError::NoCommand { .. });
    assert_eq!(draft.hindrances().iter().filter(|error| missing(error)).count(), 2);
    assert!(matches!(draft.into_plan(), Err(PlanError::Refused(..))));
}

#[test]
fn a_secret_or_a_value_of_the_callers_is_in_no_text() {
    for case in CASES {
        let draft = draft(case).unwrap();
        let json = serde_json::to_string(draft.preview()).unwrap();
        assert!(!plan::explain_draft(&draft).contains("TZ=Europe"), "{}", case.name);
        assert!(json.contains("(passed from the caller)"), "{}", case.name);
    }
}

#[test]
fn what_does_not_stand_in_is_not_said_to() {
    let hybrid_demo = CASES.iter().find(|case| case.name == "demo-on-hybrid").unwrap();
    let told = |without: &'static [Wall], host: Host| {
        let case = Case { without, host, ..*hybrid_demo };
        plan::explain_draft(&draft(&case).unwrap())
    };
    let (watch, limit) =
        ("a watch of its memory stands in", "RLIMIT_NPROC of its own uid stands in");
    let full = told(&[], hybrid);
    assert!(full.contains(watch) && full.contains(limit), "{full}");
    assert!(!told(&[Wall::Rlimits], hybrid).contains(limit));
    assert!(!told(&[Wall::Cgroup], hybrid).contains(watch));
    let no_cgroups = |questions: &Questions| {
        let mut facts = hybrid(questions);
        facts.cgroups.mount = None;
        facts
    };
    assert!(!told(&[], no_cgroups).contains(watch));
}

#[test]
fn a_limit_on_disks_that_names_none_is_refused() {
    let limited = |name: &str| {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        draft(&Case { sets: |limits| limits.io = Some(given("io", Bytes(1 << 20))), ..*case })
    };
    // The person's project is on a disk; the demo's workspace is in memory.
    let text = plan::explain_draft(&limited("claude").unwrap());
    assert!(text.contains("259:0 rbps=1048576 wbps=1048576"), "not the whole disk: {text}");
    let refused = limited("demo").unwrap_err().to_string();
    assert!(refused.contains("limits nothing"), "{refused}");
}

#[test]
fn ending_together_needs_the_memory_controller_whatever_else_is_limited() {
    let case = CASES.iter().find(|case| case.name == "claude").unwrap();
    let told =
        |sets: fn(&mut Limits)| plan::explain_draft(&draft(&Case { sets, ..*case }).unwrap());
    let unlimited = |limits: &mut Limits| {
        (limits.memory, limits.memory_high, limits.swap) = (None, None, None);
    };
    assert!(!told(unlimited).contains("memory.oom.group"), "{}", told(unlimited));
    let together = told(|limits| {
        (limits.memory, limits.memory_high, limits.swap) = (None, None, None);
        limits.oom = Some(given("oom", Oom::All));
    });
    assert!(together.contains("memory.oom.group"), "{together}");
}

#[test]
fn what_is_not_known_to_be_free_of_sockets_is_not_shown() {
    let case = CASES.iter().find(|case| case.name == "demo").unwrap();
    let with = |live: Option<Vec<String>>| {
        let (profile, request) = (profile(case.profile), request(case));
        let mut facts = unified(&plan::questions(&profile, &request, &caller()));
        facts.live_sockets = live;
        plan::draft(&profile, &request, &facts, policies(&profile))
    };
    assert!(with(Some(Vec::new())).is_ok());
    let unknown = with(None).unwrap_err().to_string();
    assert!(unknown.contains("cannot tell whether sockets"), "{unknown}");
    let found = with(Some(vec!["/usr/lib/service.sock".to_owned()])).unwrap_err().to_string();
    assert!(found.contains("`/usr/lib/service.sock`"), "{found}");
}

#[test]
fn a_workspace_that_its_name_refuses_is_not_looked_through() {
    let profile = profile("claude");
    let asked = |workspace: &'static str| {
        let request = request(&Case { profile: "claude", workspace: Some(workspace), ..CASE });
        let questions = plan::questions(&profile, &request, &caller());
        let about = [&questions.trees, &questions.shown, &questions.disks, &questions.paths];
        let asked = about.iter().any(|paths| paths.contains(workspace));
        let pattern = questions.patterns.iter().any(|(tree, _)| tree == workspace);
        let facts = unified(&questions);
        (asked || pattern, plan::draft(&profile, &request, &facts, policies(&profile)))
    };
    for refused in ["/", "/home", "/home/ada"] {
        let (asked, draft) = asked(refused);
        assert!(!asked, "{refused}");
        let Err(PlanError::Problems(problems)) = draft else { panic!("{refused}: {draft:?}") };
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(problems.to_string().contains("far more than a project"), "{problems}");
    }
    let (asked, draft) = asked("/home/ada/project");
    assert!(asked && draft.is_ok());
}

/// The bounded plan of claude on a host of `facts`, without `without`.
fn with_disk(host: Host, without: &'static [Wall]) -> plan::Draft {
    let case = CASES.iter().find(|case| case.name == "claude-bounded").unwrap();
    draft(&Case { host, without, ..*case }).unwrap()
}

#[test]
fn a_bound_on_disk_is_told_for_each_writable_tree() {
    let bounded = plan::explain_draft(&with_disk(bounded, &[]));
    let line = "/workspace: at most 10G and 2621440 files, by project quota 71234 of ext4";
    assert!(bounded.contains(line), "{bounded}");
    assert!(bounded.contains("give /home/ada/project to project 71234 and limit it to 10G"));
    let case = CASES.iter().find(|case| case.name == "claude").unwrap();
    let unset = plan::explain_draft(&draft(case).unwrap());
    assert!(unset.contains("/workspace: not bounded: the profile sets no limit"), "{unset}");
}

#[test]
fn a_recording_is_told_with_its_folder_its_bound_and_its_origin() {
    let case = CASES.iter().find(|case| case.name == "shell").unwrap();
    let (mut profile, request) = (profile(case.profile), request(case));
    let facts = (case.host)(&plan::questions(&profile, &request, &caller()));
    let mut explain = || {
        let draft = plan::draft(&profile, &request, &facts, policies(&profile)).unwrap();
        profile.terminal.record = given("record", true);
        profile.terminal.record_size = given("record_size", Bytes(1 << 30));
        plan::explain_draft(&draft)
    };
    assert!(!explain().contains("recorded"));
    let line = "  recorded  in /var/log/cellblock/recordings/shell, the newest 1G  [";
    let recorded = explain();
    assert!(recorded.lines().any(|found| found.starts_with(line)), "{recorded}");
}

/// The bounded host with another kind of file system.
fn with_quota(quota: ProjectQuota, kind: &str, mount: &str, questions: &Questions) -> HostFacts {
    let mut facts = bounded(questions);
    for disk in facts.disks.values_mut().flatten() {
        (disk.quota, disk.kind, disk.mount) = (quota, kind.to_owned(), mount.to_owned());
    }
    facts
}

#[test]
fn a_bound_that_cannot_hold_is_refused_with_its_cure() {
    let refusal = |host: Host, words: &[&str]| {
        let told = with_disk(host, &[]).into_plan().unwrap_err().to_string();
        for word in words.iter().chain(&["`disk` cannot stand", "--without disk"]) {
            assert!(told.contains(word), "no `{word}`: {told}");
        }
    };
    let commands = "umount /home && tune2fs -O project,quota /dev/nvme0n1p2 && mount -o prjquota";
    let none: Host = |q| with_quota(ProjectQuota::None, "ext4", "/home", q);
    refusal(none, &[commands, "ext4 at /home", "`/home/ada/project`"]);
    let root: Host = |q| with_quota(ProjectQuota::None, "ext4", "/", q);
    refusal(root, &["rootflags=prjquota"]);
    refusal(|q| with_quota(ProjectQuota::Counted, "ext4", "/home", q), &["quotaon -P /home"]);
    let xfs: Host = |q| with_quota(ProjectQuota::Counted, "xfs", "/home", q);
    refusal(xfs, &["mount -o pquota /dev/nvme0n1p2 /home"]);
    refusal(|q| with_quota(ProjectQuota::Enforced, "f2fs", "/home", q), &["ext4 or xfs"]);
    refusal(|q| with_quota(ProjectQuota::NotInKernel, "ext4", "/home", q), &["Linux 5.14"]);
    let preview = plan::explain_draft(&with_disk(root, &[]));
    assert!(preview.contains("/workspace: not bounded: no project quotas"), "{preview}");
}

#[test]
fn a_bound_needs_walls_that_keep_the_agent_from_going_round_it() {
    for without in [&[Wall::User], &[Wall::Mount]] {
        let plan = with_disk(bounded, without).into_plan().unwrap();
        assert!(!plan.stands(Wall::Disk) && plan.disk.bounds.is_empty(), "{without:?}");
        let text = plan::explain(&plan);
        assert!(text.contains(&format!("not bounded: needs `{}`", without[0])), "{text}");
    }
    let plan = with_disk(bounded, &[Wall::Cgroup]).into_plan().unwrap();
    assert_eq!(plan.disk.bounds.len(), 1, "a bound needs no cgroup");
    let plan = with_disk(bounded, &[Wall::Disk]).into_plan().unwrap();
    assert!(plan.disk.bounds.is_empty(), "it was taken away");
}

#[test]
fn what_can_be_bounded_is_also_where_the_profile_can_do_without() {
    let mut profile = profile("claude");
    disk_limits(&mut profile.limits);
    profile.without = vec![given("enforcement.without", Wall::Disk)];
    let case = CASES.iter().find(|case| case.name == "claude-bounded").unwrap();
    let request = request(case);
    let mut facts = bounded(&plan::questions(&profile, &request, &caller()));
    let other = Disk { device: (259, 7), quota: ProjectQuota::None, ..disk() };
    facts.disks.insert("/home/ada/.cache".to_owned(), Ok(other));
    let plan = plan::resolve(&profile, &request, &facts, filter("agent")).unwrap();
    assert!(!plan.stands(Wall::Disk));
    assert_eq!(plan.disk.bounds.len(), 1);
}

#[test]
fn a_share_of_the_disks_is_refused_where_cgroups_have_none() {
    let none = |questions: &Questions| {
        let mut facts = bounded(questions);
        facts.io_weights = Some(BTreeSet::new());
        facts
    };
    let refused = with_disk(none, &[]).into_plan().unwrap_err().to_string();
    assert!(refused.contains("`io_weight` is set") && refused.contains("IOCOST"), "{refused}");
    let text = plan::explain_draft(&with_disk(bounded, &[]));
    assert!(text.contains("io.weight        default 50"), "{text}");
}

/// A plan of the profile for this host, with this setting of the configuration.
fn audited(host: Host, audit: Audit, filter: plan::Filter) -> plan::Plan {
    let case = Case { host, ..CASES[0] };
    let mut request = request(&case);
    request.config.watch.audit.value = audit;
    let profile = profile(case.profile);
    let facts = host(&plan::questions(&profile, &request, &caller()));
    plan::resolve(&profile, &request, &facts, filter).unwrap()
}

#[test]
fn refusals_are_audited_where_the_kernel_can_and_the_admin_does_not_mind() {
    let new = |questions: &Questions| {
        let mut facts = unified(questions);
        facts.kernel.landlock_abi = Some(7);
        facts
    };
    let off = |log: &Log| matches!(log, Log::Off(_));
    let logged = |plan: &plan::Plan| plan::steps(plan).contains(&plan::Step::LogRefusals);
    for audit in [Audit::Read, Audit::Enable] {
        let plan = audited(new, audit, filter("agent"));
        assert_eq!((&plan.landlock.log, &plan.seccomp.log), (&Log::On, &Log::On));
        assert!(plan.seccomp.told.is_some() && logged(&plan));
        let text = plan::explain(&plan);
        assert!(text.contains("audited while the host audits"), "{text}");
        assert!(off(&audited(unified, audit, filter("agent")).landlock.log), "ABI 6");
    }
    let plan = audited(new, Audit::Off, filter("agent"));
    assert!(off(&plan.landlock.log) && off(&plan.seccomp.log));
    assert!(plan.seccomp.told.is_none() && !logged(&plan));
    assert!(plan::explain(&plan).contains("not audited: audit = \"off\""));
    // The second filter is asked for by a process that the first one binds.
    let text = "schema = 1\ninclude = ['agent']\nreplace = ['seccomp']\ndescription = 'x'\n";
    let find = |name: &str| match name {
        "own" => Some(text.to_owned()),
        name => seccomp::shipped(name).map(str::to_owned),
    };
    let policy = seccomp::load("own", &find).unwrap();
    let own = plan::Filter::compile(&policy, Arch::native().unwrap()).unwrap();
    let plan = audited(new, Audit::Read, own);
    assert!(plan.seccomp.told.is_none() && !logged(&plan));
    assert!(plan::explain(&plan).contains("does not allow `seccomp`"));
}

/// What `why` says of a path in the jail of a case: what decides, and what would allow it.
fn why_path(outline: &Outline, path: &str, access: Access) -> (Verdict, String, String) {
    let answer = why::path(outline, path, access);
    let opening = answer.opening.map(|opening| opening.to_string()).unwrap_or_default();
    (answer.verdict, format!("{} {}", answer.wall, answer.errno), opening)
}

fn outline(case: &Case) -> Outline {
    let draft = draft(case).unwrap();
    let outline = Outline::of(draft.preview());
    // What is kept beside a jail says the same as the plan.
    let kept = serde_json::to_string(&outline).unwrap();
    assert_eq!(serde_json::from_str::<Outline>(&kept).unwrap(), outline);
    outline
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}

#[test]
fn why_knows_what_the_plan_says_of_paths() {
    use Access::{Execute, Read, Write};
    let outline = outline(case("claude"));
    let allowed = [
        ("/usr/bin/true", Read),
        ("/bin/true", Execute),
        ("/workspace/src/x", Write),
        ("./src/x", Execute),
        ("~/.claude.json", Write),
        ("/tmp/x", Write),
        ("/var/tmp/x", Write),
        ("/etc/passwd", Read),
        ("/dev/null", Write),
        ("/proc/self/status", Read),
        ("/home/ada/project/x", Write),
        ("/workspace/.git/hooks/pre-commit", Execute),
        ("/usr/../usr/./bin", Read),
        ("/", Read),
        ("/run", Read),
    ];
    for (path, access) in allowed {
        let answer = why::path(&outline, path, access);
        assert_eq!(answer.verdict, Verdict::Allowed, "{path}: {answer:?}");
        assert!(answer.opening.is_none() && !answer.rule.is_empty(), "{path}");
    }
}

#[test]
fn why_knows_which_line_of_the_profile_would_allow_a_path() {
    use Access::{Execute, Read, Write};
    let outline = outline(case("claude"));
    let refused = [
        ("/srv/x", Read, "mount ENOENT", "[filesystem] read = [\"/srv/x\"]"),
        ("/srv/x", Write, "mount ENOENT", "[filesystem] write = [\"/srv/x\"]"),
        ("/etc/shadow", Execute, "mount ENOENT", "[filesystem] execute = [\"/etc/shadow\"]"),
        ("/usr/bin/x", Write, "mount EROFS", "[filesystem] write = [\"/usr/bin/x\"]"),
        ("/bin/x", Write, "mount EROFS", "[filesystem] write = [\"/usr/bin/x\"]"),
        (
            "/etc/ssl/certs/x",
            Execute,
            "mount EACCES",
            "[filesystem] execute = [\"/etc/ssl/certs/x\"]",
        ),
        ("/tmp/x", Execute, "mount EACCES", "[filesystem] tmp_execute = true"),
        (
            "/workspace/.git/config",
            Write,
            "mount EROFS",
            "take the pattern for /workspace/.git/config out of `protect`",
        ),
        (
            "/workspace/.env",
            Read,
            "mount EACCES",
            "take the pattern for /workspace/.env out of `hide`",
        ),
        ("/proc/kcore", Read, "mount EACCES", "nothing: "),
        ("/dev/kmsg", Read, "mount ENOENT", "nothing: "),
        ("/run/cellblock/x", Read, "mount ENOENT", "nothing: "),
        ("/etc/passwd", Write, "mount EROFS", "nothing: "),
        ("/.landlock", Read, "landlock EACCES", "nothing: "),
        ("/dev/shm/x", Execute, "mount EACCES", "nothing: "),
    ];
    for (path, access, by, opening) in refused {
        let (verdict, found, told) = why_path(&outline, path, access);
        assert_eq!((verdict, &*found), (Verdict::Refused, by), "{path}");
        assert!(told.starts_with(opening), "{path}: {told}");
    }
    let note = &why::path(&outline, "/home/ada/project/x", Read).notes;
    assert!(note.iter().any(|note| note.contains("is /workspace/x in the jail")), "{note:?}");
    let bounded = why::path(&outline, "/etc/ld.so.cache.d", Read);
    assert!(bounded.notes.iter().any(|note| note.contains("the nearest entry is /etc/")));
}

#[test]
fn why_knows_that_without_a_root_paths_are_the_hosts() {
    let outline = outline(case("base-without-root"));
    let expected = (Verdict::Refused, "landlock EACCES".to_owned());
    let (verdict, by, opening) = why_path(&outline, "/srv/x", Access::Read);
    assert_eq!((verdict, by), expected);
    assert_eq!(opening, "[filesystem] read = [\"/srv/x\"]");
    assert_eq!(why_path(&outline, "/usr/bin/x", Access::Execute).0, Verdict::Allowed);
    assert_eq!(why_path(&outline, "/usr/bin/x", Access::Write).0, Verdict::Refused);
}

#[test]
fn why_knows_what_the_plan_says_of_hosts() {
    let said = |outline: &Outline, host: &str, port| {
        let answer = why::host(outline, &Peer::try_from(host.to_owned()).unwrap(), port);
        let opening = answer.opening.map(|opening| opening.to_string()).unwrap_or_default();
        (answer.verdict, answer.wall, answer.errno, opening)
    };
    let claude = outline(case("claude"));
    assert_eq!(said(&claude, "api.anthropic.com", None).0, Verdict::Allowed);
    let (verdict, wall, errno, opening) = said(&claude, "pypi.org", None);
    assert_eq!((verdict, &*wall, &*errno), (Verdict::Refused, "gate", "no such name"));
    assert_eq!(opening, "[network] allow = [\"pypi.org:443\"]");
    let (_, _, errno, opening) = said(&claude, "api.anthropic.com", Some(22));
    assert_eq!(
        (&*errno, &*opening),
        ("ECONNREFUSED", "[network] allow = [\"api.anthropic.com:22\"]")
    );
    assert_eq!(said(&claude, "localhost", Some(80)).0, Verdict::Allowed);
    let base = outline(case("base"));
    let (verdict, wall, _, opening) = said(&base, "pypi.org", Some(80));
    assert_eq!((verdict, &*wall), (Verdict::Refused, "network"));
    assert_eq!(opening, "[network] mode = \"allowlist\"; allow = [\"pypi.org:80\"]");
    assert_eq!(said(&base, "127.0.0.1", Some(80)).3, "[network] mode = \"loopback\"");
}

#[test]
fn why_knows_what_the_policy_says_of_calls() {
    let outline = outline(case("claude"));
    let policy = seccomp::load("agent", &|name| seccomp::shipped(name).map(str::to_owned)).unwrap();
    let said = |name: &str| why::call(&outline, &policy, name);
    assert_eq!(said("read").verdict, Verdict::Allowed);
    let bpf = said("bpf");
    assert_eq!((bpf.verdict, &*bpf.wall, &*bpf.errno), (Verdict::Refused, "seccomp", "EPERM"));
    assert!(bpf.origin.contains("minimal") && bpf.rule.contains("exploits"), "{bpf:?}");
    let socket = said("socket");
    assert_eq!(socket.verdict, Verdict::Depends);
    let notes = socket.notes.join("\n");
    assert!(notes.contains("allowed where argument 0 is one of AF_INET, AF_INET6"), "{notes}");
    assert!(notes.contains("refused with EAFNOSUPPORT in all other cases"), "{notes}");
    assert!(matches!(said("io_uring_setup").opening, Some(Opening::Nothing { .. })));
    // The policy that it proposes is one, and allows the call.
    let unmentioned = Arch::X86_64.calls().map(|(name, _)| name);
    let unmentioned = unmentioned.filter(|name| !policy.calls.contains_key(*name)).take(1);
    for name in ["bpf", "socket", "unshare"].into_iter().chain(unmentioned) {
        let Some(Opening::Policy { file, text, line, .. }) = said(name).opening else {
            panic!("{name}")
        };
        let own = file.strip_prefix("policies/seccomp/").unwrap().strip_suffix(".toml").unwrap();
        assert_eq!(line, format!("policy = \"{own}\""));
        let find = |name: &str| match name {
            name if name == own => Some(text.clone()),
            name => seccomp::shipped(name).map(str::to_owned),
        };
        let opened = seccomp::load(own, &find).unwrap_or_else(|problems| panic!("{problems}"));
        let always = matches!(opened.verdict(name), seccomp::Verdict::Always(_));
        assert!(always && opened.decide(name, &[0; 6]).action == seccomp::Action::Allow, "{name}");
    }
    let without = Outline { walls: Vec::new(), ..outline.clone() };
    assert_eq!(why::call(&without, &policy, "bpf").verdict, Verdict::Allowed);
}

#[test]
fn why_knows_limits() {
    let outline = outline(case("claude-bounded"));
    let said = |key: &str| {
        let answer = why::limit(&outline, key);
        (answer.rule, answer.opening.map(|opening| opening.to_string()).unwrap_or_default())
    };
    let line = |rule: &str, opening: &str| (rule.to_owned(), opening.to_owned());
    assert_eq!(said("tasks"), line("limits.tasks = 512", "[limits] tasks = 1024"));
    assert_eq!(said("memory"), line("limits.memory = 4G", "[limits] memory = \"8G\""));
    assert_eq!(said("disk").1, "[limits] disk = \"20G\"");
    assert_eq!(said("swap").1, "[limits] swap = \"1G\"");
    assert!(said("cpu").1.is_empty());
}
