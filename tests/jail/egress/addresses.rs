//! Where a name leads is decided by who owns it; what is not the open internet must be named by a rule.

use super::world::{World, ZONE, denials};

#[test]
fn a_name_does_not_lead_inside() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-leads-inside";
    let names = [
        "inside.test",
        "meta.test",
        "self.test",
        "own.test",
        "second.test",
        "ours.test",
        "mapped.test",
    ];
    let rules = |extra: &str| {
        let rule = |name: &str| format!("{{ to = '{name}:7000'{extra} }}");
        format!("allow = [{}, 'mixed.test:7000']", names.map(rule).join(", "))
    };
    let steps: Vec<String> = names.iter().map(|name| format!("tcp:{name}:7000:hello")).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let said =
        world.client(agent, &rules(""), &[&steps[..], &["tcp:mixed.test:7000:hello"]].concat());
    for said in &said[..7] {
        assert!(said.starts_with("ECONNRESET") || said == "b''", "{said}");
    }
    // Of several addresses, those are left that may be reached.
    assert_eq!(said[7], r"b'hello\n'");
    let told = denials(agent);
    for name in names {
        let denial =
            told.iter().find(|denial| denial["to"] == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(denial["reason"], "address", "{denial:#}");
    }
    let packets = world.lines("packets");
    assert!(
        !packets.iter().any(|line| line.contains("10.77") || line.contains("169.254")),
        "{packets:?}"
    );
    // The control: a rule names them.
    let extra = ", addresses = ['10.0.0.0/8', '169.254.169.254', '127.0.0.1', '93.184.9.9', '93.185.9.2', '::ffff:10.77.0.1']";
    let said = world.client(agent, &rules(extra), &steps);
    assert_eq!(said[..6], [r"b'hello\n'"; 6], "{said:?}");
}

#[test]
fn a_name_that_moves_inside_is_refused_from_then_on() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-rebinding";
    let profile = world.profile(agent, "allow = ['a.test:7000']");
    let script = "import subprocess, sys\nfor line in sys.stdin:\n  \
                  print(subprocess.run(['python3', '/etc/client.py', 'tcp:a.test:7000:hello'], capture_output=True, text=True).stdout, flush=True, end='')";
    let cellblock =
        crate::harness::cellblock("exec", agent, &[], &profile, &["python3", "-c", script]);
    let mut inside = world.inside(&cellblock);
    let mut running = crate::harness::start(inside.stdin(std::process::Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    let mut again = || std::io::Write::write_all(&mut stdin, b"again\n").unwrap();
    again();
    running.says("hello");
    world.folder.file(
        "zone.json",
        &ZONE.replace(r#""a.test": ["93.184.1.1"]"#, r#""a.test": ["127.0.0.1"]"#),
        0o644,
    );
    again();
    crate::harness::eventually("the refusal", || {
        (running.out().contains("ECONNRESET") || running.out().contains("b''")).then_some(())
    });
    drop(stdin);
    running.wait(crate::harness::DEADLINE).expect(0);
    assert_eq!(denials(agent).last().unwrap()["reason"], "address");
}
