//! Draws what is known. Pure: from a model to cells.
//!
//! Must never: draw a text of an agent or a supervisor that was not made plain, or outside of the area, however small.

use super::columns::{Column, Tone, against, short, tone};
use super::history::History;
use super::model::{Journal, Mode, Model};
use super::row::Row;
use crate::cli::denials::span;
use crate::control::protocol::{State, Used};
use crate::terminal::filter::Charset;
use crate::terminal::plain::{plain, plain_message, plain_within};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) charset: Charset,
    /// Seconds since 1970-01-01 UTC.
    pub(super) now: u64,
}

/// Bars from the lowest to the highest.
const BARS: &[char] = &[' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_BARS: &[char] = &[' ', '.', ':', '-', '=', '+', '*', '%', '#'];

impl Look {
    fn bars(self) -> &'static [char] {
        match self.charset {
            Charset::Utf8 => BARS,
            Charset::Ascii => ASCII_BARS,
        }
    }
}

/// So many lines tell of the selected agent, where the terminal has so many in all.
const DETAILS: u16 = 8;
const ROOMY: u16 = 18;
/// Where the bars of the details begin, at the most.
const TEXT: usize = 44;
/// The width of what a line of the details is about.
const ABOUT: usize = 9;
/// As much of a long name is always shown.
const NAME: usize = 14;

/// So many lines of what the supervisor says.
const MOST_SAID: usize = 3;

const HELP: &[&str] = &[
    "  up, down, j, k      select an agent; also page up and down, g and G",
    "  a, Return           attach: Ctrl-] and then d comes back",
    "  r                   attach to look only",
    "  f                   freeze it, or let a frozen one go on",
    "  s                   stop it, after a question",
    "  l                   its journal, and what was refused to it",
    "  /                   show only agents whose name has what is typed; Esc: all",
    "  <, >, left, right   order by another column",
    "  i                   invert the order",
    "  Ctrl-L              draw anew",
    "  q, Ctrl-C           leave; agents go on",
    "",
    "  CPU is in hundredths of a processor. IO/S and NET/S are bytes of both",
    "  directions. REFUSED counts connections and names that the gate refused.",
];

const HINTS: &str =
    "a attach  r look  f freeze  s stop  l journal  / find  <> order  ? help  q quit";

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Faint => Style::new().add_modifier(Modifier::DIM),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// A part of the terminal, of which nothing outside is drawn on.
struct Canvas<'b> {
    buffer: &'b mut Buffer,
    area: Rect,
}

impl Canvas<'_> {
    fn put(&mut self, row: u16, line: &Line<'_>) {
        let area = self.area;
        if row < area.height && area.width > 0 {
            self.buffer.set_line(area.x, area.y + row, line, area.width);
        }
    }

    fn paint(&mut self, row: u16, style: Style) {
        let area = self.area;
        if row < area.height {
            self.buffer.set_style(Rect::new(area.x, area.y + row, area.width, 1), style);
        }
    }

    fn part(&mut self, from: u16, height: u16) -> Canvas<'_> {
        let Rect { x, y, width, height: whole } = self.area;
        let from = from.min(whole);
        let area = Rect::new(x, y + from, width, height.min(whole - from));
        Canvas { buffer: self.buffer, area }
    }

    fn width(&self) -> usize {
        usize::from(self.area.width)
    }
}

/// Draws `model` on `area`.
pub(super) fn draw(model: &Model, look: Look, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let mut canvas = Canvas { buffer, area };
    let height = canvas.area.height;
    title(model, &mut canvas);
    let foot = foot(model, canvas.width());
    let below = u16::try_from(foot.len()).unwrap_or(1).min(height.saturating_sub(1));
    let middle = height.saturating_sub(1 + below);
    match &model.mode {
        Mode::Help => {
            let mut part = canvas.part(1, middle);
            for (row, line) in (0..).zip(HELP) {
                part.put(row, &Line::from(*line));
            }
        }
        Mode::Journal(journal) => lines_of(journal, look, &mut canvas.part(1, middle)),
        Mode::List | Mode::Filter | Mode::Stop(_) => {
            let detailed = height >= ROOMY && model.selected().is_some();
            let details = if detailed { DETAILS } else { 0 };
            let list = middle.saturating_sub(details);
            table(model, look, &mut canvas.part(1, list));
            if let Some(row) = model.selected().filter(|_| detailed) {
                detail(row, look, &mut canvas.part(1 + list, details));
            }
        }
    }
    let mut part = canvas.part(height - below, below);
    for (at, line) in (0..).zip(&foot) {
        part.put(at, line);
    }
}

fn title(model: &Model, canvas: &mut Canvas<'_>) {
    let name = Span::styled("cellblock top  ", bold());
    if let Some(trouble) = &model.trouble {
        let text = format!("trying again: {}", plain_message(trouble));
        return canvas.put(0, &Line::from(vec![name, Span::styled(text, style(Tone::Bad))]));
    }
    let all: Vec<&Row> = model.all().collect();
    let of = |state| all.iter().filter(|row| row.shown.state == state).count();
    let agents = if all.len() == 1 { "agent" } else { "agents" };
    let mut text = format!("{} {agents}, {} running", all.len(), of(State::Running));
    let frozen = of(State::Frozen);
    if frozen > 0 {
        text += &format!(", {frozen} frozen");
    }
    let sum = |of: fn(&Row) -> Option<u64>| all.iter().filter_map(|row| of(row)).sum::<u64>();
    text += &format!("  cpu {}%", sum(Row::cpu_now));
    text += &format!("  memory {}", short(sum(|row| row.shown.memory.map(|of| of.used))));
    let mut spans = vec![name, Span::raw(text)];
    if !model.filter.is_empty() {
        let text = format!("  only *{}*", plain(&model.filter));
        spans.push(Span::styled(text, style(Tone::Warning)));
    }
    canvas.put(0, &Line::from(spans));
}

/// The columns for which `width` is enough, each with its own.
fn columns(rows: &[&Row], look: Look, width: usize) -> Vec<(Column, usize)> {
    let wanted = |column: Column| {
        let cells = rows.iter().map(|row| column.cell(row, look.bars()).0.chars().count());
        let widest = cells.max().unwrap_or(0).max(column.heading().len());
        widest.max(column.least())
    };
    let mut columns: Vec<_> =
        Column::ALL.into_iter().map(|column| (column, wanted(column))).collect();
    // Of a long name less is shown before a column is spared.
    let least = |(column, width): &(Column, usize)| {
        1 + if *column == Column::Name { (*width).min(NAME) } else { *width }
    };
    for spared in Column::SPARED {
        if columns.iter().map(least).sum::<usize>() <= width {
            break;
        }
        columns.retain(|(column, _)| *column != spared);
    }
    let others: usize = columns.iter().skip(1).map(least).sum();
    if let Some((_, name)) = columns.first_mut() {
        *name = (*name).min(width.saturating_sub(others + 1)).max(1);
    }
    columns
}

fn cell(column: Column, width: usize, text: &str) -> String {
    if column.is_number() {
        format!(" {text:>width$}")
    } else {
        let cut = if text.chars().count() > width { plain_cut(text, width) } else { text.into() };
        format!(" {cut:<width$}")
    }
}

/// What was made plain already, cut.
fn plain_cut(text: &str, width: usize) -> String {
    text.chars().take(width.saturating_sub(1)).chain(['~']).collect()
}

fn table(model: &Model, look: Look, canvas: &mut Canvas<'_>) {
    let rows = model.shown();
    let columns = columns(&rows, look, canvas.width());
    let headings = columns.iter().map(|(column, width)| {
        let sorted = if *column == model.order { Modifier::REVERSED } else { Modifier::empty() };
        Span::styled(cell(*column, *width, column.heading()), bold().add_modifier(sorted))
    });
    canvas.put(0, &Line::from(headings.collect::<Vec<_>>()));
    if rows.is_empty() {
        let text = match (model.known, model.filter.is_empty()) {
            (false, _) => "",
            (true, true) => {
                " there is no agent that you have a role for: cellblock start starts one"
            }
            (true, false) => " no agent is called so; Esc shows all",
        };
        return canvas.put(1, &Line::from(text));
    }
    let height = usize::from(canvas.area.height.saturating_sub(1));
    let selected = model.selected().map(|row| row.shown.name.as_str());
    let place = rows.iter().position(|row| Some(row.shown.name.as_str()) == selected).unwrap_or(0);
    let first = place.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    for (at, row) in (1..).zip(rows.iter().skip(first).take(height)) {
        let chosen = Some(row.shown.name.as_str()) == selected;
        let spans = columns.iter().map(|(column, width)| {
            let (text, tone) = column.cell(row, look.bars());
            // One colour, so that it is seen as one.
            let tone = if chosen { Tone::Plain } else { tone };
            Span::styled(cell(*column, *width, &text), style(tone))
        });
        canvas.put(at, &Line::from(spans.collect::<Vec<_>>()));
        if chosen {
            canvas.paint(at, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// A line across, with a text in it.
fn rule(text: &str, look: Look, canvas: &mut Canvas<'_>) {
    let dash = if look.charset == Charset::Utf8 { "─" } else { "-" };
    let rest = canvas.width().saturating_sub(text.chars().count() + 3);
    let line = format!("{dash} {text} {}", dash.repeat(rest));
    canvas.put(0, &Line::styled(line, bold()));
}

fn detail(row: &Row, look: Look, canvas: &mut Canvas<'_>) {
    let shown = &row.shown;
    let ago = span(look.now.saturating_sub(shown.since));
    let uid = shown.uid.map(|uid| format!(", uid {uid}")).unwrap_or_default();
    let look_at = match shown.people {
        0 => String::new(),
        1 => ", 1 person looks".to_owned(),
        people => format!(", {people} people look"),
    };
    let (name, profile) = (plain(&shown.name), plain(&shown.profile));
    let text = format!("{name}: {} for {ago}, {profile}{uid}{look_at}", shown.state);
    rule(&text, look, canvas);
    let lines = [
        ("cpu", cpu(row), bars(&row.cpu, shown.cpu_limit.or(Some(100)))),
        ("memory", shown.memory.map(of_bytes), bars(&row.memory, limit(shown.memory))),
        ("tasks", shown.tasks.map(of_count), bars(&row.tasks, limit(shown.tasks))),
        ("disks", disks(row), bars(&row.io, None)),
        ("network", network(row), bars(&row.network, None)),
        ("refused", refused(row), bars(&row.refused, None)),
    ];
    let mut at = 1;
    for (about, text, history) in lines {
        // What is not counted now has no last moments.
        let room = text.as_ref().map_or(0, |_| canvas.width().saturating_sub(TEXT + 1));
        let (text, tone) = text.unwrap_or_else(|| ("-".to_owned(), Tone::Faint));
        let drawn = history.0.bars(room, history.1, look.bars());
        let width = TEXT - ABOUT - 1;
        canvas.put(
            at,
            &Line::from(vec![
                Span::styled(format!(" {about:<ABOUT$}"), style(Tone::Faint)),
                Span::styled(format!("{text:<width$}"), style(tone)),
                Span::styled(drawn, Style::new().fg(Color::Cyan)),
            ]),
        );
        at += 1;
    }
    canvas.put(at, &last(row));
}

/// The most that a history is drawn against, where it is not the highest of it.
type Bars<'h> = (&'h History, Option<u64>);

fn bars(history: &History, most: Option<u64>) -> Bars<'_> {
    (history, most)
}

fn limit(of: Option<Used>) -> Option<u64> {
    of.and_then(|of| of.limit)
}

/// What stands in a line of the details.
type Text = (String, Tone);

fn of_bytes(of: Used) -> Text {
    (against(of, short).replace('/', " of "), tone(of))
}

fn of_count(of: Used) -> Text {
    (against(of, |number| number.to_string()).replace('/', " of "), tone(of))
}

fn cpu(row: &Row) -> Option<Text> {
    let of = Used { used: row.cpu_now()?, limit: row.shown.cpu_limit };
    Some((against(of, |number| format!("{number}%")).replace('/', " of "), tone(of)))
}

fn disks(row: &Row) -> Option<Text> {
    let traffic = row.shown.io.map(|io| {
        let most = io.limit.map(|limit| format!(" of {}/s each", short(limit)));
        let now = short(row.io_now().unwrap_or(0));
        format!("{now}/s{}", most.unwrap_or_default())
    });
    let held = row.shown.disk.map(|of| format!("holds {}", of_bytes(of).0));
    let tone = row.shown.disk.map_or(Tone::Plain, tone);
    let text = traffic.into_iter().chain(held).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some((text, tone))
}

fn network(row: &Row) -> Option<Text> {
    let mode = plain_within(&row.shown.network, 12);
    let Some(counts) = row.shown.counts else {
        return (!mode.is_empty()).then_some((mode, Tone::Plain));
    };
    let (sent, received) = (short(counts.sent), short(counts.received));
    let text = format!("{mode}, {} open, {sent} out, {received} in", counts.open);
    Some((text, Tone::Plain))
}

fn refused(row: &Row) -> Option<Text> {
    let count = row.refusals()?;
    let tone = if count > 0 { Tone::Warning } else { Tone::Plain };
    Some((format!("{count} by the gate"), tone))
}

fn last(row: &Row) -> Line<'static> {
    let shown = &row.shown;
    let Some(how) = &shown.how else { return Line::default() };
    let again = match shown.restarts {
        0 => String::new(),
        1 => "started again once; ".to_owned(),
        times => format!("started again {times} times; "),
    };
    let how = how.lines().next().unwrap_or_default();
    let text = format!("{again}{}", plain_message(how));
    let about = Span::styled(format!(" {:<ABOUT$}", "last end"), style(Tone::Faint));
    Line::from(vec![about, Span::raw(text)])
}

fn lines_of(journal: &Journal, look: Look, canvas: &mut Canvas<'_>) {
    let text = format!("journal of {}, refusals in yellow; Esc: back", plain(&journal.agent));
    rule(&text, look, canvas);
    let lines = journal.lines();
    if lines.is_empty() {
        return canvas.put(1, &Line::from(" nothing is written down"));
    }
    let height = usize::from(canvas.area.height.saturating_sub(1));
    let known = &lines[..lines.len().saturating_sub(journal.back)];
    let width = canvas.width().saturating_sub(WHEN);
    // From the newest on, until there is no room; the oldest of all stand at the top.
    let mut drawn: Vec<Line<'_>> = Vec::new();
    for line in known.iter().rev().take(height.max(1)) {
        let ago = format!("{:>8} ago  ", span(look.now.saturating_sub(line.time)));
        let tone = if line.refused { Tone::Warning } else { Tone::Plain };
        let texts = wrapped(&plain_message(&line.told), width);
        for (at, text) in texts.into_iter().enumerate().rev() {
            let when = if at == 0 { ago.clone() } else { " ".repeat(WHEN) };
            let when = Span::styled(when, style(Tone::Faint));
            drawn.push(Line::from(vec![when, Span::styled(text, style(tone))]));
        }
    }
    drawn.truncate(height);
    for (at, line) in (1..).zip(drawn.iter().rev()) {
        canvas.put(at, line);
    }
}

/// The width of what says when something was.
const WHEN: usize = 14;

/// `text` in lines of at most `width` characters, cut between words where that is possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        let space = if used > 0 { " " } else { "" };
        for c in space.chars().chain(word.chars()) {
            if used == width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += 1;
        }
    }
    lines
}

/// The lines at the bottom: a question, an answer, or the keys.
fn foot(model: &Model, width: usize) -> Vec<Line<'static>> {
    let (text, tone) = match (&model.mode, &model.told) {
        (Mode::Stop(agent), _) => {
            (format!("stop {}? y: yes, any other key: no", plain(agent)), Tone::Bad)
        }
        (Mode::Filter, _) => {
            let filter = plain(&model.filter);
            (format!("/{filter}_  Return: keep it, Esc: show all"), Tone::Warning)
        }
        (Mode::Help, _) => ("any key: back".to_owned(), Tone::Plain),
        (Mode::List | Mode::Journal(_), Some(told)) => {
            let tone = if told.bad { Tone::Bad } else { Tone::Good };
            (plain_message(&told.text.replace('\n', " ")), tone)
        }
        (Mode::List | Mode::Journal(_), None) => {
            return vec![Line::styled(HINTS, style(Tone::Faint))];
        }
    };
    let lines = wrapped(&text, width).into_iter().take(MOST_SAID);
    lines.map(|line| Line::styled(line, style(tone))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::*;
    use crate::control::protocol::{Shown, Traffic};
    use crate::gate::protocol::Counts;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    const LOOK: Look = Look { charset: Charset::Utf8, now: 1000 };

    fn agent(name: &str, at: u64) -> Shown {
        Shown {
            name: name.to_owned(),
            profile: "demo".to_owned(),
            state: State::Running,
            since: 940,
            uid: Some(61_000),
            people: 2,
            memory: Some(Used { used: 930 << 20, limit: Some(1 << 30) }),
            tasks: Some(Used { used: 12, limit: Some(128) }),
            cpu: Some(at * 600_000),
            cpu_limit: Some(150),
            io: Some(Traffic { read: at * 1024, written: at * 2048, limit: Some(1 << 20) }),
            disk: Some(Used { used: 1 << 20, limit: Some(1 << 30) }),
            at: at * 1_000_000,
            network: "allowlist".to_owned(),
            counts: Some(Counts { open: 3, sent: at * 100, refused: at, ..Counts::default() }),
            ..Shown::default()
        }
    }

    fn model() -> Model {
        let mut model = Model::new();
        for at in 1..=3 {
            let ended = Shown {
                name: "build".to_owned(),
                profile: "demo".to_owned(),
                state: State::Ended,
                how: Some("build ended with exit status 4".to_owned()),
                ..Shown::default()
            };
            model.update(vec![agent("reviewer", at), ended]);
        }
        model
    }

    fn drawn(model: &Model, look: Look, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(model, look, frame.area(), frame.buffer_mut())).unwrap();
        let buffer = terminal.backend().buffer();
        let width = usize::from(columns).max(1);
        let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        let lines = symbols.chunks(width).map(|line| line.concat().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn at_80_columns_everything_is_there() {
        let mut model = model();
        model.press(Key::Down);
        let screen = drawn(&model, LOOK, 80, 24);
        for text in [
            "2 agents, 1 running  cpu 60%  memory 930M",
            "NAME",
            "REFUSED",
            "running  60/150%",
            "930M/1G",
            "12/128",
            "reviewer: running for 60 s, demo, uid 61000, 2 people look",
            "60% of 150%",
            "930M of 1G",
            "12 of 128",
            "3K/s of 1M/s each, holds 1M of 1G",
            "allowlist, 3 open, 300 out, 0 in",
            "3 by the gate",
            "q quit",
        ] {
            assert!(screen.contains(text), "no `{text}` in\n{screen}");
        }
        assert!(screen.contains(['▃', '▄', '█']), "{screen}");
    }

    #[test]
    fn an_agent_that_has_ended_says_how_and_has_no_figures() {
        let screen = drawn(&model(), LOOK, 120, 40);
        let line = screen.lines().find(|line| line.contains("build ")).unwrap();
        assert!(line.contains("ended") && line.matches(" -").count() >= 5, "{line}");
        assert!(line.is_ascii(), "an end has bars: {line}");
        assert!(screen.contains("last end build ended with exit status 4"), "{screen}");
    }

    #[test]
    fn a_narrow_terminal_shows_less_and_nothing_of_it_wrong() {
        let mut model = model();
        model.press(Key::Down);
        let screen = drawn(&model, LOOK, 40, 10);
        assert!(screen.contains("reviewer") && screen.contains("running"), "{screen}");
        assert!(!screen.contains("TASKS"), "{screen}");
        assert!(screen.contains("60/150%"), "{screen}");
    }

    #[test]
    fn no_size_and_no_mode_is_too_small() {
        let modes: [&[Key]; 5] = [
            &[],
            &[Key::Char('/'), Key::Char('b')],
            &[Key::Char('s')],
            &[Key::Char('?')],
            &[Key::Char('l')],
        ];
        for keys in modes {
            let mut model = model();
            keys.iter().for_each(|key| drop(model.press(*key)));
            let line = serde_json::json!({ "time": 1, "told": "something" });
            model.read("build", &[line.clone(), line], false);
            for columns in [1, 2, 7, 20, 40, 80, 300] {
                for rows in [1, 2, 3, 5, 10, 17, 18, 24, 100] {
                    drawn(&model, LOOK, columns, rows);
                }
            }
        }
    }

    #[test]
    fn with_hundreds_of_agents_the_selected_one_is_in_sight() {
        let mut model = Model::new();
        model.update((0..200).map(|number| agent(&format!("agent-{number:03}"), 1)).collect());
        for _ in 0..150 {
            model.press(Key::Down);
        }
        let screen = drawn(&model, LOOK, 80, 24);
        assert!(screen.contains("agent-150:") && screen.contains("200 agents"), "{screen}");
        assert!(screen.lines().any(|line| line.starts_with(" agent-150 ")), "{screen}");
        model.press(Key::End);
        assert!(drawn(&model, LOOK, 80, 24).contains("agent-199:"));
    }

    #[test]
    fn a_terminal_without_utf8_gets_ascii() {
        let mut model = model();
        model.press(Key::Down);
        let look = Look { charset: Charset::Ascii, ..LOOK };
        assert!(drawn(&model, look, 120, 40).is_ascii());
    }

    #[test]
    fn what_others_say_is_made_plain() {
        let mut model = model();
        let hostile = "\x1b[2J\u{202e}\u{9b}31m";
        let mut shown = agent(hostile, 9);
        (shown.profile, shown.network) = (hostile.to_owned(), hostile.to_owned());
        shown.how = Some(hostile.to_owned());
        model.update(vec![shown]);
        model.tell(hostile, true);
        let hidden =
            |screen: &str| screen.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
        let screen = drawn(&model, LOOK, 120, 40);
        assert!(screen.contains("\\x1b[2J") && !hidden(&screen), "{screen}");
        model.press(Key::Char('l'));
        model.read(hostile, &[serde_json::json!({ "time": 1, "told": hostile })], true);
        let screen = drawn(&model, LOOK, 120, 40);
        assert!(screen.contains("\\x1b[2J") && !hidden(&screen), "{screen}");
        model.press(Key::Escape);
        model.trouble = Some(hostile.to_owned());
        model.press(Key::Char('s'));
        let screen = drawn(&model, LOOK, 120, 40);
        assert!(screen.contains("trying again: \\x1b") && !hidden(&screen), "{screen}");
    }

    #[test]
    fn a_long_sentence_is_cut_between_words_where_that_is_possible() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("é é", 0), ["é", "é"]);
        let mut model = model();
        model.tell("word ".repeat(30) + "end", true);
        assert!(drawn(&model, LOOK, 80, 24).ends_with("word end"));
        model.press(Key::Char('l'));
        let told = "word ".repeat(40) + "end";
        let line = serde_json::json!({ "time": 940, "event": "start", "told": told });
        model.read("build", &[line], false);
        let screen = drawn(&model, LOOK, 80, 24);
        assert!(screen.contains("    60 s ago  word") && screen.contains("word end"), "{screen}");
    }

    #[test]
    fn questions_and_answers_stand_in_the_last_line() {
        let last = |model: &Model| drawn(model, LOOK, 80, 24).lines().last().unwrap().to_owned();
        let mut model = model();
        model.press(Key::Char('s'));
        assert_eq!(last(&model), "stop build? y: yes, any other key: no");
        model.press(Key::Char('n'));
        assert_eq!(last(&model), "build goes on");
        model.press(Key::Char('/'));
        model.press(Key::Char('x'));
        assert!(last(&model).starts_with("/x_"));
        assert!(drawn(&model, LOOK, 80, 24).contains("no agent is called so"));
    }
}
