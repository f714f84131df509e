//! How far a run is, for who waits for it.

use crate::cli::output::Output;
use crate::verify::campaign;
use std::time::{Duration, Instant};

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// A line that is replaced.
    Line,
    /// A line for each family.
    Families,
    /// Not at all.
    Silent,
}

/// The progress of one run.
#[derive(Debug)]
pub(super) struct Progress<'o> {
    out: &'o mut Output,
    manner: Manner,
    started: Instant,
    family: &'static str,
}

impl<'o> Progress<'o> {
    /// Tells it by `out`; who reads only the report is not disturbed.
    pub(super) fn new(out: &'o mut Output, for_programs: bool) -> Self {
        // What is traced stands on lines of its own.
        let traced = tracing::enabled!(tracing::Level::DEBUG);
        let manner = match (out.has_passing_line() && !traced, for_programs) {
            (true, _) => Manner::Line,
            (false, true) => Manner::Silent,
            (false, false) => Manner::Families,
        };
        Self { out, manner, started: Instant::now(), family: "" }
    }

    /// Tells that an attempt begins.
    pub(super) fn tell(&mut self, at: &campaign::Progress) {
        match self.manner {
            Manner::Silent => {}
            Manner::Families if self.family == at.family.name => {}
            Manner::Families => {
                self.family = at.family.name;
                let elapsed = whole(self.started.elapsed());
                self.out.error_text(&format!(
                    "{}/{} attempts, {elapsed}: {} ({})",
                    at.made, at.all, at.family.name, at.family.title
                ));
            }
            Manner::Line => self.out.pass(&line(at, self.started.elapsed())),
        }
    }

    /// Takes the line away.
    pub(super) fn end(self) {
        if self.manner == Manner::Line {
            self.out.pass("");
        }
    }
}

fn line(at: &campaign::Progress, elapsed: Duration) -> String {
    let left = u32::try_from(at.made).ok().filter(|made| *made > 0).map(|made| {
        let rest = u32::try_from(at.all.saturating_sub(at.made)).unwrap_or(u32::MAX);
        elapsed.saturating_mul(rest) / made
    });
    let left = left.map_or(String::new(), |left| format!(", about {} left", whole(left)));
    let (family, id, setting) = (at.family.name, at.probe.id, at.setting);
    format!("{}/{} attempts, {}{left}: {family}, {id}, {setting}", at.made, at.all, whole(elapsed))
}

/// Whole minutes and seconds.
fn whole(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::battery;
    use crate::verify::setting::Setting;

    #[test]
    fn what_is_left_is_reckoned_from_what_was_made() {
        let (family, probe) = battery::all().next().unwrap();
        let at =
            |made| campaign::Progress { made, all: 400, family, probe, setting: Setting::Full };
        let at_last = line(&at(100), Duration::from_secs(30));
        assert!(
            at_last.starts_with("100/400 attempts, 30 s, about 1 min 30 s left: "),
            "{at_last}"
        );
        let at_first = line(&at(0), Duration::ZERO);
        assert!(at_first.starts_with("0/400 attempts, 0 s: "), "{at_first}");
    }
}
