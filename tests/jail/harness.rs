//! Needs, and cellblock as a process with a deadline.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{
    Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Names what the test needs and returns from it where the host lacks that.
macro_rules! needs {
    ($($need:expr),+ $(,)?) => {
        if !crate::harness::host_has(crate::harness::test_name!(), &[$($need),+]) {
            return;
        }
    };
}

/// The name of the function it stands in.
macro_rules! test_name {
    () => {{
        fn here() {}
        let whole = std::any::type_name_of_val(&here);
        whole.trim_end_matches("::here").rsplit("::").next().unwrap_or(whole)
    }};
}
pub(crate) use test_name;

/// How long a jail may take that has little to do; [`patient`] stretches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// `CELLBLOCK_TEST_PATIENCE` times `duration`: an emulated machine is ten times slower, and more. A whole
/// number; 1 where it is not set.
pub(crate) fn patient(duration: Duration) -> Duration {
    static PATIENCE: LazyLock<u32> = LazyLock::new(|| {
        let patience = std::env::var("CELLBLOCK_TEST_PATIENCE");
        patience.map_or(1, |times| times.parse().unwrap())
    });
    duration * *PATIENCE
}

/// Sleeps for `duration` of the program's own clock, which no machine stretches, and for what a slow one needs besides to
/// show what came of it.
pub(crate) fn let_pass(duration: Duration) {
    const SHOWN: Duration = Duration::from_millis(300);
    std::thread::sleep(duration + patient(SHOWN).saturating_sub(SHOWN));
}

/// How many of `number` a slow machine manages in the time in which others manage all.
pub(crate) fn managed(number: u32) -> u32 {
    let times = patient(Duration::from_secs(1)).as_secs();
    number / u32::try_from(times).unwrap()
}

/// The command that rests so long, stretched as [`patient`] does: for what a script must leave others time for.
pub(crate) fn rest(milliseconds: u64) -> String {
    format!("sleep {}", patient(Duration::from_millis(milliseconds)).as_secs_f64())
}

/// Whether this machine is said to be slow, so that what is repeated to find a race is repeated less often.
pub(crate) fn is_slow() -> bool {
    patient(DEADLINE) > DEADLINE
}

/// Whether this host has everything in `needs`; if not, says so.
pub(crate) fn host_has(test: &str, needs: &[&str]) -> bool {
    let lacking = needs.iter().find_map(|need| Some((need, lack(need)?)));
    let Some((need, reason)) = lacking else {
        alone();
        take_turn(needs.contains(&"quiet"));
        return true;
    };
    let listed = |variable: &str, name: &str| {
        std::env::var(variable).unwrap_or_default().split(',').any(|listed| listed.trim() == name)
    };
    let excepted = listed("CELLBLOCK_REQUIRE_EXCEPT", need);
    let all = listed("CELLBLOCK_REQUIRE", "all") && !excepted;
    assert!(!(all || listed("CELLBLOCK_REQUIRE", need)), "{test} needs {need}: {reason}");
    println!("SKIP {test}: needs {need}: {reason}");
    false
}

/// Waits until no other run of these tests is on this host: both would use the same agents' names. A
/// runner that gives each test a process of its own must see to it itself.
fn alone() {
    static LOCK: OnceLock<File> = OnceLock::new();
    if rustix::process::geteuid().is_root() && std::env::var_os("NEXTEST").is_none() {
        LOCK.get_or_init(|| {
            let lock = File::create("/run/cellblock-tests.lock").unwrap();
            lock.lock().unwrap();
            lock
        });
    }
}

/// Held from a test's needs to its end.
#[allow(dead_code, reason = "they are held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Own(RwLockWriteGuard<'static, ()>),
}

/// Tests run beside each other, but for those that measure time or change what all agents share: these
/// run when no other does. The turn ends with the test's thread.
fn take_turn(own: bool) {
    static TURNS: RwLock<()> = RwLock::new(());
    thread_local!(static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) });
    TURN.with(|turn| {
        // Where all tests have one thread, the one before has ended.
        turn.take();
        let taken = if own {
            Turn::Own(TURNS.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Turn::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner))
        };
        turn.replace(Some(taken));
    });
}

/// Where the first of `programs` is installed.
pub(crate) fn installed(programs: &[&str]) -> Option<PathBuf> {
    let folders = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin"];
    let places =
        programs.iter().flat_map(|name| folders.map(|folder| Path::new(folder).join(name)));
    places.into_iter().find(|place| place.exists())
}

/// Programs that compile C.
pub(crate) const COMPILERS: &[&str] = &["tcc", "cc", "gcc"];

/// Programs that tests need by name.
const PROGRAMS: &[&str] = &[
    "perl", "tmux", "git", "ps", "python3", "openssl", "ip", "curl", "node", "npm", "go", "psql",
    "ssh", "dropbear",
];

/// Why cgroups do not have `controller`, if so.
fn lack_of(controller: &str) -> Option<String> {
    match crate::host::cgroup_mount() {
        None => Some("cgroup v2 is not mounted".to_owned()),
        Some(mount) => {
            let has = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap();
            let lacks = !has.split_whitespace().any(|name| name == controller);
            lacks.then(|| "cgroup v2 lacks the controller".to_owned())
        }
    }
}

/// Why the host does not have `need`, if so.
fn lack(need: &str) -> Option<String> {
    if let Some(least) = need.strip_prefix("tmux>=") {
        let (major, minor) = least.split_once('.').unwrap();
        let least = (major.parse().unwrap(), minor.parse().unwrap());
        let tmux = cellblock::host::tmux::find();
        let is = tmux.as_ref().is_some_and(|tmux| tmux.number >= Some(least));
        return (!is).then(|| "another tmux, or none".to_owned());
    }
    if let Some((name, least)) = need.split_once(">=") {
        assert_eq!(name, "landlock", "unknown need {need}");
        let abi = cellblock::sys::landlock_abi().unwrap_or(0);
        let least: u32 = least.parse().unwrap();
        return (abi < least).then(|| format!("the kernel has version {abi}"));
    }
    if let Some(controller) = need.strip_prefix("cgroup2:") {
        return lack_of(controller);
    }
    let missing = |there: bool, why: &str| (!there).then(|| why.to_owned());
    match need {
        "root" => missing(rustix::process::geteuid().is_root(), "this is not root"),
        "cgroup2" => missing(crate::host::cgroup_mount().is_some(), "it is not mounted"),
        "x86_64" => missing(cfg!(target_arch = "x86_64"), "another processor"),
        "memfd_noexec" => {
            let setting = Path::new("/proc/sys/vm/memfd_noexec");
            missing(setting.exists(), "the kernel does not have the setting")
        }
        "ia32" => {
            let arch = std::fs::read_to_string("/proc/sys/abi/vsyscall32");
            missing(arch.is_ok(), "the kernel runs no 32-bit programs")
        }
        "tiocsti" => {
            let setting = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
            missing(setting.map_or(true, |it| it.trim() == "1"), "this kernel refuses it to all")
        }
        "prjquota" => {
            let there = cellblock::host::disks::probe(&[DISK.to_owned()].into());
            let quota = there.get(DISK).and_then(|disk| disk.as_ref().ok()).map(|disk| disk.quota);
            let enforced = quota == Some(cellblock::host::ProjectQuota::Enforced);
            missing(enforced, "the file system of /var/tmp has no project quotas")
        }
        program if PROGRAMS.contains(&program) => {
            missing(installed(&[program]).is_some(), "it is not installed")
        }
        "audit" => {
            let known = matches!(cellblock::host::audit::probe(), cellblock::host::Audit::Known(_));
            missing(known, "the kernel has none, or does not say")
        }
        "pip" => {
            let there = Path::new("/usr/lib/python3/dist-packages/pip").is_dir();
            missing(there, "Debian's own Python does not have it")
        }
        "cargo" => missing(Path::new(env!("CARGO")).exists(), "it is not installed"),
        "connector" => cellblock::watch::sees().err(),
        "fuse" => missing(Path::new("/dev/fuse").exists(), "the kernel has no FUSE"),
        "cc" => missing(installed(COMPILERS).is_some(), "no compiler of C is installed"),
        "systemd" => missing(Path::new("/run/systemd/system").is_dir(), "it is not PID 1"),
        "disposable" | "before-restart" | "after-restart" | "claude" | "speed" => unsaid(need),
        // No other test at the same time: every host has that.
        "quiet" => None,
        other => panic!("unknown need {other}"),
    }
}

/// Why what only the environment says is not so.
fn unsaid(need: &str) -> Option<String> {
    let says = |variable: &str| std::env::var(variable).unwrap_or_default();
    let (said, reason) = match need {
        // For what would harm a host that somebody uses.
        "disposable" => (
            says("CELLBLOCK_DISPOSABLE") == "1",
            "CELLBLOCK_DISPOSABLE=1 does not say that this machine is thrown away",
        ),
        // For what is done so often that an emulated machine would take an hour for it.
        "speed" => (!is_slow(), "CELLBLOCK_TEST_PATIENCE says that this machine is slow"),
        "claude" => (
            std::env::var_os("CELLBLOCK_CLAUDE").is_some(),
            "CELLBLOCK_CLAUDE does not name the program (scripts/test fetches it)",
        ),
        // Between two tests: `scripts/vm test` does it with its own machine.
        _ => (
            need.strip_suffix("-restart") == Some(&says("CELLBLOCK_RESTART")),
            "CELLBLOCK_RESTART does not say that this machine is about to be restarted, or was",
        ),
    };
    (!said).then(|| reason.to_owned())
}

/// A process, with nothing of the caller's environment.
#[allow(clippy::disallowed_methods, reason = "the tests start cellblock and its helpers")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
    command.env("TERM", "xterm-256color").env("HOME", "/root").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program under test: the one that `CELLBLOCK_BINARY` names, else the one of this build.
pub(crate) fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let named = std::env::var("CELLBLOCK_BINARY");
        named.unwrap_or_else(|_| env!("CARGO_BIN_EXE_cellblock").to_owned())
    });
    &PROGRAM
}

/// `cellblock VERB --name AGENT OPTIONS… PROFILE -- WORDS…`.
pub(crate) fn cellblock(
    verb: &str,
    agent: &str,
    options: &[&str],
    profile: &str,
    words: &[&str],
) -> Command {
    // Who runs the tests in the background has signals ignored, and cellblock would ignore them too.
    let mut cellblock = command("/usr/bin/env");
    cellblock
        .args(["--default-signal", program()])
        .args([verb, "--name", agent])
        .args(options)
        .arg(profile);
    if !words.is_empty() {
        cellblock.arg("--").args(words);
    }
    cellblock
}

/// `cellblock exec` to its end.
pub(crate) fn exec(agent: &str, options: &[&str], profile: &str, words: &[&str]) -> Ended {
    finish(&mut cellblock("exec", agent, options, profile, words))
}

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Fails unless the status is `status`.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// Fails unless the status is `status`, and what was said holds `told`.
    #[track_caller]
    pub(crate) fn expect_failure(&self, status: i32, told: &str) -> &Self {
        self.expect(status);
        assert!(self.err.contains(told), "no `{told}` in {self:#?}");
        self
    }

    /// Fails unless cellblock refused with `status`, a sentence that holds each of `words`, and a hint.
    #[track_caller]
    pub(crate) fn expect_refusal(&self, status: i32, words: &[&str]) -> &Self {
        self.expect(status);
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in {self:#?}");
        }
        assert!(self.err.contains("hint:"), "no hint in {self:#?}");
        self
    }
}

/// A process that is on its way.
pub(crate) struct Running {
    pub(crate) child: Child,
    words: String,
    out: Option<Gathered>,
    err: Option<Gathered>,
}

/// What came from a stream up to now.
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Gathered {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

fn gather(stream: Option<impl Read + Send + 'static>) -> Option<Gathered> {
    let mut stream = stream?;
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&bytes);
    let thread = std::thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        while let Ok(length @ 1..) = stream.read(&mut block) {
            all.lock().unwrap().extend_from_slice(&block[..length]);
        }
    });
    Some(Gathered { bytes, thread })
}

/// Starts `command`; what it prints is read all the time.
pub(crate) fn start(command: &mut Command) -> Running {
    let mut child = loop {
        match command.spawn() {
            // Another test's child has what this one just wrote still open, until it has become its program.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            child => break child.unwrap(),
        }
    };
    let (out, err) = (gather(child.stdout.take()), gather(child.stderr.take()));
    Running { child, words: format!("{command:?}"), out, err }
}

/// Runs `command` to its end.
pub(crate) fn finish(command: &mut Command) -> Ended {
    start(command).wait(DEADLINE)
}

/// As [`finish`], with `input` on standard input.
pub(crate) fn finish_with(command: &mut Command, input: Vec<u8>) -> Ended {
    let mut running = start(command.stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    // Who reads no more gets no more.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let ended = running.wait(DEADLINE);
    writer.join().unwrap();
    ended
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// What came on standard output up to now.
    pub(crate) fn out(&self) -> String {
        self.out.as_ref().map(Gathered::text).unwrap_or_default()
    }

    /// What came on standard error up to now.
    pub(crate) fn said(&self) -> String {
        self.err.as_ref().map(Gathered::text).unwrap_or_default()
    }

    /// Waits until standard output holds `text`.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        eventually(text, || self.out().contains(text).then_some(()));
    }

    /// Waits for the end; who does not end in time is killed and fails the test.
    #[track_caller]
    pub(crate) fn wait(mut self, deadline: Duration) -> Ended {
        let deadline = patient(deadline);
        let ended = self.child.try_wait().unwrap().is_some();
        let in_time = ended || ends_within(self.pid(), deadline);
        if !in_time {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        let text = |stream: Option<Gathered>| {
            let Some(Gathered { bytes, thread }) = stream else { return String::new() };
            thread.join().unwrap();
            String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
        };
        let (out, err) = (text(self.out.take()), text(self.err.take()));
        let ended = Ended { status: status.code(), signal: status.signal(), out, err };
        assert!(in_time, "{} did not end within {deadline:?}: {ended:#?}", self.words);
        ended
    }
}

impl Drop for Running {
    /// A test that failed leaves nothing running to the next ones.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

/// Whether the child `pid` ends within `deadline`; it is not reaped.
fn ends_within(pid: Pid, deadline: Duration) -> bool {
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let mut watched = [PollFd::new(&pidfd, PollFlags::IN)];
    let timeout = Timespec { tv_sec: deadline.as_secs().try_into().unwrap(), tv_nsec: 0 };
    poll(&mut watched, Some(&timeout)).unwrap() > 0
}

/// Waits until `done` gives something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = done() {
            return result;
        }
        assert!(start.elapsed() < patient(DEADLINE), "this did not come: {what}");
        // Who looks again and again keeps a slow machine from what is waited for.
        std::thread::sleep(patient(Duration::from_millis(5)));
    }
}

/// Where every host has room on a disk.
const DISK: &str = "/var/tmp";

/// A directory that everybody may look into, with profiles in it.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path(), 0o755);
        Self(folder)
    }

    /// One on a disk: /tmp may be in memory.
    pub(crate) fn on_disk() -> Self {
        let folder = tempfile::tempdir_in(DISK).unwrap();
        open_to_all(folder.path(), 0o755);
        Self(folder)
    }

    /// One in memory.
    pub(crate) fn in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        open_to_all(folder.path(), 0o755);
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A directory in it with `mode`.
    pub(crate) fn directory(&self, name: &str, mode: u32) -> String {
        std::fs::create_dir_all(self.path(name)).unwrap();
        open_to_all(&self.path(name), mode);
        self.text(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str, mode: u32) -> String {
        std::fs::write(self.path(name), text).unwrap();
        open_to_all(&self.path(name), mode);
        self.text(name)
    }

    /// A profile in it; `schema` is added.
    pub(crate) fn profile(&self, name: &str, text: &str) -> String {
        self.file(&format!("{name}.toml"), &format!("schema = 1\n{text}"), 0o644)
    }
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A text that nobody can guess.
pub(crate) fn canary() -> String {
    let mut bytes = [0; 12];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
