//! Which wall stops what alone: probes × layers.
//!
//! A wall is credited only with its own doing. Beneath every wall the agent's uid still stands, and
//! some walls rest on others ([`footing`]): what these stop already is not the wall's. Both are told
//! apart by the attempts with them alone, as far as those were made; where both stop it, the wall keeps
//! the credit only if it is said to and gives an answer of its own.

use super::{Finding, Layer, Outcome, Report, Setting, Verdict, Wall};
use crate::verify::judge;
use crate::verify::setting::footing;
use serde::Serialize;

/// What a layer alone does to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// It stops it.
    Stops,
    /// It is stopped by what is beneath the layer: the uid, or the wall that it rests on.
    Beneath,
    /// It lets it through.
    LetsThrough,
    /// The layer does not exist here, or the profile does not ask for it.
    Absent,
    /// The attempt shows nothing.
    Unclear,
    /// No attempt was made.
    NotMade,
}

impl Cell {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Stops, Self::Beneath, Self::LetsThrough, Self::Absent, Self::Unclear, Self::NotMade];

    /// What it means, for a legend.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Stops => "this wall alone stops it",
            Self::Beneath => "stopped, but by what is beneath this wall: the uid, or its footing",
            Self::LetsThrough => "this wall alone lets it through",
            Self::Absent => "the wall does not stand here",
            Self::Unclear => "shows nothing",
            Self::NotMade => "not tried",
        }
    }

    /// A sign for where there are only letters.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Stops => "●",
            Self::Beneath => "○",
            Self::LetsThrough => "·",
            Self::Absent => "–",
            Self::Unclear => "?",
            Self::NotMade => "",
        }
    }
}

/// One probe behind each layer alone.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// What became of the probe.
    pub finding: &'a Finding,
    /// What each layer does, in the order of [`Matrix::layers`].
    pub cells: Vec<Cell>,
    /// Whether the row says anything: the attack works without a jail, and the profile does not grant it.
    pub counts: bool,
    /// The one layer that stops it, if there is only one.
    pub sole: Option<Layer>,
}

/// Probes × layers.
#[derive(Clone, Debug)]
pub struct Matrix<'a> {
    /// The columns.
    pub layers: Vec<Layer>,
    /// The rows, in the order of the run.
    pub rows: Vec<Row<'a>>,
}

impl<'a> Matrix<'a> {
    /// The matrix of `report`; it has a column for each layer with which an attempt was made.
    #[must_use]
    pub fn new(report: &Report<'a>) -> Self {
        let made = |layer: &Layer| {
            let setting = Setting::Only(*layer);
            report.findings.iter().any(|finding| finding.cell(setting).is_some())
        };
        let layers: Vec<Layer> = Layer::all().filter(made).collect();
        let rows = report.findings.iter().map(|finding| row(finding, &layers)).collect();
        Self { layers, rows }
    }

    /// The rows that `layer` stops, by its own doing.
    pub fn stopped_by(&self, layer: Layer) -> impl Iterator<Item = &Row<'a>> {
        let column = self.layers.iter().position(|known| *known == layer);
        let stops = move |row: &&Row<'a>| {
            row.counts && column.is_some_and(|column| row.cells[column] == Cell::Stops)
        };
        self.rows.iter().filter(stops)
    }

    /// The rows that `layer` stops and no other.
    pub fn stopped_only_by(&self, layer: Layer) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(move |row| row.sole == Some(layer))
    }

    /// Walls that were tried and without which every probe would still be stopped. What rests on a wall
    /// goes with it.
    #[must_use]
    pub fn nothing_depends_on(&self) -> Vec<Wall> {
        let walls = self.layers.iter().filter_map(|layer| match layer {
            Layer::Wall(wall) if self.was_tried(*layer) => Some(*wall),
            Layer::Wall(_) | Layer::Uid | Layer::Launcher | Layer::Relay => None,
        });
        walls.filter(|wall| !self.rows.iter().any(|row| self.depends(row, *wall))).collect()
    }

    /// Whether nothing would stop the probe of `row` if `wall` were away.
    fn depends(&self, row: &Row<'_>, wall: Wall) -> bool {
        let goes = |layer: &Layer| match layer {
            Layer::Wall(other) => *other == wall || footing(*other).contains(&wall),
            Layer::Uid | Layer::Launcher | Layer::Relay => false,
        };
        let stopping = self.layers.iter().zip(&row.cells);
        let mut stopping = stopping.filter(|(_, cell)| **cell == Cell::Stops).peekable();
        row.counts && stopping.peek().is_some() && stopping.all(|(layer, _)| goes(layer))
    }

    /// Whether `layer` stood alone in any attempt that shows something.
    #[must_use]
    pub fn was_tried(&self, layer: Layer) -> bool {
        let column = self.layers.iter().position(|known| *known == layer);
        let tried = |cell| matches!(cell, Cell::Stops | Cell::Beneath | Cell::LetsThrough);
        column.is_some_and(|column| self.rows.iter().any(|row| tried(row.cells[column])))
    }
}

fn row<'a>(finding: &'a Finding, layers: &[Layer]) -> Row<'a> {
    let cells: Vec<Cell> = layers.iter().map(|layer| cell(finding, *layer)).collect();
    let works = finding.cell(Setting::Control) == Some(&Outcome::Through);
    let counts = works && !matches!(finding.verdict, Verdict::Granted(_) | Verdict::Skipped(_));
    let mut stopping = layers.iter().zip(&cells).filter(|(_, cell)| **cell == Cell::Stops);
    let sole = match (stopping.next(), stopping.next()) {
        (Some((layer, _)), None) if counts => Some(*layer),
        (_, _) => None,
    };
    Row { finding, cells, counts, sole }
}

fn cell(finding: &Finding, layer: Layer) -> Cell {
    match finding.cell(Setting::Only(layer)) {
        Some(Outcome::Stopped(said)) if is_own_doing(finding, layer, said) => Cell::Stops,
        Some(Outcome::Stopped(_)) => Cell::Beneath,
        Some(Outcome::Through) => Cell::LetsThrough,
        Some(Outcome::NotHere(_)) => Cell::Absent,
        Some(Outcome::Unclear(_)) => Cell::Unclear,
        None => Cell::NotMade,
    }
}

/// Whether `layer`, behind which alone the probe was stopped with `said`, is what stopped it.
fn is_own_doing(finding: &Finding, layer: Layer, said: &str) -> bool {
    let stopped = |layer: Layer| match finding.cell(Setting::Only(layer)) {
        Some(Outcome::Stopped(said)) => Some(said.as_str()),
        Some(Outcome::Through | Outcome::NotHere(_) | Outcome::Unclear(_)) | None => None,
    };
    let claim = finding.probe.claim(layer);
    let claims_cgroup = finding.probe.claim(Layer::Wall(Wall::Cgroup)).is_some();
    match layer {
        // What no option takes away is there with every wall, and so is the cgroup, but for one.
        Layer::Uid | Layer::Launcher | Layer::Relay => claim.is_some() || !claims_cgroup,
        // The same jail as with the uid alone: only the claim tells them apart.
        Layer::Wall(Wall::Cgroup) => claim.is_some(),
        Layer::Wall(wall) => {
            // With these a cgroup sees to the jail's end, but not with the pid namespace alone.
            let fixed = Layer::FIXED.into_iter().filter(|_| wall != Wall::Pid || !claims_cgroup);
            let beneath = footing(wall).iter().map(|wall| Layer::Wall(*wall));
            let mut beneath = beneath.chain(fixed).filter_map(stopped).peekable();
            let nothing = beneath.peek().is_none();
            let of_its_own = claim.is_some_and(|claim| judge::is_expected([claim], said));
            nothing || (of_its_own && beneath.all(|beneath| beneath != said))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, header, made};
    use super::*;

    fn cells(id: &str) -> Vec<(Layer, Cell)> {
        let (header, findings) = (header(), findings());
        let matrix = Matrix::new(&Report { header: &header, findings: &findings });
        let row = matrix.rows.iter().find(|row| row.finding.probe.id == id).unwrap();
        matrix.layers.iter().copied().zip(row.cells.iter().copied()).collect()
    }

    fn cell_of(id: &str, layer: Layer) -> Cell {
        cells(id).into_iter().find(|(known, _)| *known == layer).unwrap().1
    }

    #[test]
    fn a_wall_has_the_credit_for_its_own_doing_alone() {
        assert_eq!(cell_of("FS-01.secret", Layer::Wall(Wall::Mount)), Cell::Stops);
        assert_eq!(cell_of("FS-01.secret", Layer::Wall(Wall::Network)), Cell::LetsThrough);
        assert_eq!(cell_of("FS-01.secret", Layer::Wall(Wall::Disk)), Cell::Absent);
        assert_eq!(cell_of("FS-02.open", Layer::Wall(Wall::Network)), Cell::NotMade);
        // The uid says EACCES to it, whatever else stands.
        assert_eq!(cell_of("FS-24.mem", Layer::Uid), Cell::Stops);
        assert_eq!(cell_of("FS-24.mem", Layer::Wall(Wall::Landlock)), Cell::Beneath);
        assert_eq!(cell_of("FS-24.mem", Layer::Wall(Wall::Network)), Cell::Beneath);
        // This wall is said to stop it, and says something else.
        assert_eq!(cell_of("FS-24.mem", Layer::Wall(Wall::Mount)), Cell::Stops);
        // What its footing stops is not the filter's doing.
        assert_eq!(cell_of("FS-28.suid", Layer::Wall(Wall::NoNewPrivs)), Cell::Stops);
        assert_eq!(cell_of("FS-28.suid", Layer::Wall(Wall::Seccomp)), Cell::Beneath);
    }

    #[test]
    fn the_cgroup_is_told_from_the_uid_by_the_claim() {
        let both = |claims: &'static [super::super::testing::Claimed]| {
            let stops = [Layer::Wall(Wall::Cgroup), Layer::Uid];
            let finding = made(claims, &stops, "EPERM");
            stops.map(|layer| cell(&finding, layer))
        };
        assert_eq!(both(&[(Layer::Uid, "EPERM")]), [Cell::Beneath, Cell::Stops]);
        let cgroup = &[(Layer::Wall(Wall::Cgroup), "EPERM")];
        assert_eq!(both(cgroup), [Cell::Stops, Cell::Beneath]);
        // What a cgroup beside the uid ends, and a pid namespace without a cgroup.
        let claims = &[(Layer::Wall(Wall::Cgroup), "EPERM"), (Layer::Wall(Wall::Pid), "EPERM")];
        let stops = [Layer::Wall(Wall::Cgroup), Layer::Wall(Wall::Pid), Layer::Uid];
        let finding = made(claims, &stops, "EPERM");
        let cells = stops.map(|layer| cell(&finding, layer));
        assert_eq!(cells, [Cell::Stops, Cell::Stops, Cell::Beneath]);
    }

    #[test]
    fn who_alone_stops_what_and_on_whom_nothing_depends() {
        let (header, findings) = (header(), findings());
        let matrix = Matrix::new(&Report { header: &header, findings: &findings });
        let ids = |layer| {
            let rows = matrix.stopped_only_by(layer);
            rows.map(|row| row.finding.probe.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(Layer::Wall(Wall::NoNewPrivs)), ["FS-28.suid"]);
        assert_eq!(ids(Layer::Wall(Wall::Mount)), ["XX-02.hollow"]);
        assert_eq!(ids(Layer::Wall(Wall::Landlock)), [""; 0]);
        let mount = matrix.stopped_by(Layer::Wall(Wall::Mount));
        let mount: Vec<_> = mount.map(|row| row.finding.probe.id).collect();
        assert!(mount.starts_with(&["FS-01.secret", "FS-02.open", "FS-24.mem"]), "{mount:?}");
        // The disk's wall does not stand: nobody can say what depends on it.
        let idle = matrix.nothing_depends_on();
        assert!(idle.contains(&Wall::Landlock) && !idle.contains(&Wall::NoNewPrivs), "{idle:?}");
        assert!(!idle.contains(&Wall::Disk), "{idle:?}");
        // The filter rests on it, and nothing else stops what the filter stops.
        let claims = &[(Layer::Wall(Wall::Seccomp), "EPERM")];
        let privileges = Layer::Wall(Wall::NoNewPrivs);
        let mut resting = made(claims, &[Layer::Wall(Wall::Seccomp)], "EPERM");
        resting.cells.push((Setting::Only(privileges), Outcome::Through));
        let only = [resting];
        let report = Report { header: &header, findings: &only };
        assert_eq!(Matrix::new(&report).nothing_depends_on(), []);
        // What was skipped or granted says nothing.
        let silent = matrix.rows.iter().filter(|row| !row.counts);
        let silent: Vec<_> = silent.map(|row| row.finding.verdict.name()).collect();
        assert_eq!(silent, ["granted", "skipped", "skipped"]);
    }
}
