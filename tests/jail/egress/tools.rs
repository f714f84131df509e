//! The tools of everyday work reach what a rule allows, unchanged, and fail with an error of their own elsewhere.

use super::world::{World, denials};
use crate::harness::{command, finish, patient};
use crate::host;
use std::path::Path;
use std::time::{Duration, Instant};

const REGISTRY: &str = include_str!("registry.py");
const FETCH_GO: &str = include_str!("fetch.go");

/// How long a tool may take to say that it was refused: it starts, tries once, and ends.
const REFUSED: Duration = Duration::from_secs(10);

impl World {
    /// Has the world serve packages below `https://a.test/registry`.
    fn serve_packages(&self) {
        self.folder.directory("www", 0o755);
        let script = self.folder.file("registry.py", REGISTRY, 0o644);
        finish(command("python3").args([&script, &self.folder.text("")])).expect(0);
    }

    /// `profile`, with `files` in its `[filesystem]`.
    fn with_files(&self, name: &str, profile: &str, files: &str) -> String {
        self.folder.profile(name, &format!("extends = ['{profile}']\n[filesystem]\n{files}\n"))
    }

    /// What `script` says in a jail that may reach `a.test`; what it says where `a.test` is `b.test`, which it may not
    /// reach, must have `error` in it, and the refusal must be told.
    fn tried(&self, agent: &str, profile: &str, script: &str, error: &str) -> String {
        let run = |script: &str| self.jailed(agent, profile, &["sh", "-c", script]);
        let said = run(script).expect(0).out.clone();
        let begun = Instant::now();
        let refused = run(&script.replace("a.test", "b.test"));
        assert!(begun.elapsed() < patient(REFUSED), "{:?}: {refused:#?}", begun.elapsed());
        assert_ne!(refused.status, Some(0), "{refused:#?}");
        assert!(format!("{}{}", refused.out, refused.err).contains(error), "{error}: {refused:#?}");
        let told = denials(agent);
        assert_eq!(told.last().unwrap()["to"], "b.test", "{told:#?}");
        host::expect_nothing_left(agent);
        said
    }
}

#[test]
fn node_fetches() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "node");
    let (world, agent) = (World::new(), "jt-node");
    let profile = world.profile(agent, "allow = ['a.test']");
    let script = "export NODE_EXTRA_CA_CERTS=/etc/ca.pem; node -e \"
        fetch('https://a.test/by-node').then(it => it.text()).then(it => process.stdout.write(it),
            it => { console.log(it.cause.code); process.exitCode = 1 })\"";
    let said = world.tried(agent, &profile, script, "ENOTFOUND");
    assert_eq!(said, "GET a.test /by-node 0 by TLSv1.3\n");
}

#[test]
fn npm_installs() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "npm");
    let (world, agent) = (World::new(), "jt-npm");
    world.serve_packages();
    let profile = world.profile(agent, "allow = ['a.test']");
    let script = "cd /tmp && npm install --no-audit --no-fund --fetch-retries 0 --cafile /etc/ca.pem \
                  --registry https://a.test/registry/npm thing && node -p \"require('thing')\"";
    let said = world.tried(agent, &profile, script, "ENOTFOUND");
    assert!(said.ends_with("by npm\n"), "{said}");
}

#[test]
fn pip_installs() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "pip");
    let (world, agent) = (World::new(), "jt-pip");
    world.serve_packages();
    let profile = world.profile(agent, "allow = ['a.test']");
    let script = "cd /tmp && /usr/bin/python3 -m pip install --quiet --retries 0 --cert /etc/ca.pem --target t \
                  --index-url https://a.test/registry/pip thing && /usr/bin/python3 t/thing.py";
    let said = world.tried(agent, &profile, script, "No matching distribution");
    assert_eq!(said, "by pip\n");
}

#[test]
fn cargo_fetches() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "cargo");
    let (world, agent) = (World::new(), "jt-cargo");
    world.serve_packages();
    let toolchain = Path::new(env!("CARGO")).parent().and_then(Path::parent).unwrap().display();
    let profile = world.profile(agent, "allow = ['a.test']");
    let tree = format!("execute = [{{ path = '{toolchain}', at = '/opt/rust' }}]");
    let profile = world.with_files("jt-cargo-files", &profile, &tree);
    let script = "export PATH=/opt/rust/bin:$PATH CARGO_HOME=/tmp/home CARGO_NET_RETRY=0 CARGO_HTTP_CAINFO=/etc/ca.pem
        mkdir /tmp/p /tmp/p/src /tmp/p/.cargo && cd /tmp/p && : > src/lib.rs
        printf '[package]\\nname = \"p\"\\n[dependencies]\\nthing = \"1\"\\n' > Cargo.toml
        printf '[source.crates-io]\\nreplace-with = \"ours\"\\n[source.ours]\\nregistry = \"sparse+https://a.test/registry/cargo/index/\"\\n' > .cargo/config.toml
        cargo fetch && cat /tmp/home/registry/src/*/thing-1.0.0/src/lib.rs";
    let said = world.tried(agent, &profile, script, "Could not resolve host");
    assert_eq!(said, "//! By cargo.\n");
}

/// Go has a resolver and a TLS of its own: nothing of the C library is asked.
#[test]
fn go_programs_fetch() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "go");
    let (world, agent) = (World::new(), "jt-go");
    let source = world.folder.file("fetch.go", FETCH_GO, 0o644);
    let program = world.folder.text("fetch");
    let mut build = command("go");
    build.args(["build", "-o", &program, &source]).env("CGO_ENABLED", "0");
    finish(build.env("GOCACHE", world.folder.path("go-cache"))).expect(0);
    let profile = world.profile(agent, "allow = ['a.test']");
    let file = format!("execute = [{{ path = '{program}', at = '/opt/fetch' }}]");
    let profile = world.with_files("jt-go-files", &profile, &file);
    let script = "SSL_CERT_FILE=/etc/ca.pem /opt/fetch https://a.test/by-go";
    let said = world.tried(agent, &profile, script, "lookup b.test on 127.0.0.1:53: no such host");
    assert_eq!(said, "GET a.test /by-go 0 by TLSv1.3\n");
}

#[test]
fn a_database_answers() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "psql");
    let (world, agent) = (World::new(), "jt-psql");
    let profile = world.profile(agent, "allow = ['a.test:5432']");
    let script = "psql -At 'postgresql://agent@a.test/things' -c 'select thing from things'";
    let said = world.tried(agent, &profile, script, "could not translate host name");
    assert_eq!(said, "select thing from things\n");
}

#[test]
fn git_clones_by_ssh() {
    needs!("root", "cgroup2", "python3", "openssl", "ip", "git", "ssh", "dropbear");
    let (world, agent) = (World::new(), "jt-ssh");
    let folder = &world.folder;
    let make = "git init -q -b main r && git -C r -c user.name=n -c user.email=e@a.test commit -q --allow-empty -m first \
                && ssh-keygen -q -t ed25519 -N '' -C key -f key && chmod 644 key && dropbearkey -t ed25519 -f host-key \
                && mkdir -m 700 home home/.ssh && cp key.pub home/.ssh/authorized_keys";
    finish(command("sh").args(["-c", make]).current_dir(folder.path(""))).expect(0);
    let place = folder.text("");
    let place = place.trim_end_matches('/');
    let serve = format!(
        "mount --bind {place}/home /root && exec /usr/sbin/dropbear -F -E -s -r {place}/host-key -p 93.184.1.1:22 2>&1"
    );
    let server = world.outside(&["sh", "-c", &serve]);
    server.says("Not backgrounding");
    let profile = world.profile(agent, "allow = ['a.test:22']");
    let key = format!("read = [{{ path = '{place}/key', at = '/etc/key' }}]");
    let profile = world.with_files("jt-ssh-files", &profile, &key);
    let options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR";
    let script = format!(
        "cd /tmp && cp /etc/key k && chmod 600 k && export GIT_SSH_COMMAND='ssh -i /tmp/k {options}' \
         && git clone -q -u \"$(command -v git) upload-pack\" ssh://root@a.test{place}/r c && git -C c log --format=%s"
    );
    let said = world.tried(agent, &profile, &script, "Could not resolve hostname b.test");
    assert_eq!(said, "first\n");
    server.signal(rustix::process::Signal::TERM);
    server.wait(crate::harness::DEADLINE);
}
