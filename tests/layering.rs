//! The house's own rules: which folder may know of which, and where unsafe code is.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(missing_docs, reason = "tests")]

use cellblock::host::trust::Trust;
use cellblock::profile::load::Search;
use cellblock::profile::{Wall, shipped};
use std::path::{Path, PathBuf};

/// Folders that decide and never act.
const PURE: &[&str] = &[
    "config",
    "denial",
    "document",
    "egress",
    "policy",
    "plan",
    "profile",
    "score",
    "verify/report",
];

/// The places of those folders that read files, through host::trust alone.
const LOADERS: &[&str] = &["config/load.rs", "profile/load.rs"];

/// What decides in a folder that also acts.
const PURE_FILES: &[&str] = &[
    "alerts/alert.rs",
    "alerts/event.rs",
    "alerts/metrics.rs",
    "alerts/outbox.rs",
    "alerts/rules.rs",
    "control/roles.rs",
    "limits/change.rs",
    "limits/figures.rs",
    "limits/hits.rs",
    "limits/ranks.rs",
    "watch/audit.rs",
    "watch/audit/join.rs",
    "watch/audit/record.rs",
    "watch/audit/text.rs",
    "watch/denied.rs",
    "watch/findings.rs",
    "watch/rules.rs",
    "watch/state.rs",
    "watch/tree.rs",
];

/// What they may not mention. `host` is allowed for its types: facts and answers.
const EFFECTS: &[&str] = &[
    "crate::sys",
    "crate::launch",
    "crate::jail",
    "crate::shim",
    "crate::cli",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::os::unix",
    "rustix::",
    "nix::",
    "libc::",
];

/// What else of `host` reads the machine.
const READING: &[&str] = &["host::probe", "host::paths", "host::walk", "host::trust", "host::tmux"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file below `directory`, by its path relative to `src`, with its code: no comments, and
/// without the tests at its end.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(source()).unwrap().display().to_string();
            if !is_test(&name) {
                found.push((name, code(&std::fs::read_to_string(&path).unwrap())));
            }
        }
    }
    found
}

fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = before_tests.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.ends_with("/testing.rs")
}

/// Where `code` names `path`, also behind `use crate::{…}` as far as formatting shows it.
fn names(code: &str, path: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(path).any(|(at, _)| !code[..at].ends_with(word))
        || path.strip_prefix("crate::").is_some_and(|module| {
            code.contains("use crate::{") && code.contains(&format!("\n    {module}::"))
        })
}

#[test]
fn what_decides_never_acts() {
    let mut broken = Vec::new();
    for folder in PURE {
        let files = files(&source().join(folder));
        assert!(!files.is_empty(), "{folder}");
        for (name, code) in files {
            if LOADERS.contains(&name.as_str()) {
                continue;
            }
            let found = EFFECTS.iter().chain(READING).filter(|path| names(&code, path));
            broken.extend(found.map(|path| format!("{name} mentions {path}")));
        }
    }
    for (name, code) in files(&source()) {
        let found = EFFECTS.iter().chain(READING).filter(|path| names(&code, path));
        let pure = PURE_FILES.contains(&name.as_str());
        broken.extend(found.filter(|_| pure).map(|path| format!("{name} mentions {path}")));
    }
    assert!(PURE_FILES.iter().chain(LOADERS).all(|name| source().join(name).exists()));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn what_decides_over_agents_is_read_through_trust_alone() {
    let all = files(&source());
    for loader in LOADERS {
        let (_, code) = all.iter().find(|(name, _)| name == loader).unwrap();
        assert!(names(code, "trust::read") || code.contains("trust::read("));
        for reading in ["read_to_string", "File::open", "fs::read("] {
            assert!(!code.contains(reading), "{loader} reads by {reading}");
        }
    }
}

#[test]
fn lower_folders_know_nothing_of_higher_ones() {
    let arrows: &[(&str, &[&str])] = &[
        ("document", &["crate::profile", "crate::policy", "crate::host", "crate::plan"]),
        ("policy", &["crate::profile", "crate::host", "crate::plan"]),
        (
            "host",
            &["crate::profile", "crate::policy", "crate::plan", "crate::cli", "crate::launch"],
        ),
        ("sys", &["crate::profile", "crate::policy", "crate::plan", "crate::cli", "crate::launch"]),
        ("launch", &["crate::cli", "crate::shim", "crate::profile::load", "crate::profile::raw"]),
        (
            "jail",
            &[
                "crate::cli",
                "crate::shim",
                "crate::launch",
                "crate::profile::load",
                "crate::policy",
            ],
        ),
        ("config", &["crate::host::probe", "crate::plan", "crate::cli", "crate::launch"]),
        ("profile", &["crate::plan", "crate::score", "crate::cli", "crate::launch"]),
        ("plan", &["crate::score", "crate::cli", "crate::launch"]),
        ("score", &["crate::host::probe", "crate::cli", "crate::launch", "crate::verify"]),
        ("limits", &["crate::plan", "crate::cli", "crate::launch", "crate::jail", "crate::shim"]),
        ("shim", &["crate::cli", "crate::profile", "crate::policy"]),
        (
            "alerts",
            &["crate::cli", "crate::launch", "crate::jail", "crate::shim", "crate::supervisor"],
        ),
        ("gate", &["crate::cli", "crate::launch", "crate::jail", "crate::shim", "crate::profile"]),
        ("denial", &["crate::plan", "crate::limits", "crate::cli", "crate::watch", "crate::gate"]),
        ("watch", &["crate::cli", "crate::shim", "crate::jail", "crate::plan", "crate::profile"]),
        ("control", &["crate::cli", "crate::shim", "crate::jail", "crate::profile"]),
        ("planning", &["crate::cli", "crate::jail", "crate::shim", "crate::control"]),
        ("terminal", &["crate::profile", "crate::plan", "crate::cli", "crate::launch"]),
    ];
    for (folder, above) in arrows {
        for (name, code) in files(&source().join(folder)) {
            let found = above.iter().find(|path| names(&code, path));
            assert_eq!(found, None, "{name}");
        }
    }
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    for (name, code) in files(&source()) {
        let code = code.replace("forbid(unsafe_code)", "");
        let mentions =
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe_code");
        assert!(!mentions || name.starts_with("sys/"), "{name} has unsafe code");
    }
    for folder in PURE.iter().chain(&["cli"]) {
        let path = source().join(folder).join("mod.rs");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("\n#![forbid(unsafe_code)]\n"),
            "{} does not forbid it",
            path.display()
        );
    }
}

#[test]
fn only_the_output_prints() {
    for (name, code) in files(&source()) {
        let found = ["println!", "print!(", "eprintln!", "io::stdout().", "io::stderr()."];
        let found = found.iter().find(|print| code.contains(**print) && name != "cli/output.rs");
        let asks = code.matches("io::stdout().is_terminal()").count()
            == code.matches("io::stdout().").count();
        assert!(
            found.is_none() || (name.starts_with("host/") && asks),
            "{name} prints by {found:?}"
        );
    }
}

#[test]
fn other_programs_are_started_in_two_places_outside_a_jail() {
    for (name, code) in files(&source()) {
        let starts = code.contains("process::Command");
        // A sink's command is root's word, and runs as a user without rights.
        let sink = name == "alerts/runner.rs";
        // What init starts is in the jail, behind every wall; what attacks are made with is, too, or has
        // the agent's uid.
        let attacks = name.starts_with("verify/battery/") || name == "verify/prober.rs";
        let allowed = name == "host/tmux.rs" || sink || name.starts_with("jail/init") || attacks;
        assert!(!starts || allowed, "{name} starts a program");
    }
}

#[test]
fn every_shipped_profile_loads_and_every_file_is_shipped() {
    let search = Search { folders: Vec::new(), here: None, trust: Trust::for_caller(1, 1) };
    for (name, _) in shipped::ALL {
        let profile = search.load(name).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!profile.description.is_empty(), "{name} has no description");
    }
    for entry in std::fs::read_dir(source().join("../profiles")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(shipped::find(name).is_some(), "{} is not shipped", path.display());
    }
}

#[test]
fn every_wall_has_a_name_of_its_own_that_finds_it() {
    for wall in Wall::ALL {
        assert_eq!(Wall::parse(wall.name()), Ok(wall));
        let same = Wall::ALL.into_iter().filter(|other| other.name() == wall.name()).count();
        assert_eq!(same, 1, "{wall}");
        let kebab = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(wall.name().chars().all(kebab), "{wall}");
    }
    assert!(Wall::parse("User").is_err() && Wall::parse("").is_err());
}

/// The rules above must be able to fail.
#[test]
fn a_broken_rule_would_be_seen() {
    assert!(names("use std::fs;", "std::fs"));
    assert!(names("let x = crate::sys::y();", "crate::sys"));
    assert!(names("use crate::{\n    sys::y,\n};", "crate::sys"));
    assert!(!names("use crate::plan::system;", "crate::sys"));
    assert!(!names("mystd::fs", "std::fs"));
    assert_eq!(code("a // std::fs\nb\n#[cfg(test)]\nmod tests {\nstd::fs"), "a \nb");
}
