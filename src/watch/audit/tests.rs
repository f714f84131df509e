use super::*;
use proptest::prelude::*;

/// As Linux 6.18 writes them.
const ACCESS: &str = "audit(1796047709.402:200007): domain=15658410a blockers=fs.read_file path=\"/tmp/b/ll.c\" dev=\"vda\" ino=10018861";
const DOMAIN: &str = "audit(1796047709.402:200007): domain=15658410a status=allocated mode=enforcing pid=12463 uid=70001 exe=\"/tmp/b/ll\" comm=\"ll\"";
const SYSCALL: &str = "audit(1796047709.402:200007): arch=c000003e syscall=257 success=no exit=-13 a0=ffffff9c a1=7f45 a2=80000 a3=0 items=0 ppid=19453 pid=19584 auid=4294967295 uid=70001 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm=612220633D31207069643D31 exe=\"/usr/bin/python3.11\" key=(null)";
const SECCOMP: &str = "audit(1796048765.950:200031): auid=4294967295 uid=76200 gid=76200 ses=4294967295 pid=29185 comm=\"unshare\" exe=\"/usr/bin/unshare\" sig=0 arch=c000003e syscall=272 compat=0 ip=0x7fc14400a0f7 code=0x50000";

fn take(joiner: &mut Joiner, kind: u16, text: &str) {
    joiner.take(record(kind, text.as_bytes()).unwrap_or_else(|| panic!("{text}")));
}

fn object(rest: &str) -> (Vec<String>, Object) {
    let text = format!("audit(1.002:3): domain=1 {rest}");
    let body = record(kinds::LANDLOCK_ACCESS, text.as_bytes()).unwrap().body;
    let Body::Access { blockers, object, .. } = body else { panic!("{body:?}") };
    (blockers, object)
}

#[test]
fn what_a_filter_refused_is_whole_in_one_record() {
    let mut joiner = Joiner::default();
    take(&mut joiner, kinds::SECCOMP, SECCOMP);
    let by = Caller { pid: 29185, uid: 76200, program: "unshare".to_owned() };
    let what = What::Call { arch: 0xc000_003e, number: 272 };
    assert_eq!(joiner.turn(), [Refused { time: 1_796_048_765, by: Some(by), what }]);
    assert!(joiner.turn().is_empty() && !joiner.waits());
}

#[test]
fn what_landlock_refused_is_put_together_with_its_process() {
    let mut joiner = Joiner::default();
    take(&mut joiner, kinds::LANDLOCK_ACCESS, ACCESS);
    // Another event in between.
    take(&mut joiner, kinds::SECCOMP, SECCOMP);
    take(&mut joiner, kinds::LANDLOCK_DOMAIN, DOMAIN);
    take(&mut joiner, kinds::SYSCALL, SYSCALL);
    take(&mut joiner, kinds::END, "audit(1796047709.402:200007): ");
    let told = joiner.turn();
    let refused = told.iter().find(|it| matches!(it.what, What::Access { .. })).unwrap();
    // The name has a quote, a space and words like the kernel's own in it.
    let by = Caller { pid: 19584, uid: 70001, program: "a\" c=1 pid=1".to_owned() };
    assert_eq!(refused.by, Some(by));
    let What::Access { domain, creator, blockers, object } = &refused.what else { panic!() };
    assert_eq!((*domain, blockers.as_slice()), (0x1_5658_410a, &["fs.read_file".to_owned()][..]));
    assert_eq!(creator.as_ref().unwrap().pid, 12463);
    assert_eq!(*object, Object::Path("/tmp/b/ll.c".to_owned()));
    assert_eq!(told.len(), 2);
}

/// A process that is older than auditing has no record of its system call, and none of the end.
#[test]
fn what_lacks_its_process_is_told_a_turn_later() {
    let mut joiner = Joiner::default();
    take(&mut joiner, kinds::LANDLOCK_DOMAIN, DOMAIN);
    take(&mut joiner, kinds::LANDLOCK_ACCESS, ACCESS);
    assert!(joiner.turn().is_empty() && joiner.waits());
    let told = joiner.turn();
    assert_eq!((told.len(), &told[0].by), (1, &None));
    let What::Access { creator, .. } = &told[0].what else { panic!() };
    assert_eq!(creator.as_ref().unwrap().uid, 70001);
}

#[test]
fn every_kind_of_object_is_known() {
    let of = |rest| object(rest).1;
    let address = |text: &str| Object::Address(text.to_owned());
    assert_eq!(of("blockers=net.connect_tcp daddr=127.0.0.1 dest=80"), address("127.0.0.1:80"));
    assert_eq!(of("blockers=net.connect_tcp daddr=::1 dest=81"), address("[::1]:81"));
    assert_eq!(of("blockers=net.bind_tcp saddr=127.0.0.1 src=8123"), address("127.0.0.1:8123"));
    assert_eq!(of("blockers=net.bind_tcp src=8124"), address("port 8124"));
    let name = Object::Abstract("abs tract\"x".to_owned());
    assert_eq!(of("blockers=scope.abstract_unix_socket path=006162732074726163742278"), name);
    let other = Object::Process { pid: 19500, program: "python3".to_owned() };
    assert_eq!(of("blockers=scope.signal opid=19500 ocomm=\"python3\""), other);
    assert_eq!(
        of("blockers=fs.read_file path=2F746D702F622F68C3A9"),
        Object::Path("/tmp/b/hé".to_owned())
    );
    assert_eq!(of("blockers=x"), Object::None);
    let (blockers, _) = object("blockers=fs.remove_file,fs.make_reg path=\"/tmp/b\"");
    assert_eq!(blockers, ["fs.remove_file", "fs.make_reg"]);
}

#[test]
fn what_is_no_such_record_is_none() {
    for (kind, text) in [
        (1335, SECCOMP),
        (kinds::SECCOMP, ""),
        (kinds::SECCOMP, "audit(1.2:3)"),
        (kinds::SECCOMP, "audit(1.002:x): pid=1 uid=1 arch=1 syscall=1"),
        (kinds::SECCOMP, "audit(1.1002:3): pid=1 uid=1 arch=1 syscall=1"),
        (kinds::SECCOMP, "audit(1.002:3): pid=99999999999 uid=1 arch=1 syscall=1"),
        (kinds::LANDLOCK_ACCESS, "audit(1.002:3): blockers=fs.read_file"),
        (kinds::LANDLOCK_DOMAIN, "audit(1.002:3): domain=1 status=other"),
    ] {
        assert_eq!(record(kind, text.as_bytes()), None, "{text}");
    }
    assert_eq!(record(kinds::SECCOMP, b"audit(1.002:3): pid=\xff"), None);
}

#[test]
fn what_waits_and_what_is_remembered_is_bounded() {
    let mut joiner = Joiner::default();
    for number in 0..10_000_u64 {
        let at = format!("audit(1.002:{number}): domain={number:x} ");
        take(&mut joiner, kinds::LANDLOCK_ACCESS, &format!("{at}blockers=x"));
        take(
            &mut joiner,
            kinds::LANDLOCK_DOMAIN,
            &format!("{at}status=allocated pid=1 uid=1 comm=\"x\""),
        );
    }
    let told = joiner.turn().len();
    assert_eq!(format!("{joiner:?}").matches("Waiting").count(), 64);
    assert_eq!(told + joiner.turn().len(), 10_000, "none is lost");
    assert!(format!("{joiner:?}").matches("program").count() <= 4096);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_not(kind in prop_oneof![Just(1423_u16), Just(1424), Just(1326), Just(1300), Just(1320), any::<u16>()],
        bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut joiner = Joiner::default();
        for text in [bytes.clone(), [b"audit(1.002:3): ".as_slice(), &bytes].concat()] {
            if let Some(record) = record(kind, &text) {
                joiner.take(record);
            }
        }
        prop_assert!(joiner.turn().len() + joiner.turn().len() <= 2);
    }

    /// Whatever an agent calls its process and its file, the kernel's own words are what the kernel wrote.
    #[test]
    fn names_cannot_forge_words(program in proptest::collection::vec(1_u8..=255, 0..16), path in proptest::collection::vec(1_u8..=255, 1..64)) {
        let untrusted = |bytes: &[u8]| {
            // `audit_string_contains_control` (kernel/audit.c).
            if bytes.iter().any(|byte| *byte == b'"' || *byte < 0x21 || *byte > 0x7e) {
                bytes.iter().map(|byte| format!("{byte:02X}")).collect()
            } else {
                format!("\"{}\"", String::from_utf8_lossy(bytes))
            }
        };
        let (program, path) = (untrusted(&program), untrusted(&path));
        let access = format!("audit(1.002:3): domain=1 blockers=fs.read_file path={path} dev=\"vda\" ino=7");
        let syscall = format!("audit(1.002:3): arch=c000003e syscall=257 pid=42 uid=70001 comm={program} exe={path} key=(null)");
        let mut joiner = Joiner::default();
        joiner.take(record(kinds::LANDLOCK_ACCESS, access.as_bytes()).unwrap());
        joiner.take(record(kinds::SYSCALL, syscall.as_bytes()).unwrap());
        let told = joiner.turn();
        let by = told[0].by.as_ref().unwrap();
        prop_assert_eq!((by.pid, by.uid), (42, 70001));
        prop_assert!(!by.program.contains(char::is_control));
    }
}
