//! What a run says: pure, from its findings.
//!
//! Decides: what is counted, what a wall is credited with, and how each format tells it. Never does:
//! print, read or write a file, look at the machine; what is known of the run comes with its [`Header`].
//!
//! Texts in findings may hold what a launcher or a prober said. Formats that a person reads get them
//! made visible ([`crate::terminal::plain`]), and each format escapes them in its own way.

#![forbid(unsafe_code)]

pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod matrix;
pub mod picture;
pub mod sarif;

#[cfg(test)]
mod testing;

pub use matrix::{Cell, Matrix};

use super::campaign::{Finding, Verdict};
use super::judge::{self, Outcome};
use super::probe::{Family, Layer};
use super::setting::{Peer, Setting};
use crate::plan::{WallPlan, WallState};
use crate::profile::Wall;
use crate::terminal::plain::plain_message;
use serde::Serialize;
use std::time::Duration;

/// What is known of a run besides its findings.
#[derive(Clone, Debug)]
pub struct Header {
    /// The profile's name.
    pub profile: String,
    /// Version of cellblock.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// The kind of processor.
    pub machine: String,
    /// Version of Landlock's ABI; none where the kernel has no Landlock.
    pub landlock_abi: Option<u32>,
    /// When the run began, as in RFC 3339.
    pub date: String,
    /// How long it took.
    pub took: Duration,
    /// The walls of the jail and whether they stand.
    pub walls: Vec<WallPlan>,
    /// Walls that the command line took away.
    pub without: Vec<Wall>,
    /// The sandbox of somebody else instead of the jail.
    pub peer: Option<Peer>,
    /// Which probes were asked for, by the names given; empty for all.
    pub only: Vec<String>,
    /// Whether every wall was tried with every probe.
    pub matrix: bool,
    /// What the profile gives away by itself, the worst first; nothing where it is not what is verified.
    pub dangers: Vec<Danger>,
}

/// Something dangerous that a profile grants: no escape, but worth a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Danger {
    /// How dangerous: `low`, `medium`, `high`.
    pub grade: &'static str,
    /// Where it stands.
    pub place: String,
    /// What follows from it, as a clause.
    pub cause: String,
    /// What to write instead.
    pub hint: String,
}

impl Header {
    /// What was verified, in words.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.peer {
            None => format!("the jail of `{}`", self.profile),
            Some(Peer::None) => "the agent's uid alone".to_owned(),
            Some(peer @ (Peer::Bwrap | Peer::Firejail)) => {
                format!("the sandbox `{}`", peer.name())
            }
        }
    }

    /// The host, in words.
    #[must_use]
    pub fn host(&self) -> String {
        let landlock = match self.landlock_abi {
            Some(abi) => format!("Landlock ABI {abi}"),
            None => "no Landlock".to_owned(),
        };
        format!("Linux {} on {}, {landlock}", self.kernel, self.machine)
    }

    /// Why `wall` does not stand in the jail, if so.
    #[must_use]
    pub fn fallen(&self, wall: Wall) -> Option<&str> {
        let state = &self.walls.iter().find(|plan| plan.wall == wall)?.state;
        match state {
            WallState::Stands(_) => None,
            WallState::Without(why) | WallState::NotInKernel(why) | WallState::CannotStand(why) => {
                Some(why)
            }
            WallState::NotSet => Some("the profile sets no such limit"),
        }
    }
}

/// A run: what every format is made from.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What is known of it.
    pub header: &'a Header,
    /// What became of each probe, families one after another.
    pub findings: &'a [Finding],
}

/// How many probes came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub probes: usize,
    /// Stopped, by each of its walls alone, too.
    pub denied: usize,
    /// Got out.
    pub escaped: usize,
    /// Stopped, though not by a wall that is said to.
    pub hollow: usize,
    /// Shows nothing.
    pub unclear: usize,
    /// Allowed by the profile.
    pub granted: usize,
    /// Nothing to try.
    pub skipped: usize,
}

impl Counts {
    /// The counts of `findings`.
    pub fn of<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            counts.probes += 1;
            *match finding.verdict {
                Verdict::Denied => &mut counts.denied,
                Verdict::Escaped(_) => &mut counts.escaped,
                Verdict::Hollow(_) => &mut counts.hollow,
                Verdict::Unclear(_) => &mut counts.unclear,
                Verdict::Granted(_) => &mut counts.granted,
                Verdict::Skipped(_) => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    /// Whether nothing got out, every wall does what it is said to, and every attempt showed something.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.escaped + self.hollow + self.unclear == 0
    }

    /// Each verdict's name and count, in the order in which they are told.
    #[must_use]
    pub fn named(&self) -> [(&'static str, usize); 6] {
        [
            ("denied", self.denied),
            ("escaped", self.escaped),
            ("hollow", self.hollow),
            ("unclear", self.unclear),
            ("granted", self.granted),
            ("skipped", self.skipped),
        ]
    }
}

/// What each verdict means, for who sees one for the first time.
pub const MEANINGS: [(&str, &str); 6] = [
    ("denied", "the jail stops it, and so does every wall alone that is said to"),
    ("escaped", "it succeeded in the jail"),
    ("hollow", "the jail stops it, but a wall that is said to stop it alone does not"),
    (
        "unclear",
        "the attempt shows nothing, or was stopped by an error that none of its walls gives",
    ),
    ("granted", "it succeeded: the profile allows it, or this kernel lacks what stops it"),
    ("skipped", "there is nothing to try: on this host it fails without a jail, too"),
];

/// A family with the findings of its probes.
#[derive(Clone, Debug)]
pub struct Chapter<'a> {
    /// The family.
    pub family: &'static Family,
    /// Its findings.
    pub findings: Vec<&'a Finding>,
    /// Their counts.
    pub counts: Counts,
}

impl<'a> Report<'a> {
    /// Counts of all probes.
    #[must_use]
    pub fn totals(&self) -> Counts {
        Counts::of(self.findings)
    }

    /// The findings by family, in the order of the run.
    #[must_use]
    pub fn chapters(&self) -> Vec<Chapter<'a>> {
        let mut chapters: Vec<Chapter<'a>> = Vec::new();
        for finding in self.findings {
            match chapters.iter_mut().find(|known| known.family.name == finding.family.name) {
                Some(chapter) => chapter.findings.push(finding),
                None => chapters.push(Chapter {
                    family: finding.family,
                    findings: vec![finding],
                    counts: Counts::default(),
                }),
            }
        }
        for chapter in &mut chapters {
            chapter.counts = Counts::of(chapter.findings.iter().copied());
        }
        chapters
    }

    /// The findings with these verdicts, one verdict after another.
    pub fn with<'n>(&self, names: &'n [&str]) -> impl Iterator<Item = &'a Finding> + use<'a, 'n> {
        let findings = self.findings;
        let of = |name: &'n &str| findings.iter().filter(move |it| it.verdict.name() == *name);
        names.iter().flat_map(of)
    }

    /// The findings of probes that were skipped, by reason, in the order of the run.
    #[must_use]
    pub fn skipped(&self) -> Vec<(&'a str, Vec<&'a Finding>)> {
        let mut reasons: Vec<(&str, Vec<&Finding>)> = Vec::new();
        for finding in self.with(&["skipped"]) {
            let reason = finding.verdict.reason().unwrap_or_default();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, findings)) => findings.push(finding),
                None => reasons.push((reason, vec![finding])),
            }
        }
        reasons
    }

    /// The whole run in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let counts = self.totals();
        let subject = self.header.subject();
        let shown = counts.denied + counts.escaped + counts.hollow + counts.unclear;
        let of = format!("{} of {}", counts.denied, many(shown, "probe"));
        if counts.escaped > 0 {
            return format!("{} got out of {subject}", many(counts.escaped, "probe"));
        }
        if counts.hollow > 0 {
            let hollow = many(counts.hollow, "probe");
            return format!("nothing got out of {subject}, but {hollow} met a hollow wall");
        }
        if counts.unclear > 0 {
            let unclear = many(counts.unclear, "probe");
            return format!("nothing got out of {subject}, but {unclear} showed nothing");
        }
        if counts.denied == 0 {
            return format!("nothing was shown about {subject}: there was nothing to try");
        }
        if self.header.peer.is_some() {
            return format!("nothing got out of {subject}: {of} denied");
        }
        format!(
            "nothing got out of {subject}: {of} denied, each also by every single wall here that is \
             said to stop it"
        )
    }
}

/// `count` things.
fn many(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// What to do about a finding that is not fine; empty where there is nothing to do.
#[must_use]
pub fn advice(finding: &Finding, header: &Header) -> String {
    match &finding.verdict {
        Verdict::Escaped(_) if header.peer.is_some() => String::new(),
        Verdict::Escaped(_) => {
            let claims = finding.probe.claims.iter();
            let fallen: Vec<_> = claims
                .filter_map(|claim| match claim.layer {
                    Layer::Wall(wall) => Some((wall, header.fallen(wall)?)),
                    Layer::Uid | Layer::Launcher | Layer::Relay => None,
                })
                .map(|(wall, why)| format!("`{wall}` does not stand ({why})"))
                .collect();
            if fallen.is_empty() {
                return "every wall that should stop it stands: this is a hole; tell how it is made, \
                        as SECURITY.md says"
                    .to_owned();
            }
            format!("let a wall stand that stops it: {}", fallen.join(", "))
        }
        Verdict::Hollow(_) => {
            "the other walls hold; the one that does not is as good as none: report it, as \
             SECURITY.md says"
                .to_owned()
        }
        Verdict::Unclear(_) => {
            let id = finding.probe.id;
            format!("try it again with `-v --only {id}`; report it if it stays unclear")
        }
        Verdict::Denied | Verdict::Granted(_) | Verdict::Skipped(_) => String::new(),
    }
}

/// What stopped the attempt in the jail, in words: what the kernel said, and the layers that say so.
#[must_use]
pub fn stopped_by(finding: &Finding, setting: Setting) -> Option<(String, Vec<&'static str>)> {
    match finding.cell(setting)? {
        Outcome::Stopped(said) => Some((said.clone(), judge::who_says(finding.probe, said))),
        Outcome::Through | Outcome::NotHere(_) | Outcome::Unclear(_) => None,
    }
}

/// `text` as one line in which nothing is hidden.
fn shown(text: &str) -> String {
    plain_message(text)
}

/// An outcome in a few words.
#[must_use]
pub fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Stopped(said) => format!("stopped: {said}"),
        Outcome::Through => "succeeds".to_owned(),
        Outcome::NotHere(why) => format!("not here: {why}"),
        Outcome::Unclear(why) => format!("unclear: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{findings, header};
    use super::*;

    fn report<'a>(header: &'a Header, findings: &'a [Finding]) -> Report<'a> {
        Report { header, findings }
    }

    #[test]
    fn every_probe_is_counted_once() {
        let (header, findings) = (header(), findings());
        let report = report(&header, &findings);
        let totals = report.totals();
        let sum: usize = totals.named().iter().map(|(_, count)| count).sum();
        assert_eq!((totals.probes, sum), (findings.len(), findings.len()));
        assert!(totals.named().iter().all(|(name, count)| *count > 0 && !name.is_empty()));
        let chapters = report.chapters();
        assert_eq!(chapters.iter().map(|it| it.family.name).collect::<Vec<_>>(), ["files", "odd"]);
        assert_eq!(chapters.iter().map(|it| it.counts.probes).sum::<usize>(), findings.len());
        let names = totals.named().map(|(name, _)| name);
        assert_eq!(names, MEANINGS.map(|(name, _)| name));
    }

    #[test]
    fn what_is_not_fine_says_what_to_do_and_the_sentence_says_the_worst() {
        let (header, findings) = (header(), findings());
        let report = report(&header, &findings);
        assert!(!report.totals().is_fine());
        assert_eq!(report.sentence(), "1 probe got out of the jail of `demo`");
        for finding in report.with(&["escaped", "hollow", "unclear"]) {
            assert!(!advice(finding, &header).is_empty(), "{}", finding.probe.id);
        }
        // The wall that the header says was taken away.
        let escaped = report.with(&["escaped"]).next().unwrap();
        assert!(advice(escaped, &header).contains("`seccomp` does not stand"));
        let fine: Vec<_> =
            findings.into_iter().filter(|it| it.verdict == Verdict::Denied).collect();
        let report = Report { header: &header, findings: &fine };
        assert!(report.sentence().starts_with("nothing got out of the jail of `demo`: 4 of 4"));
    }

    #[test]
    fn skipped_probes_stand_together_by_reason() {
        let (header, findings) = (header(), findings());
        let skipped = report(&header, &findings).skipped();
        let counts: Vec<_> = skipped.iter().map(|(_, findings)| findings.len()).collect();
        assert_eq!(counts, [2]);
    }
}
