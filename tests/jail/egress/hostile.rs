//! What no well-meant program says: it is answered shortly or not at all, and nobody else feels it.

use super::world::{World, denials};
use crate::harness::{eventually, patient};
use crate::host;
use std::time::{Duration, Instant};

const RULES: &str = "allow = ['a.test', 'a.test:7000']";

/// Questions that are none, and what is said to them by UDP and by TCP: a code and the number of answers.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("loop", "1 0", "1 0"),
    ("beyond", "1 0", "1 0"),
    ("cut", "1 0", "1 0"),
    ("head", "1 0", "1 0"),
    ("short", "silence", "end"),
    ("two", "1 0", "1 0"),
    ("many", "1 0", "1 0"),
    ("none", "1 0", "1 0"),
    ("answer", "silence", "end"),
    ("update", "4 0", "4 0"),
    ("zeros", "1 0", "1 0"),
    // By UDP what stands behind a question is not looked at; by TCP nothing as long is read.
    ("long", "0 1", "end"),
    ("bytes", "3 0", "3 0"),
    // One label with a dot in it is not two labels.
    ("dots", "3 0", "3 0"),
];

#[test]
fn questions_that_are_none_are_answered_shortly() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-hostile-dns";
    let steps: Vec<String> = QUESTIONS
        .iter()
        .flat_map(|(kind, ..)| [format!("hostile:{kind}"), format!("hostile:{kind}:tcp")])
        .chain(["deluge:5000".to_owned(), "dns:udp:a.test".to_owned(), "dns:tcp:a.test".to_owned()])
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let said = world.client(agent, RULES, &steps);
    for ((kind, udp, tcp), said) in QUESTIONS.iter().zip(said.chunks(2)) {
        assert_eq!(said, [*udp, *tcp], "{kind}");
    }
    // After all of it, and with thousands of questions that nobody waits for, a plain one is answered.
    assert_eq!(said[2 * QUESTIONS.len()..], ["sent", "0 1", "0 1"], "{said:?}");
    // Nobody outside was asked for any of it.
    assert!(world.lines("queries").is_empty(), "{:?}", world.lines("queries"));
    assert!(world.lines("packets").is_empty(), "{:?}", world.lines("packets"));
    host::expect_nothing_left(agent);
}

#[test]
fn a_hello_in_pieces_is_a_hello() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-hostile-hello";
    let steps = [
        "pieces:a.test:443:1",
        "pieces:a.test:443:7",
        "pieces:a.test:443:50:split",
        // More records' headers than a hello is worth.
        "pieces:a.test:443:1:split",
    ];
    let said = world.client(agent, RULES, &steps);
    assert_eq!(said[..3], [r"b'\x16'", r"b'\x16'", r"b'\x16'"], "{said:?}");
    // The control: the server itself reads them all.
    let bare = world.bare_client(&steps);
    assert_eq!(bare[..3], said[..3]);
    host::expect_nothing_left(agent);
}

#[test]
fn a_crowd_that_says_nothing_costs_nobody_else() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let (agent, other) = ("jt-crowd", "jt-beside");
    let rules = format!("{RULES}\nconnections = 2000\nrate = 5000");
    let profile = world.profile(agent, &rules);
    // Whoever says nothing is given up after ten seconds: where time is slow a smaller crowd comes in that time.
    let count = 1000 / patient(Duration::from_secs(1)).as_secs();
    let connections = format!("crowd:a.test:443:{count}:tls/a.test/443");
    let words = ["python3", "/etc/client.py", &connections, "wait:60"];
    let crowd = world.begin(agent, &profile, &words);
    // One more of the same agent is carried, and the whole crowd stands.
    crowd.says(&format!("TLSv1.3 {count}"));
    let uid = host::uid_of(&format!("{agent}.gate")).unwrap();
    let gate = eventually("the gate", || host::processes(uid).first().map(|(pid, _)| *pid));
    let resident: u64 =
        host::status(gate, "VmRSS").unwrap().trim_end_matches(" kB").parse().unwrap();
    println!("{count} connections: the gate has {resident} kB");
    assert!(resident < 32 << 10, "{resident} kB");
    // Another agent does not feel it.
    let begun = Instant::now();
    let said = world.client(other, RULES, &["tls:a.test:443", "tcp:a.test:7000:x"]);
    assert_eq!(said, ["TLSv1.3", r"b'x\n'"]);
    assert!(begun.elapsed() < patient(Duration::from_secs(5)), "{:?}", begun.elapsed());
    // They are given up for that in the end.
    eventually("the reason", || {
        denials(agent).last().filter(|denial| denial["reason"] == "slow").map(|_| ())
    });
    crowd.signal(rustix::process::Signal::TERM);
    crowd.wait(crate::harness::DEADLINE);
    host::expect_nothing_left(agent);
}

/// Every spelling of a name is that name or nobody's, and every spelling of an address is no way in.
#[test]
fn a_name_has_one_spelling() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-spelling";
    let steps = [
        "tcp:A.TEST:7000:x",
        "tcp:a.test.:7000:x",
        "tcp:a.test..:7000:x",
        "tcp:xa.test:7000:x",
        "tcp:a.test.b.test:7000:x",
        "tcp:x.a.test:7000:x",
        "tcp:ａ.test:7000:x",
        "tcp:xn--a.test:7000:x",
        "tcp:a%2etest:7000:x",
        "tcp:127.1:7000:x",
        "tcp:0x7f000001:7000:x",
        "tcp:2130706433:7000:x",
        "tcp:0177.0.0.1:7000:x",
    ];
    let said = world.client(agent, RULES, &steps);
    // Fullwidth letters are the same letters after IDNA's mapping, which Python makes before it asks.
    for (step, said) in steps.iter().zip(&said) {
        let own = ["tcp:A.TEST:7000:x", "tcp:a.test.:7000:x", "tcp:ａ.test:7000:x"].contains(step);
        // The jail's own loopback: the port of a rule is the gate's there, too, and nobody's rule names it.
        let refused = ["gaierror", "UnicodeError", "ECONNRESET", "ENETUNREACH", "b''"];
        let fits = if own {
            said == r"b'x\n'"
        } else {
            refused.iter().any(|cause| said.starts_with(cause))
        };
        assert!(fits, "{step}: {said}");
    }
    let queries = world.lines("queries");
    assert!(queries.iter().all(|line| line.starts_with("a.test ")), "{queries:?}");
    let packets = world.lines("packets");
    assert!(
        packets.iter().all(|line| line == "tcp 93.184.1.1 7000" || line == "udp 10.99.0.1 53"),
        "{packets:?}"
    );
    host::expect_nothing_left(agent);
}
