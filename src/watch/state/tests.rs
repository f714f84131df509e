//! What is found of which events.

use super::*;

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

const INIT: i32 = 100;
const SERVER: i32 = 110;

fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.detached.grace = Duration::from_secs(1);
    rules
}

/// An agent of the number 1 with a server, at one second.
fn state(rules: Rules) -> State {
    let mut state = State::default();
    state.add(at(1000), 1, INIT, rules).unwrap();
    state.event(at(1000), Event::Fork { parent: INIT, child: SERVER });
    state.set_server(1, SERVER);
    state
}

fn fork(state: &mut State, millis: u64, parent: i32, child: i32) {
    state.event(at(millis), Event::Fork { parent, child });
}

fn exit(state: &mut State, millis: u64, pid: i32) {
    state.event(at(millis), Event::Exit { pid, killed: false });
}

/// Those who are due, by their numbers.
fn due(state: &mut State, millis: u64) -> Vec<i32> {
    state.due(at(millis)).iter().map(|question| question.pid).collect()
}

#[test]
fn whoever_is_left_behind_is_looked_at_when_the_grace_is_over() {
    let mut state = state(rules());
    fork(&mut state, 2000, SERVER, 200);
    fork(&mut state, 2100, 200, 300);
    fork(&mut state, 2200, 300, 301);
    exit(&mut state, 2300, 300);
    assert_eq!(due(&mut state, 2000), [SERVER]);
    assert_eq!(due(&mut state, 3250), [200, 301]);
    assert_eq!(state.next(), None);
    // Whoever is looked at again once the sign has lasted.
    fork(&mut state, 4000, 200, 302);
    fork(&mut state, 4000, 302, 303);
    assert_eq!(due(&mut state, 5000), [302, 303]);
    exit(&mut state, 5100, 302);
    assert_eq!(state.next(), Some(at(6100)));
    assert_eq!(due(&mut state, 6100), [303]);
}
