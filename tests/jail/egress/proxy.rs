//! A host without a direct way out: the gate asks its proxy, and nobody else.

use super::world::World;
use crate::harness::{cellblock, command, finish, start};

const RULES: &str =
    "allow = ['a.test:7000', 'a.test:7001', 'a.test', 'x.wild.test:7000', 'b.test:7000']";

#[test]
fn the_hosts_proxy_is_asked() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-proxy";
    let profile = world.profile(agent, RULES);
    let steps = [
        "tcp:a.test:7000:hello",
        "hear:a.test:7001",
        "tls:a.test:443",
        "tcp:x.wild.test:7000:hello",
        "tcp:b.test:7000:hello",
    ];
    let words = [&["python3", "/etc/client.py"], &steps[..]].concat();
    let inner = cellblock("exec", agent, &[], &profile, &words);
    let mut with = command("env");
    with.args(["HTTPS_PROXY=http://me:word@localhost:3128", "NO_PROXY=b.test"]);
    with.arg(inner.get_program()).args(inner.get_args());
    let ended = start(&mut world.inside(&with)).wait(crate::harness::DEADLINE);
    let said: Vec<&str> = ended.expect(0).out.lines().collect();
    assert_eq!(said[..3], [r"b'hello\n'", r"b'banner of the server\n'", "TLSv1.3"], "{ended:#?}");
    assert!(said[3].starts_with("ECONNRESET") || said[3] == "b''", "{ended:#?}");
    assert_eq!(said[4], r"b'hello\n'", "{ended:#?}");
    let asked = world.lines("requests");
    let asked: Vec<&str> =
        asked.iter().map(String::as_str).filter(|line| line.starts_with("CONNECT")).collect();
    assert_eq!(
        asked,
        [
            "CONNECT a.test:443 Basic bWU6d29yZA==",
            "CONNECT a.test:7000 Basic bWU6d29yZA==",
            "CONNECT a.test:7001 Basic bWU6d29yZA==",
            "CONNECT x.wild.test:7000 Basic bWU6d29yZA==",
        ]
    );
    // What the proxy is asked for, no name server is.
    assert_eq!(world.lines("queries"), ["b.test 1", "b.test 28"]);
}

#[test]
fn a_proxy_that_is_none_ends_the_launch() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let profile = world.profile("jt-no-proxy", RULES);
    let inner = cellblock("exec", "jt-no-proxy", &[], &profile, &["true"]);
    let mut with = command("env");
    with.arg("HTTPS_PROXY=socks5://me:word@localhost:1")
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = finish(&mut world.inside(&with));
    ended.expect_refusal(125, &["HTTPS_PROXY", "socks5"]);
    assert!(!ended.err.contains("word"), "{ended:#?}");
}
