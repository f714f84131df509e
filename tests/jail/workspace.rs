//! A person's own project, which belongs to another uid than the agent.

use crate::harness::{self, Folder, cellblock, command, exec, finish, start};
use crate::host;
use crate::refusals::PROBE;
use rustix::process::Signal;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

/// The person.
const PERSON: u32 = 4242;

/// Gives everything below `path` to the person.
fn give(path: std::path::PathBuf) {
    let mut left = vec![path];
    while let Some(path) = left.pop() {
        std::os::unix::fs::lchown(&path, Some(PERSON), Some(PERSON)).unwrap();
        if path.is_dir() && !path.is_symlink() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

fn project() -> (Folder, String) {
    let folder = Folder::new();
    let project = folder.directory("project", 0o755);
    folder.file("project/file", "text\n", 0o644);
    give(folder.path("project"));
    (folder, project)
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("project")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn what_the_agent_makes_belongs_to_the_person() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-project";
    for verb in ["run", "exec"] {
        let (folder, project) = project();
        let script = format!(
            "echo x > new; mkdir -p a/b; echo more >> file; id -u; stat -c 'owner %u' new file a; {}",
            harness::rest(300)
        );
        let words = ["sh", "-c", &script];
        let ended = finish(&mut cellblock(verb, agent, &["--workspace", &project], "demo", &words));
        let uid = host::uid_of(agent).unwrap();
        let expected = format!("{uid}\nowner {uid}\nowner {uid}\nowner {uid}\n");
        assert!(ended.expect(0).out.contains(&expected), "{ended:#?}");
        for made in ["new", "a", "a/b", "file"] {
            let path = folder.path("project").join(made);
            assert_eq!(host::owner(path), (PERSON, PERSON), "{verb}: {made}");
        }
        assert_eq!(names(&folder), ["a", "file", "new"], "no stub is left");
        host::expect_nothing_left(agent);
    }
}

#[test]
fn stubs_stand_only_while_the_jail_does() {
    needs!("root", "cgroup2");
    let (agent, (folder, project)) = ("jt-stubs", project());
    let words = ["sh", "-c", "echo inside; sleep 60"];
    let running = start(&mut cellblock("exec", agent, &["--workspace", &project], "demo", &words));
    running.says("inside");
    let stubs = [".claude", ".codex", ".envrc", ".git", ".mcp.json", "file"];
    assert_eq!(names(&folder), stubs);
    for stub in stubs {
        assert_eq!(host::owner(folder.path("project").join(stub)), (PERSON, PERSON), "{stub}");
    }
    // What the person writes there meanwhile is theirs, and stays.
    folder.file("project/.mcp.json", "{}", 0o644);
    running.signal(Signal::TERM);
    running.wait(harness::DEADLINE).expect(143);
    assert_eq!(names(&folder), [".mcp.json", "file"]);
    host::expect_nothing_left(agent);
}

#[test]
fn a_repository_works_and_its_hooks_are_protected() {
    needs!("root", "cgroup2", "git");
    let (agent, (folder, project)) = ("jt-git", project());
    let git = |words: &[&str]| {
        use std::os::unix::process::CommandExt as _;
        let mut git = command("git");
        git.current_dir(&project).uid(PERSON).gid(PERSON).env("HOME", folder.text(""));
        git.args([
            "-c",
            "user.name=p",
            "-c",
            "user.email=p@localhost",
            "-c",
            "init.defaultBranch=m",
        ]);
        finish(git.args(words)).expect(0).out.clone()
    };
    git(&["init", "-q"]);
    git(&["add", "file"]);
    git(&["commit", "-qm", "first"]);
    let script = "set -e; git status --porcelain -- file; echo agent > new; git add new; \
        git -c user.name=a -c user.email=a@localhost commit -qm second; git log --format=%s; \
        echo ---; set +e; touch .git/hooks/pre-commit; git config a.b c; mv .git moved; echo end";
    let words = ["sh", "-c", script];
    let ended = exec(agent, &["--workspace", &project], "demo", &words);
    assert_eq!(ended.expect(0).out, "second\nfirst\n---\nend\n", "{ended:#?}");
    let refused = ["pre-commit", "could not", "mv: cannot move"];
    for said in refused {
        assert!(ended.err.contains(said), "no `{said}`: {ended:#?}");
    }
    assert!(!folder.path("project/.git/hooks/pre-commit").exists());
    assert_eq!(git(&["log", "--format=%s"]), "second\nfirst\n");
    assert_eq!(git(&["status", "--porcelain"]), "", "something is left");
    host::expect_nothing_left(agent);
}

#[test]
fn what_is_no_project_is_refused() {
    needs!("root", "cgroup2");
    let (agent, (folder, project)) = ("jt-no-project", project());
    symlink("project", folder.path("link")).unwrap();
    let roots = folder.directory("roots", 0o755);
    let file = folder.file("plain", "", 0o644);
    let link = folder.text("link");
    let none = folder.text("none");
    let cases: &[(&str, &[&str])] = &[
        ("/", &["far more than a project"]),
        ("/root", &["far more than a project"]),
        ("/home", &["far more than a project"]),
        (&roots, &["belongs to root", "belongs to a person"]),
        (&link, &["symbolic link", "without the link"]),
        (&file, &["not a directory"]),
        (&none, &["does not exist"]),
    ];
    for (workspace, words) in cases {
        let ended = exec(agent, &["--workspace", workspace], "demo", &["true"]);
        ended.expect_refusal(125, words);
    }
    let socket = UnixListener::bind(folder.path("project/socket")).unwrap();
    let ended = exec(agent, &["--workspace", &project], "demo", &["true"]);
    ended.expect_refusal(125, &["unix socket", "project/socket"]);
    drop(socket);
    host::expect_nothing_left(agent);
    assert_eq!(names(&folder), ["file", "socket"], "stubs of a refused start");
}

#[test]
fn a_secret_with_a_second_name_is_not_hidden_and_so_refused() {
    needs!("root", "cgroup2");
    let (agent, (folder, project)) = ("jt-linked", project());
    let canary = harness::canary();
    folder.file("project/.env", &canary, 0o644);
    folder.file("project/plain.key", &canary, 0o644);
    give(folder.path("project"));
    let text = "extends = ['demo']\n[filesystem]\nhide = ['.env', '**/*.key']\n";
    let profile = folder.profile("hides", text);
    let words = ["sh", "-c", "cat .env plain.key; ls"];
    let hidden = exec(agent, &["--workspace", &project], &profile, &words);
    hidden.expect(0);
    assert!(!hidden.out.contains(&canary), "{hidden:#?}");
    assert_eq!(hidden.err.matches("Permission denied").count(), 2, "{hidden:#?}");
    std::fs::hard_link(folder.path("project/.env"), folder.path("project/other")).unwrap();
    let refused = exec(agent, &["--workspace", &project], &profile, &words);
    refused.expect_refusal(125, &["is another name of", "copy the file"]);
    assert_eq!(names(&folder), [".env", "file", "other", "plain.key"]);
    host::expect_nothing_left(agent);
}

#[test]
fn two_agents_share_a_project() {
    needs!("root", "cgroup2", "perl");
    let (folder, project) = project();
    let options = ["--workspace", &project];
    let words = ["sh", "-c", "echo inside; read line"];
    let wait = |agent: &str| {
        let mut cellblock = cellblock("exec", agent, &options, "demo", &words);
        let running = start(cellblock.stdin(std::process::Stdio::piped()));
        running.says("inside");
        running
    };
    let stubs = [".claude", ".codex", ".envrc", ".git", ".mcp.json", "file"];
    let mut first = wait("jt-shares-a");
    let canary = harness::canary();
    // The second tries for as long as it lives to make what is protected.
    let tries = "$| = 1; print \"inside\\n\"; my $n = 0; while (!-e '/workspace/stop') { for my $p ('.envrc', \
        '.mcp.json', '.git/hooks', '.claude/settings.json') { if (open my $f, '>', \"/workspace/$p\") { \
        print $f $ARGV[0]; $n++ } mkdir '/workspace/.git'; mkdir '/workspace/.git/hooks' and $n++ } \
        select undef, undef, undef, 0.01 } print \"made $n\\n\"";
    let second = start(&mut cellblock(
        "exec",
        "jt-shares-b",
        &options,
        "demo",
        &["perl", "-e", tries, &canary],
    ));
    second.says("inside");
    assert_eq!(names(&folder)[..4], stubs[..4]);
    // Its input ends, and it with it.
    drop(first.child.stdin.take());
    first.wait(harness::DEADLINE).expect(1);
    finish(&mut cellblock("exec", "jt-shares-c", &options, "demo", &["true"])).expect(0);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let standing = names(&folder);
    folder.file("project/stop", "", 0o644);
    let ended = second.wait(harness::DEADLINE);
    assert_eq!(ended.expect(0).out, "inside\nmade 0\n", "what was protected is not any more");
    assert_eq!(standing[..4], stubs[..4], "the second one's stubs are gone");
    std::fs::remove_file(folder.path("project/stop")).unwrap();
    assert_eq!(names(&folder), ["file"], "stubs are left");
    for agent in ["jt-shares-a", "jt-shares-b", "jt-shares-c"] {
        host::expect_nothing_left(agent);
    }
}

#[test]
fn jails_that_come_and_go_share_a_project() {
    needs!("root", "cgroup2");
    let (agent, (folder, project)) = ("jt-come-and-go", project());
    let options = ["--workspace", &project];
    for round in 0..3 {
        let jail = |index: u32| {
            let script = format!("sleep 0.0{}; touch .envrc .git/config", (index * 7 + round) % 10);
            let words = ["sh", "-c", &script];
            start(&mut cellblock("exec", agent, &options, "demo", &words))
        };
        let running: Vec<_> = (0..12).map(jail).collect();
        for running in running {
            running.wait(harness::DEADLINE).expect(1);
        }
        assert_eq!(names(&folder), ["file"], "stubs are left");
    }
    host::expect_nothing_left(agent);
}

#[test]
fn a_link_in_place_of_a_stubs_directory_keeps_nobody_from_starting() {
    needs!("root", "cgroup2");
    let (agent, (folder, project)) = ("jt-relinked", project());
    let options = ["--workspace", &project];
    let text = "extends = ['demo']\n[filesystem]\nprotect = ['notes/rules']\n";
    let profile = folder.profile("inner", text);
    folder.directory("project/notes", 0o755);
    give(folder.path("project"));
    let words = ["sh", "-c", "echo inside; read line; exit 0"];
    let mut first = cellblock("exec", agent, &options, &profile, &words);
    let mut first = start(first.stdin(std::process::Stdio::piped()));
    first.says("inside");
    std::fs::rename(folder.path("project/notes"), folder.path("project/moved")).unwrap();
    symlink("/etc", folder.path("project/notes")).unwrap();
    drop(first.child.stdin.take());
    let ended = first.wait(harness::DEADLINE);
    assert!(!ended.expect(0).err.contains("next launch"), "{ended:#?}");
    assert_eq!(names(&folder), ["file", "moved", "notes"]);
    host::expect_nothing_left(agent);
    std::fs::remove_file(folder.path("project/notes")).unwrap();
    exec(agent, &options, &profile, &["true"]).expect(0);
}

#[test]
fn links_in_a_project_lead_nowhere_outside() {
    needs!("root", "cgroup2", "perl");
    let (agent, (folder, project)) = ("jt-links", project());
    let canary = harness::canary();
    let secret = folder.file("secret", &canary, 0o644);
    symlink(&secret, folder.path("project/absolute")).unwrap();
    symlink("../secret", folder.path("project/relative")).unwrap();
    for name in ["absolute", "relative"] {
        let path = format!("/workspace/{name}");
        let words = ["/usr/bin/perl", "-e", PROBE, "read", &path];
        let full = exec(agent, &["--workspace", &project], "demo", &words);
        assert_eq!(full.out, "refused ENOENT\n", "{full:#?}");
    }
    host::expect_nothing_left(agent);
}
