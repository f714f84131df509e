//! The real Claude Code behind the shipped profile, against a server of the tests' own that has the API's name here.

use super::world::World;
use crate::harness::{cellblock, start};
use crate::host;
use std::os::unix::fs::chown;
use std::path::Path;

const PERSON: u32 = 4242;

#[test]
fn a_prompt_is_completed_by_the_allowlist_alone() {
    needs!("root", "cgroup2", "claude", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-claude-api";
    let project = world.folder.directory("project", 0o755);
    chown(&project, Some(PERSON), Some(PERSON)).unwrap();
    let program = std::env::var("CELLBLOCK_CLAUDE").unwrap();
    let place = Path::new(&program).parent().unwrap().display().to_string();
    let authority = world.folder.text("ca.pem");
    // Nothing about the network: that is the shipped profile's.
    let profile = world.folder.profile(
        agent,
        &format!(
            "extends = ['claude']\n[environment.set]\nANTHROPIC_API_KEY = 'sk-ant-api03-abcdefghijklmnopqrst'\n\
             NODE_EXTRA_CA_CERTS = '/etc/ca.pem'\n[filesystem]\n\
             execute = [{{ path = '{place}', at = '/opt/claude/bin' }}]\n\
             read = [{{ path = '{authority}', at = '/etc/ca.pem' }}]\n"
        ),
    );
    let options = ["--without", "memory", "--without", "tasks", "--workspace", &project];
    let words = ["claude", "-p", "Who answers?"];
    let inner = cellblock("exec", agent, &options, &profile, &words);
    let ended = start(&mut world.inside(&inner)).wait(crate::harness::DEADLINE * 3);
    assert!(ended.expect(0).out.contains("the world answers"), "{ended:#?}");
    assert_eq!(world.lines("keys"), ["sk-ant-api03-abcdefghijklmnopqrst"]);
    // Nobody else was called, nor even asked for.
    let queries = world.lines("queries");
    assert!(queries.iter().all(|line| line.starts_with("api.anthropic.com ")), "{queries:?}");
    let packets = world.lines("packets");
    assert!(
        packets.iter().all(|line| line == "tcp 93.184.1.1 443" || line == "udp 10.99.0.1 53"),
        "{packets:?}"
    );
    host::expect_nothing_left(agent);
}
