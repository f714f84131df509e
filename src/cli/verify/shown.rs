//! What a person reads on a terminal.

use crate::cli::output::{Output, Tone};
use crate::profile::Wall;
use crate::verify::campaign::{Finding, Verdict};
use crate::verify::probe::{Family, Layer, Probe};
use crate::verify::report::{Counts, MEANINGS, Matrix, Report, advice};

/// The width of the column with verdicts and names of families.
const FIRST: usize = 12;
/// The width of a line in which ids are listed.
const WIDTH: usize = 100;

/// Prints the probes that there are.
pub(super) fn list(probes: &[(&'static Family, &'static Probe)], out: &mut Output) {
    let longest = |text: fn(&Probe) -> usize| probes.iter().map(|(_, it)| text(it)).max();
    let ids = longest(|probe| probe.id.len()).unwrap_or(0);
    let titles = longest(|probe| probe.title.chars().count()).unwrap_or(0).min(72);
    let families = probes.iter().map(|(family, _)| family.name.len()).max().unwrap_or(0);
    for (family, probe) in probes {
        let layers: Vec<_> = probe.claims.iter().map(|claim| claim.layer.name()).collect();
        out.cells(&[
            (Tone::Good, format!("{:<ids$}", probe.id)),
            (Tone::Plain, format!("{:<families$}", family.name)),
            (Tone::Plain, format!("{:<titles$}", probe.title)),
            (Tone::Plain, format!("[{}]", layers.join(" "))),
        ]);
    }
}

/// Prints the report.
pub(super) fn print(report: &Report<'_>, matrix: &Matrix<'_>, out: &mut Output) {
    table(report, out);
    for finding in report.with(&["escaped", "hollow", "unclear"]) {
        urgent(finding, report, out);
    }
    for finding in report.with(&["granted"]) {
        let text = format!("{}, {}", finding.probe.id, finding.probe.title);
        entry("granted", &text, finding.verdict.reason().unwrap_or_default(), out);
    }
    for (reason, findings) in report.skipped() {
        let ids: Vec<_> = findings.iter().map(|finding| finding.probe.id).collect();
        let mut lines = wrapped(&ids).into_iter();
        entry("skipped", &lines.next().unwrap_or_default(), "", out);
        lines.for_each(|line| out.line(&indented(&line)));
        out.line(&indented(reason));
    }
    for danger in &report.header.dangers {
        let text = format!("{} danger: {}, {}", danger.grade, danger.place, danger.cause);
        let hint = &danger.hint;
        let hint = if hint.is_empty() { String::new() } else { format!("hint: {hint}") };
        entry("given away", &text, &hint, out);
    }
    if report.header.matrix {
        walls(matrix, out);
    }
    let totals = report.totals();
    let tone = match (totals.is_fine(), totals.escaped, totals.denied) {
        (true, _, 1..) => Tone::Good,
        (true, ..) | (false, 0, _) => Tone::Warning,
        (false, ..) => Tone::Bad,
    };
    out.cells(&[(tone, report.sentence())]);
}

fn tone(verdict: &str, count: usize) -> Tone {
    match (verdict, count) {
        (_, 0) => Tone::Plain,
        ("denied", _) => Tone::Good,
        ("escaped", _) => Tone::Bad,
        ("hollow" | "unclear", _) => Tone::Warning,
        (_, _) => Tone::Plain,
    }
}

/// Counts by family.
fn table(report: &Report<'_>, out: &mut Output) {
    let chapters = report.chapters();
    let width = chapters.iter().map(|chapter| chapter.family.name.len()).max().unwrap_or(0);
    let width = width.max(FIRST);
    let header = MEANINGS.iter().map(|(name, _)| (Tone::Plain, format!("{name:>8}")));
    let first =
        [(Tone::Plain, format!("{:<width$}", "")), (Tone::Plain, format!("{:>8}", "probes"))];
    out.cells(&first.into_iter().chain(header).collect::<Vec<_>>());
    let mut line = |name: &str, counts: Counts| {
        let first = [format!("{name:<width$}"), format!("{:>8}", counts.probes)];
        let first = first.map(|text| (Tone::Plain, text)).into_iter();
        let numbers = counts.named().into_iter();
        let numbers = numbers.map(|(name, count)| (tone(name, count), format!("{count:>8}")));
        out.cells(&first.chain(numbers).collect::<Vec<_>>());
    };
    for chapter in &chapters {
        line(chapter.family.name, chapter.counts);
    }
    if chapters.len() > 1 {
        line("all", report.totals());
    }
}

/// A finding that needs a look, with what to do.
fn urgent(finding: &Finding, report: &Report<'_>, out: &mut Output) {
    let name = finding.verdict.name();
    let word = name.to_uppercase();
    let tone =
        if matches!(finding.verdict, Verdict::Escaped(_)) { Tone::Bad } else { Tone::Warning };
    let text = format!("{}, {}", finding.probe.id, finding.probe.title);
    out.cells(&[(tone, format!("{word:<FIRST$}")), (Tone::Plain, text)]);
    out.line(&indented(finding.verdict.reason().unwrap_or_default()));
    let hint = advice(finding, report.header);
    if !hint.is_empty() {
        out.line(&indented(&format!("hint: {hint}")));
    }
}

fn entry(word: &str, text: &str, reason: &str, out: &mut Output) {
    out.cells(&[(Tone::Plain, format!("{word:<FIRST$}")), (Tone::Plain, text.to_owned())]);
    if !reason.is_empty() {
        out.line(&indented(reason));
    }
}

fn indented(text: &str) -> String {
    format!("{:FIRST$} {text}", "")
}

/// `ids` with commas, in lines that fit a terminal.
fn wrapped(ids: &[&str]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (index, id) in ids.iter().enumerate() {
        let comma = if index + 1 < ids.len() { "," } else { "" };
        let full = |line: &String| line.len() + id.len() + 2 > WIDTH - FIRST;
        if lines.last().is_some_and(|line| !line.is_empty() && full(line)) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(id);
            line.push_str(comma);
        }
    }
    lines
}

/// What each wall alone stops.
fn walls(matrix: &Matrix<'_>, out: &mut Output) {
    for layer in &matrix.layers {
        let count = matrix.stopped_by(*layer).count();
        let ids: Vec<_> = matrix.stopped_only_by(*layer).map(|row| row.finding.probe.id).collect();
        let tone = if ids.is_empty() { Tone::Plain } else { Tone::Good };
        let sole = match ids.len() {
            0 => String::new(),
            number => format!(", {number} of them no other does:"),
        };
        let name = (tone, format!("{:<18}", Layer::name(*layer)));
        let text = match matrix.was_tried(*layer) {
            true => format!("alone stops {count}{sole}"),
            false => "does not stand here".to_owned(),
        };
        out.cells(&[name, (Tone::Plain, text)]);
        if !ids.is_empty() {
            wrapped(&ids).iter().for_each(|line| out.line(&format!("{:18} {line}", "")));
        }
    }
    let idle = matrix.nothing_depends_on();
    if !idle.is_empty() {
        let names: Vec<_> = idle.into_iter().map(Wall::name).collect();
        out.line("without any one of these every probe would still be stopped by another wall:");
        wrapped(&names).iter().for_each(|line| out.line(&format!("{:18} {line}", "")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ids_fit_a_terminal() {
        let ids = vec!["FS-01.secret"; 20];
        let lines = wrapped(&ids);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDTH - FIRST));
        assert_eq!(lines.join(" ").split(", ").count(), 20);
        assert_eq!(wrapped(&["a", "b"]), ["a, b"]);
    }
}
