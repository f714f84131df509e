//! The report as tables in Markdown, for documentation.

use super::{Cell, Counts, Layer, MEANINGS, Matrix, Report, shown};
use std::fmt::Write as _;

/// The most ids that are listed of each wall.
const MOST_IDS: usize = 12;

/// `report` as text in which every line is one of Markdown.
#[must_use]
pub fn text(report: &Report<'_>) -> String {
    let header = report.header;
    let matrix = Matrix::new(report);
    let mut lines = vec![
        format!("{}.", capital(&shown(&report.sentence()))),
        String::new(),
        format!(
            "cellblock {}, profile `{}`, {}, {}.",
            cell(&header.version),
            shown(&header.profile),
            cell(&header.host()),
            cell(&header.date)
        ),
        String::new(),
    ];
    lines.extend(counts(report));
    if !matrix.layers.is_empty() {
        lines.extend(rows(report, &matrix));
        lines.extend(walls(report, &matrix));
    }
    lines.extend(dangers(report));
    lines.extend(others(report));
    lines.join("\n") + "\n"
}

/// `text` for a cell of a table.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in shown(text).chars() {
        if matches!(c, '|' | '`' | '*' | '_' | '<' | '[' | ']' | '\\' | '&' | '~' | '#') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    let mut line = String::from("|");
    for cell in cells {
        // Into memory: there is nothing that could fail.
        write!(line, " {cell} |").unwrap_or_default();
    }
    line
}

fn table(head: Vec<String>, rows: impl IntoIterator<Item = String>) -> Vec<String> {
    let rule = format!("|{}", "---|".repeat(head.len()));
    let lines = [row(head), rule].into_iter().chain(rows);
    lines.chain([String::new()]).collect()
}

fn counts(report: &Report<'_>) -> Vec<String> {
    let names = MEANINGS.iter().map(|(name, _)| (*name).to_owned());
    let head = ["family", "probes"].into_iter().map(str::to_owned).chain(names).collect();
    let line = |name: String, counts: Counts| {
        let numbers = counts.named().map(|(_, count)| count.to_string());
        row([name, counts.probes.to_string()].into_iter().chain(numbers))
    };
    let families = report.chapters().into_iter().map(|chapter| {
        line(
            format!("{}: {}", cell(chapter.family.name), cell(chapter.family.title)),
            chapter.counts,
        )
    });
    let all = [line("all".to_owned(), report.totals())];
    table(head, families.chain(all))
}

/// The matrix, without the columns that say nothing.
fn rows(report: &Report<'_>, matrix: &Matrix<'_>) -> Vec<String> {
    let says = |column: usize| {
        let quiet = [Cell::LetsThrough, Cell::Absent, Cell::NotMade];
        matrix.rows.iter().any(|row| !quiet.contains(&row.cells[column]))
    };
    let (loud, quiet): (Vec<usize>, Vec<usize>) =
        (0..matrix.layers.len()).partition(|column| says(*column));
    let name = |column: &usize| format!("`{}`", matrix.layers[*column]);
    let mut lines = vec![legend(), String::new()];
    if !quiet.is_empty() {
        let names: Vec<_> = quiet.iter().map(name).collect();
        lines.extend([format!("Stop nothing alone here: {}.", names.join(", ")), String::new()]);
    }
    for chapter in report.chapters() {
        lines.extend([format!("### {}", capital(&cell(chapter.family.title))), String::new()]);
        let head = ["probe", "what is tried"].map(str::to_owned).into_iter();
        let head = head.chain(loud.iter().map(name)).chain(["verdict".to_owned()]).collect();
        let own = matrix.rows.iter();
        let own = own.filter(|row| row.finding.family.name == chapter.family.name);
        let body = own.map(|it| {
            let probe = it.finding.probe;
            let first = [cell(probe.id), cell(probe.title)].into_iter();
            let signs = loud.iter().map(|column| it.cells[*column].sign().to_owned());
            row(first.chain(signs).chain([it.finding.verdict.name().to_owned()]))
        });
        lines.extend(table(head, body));
    }
    lines
}

fn legend() -> String {
    let signs = Cell::ALL.iter().map(|cell| {
        let sign = if cell.sign().is_empty() { "empty" } else { cell.sign() };
        format!("{sign} {}", cell.meaning())
    });
    format!("{}.", signs.collect::<Vec<_>>().join("; "))
}

/// What each wall alone stops.
fn walls(report: &Report<'_>, matrix: &Matrix<'_>) -> Vec<String> {
    let head = ["wall", "stops alone", "nothing else stops"].map(str::to_owned).to_vec();
    let stops = |layer: &Layer| {
        let sole: Vec<_> = matrix.stopped_only_by(*layer).map(|row| row.finding.probe.id).collect();
        let more = sole.len().saturating_sub(MOST_IDS);
        let ids = sole.iter().take(MOST_IDS).map(|id| cell(id)).collect::<Vec<_>>().join(", ");
        let ids = if more > 0 { format!("{ids} and {more} more") } else { ids };
        let count = match matrix.was_tried(*layer) {
            true => matrix.stopped_by(*layer).count().to_string(),
            false => Cell::Absent.sign().to_owned(),
        };
        row([format!("`{layer}`"), count, ids])
    };
    let mut lines = table(head, matrix.layers.iter().map(stops));
    let idle = matrix.nothing_depends_on();
    if !idle.is_empty() && report.header.matrix {
        let names: Vec<_> = idle.iter().map(|wall| format!("`{wall}`")).collect();
        let told = "Without one of these walls every probe would still be stopped by another";
        lines.extend([format!("{told}: {}.", names.join(", ")), String::new()]);
    }
    lines
}

/// What the profile gives away by itself.
fn dangers(report: &Report<'_>) -> Vec<String> {
    if report.header.dangers.is_empty() {
        return Vec::new();
    }
    let head = ["what the profile gives away", "grade", "instead"].map(str::to_owned).to_vec();
    let body = report.header.dangers.iter().map(|danger| {
        let what = format!("{}: {}", danger.place, danger.cause);
        row([cell(&what), danger.grade.to_owned(), cell(&danger.hint)])
    });
    table(head, body)
}

/// Every verdict but those that are as they should be, with its reason.
fn others(report: &Report<'_>) -> Vec<String> {
    let mut rest = report.with(&["escaped", "hollow", "unclear", "granted", "skipped"]).peekable();
    if rest.peek().is_none() {
        return Vec::new();
    }
    let head = ["probe", "verdict", "why"].map(str::to_owned).to_vec();
    let body = rest.map(|finding| {
        let verdict = &finding.verdict;
        let why = cell(verdict.reason().unwrap_or_default());
        row([cell(finding.probe.id), verdict.name().to_owned(), why])
    });
    table(head, body)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, header};
    use super::*;

    #[test]
    fn every_table_is_straight_and_no_text_breaks_one() {
        let (header, findings) = (header(), findings());
        let text = text(&Report { header: &header, findings: &findings });
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
            assert_eq!(columns(pair[0]), columns(pair[1]), "{}\n{}", pair[0], pair[1]);
        }
        assert!(!text.contains("<script") || text.contains("\\<script"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        for finding in &findings {
            assert!(text.contains(&cell(finding.probe.id)), "{}", finding.probe.id);
        }
    }

    #[test]
    fn columns_that_say_nothing_are_named_instead() {
        let (header, findings) = (header(), findings());
        let text = text(&Report { header: &header, findings: &findings });
        assert!(text.contains("Stop nothing alone here: `disk`."), "{text}");
        assert!(text.contains("| probe | what is tried | `mount` |"), "{text}");
        assert!(text.contains("| FS-01.secret | read \\<b>a file\\</b> | ● |"), "{text}");
    }
}
