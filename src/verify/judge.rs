//! What an attempt shows: pure, from what was seen outside.

use super::probe::{Answer, Claim, Evidence, Probe, Stop, errno_name};
use super::watch;
use rustix::io::Errno;
use serde::Serialize;

/// What was seen of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether the jail lived, and if not, why.
    pub alive: Option<Result<(), String>>,
    /// What the prober told; it decides nothing but what a denial is put down to.
    pub told: Option<Result<(), Stop>>,
    /// Whether the evidence was there.
    pub evidence: bool,
    /// What was seen of the watched call.
    pub call: Option<watch::Seen>,
    /// Whether cellblock refused to launch.
    pub refused: bool,
    /// How the attack kept a second agent or the launchers from answering, if it did.
    pub starved: Option<String>,
    /// Whether time ran out.
    pub overdue: bool,
    /// What the launcher said.
    pub words: String,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was stopped; the text says what the kernel said.
    Stopped(String),
    /// It succeeded.
    Through,
    /// There was nothing to try; the text says why.
    NotHere(String),
    /// It shows nothing; the text says why.
    Unclear(String),
}

/// What is seen of `probe`.
#[must_use]
pub fn outcome(probe: &Probe, seen: &Seen) -> Outcome {
    if seen.evidence || seen.starved.is_some() {
        return Outcome::Through;
    }
    if seen.refused {
        return refused(probe, &seen.words);
    }
    match &seen.alive {
        Some(Ok(())) => {}
        Some(Err(why)) => return Outcome::Unclear(format!("the jail did not live: {why}")),
        None => return Outcome::Unclear(format!("the jail did not start: {}", seen.words.trim())),
    }
    if let (Evidence::Answer(entered), Some(call)) = (&probe.evidence, seen.call) {
        return answered(entered, call, seen);
    }
    match &seen.told {
        Some(Err(Stop::Refused(errno))) => Outcome::Stopped(errno_name(*errno)),
        Some(Err(Stop::Broken(why))) => Outcome::Unclear(format!("the attack broke: {why}")),
        Some(Ok(())) => Outcome::Stopped(Answer::NoEffect.to_string()),
        None if seen.overdue => Outcome::Unclear("the attack did not end in time".to_owned()),
        None => match seen.call {
            Some(watch::Seen::Ended(signal)) => {
                Outcome::Stopped(Answer::Signal(signal).to_string())
            }
            Some(_) | None => Outcome::Stopped(Answer::Signal(libc::SIGKILL).to_string()),
        },
    }
}

/// A launch that was refused: for the attack's sake, or for something else.
fn refused(probe: &Probe, words: &str) -> Outcome {
    let names =
        |answer: &&Answer| matches!(answer, Answer::Refused(reason) if words.contains(reason));
    match probe.claims.iter().flat_map(|claim| claim.answers).find(names) {
        Some(answer) => Outcome::Stopped(answer.to_string()),
        None => Outcome::Unclear(format!("the launch was refused, and not for this: {words}")),
    }
}

/// As the watch saw the kernel answer.
fn answered(entered: &[Errno], call: watch::Seen, seen: &Seen) -> Outcome {
    match call {
        watch::Seen::Answer(answer @ ..0) => {
            let number = i32::try_from(-answer).unwrap_or(0);
            if entered.contains(&Errno::from_raw_os_error(number)) {
                return Outcome::Through;
            }
            Outcome::Stopped(errno_name(number))
        }
        watch::Seen::Answer(_) => Outcome::Through,
        watch::Seen::Ended(signal) => Outcome::Stopped(Answer::Signal(signal).to_string()),
        watch::Seen::Early(signal) => {
            let how = Answer::Signal(signal);
            Outcome::Unclear(format!("the prober ended before the call that decides: {how}"))
        }
        // It was stopped on the way to the call.
        watch::Seen::Never => match &seen.told {
            Some(Err(Stop::Refused(errno))) => Outcome::Stopped(errno_name(*errno)),
            Some(Err(Stop::Broken(why))) => Outcome::Unclear(format!("the attack broke: {why}")),
            Some(Ok(())) | None => {
                Outcome::Unclear("the prober never made the call that decides".to_owned())
            }
        },
        watch::Seen::Overdue => Outcome::Unclear("the call did not come back in time".to_owned()),
    }
}

/// Whether `said` is how one of `claims` stops the attack.
#[must_use]
pub fn is_expected<'c>(claims: impl IntoIterator<Item = &'c Claim>, said: &str) -> bool {
    claims.into_iter().flat_map(|claim| claim.answers).any(|answer| answer.to_string() == said)
}

/// The layers that say `said` to the attack.
#[must_use]
pub fn who_says(probe: &Probe, said: &str) -> Vec<&'static str> {
    let says = |claim: &&Claim| claim.answers.iter().any(|answer| answer.to_string() == said);
    probe.claims.iter().filter(says).map(|claim| claim.layer.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Evidence, Layer, layer, wall};
    use super::*;
    use crate::profile::Wall;

    const PERM: &[Answer] = &[Answer::Error(Errno::PERM)];
    const PROBE: Probe = Probe {
        evidence: Evidence::Secret,
        claims: &[
            wall(Wall::Seccomp, PERM),
            layer(Layer::Launcher, &[Answer::Refused("symbolic link")]),
        ],
        ..Probe::NEW
    };
    const WATCHED: Probe = Probe { evidence: Evidence::Answer(&[Errno::BADF]), ..PROBE };

    fn alive() -> Seen {
        Seen { alive: Some(Ok(())), ..Seen::default() }
    }

    fn stopped(said: &str) -> Outcome {
        Outcome::Stopped(said.to_owned())
    }

    fn is_unclear(probe: &Probe, seen: &Seen) -> bool {
        matches!(outcome(probe, seen), Outcome::Unclear(_))
    }

    #[test]
    fn evidence_counts_whatever_else_was_seen() {
        let denied = Some(Err(Stop::Refused(libc::EPERM)));
        let seen = Seen { evidence: true, told: denied, ..Seen::default() };
        assert_eq!(outcome(&PROBE, &seen), Outcome::Through);
        let starving = Seen { starved: Some("the second agent".to_owned()), ..alive() };
        assert_eq!(outcome(&PROBE, &starving), Outcome::Through);
    }

    #[test]
    fn a_jail_that_did_not_live_shows_nothing() {
        let denied = Some(Err(Stop::Refused(libc::EPERM)));
        assert!(is_unclear(&PROBE, &Seen { told: denied.clone(), ..Seen::default() }));
        let dead = Some(Err("no answer".to_owned()));
        assert!(is_unclear(&PROBE, &Seen { alive: dead, told: denied, ..Seen::default() }));
    }

    #[test]
    fn what_the_prober_tells_never_makes_a_success_and_names_a_denial() {
        let told = |told| outcome(&PROBE, &Seen { told: Some(told), ..alive() });
        assert_eq!(told(Ok(())), stopped("no effect"));
        assert_eq!(told(Err(Stop::Refused(libc::EPERM))), stopped("EPERM"));
        assert!(matches!(told(Err(Stop::Broken("no file".to_owned()))), Outcome::Unclear(_)));
        assert_eq!(outcome(&PROBE, &alive()), stopped("SIGKILL"));
        assert!(is_unclear(&PROBE, &Seen { overdue: true, ..alive() }));
    }

    #[test]
    fn a_watched_call_is_judged_by_the_kernels_answer_alone() {
        let lies = Some(Err(Stop::Refused(libc::EPERM)));
        let saw =
            |call| outcome(&WATCHED, &Seen { call: Some(call), told: lies.clone(), ..alive() });
        assert_eq!(saw(watch::Seen::Answer(3)), Outcome::Through);
        assert_eq!(saw(watch::Seen::Answer(0)), Outcome::Through);
        // That error comes from behind the wall.
        assert_eq!(saw(watch::Seen::Answer(-i64::from(libc::EBADF))), Outcome::Through);
        assert_eq!(saw(watch::Seen::Answer(-i64::from(libc::ENOSYS))), stopped("ENOSYS"));
        assert_eq!(saw(watch::Seen::Ended(libc::SIGSYS)), stopped("SIGSYS"));
        assert!(matches!(saw(watch::Seen::Overdue), Outcome::Unclear(_)));
        // Stopped on the way to the call, by its own word; a prober that says it went well is not believed.
        assert_eq!(saw(watch::Seen::Never), stopped("EPERM"));
        let boasts = Seen { call: Some(watch::Seen::Never), told: Some(Ok(())), ..alive() };
        assert!(is_unclear(&WATCHED, &boasts));
    }

    #[test]
    fn a_refusal_counts_for_the_attacks_sake_only() {
        let refused =
            |words: &str| Seen { refused: true, words: words.to_owned(), ..Seen::default() };
        let said = "launch refused: symbolic link";
        assert_eq!(outcome(&PROBE, &refused("`/x` is a symbolic link, which …")), stopped(said));
        assert!(is_expected(PROBE.claims, said) && !is_expected(&PROBE.claims[..1], said));
        assert!(is_unclear(&PROBE, &refused("the project belongs to root")));
        assert_eq!(who_says(&PROBE, "EPERM"), ["seccomp"]);
    }
}
