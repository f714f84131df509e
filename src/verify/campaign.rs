//! Which attempts are made, and what they come to together: pure but for the attempts themselves.

use super::battery;
use super::interrupt;
use super::judge::{self, Outcome};
use super::probe::{Claim, Family, Layer, Post, Probe};
use super::referee::Referee;
use super::setting::{Peer, Setting, footing};
use crate::plan::{Plan, WallState};
use crate::profile::Wall;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Names of families, ids, or ids up to their dot; empty for all.
    pub only: Vec<String>,
    /// Every probe behind every single wall, also those that are not said to stop it.
    pub matrix: bool,
    /// The sandbox of somebody else instead of a jail.
    pub peer: Option<Peer>,
    /// Walls that the command line takes away.
    pub without: Vec<Wall>,
}

impl Wish {
    /// The probes that are asked for.
    ///
    /// # Errors
    /// The first name that means nothing.
    pub fn probes(&self) -> Result<Vec<(&'static Family, &'static Probe)>, String> {
        let means = |name: &str, family: &Family, probe: &Probe| {
            [family.name, probe.id, probe.entry()].contains(&name)
        };
        let unknown = |name: &&String| !battery::all().any(|(f, p)| means(name, f, p));
        if let Some(name) = self.only.iter().find(unknown) {
            return Err(name.clone());
        }
        let wanted = |family: &Family, probe: &Probe| {
            self.only.is_empty() || self.only.iter().any(|name| means(name, family, probe))
        };
        Ok(battery::all().filter(|(family, probe)| wanted(family, probe)).collect())
    }
}

/// The settings in which `probe` is made.
#[must_use]
pub fn settings(probe: &Probe, wish: &Wish) -> Vec<Setting> {
    if let Some(peer) = wish.peer {
        return vec![Setting::Control, Setting::Peer(peer)];
    }
    let layers: Vec<Layer> = if wish.matrix {
        let walls = Wall::ALL.into_iter().map(Layer::Wall);
        // What no option takes away is always there: one column stands for all of it.
        walls.chain([Layer::Uid]).collect()
    } else {
        probe.claims.iter().map(|claim| claim.layer).collect()
    };
    let alone = layers.into_iter().map(Setting::Only);
    let helpers = Post::HELPERS.into_iter().filter(|_| probe.helpers).map(Setting::Helper);
    [Setting::Control].into_iter().chain(alone).chain([Setting::Full]).chain(helpers).collect()
}

/// What a probe comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is stopped; by each of its walls alone, too.
    Denied,
    /// It got out.
    Escaped(String),
    /// The jail stops it, but a wall that is said to stop it alone does not.
    Hollow(String),
    /// It succeeds, and the profile grants it or the kernel has nothing against it.
    Granted(String),
    /// There was nothing to try.
    Skipped(String),
    /// It shows nothing.
    Unclear(String),
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Escaped(_) => "escaped",
            Self::Hollow(_) => "hollow",
            Self::Granted(_) => "granted",
            Self::Skipped(_) => "skipped",
            Self::Unclear(_) => "unclear",
        }
    }

    /// Why; nothing needs to be said where it is denied.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Denied => None,
            Self::Escaped(why)
            | Self::Hollow(why)
            | Self::Granted(why)
            | Self::Skipped(why)
            | Self::Unclear(why) => Some(why),
        }
    }
}

/// What became of one probe.
#[derive(Debug)]
pub struct Finding {
    /// Its family.
    pub family: &'static Family,
    /// The probe.
    pub probe: &'static Probe,
    /// What each attempt came to.
    pub cells: Vec<(Setting, Outcome)>,
    /// What that means.
    pub verdict: Verdict,
    /// How long its attempts took.
    pub took: Duration,
}

/// How far a run has come: an attempt that begins.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Attempts that were made.
    pub made: usize,
    /// Attempts there are.
    pub all: usize,
    /// The family of this one.
    pub family: &'static Family,
    /// Its probe.
    pub probe: &'static Probe,
    /// Its setting.
    pub setting: Setting,
}

/// Why a run gives no findings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CampaignError {
    /// No family, attack or probe has this name.
    #[error("`{}` is no family, attack or probe", .0.escape_debug())]
    Unknown(String),
    /// It was asked to end.
    #[error("ended by a signal after {made} of {all} attempts")]
    Interrupted {
        /// The signal.
        signal: i32,
        /// Attempts that were made.
        made: usize,
        /// Attempts there were to be made.
        all: usize,
    },
}

/// Makes every attempt of `wish` and says before each one how far it is.
///
/// # Errors
/// [`CampaignError`].
pub fn run(
    referee: &Referee<'_>,
    wish: &Wish,
    mut tell: impl FnMut(Progress),
) -> Result<Vec<Finding>, CampaignError> {
    let probes = wish.probes().map_err(CampaignError::Unknown)?;
    let all = probes.iter().map(|(_, probe)| settings(probe, wish).len()).sum();
    let (mut made, mut findings) = (0, Vec::new());
    for (family, probe) in probes {
        let (started, mut cells) = (Instant::now(), Vec::new());
        for setting in settings(probe, wish) {
            tell(Progress { made, all, family, probe, setting });
            let outcome = referee.attempt(probe, setting);
            // What was under way was ended, and shows nothing.
            if let Some(signal) = interrupt::first() {
                return Err(CampaignError::Interrupted { signal, made, all });
            }
            tracing::debug!(probe = probe.id, %setting, ?outcome, "an attempt");
            cells.push((setting, outcome));
            made += 1;
        }
        let verdict = verdict(probe, &cells, wish, Some(referee.plan()));
        findings.push(Finding { family, probe, cells, verdict, took: started.elapsed() });
    }
    Ok(findings)
}

impl Finding {
    /// What the attempt in `setting` came to.
    #[must_use]
    pub fn cell(&self, setting: Setting) -> Option<&Outcome> {
        self.cells.iter().find(|(made, _)| *made == setting).map(|(_, outcome)| outcome)
    }
}

/// What `cells` mean for `probe` in the jail of `plan`.
#[must_use]
pub fn verdict(
    probe: &Probe,
    cells: &[(Setting, Outcome)],
    wish: &Wish,
    plan: Option<&Plan>,
) -> Verdict {
    let cell = |setting| cells.iter().find(|(made, _)| *made == setting).map(|(_, o)| o);
    let is_whole = |setting: Setting| {
        matches!(setting, Setting::Full | Setting::Helper(_))
            || setting == wish.peer.map_or(Setting::Full, Setting::Peer)
    };
    // What got out got out, whatever became of the control.
    let escaped = cells.iter().any(|(setting, it)| is_whole(*setting) && *it == Outcome::Through);
    match cell(Setting::Control) {
        _ if escaped => {}
        Some(Outcome::Through) => {}
        Some(Outcome::Stopped(said)) if said == "SIGKILL" => {
            return Verdict::Unclear("control: the prober ended without a word".to_owned());
        }
        Some(Outcome::Stopped(said)) => {
            return Verdict::Skipped(format!("without a jail it is stopped here, too: {said}"));
        }
        Some(Outcome::NotHere(why)) => return Verdict::Skipped(why.clone()),
        Some(Outcome::Unclear(why)) => return Verdict::Unclear(format!("control: {why}")),
        None => return Verdict::Unclear("no control was made".to_owned()),
    }
    if let Some(peer) = wish.peer {
        return match cell(Setting::Peer(peer)) {
            Some(Outcome::Stopped(_)) => Verdict::Denied,
            Some(Outcome::Through) => Verdict::Escaped("it succeeds".to_owned()),
            Some(Outcome::NotHere(why)) => Verdict::Skipped(why.clone()),
            Some(Outcome::Unclear(why)) => Verdict::Unclear(why.clone()),
            None => Verdict::Unclear("no attempt was made".to_owned()),
        };
    }
    full(probe, cells, wish, plan)
}

/// What a layer that is said to stop an attack is in the jail of a plan.
enum State {
    /// It stands, or was taken away to see what then gets out.
    Counts,
    /// The profile itself does without it.
    GivenUp(String),
    /// This kernel does not have it.
    NotInKernel(String),
}

fn state(claim: &Claim, wish: &Wish, plan: Option<&Plan>) -> State {
    let Layer::Wall(wall) = claim.layer else { return State::Counts };
    let Some(plan) = plan else { return State::Counts };
    if taken(wall, wish) {
        return State::Counts;
    }
    if let Some(why) = (claim.given_up)(plan) {
        return State::GivenUp(why);
    }
    if wall == Wall::Landlock && plan.stands(wall) && plan.landlock.abi < claim.abi {
        let least = claim.abi;
        return State::NotInKernel(format!("`landlock` stops it from its ABI {least} on"));
    }
    let found = plan.walls.iter().find(|plan| plan.wall == wall);
    match found.map(|plan| &plan.state) {
        Some(WallState::Stands(_) | WallState::CannotStand(_)) | None => State::Counts,
        Some(WallState::Without(why)) => State::GivenUp(format!("without `{wall}`: {why}")),
        Some(WallState::NotSet) => State::GivenUp(format!("no limit is set for `{wall}`")),
        Some(WallState::NotInKernel(since)) => State::NotInKernel(format!("`{wall}` {since}")),
    }
}

/// Whether `wall`, or what it rests on, is taken away by the command line.
fn taken(wall: Wall, wish: &Wish) -> bool {
    let gone = |wall: &Wall| wish.without.contains(wall);
    gone(&wall) || footing(wall).iter().any(gone)
}

/// What it means that `probe` gets through the whole jail.
fn through(probe: &Probe, setting: Setting, wish: &Wish, plan: Option<&Plan>) -> Verdict {
    if let Some(why) = plan.and_then(probe.granted) {
        return Verdict::Granted(why);
    }
    let (mut given_up, mut lacking) = (Vec::new(), Vec::new());
    for claim in probe.claims {
        match state(claim, wish, plan) {
            State::Counts => return Verdict::Escaped(format!("{setting}: it succeeds")),
            State::GivenUp(why) => given_up.push(why),
            State::NotInKernel(why) => lacking.push(why),
        }
    }
    if !lacking.is_empty() {
        given_up.push(format!("this kernel lacks what stops it: {}", lacking.join("; ")));
    }
    match given_up.is_empty() {
        false => Verdict::Granted(given_up.join("; ")),
        true => Verdict::Escaped(format!("{setting}: it succeeds")),
    }
}

fn full(probe: &Probe, cells: &[(Setting, Outcome)], wish: &Wish, plan: Option<&Plan>) -> Verdict {
    let whole =
        cells.iter().filter(|(setting, _)| matches!(setting, Setting::Full | Setting::Helper(_)));
    let mut tried = false;
    for (setting, outcome) in whole {
        tried = true;
        match outcome {
            Outcome::Stopped(said) if judge::is_expected(probe.claims, said) => {}
            Outcome::Stopped(said) => {
                let why = format!("{setting}: {said}, which none of its walls says");
                return Verdict::Unclear(why);
            }
            Outcome::Through => return through(probe, *setting, wish, plan),
            // A place that does not exist in this jail is none to attack from.
            Outcome::NotHere(_) if *setting != Setting::Full => {}
            Outcome::NotHere(why) => return Verdict::Skipped(why.clone()),
            Outcome::Unclear(why) => return Verdict::Unclear(format!("{setting}: {why}")),
        }
    }
    if !tried {
        return Verdict::Unclear("no attempt was made".to_owned());
    }
    let counts = |claim: &&Claim| matches!(state(claim, wish, plan), State::Counts);
    let claims = probe.claims.iter().filter(counts).filter(|claim| match claim.layer {
        Layer::Wall(wall) => !claim.beside.iter().chain([&wall]).any(|wall| taken(*wall, wish)),
        Layer::Uid | Layer::Launcher | Layer::Relay => true,
    });
    claims.filter_map(|claim| alone(claim, cells)).next().unwrap_or(Verdict::Denied)
}

/// What is wrong with a layer that is said to stop an attack alone, if something is.
fn alone(claim: &Claim, cells: &[(Setting, Outcome)]) -> Option<Verdict> {
    let layer = claim.layer;
    let cell = cells.iter().find(|(made, _)| *made == Setting::Only(layer));
    match cell.map(|(_, outcome)| outcome) {
        Some(Outcome::Stopped(said)) if judge::is_expected([claim], said) => None,
        Some(Outcome::Stopped(said)) => {
            Some(Verdict::Unclear(format!("`{layer}` alone says {said}, as it should not")))
        }
        Some(Outcome::Through) => Some(Verdict::Hollow(format!("`{layer}` alone lets it through"))),
        Some(Outcome::NotHere(_)) | None => None,
        Some(Outcome::Unclear(why)) => Some(Verdict::Unclear(format!("`{layer}` alone: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Answer, wall};
    use super::*;
    use rustix::io::Errno;

    const PROBE: Probe = Probe {
        claims: &[
            wall(Wall::Mount, &[Answer::Error(Errno::NOENT)]),
            wall(Wall::Seccomp, &[Answer::Error(Errno::PERM)]),
        ],
        ..Probe::NEW
    };
    const MOUNT: Setting = Setting::Only(Layer::Wall(Wall::Mount));
    const SECCOMP: Setting = Setting::Only(Layer::Wall(Wall::Seccomp));

    fn stopped(said: &str) -> Outcome {
        Outcome::Stopped(said.to_owned())
    }

    /// All of them as they should be, but for `changed`.
    fn verdict_with(changed: &[(Setting, Outcome)]) -> Verdict {
        let mut cells = vec![
            (Setting::Control, Outcome::Through),
            (MOUNT, stopped("ENOENT")),
            (SECCOMP, stopped("EPERM")),
            (Setting::Full, stopped("EPERM")),
            (Setting::Helper(Post::Init), stopped("ENOENT")),
        ];
        for (setting, outcome) in changed {
            cells.retain(|(made, _)| made != setting);
            cells.push((*setting, outcome.clone()));
        }
        verdict(&PROBE, &cells, &Wish::default(), None)
    }

    #[test]
    fn only_what_every_attempt_bears_out_is_denied() {
        assert_eq!(verdict_with(&[]), Verdict::Denied);
        let name = |setting, outcome| verdict_with(&[(setting, outcome)]).name();
        let unclear = || Outcome::Unclear("no answer".to_owned());
        for (setting, outcome, expected) in [
            (Setting::Control, stopped("ENOSYS"), "skipped"),
            (Setting::Control, unclear(), "unclear"),
            // It died, or somebody ended it.
            (Setting::Control, stopped("SIGKILL"), "unclear"),
            (MOUNT, Outcome::Through, "hollow"),
            (SECCOMP, Outcome::Through, "hollow"),
            // Stopped, but not by that wall.
            (MOUNT, stopped("EPERM"), "unclear"),
            (SECCOMP, unclear(), "unclear"),
            (Setting::Full, Outcome::Through, "escaped"),
            (Setting::Full, stopped("EIO"), "unclear"),
            (Setting::Full, unclear(), "unclear"),
            (Setting::Helper(Post::Init), Outcome::Through, "escaped"),
            (Setting::Helper(Post::Init), Outcome::NotHere("no init".to_owned()), "denied"),
        ] {
            assert_eq!(name(setting, outcome.clone()), expected, "{setting}: {outcome:?}");
        }
    }

    #[test]
    fn no_failed_control_hides_what_got_out() {
        let fails = (Setting::Control, stopped("EPERM"));
        let full = verdict_with(&[fails.clone(), (Setting::Full, Outcome::Through)]);
        assert_eq!(full.name(), "escaped");
        let helper = (Setting::Helper(Post::Init), Outcome::Through);
        assert_eq!(verdict_with(&[fails, helper]).name(), "escaped");
    }

    #[test]
    fn without_a_control_or_an_attempt_nothing_is_shown() {
        let of =
            |cells: &[(Setting, Outcome)]| verdict(&PROBE, cells, &Wish::default(), None).name();
        assert_eq!(of(&[(Setting::Full, stopped("EPERM"))]), "unclear");
        assert_eq!(of(&[(Setting::Control, Outcome::Through)]), "unclear");
    }

    #[test]
    fn a_peer_is_asked_for_nothing_but_to_stop_it() {
        let peer = Setting::Peer(Peer::Bwrap);
        let wish = Wish { peer: Some(Peer::Bwrap), ..Wish::default() };
        let of = |outcome| {
            let cells = [(Setting::Control, Outcome::Through), (peer, outcome)];
            verdict(&PROBE, &cells, &wish, None).name()
        };
        assert_eq!(of(stopped("EIO")), "denied");
        assert_eq!(of(Outcome::Through), "escaped");
        assert_eq!(settings(&PROBE, &wish), [Setting::Control, peer]);
    }

    #[test]
    fn every_claimed_wall_is_tried_and_with_a_matrix_every_wall() {
        let all = settings(&PROBE, &Wish::default());
        assert_eq!(all, [Setting::Control, MOUNT, SECCOMP, Setting::Full]);
        let matrix = settings(&PROBE, &Wish { matrix: true, ..Wish::default() });
        assert_eq!(matrix.len(), Wall::ALL.len() + 3);
    }
}
