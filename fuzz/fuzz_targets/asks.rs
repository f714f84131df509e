//! Whatever an agent asks for, what is passed on and what is answered are messages, and its jobs and notes stay within their bounds.

#![no_main]

use cellblock::control::agent::{Answer, Call, Request};
use cellblock::jobs::Jobs;
use cellblock::jobs::ledger::{Ledger, Rules};
use cellblock::limits::Kept;
use cellblock::wire::LONGEST;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|bytes: &[u8]| {
    let rules = Rules { most: 100, longest: Duration::from_secs(3600), notes: 100 };
    let kept = Kept { jobs: rules.clone(), ..Kept::default() };
    let mut ledger = Ledger::default();
    let calls = bytes.split(|byte| *byte == b'\n').filter_map(|call| serde_json::from_slice::<Call>(call).ok());
    for Call { request, .. } in calls.filter(|call| call.request.is_bounded()) {
        assert!(serde_json::to_vec(&request).is_ok_and(|bytes| bytes.len() + 200 < LONGEST));
        // Without a cgroup no job is made: the ledger is asked itself.
        if let Request::StartJob { words, lease } = request.clone() {
            let _taken_or_refused = ledger.start(&rules, 7, words, lease);
        }
        let mut jobs = Jobs::new(&kept, Some(ledger.clone()));
        for request in [request, Request::Jobs, Request::Notes] {
            let (answer, door) = jobs.answer(request);
            assert!(door.is_none());
            assert!(serde_json::to_vec(&answer).is_ok_and(|bytes| bytes.len() + 200 < LONGEST));
            if let Answer::Note(note) = answer {
                assert!(!note.text.chars().any(|c| c.is_control() && c != '\n'));
            }
        }
        ledger = jobs.take_changed().unwrap_or(ledger);
        assert!(ledger.jobs.len() <= 100 && ledger.notes.len() <= 100);
    }
});
