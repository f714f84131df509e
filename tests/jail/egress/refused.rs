//! What no rule allows fails at once, and nothing of it is seen outside.

use super::world::{World, denials};
use crate::harness;
use crate::host;

const RULES: &str =
    "allow = ['a.test', 'a.test:7000', '*.wild.test:7000']\ndeny = ['denied.wild.test']";

/// How an answer of the client begins, and that it did not take long.
fn expect_fast(step: &str, said: &str, wanted: &[&str]) {
    let (cause, rest) = said.split_once(" in ").unwrap_or_else(|| panic!("{step}: {said}"));
    assert!(wanted.contains(&cause), "{step}: {said}");
    let milliseconds: u32 = rest.trim_end_matches(" ms").parse().unwrap();
    let most = harness::patient(std::time::Duration::from_millis(100));
    assert!(u128::from(milliseconds) < most.as_millis(), "{step}: {said}");
}

/// The step, what it says in a jail, and whether it works where there is none.
const STEPS: &[(&str, &[&str], bool)] = &[
    ("name:b.test", &["gaierror"], true),
    ("tcp:b.test:7000:x", &["gaierror"], true),
    ("tcp:denied.wild.test:7000:x", &["gaierror"], false),
    ("tcp:a.test:7001:x", &["ECONNREFUSED"], true),
    ("tcp:93.184.1.1:7000:x", &["ENETUNREACH"], true),
    ("tcp:1572339969:7000:x", &["ENETUNREACH"], true),
    ("tcp:0x5db80101:7000:x", &["ENETUNREACH"], true),
    ("tcp:10.77.0.1:7000:x", &["ENETUNREACH"], true),
    ("tcp:169.254.169.254:7000:x", &["ENETUNREACH"], true),
    ("tcp:127.0.0.1:7001:x", &["ECONNREFUSED"], true),
    ("six:2606_4700_ffff__1:7000", &["ENETUNREACH", "EADDRNOTAVAIL"], true),
    ("fast:93.184.1.1:7000", &["EPERM", "ENETUNREACH", "ENOTSUP"], true),
    ("udp:93.184.1.1:443", &["ENETUNREACH"], false),
    ("udp:a.test:443", &["ECONNREFUSED"], false),
    ("opened:AF_INET:SOCK_RAW:6", &["EPERM", "EACCES"], true),
    ("opened:AF_INET6:SOCK_RAW:58", &["EPERM", "EACCES"], true),
    ("opened:AF_PACKET:SOCK_RAW:768", &["EPERM", "EACCES", "EAFNOSUPPORT", "ENOSYS"], true),
    ("opened:AF_INET:SOCK_STREAM:262", &["EPERM", "EACCES", "EPROTONOSUPPORT"], true),
    ("opened:AF_VSOCK:SOCK_STREAM:0", &["EPERM", "EACCES", "EAFNOSUPPORT"], true),
];

/// What those send where there is no jail.
const SENT: &[&str] = &[
    "tcp 93.184.1.1 7000",
    "tcp 10.77.0.1 7000",
    "tcp 169.254.169.254 7000",
    "udp 93.184.1.1 443",
];

#[test]
fn all_else_fails_fast_and_nothing_of_it_is_seen_outside() {
    // How long it takes is measured.
    needs!("root", "cgroup2", "python3", "openssl", "ip", "quiet");
    let world = World::new();
    let agent = "jt-unlisted";
    let steps: Vec<&str> = STEPS.iter().map(|(step, ..)| *step).collect();
    // The control: all of it works, or is sent, where there is no jail.
    let bare = world.bare_client(&steps);
    for ((step, _, works), said) in STEPS.iter().zip(&bare) {
        let missing = ["EPROTONOSUPPORT", "EAFNOSUPPORT", "ENOPROTOOPT"];
        let here = !missing.iter().any(|errno| said.starts_with(errno));
        assert!(!*works || !said.contains(" ms") || !here, "{step} without a jail: {said}");
    }
    harness::eventually("all that is sent without a jail", || {
        let seen = world.lines("packets");
        SENT.iter().all(|packet| seen.iter().any(|line| line == packet)).then_some(())
    });
    assert!(world.lines("queries").iter().any(|line| line.starts_with("b.test ")));
    world.forget();
    let said = world.client(agent, RULES, &[&steps[..], &["tcp:a.test:7000:hello"]].concat());
    for ((step, wanted, _), said) in STEPS.iter().zip(&said) {
        expect_fast(step, said, wanted);
    }
    assert_eq!(said.last().unwrap(), r"b'hello\n'");
    // One connection, and the question that it needed: nothing else was sent by anybody.
    assert_eq!(world.lines("packets"), ["tcp 93.184.1.1 7000", "udp 10.99.0.1 53"]);
    assert_eq!(world.lines("queries"), ["a.test 1", "a.test 28"]);
    let told = denials(agent);
    let of = |to: &str| {
        told.iter()
            .rev()
            .find(|denial| denial["to"] == to)
            .unwrap_or_else(|| panic!("{to}: {told:#?}"))
    };
    assert_eq!(of("b.test")["reason"], "unlisted");
    assert_eq!(of("b.test")["allow"], "allow = [\"b.test:443\"]");
    assert_eq!(of("denied.wild.test")["reason"], "denied");
    host::expect_nothing_left(agent);
}

#[test]
fn a_refusal_is_told_with_its_process() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-told";
    let profile = world.profile(agent, RULES);
    // Its sockets stay: where and when they are looked for is the gatekeeper's affair.
    let script = "import socket, time\nheld = []\nfor _ in range(1000):\n  held.append(socket.create_connection(('a.test', 443)))\n  \
                  held[-1].send(b'no hello')\n  time.sleep(1.2)";
    let before = denials(agent).len();
    let running = world.begin(agent, &profile, &["python3", "-c", script]);
    let named = |denial: &serde_json::Value| {
        denial["process"].as_str().is_some_and(|process| process.starts_with("python3 ("))
    };
    let denial = harness::eventually("a refusal with its process", || {
        denials(agent).into_iter().skip(before).find(named)
    });
    running.signal(rustix::process::Signal::TERM);
    let ended = running.wait(harness::DEADLINE);
    assert!(ended.err.contains("cellblock denials jt-told"), "{ended:#?}");
    assert_eq!(
        (&denial["to"], &denial["port"], &denial["reason"]),
        (&"a.test".into(), &443.into(), &"tls-hello".into())
    );
}

#[test]
fn no_rule_at_all_allows_nothing_at_all() {
    // How long it takes is measured.
    needs!("root", "cgroup2", "python3", "openssl", "ip", "quiet");
    let world = World::new();
    let steps = ["name:a.test", "tcp:a.test:7000:x", "tcp:93.184.1.1:7000:x", "tcp:host:7000:x"];
    let said = world.client("jt-empty", "allow = []", &steps);
    for (step, said) in steps.iter().zip(&said) {
        expect_fast(step, said, &["gaierror", "ENETUNREACH"]);
    }
    assert!(world.lines("packets").is_empty() && world.lines("queries").is_empty());
    // The control: with rules for them they are reached.
    let rules = "allow = ['a.test:7000', '93.184.1.1:7000', 'host:7000']";
    let said = world.client("jt-empty", rules, &steps[1..]);
    assert_eq!(said, [r"b'x\n'"; 3]);
}

/// There is nothing in the jail's network that a packet could leave by.
#[test]
fn a_jail_has_no_interface_but_its_own() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    assert_eq!(world.client("jt-interfaces", RULES, &["interfaces"]), ["lo"]);
    assert_eq!(world.bare_client(&["interfaces"]), ["lo eth0"]);
    // With the wall taken away there is the host's network, and its name server.
    let (agent, profile) = ("jt-no-wall", world.profile("jt-interfaces", RULES));
    let steps = ["python3", "/etc/client.py", "interfaces", "name:b.test", "tcp:b.test:7000:x"];
    let shared = harness::cellblock("exec", agent, &["--without", "network"], &profile, &steps);
    let said = harness::finish(&mut world.inside(&shared)).expect(0).out.clone();
    assert_eq!(said, "lo eth0\n93.184.1.2\nb'x\\n'\n");
    host::expect_nothing_left(agent);
}

#[test]
fn a_redirect_is_a_connection_like_any_other() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let world = World::new();
    let agent = "jt-redirect";
    let follow = |rules: &str| {
        let profile = world.profile(agent, rules);
        let to = "http://a.test/to/b.test/x";
        world.jailed(agent, &profile, &["curl", "-sSL", "-m", "20", to])
    };
    let refused = follow("allow = ['a.test:80']");
    refused.expect(6);
    assert!(refused.err.contains("Could not resolve host: b.test"), "{refused:#?}");
    assert_eq!(world.lines("requests"), ["GET a.test/to/b.test/x"]);
    assert_eq!(denials(agent).last().unwrap()["to"], "b.test");
    let followed = follow("allow = ['a.test:80', 'b.test:80']");
    assert_eq!(followed.expect(0).out, "GET b.test /x 0\n");
}
