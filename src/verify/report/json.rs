//! The report for programs.
//!
//! # The fields
//!
//! Field names are stable; a field may be added, and [`SCHEMA`] is raised where one changes its meaning.
//!
//! - `schema`: 1
//! - `cellblock`, `profile`, `kernel`, `machine`, `landlock_abi` (null without Landlock), `date` (RFC 3339),
//!   `seconds`, `peer` (`bwrap`, `firejail`, `none` or null), `without` (names of walls), `only` (the names
//!   given), `every_wall` (whether every wall was tried with every probe)
//! - `fine`: whether nothing escaped, was hollow or unclear; `sentence`: the run in words
//! - `walls`: for each wall `wall`, `state` (`stands`, `without`, `not-in-kernel`, `not-set`,
//!   `cannot-stand`) and `detail` where there is something to say
//! - `dangers`: what the profile gives away by itself, each with `grade` (`low`, `medium`, `high`), `place`,
//!   `cause` and `hint`
//! - `totals` and, for each of `families` with `name` and `title`, `counts`: `probes`, `denied`, `escaped`,
//!   `hollow`, `unclear`, `granted`, `skipped`
//! - `probes`, in the order of the run: `id`, `family`, `title`, `attack`, `source`, `verdict` (one of the names
//!   in `counts`), `reason` (null where denied), `advice` (null where there is nothing to do), `seconds`,
//!   `claims` (each with `layer`, `answers`, and `landlock_abi`, 0 for other layers), `attempts` (each with
//!   `setting`, `outcome`, one of `stopped`, `through`, `not-here` and `unclear`, and `detail`)
//! - `matrix`: `layers` (names), `rows` (each with `id`, `counts`, `cells` in the order of `layers`, and `sole`,
//!   the one layer that stops it, or null), `alone` (for each `layer` the ids that it `stops`, and as `sole` those
//!   that no other stops), `nothing_depends_on` (names of walls)
//!
//! A cell is `stops`, `beneath` (stopped by the uid or by what the wall rests on), `lets-through`, `absent`,
//! `unclear` or `not-made`. Where `every_wall` is false only the walls that a probe claims were tried, and
//! `sole` and `nothing_depends_on` rest on the claims. With a `peer` the matrix is empty.

use super::{Cell, Counts, Danger, Finding, Layer, Matrix, Outcome, Report, advice};
use crate::plan::WallPlan;
use crate::verify::setting::Peer;
use serde::Serialize;

/// The version of the fields.
pub const SCHEMA: u32 = 1;

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: u32,
    cellblock: &'a str,
    profile: &'a str,
    kernel: &'a str,
    machine: &'a str,
    landlock_abi: Option<u32>,
    date: &'a str,
    seconds: f64,
    peer: Option<&'static str>,
    without: Vec<&'static str>,
    only: &'a [String],
    every_wall: bool,
    fine: bool,
    sentence: String,
    walls: Vec<Wall<'a>>,
    dangers: &'a [Danger],
    totals: Counts,
    families: Vec<Family>,
    probes: Vec<Probe<'a>>,
    matrix: Table<'a>,
}

#[derive(Debug, Serialize)]
struct Wall<'a> {
    wall: &'static str,
    #[serde(flatten)]
    state: &'a crate::plan::WallState,
}

#[derive(Debug, Serialize)]
struct Family {
    name: &'static str,
    title: &'static str,
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct Probe<'a> {
    id: &'static str,
    family: &'static str,
    title: &'static str,
    attack: &'static str,
    source: &'static str,
    verdict: &'static str,
    reason: Option<&'a str>,
    advice: Option<String>,
    seconds: f64,
    claims: Vec<Claim>,
    attempts: Vec<Attempt<'a>>,
}

#[derive(Debug, Serialize)]
struct Claim {
    layer: &'static str,
    answers: Vec<String>,
    landlock_abi: u32,
}

#[derive(Debug, Serialize)]
struct Attempt<'a> {
    setting: String,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

#[derive(Debug, Serialize)]
struct Table<'a> {
    layers: Vec<&'static str>,
    rows: Vec<Row<'a>>,
    alone: Vec<Alone>,
    nothing_depends_on: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'static str,
    counts: bool,
    cells: &'a [Cell],
    sole: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Alone {
    layer: &'static str,
    stops: Vec<&'static str>,
    sole: Vec<&'static str>,
}

/// `report` with its matrix, as a document.
#[must_use]
pub fn document<'a>(report: &Report<'a>, matrix: &'a Matrix<'a>) -> Document<'a> {
    let header = report.header;
    let totals = report.totals();
    let families = report.chapters().into_iter().map(|chapter| {
        let (name, title) = (chapter.family.name, chapter.family.title);
        Family { name, title, counts: chapter.counts }
    });
    Document {
        schema: SCHEMA,
        cellblock: &header.version,
        profile: &header.profile,
        kernel: &header.kernel,
        machine: &header.machine,
        landlock_abi: header.landlock_abi,
        date: &header.date,
        seconds: header.took.as_secs_f64(),
        peer: header.peer.map(Peer::name),
        without: header.without.iter().map(|wall| wall.name()).collect(),
        only: &header.only,
        every_wall: header.matrix,
        fine: totals.is_fine(),
        sentence: report.sentence(),
        walls: header.walls.iter().map(wall).collect(),
        dangers: &header.dangers,
        totals,
        families: families.collect(),
        probes: report.findings.iter().map(|finding| probe(finding, report)).collect(),
        matrix: table(matrix),
    }
}

fn wall(plan: &WallPlan) -> Wall<'_> {
    Wall { wall: plan.wall.name(), state: &plan.state }
}

fn probe<'a>(finding: &'a Finding, report: &Report<'_>) -> Probe<'a> {
    let Finding { family, probe, cells, verdict, took } = finding;
    let claims = probe.claims.iter().map(|claim| Claim {
        layer: claim.layer.name(),
        answers: claim.answers.iter().map(ToString::to_string).collect(),
        landlock_abi: claim.abi,
    });
    let attempts =
        cells.iter().map(|(setting, outcome)| Attempt { setting: setting.to_string(), outcome });
    Probe {
        id: probe.id,
        family: family.name,
        title: probe.title,
        attack: probe.attack,
        source: probe.source,
        verdict: verdict.name(),
        reason: verdict.reason(),
        advice: Some(advice(finding, report.header)).filter(|advice| !advice.is_empty()),
        seconds: took.as_secs_f64(),
        claims: claims.collect(),
        attempts: attempts.collect(),
    }
}

fn table<'a>(matrix: &'a Matrix<'a>) -> Table<'a> {
    let rows = matrix.rows.iter().map(|row| Row {
        id: row.finding.probe.id,
        counts: row.counts,
        cells: &row.cells,
        sole: row.sole.map(Layer::name),
    });
    let alone = matrix.layers.iter().map(|layer| Alone {
        layer: layer.name(),
        stops: matrix.stopped_by(*layer).map(|row| row.finding.probe.id).collect(),
        sole: matrix.stopped_only_by(*layer).map(|row| row.finding.probe.id).collect(),
    });
    Table {
        layers: matrix.layers.iter().map(|layer| layer.name()).collect(),
        rows: rows.collect(),
        alone: alone.collect(),
        nothing_depends_on: matrix.nothing_depends_on().iter().map(|wall| wall.name()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NASTY, findings, header};
    use super::*;

    #[test]
    fn what_is_written_can_be_read_back() {
        let (header, findings) = (header(), findings());
        let report = Report { header: &header, findings: &findings };
        let matrix = Matrix::new(&report);
        let text = serde_json::to_string(&document(&report, &matrix)).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((read["schema"].as_u64(), read["fine"].as_bool()), (Some(1), Some(false)));
        assert_eq!(read["probes"].as_array().unwrap().len(), findings.len());
        assert_eq!(read["totals"]["denied"], 4);
        assert_eq!(read["families"][1]["counts"]["skipped"], 2);
        assert_eq!(read["walls"].as_array().unwrap().len(), header.walls.len());
        let seccomp = read["walls"].as_array().unwrap().iter().find(|it| it["wall"] == "seccomp");
        assert_eq!(seccomp.unwrap()["state"], "without");
        let unclear =
            read["probes"].as_array().unwrap().iter().find(|it| it["id"] == "XX-03.unclear");
        assert_eq!(unclear.unwrap()["reason"], NASTY);
        assert_eq!(read["probes"][0]["attempts"][1]["setting"], "only mount");
        assert_eq!(read["probes"][0]["attempts"][1]["detail"], "ENOENT");
        assert_eq!(read["probes"][0]["reason"], serde_json::Value::Null);
        let layers = read["matrix"]["layers"].as_array().unwrap();
        for row in read["matrix"]["rows"].as_array().unwrap() {
            assert_eq!(row["cells"].as_array().unwrap().len(), layers.len());
        }
        assert_eq!(read["matrix"]["layers"].as_array().unwrap().len(), matrix.layers.len());
    }

    #[test]
    fn every_field_is_in_the_manual_above() {
        let (header, findings) = (header(), findings());
        let report = Report { header: &header, findings: &findings };
        let matrix = Matrix::new(&report);
        let read = serde_json::to_value(document(&report, &matrix)).unwrap();
        let source = include_str!("json.rs");
        let manual: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
        let mut waiting = vec![&read];
        while let Some(value) = waiting.pop() {
            for (key, value) in value.as_object().into_iter().flatten() {
                assert!(manual.contains(&format!("`{key}`")), "{key}");
                waiting.push(value);
            }
            waiting.extend(value.as_array().into_iter().flatten());
        }
    }
}
