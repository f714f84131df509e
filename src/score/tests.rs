//! Every point, lost by itself; and that giving up more never scores better.

use super::{Exposure, Grade, Score, Word, findings, score};
use crate::document::{Located, Place};
use crate::policy::seccomp::{self, Action, Arch, Call, Errno, Policy, Rule};
use crate::profile::raw::RawProfile;
use crate::profile::types::{
    Access, Bytes, Entry, HostPath, JailPath, Limits, Network, Owner, SecretPlace, User,
    VariableName, Workspace,
};
use crate::profile::{Profile, Wall, validate};
use proptest::prelude::*;
use proptest::sample::select;

/// A profile that keeps every point, and has everything that can be given up.
const STRICT: &str = "
[filesystem]
workspace = 'memory'
hide = ['.env']
protect = [
    '.git', '.claude', '.codex', '.mcp.json', '.vscode', '.envrc', '.bashrc', '.profile', '.npmrc',
    '.*rc',
]
[limits]
memory = '4G'
swap = '0'
tasks = 512
cpu = 2
cpu_weight = 50
io = '50M'
io_weight = 50
disk = '10G'
";

fn profile(text: &str) -> Profile {
    let raw = RawProfile::parse("x.toml", text).unwrap_or_else(|problems| panic!("{problems}"));
    validate::profile("x", raw).unwrap_or_else(|problems| panic!("{problems}"))
}

fn policy(name: &str) -> Policy {
    seccomp::load(name, &|name| seccomp::shipped(name).map(str::to_owned)).unwrap()
}

fn graded(text: &str) -> Score {
    score(&profile(text), &policy("agent"))
}

/// The strict profile with `text` in its table `table`.
fn strict_with(table: &str, text: &str) -> Score {
    let header = format!("[{table}]\n");
    let whole = if STRICT.contains(&header) {
        STRICT.replace(&header, &format!("{header}{text}\n"))
    } else {
        format!("{header}{text}\n{STRICT}")
    };
    graded(&whole)
}

/// The names of the points that are lost, with what they cost.
fn lost(score: &Score) -> Vec<String> {
    let lost = score.points.iter().filter(|point| !point.kept());
    lost.map(|point| format!("{} {}", point.name(), point.exposure())).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_profile_can_keep_every_point() {
    let score = graded(STRICT);
    assert_eq!(lost(&score), NOTHING);
    assert_eq!((score.exposure(), findings(&score).len()), (Exposure::tenths(0), 0));
    assert_eq!(score.exposure().word(), Word::Safe);
}

#[test]
fn each_point_is_lost_by_itself() {
    let cases = [
        ("agent", "user = 'ada'", "agent.user 2.0"),
        ("agent", "user = 1000", "agent.user 2.0"),
        ("agent", "user = 70001", "agent.user 0.3"),
        ("agent", "groups = ['docker', 'ada']", "agent.groups 3.5"),
        ("agent", "groups = ['27']", "agent.groups 1.0"),
        ("agent", "umask = '022'", "agent.umask 0.1"),
        ("agent", "umask = '000'", "agent.umask 0.6"),
        ("environment", "pass = ['SSH_AUTH_SOCK', 'TZ', 'X_TOKEN']", "environment.pass 1.8"),
        ("environment", "set = { API_KEY = 'x', OTHER = 'y' }", "environment.set 1.0"),
        ("environment", "secrets = { API_KEY = '/etc/x' }", "environment.secrets 0.4"),
        ("filesystem", "read = ['~/.ssh', '/etc/ssl/certs']", "filesystem.read 3.0"),
        ("filesystem", "execute = ['/home']", "filesystem.read 5.0"),
        ("filesystem", "tmp_execute = true", "filesystem.tmp_execute 0.2"),
        ("filesystem", "home_execute = true", "filesystem.home_execute 0.2"),
        ("filesystem", "read = [{ path = '/srv/x', owner = 'host' }]", "filesystem.owner 0.3"),
        ("network", "mode = 'loopback'", "network.mode 0.1"),
        ("network", "mode = 'host'", "network.mode 2.5"),
        ("limits", "open_files = 1000000", "limits.open_files 0.1"),
        ("limits", "core = '1G'", "limits.core 0.2"),
        ("terminal", "own_config = true", "terminal.own_config 0.1"),
        ("enforcement", "without = ['seccomp']", "enforcement.without.seccomp 4.0"),
    ];
    for (table, text, expected) in cases {
        assert_eq!(lost(&strict_with(table, text)), [expected], "{text}");
    }
}

#[test]
fn every_wall_costs_something_and_only_where_it_is_asked_for() {
    // Something on disk to write, so that there is a wall around it.
    let workspace = STRICT.replace("'memory'\nhide", "'current'\nhide");
    for wall in Wall::ALL {
        let without = format!("[enforcement]\nwithout = ['{wall}']\n");
        let score = graded(&format!("{workspace}{without}"));
        let name = format!("enforcement.without.{wall}");
        let point = score.points.iter().find(|point| point.name() == name).unwrap();
        assert!(
            point.exposure() > Exposure::tenths(0) && point.meaning == wall.purpose(),
            "{wall}"
        );
        assert_eq!(point.exposure(), point.most);
        let unasked = graded(&format!("{without}[network]\nmode = 'host'"));
        let point = unasked.points.iter().find(|point| point.name() == name).unwrap();
        let limits = [Wall::Network, Wall::Memory, Wall::Tasks, Wall::Cpu, Wall::Io, Wall::Disk];
        assert_eq!(point.kept(), limits.contains(&wall), "{wall}");
    }
}

#[test]
fn a_limit_that_is_not_set_is_lost() {
    let unset = |key: &str| {
        let keep = |line: &&str| !line.starts_with(&format!("{key} = "));
        let text: Vec<_> = STRICT.lines().filter(keep).collect();
        lost(&graded(&text.join("\n").replace("= 'memory'", "= 'current'")))
    };
    let workspace = "filesystem.workspace 0.4";
    for (key, cost) in [("memory", "1.5"), ("swap", "0.3"), ("tasks", "1.2"), ("disk", "0.3")] {
        assert_eq!(unset(key), [workspace, &format!("limits.{key} {cost}")]);
    }
    // A share is left.
    for key in ["cpu", "io"] {
        assert_eq!(unset(key), [workspace, &format!("limits.{key} 0.1")]);
    }
    assert_eq!(unset("cpu_weight"), [workspace]);
    let none = lost(&graded(""));
    assert_eq!(
        none,
        ["limits.memory 1.5", "limits.swap 0.3", "limits.tasks 1.2", "limits.cpu 0.2"]
    );
}

#[test]
fn what_is_written_is_told_by_entry() {
    let score = strict_with(
        "filesystem",
        "write = ['/srv/a', { path = '/etc', at = '/x', owner = 'host' }]\nexecute = ['/srv/a']",
    );
    let expected = ["filesystem.write 8.5", "filesystem.execute 0.3", "filesystem.owner 0.5"];
    assert_eq!(lost(&score), expected);
    let losses = score.losses();
    let (point, loss) = losses.first().unwrap();
    assert_eq!((point.name().as_str(), loss.grade()), ("filesystem.write", Some(Grade::High)));
    let told = loss.problem.to_string();
    assert!(told.starts_with("x.toml:3:29: filesystem.write[1].path: "), "{told}");
    assert!(told.contains("`/etc` can be changed: ") && told.contains("\n  hint: "), "{told}");
}

#[test]
fn what_runs_by_itself_must_be_protected_in_every_tree() {
    let of = |files: &str| {
        let score = graded(&format!("[filesystem]\n{files}"));
        let point = score.points.into_iter().find(|p| p.key == "protect").unwrap();
        let causes = point.losses().iter().map(|loss| loss.problem.cause.clone());
        (point.exposure().to_string(), causes.collect::<Vec<_>>())
    };
    assert_eq!(of("").0, "0.0", "nothing can be written");
    assert_eq!(of("workspace = 'memory'").0, "0.0", "and nothing of anybody's");
    assert_eq!(of("workspace = 'current'").0, "5.0");
    assert_eq!(of("write = ['/srv/x']").0, "5.0");
    assert_eq!(of("write = [{ path = '/srv/x', at = '~/x' }]").0, "0.0", "nobody runs it there");
    let rest =
        "'.claude', '.codex', '.mcp.json', '.vscode', '.envrc', '.bashrc', '.profile', '.npmrc'";
    let git = |git: &str| of(&format!("workspace = 'current'\nprotect = [{git}, {rest}]")).0;
    assert_eq!(git("'.git'"), "0.0");
    assert_eq!(git("'/workspace/.git'"), "0.0");
    assert_eq!(git("'.git/config', '.git/commondir'"), "2.0");
    assert_eq!(git("'.git/*'"), "2.5", "what is there at the start, and no more");
    assert_eq!(git("'**/hooks', '.git/con*', '.git/com*'"), "2.5");
    assert_eq!(git("'~/.git', '/other/.git', '.gitx', '.git/hooks/x'"), "5.0");
    let two =
        format!("workspace = 'current'\nwrite = ['/srv/x']\nprotect = [{rest}, '/srv/x/.git']");
    assert_eq!(of(&two).0, "5.0");
    let (_, causes) = of(&format!("workspace = 'current'\nprotect = ['.git/*', {rest}]"));
    assert!(causes[0].starts_with("holds for no `.git/hooks` that is made later"), "{causes:?}");
}

#[test]
fn secrets_of_the_project_are_hidden_where_it_is_shown() {
    let hidden = |files: &str| {
        let score = graded(&format!("[filesystem]\n{files}"));
        score.points.iter().any(|point| point.key == "hide" && point.kept())
    };
    assert!(hidden("") && hidden("workspace = 'current'\nhide = ['.env']"));
    assert!(hidden("workspace = 'current'\nhide = ['**/.env']"));
    assert!(!hidden("workspace = 'current'") && !hidden("write = ['/srv/x']\nhide = ['env']"));
}

#[test]
fn every_point_has_a_name_of_its_own_and_room_for_what_it_loses() {
    let score = graded("");
    let mut names: Vec<_> = score.points.iter().map(super::Point::name).collect();
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for point in &score.points {
        let stable = |c: char| c.is_ascii_lowercase() || "._-".contains(c);
        assert!(point.name().chars().all(stable), "{}", point.name());
        assert!(point.key.len() <= 17 && point.meaning.len() <= 54, "{} is too wide", point.name());
        assert!(point.most > Exposure::tenths(0), "{}", point.name());
    }
}

#[test]
fn calls_beyond_the_shipped_policies_are_told_by_their_group() {
    let mine = "schema = 1\ndescription = 'mine'\ninclude = ['agent']\nreplace = ['ptrace']\n\
                [[allow]]\ncalls = ['ptrace', 'uselib']\nreason = 'a debugger'\n";
    let find = |name: &str| match name {
        "mine" => Some(mine.to_owned()),
        name => seccomp::shipped(name).map(str::to_owned),
    };
    let policy = seccomp::load("mine", &find).unwrap();
    let score = score(&profile(STRICT), &policy);
    assert_eq!(lost(&score), ["seccomp.policy.tracing 1.5", "seccomp.policy.others 0.1"]);
    let told = findings(&score)[0].loss.problem.to_string();
    assert!(told.starts_with("seccomp/mine.toml:6:10: "), "{told}");
    assert!(told.contains("`mine` allows `ptrace`: "), "{told}");
    assert_eq!(lost(&super::score(&profile(STRICT), &self::policy("minimal"))), NOTHING);
}

#[test]
fn who_gives_everything_away_is_unsafe_and_one_way_out_is_enough() {
    let walls: Vec<_> = Wall::ALL.iter().map(|wall| format!("'{wall}'")).collect();
    let everything = format!(
        "[agent]\nuser = 'ada'\ngroups = ['docker']\n[network]\nmode = 'host'\n[enforcement]\nwithout = [{}]",
        walls.join(", ")
    );
    let score = graded(&everything);
    assert_eq!((score.exposure(), score.exposure().word()), (Exposure::MOST, Word::Unsafe));
    let words = |text: &str| strict_with("filesystem", text).exposure().word();
    assert_eq!(words("write = [{ path = '/', at = '/host' }]"), Word::Unsafe);
    assert_eq!(words("read = ['/run/docker.sock']"), Word::Unsafe);
}

#[test]
fn findings_are_the_dangerous_losses_the_worst_first() {
    let score = graded("[network]\nmode = 'host'\n[filesystem]\nhome_execute = true");
    let found: Vec<_> = findings(&score)
        .iter()
        .map(|found| format!("{} {}", found.grade, found.point.name()))
        .collect();
    assert_eq!(found, ["high network.mode", "medium limits.memory", "medium limits.tasks"]);
}

/// One thing more that is given up.
#[derive(Clone, Debug)]
enum Step {
    Wall(Wall),
    Network(Network),
    Show(&'static str, Access, Owner),
    Widen(usize),
    Protect(usize),
    Hide,
    Workspace,
    Unset(fn(&mut Limits)),
    TmpExecute,
    HomeExecute,
    Umask(u32),
    User(User),
    Group(&'static str),
    Pass(&'static str),
    Set(&'static str),
    Secret(&'static str),
    OwnConfig,
    Call(String),
}

/// Each takes a limit away, or loosens it.
const LOOSENED: &[fn(&mut Limits)] = &[
    |limits| limits.memory = None,
    |limits| limits.memory_high = None,
    |limits| limits.swap = None,
    |limits| limits.tasks = None,
    |limits| limits.tasks.iter_mut().for_each(|tasks| tasks.value = tasks.value.max(100_000)),
    |limits| limits.cpu = None,
    |limits| limits.cpu_weight = None,
    |limits| limits.io = None,
    |limits| limits.io_weight = None,
    |limits| limits.disk = None,
    |limits| limits.open_files = Some(at(1_000_000)),
    |limits| limits.core = Some(at(Bytes(1 << 30))),
];

const PATHS: &[&str] = &[
    "/",
    "/etc",
    "/etc/shadow",
    "/etc/hosts",
    "/usr",
    "/srv/data",
    "/home",
    "/home/ada",
    "/root/x",
    "~",
    "~/.ssh",
    "~/.config/gh",
    "~/.config/nvim",
    "~/notes",
    "/var/log",
    "/run/docker.sock",
    "/tmp/x",
];

const NAMES: &[&str] =
    &["TZ", "PATH", "SSH_AUTH_SOCK", "GITHUB_TOKEN", "HTTP_PROXY", "OTHER", "AWS_PROFILE"];

fn at<T>(value: T) -> Located<T> {
    Located { value, place: Place::outside("test", "test") }
}

fn step() -> impl Strategy<Value = Step> {
    let access =
        (any::<bool>(), any::<bool>()).prop_map(|(write, execute)| Access { write, execute });
    let owner = prop_oneof![Just(Owner::Disk), Just(Owner::Host)];
    let calls: Vec<String> =
        Arch::ALL.iter().flat_map(|arch| arch.calls()).map(|(name, _)| name.to_owned()).collect();
    prop_oneof![
        3 => select(Wall::ALL.to_vec()).prop_map(Step::Wall),
        1 => select(vec![Network::Loopback, Network::Host]).prop_map(Step::Network),
        3 => (select(PATHS.to_vec()), access, owner).prop_map(|(p, a, o)| Step::Show(p, a, o)),
        2 => any::<usize>().prop_map(Step::Widen),
        2 => any::<usize>().prop_map(Step::Protect),
        1 => select(vec![Step::Hide, Step::Workspace, Step::TmpExecute, Step::HomeExecute]),
        3 => select(LOOSENED.to_vec()).prop_map(Step::Unset),
        1 => select(vec![0o070, 0o022, 0o001]).prop_map(Step::Umask),
        1 => select(vec![User::Uid(70_001), User::Uid(1000), User::Name("ada".to_owned())])
            .prop_map(Step::User),
        1 => select(vec!["docker", "users", "27", "mine"]).prop_map(Step::Group),
        1 => select(NAMES.to_vec()).prop_map(Step::Pass),
        1 => select(NAMES.to_vec()).prop_map(Step::Set),
        1 => select(NAMES.to_vec()).prop_map(Step::Secret),
        1 => Just(Step::OwnConfig),
        3 => select(calls).prop_map(Step::Call),
    ]
}

/// Gives up what `step` says, unless more of it is given up already.
fn give_up(step: &Step, profile: &mut Profile, policy: &mut Policy) {
    let files = &mut profile.filesystem;
    let environment = &mut profile.environment;
    let variable = |name: &str| VariableName::parse(name).unwrap();
    match step {
        Step::Wall(wall) => profile.without.push(at(*wall)),
        Step::Network(mode) if profile.network.value == Network::Host && *mode != Network::Host => {
        }
        Step::Network(mode) => profile.network.value = *mode,
        Step::Show(path, access, owner) => files.entries.push(entry(path, *access, *owner)),
        Step::Widen(which) => widen(files.entries.as_mut_slice(), *which),
        Step::Protect(which) => remove(&mut files.protect, *which),
        Step::Hide => files.hide.clear(),
        Step::Workspace => files.workspace.value = Workspace::Current,
        Step::Unset(limit) => limit(&mut profile.limits),
        Step::TmpExecute => files.tmp.execute.value = true,
        Step::HomeExecute => files.home.execute.value = true,
        Step::Umask(bits) => profile.agent.umask.value &= !bits,
        Step::User(user) if profile.agent.user.value == User::Auto => {
            profile.agent.user.value = user.clone();
        }
        Step::User(_) => {}
        Step::Group(name) => profile.agent.groups.push(at((*name).to_owned())),
        Step::Pass(name) => environment.pass.push(at(variable(name))),
        Step::Set(name) => environment.set.push((variable(name), at("x".to_owned()))),
        Step::Secret(name) => {
            environment.secrets.push((variable(name), at(SecretPlace::parse("/etc/x").unwrap())));
        }
        Step::OwnConfig => profile.terminal.own_config.value = true,
        Step::Call(name) => allow(name, policy),
    }
}

fn entry(path: &str, access: Access, owner: Owner) -> Entry {
    let shown_at = JailPath::parse("/shown").unwrap();
    let path = at(HostPath::parse(path).unwrap());
    Entry { path, at: shown_at, access, optional: false, owner }
}

/// Shows what is above an entry instead of it.
fn widen(entries: &mut [Entry], which: usize) {
    let count = entries.len().max(1);
    let Some(entry) = entries.get_mut(which % count) else { return };
    let path = entry.path.value.as_str();
    let above = path.rsplit_once('/').map_or("/home", |(above, _)| above);
    let above = if above.is_empty() { "/" } else { above };
    entry.path.value = HostPath::parse(above).unwrap();
}

fn remove<T>(list: &mut Vec<T>, which: usize) {
    if !list.is_empty() {
        list.remove(which % list.len());
    }
}

fn allow(name: &str, policy: &mut Policy) {
    let rule = Rule {
        when: Vec::new(),
        action: Action::Allow,
        log: false,
        reason: "a test".to_owned(),
        place: Place::outside("test", ""),
    };
    policy.calls.insert(name.to_owned(), Call { rules: vec![rule], otherwise: Errno::Eperm });
}

/// What all points cost, with no end to the sum.
fn sum(score: &Score) -> u32 {
    let tenths = |exposure: Exposure| exposure.to_string().replace('.', "").parse::<u32>().unwrap();
    score.points.iter().map(|point| tenths(point.exposure())).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn giving_up_more_never_scores_better(steps in proptest::collection::vec(step(), 1..24)) {
        let (mut profile, mut policy) = (profile(STRICT), policy("agent"));
        let mut before = score(&profile, &policy);
        for step in &steps {
            give_up(step, &mut profile, &mut policy);
            let after = score(&profile, &policy);
            let what = format!("{step:?}: {:?}, then {:?}", lost(&before), lost(&after));
            prop_assert!(sum(&after) >= sum(&before), "{what}");
            prop_assert!(after.exposure() >= before.exposure(), "{what}");
            before = after;
        }
    }
}
