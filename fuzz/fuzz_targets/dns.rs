//! Whatever a jail asks its name server, the answer is one to that question, and short.

#![no_main]

use cellblock::egress::dns::{Found, reply};
use libfuzzer_sys::fuzz_target;

/// What an answer has beside the question: an address record, and that of EDNS.
const MOST_ADDED: usize = 40;

fuzz_target!(|query: &[u8]| {
    for found in [Found::Address([198, 18, 0, 7].into()), Found::Nothing, Found::NoRoom] {
        let mut looked = 0;
        let answer = reply(query, |name| {
            looked += 1;
            assert!(name.len() <= 4 * 255, "a name of {} characters", name.len());
            found
        });
        assert!(looked <= 1);
        let Some(answer) = answer else { continue };
        assert_eq!(answer[..2], query[..2], "the answer to another question");
        assert!(answer[2] & 0x80 != 0, "a question, not an answer");
        assert!(answer.len() <= query.len() + MOST_ADDED, "{} bytes for {}", answer.len(), query.len());
        // An answer is no question: two name servers would talk for ever.
        assert!(reply(&answer, |_| found).is_none());
    }
});
