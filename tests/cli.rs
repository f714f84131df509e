//! What a person sees: transcripts of the verbs that change nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(clippy::disallowed_methods, reason = "the tests start cellblock itself")]
#![allow(missing_docs, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run printed and how it ended.
struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

/// The program under test: the one that `CELLBLOCK_BINARY` names, else the one of this build.
fn program() -> String {
    let named = std::env::var("CELLBLOCK_BINARY");
    named.unwrap_or_else(|_| env!("CARGO_BIN_EXE_cellblock").to_owned())
}

/// cellblock in `directory`, with nothing of the caller's environment.
fn cellblock(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.current_dir(directory).env_clear().env("TERM", "xterm").stdin(Stdio::null());
    command
}

fn finish(command: &mut Command) -> Run {
    // A copy of the program cannot be run while a process that another test forks at this moment
    // holds the descriptor it was written with.
    let output = loop {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            output => break output.unwrap(),
        }
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// In the project's own folder, where `./profiles` are the shipped ones.
fn here(words: &[&str]) -> Run {
    finish(cellblock(Path::new(env!("CARGO_MANIFEST_DIR"))).args(words))
}

/// A directory that anybody may enter, with `files` in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn ten_mistakes_are_ten_problems_with_their_lines() {
    let run = here(&["check", "tests/data/ten-mistakes.toml"]);
    assert_eq!(run.status, Some(1), "{}", run.err);
    let problems = run.out.lines().filter_map(|line| line.strip_prefix("problem: "));
    let places: Vec<_> = problems
        .map(|line| {
            let mut parts = line.split(": ");
            let place = parts.next().unwrap().rsplit('/').next().unwrap();
            format!("{place} {}", parts.next().unwrap())
        })
        .collect();
    let expected = [
        "ten-mistakes.toml:3:20 extends[1]",
        "ten-mistakes.toml:4:1 colour",
        "ten-mistakes.toml:7:8 agent.user",
        "ten-mistakes.toml:8:11 agent.command",
        "ten-mistakes.toml:9:11 agent.workdir",
        "ten-mistakes.toml:12:9 filesystem.read[0]",
        "ten-mistakes.toml:13:10 filesystem.write[0]",
        "ten-mistakes.toml:16:8 network.mode",
        "ten-mistakes.toml:19:10 limits.memory",
        "ten-mistakes.toml:22:23 enforcement.without[1]",
    ];
    assert_eq!(places, expected, "{}", run.out);
}

#[test]
fn check_tells_good_from_bad_in_words_and_in_json() {
    let run = here(&["check", "base", "shell", "claude", "codex", "demo"]);
    assert_eq!((run.status, run.out.lines().count()), (Some(0), 5), "{}", run.out);
    assert!(run.out.lines().all(|line| line.starts_with("OK ")), "{}", run.out);
    let run = here(&["check", "--json", "demo", "tests/data/ten-mistakes.toml"]);
    let reports: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(run.status, Some(1));
    assert_eq!(reports[0]["ok"], true);
    assert_eq!(reports[1]["problems"].as_array().unwrap().len(), 10);
    assert_eq!(reports[1]["problems"][2]["line"], 7);
}

/// A profile that gives up a few things, each in a line that a test can name.
const LAX: &str =
    "schema = 1\nextends = ['base']\n[network]\nmode = 'host'\n[filesystem]\nread = ['~/.ssh']\n";

#[test]
fn a_score_tells_what_is_given_up_where_and_how_to_gain_it_back() {
    let folder = folder(&[("profiles/lax.toml", LAX)]);
    let check = |words: &[&str]| {
        let all = [&["check", "--score"], words].concat();
        finish(cellblock(folder.path()).args(all))
    };
    let run = check(&["lax"]);
    assert_eq!(run.status, Some(0), "{}{}", run.out, run.err);
    let found = |line: &str| run.out.lines().any(|found| found == line);
    for line in [
        "✓ user              a uid that nobody else has",
        "✗ mode              no network but one of its own                           2.5",
        "Given up, the most first:",
        "3.0 high   profiles/lax.toml:6:9: filesystem.read[0]: `~/.ssh` can be read: keys",
        "           hint: mode = \"none\"",
        "Overall exposure of lax: 5.7 exposed",
    ] {
        assert!(found(line), "{line}\n{}", run.out);
    }
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    let both = check(&["base", "lax"]).out;
    assert!(both.ends_with("\n 0.2 safe     base\n 5.7 exposed  lax\n"), "{both}");
}

#[test]
fn a_score_above_the_threshold_fails_the_check() {
    let folder = folder(&[("profiles/lax.toml", LAX)]);
    let status = |most: &str| {
        let words = ["check", "--score", "--threshold", most, "base", "lax"];
        let run = finish(cellblock(folder.path()).args(words));
        (run.status, run.out.matches("is above the threshold").count())
    };
    assert_eq!(status("5.7"), (Some(0), 0));
    assert_eq!(status("5.6"), (Some(1), 1));
    assert_eq!(status("0.1"), (Some(1), 2));
    assert_eq!(status("50").0, Some(2), "not a number of the scale");
    for words in [&["--score"][..], &["--threshold", "1.0", "base"]] {
        let run = here(&[&["check"], words].concat());
        assert_eq!(run.status, Some(2), "{words:?}: {}", run.out);
    }
}

#[test]
fn a_score_as_json_has_stable_names_and_none_where_there_are_problems() {
    let folder = folder(&[("profiles/lax.toml", LAX), ("bad.toml", "schema = 1\ncolour = 1\n")]);
    let words = ["check", "--score", "--json", "lax", "./bad.toml"];
    let run = finish(cellblock(folder.path()).args(words));
    assert_eq!(run.status, Some(1), "{}", run.err);
    let reports: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let score = &reports[0]["score"];
    assert_eq!((score["exposure"].as_f64(), score["word"].as_str()), (Some(5.7), Some("exposed")));
    let points = score["points"].as_array().unwrap();
    let mode = points.iter().find(|point| point["name"] == "network.mode").unwrap();
    assert_eq!(mode["kept"], false);
    assert_eq!((mode["exposure"].as_f64(), mode["most"].as_f64()), (Some(2.5), Some(2.5)));
    let loss = &mode["losses"][0];
    assert_eq!(loss["grade"], "high");
    assert_eq!((loss["line"].as_u64(), loss["hint"].as_str()), (Some(4), Some("mode = \"none\"")));
    let user = points.iter().find(|point| point["name"] == "agent.user").unwrap();
    assert_eq!((&user["kept"], user["losses"].as_array().unwrap().len()), (&true.into(), 0));
    assert_eq!((&reports[1]["ok"], reports[1].get("score")), (&false.into(), None));
    let without = here(&["check", "--json", "demo"]);
    assert!(!without.out.contains("score"), "{}", without.out);
}

#[test]
fn a_limit_below_what_a_command_needs_is_a_warning() {
    let text = "schema = 1\nextends = ['claude']\n[limits]\ntasks = 10\n";
    let folder = folder(&[("profiles/small.toml", text)]);
    let run = finish(cellblock(folder.path()).args(["check", "small"]));
    assert_eq!(run.status, Some(0), "{}", run.out);
    assert!(run.out.starts_with("warning: profiles/small.toml:4:9: limits.tasks: "), "{}", run.out);
    assert!(run.out.ends_with("OK small\n"), "{}", run.out);
}

#[test]
fn doing_without_a_wall_that_stands_everywhere_is_a_warning() {
    let text = "schema = 1\nextends = ['base']\n[enforcement]\nwithout = ['uts', 'rlimits']\n";
    let folder = folder(&[("profiles/idle.toml", text)]);
    let run = finish(cellblock(folder.path()).args(["check", "idle"]));
    assert_eq!(run.status, Some(0), "{}", run.out);
    assert!(run.out.contains("has no effect: every host can stand `rlimits`"), "{}", run.out);
    assert!(!run.out.contains("`uts`") && run.out.ends_with("OK idle\n"), "{}", run.out);
}

#[test]
fn a_policy_that_is_not_there_is_a_problem_and_one_in_a_folder_is_found() {
    let profile = "schema = 1\nextends = ['base']\n[seccomp]\npolicy = 'mine'\n";
    let folder = folder(&[("profiles/x.toml", profile)]);
    let check = || finish(cellblock(folder.path()).args(["check", "x"]));
    let run = check();
    assert!(run.status == Some(1) && run.out.contains("no policy called `mine`"), "{}", run.out);
    let policy = "schema = 1\ndescription = 'mine'\ninclude = ['minimal']\n";
    std::fs::create_dir_all(folder.path().join("policies/seccomp")).unwrap();
    std::fs::write(folder.path().join("policies/seccomp/mine.toml"), policy).unwrap();
    let run = check();
    assert_eq!((run.status, run.out.as_str()), (Some(0), "OK x\n"));
}

/// An installation's configuration of which every mistake is one that only this host can tell.
const STRANGE: &str = "schema = 1
[supervisor]
group = 'no-such-group'
[[roles]]
role = 'viewer'
users = ['root-of-nothing', 4242]
[[agents]]
name = 'a'
profile = 'no-such-profile'
[[agents]]
name = 'b'
profile = '@/bad.toml'
workspace = '@/missing'
[[agents]]
name = 'c'
profile = '@/bad.toml'
workspace = '@/bad.toml'
";

#[test]
fn a_configuration_is_checked_with_the_accounts_profiles_and_directories_it_names() {
    let folder =
        folder(&[("bad.toml", "schema = 1\nextends = ['base']\n[seccomp]\npolicy = 'mine'\n")]);
    let here = folder.path().display().to_string();
    let check = |text: &str| {
        std::fs::write(folder.path().join("config.toml"), text.replace('@', &here)).unwrap();
        finish(cellblock(folder.path()).args(["check", "--config", "config.toml"]))
    };
    let run = check(STRANGE);
    assert_eq!(run.status, Some(1), "{}", run.err);
    for told in [
        "config.toml:3:9: supervisor.group: there is no group `no-such-group` on this host",
        "config.toml:6:10: roles[0].users[0]: there is no user `root-of-nothing` on this host",
        "config.toml:9:11: agents[0].profile: there is no profile `no-such-profile`",
        "no policy called `mine`",
        "config.toml:13:13: agents[1].workspace: `",
        "config.toml:17:13: agents[2].workspace: is a file, and a workspace is a directory",
    ] {
        assert_eq!(run.out.matches(told).count(), 1, "{told}\n{}", run.out);
    }
    assert_eq!(run.out.matches("problem: ").count(), 6, "{}", run.out);
    let good = "schema = 1\n[supervisor]\ngroup = 0\n[[roles]]\nrole = 'viewer'\ngroups = ['root']\n[[agents]]\nname = 'a'\n\
        profile = 'demo'\nworkspace = '@'\n";
    let run = check(good);
    assert_eq!((run.status, run.out.as_str()), (Some(0), "OK config.toml\n"));
    let run = check(&good.replace("group = 0", ""));
    assert!(
        run.out.starts_with("warning: config.toml:5:8: roles[0].role: gives nobody"),
        "{}",
        run.out
    );
    assert!(run.status == Some(0) && run.out.ends_with("OK config.toml\n"), "{}", run.out);
    let run = check(&format!("{good}token = 'x'\n"));
    assert!(run.out.contains("hint: a secret is no part of this file"), "{}", run.out);
}

#[test]
fn new_agents_get_their_uids_from_the_configured_range() {
    let folder = folder(&[("config.toml", "schema = 1\n[uids]\nfirst = 200000\nlast = 200015\n")]);
    let words = [
        "explain",
        "--json",
        "--config",
        "config.toml",
        "--name",
        "never-started-before",
        "base",
        "--",
        "true",
    ];
    let run = finish(cellblock(folder.path()).args(words));
    assert_eq!(run.status, Some(0), "{}", run.err);
    let explained: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let uid = explained["plan"]["identity"]["uid"].as_u64().unwrap();
    assert!((200_000..=200_015).contains(&uid), "{uid}");
}

#[test]
fn an_unknown_profile_is_refused_with_the_known_ones() {
    let run = here(&["explain", "nobody"]);
    assert_eq!((run.status, run.out.as_str()), (Some(125), ""));
    let mut lines = run.err.lines();
    assert!(lines.next().unwrap().starts_with("cellblock: "), "{}", run.err);
    let hint = lines.next().unwrap();
    assert!(hint.starts_with("  hint: ") && hint.contains("demo"), "{}", run.err);
}

#[test]
fn a_circle_of_profiles_is_told_with_its_way() {
    let folder = folder(&[
        ("profiles/a.toml", "schema = 1\nextends = ['b']\n"),
        ("profiles/b.toml", "schema = 1\nextends = ['a']\n"),
    ]);
    let run = finish(cellblock(folder.path()).args(["check", "a"]));
    assert_eq!(run.status, Some(1));
    let expected = "problem: profiles/b.toml:2:12: extends[0]: extends itself: a → b → a";
    assert!(run.out.starts_with(expected), "{}", run.out);
    assert!(!run.out.contains("OK"), "{}", run.out);
}

#[test]
fn a_file_cannot_write_lines_of_ours_nor_move_the_cursor() {
    let text = "schema = 1\n\"x\\nOK forged\\u001b[2J\\u202e\" = 1\n";
    let folder = folder(&[("profiles/bad.toml", text)]);
    let run = finish(cellblock(folder.path()).args(["check", "--color=always", "bad"]));
    assert_eq!(run.status, Some(1));
    assert!(!run.out.lines().any(|line| line.starts_with("OK")), "{:?}", run.out);
    assert!(!run.out.contains("\x1b[2J") && !run.out.contains('\u{202e}'), "{:?}", run.out);
    assert!(run.out.contains("\\u{1b}[2J\\u{202e}"), "{:?}", run.out);
}

/// As a user who is nobody where the tests run as root, else as who they run as.
fn as_ordinary_user(directory: &Path, words: &[&str]) -> Run {
    let mut command = cellblock(directory);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
        // The folder that cargo builds into may be closed to others: a copy is not.
        let copy = directory.join("cellblock");
        std::fs::copy(program(), &copy).unwrap();
        let mut copied = Command::new(copy);
        copied.uid(65_534).gid(65_534).current_dir(directory).env_clear();
        command = copied;
    }
    finish(command.args(words))
}

#[test]
fn explain_and_check_need_no_root() {
    let folder = folder(&[]);
    std::fs::create_dir(folder.path().join("project")).unwrap();
    let project = folder.path().join("project");
    let run = as_ordinary_user(folder.path(), &["check", "demo", "claude"]);
    assert_eq!((run.status, run.out.as_str()), (Some(0), "OK demo\nOK claude\n"), "{}", run.err);
    let run = as_ordinary_user(folder.path(), &["check", "--score", "demo"]);
    assert_eq!(run.status, Some(0), "{}", run.err);
    assert!(run.out.ends_with("Overall exposure of demo: 2.0 ok\n"), "{}", run.out);
    // The project must not be root's.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&project, Some(65_534), Some(65_534)).unwrap();
    }
    let words = ["explain", "--workspace", "project", "--name", "worker-1", "claude", "--", "true"];
    let run = as_ordinary_user(folder.path(), &words);
    assert_eq!(run.status, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.starts_with("agent worker-1 by profile claude\n"), "{}", run.out);
    assert!(run.out.contains(&project.display().to_string()), "{}", run.out);
    assert!(run.out.contains("exec init"), "{}", run.out);
}

#[test]
fn explain_as_json_has_the_plan_and_its_steps() {
    let run = here(&["explain", "--json", "--verb", "exec", "base", "--", "true"]);
    let explained: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(run.status, Some(0), "{}", run.err);
    assert_eq!(explained["plan"]["command"]["words"][0], "true");
    assert_eq!(explained["steps"].as_array().unwrap().last().unwrap(), "exec init");
    assert!(explained["hindrances"].is_array());
}

#[test]
fn what_the_command_line_gets_wrong_is_told_together() {
    let words =
        ["explain", "demo", "--name", "A/b", "--without", "moat", "--workspace", "/no/such"];
    let run = here(&words);
    assert_eq!(run.status, Some(125));
    for told in
        ["--name: `A/b` is not a name", "--without: `moat` is not a wall; the walls are user,"]
    {
        assert!(run.err.contains(told), "{}", run.err);
    }
    assert!(run.err.contains("--workspace: `/no/such` does not exist"), "{}", run.err);
}

#[test]
fn a_wall_that_others_rest_on_is_not_taken_away_alone() {
    let run = here(&["explain", "demo", "--without", "no-new-privs"]);
    assert_eq!(run.status, Some(125));
    assert!(run.err.contains("--without no-new-privs --without landlock"), "{}", run.err);
    let run = here(&["explain", "demo", "--without", "seccomp"]);
    assert_eq!(run.status, Some(0), "{}", run.err);
    assert!(run.out.contains("taken away by the command line"), "{}", run.out);
    assert!(run.out.contains("seccomp   none"), "{}", run.out);
}

#[test]
fn a_workspace_behind_a_link_is_told_where_it_leads() {
    let folder = folder(&[("real/file", "")]);
    std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
    let run = finish(cellblock(folder.path()).args(["explain", "--workspace", "link", "demo"]));
    assert_eq!(run.status, Some(125));
    assert!(
        run.err.contains("leads to `real`: name the directory without the link"),
        "{}",
        run.err
    );
}

#[test]
fn the_probes_are_listed_for_everybody_and_made_for_root_alone() {
    let folder = folder(&[]);
    let run = as_ordinary_user(folder.path(), &["verify", "--list"]);
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    let ids: Vec<_> = run.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let all: Vec<_> = cellblock::verify::battery::all().map(|(_, probe)| probe.id).collect();
    assert_eq!(ids, all);
    let run = as_ordinary_user(folder.path(), &["verify", "--list", "--json", "--only", "FS-01"]);
    let listed: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert!(listed.as_array().unwrap().iter().all(|it| it["family"] == "files"), "{}", run.out);
    let run = as_ordinary_user(folder.path(), &["verify", "demo"]);
    assert_eq!((run.status, run.out.as_str()), (Some(125), ""));
    assert!(run.err.contains("only be made by root\n  hint: run it with sudo"), "{}", run.err);
    let run = here(&["verify", "--only", "FS-001.x", "demo"]);
    assert_eq!((run.status, run.out.as_str()), (Some(125), ""));
    assert!(run.err.contains("`FS-001.x` is no family, attack or probe"), "{}", run.err);
    assert!(run.err.contains("the families are files"), "{}", run.err);
}

/// The verbs as `--help` lists them.
fn verbs() -> Vec<String> {
    let help = here(&["--help"]).out;
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let names = listed.lines().take_while(|line| line.starts_with("  "));
    let names = names.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != "help").chain(["man".to_owned()]).collect()
}

#[test]
fn every_verb_has_help_with_examples_that_fit_a_terminal() {
    let verbs = verbs();
    assert!(verbs.len() >= 6, "{verbs:?}");
    for verb in &verbs {
        let run = here(&[verb, "--help"]);
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{verb}");
        let examples = run.out.split("Examples:\n").nth(1);
        let example = format!("cellblock {verb}");
        assert!(examples.is_some_and(|text| text.contains(&example)), "{verb}: {}", run.out);
        let long = run.out.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{verb}");
    }
}

#[test]
fn examples_of_the_help_are_understood() {
    for verb in verbs() {
        let help = here(&[&verb, "--help"]).out;
        let examples = help.split("Examples:\n").nth(1).unwrap().lines();
        for example in examples.filter_map(|line| Some(line.split_once("cellblock ")?.1)) {
            let words = example.split(['|', '>', '&', '$']).next().unwrap().split_whitespace();
            let parsed = cellblock::cli::command()
                .try_get_matches_from(std::iter::once("cellblock").chain(words));
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    for words in [&[][..], &["frobnicate"], &["explain"], &["check"], &["doctor", "--nope"]] {
        let run = here(words);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{words:?}");
        assert!(run.err.contains("Usage: cellblock"), "{words:?}: {}", run.err);
    }
}

#[test]
fn colours_only_where_they_are_asked_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let colored = |words: &[&str], no_color: bool| {
        let mut command = cellblock(root);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        finish(command.args(words)).out.contains('\x1b')
    };
    assert!(colored(&["check", "demo", "--color", "always"], false));
    assert!(!colored(&["check", "demo"], false), "this is no terminal");
    assert!(!colored(&["check", "demo", "--color", "never"], false));
    assert!(!colored(&["check", "demo"], true));
    assert!(on_a_terminal(false).contains('\x1b'));
    assert!(!on_a_terminal(true).contains('\x1b'), "NO_COLOR is set");
}

/// What `check demo` writes to a terminal.
fn on_a_terminal(no_color: bool) -> String {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use std::io::Read as _;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    let mut command = cellblock(Path::new(env!("CARGO_MANIFEST_DIR")));
    command.args(["check", "demo"]).stdout(slave);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    assert!(command.status().unwrap().success());
    // The last slave is closed: reading ends with EIO when everything was read.
    drop(command);
    let mut text = Vec::new();
    drop(std::fs::File::from(master).read_to_end(&mut text));
    String::from_utf8(text).unwrap()
}

#[test]
fn a_reader_that_had_enough_is_no_error() {
    let mut command = cellblock(Path::new(env!("CARGO_MANIFEST_DIR")));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.args(["completion", "bash"]).stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
    let full = std::fs::File::create("/dev/full").unwrap();
    let run = finish_into(&mut cellblock(Path::new("/")), full);
    assert_eq!(run.status, Some(125));
    assert!(run.err.contains("cannot write to standard output: No space left"), "{}", run.err);
}

fn finish_into(command: &mut Command, file: std::fs::File) -> Run {
    finish(command.args(["completion", "bash"]).stdout(file))
}

#[test]
fn doctor_tells_every_wall_and_its_status_follows_from_the_table() {
    let run = here(&["doctor", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&run.out).unwrap();
    for wall in cellblock::profile::Wall::ALL {
        assert!(rows.iter().any(|row| row["name"] == wall.name()), "{wall}");
    }
    let connector = rows.iter().find(|row| row["name"] == "(connector)").unwrap();
    let sees = rustix::process::geteuid().is_root() && cellblock::watch::sees().is_ok();
    let state = if sees { "stands" } else { "lacking" };
    assert_eq!(connector["state"], state, "{connector}");
    assert_eq!(connector["cure"] == "", sees, "{connector}");
    let missing = rows.iter().any(|row| row["state"] == "missing");
    assert_eq!(run.status, Some(i32::from(missing)), "{}", run.out);
    let table = here(&["doctor"]);
    assert_eq!(table.status, run.status);
    assert_eq!(table.out.matches("MISSING").count() > 0, missing, "{}", table.out);
}

#[test]
fn manual_and_completions_name_every_verb() {
    let folder = folder(&[]);
    let directory = folder.path().display().to_string();
    assert_eq!(here(&["man", &directory]).status, Some(0));
    let completion = here(&["completion", "bash"]).out;
    for verb in verbs().iter().filter(|verb| *verb != "man") {
        let page = std::fs::read_to_string(folder.path().join(format!("cellblock-{verb}.1")));
        assert!(page.is_ok_and(|page| page.contains("Examples:")), "{verb}");
        assert!(completion.contains(verb.as_str()), "{verb}");
    }
    let run = here(&["man", "/no/such/directory"]);
    assert_eq!(run.status, Some(125));
    assert!(run.err.starts_with("cellblock: cannot write /no/such/directory/cellblock.1: "));
}

#[test]
fn a_live_view_without_a_terminal_points_to_the_list() {
    let run = here(&["top"]);
    assert_eq!((run.status, run.out.as_str()), (Some(125), ""), "{}", run.err);
    assert!(
        run.err.contains("needs a terminal") && run.err.contains("cellblock ls"),
        "{}",
        run.err
    );
    for interval in ["0", "0.4", "61", "-1", "NaN", "x"] {
        let run = here(&["top", &format!("--interval={interval}")]);
        assert_eq!(run.status, Some(2), "{interval}: {}", run.err);
    }
}

#[test]
fn verbose_tells_on_standard_error_what_is_done() {
    let quiet = here(&["explain", "demo"]);
    let told = here(&["-v", "explain", "demo"]);
    assert_eq!(quiet.err, "");
    assert!(told.err.contains("planning"), "{}", told.err);
    assert_eq!(quiet.out, told.out);
}

#[test]
fn a_recording_through_a_pipe_is_its_text() {
    let run = here(&["play", "tests/data/session.cast"]);
    let text = "first line\nevil \\u{202e}end\n-- a place\nlast line\n";
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (Some(0), text, ""));
    assert_eq!(here(&["play", "--text", "tests/data/session.cast"]).out, text);
}

#[test]
fn what_is_no_recording_is_told_with_its_file_and_line() {
    let whole = include_str!("data/session.cast");
    let cut = whole.strip_suffix(", \"x\", \"0\"]\n").unwrap();
    let folder = folder(&[
        ("old.cast", "{\"version\":2,\"width\":80,\"height\":24}\n"),
        ("bad.cast", &whole.replace("[3600.000000, ", "[-1, ")),
        ("cut.cast", cut),
    ]);
    let play = |words: &[&str]| finish(cellblock(folder.path()).args([&["play"], words].concat()));
    for (words, cause, hint) in [
        (
            &["old.cast"][..],
            "cannot play old.cast: line 1 says version 2, and version 3 alone is read",
            "`asciinema convert`",
        ),
        (&["bad.cast"], "cannot play bad.cast: line 8 has no time that can be: -1 s", ""),
        (&["none.cast"], "cannot open none.cast: No such file or directory", ""),
        (&["./"], "cannot play ./: it is not a file", ""),
        (
            &["no-such-agent-here"],
            "cannot find a recording of no-such-agent-here in",
            "record = true",
        ),
        (&["No Agent"], "NAME: `No Agent` is not a name", "ending in .cast"),
        (
            &["--list", "cut.cast"],
            "`cut.cast` is a file, and holds one recording",
            "name the agent",
        ),
    ] {
        let run = play(words);
        assert_eq!(run.status, Some(125), "{words:?}: {}", run.err);
        assert!(run.err.contains(cause) && run.err.contains(hint), "{words:?}: {}", run.err);
    }
    assert!(play(&["bad.cast"]).out.starts_with("first line\n"));
    let run = play(&["cut.cast"]);
    assert_eq!(run.status, Some(0));
    assert!(run.out.ends_with("last line\n"), "{}", run.out);
    assert!(run.err.starts_with("cellblock: cut.cast ends in the middle of a line"), "{}", run.err);
}

#[test]
fn a_recording_that_is_not_for_everybody_says_so() {
    let folder = folder(&[("closed.cast", include_str!("data/session.cast"))]);
    let path = folder.path().join("closed.cast");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let run = as_ordinary_user(folder.path(), &["play", "closed.cast"]);
    assert_eq!((run.status, run.out.as_str()), (Some(125), ""));
    assert!(run.err.contains("cannot open closed.cast: Permission denied"), "{}", run.err);
    assert!(run.err.contains("run it with sudo"), "{}", run.err);
}

#[test]
fn speeds_and_times_of_a_recording_are_bounded() {
    for words in [["--speed", "0"], ["--speed", "nan"], ["--idle-limit", "-1"], ["--at", "1e99"]] {
        let [option, value] = words;
        let word = format!("{option}={value}");
        let run = here(&["play", "tests/data/session.cast", &word]);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{word}");
    }
}

/// A profile with rules of the network.
const ASKED: &str = "schema = 1\nextends = ['base']\n[network]\nmode = 'allowlist'\nallow = ['a.test', '*.b.test:80']\n";

#[test]
fn why_answers_for_a_profile_that_does_not_run() {
    let folder = folder(&[("asked.toml", ASKED)]);
    let why =
        |words: &[&str]| finish(cellblock(folder.path()).args(["why", "./asked.toml"]).args(words));
    for (words, status, told) in [
        (&["/etc/shadow"][..], 1, "[filesystem] read = [\"/etc/shadow\"]"),
        (&["/etc/shadow", "--write"], 1, "[filesystem] write = [\"/etc/shadow\"]"),
        (&["/usr/bin/env"], 0, "write /usr/bin/env: REFUSED by mount (EROFS)"),
        (&["/usr/bin/env", "--write"], 1, "/usr is read-only"),
        (&["/usr/bin/env", "--read", "--execute"], 0, "execute /usr/bin/env: allowed"),
        (&["a.test"], 0, "by TLS with its name"),
        (&["x.b.test:80"], 0, "*.b.test:80"),
        (&["c.test"], 1, "[network] allow = [\"c.test:443\"]"),
        (&["bpf"], 1, "replace = [\"bpf\"]"),
        (&["read"], 0, "call read: allowed"),
        (&["socket"], 0, "in all other cases"),
        (&["tasks"], 0, "[limits] tasks = 1024"),
        (&["--kind", "host", "read"], 1, "connect read:443: REFUSED by gate"),
        (&["--kind", "path", "x"], 0, "read /home/agent/x: allowed"),
    ] {
        let run = why(words);
        assert_eq!(run.status, Some(status), "{words:?}: {} {}", run.out, run.err);
        assert!(
            run.out.contains(told) && run.out.contains("as planned now"),
            "{words:?}: {}",
            run.out
        );
    }
    for (words, told) in [
        (&["a b"][..], "is not a host's name"),
        (&["a.test:x"], "no port"),
        (&["a.test", "--read"], "are for paths"),
        (&["--kind", "syscall", "x"], "is no system call"),
        (&["--kind", "limit", "x"], "is no limit"),
    ] {
        let run = why(words);
        assert_eq!(run.status, Some(125), "{words:?}");
        assert!(run.err.contains(told) && run.err.contains("hint:"), "{words:?}: {}", run.err);
    }
    let run = why(&["--json", "/srv/x", "--write"]);
    let shown: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.status, &shown["jail"]), (Some(1), &serde_json::Value::Null));
    let answer = &shown["answers"][0];
    assert_eq!((&answer["verdict"], &answer["wall"]), (&"refused".into(), &"mount".into()));
    assert_eq!(answer["opening"]["line"], "write = [\"/srv/x\"]");
}

#[test]
fn denials_are_for_root_and_know_their_walls() {
    let run = here(&["denials", "--wall", "moat", "x"]);
    assert_eq!(run.status, Some(125));
    assert!(run.err.contains("moat") && run.err.contains("gate, landlock"), "{}", run.err);
}
