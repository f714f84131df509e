//! What rules allow works unchanged, for programs that know nothing of the gate.

use super::world::World;
use crate::harness::{command, finish};
use crate::host;

/// Of two rules for the same name, each for its port.
const RULES: &str = "allow = ['a.test', 'a.test:80', 'a.test:7000', 'a.test:7001', '*.wild.test', 'both.test:7000', \
                     'dead.test:7000', 'six.test:7000', 'hosts.test:7000', 'host:7000', '10.77.0.1:7000']";

#[test]
fn names_addresses_and_the_host_are_reached() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-reach";
    let steps = [
        "tcp:a.test:7000:hello",
        "hear:a.test:7001",
        "tcp:A.Test.:7000:hello",
        "tls:a.test:443",
        "url:https://a.test/x",
        "url:http://a.test/x",
        "tls:x.wild.test:443",
        "tcp:both.test:7000:hello",
        "tcp:dead.test:7000:hello",
        "tcp:six.test:7000:hello",
        "tcp:hosts.test:7000:hello",
        "tcp:host:7000:hello",
        "tcp:10.77.0.1:7000:hello",
        "dns:udp:a.test",
        "dns:tcp:a.test",
        "dns:aaaa:a.test",
    ];
    let said = world.client(agent, RULES, &steps);
    let hello = r"b'hello\n'";
    let expected = [
        hello,
        r"b'banner of the server\n'",
        hello,
        "TLSv1.3",
        "GET a.test /x 0 by TLSv1.3",
        "GET a.test /x 0",
        "TLSv1.3",
        hello,
        hello,
        hello,
        hello,
        hello,
        hello,
        "0 1",
        "0 1",
        "0 0",
    ];
    assert_eq!(said, expected);
    host::expect_nothing_left(agent);
}

#[test]
fn a_name_keeps_its_address() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let steps = ["name:a.test", "name:x.wild.test", "name:a.test", "name:host", "name:A.TEST"];
    let said = world.client("jt-stable", RULES, &steps);
    assert_eq!((&said[0], &said[0]), (&said[2], &said[4]));
    assert!(said.iter().all(|address| address.starts_with("198.18.")), "{said:?}");
    assert!(said[0] != said[1] && said[1] != said[3], "{said:?}");
}

#[test]
fn git_clones_and_curl_fetches() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "git", "curl");
    let world = World::new();
    let agent = "jt-tools";
    let make = "git init -q -b main r && cd r && git -c user.name=n -c user.email=e@a.test commit -q --allow-empty -m first \
                && cd .. && git clone -q --bare r www/repository && git -C www/repository update-server-info \
                && chmod -R a+rX www";
    world.folder.directory("www", 0o755);
    finish(command("sh").args(["-c", make]).current_dir(world.folder.path(""))).expect(0);
    let profile = world.profile(agent, "allow = ['a.test', 'a.test:80']");
    let script = "export GIT_SSL_CAINFO=/etc/ca.pem; cd /tmp && git clone -q https://a.test/repository r && git -C r log --format=%s \
                  && curl -sS --cacert /etc/ca.pem https://a.test/by-curl && curl -sS http://a.test/by-curl";
    let ended = world.jailed(agent, &profile, &["sh", "-c", script]);
    assert!(ended.expect(0).out.starts_with("first\nGET a.test /by-curl"), "{ended:#?}");
    assert!(ended.out.ends_with("GET a.test /by-curl 0\n"), "{ended:#?}");
    host::expect_nothing_left(agent);
}
