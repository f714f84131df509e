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
        ("[supervisor]\npatience = '1h'", "`1h` is more than anybody waits"),
        ("[supervisor]\npatience = '1d'", "`1d` is not a duration"),
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

#[test]
fn the_shipped_rules_have_no_problem() {
    let (raw, problems) = RawConfig::parse_whole("shipped", alerts::SHIPPED);
    let mut check = Checker { problems };
    let rules = alerts::alerts(&mut check, &raw.alerts);
    assert!(check.problems.0.is_empty(), "{}", check.problems);
    assert_eq!(rules.rules(), Config::default().alerts.rules());
    assert!(rules.rules().len() > 15 && rules.sinks.is_empty());
}

#[test]
fn every_mistake_of_a_rule_is_told_with_its_cure() {
    let rule = |text: &str| told(&format!("[[alerts.rules]]\nname = 'x'\n{text}"));
    for (text, cause) in [
        ("", "says neither what it counts nor at what it looks"),
        ("on = []", "is empty"),
        ("on = ['strange']", "is no kind of event"),
        ("on = ['denial']\ngauge = 'memory'", "stands beside `on`"),
        ("on = ['denial']\nabove = 3", "is for a `gauge`"),
        ("on = ['denial']\nlimit = 'tasks'", "nothing that events of the kind denial tell"),
        ("on = ['limit', 'denial']\nlimit = 'tasks'", "events of the kind denial"),
        ("on = ['denial']\nmore_than = -1", "not from 0 to 1000"),
        ("on = ['denial']\nmore_than = 1001", "not from 0 to 1000"),
        ("on = ['denial']\nwithin = '0s'", "is not from 1s to 24h"),
        ("on = ['denial']\nwithin = '60'", "has no unit"),
        ("on = ['denial']\nwithin = 'soon'", "is not a duration"),
        ("on = ['denial']\nby = 'me'", "is not agent or all"),
        ("on = ['denial']\nseverity = 'bad'", "is not info, warning, high or critical"),
        ("on = ['denial']\nsinks = ['nobody']", "is no sink"),
        ("on = ['denial']\nagents = ['A']", "matches no agent's name"),
        ("on = ['denial']\ncontains = ['']", "is empty"),
        ("on = ['denial']\nagain_after = '169h'", "is not from 1s to 168h"),
        ("gauge = 'heat'\nabove = 3", "is none of tasks, memory"),
        ("gauge = 'memory'", "has no `above`"),
        ("gauge = 'memory'\nabove = '0%'", "not from 1% to 100%"),
        ("gauge = 'tasks'\nabove = 'many'", "is not a number"),
        ("gauge = 'memory'\nabove = '2G'\nmore_than = 1", "is for events"),
        ("gauge = 'memory'\nabove = '2G'\nlimit = 'x'", "is for events"),
    ] {
        let told = rule(text);
        assert!(told.contains(cause), "{text}: {told}");
    }
    let twice = "[[alerts.rules]]\nname = 'x'\non = ['denial']\n".repeat(2);
    assert!(told(&twice).contains("as the one at c:3:8 is"), "{}", told(&twice));
    assert!(told("[[alerts.rules]]\non = ['denial']").contains("has no `name`"));
    assert!(told("[[alerts.rules]]\nname = 'A b'\non = ['denial']").contains("is not a name"));
    assert!(told("[alerts]\nrules = 3").contains("write [[alerts.rules]] above each"));
}

#[test]
fn every_mistake_of_a_sink_is_told_with_its_cure() {
    let sink = |text: &str| told(&format!("[[alerts.sinks]]\nname = 'x'\n{text}"));
    let hook = |text: &str| sink(&format!("kind = 'webhook'\n{text}"));
    let command = |text: &str| sink(&format!("kind = 'command'\n{text}"));
    for (told, cause) in [
        (sink(""), "has no `kind`"),
        (sink("kind = 'pigeon'"), "is no kind of sink"),
        (sink("kind = 'log'\nurl = 'https://a.test/'"), "means nothing for a sink of kind `log`"),
        (sink("kind = 'log'\nleast = 'much'"), "is not info"),
        (sink("kind = 'log'\nattempts = 0"), "not from 1 to 10"),
        (sink("kind = 'log'\ntimeout = '5m'"), "is not from 1s to 2m"),
        (sink("kind = 'journald'\nsocket = 'here'"), "is not an absolute path"),
        (command("user = 'x'"), "has no `command`"),
        (command("command = ['/bin/true']"), "has no `user`"),
        (command("command = ['true']\nuser = 'x'"), "is not an absolute path"),
        (command("command = []\nuser = 'x'"), "is not an absolute path"),
        (command("command = ['/bin/true']\nuser = 0"), "no command of a sink runs as root"),
        (command("command = ['/bin/true']\nuser = 'root'"), "no command of a sink runs as root"),
        (hook(""), "has no `url`"),
        (hook("url = 'ftp://a.test'"), "is not https://NAME/PATH"),
        (hook("url = 'https://'"), "is not https://NAME/PATH"),
        (hook("url = 'https://a.test:x/'"), "is not https://NAME/PATH"),
        (hook("url = 'https://[::1]/'"), "is not https://NAME/PATH"),
        (hook("url = 'https://a.test/a b'"), "that a request cannot have"),
        (hook("url = 'https://u:p@a.test/'"), "in the file of `secret`"),
        (hook("url = 'https://a.test/'\nauth = 'hmac'"), "stands alone"),
        (hook("url = 'https://a.test/'\nsecret = '/k'"), "stands alone"),
        (hook("url = 'http://a.test/'\nauth = 'bearer'\nsecret = '/k'"), "could read the secret"),
        (hook("url = 'https://a.test/'\nauth = 'basic'\nsecret = '/k'"), "is not hmac or bearer"),
        (hook("url = 'https://a.test/'\nauth = 'hmac'\nsecret = 'k'"), "is not an absolute path"),
        (told("[metrics]\nlisten = '0.0.0.0:9617'"), "is not an address of this machine alone"),
        (told("[metrics]\nlisten = '[::]:9617'"), "is not an address of this machine alone"),
        (told("[metrics]\nlisten = '127.0.0.1:0'"), "has no port"),
        (told("[metrics]\nlisten = 'here'"), "is no place to listen at"),
        (told("[metrics]\nlisten = 'unix:x'"), "is not an absolute path"),
        (told("[metrics]\nlisten = '127.0.0.1:9617'\ngroup = 'x'"), "means nothing for a port"),
    ] {
        assert!(told.contains(cause), "{cause}: {told}");
    }
    // What may be a password is not shown.
    assert!(!hook("url = 'https://u:p4ss@a.test/'").contains("p4ss"));
}

#[test]
fn sinks_and_metrics_are_read_with_their_defaults() {
    use crate::config::{Auth, Listen, Url, Way};
    let text = "schema = 1\n[metrics]\nlisten = '[::1]:9617'\n[[alerts.sinks]]\nname = 'hook'\n\
        kind = 'webhook'\nurl = 'https://Hooks.Example.com/a?b=c'\nauth = 'hmac'\n\
        secret = 'credential:hook'\nleast = 'high'\n[[alerts.sinks]]\nname = 'j'\nkind = 'journald'\n\
        [[alerts.rules]]\nname = 'x'\non = ['denial']\nsinks = ['hook']\n";
    let config = parse("c", text).unwrap();
    let [hook, journal] = &config.alerts.sinks[..] else { panic!() };
    let url = Url { tls: true, host: "hooks.example.com".into(), port: 443, path: "/a?b=c".into() };
    let auth = Some((Auth::Hmac, "credential:hook".to_owned()));
    assert_eq!(hook.way, Way::Webhook { url, auth, ca: None });
    assert_eq!((hook.least.word(), hook.timeout.as_secs(), hook.attempts), ("high", 10, 5));
    assert_eq!(journal.way, Way::Journald { socket: "/run/systemd/journal/socket".to_owned() });
    let listen = config.metrics.listen.unwrap().value;
    assert_eq!(listen, Listen::Loopback("[::1]:9617".parse().unwrap()));
    let rules = config.alerts.rules();
    let own = rules.iter().find(|rule| rule.name == "x").unwrap();
    assert_eq!(own.sinks, Some(vec!["hook".to_owned()]));
    for (text, host, port, path) in [
        ("http://localhost:80", "localhost", 80, "/"),
        ("https://10.0.0.7:8443/x", "10.0.0.7", 8443, "/x"),
        ("http://a.test?q", "a.test", 80, "/?q"),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path));
    }
    assert!(Url::parse("http://127.0.0.1/").unwrap().is_safe());
    assert!(!Url::parse("http://10.0.0.1/").unwrap().is_safe());
}
