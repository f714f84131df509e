//! Whatever a process calls itself, its other fields are read as the kernel wrote them, and it is told of in one line.

#![no_main]

use cellblock::watch::findings::Process;
use cellblock::watch::proc::{parse_stat, parse_status, words_in};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (name, other) = input;
    let name = String::from_utf8_lossy(name);
    let stat = parse_stat(&format!("7 ({name}) Z 5 6 9 34816 9 0 0 0 0 0 1 2 3 4 20 0 1 0 4242 0"));
    let stat = stat.expect("the kernel wrote it");
    assert_eq!((stat.parent, stat.session, stat.terminal), (5, 9, 34816));
    assert_eq!((stat.start, stat.ticks, stat.is_ended), (4242, 10, true));
    // The kernel escapes line breaks in this one.
    let escaped = name.replace('\\', "\\\\").replace('\n', "\\n");
    let status = format!("Name:\t{escaped}\nNSpid:\t4711\t7\nSigIgn:\t0000000000000001\n");
    assert_eq!(parse_status(&status), Some((true, 7)));
    // What no kernel writes is read as well, or not at all.
    let text = String::from_utf8_lossy(other);
    if let Some(stat) = parse_stat(&text) {
        assert!(text.contains(')') && stat.ticks <= i64::MAX.unsigned_abs());
    }
    if let Some((_, inside)) = parse_status(&text) {
        assert!(text.contains("SigIgn:") && (inside == 0 || text.contains("NSpid:")));
    }
    if let Some(words) = words_in(other) {
        let told = Process { pid: 7, inside: 1, words }.told();
        assert!(!told.contains(char::is_control) && !told.contains('\u{202e}'), "{told:?}");
        assert!(told.len() < 4096, "{} bytes", told.len());
    }
});
