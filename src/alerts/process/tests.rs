//! The process with its parts together: what it hears, tells and reports, without the rights that only root can give up.

use super::super::alert::example;
use super::super::protocol::{Done, Order, Report, SinkStart, Start, Tell, WayStart};
use super::*;
use crate::config::Url;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// The process in a thread of its own, and the supervisor's end of its socket. It ends with that.
fn begin(sinks: Vec<SinkStart>, log: Option<OwnedFd>) -> OwnedFd {
    let (supervisor, inner) = wire::pair().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = Start { sinks, ..Start::default() };
        let given = Given { log, commands: Vec::new() };
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, keep::keep(&Rc::new(inner), start, given)).unwrap();
    });
    assert_eq!(heard(&supervisor), Report::Ready);
    supervisor
}

fn heard(supervisor: &OwnedFd) -> Report {
    wire::hear(supervisor).unwrap().unwrap()
}

fn sink(name: &str, way: WayStart) -> SinkStart {
    SinkStart { name: name.to_owned(), timeout: 1000, attempts: 2, way }
}

fn tell(supervisor: &OwnedFd, number: u64, to: &[&str]) {
    let to = to.iter().map(|sink| (*sink).to_owned()).collect();
    let tell = Tell { number, alert: example(), to, once: false };
    wire::send_sealed(supervisor, &Order::Tell(Box::new(tell)), &[]).unwrap();
}

fn done(supervisor: &OwnedFd) -> Done {
    let Report::Done(done) = heard(supervisor) else { panic!("no report about an alert") };
    done
}

/// A receiver that says `answers` one after the other, to a request each; an empty one is a connection that is closed. What it
/// was asked is given in the end.
fn receiver(answers: Vec<Vec<u8>>) -> (WayStart, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = Url { tls: false, host: "127.0.0.1".to_owned(), port, path: "/x".to_owned() };
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = Vec::new();
            let mut block = [0; 4096];
            while !text.ends_with(b"}") {
                let count = stream.read(&mut block).unwrap();
                assert!(count > 0, "half a request");
                text.extend_from_slice(&block[..count]);
            }
            asked.push(String::from_utf8(text).unwrap());
            stream.write_all(&answer).unwrap_or_default();
        }
        asked
    });
    (WayStart::Webhook { url, auth: None, roots: Vec::new() }, thread)
}

fn answer(status: &str, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n").into_bytes()
}

#[test]
fn a_receiver_is_told_by_a_request_and_asked_again_where_that_may_help() {
    let (way, thread) = receiver(vec![answer("500 No", ""), answer("204 Fine", "")]);
    let supervisor = begin(vec![sink("hook", way)], None);
    tell(&supervisor, 7, &["hook"]);
    let done = done(&supervisor);
    assert_eq!((done.number, done.failed, done.attempts), (7, None, 2));
    assert!(done.millis >= 500, "there is a pause before the second");
    let asked = thread.join().unwrap();
    assert!(asked[0].starts_with("POST /x HTTP/1.1\r\nhost: 127.0.0.1:"), "{}", asked[0]);
    assert!(asked[0].contains("idempotency-key: 5-1\r\n"), "{}", asked[0]);
    let body = asked[1].split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(serde_json::from_str::<Alert>(body).unwrap(), example());
}

#[test]
fn answers_that_are_no_good_are_given_up_with_their_reason() {
    let redirect = answer("302 There", "Location: http://127.0.0.1:1/\r\n");
    let mut endless = b"HTTP/1.1 200 Fine\r\n".to_vec();
    (0..20_000).for_each(|it| endless.extend(format!("x-{it}: aaaaaaaa\r\n").bytes()));
    for (answers, cause, attempts) in [
        (vec![redirect], "redirects are not followed", 1),
        (vec![answer("404 None", "")], "404", 1),
        (vec![Vec::new(), Vec::new()], "connection closed", 2),
        (vec![b"SSH-2.0-x\r\n".to_vec(), b"\r\n\0".to_vec()], "invalid HTTP", 2),
        (vec![endless.clone(), endless], "", 2),
    ] {
        let (way, thread) = receiver(answers);
        let supervisor = begin(vec![sink("hook", way)], None);
        tell(&supervisor, 1, &["hook"]);
        let done = done(&supervisor);
        let failed = done.failed.unwrap();
        assert!(failed.contains(cause), "{cause}: {failed}");
        assert_eq!(done.attempts, attempts, "{failed}");
        thread.join().unwrap();
    }
}

#[test]
fn one_that_hangs_holds_up_nobody_else() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = Url { tls: false, host: "localhost".to_owned(), port, path: "/".to_owned() };
    let hook = WayStart::Webhook { url, auth: None, roots: Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    let opened = OwnedFd::from(std::fs::File::open(folder.path()).unwrap());
    let sinks = vec![sink("hook", hook), sink("file", WayStart::Log)];
    let supervisor = begin(sinks, Some(opened));
    let begun = Instant::now();
    for number in 0..100 {
        tell(&supervisor, number, &["hook", "file"]);
    }
    // All lines are there, and what the other one cannot hold is given up, the oldest first.
    let mut lines = 0;
    let mut given_up = Vec::new();
    while lines < 100 {
        let done = done(&supervisor);
        match done.sink.as_str() {
            "file" => lines += 1,
            _ => given_up.push((done.number, done.failed.unwrap())),
        }
    }
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    assert!(given_up.len() >= 30, "{given_up:?}");
    assert!(given_up.iter().all(|(_, cause)| cause == "too many alerts wait for it"));
    assert!(given_up.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let text = std::fs::read_to_string(folder.path().join("file.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 100);
    assert_eq!(serde_json::from_str::<Alert>(text.lines().next().unwrap()).unwrap(), example());
}

#[test]
fn a_file_that_is_long_becomes_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.jsonl");
    std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
    let opened = OwnedFd::from(std::fs::File::open(folder.path()).unwrap());
    let supervisor = begin(vec![sink("file", WayStart::Log)], Some(opened));
    tell(&supervisor, 1, &["file"]);
    assert_eq!(done(&supervisor).failed, None);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    assert_eq!(path.with_extension("jsonl.old").metadata().unwrap().len(), 1 << 20);
}

#[test]
fn a_journal_that_comes_late_is_told_and_what_is_broken_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journald = WayStart::Journald(path.display().to_string());
    let broken = WayStart::Broken("there is no user `x` on this host".to_owned());
    let supervisor = begin(vec![sink("j", journald), sink("b", broken)], None);
    tell(&supervisor, 1, &["j", "b", "strange"]);
    let all: Vec<_> = {
        let journal = UnixDatagram::bind(&path).unwrap();
        let all = (0..3).map(|_| done(&supervisor)).collect();
        let mut entry = [0; 4096];
        let length = journal.recv(&mut entry).unwrap();
        assert!(entry[..length].starts_with(b"MESSAGE=a: 51 events"));
        all
    };
    let of = |name: &str| all.iter().find(|done| done.sink == name).unwrap();
    assert_eq!(of("j").failed, None);
    assert_eq!(of("b").failed.as_deref(), Some("there is no user `x` on this host"));
    assert_eq!(of("strange").failed.as_deref(), Some("there is no such sink"));
}

#[test]
fn what_is_under_way_is_told_when_the_supervisor_is_gone() {
    let (way, thread) = receiver(vec![answer("500 No", ""), answer("200 Fine", "")]);
    let supervisor = begin(vec![sink("hook", way)], None);
    tell(&supervisor, 1, &["hook"]);
    drop(supervisor);
    assert_eq!(thread.join().unwrap().len(), 2);
}
