//! Records of the kernel's audit, in which an agent chooses names: whatever they hold, reading them ends, what is kept is bounded,
//! and nothing that is told has a control character in it.

#![no_main]

use cellblock::watch::audit::{Joiner, record};
use cellblock::watch::denied::{Jail, Teller, denial, whose};
use libfuzzer_sys::fuzz_target;
use std::time::Instant;

const KINDS: [u16; 6] = [1423, 1424, 1326, 1300, 1320, 1327];

fuzz_target!(|input: &[u8]| {
    let mut joiner = Joiner::default();
    let mut told = Vec::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some((kind, text)) = line.split_first() else { continue };
        let kind = KINDS[usize::from(*kind) % KINDS.len()];
        for text in [text.to_vec(), [b"audit(1.002:3): ".as_slice(), text].concat()] {
            if let Some(record) = record(kind, &text) {
                joiner.take(record);
            }
        }
        if told.len() < 10_000 && line.len() % 7 == 0 {
            told.extend(joiner.turn());
        }
    }
    told.extend(joiner.turn());
    told.extend(joiner.turn());
    assert!(!joiner.waits());
    let jails = [Jail { init: 1, uid: 70001, cgroup: Some("/a".to_owned()) }];
    let (mut teller, now) = (Teller::default(), Instant::now());
    let mut shown = 0;
    for refused in &told {
        let of = whose(refused, jails.iter(), None);
        assert!(of.is_none_or(|of| of == 0));
        let Some(denial) = denial(refused, 1) else { continue };
        assert!(!denial.object.contains(char::is_control), "{denial:?}");
        shown += usize::from(teller.add("a", denial, now).is_some());
    }
    assert!(shown <= 60, "{shown}");
});
