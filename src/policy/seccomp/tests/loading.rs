//! What a file may say, and how mistakes are reported.

use crate::document::Problems;
use crate::policy::seccomp::{Action, Errno, Policy, Verdict, load};

/// Loads `a` from these files.
fn load_files(files: &[(&str, &str)]) -> Result<Policy, Problems> {
    load("a", &|name| {
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| format!("schema = 1\n{text}"))
    })
}

fn problems(files: &[(&str, &str)]) -> String {
    load_files(files).unwrap_err().to_string()
}

const READ: &str = "[[allow]]\ncalls = ['read']\nreason = 'r'\n";

/// A file with one entry for `socket` that has this condition.
fn with_condition(condition: &str) -> String {
    format!("[[allow]]\ncalls = ['socket']\nwhen = [{condition}]\nreason = 'r'\n")
}

#[test]
fn what_is_not_mentioned_gets_the_default() {
    let policy = load_files(&[("a", &format!("default = 'EPERM'\n{READ}"))]).unwrap();
    assert_eq!(policy.decide("read", &[0; 6]).action, Action::Allow);
    assert_eq!(policy.decide("write", &[0; 6]).action, Action::Refuse(Errno::Eperm));
    let policy = load_files(&[("a", READ)]).unwrap();
    assert_eq!(policy.decide("write", &[0; 6]).action, Action::Refuse(Errno::Enosys));
}

#[test]
fn refusals_win_wherever_they_stand() {
    let refusal = "[[refuse]]\ncalls = ['read']\nwhen = [{ argument = 0, width = 32, is = 3 }]\n\
                   errno = 'EACCES'\nreason = 'no'\n";
    for text in [format!("{READ}{refusal}"), format!("{refusal}{READ}")] {
        let policy = load_files(&[("a", &text)]).unwrap();
        let decision = policy.decide("read", &[3, 0, 0, 0, 0, 0]);
        assert_eq!((decision.action, decision.reason), (Action::Refuse(Errno::Eacces), "no"));
        assert_eq!(policy.decide("read", &[4, 0, 0, 0, 0, 0]).action, Action::Allow);
        assert!(matches!(policy.verdict("read"), Verdict::Depends(_)));
    }
}

#[test]
fn alternatives_share_one_answer_for_the_rest() {
    let entry = |value| {
        let entry = with_condition(&format!("{{ argument = 0, width = 32, is = '{value}' }}"));
        entry + "otherwise = 'EAFNOSUPPORT'\n"
    };
    let policy = load_files(&[("a", &(entry("AF_UNIX") + &entry("AF_INET")))]).unwrap();
    let action = |family| policy.decide("socket", &[family, 0, 0, 0, 0, 0]).action;
    assert_eq!([action(1), action(2)], [Action::Allow; 2]);
    assert_eq!(action(17), Action::Refuse(Errno::Eafnosupport));
}

#[test]
fn an_include_adds_and_replace_takes_away() {
    let base = "[[allow]]\ncalls = ['read', 'write']\nreason = 'base'\n";
    let text = "include = ['b']\nreplace = ['write']\n\
                [[refuse]]\ncalls = ['write']\nerrno = 'EPERM'\nreason = 'own'\n";
    let policy = load_files(&[("a", text), ("b", base)]).unwrap();
    assert_eq!(policy.decide("read", &[0; 6]).reason, "base");
    assert_eq!(policy.decide("write", &[0; 6]).reason, "own");
    let without = text.replace("replace = ['write']\n", "");
    assert!(problems(&[("a", &without), ("b", base)]).contains("`write` contradicts"));
    let wrong = text.replace("replace = ['write']", "replace = ['write', 'open']");
    assert!(problems(&[("a", &wrong), ("b", base)]).contains("no included file mentions `open`"));
}

#[test]
fn a_file_included_twice_is_the_same_file() {
    let files = [
        ("a", "include = ['b', 'c']"),
        ("b", "include = ['d']"),
        ("c", "include = ['d']"),
        ("d", READ),
    ];
    assert_eq!(load_files(&files).unwrap().calls["read"].rules.len(), 1);
}

#[test]
fn includes_that_cannot_be_had_are_reported() {
    let cycle = problems(&[("a", "include = ['b']"), ("b", "include = ['a']")]);
    assert!(
        cycle.contains("seccomp/b.toml:2:12: include[0]: `a` includes itself: a → b → a"),
        "{cycle}"
    );
    assert!(problems(&[("a", "include = ['x']")]).contains("there is no policy called `x`"));
    assert!(problems(&[("a", "include = ['../x']")]).contains("`../x` is not a policy's name"));
    assert!(problems(&[]).contains("there is no policy called `a`"));
}

#[test]
fn find_is_never_asked_for_a_path() {
    for name in ["../etc/passwd", "/x", "", "A", "a.b", "a\0"] {
        let find = |_: &str| -> Option<String> { panic!("asked for {name:?}") };
        assert!(load(name, &find).is_err());
    }
}

#[test]
fn an_empty_filter_is_an_error() {
    assert!(problems(&[("a", "")]).contains("allows nothing"));
    let refusal = "[[refuse]]\ncalls = ['read']\nerrno = 'EPERM'\nreason = 'r'\n";
    assert!(problems(&[("a", refusal)]).contains("allows nothing"));
    let empty = "[[allow]]\ncalls = []\nreason = 'r'\n";
    assert!(problems(&[("a", empty)]).contains("seccomp/a.toml:2:1: allow[0].calls: is missing"));
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = "schema = 2\n\
                colour = 1\n\
                [[allow]]\n\
                calls = ['raed']\n\
                [[refuse]]\n\
                calls = ['write']\n\
                errno = 'EOK'\n\
                reason = ' '\n";
    let find = |name: &str| (name == "a").then(|| text.to_owned());
    let problems = load("a", &find).unwrap_err();
    let text = problems.to_string();
    for line in [
        "seccomp/a.toml:1:10: schema: is not a known version",
        "seccomp/a.toml:2:1: colour: is not a known key",
        "seccomp/a.toml:3:1: allow[0].reason: is missing",
        "seccomp/a.toml:4:10: allow[0].calls[0]: `raed` is not a system call of any known architecture\n  \
         hint: did you mean `read`?",
        "seccomp/a.toml:7:9: refuse[0].errno: `EOK` is not an error a refused call can return",
        "seccomp/a.toml:8:10: refuse[0].reason: is empty",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
    assert_eq!(problems.0.len(), 6, "{text}");
}

#[test]
fn problems_of_a_file_do_not_hide_those_of_its_includes() {
    let text = problems(&[("a", "include = ['b']\ncolour = 1"), ("b", "flavour = 1")]);
    assert!(text.contains("colour") && text.contains("flavour"), "{text}");
}

#[test]
fn wrong_conditions_are_reported() {
    for (condition, expected) in [
        ("{ argument = 6, width = 32, is = 1 }", "6 is not the index of an argument"),
        ("{ argument = -1, width = 32, is = 1 }", "-1 is not the index of an argument"),
        ("{ width = 32, is = 1 }", "argument: is missing"),
        ("{ argument = 0, is = 1 }", "width: is missing"),
        ("{ argument = 0, width = 16, is = 1 }", "16 is not a width"),
        ("{ argument = 0, width = 32 }", "has 0 comparisons"),
        ("{ argument = 0, width = 32, is = 1, not = 2 }", "has 2 comparisons"),
        ("{ argument = 0, width = 32, is = [] }", "is an empty list"),
        ("{ argument = 0, width = 32, is = 'AF_UNIXX' }", "did you mean `AF_UNIX`?"),
        ("{ argument = 0, width = 32, is = 4294967296 }", "does not fit in 32 bits"),
        ("{ argument = 0, width = 32, is = -1 }", "`-1` is neither"),
        ("{ argument = 0, width = 32, mask = 0xf, is = 0x10 }", "has bits outside the mask"),
        ("{ argument = 0, width = 32, mask = 0xf, below = 1 }", "has a mask"),
        ("{ argument = 0, width = 32, has_none = 0 }", "tests no bits"),
        ("{ argument = 0, width = 32, like = 1 }", "like: is not a known key"),
        ("", "holds no condition"),
        ("1", "must be a table"),
    ] {
        let text = problems(&[("a", &with_condition(condition))]);
        assert!(text.contains(expected), "{condition}: {text}");
    }
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    let when = |entry: &str| entry.to_owned() + "when = [{ argument = 0, width = 32, is = 1 }]\n";
    let refuse = "[[refuse]]\ncalls = ['read']\nreason = 'r'\nerrno = 'EPERM'\n";
    let clash = |a: &str, b: &str| problems(&[("a", &format!("{a}{b}"))]);
    assert!(clash(READ, READ).contains("`read` repeats seccomp/a.toml:3:10 (allowed)"));
    assert!(clash(READ, refuse).contains("`read` contradicts"));
    assert!(clash(&when(READ), refuse).contains("`read` contradicts"));
    assert!(clash(READ, &when(READ)).contains("conditions that mean nothing"));
    assert!(clash(&when(refuse), refuse).contains("conditions that mean nothing"));
    assert!(clash(READ, "otherwise = 'EPERM'\n").contains("means nothing without `when`"));
    let answer = |errno| when(READ) + &format!("otherwise = '{errno}'\n");
    let other = answer("EACCES").replace("is = 1", "is = 2");
    assert!(clash(&answer("EPERM"), &other).contains("`read` gets EACCES here, but EPERM at"));
    let default = clash("default = 'EPERM'\ninclude = ['b']\n", "");
    assert!(default.contains("there is no policy called `b`"), "{default}");
}

#[test]
fn a_policy_and_its_includes_share_one_default() {
    let files = [
        ("a", "include = ['b']\ndefault = 'EPERM'"),
        ("b", &format!("default = 'ENOSYS'\n{READ}")),
    ];
    assert!(problems(&files).contains("default: is EPERM here, but ENOSYS at seccomp/b.toml"));
}

#[test]
fn a_call_of_another_architecture_is_no_mistake() {
    assert!(load_files(&[("a", &READ.replace("read", "arch_prctl"))]).is_ok());
}

#[test]
fn the_example_of_the_manual_loads() {
    let manual = include_str!("../../../../docs/seccomp.md");
    let example = manual.split("```").nth(1).and_then(|text| text.strip_prefix("toml\n")).unwrap();
    let find = |name: &str| match name {
        "example" => Some(example.to_owned()),
        name => crate::policy::seccomp::shipped(name).map(str::to_owned),
    };
    let policy = load("example", &find).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(policy.decide("ptrace", &[0; 6]).action, Action::Allow);
    assert_eq!(policy.decide("mmap", &[0, 0, 4, 0, 0, 0]).action, Action::Refuse(Errno::Eperm));
}
