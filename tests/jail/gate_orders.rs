//! Who may order the gate of a session: its owner, also one who comes back, and nobody else.

use crate::harness::{Ended, Folder, command, eventually, finish, program};
use crate::host;
use crate::installation::{Installation, STRANGER};
use std::path::{Path, PathBuf};

fn network(agent: &str, words: &[&str]) -> Ended {
    finish(command(program()).args(["network", agent]).args(words))
}

/// Whom `agent` may reach now, as text.
fn allowed(agent: &str) -> String {
    let shown = network(agent, &["--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.expect(0).out).unwrap();
    shown[0]["rules"]["allow"].to_string()
}

fn profile(folder: &Folder) -> String {
    let rules = "mode = 'allowlist'\nallow = ['a.test:7000']";
    folder.profile("orders", &format!("extends = ['demo']\n[network]\n{rules}\n"))
}

fn orders_of(agent: &str) -> PathBuf {
    Path::new("/run/cellblock/gates").join(format!("{agent}.run.orders"))
}

#[test]
fn an_owner_who_comes_back_orders_the_gate_and_hears_what_it_refused_meanwhile() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-go-owner";
    let folder = Folder::on_disk();
    let (profile, workspace) = (profile(&folder), folder.directory("project", 0o777));
    std::os::unix::fs::chown(&workspace, Some(STRANGER), Some(STRANGER)).unwrap();
    let mut installation = Installation::new(&[agent], "");
    let script = "while [ ! -e go ]; do sleep 0.1; done; getent hosts meanwhile.test; touch done; sleep 1000";
    let start = ["--name", agent, "--workspace", &workspace, &profile, "--", "bash", "-c", script];
    installation.ask("start", &start).expect(0);
    network(agent, &["--allow", "b.test:7001"]).expect(0);
    installation.dies();
    network(agent, &["--allow", "lost.test:7002"]).expect_refusal(125, &["hint"]);
    std::fs::write(folder.path("project/go"), "").unwrap();
    let done = folder.path("project/done");
    eventually("the refused question", || done.exists().then_some(()));
    installation.begin();
    installation.becomes(agent, "running");
    eventually("the refusal", || {
        let told = finish(command(program()).args(["denials", "--json", "-n", "100", agent]));
        told.out.contains("meanwhile.test").then_some(())
    });
    network(agent, &["--allow", "c.test:7003"]).expect(0);
    let now = allowed(agent);
    assert!(now.contains("b.test") && now.contains("c.test"), "{now}");
    assert!(!now.contains("lost.test"), "{now}");
    let why = |host: &str| finish(command(program()).args(["why", agent, host]));
    assert!(why("c.test:7003").expect(0).out.contains("changed while it runs"));
    why("lost.test:7002").expect(1);
    // Back to the rules of the plan, which are not the shim's to say.
    network(agent, &["--reset"]).expect(0);
    let now = allowed(agent);
    assert!(now.contains("a.test") && !now.contains("b.test"), "{now}");
    assert!(orders_of(agent).exists());
    installation.ask("stop", &["--now", agent]).expect(0);
    assert!(!orders_of(agent).exists());
}

/// Asks a gate what it has counted, as its keeper does: a sealed file in memory, handed over.
const ASK: &str = r#"
import fcntl, os, socket, sys
file = os.memfd_create("order", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
os.write(file, b'"Count"')
fcntl.fcntl(file, 1033, 2 | 4 | 8)
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.settimeout(float(sys.argv[2]))
line.connect(sys.argv[1])
try:
    socket.send_fds(line, [b"o"], [file])
    print("answer", line.recv(65536))
except (BrokenPipeError, ConnectionResetError):
    print("answer b''")
"#;

#[test]
fn nobody_but_root_orders_a_gate() {
    needs!("root", "cgroup2", "tmux", "python3");
    let agent = "jt-go-root";
    let folder = Folder::new();
    let profile = profile(&folder);
    let mut installation = Installation::new(&[agent], "");
    let start = ["--name", agent, &profile, "--", "sleep", "1000"];
    installation.ask("start", &start).expect(0);
    // The same socket where everybody reaches it, as if no folder and no mode stood before it.
    let open = tempfile::tempdir_in("/run").unwrap();
    let mode = |path: &Path, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    mode(open.path(), 0o755);
    let link = open.path().join("orders");
    std::fs::hard_link(orders_of(agent), &link).unwrap();
    let patience = crate::harness::patient(crate::harness::DEADLINE).as_secs().to_string();
    let ask = |uid: u32, path: &Path| {
        let mut asks = command("/usr/bin/setpriv");
        let number = uid.to_string();
        asks.args(["--reuid", &number, "--regid", &number, "--clear-groups", "python3", "-c", ASK]);
        finish(asks.arg(path).arg(&patience))
    };
    let shim = host::uid_of(&format!("{agent}.shim")).unwrap();
    let kept_out = ask(shim, &orders_of(agent));
    assert!(kept_out.err.contains("PermissionError"), "{kept_out:#?}");
    let by_mode = ask(shim, &link);
    assert!(by_mode.err.contains("PermissionError"), "{by_mode:#?}");
    mode(&link, 0o666);
    let by_the_gate = ask(shim, &link);
    assert_eq!(by_the_gate.expect(0).out, "answer b''\n", "{by_the_gate:#?}");
    assert!(allowed(agent).contains("a.test"));
    // Root, and be it no owner, is answered there; the owner would take the line back.
    installation.dies();
    let answered = ask(0, &link);
    assert!(answered.expect(0).out.contains("Counts"), "{answered:#?}");
    installation.begin();
    installation.becomes(agent, "running");
}
