//! One agent opens so many connections, so fast, and sends so much; never more, and never at another's cost.

use super::world::{World, denials};
use crate::harness::patient;
use std::time::Duration;

#[test]
fn connections_their_rate_and_bytes_are_bounded() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-bounds";
    let reason = || denials(agent).last().unwrap()["reason"].clone();
    let allow = "allow = ['a.test:7000', 'a.test:7003']";
    // The places of connections that were closed are free when the gate has come to them.
    let rest = format!("wait:{}", patient(Duration::from_millis(500)).as_secs_f64());
    let said = world.client(
        agent,
        &format!("{allow}\nconnections = 5"),
        &["many:a.test:7000:20", &rest, "many:a.test:7000:5"],
    );
    assert_eq!(said, ["5", "waited", "5"]);
    assert_eq!(reason(), "connections");
    let said = world.client(agent, &format!("{allow}\nrate = 1"), &["many:a.test:7000:100"]);
    let answered: u32 = said[0].parse().unwrap();
    assert!((1..100).contains(&answered), "{said:?}");
    assert_eq!(reason(), "rate");
    let said = world.client(
        agent,
        &format!("{allow}\nbytes = '1M'"),
        &["drain:a.test:7003", "tcp:a.test:7000:x"],
    );
    assert!(said[0].starts_with("ECONNRESET"), "{said:?}");
    assert!(said[1].starts_with("ECONNRESET") || said[1] == "b''", "{said:?}");
    assert_eq!(reason(), "bytes");
    // The control: without bounds all of it works.
    let said = world.client(agent, allow, &["many:a.test:7000:100", "drain:a.test:7003"]);
    assert_eq!(said, ["100", "67108864"]);
}
