//! Nobody holds up a supervisor or a shim with what they send to it: sockets whose closing waits, files whose owner does not
//! answer.
//!
//! The control is the same each time: whoever does close it waits.

use crate::harness::{self, Folder, command, eventually, start};
use crate::host;
use crate::installation::{
    Installation, STRANGER, as_user, call, command_of, connect, connect_as, refusal, role, send,
    send_by,
};
use cellblock::control::protocol::Request;
use cellblock::terminal::size::Size;
use cellblock::wire;
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const FALSE_FUSE: &str = include_str!("false_fuse.py");

/// A socket whose last closing waits for a minute, as nobody reads what it has sent; and its other end.
fn lingering() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    sockopt::set_socket_linger(&socket, Some(harness::patient(Duration::from_secs(60)))).unwrap();
    socket.set_nonblocking(true).unwrap();
    while socket.write(&[0; 1 << 16]).is_ok() {}
    // Whoever closes it waits.
    socket.set_nonblocking(false).unwrap();
    (socket.into(), other)
}

/// Waits until nobody has the socket of [`lingering`] open whose other end is `other`.
fn is_closed(mut other: TcpStream) {
    other.set_read_timeout(Some(harness::patient(harness::DEADLINE))).unwrap();
    let mut bytes = vec![0; 1 << 16];
    while other.read(&mut bytes).unwrap() > 0 {}
}

#[test]
fn what_callers_send_along_holds_nobody_up() {
    // What another test starts at the same time would have copies of the sockets, and close them last.
    needs!("root", "quiet");
    let supervisor = Installation::new(&[], &role("viewer", ""));
    let control = supervisor.path("run/control");
    let list = call(Request::List);
    // Refused, unread behind what is, with what is no call, and of one who has hung up.
    type Says = fn(&OwnedFd, &[u8], &[BorrowedFd<'_>]);
    let ways: [(Says, Option<&str>); 5] = [
        (|socket, list, sent| send(socket, list, sent), Some("with a further command alone")),
        (|socket, _, sent| send(socket, b"{", sent), Some("not understood")),
        (|socket, _, sent| send(socket, b"", sent), None),
        (
            |socket, list, sent| {
                send(socket, b"{", &[]);
                send(socket, list, sent);
            },
            Some("not understood"),
        ),
        (
            |socket, list, sent| {
                send(socket, list, &[]);
                send(socket, b"", &[]);
                send(socket, list, sent);
            },
            None,
        ),
    ];
    let mut others = Vec::new();
    for (says, told) in ways {
        let (socket, other) = lingering();
        let stranger = connect_as(STRANGER, &control);
        supervisor.while_deaf(|| says(&stranger, &list, &[socket.as_fd()]));
        drop(socket);
        if let Some(told) = told {
            let cause = refusal(&stranger);
            assert!(cause.contains(told), "{cause}");
        }
        drop(stranger);
        supervisor.ask("ls", &[]).expect(0);
        others.push(other);
    }
    // Who closes such a socket waits: as long as it took the supervisor to answer five times, and longer.
    let (socket, other) = lingering();
    let number = format!("/proc/self/fd/{}", socket.as_raw_fd());
    let waits = std::thread::spawn(|| drop(socket));
    let closes = || Path::new(&number).symlink_metadata().is_err().then_some(());
    eventually("the close", closes);
    supervisor.ask("ls", &[]).expect(0);
    assert!(!waits.is_finished(), "it does not linger");
    drop(other);
    waits.join().unwrap();
    others.into_iter().for_each(is_closed);
    as_user(STRANGER, &supervisor.verb("ls", &[])).expect(0);
}

#[test]
fn a_further_command_has_its_descriptors_and_the_supervisor_does_not_close_them() {
    needs!("root", "cgroup2", "tmux", "quiet");
    let supervisor = Installation::new(&["jt-bounds-exec"], &role("operator", ""));
    supervisor.start("jt-bounds-exec", "sleep 1000").expect(0);
    let control = supervisor.path("run/control");
    let exec = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        call(Request::Exec {
            agent: "jt-bounds-exec".to_owned(),
            words,
            terminals: [false; 3],
            size: Size::DEFAULT,
        })
    };
    // Of others a socket is not handed on.
    let root = connect(&control);
    let (pipe, far) = rustix::pipe::pipe().unwrap();
    let (socket, other) = lingering();
    // Closed here before it is closed there: whoever does that last waits.
    supervisor.while_deaf(|| {
        let along = [socket.as_fd(), far.as_fd(), far.as_fd()];
        send(&root, &exec(&["sh", "-c", "echo ran"]), &along);
        drop((socket, far));
    });
    let (answer, line) = wire::receive_sealed::<Value>(&root).unwrap().unwrap();
    assert_eq!((answer.as_str(), line.len()), (Some("Line"), 2));
    supervisor.ask("ls", &[]).expect(0);
    // Whoever else had it, in the jail and outside: nobody has.
    is_closed(other);
    let mut said = String::new();
    std::fs::File::from(pipe).read_to_string(&mut said).unwrap();
    assert_eq!(said, "ran\n");
    // The same connection goes on, and what is refused is closed as well: too few, and a socket of somebody else.
    let stranger = connect_as(STRANGER, &control);
    for (caller, count) in [(&root, 1), (&stranger, 3)] {
        let (socket, other) = lingering();
        supervisor.while_deaf(|| {
            send(caller, &exec(&["true"]), &vec![socket.as_fd(); count]);
            drop(socket);
        });
        refusal(caller);
        supervisor.ask("ls", &[]).expect(0);
        is_closed(other);
    }
}

/// The processes that wait for the owner of a file.
fn held(report: &Path) -> Vec<i32> {
    let told = std::fs::read_to_string(report).unwrap_or_default();
    told.lines().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_file_whose_owner_does_not_answer_holds_up_who_hands_it_over() {
    needs!("root", "cgroup2", "tmux", "python3", "fuse");
    let agent = "jt-held-file";
    let mut supervisor = Installation::new(&[agent], &role("operator", ""));
    supervisor.start(agent, "sleep 1000").expect(0);
    let folder = Folder::on_disk();
    let (script, mount) =
        (folder.file("fuse.py", FALSE_FUSE, 0o644), folder.directory("mount", 0o755));
    let report = folder.path("report");
    let exec = command_of(
        STRANGER,
        STRANGER,
        &supervisor.verb("exec", &["--running", agent, "--", "cat"]),
    );
    let mut caller = command("python3");
    caller.args([&script, &mount]).arg(&report).arg(exec.get_program()).args(exec.get_args());
    let caller = start(&mut caller);
    eventually("the refusal", || {
        caller.said().contains("cannot hand on standard input").then_some(())
    });
    // The caller itself, and a child of the supervisor, which is nobody that anybody waits for.
    let parent = |pid: &i32| host::status(*pid, "PPid").and_then(|it| it.parse::<i32>().ok());
    let children = || held(&report).into_iter().filter(|pid| parent(pid) == Some(supervisor.pid()));
    let taker = eventually("the one who took it", || children().next());
    let handed =
        eventually("who handed it over", || held(&report).into_iter().find(|pid| *pid != taker));
    assert!(!held(&report).contains(&supervisor.pid()));
    supervisor.ask("ls", &[]).expect(0);
    supervisor.ask("exec", &["--running", agent, "--", "true"]).expect(0);
    // It has let go of all else: not even the next supervisor waits for it.
    supervisor.dies();
    supervisor.begin();
    supervisor.becomes(agent, "running");
    supervisor.ask("exec", &["--running", agent, "--", "true"]).expect(0);
    for held_up in [taker, handed] {
        assert!(host::status(held_up, "PPid").is_some(), "{held_up} was held up all the time");
    }
    caller.signal(rustix::process::Signal::KILL);
    caller.wait(harness::DEADLINE);
    eventually("its end", || host::status(taker, "PPid").is_none().then_some(()));
}

#[test]
fn who_looks_holds_up_no_shim_with_what_they_send_on_their_line() {
    needs!("root", "cgroup2", "tmux", "quiet");
    let agent = "jt-held-line";
    let supervisor = Installation::new(&[agent], &role("viewer", ""));
    supervisor.start(agent, "sleep 1000").expect(0);
    let stranger = connect_as(STRANGER, &supervisor.path("run/control"));
    let mut others = Vec::new();
    let ways = [(0, SendFlags::empty()), (1, SendFlags::empty()), (0, SendFlags::OOB)];
    for (which, flags) in ways {
        let agent = agent.to_owned();
        send(&stranger, &call(Request::Attach { agent, types: false, size: Size::DEFAULT }), &[]);
        let (answer, line) = wire::receive_sealed::<Value>(&stranger).unwrap().unwrap();
        assert_eq!((answer.as_str(), line.len()), (Some("Line"), 2));
        let (socket, other) = lingering();
        send_by(&line[which], b"x", &[socket.as_fd()], flags).unwrap();
        // What comes after it; the line may have ended by now.
        let after = send_by(&line[which], b"y", &[], SendFlags::empty());
        assert!(matches!(after, Ok(1) | Err(Errno::PIPE)), "{after:?}");
        drop(socket);
        // The line ends, and the shim does what it is asked.
        while rustix::io::read(&line[1], &mut [0; 4096]).unwrap() > 0 {}
        supervisor.ask("screen", &["jt-held-line"]).expect(0);
        others.push(other);
    }
    let status = supervisor.ask("status", &[agent]);
    // Their places are not given to others: nobody takes all of them.
    let looks = format!("looks        uid {STRANGER}");
    assert_eq!(status.expect(0).out.matches(&looks).count(), 3, "{status:#?}");
    let told = supervisor.ask("logs", &[agent]);
    assert!(told.expect(0).out.contains("has sent what is not taken"), "{told:#?}");
    supervisor.ask("stop", &["--now", agent]).expect(0);
    others.into_iter().for_each(is_closed);
}

/// Does `what` while who has connected by `socket` hears nothing.
fn while_deaf(socket: &OwnedFd, what: impl FnOnce()) {
    use rustix::process::{Signal, kill_process};
    let pid = sockopt::socket_peercred(socket).unwrap().pid;
    kill_process(pid, Signal::STOP).unwrap();
    what();
    kill_process(pid, Signal::CONT).unwrap();
}

/// Takes the place of who listens at `path`; who was there comes back at the end.
struct Place {
    path: PathBuf,
    aside: PathBuf,
    listener: OwnedFd,
}

impl Place {
    fn take(path: &Path) -> Self {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        let aside = path.with_extension("aside");
        std::fs::rename(path, &aside).unwrap();
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let listener = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
        rustix::net::listen(&listener, 4).unwrap();
        Self { path: path.to_owned(), aside, listener }
    }

    fn accept(&self) -> OwnedFd {
        rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC).unwrap()
    }

    fn give_back(self) {
        std::fs::rename(self.aside, self.path).unwrap();
    }
}

#[test]
fn a_shim_that_sends_more_than_words_is_taken_over_again_and_holds_nobody_up() {
    needs!("root", "cgroup2", "tmux", "quiet");
    let agent = "jt-held-shim";
    let mut supervisor = Installation::new(&[agent], "");
    supervisor.start(agent, "sleep 1000").expect(0);
    let path = supervisor.path("run/shims").join(agent);
    // With its greeting, and with what it reports.
    for with_greeting in [true, false] {
        supervisor.dies();
        let place = Place::take(&path);
        let real = connect(&place.aside);
        let greeting = wire::hear::<Value>(&real).unwrap().unwrap();
        drop(real);
        let mut supervise = supervisor.verb("supervise", &[]);
        let (socket, other) = lingering();
        std::thread::scope(|scope| {
            let fake = scope.spawn(move || {
                let owner = place.accept();
                let greeting = serde_json::to_vec(&greeting).unwrap();
                while_deaf(&owner, || {
                    if with_greeting {
                        send(&owner, &greeting, &[socket.as_fd()]);
                    } else {
                        send(&owner, &greeting, &[]);
                        send(&owner, b"{}", &[socket.as_fd()]);
                    }
                    drop(socket);
                });
                place.give_back();
            });
            supervisor.begin_by(&mut supervise);
            fake.join().unwrap();
        });
        supervisor.becomes(agent, "running");
        supervisor.ask("exec", &["--running", agent, "--", "true"]).expect(0);
        is_closed(other);
    }
}

#[test]
fn a_gate_that_sends_more_than_words_is_given_up_and_holds_nobody_up() {
    needs!("root", "cgroup2", "tmux", "quiet");
    let agent = "jt-held-gate";
    let folder = Folder::on_disk();
    let rules = "extends = ['demo']\n[network]\nmode = 'allowlist'\nallow = ['a.test:7000']\n";
    let profile = folder.profile("held", rules);
    let mut supervisor = Installation::new(&[agent], "");
    let words = ["--name", agent, &profile, "--", "sleep", "1000"];
    supervisor.ask("start", &words).expect(0);
    let network = || harness::finish(command(harness::program()).args(["network", agent]));
    network().expect(0);
    supervisor.dies();
    let place = Place::take(&Path::new("/run/cellblock/gates").join(format!("{agent}.run.orders")));
    let mut supervise = supervisor.verb("supervise", &[]);
    let (socket, other) = lingering();
    std::thread::scope(|scope| {
        let fake = scope.spawn(move || {
            let keeper = place.accept();
            while_deaf(&keeper, || {
                send(&keeper, b"{}", &[socket.as_fd()]);
                drop(socket);
            });
            place.give_back();
            keeper
        });
        supervisor.begin_by(&mut supervise);
        fake.join().unwrap();
    });
    supervisor.becomes(agent, "running");
    is_closed(other);
    network().expect_refusal(125, &["the gate has ended"]);
}
