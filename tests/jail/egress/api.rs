//! A service by a socket: the jail asks it, and never has its key.

use super::world::{World, denials};
use crate::harness::{Ended, Folder, cellblock, eventually, exec, patient, start};
use crate::host;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

const SOCKET: &str = "/run/api.sock";

impl World {
    /// A profile whose agent asks `upstream` with the key `key`, with `more` in `[network.api]` and `network` above it.
    fn service(&self, name: &str, upstream: &str, key: &str, [network, more]: [&str; 2]) -> String {
        let (client, authority) = (self.folder.text("client.py"), self.folder.text("ca.pem"));
        let key = self.folder.file(&format!("{name}.key"), &format!("{key}\n"), 0o600);
        self.folder.profile(
            name,
            &format!(
                "extends = ['demo']\n[network]\n{network}\n[network.api]\nsocket = '{SOCKET}'\nupstream = '{upstream}'\n\
                 key = '{key}'\nca = '{authority}'\n{more}\n\
                 [filesystem]\nread = [{{ path = '{client}', at = '/etc/client.py' }}]\n"
            ),
        )
    }

    /// What curl hears by the socket.
    fn curl(&self, agent: &str, profile: &str, words: &[&str]) -> Ended {
        let curl = ["curl", "-sS", "-m", "120", "--unix-socket", SOCKET];
        self.jailed(agent, profile, &[&curl[..], words].concat())
    }

    /// What `client.py` says in the jail of `profile`.
    fn said(&self, agent: &str, profile: &str, steps: &[&str]) -> Vec<String> {
        let words = [&["python3", "/etc/client.py"], steps].concat();
        let ended = self.jailed(agent, profile, &words);
        ended.expect(0).out.lines().map(str::to_owned).collect()
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_service_is_asked_with_a_key_that_never_comes_into_the_jail() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent, key) = (World::new(), "jt-api", crate::harness::canary());
    let profile = world.service(agent, "https://a.test", &key, ["", ""]);
    let own = ["-H", "X-Api-Key: own", "-H", "Authorization: Bearer own", "-b", "session=own"];
    let asked = ["http://localhost/v1/x?y=z", "-d", "12345"];
    let heard = world.curl(agent, &profile, &[&own[..], &asked].concat());
    assert_eq!(heard.expect(0).out, "POST a.test /v1/x?y=z 5 by TLSv1.3\n", "{heard:#?}");
    // The service heard that key and no other.
    assert_eq!(world.lines("credentials"), [format!("x-api-key={key}")]);
    // Nobody else was asked, nor even asked for.
    assert_eq!(world.lines("queries"), ["a.test 1", "a.test 28"]);
    assert_eq!(world.lines("packets"), ["tcp 93.184.1.1 443", "udp 10.99.0.1 53"]);
    // Nothing in the jail holds the key. The control: a secret of the environment is found.
    let search = format!("search:{}", hexadecimal(&key));
    let steps = [&format!("local:{SOCKET}:GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"), &*search];
    assert_eq!(world.said(agent, &profile, &steps), ["HTTP/1.1 200 OK", "[] in many files"]);
    let file = world.folder.text(&format!("{agent}.key"));
    let with = world.folder.profile(
        "with-secret",
        &format!("extends = ['{profile}']\n[environment]\nsecrets = {{ KEY = '{file}' }}\n"),
    );
    assert_eq!(world.said(agent, &with, &[&search]), ["['environ'] in many files"]);
    host::expect_nothing_left(agent);
}

#[test]
fn the_socket_leads_to_one_service_only() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-one");
    let profile = world.service(agent, "https://a.test", "real", ["mode = 'allowlist'", ""]);
    let ask = |request: &str| format!("local:{SOCKET}:{request}");
    let asked = [
        "GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n",
        "CONNECT evil.test:443 HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n",
        "GET http://evil.test/ HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n",
        // Two lengths of one body (RFC 9112, section 6.1): the rest is no second request of the agent's making.
        "POST /one HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 30\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nGET /two HTTP/1.1\\r\\nX-A: 1\\r\\n\\r\\n",
        "POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1\\r\\nContent-Length: 2\\r\\n\\r\\nab",
        "GET / HTTP/1.1\\r\\nHost: x\\r\\nX-Api-Key : own\\r\\n\\r\\n",
        "GET /\\x00 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
        "\\x16\\x03\\x01\\x02\\x00\\x01\\x00",
    ]
    .map(ask);
    // To be told what the service hears, or to be heard with another key.
    let refused = [
        (
            "TRACE / HTTP/1.1\\r\\nHost: x\\r\\nMax-Forwards: 0\\r\\n\\r\\n",
            "405 Method Not Allowed",
        ),
        ("TRACK / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", "405 Method Not Allowed"),
        ("GET /own?api_key=own HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", "403 Forbidden"),
    ]
    .map(|(request, status)| (ask(request), format!("HTTP/1.1 {status}")));
    let other: Vec<&str> = refused.iter().map(|(step, _)| step.as_str()).collect();
    let statuses: Vec<&String> = refused.iter().map(|(_, status)| status).collect();
    assert_eq!(world.said(agent, &profile, &other).iter().collect::<Vec<_>>(), statuses);
    assert!(world.lines("requests").is_empty());
    let steps: Vec<&str> = asked.iter().map(String::as_str).collect();
    let said = world.said(agent, &profile, &steps);
    assert_eq!(said[0], "HTTP/1.1 200 OK");
    assert_eq!(said[1], "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(said[2], "HTTP/1.1 421 Misdirected Request");
    // One answer, to the first of the two.
    assert_eq!(said[3], "HTTP/1.1 200 OK");
    for refused in &said[4..] {
        assert_eq!(refused, "HTTP/1.1 400 Bad Request", "{said:?}");
    }
    // Whatever was made of it, the service heard its own name and the one key with each request.
    assert_eq!(world.lines("credentials"), ["x-api-key=real"]);
    let requests = world.lines("requests");
    assert!(requests.iter().all(|line| line.contains(" a.test/")), "{requests:?}");
    let strange = ["evil", "/two", "TRAC", "/own"];
    let is_strange = |line: &String| strange.iter().any(|word| line.contains(word));
    assert!(!requests.iter().any(is_strange), "{requests:?}");
    assert_eq!(world.lines("queries"), ["a.test 1", "a.test 28"]);
}

#[test]
fn answers_and_questions_of_any_length_pass() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-long");
    let bearer = ["", "header = 'Authorization: Bearer'"];
    let profile = world.service(agent, "https://a.test", "real", bearer);
    // As it comes, and not when it is whole: the session of the service stays outside.
    let said = world.said(agent, &profile, &[&format!("parts:{SOCKET}:/slowly")]);
    assert!(said[0].parse::<u32>().unwrap() >= 3, "{said:?}");
    let heard = world.curl(agent, &profile, &["-i", "http://localhost/slowly"]);
    assert!(heard.expect(0).out.ends_with("first\nsecond\nthird\n"), "{heard:#?}");
    assert!(!heard.out.to_ascii_lowercase().contains("cookie"), "{heard:#?}");
    let script = format!(
        "head -c 3000000 /dev/zero | curl -sS -m 120 --unix-socket {SOCKET} -T - http://localhost/up; \
         head -c 3000000 /dev/zero > /tmp/f; curl -sS -m 120 --unix-socket {SOCKET} --data-binary @/tmp/f http://localhost/up"
    );
    let heard = world.jailed(agent, &profile, &["sh", "-c", &script]);
    let up = "a.test /up 3000000 by TLSv1.3";
    assert_eq!(heard.expect(0).out, format!("PUT {up}\nPOST {up}\n"), "{heard:#?}");
    // Where a body ends is told as the agent told it: some services insist on a length where there is nothing.
    let script = format!(
        "curl -sS --unix-socket {SOCKET} -d '' http://localhost/nothing; \
         printf 12 | curl -sS --unix-socket {SOCKET} -X GET -H 'Transfer-Encoding: chunked' --data-binary @- http://localhost/rare"
    );
    let heard = world.jailed(agent, &profile, &["sh", "-c", &script]);
    let wanted = "POST a.test /nothing 0 by TLSv1.3\nGET a.test /rare 2 by TLSv1.3\n";
    assert_eq!(heard.expect(0).out, wanted, "{heard:#?}");
    let lengths = world.lines("lengths");
    for wanted in ["POST /nothing 0 None", "GET /rare None chunked", "POST /up 3000000 None"] {
        assert!(lengths.iter().any(|line| line == wanted), "{wanted} in {lengths:?}");
    }
    // Many one after the other, on one connection.
    let heard = world.curl(agent, &profile, &["http://localhost/[1-200]"]);
    assert_eq!(heard.expect(0).out.lines().count(), 200);
    assert_eq!(world.lines("credentials"), ["authorization=Bearer real"]);
}

#[test]
fn a_service_that_cannot_be_asked_is_told_of() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-wrong");
    let told = |upstream: &str, more: &str, status: &str, why: &str, word: &str| {
        let profile = world.service(agent, upstream, "real", ["", more]);
        let heard = world.curl(agent, &profile, &["-w", "%{http_code}", "http://localhost/"]);
        assert!(heard.expect(0).out.ends_with(status), "{heard:#?}");
        assert!(heard.out.contains(why), "{why} in {heard:#?}");
        if !word.is_empty() {
            assert_eq!(denials(agent).last().unwrap()["reason"], word);
        }
    };
    let special = "10.77.0.1, a private address";
    told("https://inside.test", "", "502", special, "address");
    assert_eq!(
        denials(agent).last().unwrap()["allow"],
        "addresses = [\"10.77.0.1\"] in [network.api]"
    );
    told("https://inside.test", "addresses = ['10.77.0.1']", "200", "GET inside.test / 0", "");
    told("https://nobody.test", "", "502", "its name leads nowhere", "unresolved");
    told("https://a.test:9", "", "502", "Connection refused", "unreachable");
    // The certificate is for others.
    told("https://else.test", "", "502", "not valid for name", "unreachable");
    told("https://x.wild.test", "", "200", "GET x.wild.test / 0", "");
    // The host's own authorities do not know the one that made it.
    let known = std::fs::read_to_string(world.service(agent, "https://a.test", "real", ["", ""]));
    let known = known.unwrap();
    let lines = known.lines().filter(|line| !line.starts_with("ca = ")).skip(1);
    let profile = world.folder.profile("of-the-host", &lines.collect::<Vec<_>>().join("\n"));
    let heard = world.curl(agent, &profile, &["http://localhost/"]);
    assert!(heard.expect(0).out.contains("invalid peer certificate: UnknownIssuer"), "{heard:#?}");
    // The service never heard the key but where its certificate was right.
    assert_eq!(world.lines("credentials"), ["x-api-key=real"]);
}

#[test]
fn a_service_is_bounded_as_connections_are() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-bounds");
    let flock = format!("flock:{SOCKET}:20");
    let reason = || denials(agent).last().unwrap()["reason"].clone();
    let few = world.service(agent, "https://a.test", "real", ["connections = 5", ""]);
    assert_eq!(world.said(agent, &few, &[&flock]), ["5"]);
    assert_eq!(reason(), "connections");
    let little = world.service(agent, "https://a.test", "real", ["bytes = '100K'", ""]);
    let upload = format!(
        "head -c 1000000 /dev/zero | curl -sS -m 120 --unix-socket {SOCKET} -T - http://localhost/ || echo broken"
    );
    let ended = world.jailed(agent, &little, &["sh", "-c", &upload]);
    assert_eq!(ended.expect(0).out, "broken\n", "{ended:#?}");
    assert_eq!(reason(), "bytes");
    // The control.
    let free = world.service(agent, "https://a.test", "real", ["", ""]);
    assert_eq!(world.said(agent, &free, &[&flock]), ["20"]);
    let ended = world.jailed(agent, &free, &["sh", "-c", &upload]);
    assert_eq!(ended.expect(0).out, "PUT a.test / 1000000 by TLSv1.3\n", "{ended:#?}");
}

/// Every kind of answer that HTTP/1.1 knows comes as one, and the connection goes on after it.
#[test]
fn answers_of_every_kind_pass() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-kinds");
    let profile = world.service(agent, "https://a.test", "real", ["", ""]);
    let get = |target: &str| format!("GET {target} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n");
    let steps = [
        // Several requests at once, as an impatient client sends them: none of the answers has a body to count.
        format!("local:{SOCKET}:{}{}{}", get("/empty/204"), get("/empty/304"), get("/one")),
        format!("local:{SOCKET}:HEAD /two HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n{}", get("/three")),
        // Hints that come before the answer are not for a client that may not know them.
        format!("local:{SOCKET}:{}", get("/early")),
        format!("local:{SOCKET}:GET /old HTTP/1.0\\r\\n\\r\\n"),
        // Who has said all still hears the answer.
        format!("ended:{SOCKET}:{}", get("/slowly")),
        // The head is as long as a head may be, and then longer.
        format!("long:{SOCKET}:30000"),
        format!("long:{SOCKET}:300000"),
    ];
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let ok = "HTTP/1.1 200 OK";
    let said = world.said(agent, &profile, &steps);
    let empty = format!("HTTP/1.1 204 Nothing HTTP/1.1 304 Nothing {ok}");
    let wanted = [&*empty, &*format!("{ok} {ok}"), ok, "HTTP/1.0 200 OK", ok, ok];
    assert_eq!(said[..6], wanted, "{said:?}");
    assert_eq!(said[6], "HTTP/1.1 431 Request Header Fields Too Large", "{said:?}");
    assert_eq!(world.lines("credentials"), ["x-api-key=real"]);
}

/// A service that does not answer is waited for as long as somebody waits, and not longer.
#[test]
fn clients_that_leave_are_forgotten() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-left");
    let profile = world.service(agent, "https://a.test", "real", ["connections = 10", ""]);
    let ask = |head: &str, body: &str, clients: &str| {
        format!("leave:{SOCKET}:{head} HTTP/1.1\\r\\nHost; x\\r\\n{body}:{clients}")
            .replace("Host;", "Host\\x3a")
    };
    // One stays until the service has its request; the others are gone at once.
    let patient = patient(Duration::from_millis(500)).as_secs_f64();
    let asked = ask("GET /never", "\\r\\n", &format!("1:{patient}"));
    let never = ask("GET /never", "\\r\\n", "30:0.02");
    let half = ask("POST /up", "Content-Length\\x3a 100000\\r\\n\\r\\nhalf", "30:0.02");
    let head = ask("GET /", "", "30:0.02");
    // What else they have said is not read while they wait, and does not hide that they are gone.
    let again = "\\r\\nGET /more HTTP/1.1\\r\\n\\r\\n";
    let piped = ask("GET /never", again, &format!("12:{}", patient / 5.0));
    let behind = "Content-Length\\x3a 2\\r\\n\\r\\nab\\r\\n";
    let stray = ask("POST /never", behind, &format!("12:{}", patient / 5.0));
    let much = ask("POST /unread", "Content-Length\\x3a 100000000\\r\\n\\r\\n", "12:fill");
    let last = format!("local:{SOCKET}:GET /last HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n");
    let mut steps = vec![asked.as_str()];
    for crowd in [&never, &half, &head, &piped, &stray, &much] {
        steps.extend([crowd, "wait:0.3"]);
    }
    steps.push(&last);
    // With a place for each that had left, there would be none for the last one.
    let said = world.said(agent, &profile, &steps);
    assert_eq!(said.last().unwrap(), "HTTP/1.1 200 OK", "{said:?}");
    // Whoever had asked was gone for the service, too.
    let asked = world.lines("requests");
    assert!(asked.contains(&"GET a.test/never by TLSv1.3".to_owned()), "{asked:?}");
    eventually("the service is left", || (world.lines("left") == ["somebody"]).then_some(()));
    host::expect_nothing_left(agent);
}

/// Each agent has a socket of its own, which no other one sees.
#[test]
fn no_agent_asks_with_the_key_of_another() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let world = World::new();
    let first = world.service("jt-api-first", "https://a.test", "first", ["", ""]);
    let script = "echo begun; sleep 60";
    let running = world.begin("jt-api-first", &first, &["sh", "-c", script]);
    running.says("begun");
    let ask = ["curl", "-sS", "--unix-socket", SOCKET, "http://localhost/"];
    let without = world.profile("jt-api-second", "allow = ['a.test']");
    let ended = world.jailed("jt-api-second", &without, &ask);
    ended.expect(7);
    // One of its own at the same place is its own.
    let second = world.service("jt-api-second", "https://a.test", "second", ["", ""]);
    assert_eq!(
        world.jailed("jt-api-second", &second, &ask).expect(0).out,
        "GET a.test / 0 by TLSv1.3\n"
    );
    assert_eq!(world.lines("credentials"), ["x-api-key=second"]);
    running.signal(rustix::process::Signal::TERM);
    running.wait(crate::harness::DEADLINE);
}

/// Rules are for what goes by name: a change of them ends no connection to the service.
#[test]
fn a_change_of_rules_leaves_the_service_alone() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "curl");
    let (world, agent) = (World::new(), "jt-api-change");
    for (network, status) in [("mode = 'allowlist'", 0), ("", 125)] {
        let profile = world.service(agent, "https://a.test", "real", [network, ""]);
        let script = format!(
            "echo begun; while [ ! -e /tmp/on ]; do sleep 0.1; [ $((i=i+1)) -lt 100 ] || break; curl -sS --unix-socket {SOCKET} http://localhost/ || exit 7; done"
        );
        let running = world.begin(agent, &profile, &["sh", "-c", &script]);
        running.says("GET a.test / 0");
        let mut change = crate::harness::command(crate::harness::program());
        let changed = crate::harness::finish(change.args(["network", agent, "--deny", "a.test"]));
        changed.expect(status);
        if status != 0 {
            assert!(changed.err.contains("mode = \"allowlist\""), "{changed:#?}");
        }
        let before = running.out().matches("GET").count();
        crate::harness::eventually("the next answers", || {
            (running.out().matches("GET").count() > before + 2).then_some(())
        });
        running.signal(rustix::process::Signal::TERM);
        running.wait(crate::harness::DEADLINE);
    }
    host::expect_nothing_left(agent);
}

#[test]
fn a_service_that_is_not_fit_ends_the_launch() {
    needs!("root", "cgroup2");
    let folder = Folder::new();
    let open = folder.file("open", "real\n", 0o644);
    let empty = folder.file("empty", "\n", 0o600);
    let key = folder.file("key", "real\n", 0o600);
    let torn = folder.file("torn", "re\nal\n", 0o600);
    let tree = folder.directory("tree", 0o755);
    let agent = "jt-api-unfit";
    let service = |key: &str, more: &str| {
        format!(
            "[network.api]\nsocket = '{SOCKET}'\nupstream = 'https://a.test'\nkey = '{key}'\n{more}\n"
        )
    };
    let plain = service(&key, "");
    let cases: &[(String, &[&str], &[&str])] = &[
        (service(&open, ""), &[], &[&open, "chmod"]),
        (service(&empty, ""), &[], &["no key"]),
        (service(&torn, ""), &[], &["characters that no field can hold"]),
        (service("/nowhere/key", ""), &[], &["/nowhere/key"]),
        (service(&key, "ca = '/nowhere/ca.pem'"), &[], &["/nowhere/ca.pem"]),
        (service(&key, &format!("ca = '{key}'")), &[], &["no certificate"]),
        (service(&key, "header = 'Host'"), &[], &["Host", "how a request is carried"]),
        (plain.replace("https:", "http:"), &[], &["no TLS"]),
        (plain.replace("https://a.test", "https://a.test/v1"), &[], &["the agent's to say"]),
        (plain.replace(SOCKET, "/etc/passwd"), &[], &["something else in the jail"]),
        (plain.replace(SOCKET, "/run/cellblock/x"), &[], &["where the jail has its own"]),
        (
            format!(
                "{}[filesystem]\nread = [{{ path = '{tree}', at = '/opt/tree' }}]\n",
                plain.replace(SOCKET, "/opt/tree/s")
            ),
            &[],
            &["a tree of the host"],
        ),
        ("[network.api]\n".to_owned(), &[], &["socket", "upstream", "key"]),
        (plain.clone(), &["--without", "mount"], &["mount"]),
    ];
    for (text, options, words) in cases {
        let profile = folder.profile("unfit", &format!("extends = ['demo']\n{text}"));
        let ended = exec(agent, options, &profile, &["true"]);
        assert_eq!(ended.status, Some(125), "{text}: {ended:#?}");
        for word in *words {
            assert!(ended.err.contains(word), "{word} in {text}: {ended:#?}");
        }
        assert!(!ended.err.contains("real"), "{ended:#?}");
    }
    // The control: what was changed each time is all that was wrong.
    let authority = ["ca = '/etc/ssl/certs/ca-certificates.crt'", ""];
    let known = Path::new("/etc/ssl/certs/ca-certificates.crt").exists();
    let profile = folder.profile(
        "fit",
        &format!("extends = ['demo']\n{}", service(&key, authority[usize::from(!known)])),
    );
    exec(agent, &[], &profile, &["test", "-S", SOCKET]).expect(0);
    host::expect_nothing_left(agent);
}

#[test]
fn claude_code_completes_a_prompt_without_a_network_and_without_a_key() {
    needs!("root", "cgroup2", "claude", "python3", "openssl", "ip");
    let (world, agent) = (World::new(), "jt-claude-socket");
    let project = world.folder.directory("project", 0o755);
    chown(&project, Some(4242), Some(4242)).unwrap();
    let program = std::env::var("CELLBLOCK_CLAUDE").unwrap();
    let place = Path::new(&program).parent().unwrap().display().to_string();
    let (authority, key) = (world.folder.text("ca.pem"), crate::harness::canary());
    let file = world.folder.file("real.key", &key, 0o600);
    let profile = world.folder.profile(
        agent,
        &format!(
            "extends = ['claude']\n[network]\nmode = 'none'\n[network.api]\nsocket = '{SOCKET}'\n\
             upstream = 'https://api.anthropic.com'\nkey = '{file}'\nca = '{authority}'\n\
             [environment.set]\nANTHROPIC_API_KEY = 'sk-ant-api03-abcdefghijklmnopqrst'\n\
             ANTHROPIC_UNIX_SOCKET = '{SOCKET}'\nANTHROPIC_BASE_URL = 'http://localhost'\n\
             [filesystem]\nexecute = [{{ path = '{place}', at = '/opt/claude/bin' }}]\n"
        ),
    );
    let options = ["--without", "memory", "--without", "tasks", "--workspace", &project];
    let words = ["claude", "-p", "Who answers?"];
    let inner = cellblock("exec", agent, &options, &profile, &words);
    let ended = start(&mut world.inside(&inner)).wait(crate::harness::DEADLINE * 3);
    assert!(ended.expect(0).out.contains("the world answers"), "{ended:#?}");
    assert_eq!(world.lines("keys"), [key]);
    let queries = world.lines("queries");
    assert!(queries.iter().all(|line| line.starts_with("api.anthropic.com ")), "{queries:?}");
    host::expect_nothing_left(agent);
}
