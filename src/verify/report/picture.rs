//! The matrix as a picture: an SVG that stands in a page and takes its colours from it.
//!
//! Every sign has a shape of its own, and every cell says in words what it means.

use super::matrix::Row;
use super::{Cell, Chapter, Layer, Matrix, Outcome, Report, Setting, Wall, shown, told};
use crate::verify::probe::Probe;
use maud::{Markup, html};

/// Width of the column with the names of probes.
const LABEL: usize = 150;
/// Width of a column, of its sign with the space around it.
const COLUMN: usize = 17;
/// Height of a row.
const ROW: usize = 19;
/// Height of the names of layers above each family, and of the family's own name.
const HEAD: usize = 158;
/// Width of the column with the verdicts.
const VERDICT: usize = 72;
/// What a letter of a probe's name takes at the most.
const LETTER: usize = 9;

/// What is drawn in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// As the matrix says.
    Plain(Cell),
    /// The wall stops it, and no other does.
    Sole,
    /// The wall is said to stop it, and lets it through.
    Hollow,
}

impl Mark {
    /// All of them, in the order of the legend.
    pub(super) const ALL: [Self; 8] = [
        Self::Plain(Cell::Stops),
        Self::Sole,
        Self::Plain(Cell::Beneath),
        Self::Plain(Cell::LetsThrough),
        Self::Hollow,
        Self::Plain(Cell::Absent),
        Self::Plain(Cell::Unclear),
        Self::Plain(Cell::NotMade),
    ];

    fn id(self) -> &'static str {
        match self {
            Self::Sole => "m-sole",
            Self::Hollow => "m-hollow",
            Self::Plain(Cell::Stops) => "m-stops",
            Self::Plain(Cell::Beneath) => "m-beneath",
            Self::Plain(Cell::LetsThrough) => "m-through",
            Self::Plain(Cell::Absent) => "m-absent",
            Self::Plain(Cell::Unclear) => "m-unclear",
            Self::Plain(Cell::NotMade) => "m-none",
        }
    }

    /// What it means, for the legend.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Plain(cell) => cell.meaning(),
            Self::Sole => "this wall alone stops it, and nothing else does",
            Self::Hollow => "this wall is said to stop it, and lets it through",
        }
    }
}

/// What is drawn for `cell` of `probe` behind `layer`.
fn mark(cell: Cell, layer: Layer, sole: Option<Layer>, probe: &Probe) -> Mark {
    if sole == Some(layer) {
        Mark::Sole
    } else if cell == Cell::LetsThrough && probe.claim(layer).is_some() {
        Mark::Hollow
    } else {
        Mark::Plain(cell)
    }
}

/// A sign by itself, for the legend.
pub(super) fn sign(mark: Mark) -> Markup {
    html! {
        svg.sign viewBox="0 0 17 19" width="17" height="19" aria-hidden="true" {
            use href={ "#" (mark.id()) } {}
        }
    }
}

/// The picture of `matrix`: one drawing for each family, so that paper is cut between them.
pub(super) fn picture(report: &Report<'_>, matrix: &Matrix<'_>) -> Markup {
    let longest = report.findings.iter().map(|it| it.probe.id.len() * LETTER + 8).max();
    let label = longest.unwrap_or(0).max(LABEL);
    html! {
        svg width="0" height="0" aria-hidden="true" { (marks()) }
        @for chapter in report.chapters() { (drawing(&chapter, matrix, label)) }
    }
}

/// The rows of one family; the names of its probes have `label` to stand in.
fn drawing(chapter: &Chapter<'_>, matrix: &Matrix<'_>, label: usize) -> Markup {
    let (family, end) = (chapter.family, label + matrix.layers.len() * COLUMN + 6);
    let (width, height) = (end + VERDICT, HEAD + chapter.findings.len() * ROW + 2);
    let own = matrix.rows.iter().filter(|row| row.finding.family.name == family.name);
    let (title, text) = (format!("matrix-{}", family.name), format!("text-{}", family.name));
    html! {
        svg.matrix viewBox={ "0 0 " (width) " " (height) } style={ "max-width:" (width) "px" }
            role="img" aria-labelledby={ (title) " " (text) }
        {
            title id=(title) { (shown(family.title)) ": which wall alone stops which probe" }
            desc id=(text) {
                "A row for each of " (chapter.findings.len()) " probes, a column for each of "
                (matrix.layers.len()) " walls. The same in words stands below, with each probe."
            }
            text.family x="0" y=(HEAD - 8) { (shown(family.name)) }
            @for (column, layer) in matrix.layers.iter().enumerate() {
                @let x = label + column * COLUMN + COLUMN / 2 + 5;
                text.layer transform={ "translate(" (x) " " (HEAD - 8) ") rotate(-90)" } {
                    (layer) title { (purpose(*layer)) }
                }
            }
            @for (index, row) in own.enumerate() {
                (line(row, &matrix.layers, label, HEAD + index * ROW))
            }
        }
    }
}

/// One probe, at the height `y`.
fn line(row: &Row<'_>, layers: &[Layer], label: usize, y: usize) -> Markup {
    let (probe, verdict) = (row.finding.probe, row.finding.verdict.name());
    html! {
        g.row.silent[!row.counts] {
            // The picture is one thing to who does not see it, and the probes below are linked elsewhere.
            a href={ "#" (probe.id) } tabindex="-1" {
                text.probe x="0" y=(y + 14) { (shown(probe.id)) title { (shown(probe.title)) } }
            }
            @for (column, (layer, cell)) in layers.iter().zip(&row.cells).enumerate() {
                @let mark = mark(*cell, *layer, row.sole, probe);
                use.cell href={ "#" (mark.id()) } x=(label + column * COLUMN) y=(y) {
                    title { (words(row.finding.cell(Setting::Only(*layer)), *layer, mark, probe)) }
                }
            }
            text.verdict.(verdict) x=(label + layers.len() * COLUMN + 6) y=(y + 14) { (verdict) }
        }
    }
}

/// What a layer is for.
pub(super) fn purpose(layer: Layer) -> String {
    let purpose = match layer {
        Layer::Wall(wall) => Wall::purpose(wall),
        Layer::Uid => "the agent's own uid, which is there with every wall",
        Layer::Launcher => "the launcher's own care: what it refuses and what it passes on",
        Layer::Relay => "the filter between the jail's terminal and a person's",
    };
    format!("{layer}: {purpose}")
}

fn words(outcome: Option<&Outcome>, layer: Layer, mark: Mark, probe: &Probe) -> String {
    let told = outcome.map_or(String::new(), |outcome| format!(" ({})", told(outcome)));
    shown(&format!("{}, {layer}: {}{told}", probe.id, mark.meaning()))
}

/// The signs, each in a box of 17 × 19.
fn marks() -> Markup {
    html! {
        defs {
            symbol id="m-stops" { rect.tile.stops x="1" y="2" width="15" height="15" rx="3" {}
                path.tick d="M5 9.5l2.6 2.8L12.2 7" {} }
            symbol id="m-sole" { rect.tile.sole x="1" y="2" width="15" height="15" rx="3" {}
                path.star d="M8.5 4.6l1.5 3.2 3.5.4-2.6 2.4.7 3.5-3.1-1.8-3.1 1.8.7-3.5-2.6-2.4 3.5-.4z" {} }
            symbol id="m-beneath" { rect.tile.beneath x="1.75" y="2.75" width="13.5" height="13.5" rx="3" {}
                path.base d="M4.5 12.7h8" {} }
            symbol id="m-through" { rect.tile.quiet x="1" y="2" width="15" height="15" rx="3" {}
                circle.dot cx="8.5" cy="9.5" r="1.5" {} }
            symbol id="m-hollow" { rect.tile.hollow x="1" y="2" width="15" height="15" rx="3" {}
                path.cross d="M5.2 6.2l6.6 6.6m0-6.6l-6.6 6.6" {} }
            symbol id="m-absent" { rect.tile.none x="1" y="2" width="15" height="15" rx="3" {}
                path.dash d="M5.5 9.5h6" {} }
            symbol id="m-unclear" { rect.tile.unclear x="1" y="2" width="15" height="15" rx="3" {}
                path.ask d="M6.3 7.6c0-3 4.6-2.9 4.5 0 0 1.7-2.2 1.7-2.2 3.4m0 2.2v.3" {} }
            symbol id="m-none" { rect.tile.none x="1" y="2" width="15" height="15" rx="3" {} }
        }
    }
}
