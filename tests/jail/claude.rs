//! The real Claude Code behind the shipped `claude` profile, run without the two limits that a host
//! with hybrid cgroups lacks; what the profile of the test adds is where the program and its
//! configuration are.

use crate::harness::{Folder, cellblock, eventually, finish};
use crate::host;
use crate::pty::Person;
use crate::watch::{findings, installation};
use std::os::unix::fs::chown;
use std::path::Path;

const PERSON: u32 = 4242;
const WITHOUT: &[&str] = &["--without", "memory", "--without", "tasks"];

/// What a first start asks for otherwise.
const SEED: &str = r#"{"hasCompletedOnboarding": true, "theme": "dark",
    "customApiKeyResponses": {"approved": ["abcdefghijklmnopqrst"], "rejected": []},
    "projects": {"/workspace": {"hasTrustDialogAccepted": true}}}"#;

/// A project and a configuration that belong to a person, and a profile that names them, with `more` in it.
fn set_up(folder: &Folder, more: &str) -> (String, String) {
    let project = folder.directory("project", 0o755);
    let config = folder.directory("config", 0o755);
    let seed = folder.file("config/.claude.json", SEED, 0o644);
    for path in [&project, &config, &seed] {
        chown(path, Some(PERSON), Some(PERSON)).unwrap();
    }
    let program = std::env::var("CELLBLOCK_CLAUDE").unwrap();
    let place = Path::new(&program).parent().unwrap().display().to_string();
    let profile = folder.profile(
        "with-claude",
        &format!(
            "extends = ['claude']\n\
             [environment.set]\nCLAUDE_CONFIG_DIR = '/home/agent/config'\n\
             ANTHROPIC_API_KEY = 'sk-ant-api03-abcdefghijklmnopqrst'\n\
             [filesystem]\nexecute = [{{ path = '{place}', at = '/opt/claude/bin' }}]\n\
             write = [{{ path = '{config}', at = '~/config', owner = 'host' }}]\n{more}"
        ),
    );
    (project, profile)
}

#[test]
fn claude_code_tells_its_version() {
    needs!("root", "cgroup2", "claude");
    let folder = Folder::new();
    let (project, profile) = set_up(&folder, "");
    let options = [WITHOUT, &["--workspace", &project]].concat();
    let agent = "jt-claude-version";
    let ended = finish(&mut cellblock("exec", agent, &options, &profile, &["claude", "--version"]));
    assert!(ended.expect(0).out.contains("(Claude Code)"), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn claude_code_draws_its_prompt() {
    needs!("root", "cgroup2", "tmux", "claude");
    let folder = Folder::new();
    let (project, profile) = set_up(&folder, "");
    let options = [WITHOUT, &["--workspace", &project]].concat();
    let agent = "jt-claude-prompt";
    let mut person = Person::start(&cellblock("run", agent, &options, &profile, &[]));
    // Between words the cursor is moved, so that no two of them come together.
    person.sees("shortcuts");
    // Twice Ctrl-C leaves.
    person.types("\x03");
    std::thread::sleep(std::time::Duration::from_millis(300));
    person.types("\x03");
    let (ended, _) = person.ends();
    ended.expect(0);
    host::expect_nothing_left(agent);
}

#[test]
fn what_claude_code_leaves_in_the_background_is_found() {
    needs!("root", "cgroup2", "tmux", "claude");
    let folder = Folder::new();
    let more = "[enforcement]\nwithout = ['memory', 'tasks']\n[watch.detached]\ngrace = '500ms'\n";
    let (project, profile) = set_up(&folder, more);
    let agent = "jt-claude-bg";
    let supervisor = installation(&folder, &[agent]);
    let script = "claude --bg 'say hello'; exec sleep 1000";
    let words = ["--name", agent, "--workspace", &project, &profile, "--", "bash", "-c", script];
    supervisor.ask("start", &words).expect(0);
    let named = |finding: &&serde_json::Value| {
        let processes = finding["processes"].as_array().unwrap();
        finding["rule"] == "detached"
            && processes.iter().any(|it| it["words"].as_str().unwrap().contains("claude"))
    };
    let found = eventually("what it leaves behind", || {
        findings(&supervisor, agent).iter().find(named).cloned()
    });
    let signs = found["signs"].as_array().unwrap();
    assert!(signs.contains(&"line".into()), "{found:#}");
}
