//! What is found of which events.

use super::super::findings::{Folds, TOGETHER};
use super::super::rules::{Count, Spawns};
use super::*;

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

const AGENT: AgentId = 1;
const INIT: i32 = 100;
const SERVER: i32 = 110;
/// The first process of the agent's pane, and its number inside.
const PANE: i32 = 120;
const INSIDE: i32 = 7;

fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.detached.grace = Duration::from_secs(1);
    rules
}

/// An agent with a server and a pane, at one second.
fn state(rules: Rules) -> State {
    let mut state = State::default();
    state.add(at(1000), AGENT, INIT, rules).unwrap();
    fork(&mut state, 1000, INIT, SERVER);
    fork(&mut state, 1000, SERVER, PANE);
    state.set_server(AGENT, SERVER);
    own(&mut state, &[], Some(INSIDE));
    state.named(PANE, &pane());
    state
}

/// Init says what it has started itself.
fn own(state: &mut State, commands: &[i32], pane: Option<i32>) {
    state.set_own(AGENT, &Own { clients: Vec::new(), commands: commands.to_vec(), pane });
}

fn fork(state: &mut State, millis: u64, parent: i32, child: i32) {
    state.event(at(millis), Event::Fork { parent, child });
}

fn exec(state: &mut State, millis: u64, pid: i32) {
    state.event(at(millis), Event::Exec { pid });
}

fn exit(state: &mut State, millis: u64, pid: i32) {
    state.event(at(millis), Event::Exit { pid, killed: false });
}

fn kill(state: &mut State, millis: u64, pid: i32) {
    state.event(at(millis), Event::Exit { pid, killed: true });
}

/// Those who are due, by their numbers, in as many turns as that takes.
fn due(state: &mut State, millis: u64) -> Vec<i32> {
    let mut all = BTreeSet::new();
    loop {
        let some = state.due(at(millis));
        all.extend(some.iter().map(|question| question.pid));
        if some.is_empty() {
            return all.into_iter().collect();
        }
    }
}

/// A usual process: its parent lives, on the terminal of its pane.
fn look(pid: i32, parent: i32) -> Look {
    let start = u64::try_from(pid).unwrap();
    Look {
        start,
        parent,
        session: PANE,
        has_terminal: true,
        inside: pid - 100,
        parent_session: PANE,
        ..Look::default()
    }
}

fn pane() -> Look {
    Look { session: PANE, inside: INSIDE, parent_session: SERVER, ..look(PANE, SERVER) }
}

fn question(state: &State, pid: i32) -> Question {
    Question { agent: AGENT, id: state.tree().of(pid).unwrap(), pid }
}

/// By what `pid` is suspected, where it looks so.
fn signs(state: &mut State, millis: u64, pid: i32, look: &Look) -> Vec<Sign> {
    let question = question(state, pid);
    state.looked(at(millis), question, look).map(|suspect| suspect.signs).unwrap_or_default()
}

/// Finds that `pid` was left behind, with these words; the findings.
fn confirm(state: &mut State, millis: u64, pid: i32, words: &str) -> Vec<Finding> {
    let question = question(state, pid);
    let orphan = look(pid, INIT);
    if let Some(suspect) = state.looked(at(millis), question, &orphan) {
        state.confirmed(at(millis), &suspect, words.to_owned());
    }
    found(state)
}

fn found(state: &mut State) -> Vec<Finding> {
    state.take_crowded().into_iter().for_each(|agent| state.confirm_crowd(agent));
    state.take_found().into_iter().map(|(_, finding)| finding).collect()
}

fn process(pid: i32) -> Process {
    Process { pid, inside: pid - 100, words: format!("words of {pid}") }
}

/// As a scan has found all processes.
fn scan(state: &mut State, millis: u64, there: &[i32], unknown: &[(i32, Look)]) {
    let there = [INIT, SERVER, PANE].iter().chain(there).copied().collect();
    state.scanned(at(millis), AGENT, &there, unknown);
}

#[test]
fn whoever_is_left_behind_is_looked_at_when_the_grace_is_over() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2100, 200, 300);
    fork(&mut state, 2200, 300, 301);
    exit(&mut state, 2300, 300);
    assert_eq!(due(&mut state, 2000), [SERVER, PANE]);
    assert_eq!(due(&mut state, 3250), [200, 301]);
    assert_eq!(state.next(), None);
    // Its parent ended a moment later than it was forked: the sign must last.
    assert_eq!(signs(&mut state, 3250, 301, &look(301, INIT)), []);
    assert_eq!(state.next(), Some(at(3300)));
    assert_eq!(due(&mut state, 3300), [301]);
    assert_eq!(signs(&mut state, 3300, 301, &look(301, INIT)), [Sign::Line]);
    assert_eq!(state.next(), None);
    // And so it must of who was looked at before that.
    fork(&mut state, 4000, 200, 302);
    fork(&mut state, 4000, 302, 303);
    assert_eq!(due(&mut state, 5000), [302, 303]);
    exit(&mut state, 5100, 302);
    assert_eq!(state.next(), Some(at(6100)));
    assert_eq!(due(&mut state, 6100), [303]);
}

#[test]
fn nobody_is_looked_at_before_the_server_is_known() {
    let mut state = State::default();
    state.add(at(1000), AGENT, INIT, rules()).unwrap();
    fork(&mut state, 1000, INIT, SERVER);
    assert_eq!((due(&mut state, 9000), state.next()), (vec![], None));
    state.set_server(AGENT, SERVER);
    assert_eq!((state.next(), due(&mut state, 9000)), (Some(at(2000)), vec![SERVER]));
}

#[test]
fn whose_parent_has_ended_has_no_line_but_what_init_started_itself() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    exit(&mut state, 2000, 200);
    assert_eq!(signs(&mut state, 3000, 201, &look(201, INIT)), [Sign::Line]);
    // Its parent lives: no sign.
    fork(&mut state, 2000, PANE, 202);
    assert_eq!(signs(&mut state, 3000, 202, &look(202, PANE)), []);
    // By init's word alone: whose child it is says nothing.
    fork(&mut state, 2000, INIT, 203);
    assert_eq!(signs(&mut state, 3000, 203, &look(203, INIT)), [Sign::Line]);
    own(&mut state, &[103], None);
    assert_eq!(signs(&mut state, 3000, 203, &look(203, INIT)), []);
    scan(
        &mut state,
        3000,
        &[201, 202, 203, 204, 205],
        &[(204, look(204, INIT)), (205, look(205, INIT))],
    );
    own(&mut state, &[104], None);
    assert_eq!(signs(&mut state, 4000, 204, &look(204, INIT)), []);
    assert_eq!(signs(&mut state, 4000, 205, &look(205, INIT)), [Sign::Line]);
}

#[test]
fn what_the_server_starts_has_no_line_but_a_pane() {
    let mut state = state(rules());
    assert_eq!(signs(&mut state, 3000, PANE, &pane()), []);
    fork(&mut state, 2000, SERVER, 200);
    let job = Look { session: SERVER, has_terminal: false, ..look(200, SERVER) };
    assert_eq!(signs(&mut state, 3000, 200, &job), [Sign::Line]);
    // Neither init nor the server is told of.
    assert_eq!(signs(&mut state, 3000, INIT, &look(INIT, 1)), []);
    assert_eq!(signs(&mut state, 3000, SERVER, &look(SERVER, INIT)), []);
}

#[test]
fn who_has_just_been_forked_by_the_server_may_still_become_a_pane() {
    let mut rules = rules();
    rules.detached.grace = Duration::ZERO;
    let mut state = state(rules);
    state.due(at(2999));
    fork(&mut state, 3000, SERVER, 200);
    fork(&mut state, 3000, PANE, 300);
    assert_eq!(due(&mut state, 3500), [300]);
    state.judge_all(at(3500), AGENT);
    assert!(!due(&mut state, 3500).contains(&200));
    assert!(due(&mut state, 4000).contains(&200));
}

#[test]
fn nor_is_it_judged_sooner_where_the_server_is_known_later() {
    let mut rules = rules();
    rules.detached.grace = Duration::ZERO;
    let mut state = State::default();
    state.add(at(1000), AGENT, INIT, rules).unwrap();
    fork(&mut state, 1000, INIT, 105);
    fork(&mut state, 1000, 105, SERVER);
    exit(&mut state, 1001, 105);
    fork(&mut state, 1002, SERVER, PANE);
    state.set_server(AGENT, SERVER);
    assert!(due(&mut state, 1003).contains(&PANE));
    // It leads a session already, and has no terminal yet.
    let young = Look { has_terminal: false, ..pane() };
    assert_eq!(signs(&mut state, 1003, PANE, &young), []);
    assert!(!due(&mut state, 2001).contains(&PANE));
    assert!(due(&mut state, 2002).contains(&PANE));
    assert_eq!(signs(&mut state, 2002, PANE, &pane()), []);
    assert_eq!(signs(&mut state, 2002, PANE, &young), [Sign::Line, Sign::Terminal]);
}

#[test]
fn a_pane_waits_until_the_server_has_said_which_are_of_the_session() {
    let mut state = state(rules());
    fork(&mut state, 2000, SERVER, 200);
    let other = Look { session: 200, inside: 70, ..look(200, SERVER) };
    due(&mut state, 3000);
    assert_eq!(signs(&mut state, 3000, 200, &other), []);
    assert_eq!(state.take_asks(), [AGENT].into());
    // It is asked once in a while, however many wait.
    assert_eq!(signs(&mut state, 3100, 200, &other), []);
    assert!(state.take_asks().is_empty());
    assert_eq!(state.next(), Some(at(3000) + ASK_AGAIN));
    assert_eq!(due(&mut state, 7000), [200]);
    assert_eq!(signs(&mut state, 7000, 200, &other), []);
    assert_eq!(state.take_asks(), [AGENT].into());
    // Less often where tmux does not answer.
    state.set_panes(AGENT, None);
    assert_eq!(state.next(), Some(at(7000) + 2 * ASK_AGAIN));
    // It is one of its panes.
    state.set_panes(AGENT, Some([INSIDE, 70].into()));
    assert_eq!(due(&mut state, 7000), [200]);
    assert_eq!(signs(&mut state, 7000, 200, &other), []);
    // It is none.
    assert_eq!(signs(&mut state, 7000, 200, &Look { inside: 71, ..other.clone() }), [Sign::Pane]);
    // Nobody is asked where the sign does not count.
    let mut rules = rules();
    rules.detached.signs = vec![Sign::Line];
    let mut state = self::state(rules);
    fork(&mut state, 2000, SERVER, 200);
    assert_eq!(signs(&mut state, 3000, 200, &other), []);
    assert!(state.take_asks().is_empty());
}

#[test]
fn panes_are_those_of_when_it_was_asked_not_of_when_it_is_heard() {
    let mut state = state(rules());
    fork(&mut state, 2000, SERVER, 200);
    let of = |pid: i32| Look { session: pid, ..look(pid, SERVER) };
    due(&mut state, 3000);
    assert_eq!(signs(&mut state, 3000, 200, &of(200)), []);
    // Asked again, and another pane comes; what is heard is the answer to the first question.
    due(&mut state, 7000);
    assert_eq!(signs(&mut state, 7000, 200, &of(200)), []);
    fork(&mut state, 5000, SERVER, 300);
    state.set_panes(AGENT, Some([INSIDE, 100].into()));
    assert_eq!(signs(&mut state, 8000, 200, &of(200)), []);
    assert_eq!(signs(&mut state, 8000, 300, &of(300)), []);
    // The second answer was asked for before that one came, too.
    state.set_panes(AGENT, Some([INSIDE, 100].into()));
    assert_eq!(signs(&mut state, 8000, 300, &of(300)), []);
    state.take_asks();
    assert_eq!(signs(&mut state, 12_000, 300, &of(300)), []);
    assert_eq!(state.take_asks(), [AGENT].into());
    state.set_panes(AGENT, Some([INSIDE].into()));
    assert_eq!(signs(&mut state, 12_000, 300, &of(300)), [Sign::Pane]);
    // A pane that came later may have the number of one that was said before.
    fork(&mut state, 13_000, SERVER, 400);
    let reused = Look { inside: INSIDE, ..of(400) };
    assert_eq!(signs(&mut state, 20_000, 400, &reused), []);
    assert_eq!(state.take_asks(), [AGENT].into());
}

#[test]
fn who_ignores_hangups_is_told_of_where_its_parent_does_not() {
    let mut state = state(rules());
    let ignores = |pid, parent, parents| Look {
        ignores_hangup: true,
        parent_ignores_hangup: parents,
        ..look(pid, parent)
    };
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    assert_eq!(signs(&mut state, 3000, 200, &ignores(200, PANE, false)), [Sign::Hangup]);
    // What it starts is its own, and not told of by itself.
    assert_eq!(signs(&mut state, 3000, 201, &ignores(201, 200, true)), []);
    // The pane's own process is not told of; what it starts is, though it has that from there.
    let first = Look { ignores_hangup: true, ..pane() };
    assert_eq!(signs(&mut state, 3000, PANE, &first), []);
    assert_eq!(signs(&mut state, 3000, 200, &ignores(200, PANE, true)), [Sign::Hangup]);
    // What init has started for a person is theirs.
    fork(&mut state, 2000, INIT, 202);
    own(&mut state, &[102], None);
    assert_eq!(signs(&mut state, 3000, 202, &ignores(202, INIT, false)), []);
}

#[test]
fn who_leads_a_session_without_a_terminal_is_told_of_where_that_counts() {
    let leads = |pid, parent| Look { session: pid, has_terminal: false, ..look(pid, parent) };
    let mut usual = state(rules());
    fork(&mut usual, 2000, PANE, 200);
    assert_eq!(signs(&mut usual, 3000, 200, &leads(200, PANE)), []);
    let mut rules = rules();
    rules.detached.signs = vec![Sign::Terminal];
    let mut state = state(rules);
    fork(&mut state, 2000, PANE, 200);
    assert_eq!(signs(&mut state, 3000, 200, &leads(200, PANE)), [Sign::Terminal]);
    let on_one = Look { has_terminal: true, ..leads(200, PANE) };
    assert_eq!(signs(&mut state, 3000, 200, &on_one), []);
    // A sign that does not count is told with one that does, and not alone.
    assert_eq!(signs(&mut state, 3000, 200, &look(200, INIT)), []);
    let both = [Sign::Line, Sign::Terminal];
    assert_eq!(signs(&mut state, 3000, 200, &leads(200, INIT)), both);
    fork(&mut state, 2000, INIT, 201);
    own(&mut state, &[101], None);
    assert_eq!(signs(&mut state, 3000, 201, &leads(201, INIT)), []);
}

#[test]
fn who_became_what_is_told_of_when_it_was_old_is_looked_at_at_once() {
    let mut rules = rules();
    rules.detached.signs = vec![Sign::Hangup, Sign::Terminal];
    let mut state = state(rules);
    fork(&mut state, 2000, PANE, 200);
    exec(&mut state, 2500, 200);
    assert_eq!(due(&mut state, 3000), [SERVER, PANE, 200]);
    exec(&mut state, 9000, 200);
    assert_eq!(due(&mut state, 10_000), [200]);
    state.event(at(11_000), Event::Session { pid: 200 });
    assert_eq!(due(&mut state, 12_000), [200]);
    // Nobody is known by that number.
    exec(&mut state, 12_000, 999);
    assert!(due(&mut state, 99_000).is_empty());
}

#[test]
fn what_is_excepted_is_not_told_of_and_what_was_told_of_not_again() {
    let mut rules = rules();
    rules.detached.except = vec!["git gc *".to_owned(), "*/watchman *".to_owned()];
    let mut state = state(rules);
    for pid in 200..204 {
        fork(&mut state, 2000, PANE, pid);
    }
    assert_eq!(confirm(&mut state, 3000, 200, "git gc --auto"), []);
    assert_eq!(confirm(&mut state, 3000, 201, "/opt/x y/watchman --foreground"), []);
    assert_eq!(confirm(&mut state, 3000, 202, "git gcx").len(), 1);
    assert_eq!(confirm(&mut state, 3000, 203, "x git gc --auto").len(), 1);
    assert_eq!(confirm(&mut state, 4000, 202, "git gcx"), []);
    state.judge_all(at(9000), AGENT);
    let due = due(&mut state, 9000);
    assert!(!due.contains(&202) && due.contains(&200), "{due:?}");
    // A pattern that is none is told of.
    let mut rules = Rules::default();
    rules.detached.except = vec!["[".to_owned()];
    assert!(state.add(at(1), 2, 500, rules).is_err());
}

#[test]
fn a_finding_has_the_signs_the_words_and_the_number_of_the_family() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    fork(&mut state, 2000, 201, 202);
    fork(&mut state, 2000, 201, 203);
    exit(&mut state, 2500, 201);
    let told = confirm(&mut state, 3000, 200, "make x");
    let [finding] = &told[..] else { panic!("{told:?}") };
    assert_eq!((finding.rule, finding.action, finding.count), (Rule::Detached, Action::Alert, 3));
    assert_eq!((&finding.signs[..], finding.top), (&[Sign::Line][..], state.tree().of(200)));
    assert_eq!(
        finding.told(),
        "detached: whoever started it has ended: make x (pid 200) and 2 more"
    );
}

#[test]
fn a_storm_of_what_was_left_behind_is_told_as_two() {
    let mut rules = rules();
    (rules.count.action, rules.spawns.action) = (Action::Off, Action::Off);
    let mut state = state(rules);
    let mut folds = Folds::default();
    let mut told = Vec::new();
    for pid in 1000..2000 {
        fork(&mut state, 2000, PANE, pid);
        for finding in confirm(&mut state, 3000, pid, "x") {
            told.extend(folds.put(at(3000), AGENT, finding));
        }
    }
    told.extend(folds.due(at(3000) + TOGETHER).into_iter().map(|(_, finding)| finding));
    let times: Vec<(u64, u64)> = told.iter().map(|it| (it.times, it.count)).collect();
    assert_eq!(times, [(1, 1), (999, 999)]);
}

#[test]
fn what_is_ended_already_and_what_descends_from_a_job_is_not_judged() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, PANE, 300);
    let of = |state: &State, pid| state.tree().of(pid).unwrap();
    let (doomed, job) = (of(&state, 200), of(&state, 300));
    state.tree_mut().get_mut(doomed).unwrap().doomed = Some(at(4000));
    state.tree_mut().get_mut(job).unwrap().is_job = true;
    fork(&mut state, 2000, 200, 201);
    fork(&mut state, 2000, 300, 301);
    exit(&mut state, 2100, 200);
    exit(&mut state, 2100, 300);
    assert_eq!(due(&mut state, 9000), [SERVER, PANE]);
}

fn spawns(per_second: u64, seconds: u64) -> State {
    let mut rules = rules();
    rules.spawns.per_second = per_second;
    rules.spawns.over = Duration::from_secs(seconds);
    rules.spawns.action = Action::Freeze;
    rules.count.action = Action::Off;
    state(rules)
}

#[test]
fn many_new_processes_are_told_of_once_until_it_is_less_than_half() {
    let mut state = spawns(10, 2);
    // Two were there; as many as may be, and one more.
    for pid in 0..18 {
        fork(&mut state, 1500, PANE, 1000 + pid);
        assert_eq!(found(&mut state), [], "{pid}");
    }
    fork(&mut state, 1500, PANE, 2000);
    let told = found(&mut state);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].action, told[0].count), (Action::Freeze, 21));
    assert!(told[0].seen.starts_with("21 new processes within 2 s, more than 10 a second"));
    for pid in 0..100 {
        fork(&mut state, 2500, PANE, 3000 + pid);
    }
    assert_eq!(found(&mut state), []);
    // Quiet, and again: also where all come at once, as a scan counts them.
    state.count_spawns(at(9000), AGENT, 20);
    assert_eq!(found(&mut state), []);
    state.count_spawns(at(20_000), AGENT, 21);
    assert_eq!(found(&mut state).len(), 1);
    state.count_spawns(at(30_000), AGENT, 500);
    assert_eq!(found(&mut state).len(), 1);
    state.count_spawns(at(31_000), AGENT, 500);
    assert_eq!(found(&mut state), []);
}

#[test]
fn new_processes_are_counted_over_the_whole_time_and_not_longer() {
    let mut state = spawns(10, 5);
    for second in 2..40 {
        state.count_spawns(at(second * 1000), AGENT, 10);
    }
    assert_eq!(found(&mut state), []);
    state.count_spawns(at(40_500), AGENT, 11);
    assert_eq!(found(&mut state).len(), 1);
    // An event that comes late counts as one of now.
    let mut late = spawns(10, 5);
    late.count_spawns(at(20_000), AGENT, 25);
    late.count_spawns(at(3000), AGENT, 26);
    assert_eq!(found(&mut late).len(), 1);
}

#[test]
fn many_processes_are_told_of_once_and_again_after_it_were_less() {
    let mut rules = rules();
    rules.count = Count { processes: 20, action: Action::Log };
    let mut state = state(rules);
    for pid in 0..17 {
        fork(&mut state, 2000, PANE, 1000 + pid);
    }
    assert_eq!((state.tree().count(AGENT), found(&mut state)), (20, vec![]));
    fork(&mut state, 2000, PANE, 2000);
    let told = found(&mut state);
    assert_eq!((told.len(), told[0].count), (1, 21));
    assert_eq!(told[0].seen, "21 processes, more than 20");
    // A little less, and more again, is the same finding.
    exit(&mut state, 2100, 1000);
    exit(&mut state, 2100, 1001);
    for pid in [1000, 1001, 1002] {
        fork(&mut state, 2200, PANE, pid);
    }
    assert_eq!(found(&mut state), []);
    // At three quarters it is over.
    for pid in 1000..1006 {
        exit(&mut state, 2300, pid);
    }
    assert_eq!(state.tree().count(AGENT), 15);
    for pid in 1000..1006 {
        fork(&mut state, 2400, PANE, pid);
    }
    assert_eq!(found(&mut state).len(), 1);
}

#[test]
fn a_limit_that_was_reached_is_told_in_its_owners_words() {
    let mut state = state(rules());
    state.limit_reached(AGENT, "100 tasks".to_owned());
    let told = found(&mut state);
    assert_eq!(told[0].told(), "limits: 100 tasks");
    let mut silent = self::state(Rules { limits: Action::Off, ..rules() });
    silent.limit_reached(AGENT, "100 tasks".to_owned());
    silent.limit_reached(99, "100 tasks".to_owned());
    assert_eq!(found(&mut silent), []);
}

/// An agent with one left behind, 200, that has a child, 201.
fn behind(over: u64) -> (State, NodeId) {
    let mut rules = rules();
    rules.detached.action = Action::Off;
    rules.background.over = Duration::from_secs(over);
    rules.background.action = Action::Signal;
    let mut state = state(rules);
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    // Nothing is told of it where that rule is off, and it is known all the same.
    assert_eq!(confirm(&mut state, 3000, 200, "make"), []);
    let left = state.left_behind(AGENT);
    let id = state.tree().of(200).unwrap();
    assert_eq!(left, [(id, vec![200, 201])]);
    (state, id)
}

#[test]
fn processor_time_in_the_background_is_told_of_over_its_time() {
    let (mut state, id) = behind(100);
    state.used(at(10_000), AGENT, id, 500);
    // Half of a processor is allowed: 5000 hundredths of a second in a hundred seconds.
    state.used(at(60_000), AGENT, id, 5500);
    assert_eq!(found(&mut state), []);
    state.used(at(110_000), AGENT, id, 5500);
    assert_eq!(found(&mut state), []);
    state.used(at(210_000), AGENT, id, 5500 + 5100);
    let told = found(&mut state);
    assert_eq!((told.len(), told[0].action, told[0].top), (1, Action::Signal, Some(id)));
    let seen = "0.51 processors for 100 s in the background, more than 0.50";
    assert_eq!(told[0].told(), format!("background: {seen}: make (pid 200)"));
    // It begins anew, and what is left of one that ended is nothing.
    state.used(at(310_000), AGENT, id, 5500 + 5100 + 5000);
    exit(&mut state, 311_000, 200);
    assert!(state.left_behind(AGENT).is_empty());
    state.used(at(999_000), AGENT, id, 9_999_999);
    assert_eq!(found(&mut state), []);
}

#[test]
fn who_ends_in_the_background_does_not_take_away_what_the_others_use() {
    let (mut state, id) = behind(100);
    state.used(at(10_000), AGENT, id, 50_000);
    state.used(at(60_000), AGENT, id, 55_000);
    // A child that nobody waits for takes its time along.
    state.used(at(61_000), AGENT, id, 1000);
    state.used(at(110_000), AGENT, id, 5000);
    assert!(found(&mut state)[0].seen.starts_with("0.90 processors for 100 s"));
}

#[test]
fn what_still_ran_at_the_end_is_told_of_where_it_was_killed() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, PANE, 201);
    fork(&mut state, 2000, PANE, 202);
    // A person's further command, and one of theirs that no event told of.
    fork(&mut state, 2000, INIT, 300);
    fork(&mut state, 2000, PANE, 301);
    own(&mut state, &[201], None);
    state.named(301, &look(301, INIT));
    exit(&mut state, 3000, PANE);
    assert_eq!(state.take_ended(), [(AGENT, vec![200, 201, 202])]);
    assert!(state.take_ended().is_empty());
    state.leftovers(AGENT, &[200, 201, 202], vec![process(200)]);
    exit(&mut state, 3100, 202);
    for pid in [200, 201, 300, 301] {
        kill(&mut state, 3200, pid);
    }
    assert_eq!(found(&mut state), []);
    kill(&mut state, 3300, INIT);
    let told = found(&mut state);
    assert_eq!((told.len(), told[0].rule, told[0].count), (1, Rule::Orphans, 2));
    assert!(told[0].told().ends_with("words of 200 (pid 200) and 1 more"), "{:?}", told[0]);
    // Those who end by themselves are nobody's orphans.
    let mut state = self::state(rules());
    fork(&mut state, 2000, PANE, 200);
    exit(&mut state, 3000, PANE);
    state.leftovers(AGENT, &[200], vec![process(200)]);
    exit(&mut state, 3100, 200);
    state.remove(AGENT);
    assert_eq!(found(&mut state), []);
}

#[test]
fn the_end_of_a_command_that_nobody_has_looked_at_yet_is_seen_all_the_same() {
    let mut state = State::default();
    state.add(at(1000), AGENT, INIT, rules()).unwrap();
    fork(&mut state, 1000, INIT, SERVER);
    fork(&mut state, 1000, SERVER, PANE);
    fork(&mut state, 1100, PANE, 200);
    assert!(!state.seeks_pane(AGENT));
    own(&mut state, &[], Some(INSIDE));
    assert!(state.seeks_pane(AGENT));
    let mut nameless = state.nameless(AGENT);
    nameless.sort_unstable();
    assert_eq!(nameless, [INIT, SERVER, PANE, 200]);
    state.named(PANE, &pane());
    assert!(!state.seeks_pane(AGENT));
    exit(&mut state, 1200, PANE);
    assert_eq!(state.take_ended(), [(AGENT, vec![200])]);
    state.leftovers(AGENT, &[], Vec::new());
    assert!(!state.seeks_pane(AGENT));
    // It had ended before it could be looked at.
    let mut late = self::state(rules());
    exit(&mut late, 1100, PANE);
    late.take_ended();
    assert!(late.seeks_pane(AGENT));
    late.pane_ended(AGENT);
    assert_eq!(late.take_ended(), [(AGENT, vec![])]);
}

#[test]
fn what_a_scan_finds_is_judged_a_second_later_at_the_soonest() {
    let mut rules = rules();
    rules.detached.grace = Duration::ZERO;
    let mut state = state(rules);
    state.due(at(5000));
    scan(&mut state, 5000, &[200, 201], &[(200, look(200, PANE)), (201, look(201, 200))]);
    assert_eq!((state.tree().count(AGENT), due(&mut state, 5999)), (5, vec![]));
    // Not by the scan's own judgement of all either.
    state.judge_all(at(5000), AGENT);
    assert_eq!(due(&mut state, 5000), [INIT, SERVER, PANE]);
    assert_eq!((state.next(), due(&mut state, 6000)), (Some(at(6000)), vec![200, 201]));
    // They are no new processes, as their numbers inside are counted.
    state.count_spawns(at(6000), AGENT, 0);
    assert_eq!(found(&mut state), []);
}

#[test]
fn what_a_scan_does_not_find_has_ended() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    state.due(at(3500));
    scan(&mut state, 4000, &[201], &[]);
    assert_eq!((state.tree().of(200), state.tree().count(AGENT)), (None, 4));
    // Whom it left behind is judged.
    assert_eq!(due(&mut state, 5000), [201]);
}

#[test]
fn events_from_before_a_scan_change_nothing_of_what_it_found() {
    let mut state = state(rules());
    scan(&mut state, 5000, &[200], &[(200, look(200, PANE))]);
    let id = state.tree().of(200);
    fork(&mut state, 4000, PANE, 200);
    exit(&mut state, 4100, 200);
    fork(&mut state, 4200, INIT, 200);
    assert_eq!((state.tree().of(200), state.tree().count(AGENT)), (id, 4));
    exit(&mut state, 5001, 200);
    assert_eq!(state.tree().of(200), None);
}

#[test]
fn a_number_that_comes_again_is_another_process() {
    let mut state = state(rules());
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    assert_eq!(confirm(&mut state, 3000, 200, "x").len(), 1);
    let first = state.tree().of(200).unwrap();
    state.due(at(4000));
    // Its end was not told.
    fork(&mut state, 5000, PANE, 200);
    let second = state.tree().of(200).unwrap();
    assert_ne!(first, second);
    assert!(state.left_behind(AGENT).is_empty(), "it has ended");
    // Whom it has left behind is judged, and it is no child of the second one.
    assert_eq!(due(&mut state, 6000), [200, 201]);
    assert_eq!(state.tree().family(second), [second]);
    // By a scan: another one has its number, which is no more told of by the first one's findings.
    assert_eq!(confirm(&mut state, 6000, 200, "x").len(), 1);
    scan(&mut state, 7000, &[200, 201], &[(200, Look { start: 999, ..look(200, INIT) })]);
    let third = state.tree().of(200).unwrap();
    assert_ne!(second, third);
    assert!(state.left_behind(AGENT).is_empty());
    assert_eq!(due(&mut state, 8000), [200]);
    // Who is looked at and is another one by now says nothing of the first.
    let question = question(&state, 200);
    let other = Look { start: 1234, ..look(200, INIT) };
    assert_eq!(state.looked(at(8000), question, &other), None);
    let same = Look { start: 999, ..look(200, INIT) };
    assert!(state.looked(at(8000), question, &same).is_some());
    // And so does who has ended.
    let ended = Look { is_ended: true, ..same.clone() };
    assert_eq!(state.looked(at(8000), question, &ended), None);
    exit(&mut state, 8100, 200);
    assert_eq!(state.looked(at(8200), question, &same), None);
}

#[test]
fn more_than_can_be_remembered_are_all_judged_by_scans_until_the_last_is_old() {
    let mut rules = rules();
    (rules.count.action, rules.spawns.action) = (Action::Off, Action::Off);
    rules.detached.grace = Duration::from_secs(10);
    let mut state = state(rules);
    let first = 1_000_000;
    let count = i32::try_from(MOST_DUE).unwrap() + 10;
    for pid in first..first + count {
        fork(&mut state, 2000, PANE, pid);
    }
    let last = first + count - 1;
    let there: Vec<i32> = (first..first + count).collect();
    // Young: it is not judged, and not forgotten.
    scan(&mut state, 9000, &there, &[]);
    assert!(!due(&mut state, 9000).contains(&last));
    assert!(!due(&mut state, 12_000).contains(&last));
    scan(&mut state, 13_000, &there, &[]);
    assert!(due(&mut state, 13_000).contains(&last));
    // From then on they are known one by one again.
    scan(&mut state, 14_000, &there, &[]);
    assert!(due(&mut state, 14_000).is_empty());
}

#[test]
fn who_takes_its_own_place_again_and_again_does_not_grow_younger() {
    let mut state = state(rules());
    state.due(at(2000));
    // Each generation lives for 400 milliseconds and forks twice, so that who starts the next one is no orphan itself.
    fork(&mut state, 2000, PANE, 1000);
    let mut judged = Vec::new();
    for generation in 0..5 {
        let (first, born) =
            (1000 + 10 * generation, 2000 + 400 * u64::try_from(generation).unwrap());
        fork(&mut state, born + 398, first, first + 1);
        fork(&mut state, born + 399, first + 1, first + 10);
        exit(&mut state, born + 399, first + 1);
        exit(&mut state, born + 400, first);
        judged.push(due(&mut state, born + 400));
    }
    // Left behind for a second only from the fourth on: that one is looked at at once.
    let none = Vec::new();
    assert_eq!(judged, [none.clone(), none.clone(), none, vec![1040], vec![1050]]);
    // What is excepted was meant to run on, and so was what it starts.
    let mut rules = rules();
    rules.detached.except = vec!["watchman".to_owned()];
    let mut state = self::state(rules);
    state.due(at(2000));
    fork(&mut state, 2000, PANE, 200);
    fork(&mut state, 2000, 200, 201);
    exit(&mut state, 2000, 200);
    assert_eq!(confirm(&mut state, 3000, 201, "watchman"), []);
    state.due(at(3000));
    fork(&mut state, 5000, 201, 202);
    fork(&mut state, 5000, 202, 203);
    exit(&mut state, 5000, 202);
    assert!(due(&mut state, 5999).is_empty());
    assert_eq!(due(&mut state, 6000), [203]);
    // And so one finding stands for what follows at once.
    assert_eq!(confirm(&mut state, 6000, 203, "x").len(), 1);
    fork(&mut state, 9000, 203, 204);
    exit(&mut state, 9000, 203);
    assert!(due(&mut state, 9999).is_empty());
}

#[test]
fn nobody_is_left_behind_by_how_the_server_and_further_commands_were_started() {
    // The program that opens the session ends, and so the server has no parent; nor has a further command in the eyes of a scan.
    let mut state = State::default();
    state.add(at(1000), AGENT, INIT, rules()).unwrap();
    fork(&mut state, 1000, INIT, 105);
    fork(&mut state, 1000, 105, SERVER);
    fork(&mut state, 1000, SERVER, PANE);
    exit(&mut state, 1001, 105);
    fork(&mut state, 1002, SERVER, 130);
    state.set_server(AGENT, SERVER);
    let behind =
        |state: &State, pid| state.tree().get(state.tree().of(pid).unwrap()).unwrap().behind;
    fork(&mut state, 5000, PANE, 200);
    assert!([SERVER, PANE, 130, 200].iter().all(|pid| behind(&state, *pid).is_none()));
    // Found by a scan, as after the watch was started again.
    let mut state = State::default();
    state.add(at(1000), AGENT, INIT, rules()).unwrap();
    state.set_server(AGENT, SERVER);
    own(&mut state, &[100], None);
    scan(
        &mut state,
        1000,
        &[200, 201],
        &[
            (SERVER, look(SERVER, INIT)),
            (PANE, pane()),
            (200, look(200, INIT)),
            (201, look(201, INIT)),
        ],
    );
    assert!([SERVER, PANE].iter().all(|pid| behind(&state, *pid).is_none()));
    assert_eq!(signs(&mut state, 3000, 200, &look(200, INIT)), []);
    assert_eq!(signs(&mut state, 3000, 201, &look(201, INIT)), [Sign::Line]);
    assert_eq!((behind(&state, 200), behind(&state, 201)), (None, Some(at(1000))));
}

#[test]
fn what_shows_the_session_runs_one_program_and_no_other() {
    let mut state = state(rules());
    fork(&mut state, 2000, INIT, 200);
    exec(&mut state, 2000, 200);
    state.set_own(AGENT, &Own { clients: vec![100], commands: Vec::new(), pane: None });
    assert_eq!(signs(&mut state, 9000, 200, &look(200, INIT)), []);
    exec(&mut state, 3000, 200);
    assert_eq!(signs(&mut state, 12_000, 200, &look(200, INIT)), [Sign::Line]);
    // Init may ask tmux something: that takes a moment.
    fork(&mut state, 4000, INIT, 201);
    let asks = Look { session: INIT, ..look(201, INIT) };
    assert_eq!(signs(&mut state, 5000, 201, &asks), []);
    assert_eq!(signs(&mut state, 13_000, 201, &asks), [Sign::Line]);
}

#[test]
fn what_is_in_a_job_is_counted_apart() {
    let mut rules = rules();
    rules.count = Count { processes: 5, action: Action::Log };
    let mut state = state(rules);
    fork(&mut state, 2000, PANE, 200);
    let job = state.tree().of(200).unwrap();
    state.tree_mut().mark_job(job);
    (201..220).for_each(|pid| fork(&mut state, 2000, 200, pid));
    (300..302).for_each(|pid| fork(&mut state, 2000, PANE, pid));
    assert_eq!(found(&mut state), []);
    fork(&mut state, 2000, PANE, 302);
    assert_eq!(found(&mut state)[0].count, 6);
}

#[test]
fn nobody_is_one_of_too_many_who_is_seen_to_be_in_a_job() {
    let mut rules = rules();
    rules.count = Count { processes: 5, action: Action::Log };
    rules.spawns = Spawns { per_second: 10, over: Duration::from_secs(1), action: Action::Log };
    let mut state = state(rules);
    (200..208).for_each(|pid| fork(&mut state, 2000, PANE, pid));
    assert_eq!(state.take_crowded(), [AGENT].into());
    for pid in 200..208 {
        let id = state.tree().of(pid).unwrap();
        state.tree_mut().mark_job(id);
    }
    state.confirm_crowd(AGENT);
    assert_eq!(found(&mut state), []);
    // What they start is neither counted nor new, and nobody's orphan.
    (300..400).for_each(|pid| fork(&mut state, 2100, 200, pid));
    assert_eq!(found(&mut state), []);
    exit(&mut state, 2200, PANE);
    assert_eq!(state.take_ended(), [(AGENT, vec![])]);
}

#[test]
fn many_who_are_due_are_looked_at_in_turns() {
    let mut rules = rules();
    (rules.count.action, rules.spawns.action) = (Action::Off, Action::Off);
    let mut state = state(rules);
    (1000..2000).for_each(|pid| fork(&mut state, 2000, PANE, pid));
    assert_eq!(state.due(at(3000)).len(), MOST_LOOKS);
    assert_eq!(state.next(), Some(Moment::ZERO));
    assert_eq!(due(&mut state, 3000).len(), 1002 - MOST_LOOKS);
    assert_eq!(state.next(), None);
}

#[test]
fn two_agents_have_nothing_to_do_with_each_other() {
    let mut state = state(rules());
    state.add(at(1000), 2, 500, rules()).unwrap();
    state.set_server(2, 501);
    fork(&mut state, 2000, 500, 501);
    fork(&mut state, 2000, 501, 502);
    fork(&mut state, 2000, PANE, 200);
    assert_eq!((state.tree().count(AGENT), state.tree().count(2)), (4, 3));
    state.limit_reached(2, "x".to_owned());
    state.remove(AGENT);
    assert_eq!(state.tree().count(AGENT), 0);
    let agents: Vec<AgentId> = state.take_found().into_iter().map(|(agent, _)| agent).collect();
    assert_eq!(agents, [2]);
    assert_eq!(due(&mut state, 9000), [501, 502]);
    // What was asked about one that is watched no more says nothing.
    let old = Question { agent: AGENT, id: state.tree().of(502).unwrap(), pid: 502 };
    assert_eq!(state.looked(at(9000), old, &look(502, INIT)), None);
}
