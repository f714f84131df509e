//! Tables that fit the terminal.

use crate::terminal::plain::plain_message;
use crate::terminal::size;

/// The columns of a table, the last of which takes what is left of a line and is cut there.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With such headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| plain_message(cell)).collect());
    }

    /// The lines, none longer than `width` where there is one.
    pub(super) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let line = |row: &Vec<String>| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = padded.collect::<Vec<_>>().join("  ").trim_end().to_owned();
            match width {
                Some(width) if line.chars().count() > width => {
                    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
                }
                Some(_) | None => line,
            }
        };
        self.rows.iter().map(line).collect()
    }
}

/// The width of the terminal on standard output, if it is one.
pub(super) fn width() -> Option<usize> {
    let size = size::get(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.or_default().columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_no_line_is_too_long() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["a".to_owned(), "running".to_owned()]);
        table.row(vec!["longer\u{1b}".to_owned(), "ended long ago".to_owned()]);
        let lines = table.lines(None);
        assert_eq!(lines[0].find("STATE"), lines[1].find("running"));
        let lines = table.lines(Some(12));
        assert!(lines.iter().all(|line| line.chars().count() <= 12), "{lines:?}");
        assert!(!lines.concat().contains('\u{1b}'));
    }
}
