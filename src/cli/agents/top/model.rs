//! What `top` knows and shows, and what keys do to it. Pure: who calls brings answers and keys, and does what is wished.

use super::columns::Column;
use super::keys::Key;
use super::row::Row;
use crate::control::protocol::{Request, Shown};
use serde_json::Value;
use std::collections::BTreeMap;

/// So many agents are a page.
const PAGE: usize = 10;
/// The longest filter.
const LONGEST: usize = 32;

/// What a person wants that is not done here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To leave.
    Leave,
    /// The whole screen drawn anew.
    Redraw,
    /// The agent's session on this terminal.
    Attach {
        agent: String,
        /// Whether they want to type there.
        types: bool,
    },
    /// That the supervisor does something.
    Ask(Request),
    /// The journals of the agent.
    Read(String),
}

/// What keys are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// The list of agents.
    #[default]
    List,
    /// What is typed is the filter.
    Filter,
    /// Whether the agent is to be stopped.
    Stop(String),
    /// Which keys there are.
    Help,
    /// What happened to an agent.
    Journal(Journal),
}

/// What happened to an agent, and what was refused to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) agent: String,
    events: Vec<Line>,
    denials: Vec<Line>,
    /// How many of the newest lines are out of sight.
    pub(super) back: usize,
}

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Seconds since 1970-01-01 UTC.
    pub(super) time: u64,
    pub(super) told: String,
    /// Whether it is about something that was refused.
    pub(super) refused: bool,
}

impl Line {
    fn of(value: &Value, denial: bool) -> Self {
        Self {
            time: value["time"].as_u64().unwrap_or_default(),
            told: value["told"].as_str().unwrap_or_default().to_owned(),
            refused: denial || value["event"] == "refused-call",
        }
    }
}

impl Journal {
    /// All lines, oldest first.
    pub(super) fn lines(&self) -> Vec<&Line> {
        let mut all: Vec<&Line> = self.events.iter().chain(&self.denials).collect();
        all.sort_by_key(|line| line.time);
        all
    }
}

/// A sentence for the person, and whether it tells of something that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) bad: bool,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    rows: BTreeMap<String, Row>,
    /// The name of the agent that keys are about, and where it stands.
    selected: Option<String>,
    place: usize,
    pub(super) order: Column,
    pub(super) inverted: bool,
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) told: Option<Told>,
    /// Why there are no newer figures.
    pub(super) trouble: Option<String>,
    /// Whether the agents were told of at least once.
    pub(super) known: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            selected: None,
            place: 0,
            order: Column::Name,
            inverted: false,
            filter: String::new(),
            mode: Mode::default(),
            told: None,
            trouble: None,
            known: false,
        }
    }

    /// The agents as they are now.
    pub(super) fn update(&mut self, agents: Vec<Shown>) {
        let mut before = std::mem::take(&mut self.rows);
        for shown in agents {
            let name = shown.name.clone();
            let row = match before.remove(&name) {
                Some(mut row) => {
                    row.update(shown);
                    row
                }
                None => Row::new(shown),
            };
            self.rows.insert(name, row);
        }
        (self.trouble, self.known) = (None, true);
        self.settle();
    }

    /// All agents, whatever is filtered.
    pub(super) fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Those that are shown, in their order.
    pub(super) fn shown(&self) -> Vec<&Row> {
        let named = self.rows.values().filter(|row| row.shown.name.contains(&self.filter));
        let mut rows: Vec<&Row> = named.collect();
        rows.sort_by(|one, other| {
            let order = self.order.order(one, other);
            if self.inverted { order.reverse() } else { order }
        });
        rows
    }

    /// The agent that keys are about.
    pub(super) fn selected(&self) -> Option<&Row> {
        self.rows.get(self.selected.as_deref()?)
    }

    /// Something is selected as long as something is shown: the same agent, or who stands in its place.
    fn settle(&mut self) {
        let names: Vec<String> =
            self.shown().into_iter().map(|row| row.shown.name.clone()).collect();
        let known = names.iter().position(|name| Some(name) == self.selected.as_ref());
        self.place = known.unwrap_or(self.place.min(names.len().saturating_sub(1)));
        self.selected = names.get(self.place).cloned();
    }

    fn select(&mut self, place: usize) {
        let name = self.shown().get(place).map(|row| row.shown.name.clone());
        if name.is_some() {
            (self.selected, self.place) = (name, place);
        }
    }

    /// The supervisor has done something, or has not.
    pub(super) fn tell(&mut self, text: impl Into<String>, bad: bool) {
        self.told = Some(Told { text: text.into(), bad });
    }

    /// The newest lines of a journal of `agent`: of what was refused to it, or of the other.
    pub(super) fn read(&mut self, agent: &str, lines: &[Value], denials: bool) {
        if let Mode::Journal(journal) = &mut self.mode
            && journal.agent == agent
        {
            let lines = lines.iter().map(|line| Line::of(line, denials)).collect();
            *(if denials { &mut journal.denials } else { &mut journal.events }) = lines;
        }
    }

    /// What the key asks for, where it is not done with that.
    pub(super) fn press(&mut self, key: Key) -> Option<Wish> {
        self.told = None;
        match (key, std::mem::take(&mut self.mode)) {
            (Key::Interrupt, _) => Some(Wish::Leave),
            (Key::Redraw, mode) => {
                self.mode = mode;
                Some(Wish::Redraw)
            }
            (_, Mode::List) => self.press_in_list(key),
            (_, Mode::Filter) => {
                self.press_in_filter(key);
                None
            }
            (Key::Char('y' | 'Y'), Mode::Stop(agent)) => {
                Some(Wish::Ask(Request::Stop { agent, patience: None }))
            }
            (_, Mode::Stop(agent)) => {
                self.tell(format!("{agent} goes on"), false);
                None
            }
            (_, Mode::Help) => None,
            (_, Mode::Journal(journal)) => {
                self.press_in_journal(key, journal);
                None
            }
        }
    }

    fn press_in_list(&mut self, key: Key) -> Option<Wish> {
        let last = self.shown().len().saturating_sub(1);
        match key {
            Key::Up | Key::Char('k') => self.select(self.place.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select((self.place + 1).min(last)),
            Key::PageUp => self.select(self.place.saturating_sub(PAGE)),
            Key::PageDown => self.select((self.place + PAGE).min(last)),
            Key::Home | Key::Char('g') => self.select(0),
            Key::End | Key::Char('G') => self.select(last),
            Key::Left | Key::Char('<') => self.reorder(false),
            Key::Right | Key::Char('>') => self.reorder(true),
            Key::Char('i') => {
                self.inverted = !self.inverted;
                self.settle();
            }
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Escape => {
                self.filter.clear();
                self.settle();
            }
            Key::Char('q') => return Some(Wish::Leave),
            Key::Enter | Key::Char('a' | 'r' | 'f' | 's' | 'l') => {
                return self.press_for_agent(key);
            }
            Key::Char(_) | Key::Backspace | Key::Interrupt | Key::Redraw => {}
        }
        None
    }

    /// The keys that are about the selected agent.
    fn press_for_agent(&mut self, key: Key) -> Option<Wish> {
        let Some(row) = self.selected() else {
            self.tell("no agent is selected", true);
            return None;
        };
        let (agent, frozen) = (row.shown.name.clone(), row.is_frozen());
        let letter = if let Key::Char(letter) = key { letter } else { 'a' };
        match letter {
            's' => self.mode = Mode::Stop(agent),
            'l' => {
                let journal = Journal { agent: agent.clone(), ..Journal::default() };
                self.mode = Mode::Journal(journal);
                return Some(Wish::Read(agent));
            }
            'f' if frozen => return Some(Wish::Ask(Request::Thaw { agent })),
            'f' => return Some(Wish::Ask(Request::Freeze { agent })),
            _ => return Some(Wish::Attach { agent, types: letter == 'a' }),
        }
        None
    }

    fn press_in_filter(&mut self, key: Key) {
        match key {
            Key::Enter => return self.settle(),
            Key::Escape => {
                self.filter.clear();
                return self.settle();
            }
            Key::Char(c) if self.filter.len() < LONGEST => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Up
            | Key::Down
            | Key::Left
            | Key::Right
            | Key::Home
            | Key::End
            | Key::PageUp
            | Key::PageDown
            | Key::Char(_)
            | Key::Interrupt
            | Key::Redraw => {}
        }
        self.mode = Mode::Filter;
        self.settle();
    }

    fn press_in_journal(&mut self, key: Key, mut journal: Journal) {
        let most = journal.lines().len().saturating_sub(1);
        let back = journal.back;
        journal.back = match key {
            Key::Up | Key::Char('k') => back.saturating_add(1).min(most),
            Key::Down | Key::Char('j') => back.saturating_sub(1),
            Key::PageUp => back.saturating_add(PAGE).min(most),
            Key::PageDown => back.saturating_sub(PAGE),
            Key::Home | Key::Char('g') => most,
            Key::End | Key::Char('G') => 0,
            Key::Escape | Key::Enter | Key::Char('q' | 'l') => return,
            Key::Left
            | Key::Right
            | Key::Char(_)
            | Key::Backspace
            | Key::Interrupt
            | Key::Redraw => back,
        };
        self.mode = Mode::Journal(journal);
    }

    /// The next column that there is an order by, or the one before.
    fn reorder(&mut self, on: bool) {
        let orders: Vec<Column> =
            Column::ALL.into_iter().filter(|column| column.is_order()).collect();
        let at = orders.iter().position(|column| *column == self.order).unwrap_or(0);
        let at = if on { at + 1 } else { at + orders.len() - 1 };
        self.order = orders[at % orders.len()];
        self.inverted = false;
        self.settle();
        self.tell(format!("ordered by {}", self.order.word()), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{State, Used};

    fn agent(name: &str, tasks: u64, state: State) -> Shown {
        let tasks = Some(Used { used: tasks, limit: None });
        Shown { name: name.to_owned(), state, tasks, ..Shown::default() }
    }

    fn model() -> Model {
        let mut model = Model::new();
        let all = [("alpha", 3), ("beta", 9), ("gamma", 5)];
        model.update(all.map(|(name, tasks)| agent(name, tasks, State::Running)).to_vec());
        model
    }

    fn press(model: &mut Model, keys: &str) -> Option<Wish> {
        keys.chars().map(|c| model.press(Key::Char(c))).last().flatten()
    }

    fn selected(model: &Model) -> &str {
        model.selected().map_or("", |row| row.shown.name.as_str())
    }

    #[test]
    fn the_selection_stays_with_its_agent_and_moves_on_when_that_is_gone() {
        let mut model = model();
        assert_eq!(selected(&model), "alpha");
        press(&mut model, "jj");
        assert_eq!(selected(&model), "gamma");
        press(&mut model, "j");
        assert_eq!(selected(&model), "gamma");
        model.update(vec![agent("zeta", 1, State::Running), agent("gamma", 1, State::Running)]);
        assert_eq!(selected(&model), "gamma");
        model.update(vec![agent("zeta", 1, State::Running)]);
        assert_eq!(selected(&model), "zeta");
        model.update(Vec::new());
        assert!(model.selected().is_none());
        assert_eq!(press(&mut model, "s"), None);
        assert!(model.told.as_ref().is_some_and(|told| told.bad));
        model.update(vec![agent("new", 1, State::Running)]);
        assert_eq!(selected(&model), "new");
    }

    #[test]
    fn agents_are_ordered_by_the_column_of_choice() {
        let mut model = model();
        let names = |model: &Model| {
            let shown = model.shown();
            shown.iter().map(|row| row.shown.name.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&model), "alpha beta gamma");
        press(&mut model, "i");
        assert_eq!(names(&model), "gamma beta alpha");
        while model.order != Column::Tasks {
            press(&mut model, ">");
        }
        assert_eq!(names(&model), "beta gamma alpha");
        press(&mut model, "<");
        assert_eq!(model.order, Column::Memory);
        for _ in 0..20 {
            model.press(Key::Left);
        }
        assert!(model.order.is_order());
    }

    #[test]
    fn a_filter_is_typed_kept_and_taken_away() {
        let mut model = model();
        press(&mut model, "/ga");
        assert_eq!((model.shown().len(), selected(&model)), (1, "gamma"));
        // Here letters are no commands.
        assert_eq!(press(&mut model, "q"), None);
        assert!(model.shown().is_empty() && model.selected().is_none());
        model.press(Key::Backspace);
        model.press(Key::Enter);
        assert_eq!((model.mode.clone(), model.filter.as_str()), (Mode::List, "ga"));
        model.press(Key::Escape);
        assert_eq!(model.shown().len(), 3);
    }

    #[test]
    fn a_stop_is_asked_for_and_only_yes_is_yes() {
        for no in ["n", "s", "q", " "] {
            let mut model = model();
            assert_eq!(press(&mut model, "s"), None);
            assert_eq!(model.mode, Mode::Stop("alpha".to_owned()));
            assert_eq!(press(&mut model, no), None, "{no}");
            assert_eq!(model.mode, Mode::List);
        }
        let mut model = model();
        let stop = Request::Stop { agent: "alpha".to_owned(), patience: None };
        assert_eq!(press(&mut model, "sy"), Some(Wish::Ask(stop.clone())));
        // It is about the agent that was asked about, whoever is selected by then.
        press(&mut model, "s");
        model.update(vec![agent("beta", 1, State::Running)]);
        assert_eq!(press(&mut model, "y"), Some(Wish::Ask(stop)));
    }

    #[test]
    fn a_frozen_agent_is_thawed_by_the_key_that_freezes() {
        let mut model = model();
        let agent_name = "alpha".to_owned();
        let freeze = Request::Freeze { agent: agent_name.clone() };
        assert_eq!(press(&mut model, "f"), Some(Wish::Ask(freeze)));
        model.update(vec![agent("alpha", 1, State::Frozen)]);
        assert_eq!(press(&mut model, "f"), Some(Wish::Ask(Request::Thaw { agent: agent_name })));
    }

    #[test]
    fn return_attaches_and_r_only_looks() {
        let mut model = model();
        let attach = |types| Some(Wish::Attach { agent: "alpha".to_owned(), types });
        assert_eq!(model.press(Key::Enter), attach(true));
        assert_eq!(press(&mut model, "a"), attach(true));
        assert_eq!(press(&mut model, "r"), attach(false));
        assert_eq!(press(&mut model, "q"), Some(Wish::Leave));
        assert_eq!(model.press(Key::Interrupt), Some(Wish::Leave));
    }

    #[test]
    fn a_journal_has_both_kinds_of_lines_in_their_order() {
        let mut model = model();
        assert_eq!(press(&mut model, "l"), Some(Wish::Read("alpha".to_owned())));
        let line = |time: u64, event: &str, told: &str| serde_json::json!({ "time": time, "event": event, "told": told });
        let events = [line(1, "start", "one"), line(3, "refused-call", "three")];
        model.read("alpha", &events, false);
        model.read("alpha", &[line(2, "denial", "two")], true);
        model.read("beta", &[line(9, "start", "of another")], false);
        let Mode::Journal(journal) = &model.mode else { panic!("{:?}", model.mode) };
        let lines: Vec<_> =
            journal.lines().iter().map(|line| (line.told.as_str(), line.refused)).collect();
        assert_eq!(lines, [("one", false), ("two", true), ("three", true)]);
        for _ in 0..9 {
            model.press(Key::Up);
        }
        assert!(matches!(&model.mode, Mode::Journal(journal) if journal.back == 2));
        press(&mut model, "q");
        assert_eq!(model.mode, Mode::List);
    }
}
