use super::*;
use crate::config::{AgentEntry, Ceiling, Principal, Restart, Role, Share};
use crate::host::uids::UidRange;
use crate::profile::Wall;
use crate::profile::types::Bytes;
use std::time::Duration;

#[test]
fn what_is_not_set_is_a_share_of_the_machine() {
    let config = parse("c", "schema = 1\n").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.slice.memory.value, Ceiling::At(Share::Percent(80)));
}

#[test]
fn amounts_shares_and_none() {
    let text = "schema = 1\n[slice]\nmemory = '12G'\nmemory_high = '60%'\nswap = 0\n\
        tasks = 4000\ncpu = 'none'\n";
    let slice = parse("c", text).unwrap().slice;
    assert_eq!(slice.memory.value, Ceiling::At(Share::Amount(Bytes(12 << 30))));
    assert_eq!(slice.memory_high.value, Ceiling::At(Share::Percent(60)));
    assert_eq!(slice.swap.value, Ceiling::At(Share::Amount(Bytes(0))));
    assert_eq!(slice.tasks.value, Ceiling::At(Share::Amount(4000)));
    assert_eq!(slice.cpu.value, Ceiling::None);
    assert_eq!(slice.tasks.place.to_string(), "c:6:9");
}

#[test]
fn every_mistake_is_told_with_its_cure() {
    let text = "[slice]\nmemory = '1M'\nmemory_high = '0%'\nswap = 'much'\ntasks = 3\n\
        cpu = 0\ncpus = 1\n[slices]\n";
    let problems = parse("c", text).unwrap_err().0;
    let keys: Vec<_> = problems.iter().map(|problem| problem.place.key.as_str()).collect();
    let expected = ["schema", "slice.memory", "slice.memory_high", "slice.swap"];
    assert_eq!(keys[..4], expected);
    assert_eq!(keys[4..], ["slice.tasks", "slice.cpu", "slice.cpus", "slices"]);
    assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{problems:?}");
    assert_eq!(parse("c", "schema = 2").unwrap_err().0.len(), 1);
    assert_eq!(parse("c", "schema = 'x'").unwrap_err().0.len(), 1);
}

/// One problem of a configuration with `text`: its place, what it says, and how to cure it.
fn told(text: &str) -> String {
    let problems = parse("c", &format!("schema = 1\n{text}\n")).unwrap_err();
    assert!(problems.0.iter().all(|problem| !problem.hint.is_empty()), "{problems}");
    problems.to_string()
}

const WHOLE: &str = "schema = 1
[paths]
run = '/run/cells'
[supervisor]
group = 'cells'
max_agents = 3
max_known = 70
max_names = 5
patience = '1500ms'
[uids]
first = 200000
last = 200999
[defaults]
restart = 'on-failure'
profile = 'claude'
[[roles]]
role = 'operator'
users = ['ann', 1000]
agents = ['claude-*']
[[roles]]
role = 'viewer'
groups = ['dev', 27]
[[agents]]
name = 'reviewer'
[[agents]]
name = 'builder'
profile = '/etc/cellblock/build.toml'
workspace = '/srv/project/'
command = ['make', '-k']
without = ['landlock']
restart = 'always'
";

#[test]
fn a_whole_configuration() {
    let config = parse("c", WHOLE).unwrap();
    assert_eq!(
        (config.paths.run.value.as_str(), config.paths.log.value.as_str()),
        ("/run/cells", "/var/log/cellblock")
    );
    let name = |name: &str| Principal::Name(name.to_owned());
    assert_eq!(config.supervisor.group.unwrap().value, name("cells"));
    assert_eq!(config.supervisor.max_agents.value, 3);
    assert_eq!((config.supervisor.max_known.value, config.supervisor.max_names.value), (70, 5));
    assert_eq!(config.supervisor.patience.value, Duration::from_millis(1500));
    assert_eq!(config.uids, UidRange { first: 200_000, last: 200_999 });
    let [operator, viewer] = &config.roles[..] else { panic!("{:?}", config.roles) };
    let values =
        |list: &[Located<Principal>]| list.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
    assert_eq!(
        (operator.role.value, values(&operator.users)),
        (Role::Operator, vec![name("ann"), Principal::Id(1000)])
    );
    assert!(operator.agents.as_ref().unwrap()[0].value.matches("claude-1"));
    assert_eq!(
        (viewer.role.value, values(&viewer.groups)),
        (Role::Viewer, vec![name("dev"), Principal::Id(27)])
    );
    assert_eq!(viewer.agents, None);
}

#[test]
fn agents_have_what_they_say_and_else_the_defaults() {
    let config = parse("c", WHOLE).unwrap();
    let [first, second] = &config.agents[..] else { panic!("{:?}", config.agents) };
    let AgentEntry { name, profile, workspace, command, without, restart } = second;
    assert_eq!(
        (name.value.as_str(), profile.value.as_str()),
        ("builder", "/etc/cellblock/build.toml")
    );
    assert_eq!(workspace.as_ref().unwrap().value, "/srv/project");
    assert_eq!(command.as_ref().unwrap().value, ["make", "-k"]);
    assert_eq!((without[0].value, restart.value), (Wall::Landlock, Restart::Always));
    assert_eq!((first.profile.value.as_str(), first.restart.value), ("claude", Restart::OnFailure));
    assert_eq!(first.profile.place.to_string(), "c:15:11");
}

#[test]
fn every_mistake_about_the_supervisor_is_told_with_its_cure() {
    for (text, expected) in [
        ("[paths]\nrun = 'run'", "c:3:7: paths.run: `run` is not an absolute path"),
        (
            "[paths]\nlog = '/var/../log'",
            "c:3:7: paths.log: `/var/../log` has an empty, `.` or `..`",
        ),
        ("[paths]\nstate = '/'", "paths.state: `/` would be the whole host"),
        ("[supervisor]\ngroup = 'a b'", "c:3:9: supervisor.group: `a b` is not the name of an"),
        ("[supervisor]\ngroup = -5", "supervisor.group: is -5, which is no id"),
        ("[supervisor]\ngroup = '27'", "supervisor.group: `27` is a number in the place of a name"),
        ("[supervisor]\nmax_agents = 0", "supervisor.max_agents: is 0, and not from 1 to 4096"),
        ("[supervisor]\nmax_agents = 4097", "is 4097, and not from 1 to 4096"),
        ("[supervisor]\nmax_known = 0", "supervisor.max_known: is 0, and not from 1 to 65536"),
        ("[supervisor]\nmax_names = 4097", "max_names: is 4097, and not from 1 to 4096"),
        ("[supervisor]\npatience = 10", "c:3:12: supervisor.patience: `10` has no unit"),
        ("[supervisor]\npatience = 'soon'", "`soon` is not a duration"),
        ("[supervisor]\npatience = '1h'", "`1h` is not a duration"),
        ("[supervisor]\npatience = '11m'", "`11m` is more than anybody waits"),
        ("[supervisor]\npatience = '-1s'", "`-1s` is not a duration"),
        ("[defaults]\nrestart = 'sometimes'", "`sometimes` is not never, on-failure or always"),
        ("[defaults]\nprofile = './x.toml'", "`./x.toml` is not an absolute path"),
        ("[defaults]\nprofile = 'x.toml'", "`x.toml` is not an absolute path"),
        ("[defaults]\nprofile = 'A'", "`A` is not a name because of `A`"),
        ("[supervisor]\napi_key = 'x'", "hint: a secret is no part of this file"),
    ] {
        let told = told(text);
        assert!(told.contains(expected), "{text}: {told}");
    }
    let long = format!("/{}", "x".repeat(80));
    assert!(told(&format!("[paths]\nrun = '{long}'")).contains("is 81 bytes long"));
    for patience in ["0s", "10m", "600s", "600000ms"] {
        let text = format!("schema = 1\n[supervisor]\npatience = '{patience}'");
        parse("c", &text).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn a_range_of_uids_that_others_use_is_refused() {
    for (text, expected) in [
        ("first = -1", "c:3:9: uids.first: is -1, which is no uid"),
        ("first = 1000", "uids.first: is 1000, and uids up to 1000 are the system's"),
        ("first = 80000", "uids.first: makes the range 80000-79999, which ends before it begins"),
        ("last = 69999", "c:3:8: uids.last: makes the range 70000-69999, which ends"),
        ("last = 70014", "70000-70014, which has 15, and at least 16 are needed"),
        ("last = 4294967294", "is 4294967294, and the kernel has a meaning of its own"),
        ("first = 4294967294\nlast = 4294967295", "uids.first: is 4294967294, and the kernel"),
        ("first = 60000", "60000-79999, and 61184-65535 are systemd's for services and `nobody`"),
        ("first = 65000\nlast = 65100", "65000-65100, and 61184-65535"),
        ("first = 'x'", "uids.first: must be a whole number, not string"),
    ] {
        let text = format!("schema = 1\n[uids]\n{text}\n");
        let told = parse("c", &text).unwrap_err().to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
    for text in ["last = 70015", "first = 1001\nlast = 61183", "first = 65536", "last = 4294967293"]
    {
        let text = format!("schema = 1\n[uids]\n{text}\n");
        parse("c", &text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    }
}

#[test]
fn every_mistake_about_roles_is_told_with_its_cure() {
    let role = "role = 'viewer'\n";
    for (text, expected) in [
        ("users = ['ann']", "c:2:1: roles[0]: has no `role`"),
        (
            "role = 'boss'\nusers = ['ann']",
            "roles[0].role: `boss` is not viewer, operator or admin",
        ),
        (role, "c:2:1: roles[0]: names nobody who has the role"),
        ("role = 'viewer'\nusers = []", "c:4:9: roles[0].users: is empty"),
        ("role = 'viewer'\nusers = ['ann']\ngroups = []", "roles[0].groups: is empty"),
        ("role = 'viewer'\nusers = ['ann', 'b c']", "c:4:17: roles[0].users[1]: `b c` is not the"),
        ("role = 'viewer'\nusers = [-1]", "roles[0].users[0]: is -1, which is no id"),
        ("role = 'viewer'\ngroups = [4294967295]", "roles[0].groups[0]: is not an id"),
        ("role = 'viewer'\nusers = ['']", "`` is not the name of an account"),
        ("role = 'viewer'\nusers = ['1000']", "`1000` is a number in the place of a name"),
        ("role = 'viewer'\nusers = ['root']", "is root, who is always an admin"),
        ("role = 'viewer'\nusers = [0]", "is root, who is always an admin"),
        ("role = 'viewer'\nusers = ['a']\nagents = []", "roles[0].agents: is empty"),
        ("role = 'viewer'\nusers = ['a']\nagents = ['X*']", "`X*` matches no agent's name"),
        ("role = 'admin'\nusers = ['a']\nagents = ['x']", "roles[0].role: is one of some agents"),
        ("role = 'viewer'\nusers = ['a']\nuser = 'b'", "did you mean `users`?"),
    ] {
        let told = told(&format!("[[roles]]\n{text}"));
        assert!(told.contains(expected), "{text}: {told}");
    }
    let problems = parse("c", "schema = 1\nroles = 'x'").unwrap_err().to_string();
    assert!(problems.contains("roles: must be tables, not string"), "{problems}");
    // The group root is a group like others.
    parse("c", "schema = 1\n[[roles]]\nrole = 'viewer'\ngroups = ['root', 0]").unwrap();
}

#[test]
fn every_mistake_about_agents_is_told_with_its_cure() {
    let named = "name = 'a'\nprofile = 'claude'\n";
    for (text, expected) in [
        ("profile = 'claude'".to_owned(), "c:2:1: agents[0]: has no `name`"),
        ("name = 'a'".to_owned(), "c:2:1: agents[0]: has no `profile`"),
        (
            "name = 'a b'\nprofile = 'x'".to_owned(),
            "agents[0].name: `a b` is not a name because of ` `",
        ),
        (format!("{named}workspace = 'here'"), "`here` is not an absolute path"),
        (format!("{named}workspace = '~/here'"), "`~/here` is not an absolute path"),
        (format!("{named}command = []"), "c:5:11: agents[0].command: is empty"),
        (format!("{named}command = ['']"), "agents[0].command: is empty"),
        (format!("{named}command = [\"a\\u0000\"]"), "has a NUL character in it"),
        (
            format!("{named}without = ['moat']"),
            "agents[0].without[0]: `moat` is not a wall; the walls are",
        ),
        (format!("{named}restart = 'no'"), "`no` is not never, on-failure or always"),
        (format!("{named}token = 'x'"), "hint: a secret is no part of this file"),
        (
            format!("{named}[[agents]]\n{named}"),
            "c:6:8: agents[1].name: is `a`, as the one at c:3:8 is",
        ),
        (
            format!("{named}[supervisor]\nmax_agents = 1\n[[agents]]\nname = 'b'\nprofile = 'x'"),
            "c:7:1: agents[1]: is the last of 2, and there may be 1 at a time",
        ),
    ] {
        let told = told(&format!("[[agents]]\n{text}"));
        assert!(told.contains(expected), "{text}: {told}");
    }
    // What one mistake brings about is not told as another.
    let text = "schema = 1\n[defaults]\nprofile = 'A'\n[[agents]]\nname = 'a'\n";
    assert_eq!(parse("c", text).unwrap_err().0.len(), 1);
    let text = "schema = 1\n[[agents]]\nname = 1\nprofile = 3\n[[roles]]\nrole = 1\nusers = 'x'\n";
    let problems = parse("c", text).unwrap_err();
    let told: Vec<_> = problems.0.iter().map(|problem| problem.place.key.as_str()).collect();
    assert_eq!(told, ["agents[0].name", "agents[0].profile", "roles[0].role", "roles[0].users"]);
}
