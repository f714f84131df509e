//! `docs/profile.md` and `docs/configuration.md` against their parsers: every key, every wall, every example.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(missing_docs, reason = "tests")]

use cellblock::alerts::event::Kind;
use cellblock::alerts::metrics::Id;
use cellblock::alerts::rules::Gauge;
use cellblock::config::{self, Config, Role};
use cellblock::control::roles::Verb;
use cellblock::document::duration;
use cellblock::policy::seccomp;
use cellblock::profile::raw::RawProfile;
use cellblock::profile::{Wall, validate};
use cellblock::score::{self, Word};
use cellblock::verify::battery;
use cellblock::watch::rules::Rule;
use std::collections::BTreeSet;

const MANUAL: &str = include_str!("../docs/profile.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");

/// A key that no table has, and that is near to none.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

/// A row of a table of keys: the table's heading, the key and the example.
struct Row {
    table: String,
    key: String,
    default: String,
    example: String,
}

/// The rows of every table of keys in the manual of profiles.
fn rows() -> Vec<Row> {
    rows_of(MANUAL)
}

fn rows_of(manual: &str) -> Vec<Row> {
    let mut table = String::new();
    let mut rows = Vec::new();
    for line in manual.lines() {
        if let Some(heading) = line.strip_prefix("#") {
            let heading = heading.trim_start_matches('#').trim().trim_matches('`');
            table = heading.trim_matches(['[', ']']).to_owned();
        }
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let ["", key, _, default, example, _, ""] = cells[..]
            && line.starts_with("| `")
        {
            let row = [key, default, example].map(str::to_owned);
            let [key, default, example] = row;
            rows.push(Row { table: table.clone(), key, default, example });
        }
    }
    rows
}

/// The keys that the parser knows where `text` has an unknown one.
fn known(text: &str) -> BTreeSet<String> {
    let problems = RawProfile::parse("x", text).unwrap_err();
    let hints = problems.0.iter().map(|problem| &problem.hint);
    let list = hints.filter_map(|hint| hint.strip_prefix("known keys here: ")).next().unwrap();
    list.split(", ").map(str::to_owned).collect()
}

/// Every table of the format and its keys, as the parser itself tells them.
fn format() -> Vec<(String, BTreeSet<String>)> {
    let top = known(&format!("{UNKNOWN} = 1"));
    let is_table = |key: &&String| {
        let problems = RawProfile::parse("x", &format!("{key} = 1.5")).unwrap_err();
        problems.to_string().contains("must be a table")
    };
    let tables: Vec<_> = top.iter().filter(is_table).cloned().collect();
    let inside = |table: &String| (table.clone(), known(&format!("[{table}]\n{UNKNOWN} = 1")));
    let mut format: Vec<_> = tables.iter().map(inside).collect();
    let scalars = top.into_iter().filter(|key| !tables.contains(key)).collect();
    format.push(("The top of the file".to_owned(), scalars));
    let entry = known(&format!("[filesystem]\nread = [{{ path = '/x', {UNKNOWN} = 1 }}]"));
    format.push(("Entries".to_owned(), entry));
    for rule in Rule::ALL {
        let table = format!("watch.{rule}");
        let keys = known(&format!("[{table}]\n{UNKNOWN} = 1"));
        format.push((table, keys));
    }
    format.push(("network.api".to_owned(), known(&format!("[network.api]\n{UNKNOWN} = 1"))));
    format
}

#[test]
fn the_manual_has_every_key_of_the_parser_and_no_other() {
    let rows = rows();
    let format = format();
    assert!(format.len() >= 9 && rows.len() >= 40, "{} and {}", format.len(), rows.len());
    for (table, keys) in &format {
        let documented: BTreeSet<_> =
            rows.iter().filter(|row| row.table == *table).map(|row| row.key.clone()).collect();
        assert_eq!(documented, *keys, "{table}");
    }
    for row in &rows {
        let exists = format.iter().any(|(table, _)| *table == row.table);
        assert!(exists, "`{}` is documented under `{}`", row.key, row.table);
    }
}

#[test]
fn every_example_of_the_manual_is_valid_and_is_about_its_key() {
    for row in rows() {
        let Row { table, key, example, .. } = &row;
        let text = match table.as_str() {
            "The top of the file" => example.clone(),
            "Entries" => format!("[filesystem]\nread = [{example}]"),
            // The other keys of the network mean nothing without it.
            "network" if key != "mode" => format!("[network]\nmode = 'allowlist'\n{example}"),
            // Three keys of a service need each other.
            "network.api" => {
                let all = ["socket = '/run/s'", "upstream = 'https://a.test'", "key = '/k'"];
                let others = all.iter().filter(|other| !other.starts_with(key.as_str()));
                let others = others.copied().collect::<Vec<_>>().join("\n");
                format!("[network.api]\n{others}\n{example}")
            }
            table => format!("[{table}]\n{example}"),
        };
        assert!(example.contains(&format!("{key} = ")), "{table}.{key}: {example}");
        let raw = RawProfile::parse("x", &text).unwrap_or_else(|problems| panic!("{problems}"));
        validate::profile("x", raw).unwrap_or_else(|problems| panic!("{table}.{key}: {problems}"));
    }
}

/// What an empty profile gets, for the defaults that a checked profile shows.
#[test]
fn the_defaults_of_the_manual_are_those_of_the_code() {
    let profile = validate::profile("x", RawProfile::default()).unwrap();
    let service = "[network.api]\nsocket = '/run/s'\nupstream = 'https://a.test'\nkey = '/k'";
    let service = validate::profile("x", RawProfile::parse("x", service).unwrap()).unwrap();
    let api = service.egress.api.unwrap();
    let watch = &profile.watch.rules;
    let (files, terminal) = (&profile.filesystem, &profile.terminal);
    let (columns, rows_) = terminal.size.value;
    let found = [
        ("agent", "home", profile.agent.home.value.to_string()),
        ("agent", "umask", format!("{:03o}", profile.agent.umask.value)),
        ("filesystem", "tmp_size", files.tmp.size.value.to_string()),
        ("filesystem", "tmp_inodes", files.tmp.inodes.value.to_string()),
        ("filesystem", "tmp_execute", files.tmp.execute.value.to_string()),
        ("filesystem", "home_size", files.home.size.value.to_string()),
        ("filesystem", "home_inodes", files.home.inodes.value.to_string()),
        ("filesystem", "home_execute", files.home.execute.value.to_string()),
        ("network", "mode", profile.network.value.word().to_owned()),
        ("seccomp", "policy", profile.seccomp.value.clone()),
        ("terminal", "session", terminal.session.value.to_string()),
        ("terminal", "history", terminal.history.value.to_string()),
        ("terminal", "size", format!("{columns}x{rows_}")),
        ("terminal", "own_config", terminal.own_config.value.to_string()),
        ("terminal", "record", terminal.record.value.to_string()),
        ("terminal", "record_size", terminal.record_size.value.to_string()),
        ("network", "connections", profile.egress.connections.value.to_string()),
        ("network", "rate", profile.egress.rate.value.to_string()),
        ("network.api", "header", api.header.value.to_string()),
        ("watch.detached", "grace", duration::shown(watch.detached.grace)),
        ("watch.spawns", "per_second", watch.spawns.per_second.to_string()),
        ("watch.spawns", "over", duration::shown(watch.spawns.over)),
        ("watch.count", "processes", watch.count.processes.to_string()),
        ("watch.background", "cpu", format!("{}%", watch.background.percent)),
        ("watch.background", "over", duration::shown(watch.background.over)),
    ];
    let actions = Rule::ALL.map(|rule| (format!("watch.{rule}"), watch.action(rule).to_string()));
    let rows = rows();
    for (table, default) in &actions {
        let row = rows.iter().find(|row| row.table == *table && row.key == "action").unwrap();
        assert_eq!(row.default, *default, "{table}");
    }
    for (table, key, default) in found {
        let row = rows.iter().find(|row| row.table == table && row.key == key).unwrap();
        assert_eq!(row.default, default, "{table}.{key}");
    }
}

#[test]
fn the_manual_names_every_wall_with_its_purpose() {
    for wall in Wall::ALL {
        let row = format!("| `{wall}` | {} |", wall.purpose());
        assert!(MANUAL.lines().any(|line| line == row), "{row}");
    }
    let walls = MANUAL.split("| Wall | What it does |").nth(1).unwrap();
    assert_eq!(walls.lines().filter(|line| line.starts_with("| `")).count(), Wall::ALL.len());
}

#[test]
fn the_manual_has_every_point_of_a_score_with_its_cost_and_the_scale() {
    let profile = validate::profile("x", RawProfile::default()).unwrap();
    let policy = seccomp::load("agent", &|name| seccomp::shipped(name).map(str::to_owned));
    let score = score::score(&profile, &policy.unwrap());
    let groups: BTreeSet<_> = score.points.iter().map(|point| point.group).collect();
    for group in groups {
        let points = score.points.iter().filter(|point| point.group == group);
        let points: Vec<_> =
            points.map(|point| format!("`{}` {}", point.key, point.most)).collect();
        let row = format!("| {group} | {} |", points.join(", "));
        assert!(MANUAL.lines().any(|line| line == row), "{row}");
    }
    let words = Word::SCALE.map(|(least, word)| format!("{word} from {least}"));
    assert!(MANUAL.contains(&words.join(", ")), "{}", words.join(", "));
}

#[test]
fn the_profile_at_the_top_of_the_manual_is_valid() {
    let blocks: Vec<_> = MANUAL.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let text = block.split("```").next().unwrap();
        let raw = RawProfile::parse("x", text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(validate::schema("x", &raw), None);
        validate::profile("x", raw).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

/// The keys that the configuration's parser knows where `text` has an unknown one.
fn known_to_config(text: &str) -> BTreeSet<String> {
    let problems = config::parse("x", text).unwrap_err();
    let hints = problems.0.iter().map(|problem| &problem.hint);
    let list = hints.filter_map(|hint| hint.strip_prefix("known keys here: ")).next().unwrap();
    list.split(", ").map(str::to_owned).collect()
}

/// The tables of the configuration: how each is written, and what else must stand in it.
const TABLES: [(&str, &str, &[&str]); 11] = [
    ("slice", "[slice]", &[]),
    ("paths", "[paths]", &[]),
    ("supervisor", "[supervisor]", &[]),
    ("uids", "[uids]", &[]),
    ("watch", "[watch]", &[]),
    ("defaults", "[defaults]", &[]),
    ("metrics", "[metrics]", &[]),
    ("alerts.rules", "[[alerts.rules]]", &["name = 'x'"]),
    ("alerts.sinks", "[[alerts.sinks]]", &["name = 'x'"]),
    ("roles", "[[roles]]", &["role = 'viewer'", "users = ['x']"]),
    ("agents", "[[agents]]", &["name = 'x'", "profile = 'x'"]),
];

/// What else must stand beside `key` of the rules and sinks of alerts, where most keys are for one kind of them.
fn beside(table: &str, key: &str) -> &'static str {
    match (table, key) {
        ("alerts.rules", "on") => "",
        ("alerts.rules", "gauge") => "above = 1",
        ("alerts.rules", "above") => "gauge = 'memory'",
        ("alerts.rules", "for") => "gauge = 'memory'\nabove = 1",
        ("alerts.rules", "limit" | "outcome") => "on = ['limit']",
        ("alerts.rules", "finding" | "action") => "on = ['finding']",
        ("alerts.rules", "wall") => "on = ['denial']",
        ("alerts.rules", "sink") => "on = ['alert-failed']",
        ("alerts.rules", "sinks") => {
            "on = ['denial']\n[[alerts.sinks]]\nname = 'pager'\nkind = 'log'"
        }
        ("alerts.rules", _) => "on = ['denial']",
        ("alerts.sinks", "kind") => "url = 'https://a.test/'",
        ("alerts.sinks", "command") => "kind = 'command'\nuser = 'x'",
        ("alerts.sinks", "user") => "kind = 'command'\ncommand = ['/x']",
        ("alerts.sinks", "url") => "kind = 'webhook'",
        ("alerts.sinks", "auth") => "kind = 'webhook'\nurl = 'https://a.test/'\nsecret = '/k'",
        ("alerts.sinks", "secret") => "kind = 'webhook'\nurl = 'https://a.test/'\nauth = 'hmac'",
        ("alerts.sinks", "ca") => "kind = 'webhook'\nurl = 'https://a.test/'",
        ("alerts.sinks", "socket") => "kind = 'journald'",
        ("alerts.sinks", _) => "kind = 'log'",
        (_, _) => "",
    }
}

#[test]
fn the_manual_of_the_configuration_has_every_key_with_a_valid_example() {
    let rows = rows_of(CONFIGURATION);
    let keys = |table: &str| -> BTreeSet<String> {
        rows.iter().filter(|row| row.table == table).map(|row| row.key.clone()).collect()
    };
    let top = known_to_config(&format!("{UNKNOWN} = 1"));
    let whole = |table: &'static str| table.split('.').next().unwrap_or(table);
    let tables = TABLES.iter().map(|(table, ..)| whole(table)).chain(["schema"]);
    assert_eq!(top, tables.map(str::to_owned).collect());
    assert_eq!(keys("The top of the file"), ["schema".to_owned()].into());
    for (table, header, needed) in TABLES {
        assert_eq!(keys(table), known_to_config(&format!("{header}\n{UNKNOWN} = 1")), "{table}");
        for Row { key, example, .. } in rows.iter().filter(|row| row.table == table) {
            assert!(example.starts_with(&format!("{key} = ")), "{table}.{key}: {example}");
            let others = needed.iter().filter(|other| !other.starts_with(&format!("{key} = ")));
            let others = others.copied().collect::<Vec<_>>().join("\n");
            let beside = beside(table, key);
            let text = format!("schema = 1\n{header}\n{others}\n{example}\n{beside}\n");
            config::parse("x", &text).unwrap_or_else(|problems| panic!("{table}: {problems}"));
        }
    }
    let block = CONFIGURATION.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    config::parse("x", block).unwrap_or_else(|problems| panic!("{problems}"));
    for (table, header, _) in TABLES.iter().filter(|(table, ..)| !["paths", "uids"].contains(table))
    {
        assert!(block.contains(header), "the example at the top has no {table}");
    }
}

/// Every value that has a default, without the place it is from.
fn values(config: &Config) -> Vec<String> {
    let Config { slice, paths, supervisor, uids, watch, defaults, roles, agents, .. } = config;
    let (alerts, metrics) = (&config.alerts, &config.metrics);
    let profile = defaults.profile.as_ref().map(|profile| &profile.value);
    let group = supervisor.group.as_ref().map(|group| &group.value);
    vec![
        format!("{:?} {:?}", slice.memory.value, slice.memory_high.value),
        format!("{:?} {:?} {:?}", slice.swap.value, slice.tasks.value, slice.cpu.value),
        format!("{} {} {}", paths.run.value, paths.state.value, paths.log.value),
        format!("{} {:?}", supervisor.max_agents.value, supervisor.patience.value),
        format!("{} {}", supervisor.max_known.value, supervisor.max_names.value),
        format!("{group:?} {profile:?} {:?} {uids}", defaults.restart.value),
        format!("{} {}", watch.events_per_second.value, watch.audit.value.word()),
        format!("{roles:?} {agents:?}"),
        format!("{alerts:?} {metrics:?}"),
    ]
}

#[test]
fn writing_a_default_of_the_configuration_down_changes_nothing() {
    let mut written = 0;
    for (table, header, _) in TABLES.iter().take(7) {
        for Row { key, default, .. } in rows_of(CONFIGURATION).iter().filter(|r| r.table == *table)
        {
            let value = match default.parse::<u64>() {
                Ok(number) => number.to_string(),
                // In the slice it is a word of the format; elsewhere it says that there is no default.
                Err(_) if default == "none" && *table != "slice" => continue,
                Err(_) => format!("'{default}'"),
            };
            let text = format!("schema = 1\n{header}\n{key} = {value}\n");
            let config = config::parse("x", &text).unwrap_or_else(|it| panic!("{table}: {it}"));
            assert_eq!(values(&config), values(&Config::default()), "{table}.{key} = {value}");
            written += 1;
        }
    }
    assert!(written >= 14, "{written}");
}

const ALERTS: &str = include_str!("../docs/alerts.md");

#[test]
fn the_manual_of_alerts_has_every_event_figure_and_severity() {
    let events = ALERTS.split("| Event | What happened |").nth(1).unwrap();
    let events: Vec<_> = events.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    for kind in Kind::ALL {
        let row = events.iter().find(|row| row.contains(&format!("`{kind}`")));
        let row = row.unwrap_or_else(|| panic!("{kind} is not documented"));
        for label in kind.labels() {
            assert!(row.contains(&format!("`{}`", label.name())), "{kind} tells {}", label.name());
        }
    }
    let gauges = ALERTS.split("| Gauge | What it is |").nth(1).unwrap();
    let gauges: String = gauges
        .lines()
        .take_while(|line| line.starts_with('|') || line.is_empty() || line.contains("`above` |"))
        .collect();
    for gauge in Gauge::ALL {
        assert!(gauges.contains(&format!("`{}`", gauge.word())), "{}", gauge.word());
    }
}

/// What the table of the manual says of a shipped rule is what it is, and its test exists.
#[test]
fn the_manual_of_alerts_has_every_shipped_rule_with_its_test() {
    let tests = include_str!("../src/alerts/rules/shipped.rs");
    let rows = ALERTS.split("| Practice | Rule | When |").nth(1).unwrap();
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`'])).collect())
        .collect();
    let on = "[[alerts.rules]]\nname = 'command-injection'\nenabled = true\n";
    let all = config::parse("x", &format!("schema = 1\n{on}")).unwrap().alerts.rules();
    assert_eq!(rows.len(), all.len());
    for rule in &all {
        let row = rows.iter().find(|row| row.contains(&rule.name.as_str()));
        let row = row.unwrap_or_else(|| panic!("{} is not documented", rule.name));
        let [.., severity, test] = row[..] else { panic!("{row:?}") };
        assert_eq!(severity, rule.severity.word(), "{}", rule.name);
        assert!(tests.contains(&format!("fn {test}()")), "{test} of {} is nowhere", rule.name);
        assert!(
            tests.contains(&format!("\"{}\"", rule.name))
                || tests.contains(&format!("'{}'", rule.name))
        );
    }
    let shipped = config::parse("x", "schema = 1").unwrap().alerts.rules();
    let off: Vec<_> = all.iter().filter(|rule| !shipped.contains(rule)).collect();
    assert_eq!(off.len(), 1, "{off:?}");
}

#[test]
fn the_manual_of_metrics_has_every_one_with_its_help() {
    let manual = include_str!("../docs/metrics.md");
    let rows: Vec<_> = manual.lines().filter(|line| line.starts_with("| `cellblock_")).collect();
    assert_eq!(rows.len(), Id::ALL.len());
    for (row, id) in rows.iter().zip(Id::ALL) {
        let metric = id.metric();
        assert!(row.starts_with(&format!("| `{}` | ", metric.name)), "{row}");
        assert!(row.ends_with(&format!(" | {} |", metric.help)), "{row}");
    }
    let dashboard = include_str!("../docs/grafana/cellblock.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let names = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        words.filter(|word| word.starts_with("cellblock_")).map(str::to_owned).collect()
    };
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let used: Vec<_> = targets.flat_map(|target| names(target["expr"].as_str().unwrap())).collect();
    assert!(used.len() >= panels.len(), "{used:?}");
    for name in used {
        assert!(Id::ALL.iter().any(|id| id.metric().name == name), "{name}");
    }
}

#[test]
fn the_manual_says_what_each_role_may() {
    let mut before = "";
    for role in Role::ALL {
        let verbs = Verb::ALL.into_iter().filter(|verb| verb.least() == role);
        let verbs: Vec<_> = verbs.map(|verb| format!("`{}`", verb.name())).collect();
        let row = format!("| `{role}` | {before}{} |", verbs.join(", "));
        assert!(CONFIGURATION.lines().any(|line| line == row), "{row}");
        before = "also ";
    }
}

const UNIT: &str = include_str!("../packaging/systemd/cellblock.service");

/// What a child has from its parent for good, and every jail would have, too.
const INHERITED: &[&str] = &[
    "AmbientCapabilities",
    "BindPaths",
    "BindReadOnlyPaths",
    "DynamicUser",
    "Group",
    "InaccessiblePaths",
    "LimitCORE",
    "LimitFSIZE",
    "LimitNPROC",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateNetwork",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "RootDirectory",
    "SecureBits",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "TemporaryFileSystem",
    "User",
];

#[test]
fn the_unit_lets_agents_live_and_gives_jails_nothing_of_its_own() {
    let settings: Vec<_> = UNIT.lines().filter(|line| !line.starts_with('#')).collect();
    let broken = INHERITED.iter().find(|name| {
        settings.iter().any(|line| line.split_once('=').is_some_and(|(set, _)| set == **name))
    });
    assert_eq!(broken, None);
    for needed in [
        "Type=notify",
        "NotifyAccess=main",
        "KillMode=process",
        "Delegate=yes",
        "RuntimeDirectoryPreserve=yes",
    ] {
        assert!(settings.contains(&needed), "{needed}");
    }
    let directories = config::Config::default().paths;
    assert_eq!(directories.run.value, "/run/cellblock");
    let tmpfiles = include_str!("../packaging/systemd/cellblock.tmpfiles");
    for path in [&directories.run.value, &directories.log.value] {
        assert!(tmpfiles.contains(&format!("d {path} ")), "{path}");
    }
    let dropped = settings.iter().filter_map(|line| line.strip_prefix("CapabilityBoundingSet=~"));
    let said = format!("needed ({} capabilities", dropped.flat_map(str::split_whitespace).count());
    assert!(CONFIGURATION.contains(&said), "{said}");
}

/// The matrix in the documentation is what a run printed; it must not miss what has come since.
#[test]
fn the_documented_matrix_has_every_probe_and_every_wall() {
    let text = include_str!("../docs/verify.md").replace("\\_", "_");
    let (_, matrix) = text.split_once("\n## The matrix\n").unwrap();
    let rows: Vec<&str> = matrix.lines().filter(|line| line.contains(" denied |")).collect();
    assert!(rows.len() >= 120, "{}", rows.len());
    let missing = |name: &str| !matrix.contains(&format!("\n| {name} |"));
    let probes: Vec<_> =
        battery::all().map(|(_, probe)| probe.id).filter(|id| missing(id)).collect();
    assert_eq!(probes, [""; 0], "cellblock verify demo --matrix --markdown FILE");
    for wall in Wall::ALL {
        assert!(!missing(&format!("`{wall}`")), "{wall}");
    }
}

/// Where the tests of the network are, by their modules.
const NETWORK_TESTS: &[&str] =
    &["tests/jail/egress", "src/egress", "src/gate", "src/policy/network"];

/// The ways out that stay open, as the manual says itself.
const OPEN: &[&str] = &["NET-17", "NET-25", "NET-28"];

#[test]
fn every_way_out_of_the_network_has_a_probe_or_a_test_that_exists() {
    let probes: BTreeSet<_> = battery::all().map(|(_, probe)| probe.id).collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_test = |shown: &str| {
        let Some((module, function)) = shown.split_once("::") else { return false };
        let files = NETWORK_TESTS.iter().map(|folder| root.join(folder).join(module));
        let mut texts =
            files.filter_map(|file| std::fs::read_to_string(file.with_extension("rs")).ok());
        texts.any(|text| text.contains(&format!("fn {function}(")))
    };
    let manual = include_str!("../docs/network.md");
    let rows = manual.lines().filter(|line| line.starts_with("| NET-"));
    let mut found = Vec::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", id, _, _, shown, ""] = cells[..] else { panic!("{row}") };
        let shown: Vec<_> = shown.split(", ").filter(|shown| !shown.is_empty()).collect();
        assert_eq!(shown.is_empty(), OPEN.contains(&id), "{row}");
        for shown in shown.iter().map(|shown| shown.trim_matches('`')) {
            assert!(probes.contains(shown) || is_test(shown), "{shown} of {id} is nowhere");
        }
        found.push(id.to_owned());
    }
    let all: Vec<_> = (1..=28).map(|number| format!("NET-{number:02}")).collect();
    assert_eq!(found, all);
}
