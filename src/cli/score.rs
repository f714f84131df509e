//! The grading of a profile in print, for `check --score`.

use super::output::{Output, Tone};
use crate::score::{Exposure, Grade, Loss, Point, Score, Word};
use serde::Serialize;

/// The columns that a table has.
const WIDTH: usize = 80;
/// Where the words of a loss begin: behind its exposure and its grade.
const INDENT: usize = 11;

/// A line of cells.
type Line = Vec<(Tone, String)>;

/// Prints `score`, and where it is above `threshold` that it is.
pub(super) fn print(out: &mut Output, score: &Score, threshold: Option<Exposure>) {
    lines(score).iter().for_each(|line| out.cells(line));
    let exposure = score.exposure();
    if let Some(threshold) = threshold.filter(|threshold| exposure > *threshold) {
        out.cells(&[(Tone::Bad, format!("{exposure} is above the threshold, {threshold}"))]);
    }
}

/// Prints what several came to, a line each.
pub(super) fn print_together(out: &mut Output, scores: &[&Score]) {
    out.line("");
    for score in scores {
        let exposure = score.exposure();
        let told = (tone(exposure.word()), format!("{exposure:>4} {:<8}", exposure.word()));
        out.cells(&[told, plain(&score.profile)]);
    }
}

/// The table of points, what is lost and what it comes to, at most 80 columns wide.
#[must_use]
pub fn lines(score: &Score) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut group = "";
    for point in &score.points {
        if point.group != group {
            group = point.group;
            lines.push(vec![plain(&heading(group))]);
        }
        lines.push(row(point));
    }
    let losses = score.losses();
    if !losses.is_empty() {
        lines.extend([Vec::new(), vec![plain("Given up, the most first:")]]);
        lines.extend(losses.into_iter().flat_map(|(_, loss)| told(loss)));
    }
    let exposure = score.exposure();
    let overall = format!("Overall exposure of {}:", score.profile);
    let word = (tone(exposure.word()), format!("{exposure} {}", exposure.word()));
    lines.extend([Vec::new(), vec![plain(&overall), word]]);
    lines
}

fn plain(text: &str) -> (Tone, String) {
    (Tone::Plain, text.to_owned())
}

/// `limits` as `[limits]`, `seccomp.policy` as `[seccomp] policy`.
fn heading(group: &str) -> String {
    match group.split_once('.') {
        Some((table, key)) => format!("[{table}] {key}"),
        None => format!("[{group}]"),
    }
}

fn row(point: &Point) -> Line {
    let name = plain(&format!("{:<17}", point.key));
    if point.kept() {
        return vec![(Tone::Good, "✓".to_owned()), name, plain(point.meaning)];
    }
    let worst = point.losses().iter().map(|loss| loss.exposure).max().unwrap_or_default();
    let tone = graded(Grade::of(worst));
    let cost = format!("{:>4}", point.exposure());
    vec![(tone, "✗".to_owned()), name, plain(&format!("{:<54}", point.meaning)), (tone, cost)]
}

/// A loss in words: where, what, and how to gain it back.
fn told(loss: &Loss) -> Vec<Line> {
    let text = loss.problem.to_string();
    let mut texts = text.lines().flat_map(|line| wrap(line.trim_start(), WIDTH - INDENT));
    let grade = loss.grade().map_or("", Grade::name);
    let head = (graded(loss.grade()), format!("{} {grade:<6}", loss.exposure));
    let first = vec![head, plain(&texts.next().unwrap_or_default())];
    let rest = texts.map(|text| vec![plain(&format!("{:INDENT$}{text}", ""))]);
    [first].into_iter().chain(rest).collect()
}

/// `text` in lines of at most `width` characters, as far as its words are shorter.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn graded(grade: Option<Grade>) -> Tone {
    match grade {
        Some(Grade::High) => Tone::Bad,
        Some(Grade::Medium | Grade::Low) | None => Tone::Warning,
    }
}

fn tone(word: Word) -> Tone {
    match word {
        Word::Safe | Word::Ok => Tone::Good,
        Word::Medium => Tone::Warning,
        Word::Exposed | Word::Unsafe => Tone::Bad,
    }
}

/// A score as JSON. The names are stable.
#[derive(Serialize)]
pub(super) struct Told<'s> {
    exposure: f64,
    word: &'static str,
    points: Vec<ToldPoint<'s>>,
}

#[derive(Serialize)]
struct ToldPoint<'s> {
    name: String,
    meaning: &'static str,
    kept: bool,
    exposure: f64,
    most: f64,
    losses: Vec<ToldLoss<'s>>,
}

/// Line and column are 0 where what is lost stands in no file.
#[derive(Serialize)]
struct ToldLoss<'s> {
    exposure: f64,
    grade: Option<&'static str>,
    file: &'s str,
    line: usize,
    column: usize,
    key: &'s str,
    cause: &'s str,
    hint: &'s str,
}

impl<'s> From<&'s Score> for Told<'s> {
    fn from(score: &'s Score) -> Self {
        let exposure = score.exposure();
        let points = score.points.iter().map(ToldPoint::from).collect();
        Self { exposure: exposure.number(), word: exposure.word().name(), points }
    }
}

impl<'s> From<&'s Point> for ToldPoint<'s> {
    fn from(point: &'s Point) -> Self {
        Self {
            name: point.name(),
            meaning: point.meaning,
            kept: point.kept(),
            exposure: point.exposure().number(),
            most: point.most.number(),
            losses: point.losses().iter().map(ToldLoss::from).collect(),
        }
    }
}

impl<'s> From<&'s Loss> for ToldLoss<'s> {
    fn from(loss: &'s Loss) -> Self {
        let problem = &loss.problem;
        Self {
            exposure: loss.exposure.number(),
            grade: loss.grade().map(Grade::name),
            file: &problem.place.file,
            line: problem.place.line,
            column: problem.place.column,
            key: &problem.place.key,
            cause: &problem.cause,
            hint: &problem.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_words() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("a long-word b", 4), ["a", "long-word", "b"]);
        assert_eq!(wrap("", 4), [""; 0]);
    }

    #[test]
    fn headings_are_those_of_the_file() {
        assert_eq!(heading("limits"), "[limits]");
        assert_eq!(heading("enforcement.without"), "[enforcement] without");
    }
}
