//! The world in which the tests of the gate happen.

use crate::harness::{Ended, Folder, Running, cellblock, command, finish, patient, start};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const WORLD: &str = include_str!("world.py");
const CLIENT: &str = include_str!("client.py");
/// What is stretched in it.
const MOMENT: &str = "\nMOMENT = 0.5\n";

/// What the name server knows at the beginning.
pub(super) const ZONE: &str = r#"{
    "a.test": ["93.184.1.1"], "b.test": ["93.184.1.2"], "x.wild.test": ["93.184.1.1"], "wild.test": ["93.184.1.1"],
    "both.test": ["2606:4700:ffff::1", "93.184.1.1"], "dead.test": ["203.0.113.9", "93.184.1.1"],
    "inside.test": ["10.77.0.1"], "meta.test": ["169.254.169.254"], "self.test": ["127.0.0.1"],
    "mapped.test": ["::ffff:10.77.0.1"], "mixed.test": ["10.77.0.1", "93.184.1.1"], "six.test": ["2606:4700:ffff::1"],
    "github.test": ["93.184.1.1"], "denied.test": ["93.184.1.1"], "own.test": ["93.184.9.9"], "second.test": ["93.185.9.2"], "kept.test": ["93.184.1.1"], "else.test": ["93.184.1.1"], "ours.test": ["10.99.0.2"], "api.anthropic.com": ["93.184.1.1"]
}"#;

/// A world, ended when this is dropped.
pub(super) struct World {
    pub(super) folder: Folder,
    running: Running,
    /// A process in the host's network.
    host: String,
}

fn openssl(folder: &Folder, words: &[&str]) {
    let mut openssl = command("openssl");
    finish(openssl.args(words).current_dir(folder.path(""))).expect(0);
}

/// A server's certificate for every name below `.test`, and the authority that made it.
fn certificates(folder: &Folder) {
    let names = "subjectAltName=DNS:a.test,DNS:b.test,DNS:*.wild.test,DNS:wild.test,DNS:both.test,DNS:dead.test,\
                 DNS:inside.test,DNS:mixed.test,DNS:six.test,DNS:hosts.test,DNS:github.test,DNS:denied.test,DNS:api.anthropic.com";
    // Strict readers want to know whose key it is, and what the authority's may be used for (RFC 5280).
    let keys = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid";
    folder.file("extensions", &format!("{names}\n{keys}\n"), 0o644);
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];
    let authority = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-addext",
        "keyUsage=critical,keyCertSign",
    ];
    openssl(folder, &[&authority[..], &key].concat());
    let request = ["req", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"];
    openssl(folder, &[&request[..], &key].concat());
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "extensions",
            "-out",
            "server.pem",
        ],
    );
}

impl World {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        folder.file("zone.json", ZONE, 0o644);
        let script = folder.file("world.py", WORLD, 0o644);
        // Half a second, and longer on a slow machine.
        let moment = patient(Duration::from_millis(200)).max(Duration::from_millis(500));
        let moment = format!("\nMOMENT = {}\n", moment.as_secs_f64());
        assert!(CLIENT.contains(MOMENT));
        folder.file("client.py", &CLIENT.replace(MOMENT, &moment), 0o644);
        certificates(&folder);
        let place = folder.text("");
        let mut unshare = command("unshare");
        unshare.args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--kill-child",
            "python3",
            &script,
            &place,
        ]);
        let running = start(&mut unshare);
        let host = crate::harness::eventually("the world", || {
            let said = running.out();
            Some(said.lines().next()?.strip_prefix("ready ")?.to_owned())
        });
        Self { folder, running, host }
    }

    /// A profile with `rules` in its `[network]`.
    pub(super) fn profile(&self, name: &str, rules: &str) -> String {
        let (client, authority) = (self.folder.text("client.py"), self.folder.text("ca.pem"));
        self.folder.profile(
            name,
            &format!(
                "extends = ['demo']\n[network]\nmode = 'allowlist'\n{rules}\n[filesystem]\n\
                 read = [{{ path = '{client}', at = '/etc/client.py' }}, {{ path = '{authority}', at = '/etc/ca.pem' }}]\n"
            ),
        )
    }

    /// `command`, in the world.
    pub(super) fn inside(&self, inner: &Command) -> Command {
        let mut entered = command("nsenter");
        let target = self.running.pid().as_raw_nonzero().to_string();
        // unshare is the parent of what is in the namespaces, and in them itself.
        entered.args([
            "--target",
            &target,
            "--mount",
            &format!("--net=/proc/{}/ns/net", self.host),
            "--",
        ]);
        entered.arg(inner.get_program()).args(inner.get_args());
        entered
    }

    /// Begins `words` where the servers are.
    pub(super) fn outside(&self, words: &[&str]) -> Running {
        let mut entered = command("nsenter");
        let target = self.running.pid().as_raw_nonzero().to_string();
        start(entered.args(["--target", &target, "--mount", "--net", "--"]).args(words))
    }

    /// `words` without a jail, in the world.
    pub(super) fn bare(&self, words: &[&str]) -> Ended {
        let mut bare = command(words[0]);
        finish(&mut self.inside(bare.args(&words[1..])))
    }

    /// Begins `cellblock exec` of `words`, in the world.
    pub(super) fn begin(&self, agent: &str, profile: &str, words: &[&str]) -> Running {
        start(&mut self.inside(&cellblock("exec", agent, &[], profile, words)))
    }

    /// `words` in a jail, in the world.
    pub(super) fn jailed(&self, agent: &str, profile: &str, words: &[&str]) -> Ended {
        finish(&mut self.inside(&cellblock("exec", agent, &[], profile, words)))
    }

    /// What `client.py` says to `steps` in a jail whose network has `rules`: a line each.
    pub(super) fn client(&self, agent: &str, rules: &str, steps: &[&str]) -> Vec<String> {
        let profile = self.profile(agent, rules);
        let words = [&["python3", "/etc/client.py"], steps].concat();
        let ended = self.jailed(agent, &profile, &words);
        ended.expect(0);
        ended.out.lines().map(str::to_owned).collect()
    }

    /// The same without a jail.
    pub(super) fn bare_client(&self, steps: &[&str]) -> Vec<String> {
        let client = self.folder.text("client.py");
        let ended = self.bare(&[&["python3", &client], steps].concat());
        ended.expect(0);
        ended.out.lines().map(str::to_owned).collect()
    }

    /// The different lines of what the world wrote down.
    pub(super) fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path(file)).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    }

    /// How many questions came to the name server, each one counted.
    pub(super) fn questions(&self) -> usize {
        std::fs::read_to_string(self.folder.path("queries")).unwrap_or_default().lines().count()
    }

    /// Forgets what was written down.
    pub(super) fn forget(&self) {
        for file in ["queries", "packets", "requests"] {
            let path = self.folder.path(file);
            if Path::new(&path).exists() {
                std::fs::write(path, "").unwrap();
            }
        }
    }
}

/// The last denials of `agent`, as JSON.
pub(super) fn denials(agent: &str) -> Vec<serde_json::Value> {
    let ended =
        finish(command(crate::harness::program()).args(["denials", "--json", "-n", "1000", agent]));
    let text = ended.expect(0).out.clone();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
