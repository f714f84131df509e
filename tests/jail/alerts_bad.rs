//! What goes wrong where alerts are told: receivers that do not take them, commands that do not end, processes that are killed,
//! disks that are full, and those who collect figures and mean no good.

use crate::alerts::{
    Alerting, FINE, TELLER, body, children, heard, lines, receiver, refuse, request, sink, tried,
};
use crate::disk_full::SmallDisk;
use crate::harness::{eventually, let_pass, patient};
use crate::host;
use crate::installation::STRANGER;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// More than this many refused calls are an alert.
const RULE: &str = "[[alerts.rules]]\nname = 'auth-failures'\nmore_than = 0\nagain_after = '1s'\n";

fn group() -> String {
    format!("[supervisor]\ngroup = {STRANGER}\n")
}

fn kill(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The only process of that name, once there is one that is none of `before`.
fn next(supervisor: &Alerting, name: &str, before: &[i32]) -> i32 {
    eventually(name, || {
        let all = children(supervisor, name);
        let new = all.iter().find(|pid| !before.contains(pid)).copied();
        new.filter(|_| all.len() == 1)
    })
}

/// A sink that asks the port.
fn hook(name: &str, port: u16, more: &str) -> String {
    sink(name, "webhook", &format!("url = 'http://127.0.0.1:{port}/'\ntimeout = '1s'\n{more}"))
}

/// Answers with fields without an end.
fn talker() -> u16 {
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    let talks = endless.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in endless.incoming() {
            let mut stream = stream.unwrap();
            request(&mut stream);
            let mut told = stream.write_all(b"HTTP/1.1 200 Fine\r\n");
            while told.is_ok() {
                told = stream
                    .write_all(b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
            }
        }
    });
    talks
}

#[test]
fn receivers_that_do_not_take_an_alert_hold_nobody_up_and_each_is_told_of() {
    needs!("root", "cgroup2");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (fails, _fails) = receiver("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let (hangs_up, _hangs_up) = receiver("");
    let (target, reached) = receiver(FINE);
    let there = format!(
        "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:{target}/\r\nContent-Length: 0\r\n\r\n"
    );
    let (redirects, _redirects) = receiver(there.leak());
    let talks = talker();
    let (fine, asked) = receiver(FINE);
    let silent_port = silent.local_addr().unwrap().port();
    let more = [
        hook("silent", silent_port, ""),
        hook("closed", closed, ""),
        hook("fails", fails, ""),
        hook("hangs-up", hangs_up, ""),
        hook("redirects", redirects, ""),
        hook("endless", talks, ""),
        hook("fine", fine, ""),
        sink("file", "log", ""),
    ];
    let supervisor = Alerting::new(&[], &(group() + RULE + &more.concat()));
    let (status, told) = tried(&supervisor, &[]);
    assert_eq!(status, Some(1));
    let cause = |name: &str| {
        let told = told.iter().find(|told| told["sink"] == name).unwrap();
        told["failed"].as_str().unwrap_or_default().to_owned()
    };
    for (name, words) in [
        ("silent", "takes longer than 1 s"),
        ("closed", "Connection refused"),
        ("fails", "500"),
        ("hangs-up", "connection closed"),
        ("redirects", "redirects are not followed"),
        ("fine", ""),
        ("file", ""),
    ] {
        assert!(cause(name).contains(words), "{name}: {}", cause(name));
        assert_eq!(cause(name).is_empty(), words.is_empty(), "{name}");
    }
    assert!(!cause("endless").is_empty());
    assert!(reached.try_recv().is_err(), "the other place was asked");
    asked.recv_timeout(patient(Duration::from_secs(5))).unwrap();
    // A real one is at once where it can be, while the others are asked again and again; and nobody waits for them.
    let begun = Instant::now();
    refuse(&supervisor, 1);
    let alert = body(&asked.recv_timeout(patient(Duration::from_secs(5))).unwrap());
    assert_eq!(alert["rule"], "auth-failures");
    let written = eventually("the line", || {
        let lines = lines(&supervisor.file("file"));
        (lines.len() >= 2).then_some(lines)
    });
    // That others did not take it is an alert itself, and comes after it.
    let rules: Vec<&str> = written.iter().map(|line| line["rule"].as_str().unwrap()).collect();
    assert_eq!(rules[..2], ["test", "auth-failures"], "{written:#?}");
    assert!(rules[2..].iter().all(|rule| *rule == "undelivered"), "{written:#?}");
    supervisor.ask("ls", &[]).expect(0);
    assert!(begun.elapsed() < patient(Duration::from_secs(5)), "{:?}", begun.elapsed());
}

#[test]
fn a_receiver_that_comes_back_is_told_once() {
    needs!("root", "cgroup2");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let supervisor = Alerting::new(&[], &(group() + RULE + &hook("hook", port, "")));
    refuse(&supervisor, 1);
    // It was asked in vain by now.
    std::thread::sleep(patient(Duration::from_millis(300)));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let alert = body(&request(&mut stream));
    stream.write_all(FINE.as_bytes()).unwrap();
    assert_eq!((&alert["rule"], alert.get("repeated")), (&"auth-failures".into(), None));
    listener.set_nonblocking(true).unwrap();
    let_pass(Duration::from_secs(3));
    assert!(listener.accept().is_err(), "it was told twice");
}

#[test]
fn a_sink_that_takes_nothing_is_itself_an_alert_for_the_others_and_no_loop() {
    needs!("root", "cgroup2");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let again = "[[alerts.rules]]\nname = 'undelivered'\nagain_after = '1s'\n";
    let more =
        group() + RULE + again + &hook("hook", closed, "attempts = 1") + &sink("file", "log", "");
    let supervisor = Alerting::new(&[], &more);
    refuse(&supervisor, 1);
    let all = eventually("the alert about it", || {
        let all = lines(&supervisor.file("file"));
        (all.len() == 2).then_some(all)
    });
    assert_eq!(all[1]["rule"], "undelivered");
    let told = all[1]["told"].as_str().unwrap();
    assert!(
        told.starts_with("hook did not take the alert auth-failures: it cannot be reached"),
        "{told}"
    );
    // The alert about it fails there, too, and nothing follows.
    let_pass(Duration::from_secs(4));
    assert_eq!(supervisor.all().len(), 2, "{:?}", supervisor.all());
}

#[test]
fn commands_that_do_not_end_or_are_not_there_are_told_of_and_nothing_of_them_stays() {
    needs!("root", "cgroup2");
    let run = |name: &str, words: &str, uid: u32| {
        sink(name, "command", &format!("command = [{words}]\nuser = {uid}\ntimeout = '1s'"))
    };
    // It leaves its session, has others that do, and hears no signal that can be ignored.
    let hides = "trap \"\" TERM HUP INT; (setsid sleep 1000 &) ; setsid sh -c \"setsid sleep 1000 & sleep 1000\" & sleep 1000";
    let leaves = "setsid sleep 1000 & exit 0";
    let [hiding, leaving, other] = [TELLER + 1, TELLER + 2, TELLER + 3];
    let more = [
        run("hides", &format!("'/bin/sh', '-c', '{hides}'"), hiding),
        run("leaves", &format!("'/bin/sh', '-c', '{leaves}'"), leaving),
        run("missing", "'/no/such/program'", other),
        run("complains", "'/bin/sh', '-c', 'echo no such pager >&2; exit 3'", other),
        run("deaf", "'/bin/true'", other),
        run("loud", "'/bin/sh', '-c', 'head -c 1000000 /dev/zero >&2'", other),
    ];
    let supervisor = Alerting::new(&[], &more.concat());
    let begun = Instant::now();
    let (_, told) = tried(&supervisor, &[]);
    assert!(begun.elapsed() < patient(Duration::from_secs(4)), "{:?}", begun.elapsed());
    let cause = |name: &str| {
        let told = told.iter().find(|told| told["sink"] == name).unwrap();
        told["failed"].as_str().unwrap_or_default().to_owned()
    };
    assert!(cause("hides").contains("it took longer than 1 s and was ended"), "{}", cause("hides"));
    assert!(cause("missing").contains("cannot start /no/such/program: No such file"));
    assert_eq!(cause("complains"), "it ended with exit status: 3: no such pager");
    assert_eq!([cause("leaves"), cause("deaf"), cause("loud")], ["", "", ""]);
    for uid in [hiding, leaving] {
        let left: Vec<_> = host::processes(uid)
            .into_iter()
            .filter(|(_, name)| name == "sleep" || name == "sh")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert_eq!(host::processes(hiding).len(), 1, "who runs it is there, and can be found");
}

#[test]
fn a_command_ends_with_the_supervisor() {
    needs!("root", "cgroup2");
    let uid = TELLER + 4;
    let words = "command = ['/bin/sh', '-c', 'setsid sleep 1000 & sleep 1000']";
    let run = sink("run", "command", &format!("{words}\nuser = {uid}\ntimeout = '60s'"));
    let mut supervisor = Alerting::new(&[], &(group() + RULE + &run));
    refuse(&supervisor, 1);
    let runs = |name: &str| host::processes(uid).iter().any(|(_, other)| other == name);
    eventually("the command", || runs("sleep").then_some(()));
    supervisor.dies();
    eventually("its end", || host::processes(uid).is_empty().then_some(()));
    supervisor.begin();
}

#[test]
fn who_is_killed_while_telling_is_started_again_and_says_what_may_come_twice() {
    needs!("root", "cgroup2");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let more =
        sink("hook", "webhook", &format!("url = 'http://127.0.0.1:{port}/'\ntimeout = '60s'"));
    let supervisor = Alerting::new(&[], &(group() + RULE + &more + &sink("file", "log", "")));
    let first = next(&supervisor, "cellblock-alerts", &[]);
    refuse(&supervisor, 1);
    let (mut held, _) = listener.accept().unwrap();
    let alert = body(&request(&mut held));
    assert_eq!(alert.get("repeated"), None);
    eventually("the line", || (lines(&supervisor.file("file")).len() == 1).then_some(()));
    kill(first, Signal::KILL);
    // The same once more, and it says so. What the file has is not written again, unless that was not reported yet.
    let (mut held, _) = listener.accept().unwrap();
    let again = body(&request(&mut held));
    assert_eq!((&again["id"], &again["repeated"]), (&alert["id"], &true.into()));
    let second = next(&supervisor, "cellblock-alerts", &[first]);
    let written = lines(&supervisor.file("file"));
    let first_time = written.iter().filter(|line| line.get("repeated").is_none());
    assert_eq!(first_time.count(), 1, "{written:?}");
    // A second time it is lost, which is counted and told.
    kill(second, Signal::KILL);
    let third = next(&supervisor, "cellblock-alerts", &[first, second]);
    assert_ne!(third, second);
    let told = eventually("the loss", || {
        let all = lines(&supervisor.file("file"));
        all.into_iter().find(|alert| alert["rule"] == "undelivered")
    });
    let text = told["told"].as_str().unwrap();
    assert!(text.contains("hook did not take the alert auth-failures: the process that tells alerts has ended twice"), "{text}");
    drop(listener);
    assert!(supervisor.log().contains("an alert is lost"), "{}", supervisor.log());
    // Nothing of that holds up who calls.
    supervisor.ask("ls", &[]).expect(0);
}

#[test]
fn one_that_is_stopped_holds_nobody_up_and_what_is_too_much_is_counted() {
    needs!("root", "cgroup2");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let socket = folder.path().join("metrics");
    let metrics = format!("[metrics]\nlisten = 'unix:{}'\n", socket.display());
    // Each call is an alert of each of these.
    let rules: String = (0..60)
        .map(|it| {
            format!("[[alerts.rules]]\nname = 'r{it}'\non = ['refused-call']\nagain_after = '1s'\n")
        })
        .collect();
    let supervisor =
        Alerting::within(folder, &[], &(group() + &metrics + &rules + &sink("file", "log", "")));
    let tells = next(&supervisor, "cellblock-alerts", &[]);
    kill(tells, Signal::STOP);
    let begun = Instant::now();
    for _ in 0..12 {
        refuse(&supervisor, 1);
        std::thread::sleep(Duration::from_millis(1050));
    }
    supervisor.ask("ls", &[]).expect(0);
    assert!(begun.elapsed() < patient(Duration::from_secs(30)));
    let count = supervisor.all().len();
    assert!(count > 600, "{count}");
    kill(tells, Signal::CONT);
    // What was told and what was lost together are all.
    let of = |text: &str, name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{sink=\"file\"} "));
        line.unwrap().parse::<usize>().unwrap()
    };
    eventually("all of them", || {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        if !text.contains("cellblock_sink_queue{sink=\"file\"} 0\n") {
            return None;
        }
        let names = ["delivered", "failed", "lost"].map(|it| format!("cellblock_sink_{it}_total"));
        let [delivered, failed, lost] = names.map(|name| of(&text, &name));
        assert!(lost + failed > 0, "{text}");
        let all = supervisor.all().len();
        (delivered + lost + failed == all).then_some(())
    });
    let written = lines(&supervisor.file("file")).len();
    assert!(written > 200 && written < supervisor.all().len(), "{written}");
}

#[test]
fn a_journal_that_is_not_there_is_told_of_and_told_when_it_is() {
    needs!("root", "cgroup2");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let socket = folder.path().join("journal");
    let more = sink("journal", "journald", &format!("socket = '{}'", socket.display()));
    let supervisor = Alerting::within(folder, &[], &(group() + RULE + &more));
    let (status, told) = tried(&supervisor, &[]);
    let cause = told[0]["failed"].as_str().unwrap();
    assert_eq!(status, Some(1));
    assert!(
        cause.contains("cannot reach the journal at /var/tmp/") && cause.contains("No such file"),
        "{cause}"
    );
    refuse(&supervisor, 1);
    let journal = UnixDatagram::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let entry = heard(&journal);
    assert!(entry.contains("\nCELLBLOCK_RULE=auth-failures\n"), "{entry}");
}

#[test]
fn a_full_disk_for_alerts_is_told_and_they_are_written_when_there_is_room() {
    needs!("root", "cgroup2");
    let disk = SmallDisk::new("64k");
    let paths = format!("log = '{}/log'", disk.path().display());
    let (port, asked) = receiver(FINE);
    let more = group() + RULE + &sink("file", "log", "attempts = 10") + &hook("hook", port, "");
    let supervisor = crate::installation::Installation::with_paths(&[], &paths, &more);
    let file = disk.path().join("log/alerts/file.jsonl");
    eventually("its folder", || file.parent().unwrap().exists().then_some(()));
    disk.fill();
    let refused = crate::installation::as_user(STRANGER, &supervisor.verb("up", &[]));
    assert_eq!(refused.status, Some(125));
    // Who can be told is, and the supervisor's own log says what was not written.
    let told = body(&asked.recv_timeout(patient(Duration::from_secs(10))).unwrap());
    assert_eq!(told["rule"], "auth-failures");
    eventually("the word of it", || {
        supervisor.log().contains("an alert was not written down").then_some(())
    });
    assert!(lines(&file).is_empty(), "no half a line");
    disk.make_room();
    eventually("the line", || (lines(&file).len() == 1).then_some(()));
    assert_eq!(lines(&file)[0]["id"], told["id"]);
}

#[test]
fn who_collects_slowly_or_strangely_holds_nobody_up() {
    needs!("root", "cgroup2");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let metrics = format!("[metrics]\nlisten = '127.0.0.1:{port}'\n");
    let supervisor = Alerting::new(&[], &(metrics + &sink("file", "log", "")));
    let connect = || TcpStream::connect(("127.0.0.1", port));
    eventually("the port", || connect().ok());
    let collect = || {
        let mut stream = connect().unwrap();
        stream.set_read_timeout(Some(patient(Duration::from_secs(20)))).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    assert!(collect().unwrap().contains("cellblock_build_info"));
    let [tells] = children(&supervisor, "cellblock-alerts")[..] else { panic!() };
    let open = || std::fs::read_dir(format!("/proc/{tells}/fd")).unwrap().count();
    let rest = open();
    // Who says nothing, half of something, too much, what is no request, or takes no answer.
    let mut held = Vec::new();
    for round in 0..60 {
        let mut stream = connect().unwrap();
        let said: &[u8] = match round % 5 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nx: ",
            2 => &[b'x'; 9000],
            3 => b"\0\xff\r\n\r\n",
            _ => b"GET /metrics HTTP/1.1\r\n\r\n",
        };
        stream.write_all(said).unwrap_or_default();
        held.push(stream);
    }
    let begun = Instant::now();
    assert!(collect().unwrap().contains("cellblock_build_info"));
    assert!(begun.elapsed() < patient(Duration::from_secs(2)), "{:?}", begun.elapsed());
    supervisor.ask("alerts", &["test"]).expect(0);
    supervisor.ask("ls", &[]).expect(0);
    assert!(open() <= rest + 16, "{} and {rest}", open());
    // They are given up in a few seconds.
    eventually("their end", || (open() <= rest).then_some(()));
    drop(held);
    // A supervisor that does not answer is told of, in time.
    let begun = Instant::now();
    let_pass(Duration::from_millis(1100));
    supervisor.while_deaf(|| {
        let text = collect().unwrap();
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    });
    assert!(begun.elapsed() < patient(Duration::from_secs(12)));
    assert!(collect().unwrap().contains("cellblock_build_info"));
}

#[test]
fn a_port_that_somebody_else_has_is_told_of_and_taken_when_it_is_free() {
    needs!("root", "cgroup2");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let metrics = format!("[metrics]\nlisten = '127.0.0.1:{port}'\n");
    let supervisor = Alerting::new(&[], &(metrics + &sink("file", "log", "")));
    eventually("the word of it", || {
        supervisor.log().contains("nobody can collect figures").then_some(())
    });
    // Alerts are told all the same.
    supervisor.ask("alerts", &["test"]).expect(0);
    drop(taken);
    eventually("the port", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.contains("cellblock_build_info").then_some(())
    });
}

#[test]
fn a_secret_that_others_can_read_breaks_its_sink_alone() {
    needs!("root", "cgroup2");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "open\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (port, asked) = receiver(FINE);
    let auth = format!("auth = 'bearer'\nsecret = '{}'", secret.display());
    let more = hook("open", port, &auth) + &sink("file", "log", "");
    let supervisor = Alerting::within(folder, &[], &more);
    let (status, told) = tried(&supervisor, &[]);
    let of = |name: &str| told.iter().find(|told| told["sink"] == name).unwrap()["failed"].clone();
    assert_eq!((status, of("file")), (Some(1), Value::Null));
    assert!(of("open").as_str().unwrap().contains("can be read by others"), "{told:?}");
    assert!(asked.try_recv().is_err(), "it was sent all the same");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    supervisor.ask("reload", &[]).expect(0);
    assert_eq!(tried(&supervisor, &[]).0, Some(0));
    let asked = asked.recv_timeout(patient(Duration::from_secs(10))).unwrap();
    assert!(asked.contains("authorization: Bearer open\r\n"), "{asked}");
    assert!(!supervisor.log().contains("Bearer"), "{}", supervisor.log());
}
