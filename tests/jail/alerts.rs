//! Alerts of real supervisors: who is told of what, by which sink, and what those may do who tell it.

use crate::harness::{self, eventually, finish, patient};
use crate::installation::{COUNTS, Installation, STRANGER, as_user, role};
use rustix::process::Signal;
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// An installation with journals of its own.
pub(crate) struct Alerting {
    supervisor: Installation,
    folder: tempfile::TempDir,
}

impl Alerting {
    pub(crate) fn new(agents: &[&'static str], more: &str) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        Self::within(folder, agents, more)
    }

    /// With its journals in `folder`, where everybody may look for what else is there.
    pub(crate) fn within(folder: tempfile::TempDir, agents: &[&'static str], more: &str) -> Self {
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let paths = format!("log = '{}/log'", folder.path().display());
        Self { supervisor: Installation::with_paths(agents, &paths, more), folder }
    }

    /// The file of a sink.
    pub(crate) fn file(&self, sink: &str) -> PathBuf {
        self.folder.path().join(format!("log/alerts/{sink}.jsonl"))
    }

    /// All alerts, oldest first.
    pub(crate) fn all(&self) -> Vec<Value> {
        let all = self.ask("alerts", &["--json", "-n", "1000"]).expect(0).out.clone();
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl std::ops::Deref for Alerting {
    type Target = Installation;

    fn deref(&self) -> &Installation {
        &self.supervisor
    }
}

impl std::ops::DerefMut for Alerting {
    fn deref_mut(&mut self) -> &mut Installation {
        &mut self.supervisor
    }
}

/// Who may run the commands of sinks here: nobody's number.
pub(crate) const TELLER: u32 = 54_400;

/// A receiver of requests that says `answer` to each, and passes on what it was asked.
pub(crate) fn receiver(answer: &'static str) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (says, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let text = request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap_or_default();
            if says.send(text).is_err() {
                return;
            }
        }
    });
    (port, hears)
}

/// A whole request, as far as it comes.
pub(crate) fn request(stream: &mut impl std::io::Read) -> String {
    let mut text = Vec::new();
    let mut block = [0; 4096];
    while !text.ends_with(b"}") {
        match stream.read(&mut block) {
            Ok(count @ 1..) => text.extend_from_slice(&block[..count]),
            Ok(0) | Err(_) => break,
        }
    }
    String::from_utf8(text).unwrap()
}

pub(crate) const FINE: &str = "HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n";

/// The alert in the body of a request.
pub(crate) fn body(request: &str) -> Value {
    serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

/// A sink with what belongs to it.
pub(crate) fn sink(name: &str, kind: &str, more: &str) -> String {
    format!("[[alerts.sinks]]\nname = '{name}'\nkind = '{kind}'\n{more}\n")
}

/// Lines of JSON in a file; none where it is not there.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The processes of a supervisor whose command line begins with `name`.
pub(crate) fn children(supervisor: &Installation, name: &str) -> Vec<i32> {
    let own = supervisor.pid();
    let all = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    let pids = all.split_whitespace().map(|pid| pid.parse().unwrap());
    let called = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(name.as_bytes())
    };
    pids.filter(called).collect()
}

fn status_of(pid: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap_or_default().to_owned()
}

/// A refused call: the cheapest event there is.
pub(crate) fn refuse(supervisor: &Installation, times: usize) {
    for _ in 0..times {
        let refused = as_user(STRANGER, &supervisor.verb("up", &[]));
        assert_eq!(refused.status, Some(125), "{refused:#?}");
    }
}

/// A file that the user `uid` can write, in a folder that they can enter.
fn file_of(supervisor: &Installation, name: &str, uid: u32) -> String {
    let path = supervisor.path(name);
    std::fs::write(&path, "").unwrap();
    std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
    path.display().to_string()
}

/// A journal's socket in `folder`, which everybody may reach.
fn journal_in(folder: &Path) -> (String, UnixDatagram) {
    let path = folder.join("journal");
    let journal = UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    (path.display().to_string(), journal)
}

/// The next entry.
pub(crate) fn heard(journal: &UnixDatagram) -> String {
    journal.set_read_timeout(Some(patient(Duration::from_secs(20)))).unwrap();
    let mut entry = [0; 4096];
    let length = journal.recv(&mut entry).unwrap();
    String::from_utf8_lossy(&entry[..length]).into_owned()
}

/// Fails unless the request shows that its sender knows `secret`, which it does not tell.
fn expect_signed(asked: &str, secret: &str) {
    let signed = asked.lines().find_map(|line| line.strip_prefix("cellblock-signature: ")).unwrap();
    let (time, signature) = signed.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let text = format!("{time}.{}", asked.split("\r\n\r\n").nth(1).unwrap());
    let mut openssl = harness::command("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", secret]);
    let expected = harness::finish_with(&mut openssl, text.into_bytes()).expect(0).out.clone();
    assert!(expected.contains(signature), "{expected} {signature}");
    assert!(!asked.contains(secret));
}

/// Fails unless a command ran as the user who tells, with no right and no variable but those of the alert.
fn expect_bare(ran: &str) {
    assert!(ran.contains(&format!("uid={TELLER} gid={TELLER} groups={TELLER}\n")), "{ran}");
    for line in [
        "CELLBLOCK_RULE=starts",
        "CELLBLOCK_AGENT=jt-al-all",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(ran.lines().any(|it| it == line), "no {line} in {ran}");
    }
    assert!(!ran.contains("HOME=") && !ran.contains("CREDENTIALS"), "{ran}");
}

#[test]
fn every_kind_of_sink_is_told_of_an_agent_that_starts() {
    needs!("root", "cgroup2", "tmux", "openssl");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (journal_text, journal) = journal_in(folder.path());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let (port, asked) = receiver(FINE);
    let mut supervisor = Alerting::new(&["jt-al-all"], "");
    let out = file_of(&supervisor, "out", TELLER);
    let script = format!(
        "cat > {out}; id >> {out}; env | sort >> {out}; grep -E '^(Cap|NoNew)' /proc/self/status >> {out}; ls /proc/self/fd >> {out}"
    );
    let secret = secret.display();
    let more = [
        sink("file", "log", ""),
        sink("journal", "journald", &format!("socket = '{journal_text}'")),
        sink("run", "command", &format!("command = ['/bin/sh', '-c', \"\"\"{script}\"\"\", 'x']\nuser = {TELLER}")),
        sink("hook", "webhook", &format!("url = 'http://127.0.0.1:{port}/in'\nauth = 'hmac'\nsecret = '{secret}'")),
        sink("quiet", "log", "least = 'critical'"),
        "[[alerts.rules]]\nname = 'starts'\non = ['started']\nagents = ['jt-al-*']\nseverity = 'high'\n".to_owned(),
    ];
    supervisor.configure(&more.concat());
    supervisor.dies();
    supervisor.begin();
    supervisor.start("jt-al-all", COUNTS).expect(0);
    // The one that is written down first, whatever sinks there are.
    let listed = || {
        let all = supervisor.ask("alerts", &["jt-al-all", "--json"]).expect(0).out.clone();
        all.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap())
    };
    let alert = eventually("the alert", listed);
    assert_eq!(alert["rule"], "starts");
    assert_eq!((&alert["severity"], &alert["event"]), (&"high".into(), &"started".into()));
    assert_eq!((&alert["agent"], &alert["count"]), (&"jt-al-all".into(), &1.into()));
    // The file.
    let written = || lines(&supervisor.file("file")).into_iter().next();
    assert_eq!(eventually("the line", written), alert);
    // The journal.
    let entry = heard(&journal);
    for field in ["PRIORITY=3", "CELLBLOCK_AGENT=jt-al-all", "CELLBLOCK_RULE=starts"] {
        assert!(entry.lines().any(|line| line == field), "{entry}");
    }
    // The receiver, who can check who sent it.
    let asked = asked.recv_timeout(patient(Duration::from_secs(20))).unwrap();
    assert!(asked.starts_with("POST /in HTTP/1.1\r\n"), "{asked}");
    assert_eq!(body(&asked), alert);
    expect_signed(&asked, "s3cret");
    // The command, as who it is, and with nothing else.
    let ran = eventually("the command", || {
        let text = std::fs::read_to_string(&out).unwrap();
        text.contains("NoNewPrivs").then_some(text)
    });
    assert_eq!(serde_json::from_str::<Value>(ran.lines().next().unwrap()).unwrap(), alert);
    expect_bare(&ran);
    // A sink for worse things was not told.
    assert!(lines(&supervisor.file("quiet")).is_empty());
    supervisor.ask("stop", &["--now", "jt-al-all"]).expect(0);
}

/// Takes requests by TLS, and writes their bodies into a file.
const TLS: &str = r#"
import http.server, ssl, sys
class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers['content-length']))
        open(sys.argv[3], 'ab').write(self.headers['authorization'].encode() + b' ' + text + b'\n')
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer(('127.0.0.1', 0), Taker)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn a_receiver_by_tls_is_told_where_its_certificate_is_right() {
    needs!("root", "cgroup2", "python3", "openssl");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (key, cert, out, secret) = (at("key.pem"), at("cert.pem"), at("out"), at("secret"));
    let mut openssl = harness::command("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", &key, "-out", &cert]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    finish(&mut openssl).expect(0);
    std::fs::write(&secret, "t0ken\n").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let mut python = harness::command("python3");
    let server = harness::start(python.args(["-c", TLS, &cert, &key, &out]));
    let port = eventually("the port", || server.out().trim().parse::<u16>().ok());
    let hook = |name: &str, host: &str, ca: &str| {
        let auth = format!("auth = 'bearer'\nsecret = '{secret}'");
        sink(name, "webhook", &format!("url = 'https://{host}:{port}/'\n{auth}\n{ca}"))
    };
    let ca = format!("ca = '{cert}'");
    let more = [
        hook("right", "localhost", &ca),
        // Another name than the certificate's, and an authority that nobody knows.
        hook("name", "127.0.0.1", &ca),
        hook("strange", "localhost", ""),
    ];
    let supervisor = Alerting::new(&[], &more.concat());
    let (_, told) = tried(&supervisor, &[]);
    let cause = |name: &str| {
        let told = told.iter().find(|told| told["sink"] == name).unwrap();
        told["failed"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(cause("right"), "");
    assert!(cause("name").contains("by TLS: "), "{}", cause("name"));
    assert!(!cause("strange").is_empty());
    let taken = std::fs::read_to_string(&out).unwrap();
    assert_eq!(taken.lines().count(), 1, "who is not checked is told nothing: {taken}");
    let (auth, body) = taken.split_at("Bearer t0ken ".len());
    assert_eq!(auth, "Bearer t0ken ");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["test"], true);
}

#[test]
fn who_tells_alerts_has_no_rights() {
    needs!("root", "cgroup2", "landlock>=1");
    let run = sink("run", "command", &format!("command = ['/bin/true']\nuser = {TELLER}"));
    let supervisor = Alerting::new(&[], &(run + &sink("file", "log", "")));
    supervisor.ask("alerts", &["test"]).expect(0);
    let [tells] = children(&supervisor, "cellblock-alerts")[..] else { panic!() };
    let [runs] = children(&supervisor, "cellblock-alerts-command")[..] else { panic!() };
    for pid in [tells, runs] {
        for set in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
            assert_eq!(status_of(pid, set), "0000000000000000", "{set}");
        }
        assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    }
    assert_eq!(status_of(runs, "Uid"), TELLER.to_string());
    let uid = status_of(tells, "Uid");
    assert!(uid != "0" && uid != TELLER.to_string(), "{uid}");
    // The supervisor itself has none, and what it starts for agents has the other.
    assert_eq!(
        (status_of(tells, "Seccomp"), status_of(supervisor.pid(), "Seccomp")),
        ("2".to_owned(), "0".to_owned())
    );
    let owner = std::os::unix::fs::MetadataExt::uid(
        &supervisor.file("file").parent().unwrap().metadata().unwrap(),
    );
    assert_eq!(owner.to_string(), uid);
}

#[test]
fn refused_calls_are_an_alert_and_a_storm_is_one() {
    needs!("root", "cgroup2");
    let more = format!("[supervisor]\ngroup = {STRANGER}\n") + &sink("file", "log", "");
    let mut supervisor = Alerting::new(&[], &more);
    refuse(&supervisor, 5);
    assert!(supervisor.all().is_empty(), "five are not more than five");
    refuse(&supervisor, 20);
    let alerts = supervisor.all();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((&alerts[0]["rule"], &alerts[0]["count"]), (&"auth-failures".into(), &6.into()));
    assert_eq!(alerts[0]["agent"], Value::Null);
    let shown = supervisor.ask("alerts", &[]).expect(0).out.clone();
    assert!(
        shown.contains("high") && shown.contains("auth-failures: 6 events within 1m"),
        "{shown}"
    );
    // They are known to the next supervisor.
    supervisor.dies();
    supervisor.begin();
    assert_eq!(supervisor.all(), alerts);
    // A rule of the file takes the place of the shipped one of its name, at once.
    let rule = "[[alerts.rules]]\nname = 'auth-failures'\nmore_than = 1\nseverity = 'critical'\n";
    supervisor.configure(&(more + rule));
    supervisor.ask("reload", &[]).expect(0);
    // Who follows sees what is there, and then what comes.
    let follows = harness::start(&mut supervisor.verb("alerts", &["--follow", "-n", "1"]));
    follows.says("auth-failures: 6 events");
    refuse(&supervisor, 2);
    let alerts = supervisor.all();
    assert_eq!(
        (alerts.len(), &alerts[1]["severity"], &alerts[1]["count"]),
        (2, &"critical".into(), &2.into())
    );
    follows.says("critical");
    let said = follows.out();
    assert_eq!(said.matches("auth-failures: 6 events").count(), 1, "{said}");
    follows.signal(Signal::TERM);
    follows.wait(harness::DEADLINE);
}

#[test]
fn a_viewer_sees_the_alerts_of_their_agents_alone() {
    needs!("root", "cgroup2", "tmux");
    let rule = "[[alerts.rules]]\nname = 'starts'\non = ['started']\n[[alerts.rules]]\nname = 'all'\non = ['started']\nby = 'all'\n";
    let roles = role("viewer", "agents = ['jt-al-seen']");
    let supervisor =
        Alerting::new(&["jt-al-seen", "jt-al-not"], &(roles + rule + &sink("file", "log", "")));
    supervisor.start("jt-al-seen", "sleep 1000").expect(0);
    supervisor.start("jt-al-not", "sleep 1000").expect(0);
    let count = |words: &[&str]| {
        let ended = as_user(STRANGER, &supervisor.verb("alerts", words));
        (ended.status, ended.out.lines().filter(|line| line.starts_with('{')).count())
    };
    let root = || supervisor.ask("alerts", &["--json"]).expect(0).out.lines().count();
    eventually("all alerts", || (root() == 3).then_some(()));
    assert_eq!(count(&["--json"]), (Some(0), 1));
    assert_eq!(count(&["--json", "jt-al-seen"]), (Some(0), 1));
    let refused = as_user(STRANGER, &supervisor.verb("alerts", &["jt-al-not"]));
    refused.expect_refusal(125, &["has no role for `jt-al-not`"]);
    let refused = as_user(STRANGER, &supervisor.verb("alerts", &["test"]));
    refused.expect_refusal(125, &["`try-alerts` needs an admin"]);
    supervisor.ask("stop", &["--now", "jt-al-seen", "jt-al-not"]).expect(0);
}

#[test]
fn a_figure_that_is_too_high_is_an_alert() {
    needs!("root", "cgroup2", "tmux");
    let rule = "[[alerts.rules]]\nname = 'many'\ngauge = 'tasks'\nabove = 20\nfor = '1s'\nseverity = 'high'\n";
    let supervisor = Alerting::new(&["jt-al-gauge", "jt-al-few"], rule);
    let script = "for i in $(seq 30); do sleep 1000 & done; wait";
    supervisor.start("jt-al-gauge", script).expect(0);
    supervisor.start("jt-al-few", "sleep 1000").expect(0);
    let told = eventually("the alert", || {
        let ended = supervisor.ask("alerts", &["jt-al-gauge"]);
        ended.out.contains("many of jt-al-gauge").then(|| ended.out.clone())
    });
    assert!(told.contains("tasks of jt-al-gauge: ") && told.contains(", above 20"), "{told}");
    assert!(!supervisor.ask("alerts", &["jt-al-few"]).expect(0).out.contains("many"));
    supervisor.ask("stop", &["--now", "jt-al-gauge", "jt-al-few"]).expect(0);
}

#[test]
fn an_agent_that_fails_again_and_again_is_two_alerts() {
    needs!("root", "cgroup2", "tmux");
    let rule = "[[alerts.rules]]\nname = 'restart-loop'\nmore_than = 1\n";
    let supervisor = Alerting::new(&["jt-al-loop"], rule);
    let words = ["--restart", "always", "--name", "jt-al-loop", "demo", "--", "sh", "-c", "exit 3"];
    supervisor.ask("start", &words).expect(0);
    let told = eventually("both alerts", || {
        let told = supervisor.ask("alerts", &["jt-al-loop"]).expect(0).out.clone();
        told.contains("restart-loop").then_some(told)
    });
    assert_eq!(told.matches("failed-agent of jt-al-loop").count(), 1, "{told}");
    assert!(told.contains("is started again, for the 2. time in a row"), "{told}");
    supervisor.ask("stop", &["jt-al-loop"]).expect(0);
}

#[test]
fn what_the_watch_finds_is_an_alert_where_its_rule_asks_for_one() {
    needs!("root", "cgroup2", "tmux");
    let agents = ["jt-al-left", "jt-al-logs"];
    let supervisor = Alerting::new(&agents, "");
    for (agent, action) in [(agents[0], "alert"), (agents[1], "log")] {
        let profile = supervisor.path(&format!("{agent}.toml")).display().to_string();
        let rule = format!("[watch.detached]\ngrace = '1s'\naction = '{action}'\n");
        std::fs::write(&profile, format!("schema = 1\nextends = ['demo']\n{rule}")).unwrap();
        let script = "setsid -f sleep 1000; sleep 1000";
        let words = ["--name", agent, &profile, "--", "bash", "-c", script];
        supervisor.ask("start", &words).expect(0);
    }
    let logs = || supervisor.ask("logs", &[agents[1]]).expect(0).out.clone();
    eventually("the other finding", || logs().contains("detached: ").then_some(()));
    let alert = eventually("the alert", || supervisor.all().into_iter().next());
    assert_eq!((&alert["rule"], &alert["agent"]), (&"findings".into(), &agents[0].into()));
    assert!(alert["told"].as_str().unwrap().starts_with("detached: "), "{alert}");
    assert_eq!(supervisor.all().len(), 1, "{:?}", supervisor.all());
    supervisor.ask("stop", &["--now", agents[0], agents[1]]).expect(0);
}

/// What `curl` or Prometheus would get.
fn scrape(mut stream: impl std::io::Read + std::io::Write) -> String {
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The value of the sample `line`.
fn sample(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn figures_are_collected_while_agents_start_and_stop() {
    needs!("root", "cgroup2", "tmux", "perl");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let socket = folder.path().join("metrics");
    let listen = format!("[metrics]\nlisten = 'unix:{}'\n", socket.display());
    let agents = ["jt-al-fig", "jt-al-fig2"];
    let supervisor = Alerting::new(&agents, &(listen + &sink("file", "log", "")));
    let profile = supervisor.path("allowlist.toml").display().to_string();
    let rules = "mode = 'allowlist'\nallow = ['a.test:7000']";
    std::fs::write(&profile, format!("schema = 1\nextends = ['demo']\n[network]\n{rules}\n"))
        .unwrap();
    let script = "perl -MSocket -e 'gethostbyname(\"refused.test\")'; for i in 1 2 3 4 5; do sleep 1000 & done; wait";
    let words = ["--name", agents[0], &profile, "--", "bash", "-c", script];
    supervisor.ask("start", &words).expect(0);
    let figures = || scrape(UnixStream::connect(&socket).unwrap());
    let text = eventually("the figures of an agent", || {
        let text = figures();
        let denied = "cellblock_agent_denials_total{agent=\"jt-al-fig\",wall=\"gate\"}";
        let counts = "cellblock_agent_gate_refused_total{agent=\"jt-al-fig\"}";
        let both = sample(&text, denied).is_some() && sample(&text, counts).is_some();
        let tasks = sample(&text, "cellblock_agent_tasks{agent=\"jt-al-fig\"}");
        (both && tasks >= Some(5.0)).then_some(text)
    });
    assert!(text.starts_with(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
    ));
    assert_eq!(sample(&text, "cellblock_agents{state=\"running\"}"), Some(1.0), "{text}");
    assert_eq!(sample(&text, "cellblock_agent_people{agent=\"jt-al-fig\"}"), Some(0.0));
    let cpu = "cellblock_agent_cpu_seconds_total{agent=\"jt-al-fig\"}";
    assert!(sample(&text, cpu).is_some_and(|cpu| cpu > 0.0), "{text}");
    // While others come and go: each answer is whole.
    for round in 0..3 {
        supervisor.start(agents[1], "sleep 1000").expect(0);
        let running = || sample(&figures(), "cellblock_agents{state=\"running\"}") == Some(2.0);
        eventually("two agents", || running().then_some(()));
        supervisor.ask("stop", &["--now", agents[1]]).expect(0);
        let ended = "cellblock_agent_events_total{agent=\"jt-al-fig2\",event=\"ended\"}";
        let seen = || sample(&figures(), ended) == Some(f64::from(round + 1));
        eventually("the end", || seen().then_some(()));
    }
    supervisor.ask("alerts", &["test"]).expect(0);
    let told = || sample(&figures(), "cellblock_sink_delivered_total{sink=\"file\"}") == Some(1.0);
    eventually("the sink", || told().then_some(()));
    // Every metric of the manual and of the dashboard is one of a real run.
    let text = figures();
    let exported: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for documented in
        [include_str!("../../docs/metrics.md"), include_str!("../../docs/grafana/cellblock.json")]
    {
        let names = documented.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let names: Vec<_> = names.filter(|name| name.starts_with("cellblock_")).collect();
        assert!(names.len() > 10);
        for name in names {
            assert!(exported.contains(&name), "{name} is documented, and there is none");
        }
    }
    supervisor.ask("rm", &[agents[1]]).expect(0);
    eventually("nothing of it", || (!figures().contains("jt-al-fig2")).then_some(()));
    supervisor.ask("stop", &["--now", agents[0]]).expect(0);
}

#[test]
fn a_socket_of_figures_is_for_its_group_and_a_port_for_this_machine() {
    needs!("root", "cgroup2", "curl");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = folder.path().join("metrics").display().to_string();
    let unix = |more: &str| format!("[metrics]\nlisten = 'unix:{socket}'\n{more}");
    let supervisor = Alerting::new(&[], &unix(""));
    let curl = |uid: u32, words: &[&str]| {
        let mut curl = harness::command("curl");
        curl.args(["-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}"]).args(words);
        let ended = if uid == 0 { finish(&mut curl) } else { as_user(uid, &curl) };
        ended.out.clone()
    };
    let by_socket = ["--unix-socket", &socket, "http://x/metrics"];
    eventually("the socket", || (curl(0, &by_socket) == "200").then_some(()));
    assert_eq!(curl(STRANGER, &by_socket), "000");
    supervisor.configure(&unix(&format!("group = {STRANGER}\n")));
    supervisor.ask("reload", &[]).expect(0);
    eventually("the group", || (curl(STRANGER, &by_socket) == "200").then_some(()));
    assert_eq!(curl(STRANGER + 1, &by_socket), "000");
    supervisor.configure(&format!("[metrics]\nlisten = '127.0.0.1:{port}'\n"));
    supervisor.ask("reload", &[]).expect(0);
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    eventually("the port", || (curl(STRANGER, &[&at("/metrics")]) == "200").then_some(()));
    assert_eq!(curl(0, &[&at("/other")]), "404");
    assert_eq!(curl(0, &["-X", "POST", &at("/metrics")]), "405");
    let listens = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let bound =
        |address: &str| listens.contains(&format!(" {address}:{port:04X} 00000000:0000 0A"));
    assert!(bound("0100007F") && !bound("00000000"), "{listens}");
    supervisor.configure("");
    supervisor.ask("reload", &[]).expect(0);
    eventually("nobody", || (curl(0, &[&at("/metrics")]) == "000").then_some(()));
    eventually("no process", || children(&supervisor, "cellblock-alerts").is_empty().then_some(()));
}

/// How often a process was woken, and the processor time that it has used, in clock ticks.
fn woken(pid: i32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
    (status_of(pid, "voluntary_ctxt_switches").parse().unwrap(), ticks(11) + ticks(12))
}

#[test]
fn at_rest_nobody_is_woken_but_by_the_watch_that_says_it_is_there() {
    needs!("root", "cgroup2");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let listen = format!("[metrics]\nlisten = 'unix:{}'\n", folder.path().join("m").display());
    let run = sink("run", "command", &format!("command = ['/bin/true']\nuser = {TELLER}"));
    let supervisor = Alerting::new(&[], &(listen + &run + &sink("file", "log", "")));
    supervisor.ask("alerts", &["test"]).expect(0);
    let [tells] = children(&supervisor, "cellblock-alerts")[..] else { panic!() };
    let [runs] = children(&supervisor, "cellblock-alerts-command")[..] else { panic!() };
    let tellers = [tells, runs];
    // Connections of those who asked are dropped, and children reaped.
    std::thread::sleep(patient(Duration::from_secs(1)));
    let begun = Instant::now();
    let (before, own) = (tellers.map(woken), woken(supervisor.pid()));
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(tellers.map(woken), before);
    let more = woken(supervisor.pid()).0 - own.0;
    // It asks every five seconds, and hears the answer.
    let rounds = begun.elapsed().as_secs() / 5 + 1;
    assert!((1..=2 * rounds).contains(&more), "woken {more} times in {rounds} rounds");
    // The measure sees who is woken.
    supervisor.ask("alerts", &["test"]).expect(0);
    let after = tellers.map(woken);
    assert!(after.iter().zip(&before).all(|(after, before)| after.0 > before.0), "{after:?}");
    assert!(woken(supervisor.pid()).0 > own.0 + more);
}

/// `alerts test` with its answer for each sink, as JSON.
pub(crate) fn tried(supervisor: &Installation, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut all = vec!["test", "--json"];
    all.extend(words);
    let ended = supervisor.ask("alerts", &all);
    (ended.status, serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:#?}")))
}

#[test]
fn trying_the_sinks_says_how_each_went() {
    needs!("root", "cgroup2");
    let (port, asked) = receiver(FINE);
    let more = [
        sink("hook", "webhook", &format!("url = 'http://localhost:{port}/'")),
        sink("nobody", "command", "command = ['/bin/true']\nuser = 'no-such-user'"),
        sink("file", "log", "least = 'critical'"),
    ];
    let supervisor = Alerting::new(&[], &more.concat());
    let (status, told) = tried(&supervisor, &[]);
    assert_eq!((status, told.len()), (Some(1), 3));
    let of = |name: &str| told.iter().find(|told| told["sink"] == name).unwrap();
    assert_eq!((&of("file")["failed"], &of("hook")["failed"]), (&Value::Null, &Value::Null));
    assert_eq!(of("nobody")["failed"], "there is no user `no-such-user` on this host");
    assert_eq!(body(&asked.recv_timeout(patient(Duration::from_secs(10))).unwrap())["test"], true);
    let (status, told) = tried(&supervisor, &["file"]);
    assert_eq!((status, told.len()), (Some(0), 1));
    supervisor
        .ask("alerts", &["test", "strange"])
        .expect_refusal(125, &["there is no sink `strange`"]);
    assert!(supervisor.log().contains("a sink of alerts cannot be told"), "{}", supervisor.log());
    // `check` finds that before anybody needs it.
    let mut check = harness::command(harness::program());
    check.args(["check", "--config"]).arg(supervisor.path("config.toml"));
    assert!(finish(&mut check).expect(1).out.contains("there is no user `no-such-user`"));
    // What was tried is no alert.
    assert!(supervisor.ask("alerts", &[]).expect(0).out.contains("there was no alert"));
    supervisor.configure("");
    supervisor.ask("reload", &[]).expect(0);
    supervisor.ask("alerts", &["test"]).expect_refusal(125, &["there is no sink"]);
}
