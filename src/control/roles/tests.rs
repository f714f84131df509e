use super::*;
use crate::config;

const CONFIG: &str = "schema = 1
[[roles]]
role = 'viewer'
users = ['vera', 1001]
[[roles]]
role = 'operator'
groups = ['dev']
[[roles]]
role = 'admin'
users = ['ada']
[[roles]]
role = 'operator'
users = ['vera', 'otto']
agents = ['claude-*', 'build']
";

fn lookup(register: Register, name: &str) -> Option<u32> {
    let known = match register {
        Register::Users => [("vera", 1000), ("ada", 1002), ("otto", 1003)].as_slice(),
        Register::Groups => [("dev", 500)].as_slice(),
    };
    known.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
}

fn resolved(text: &str) -> (Roles, Vec<Problem>) {
    let config = config::parse("c", text).unwrap_or_else(|problems| panic!("{problems}"));
    Roles::resolve(&config.roles, &lookup)
}

fn roles() -> Roles {
    let (roles, problems) = resolved(CONFIG);
    assert_eq!(problems, []);
    roles
}

fn caller(uid: u32, groups: &[u32]) -> Caller {
    Caller { uid, groups: groups.to_vec() }
}

/// The verbs as the design has them, for each role what it adds.
const TABLE: [(Role, &[&str]); 3] = [
    (Role::Viewer, &["list", "status", "screen", "logs", "alerts", "watch"]),
    (Role::Operator, &["attach", "start", "stop", "restart", "freeze", "thaw", "exec", "remove"]),
    (Role::Admin, &["up", "reload", "try-alerts"]),
];

#[test]
fn each_role_may_do_what_the_table_says_and_no_more() {
    let names: Vec<_> = TABLE.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    assert_eq!(names, Verb::ALL.map(Verb::name), "every verb is in the table, once");
    let callers = [
        (Role::Viewer, caller(1001, &[100])),
        (Role::Operator, caller(4000, &[100, 500])),
        (Role::Admin, caller(1002, &[])),
    ];
    for (role, caller) in callers {
        for (least, names) in TABLE {
            for verb in Verb::ALL.into_iter().filter(|verb| names.contains(&verb.name())) {
                for agent in [None, Some("x")] {
                    let allowed = roles().allows(&caller, verb, agent).is_ok();
                    assert_eq!(allowed, role >= least, "{role} {} {agent:?}", verb.name());
                }
            }
        }
    }
}

#[test]
fn root_is_an_admin_whoever_is_named() {
    for roles in [roles(), Roles::default()] {
        for verb in Verb::ALL {
            roles.allows(&caller(0, &[]), verb, None).unwrap();
            roles.allows(&caller(0, &[]), verb, Some("x")).unwrap();
        }
        assert!(roles.sees(&caller(0, &[]), "x"));
    }
    // The group of root is none of root's rights.
    assert_eq!(roles().of(&caller(4000, &[0]), None), None);
}

#[test]
fn who_is_not_named_is_refused_everything() {
    for roles in [roles(), Roles::default()] {
        // A gid that is the number of a user with a role, and a uid that is the number of a group.
        for stranger in [caller(4000, &[100]), caller(4000, &[1002]), caller(500, &[])] {
            for verb in Verb::ALL {
                for agent in [None, Some("claude-1")] {
                    let refusal = roles.allows(&stranger, verb, agent).unwrap_err();
                    assert_eq!(refusal.has, None, "{refusal}");
                }
            }
            assert!(!roles.sees(&stranger, "claude-1"));
        }
    }
}

#[test]
fn a_role_for_some_agents_is_none_for_others() {
    let (roles, vera, otto) = (roles(), caller(1000, &[]), caller(1003, &[]));
    for agent in ["claude-1", "build"] {
        assert_eq!(roles.of(&vera, Some(agent)), Some(Role::Operator));
        assert_eq!(roles.of(&otto, Some(agent)), Some(Role::Operator));
        roles.allows(&vera, Verb::Stop, Some(agent)).unwrap();
    }
    assert_eq!(roles.of(&vera, Some("builder")), Some(Role::Viewer));
    assert_eq!(roles.of(&otto, Some("builder")), None);
    assert!(!roles.sees(&otto, "builder") && roles.sees(&otto, "build"));
    // Of all agents together nobody is an operator who is one of some.
    assert_eq!((roles.of(&vera, None), roles.of(&otto, None)), (Some(Role::Viewer), None));
    roles.allows(&otto, Verb::List, None).unwrap();
    roles.allows(&otto, Verb::Status, None).unwrap_err();
    roles.allows(&otto, Verb::Stop, None).unwrap_err();
}

#[test]
fn a_refusal_says_what_is_missing() {
    let said = |uid, verb, agent| roles().allows(&caller(uid, &[]), verb, agent).unwrap_err();
    let refusal = said(1000, Verb::Stop, Some("x"));
    assert_eq!(refusal.to_string(), "uid 1000 is a viewer of `x`, and `stop` needs an operator");
    assert!(refusal.hint().contains("role = \"operator\""), "{}", refusal.hint());
    assert_eq!(said(77, Verb::Logs, Some("x")).to_string(), "uid 77 has no role for `x`");
    let expected = "uid 1001 is a viewer of all agents, and `reload` needs an admin";
    assert_eq!(said(1001, Verb::Reload, None).to_string(), expected);
    let expected = "uid 1003 has no role for all agents, and `up` needs an admin";
    assert_eq!(said(1003, Verb::Up, None).to_string(), expected);
    let told = said(77, Verb::Logs, Some("x\n\u{1b}[2J")).to_string();
    assert!(!told.contains('\n') && !told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn a_name_that_no_account_has_is_told_and_grants_nothing() {
    let text = CONFIG.replace("'dev'", "'devs', 501").replace("'ada'", "'adam'");
    let (roles, problems) = resolved(&text);
    let told: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("c:7:11: roles[1].groups[0]: there is no group `devs`"),
        "{told:?}"
    );
    assert!(told[1].starts_with("c:10:10: roles[2].users[0]: there is no user `adam`"), "{told:?}");
    assert!(problems.iter().all(|problem| !problem.hint.is_empty()));
    assert_eq!(roles.of(&caller(1002, &[500]), None), None);
    assert_eq!(roles.of(&caller(4000, &[501]), None), Some(Role::Operator), "the rest holds");
}
