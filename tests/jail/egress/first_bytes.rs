//! A connection must be for the name that it was allowed by: TLS by its hello, HTTP by each of its requests.

use super::world::{World, denials};

const RULES: &str = "allow = ['a.test', 'a.test:80', 'wild.test', { to = 'b.test', tls = 'any' }, { to = 'b.test:80', http = 'any' }]";

#[test]
fn a_hello_for_another_name_is_refused() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-hello";
    let said = world.client(
        agent,
        RULES,
        &[
            "tls:a.test:443",
            "tls:a.test:443:b.test",
            "tls:a.test:443:-",
            "tls:b.test:443:a.test",
            "tls:b.test:443:-",
        ],
    );
    assert_eq!((&*said[0], &*said[3], &*said[4]), ("TLSv1.3", "TLSv1.3", "TLSv1.3"), "{said:?}");
    assert!(said[1].contains("ACCESS_DENIED") || said[1].contains("SSL"), "{said:?}");
    assert!(said[2].contains("ACCESS_DENIED") || said[2].contains("SSL"), "{said:?}");
    let told = denials(agent);
    let reasons: Vec<_> =
        told.iter().rev().take(2).map(|denial| denial["reason"].clone()).collect();
    assert_eq!(reasons, ["tls-hello", "tls-name"]);
    // The same reaches the server where there is no gate.
    assert_eq!(world.bare_client(&["raw:a.test:7000:x"]).len(), 1);
}

#[test]
fn what_is_no_hello_is_refused() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-no-hello";
    let alert = r"b'\x15\x03\x03\x00\x02\x021'";
    let said = world.client(
        agent,
        RULES,
        &[
            "raw:a.test:443:GET / HTTP/1.1\\r\\n\\r\\n",
            "raw:a.test:443:SSH-2.0-x\\r\\n",
            // A record that is no handshake, one that is too long, a hello of 16 MB.
            "raw:a.test:443:\\x17\\x03\\x03\\x00\\x01x",
            "raw:a.test:443:\\x16\\x03\\x01\\xff\\xff",
            "raw:a.test:443:\\x16\\x03\\x01\\x40\\x00\\x01\\xff\\xff\\xff",
        ],
    );
    assert!(said.iter().all(|said| said == alert), "{said:?}");
    // No server was called for any of it.
    assert!(
        !world.lines("packets").iter().any(|line| line.ends_with(" 443")),
        "{:?}",
        world.lines("packets")
    );
}

#[test]
fn requests_for_another_host_are_refused() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-requests";
    let head = |host: &str, more: &str| {
        format!("raw:a.test:80:GET / HTTP/1.1\\r\\nHost: {host}\\r\\n{more}\\r\\n")
    };
    let good = head("a.test", "");
    let smuggled = format!(
        "{}GET /smuggled HTTP/1.1\\r\\nHost: b.test\\r\\n\\r\\n",
        head("a.test", "Connection: keep-alive\\r\\n")
    );
    let steps = [
        good.clone(),
        head("b.test", ""),
        head("a.test", "Host: b.test\\r\\n"),
        head("a.test", "Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n"),
        head("a.test", "Upgrade: h2c\\r\\n"),
        "raw:a.test:80:GET http://b.test/ HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n".to_owned(),
        "raw:a.test:80:CONNECT b.test:443 HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n".to_owned(),
        "raw:a.test:80:PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n".to_owned(),
        smuggled,
    ];
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let said = world.client(agent, RULES, &steps);
    assert!(said[0].starts_with("b'HTTP/1.1 200 OK"), "{said:?}");
    for said in &said[1..8] {
        assert!(said.starts_with("b'HTTP/1.1 403 Forbidden"), "{said}");
    }
    assert_eq!(world.lines("requests"), ["GET a.test/"], "{said:?}");
    // The control: without the check they all come through.
    let through = world.client(
        agent,
        RULES,
        &[&*good.replace("raw:a.test", "raw:b.test").replace("Host: a.test", "Host: c.test")],
    );
    assert!(through[0].starts_with("b'HTTP/1.1 200 OK"), "{through:?}");
    assert_eq!(world.lines("requests"), ["GET a.test/", "GET c.test/"]);
}

#[test]
fn a_hello_that_never_ends_is_given_up() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-slow";
    let said = world.client(agent, RULES, &["hear:a.test:443"]);
    // The client itself waits for ten seconds, the gate for fifteen.
    assert!(said[0].contains("timed out") || said[0].contains("TimeoutError"), "{said:?}");
    let profile = world.profile(agent, RULES);
    let script = "import socket\nstream = socket.create_connection(('a.test', 443))\nstream.send(b'\\x16\\x03')\nprint(stream.recv(10))";
    let ended = world.jailed(agent, &profile, &["python3", "-c", script]);
    assert_eq!(ended.expect(0).out.trim(), r"b'\x15\x03\x03\x00\x02\x021'");
    assert_eq!(denials(agent).last().unwrap()["reason"], "slow");
}

/// A server may ask for another hello: that one must be for the same name, too.
#[test]
fn a_second_hello_is_for_the_same_name() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-second-hello";
    let rules = "allow = [{ to = 'a.test:8443', tls = 'name' }]";
    let alert = r"b'\x15\x03\x03\x00\x02\x021'";
    let said = world.client(
        agent,
        rules,
        &["tls:a.test:8443", "second:a.test:8443:a.test", "second:a.test:8443:b.test"],
    );
    assert_eq!(said[0], "TLSv1.3");
    // The server itself says what it thinks of a hello that does not answer it.
    assert!(said[1] != alert && said[1].starts_with("b'"), "{said:?}");
    assert!(said[2].starts_with("ECONNRESET") || said[2] == alert, "{said:?}");
    let told = denials(agent);
    assert_eq!(told.last().unwrap()["reason"], "tls-name", "{told:?}");
    assert_eq!(told.last().unwrap()["why"], "its TLS hello is for b.test");
    // The control: without the check the server sees it, and answers like before.
    let any = world.client(
        agent,
        "allow = [{ to = 'a.test:8443', tls = 'any' }]",
        &["second:a.test:8443:b.test"],
    );
    assert_eq!(any[0], said[1]);
}
