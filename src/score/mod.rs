//! What a profile gives up, as a number.
//!
//! Decides: which points a profile is graded by, what each one lost costs, and the grade of what is
//! dangerous. Never does: ask what this host can do, read a file, or print.
//!
//! Before: a checked [`Profile`] and the data of its [`Policy`]. After: `cellblock check --score` prints
//! it, and `verify` may tell its [`findings`].
//!
//! Exposures add up, so that one way out is enough to be unsafe however much else is kept, and so that
//! giving up one thing more never lowers the sum. What the command line takes away is not the
//! profile's, and a host that can stand a wall stands it also where the profile could do without: the
//! score is that of the worst host on which the profile starts.
//!
//! Does not judge: what is in the trees that are shown, or whether the agent needs what it is given.

#![forbid(unsafe_code)]

mod agent;
mod beyond;
mod calls;
mod environment;
mod filesystem;
mod limits;
mod places;
mod protect;
mod scale;
#[cfg(test)]
mod tests;
mod walls;

pub use scale::{Exposure, Grade, Word};

use crate::document::{Place, Problem};
use crate::policy::seccomp::Policy;
use crate::profile::Profile;
use crate::profile::types::Network;

/// How a profile is graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The profile's name.
    pub profile: String,
    /// Every point, kept or lost, in the order of the manual.
    pub points: Vec<Point>,
}

impl Score {
    /// The sum of what every point costs, at most [`Exposure::MOST`].
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        self.points.iter().map(Point::exposure).sum()
    }

    /// Every loss with its point, the dearest first.
    #[must_use]
    pub fn losses(&self) -> Vec<(&Point, &Loss)> {
        let of_point = |point| Point::losses(point).iter().map(move |loss| (point, loss));
        let mut losses: Vec<_> = self.points.iter().flat_map(of_point).collect();
        losses.sort_by_key(|(_, loss)| std::cmp::Reverse(loss.exposure));
        losses
    }
}

/// Something that a profile can keep or give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The table of the profile, and for lists the key: `limits`, `enforcement.without`.
    pub group: &'static str,
    /// The key in it, or what stands in the list: `memory`, `user`.
    pub key: &'static str,
    /// What it keeps, as a clause.
    pub meaning: &'static str,
    /// What it costs at most, however much of it is given up.
    pub most: Exposure,
    losses: Vec<Loss>,
}

/// One thing given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What it costs.
    pub exposure: Exposure,
    /// Where it stands, what follows from it, and what to write to gain it back.
    pub problem: Problem,
}

impl Loss {
    /// How dangerous it is, if it is.
    #[must_use]
    pub fn grade(&self) -> Option<Grade> {
        Grade::of(self.exposure)
    }
}

impl Point {
    /// A point of which nothing is lost yet, and that costs `most` tenths at most.
    fn new(group: &'static str, key: &'static str, meaning: &'static str, most: u16) -> Self {
        Self { group, key, meaning, most: Exposure::tenths(most), losses: Vec::new() }
    }

    /// Its name: stable.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.group, self.key)
    }

    /// What of it is given up.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// Whether nothing of it is given up.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.losses.is_empty()
    }

    /// What it costs.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        self.losses.iter().map(|loss| loss.exposure).sum::<Exposure>().min(self.most)
    }

    /// Loses `tenths`; nothing where that is none.
    fn lose(&mut self, tenths: u16, place: &Place, cause: impl Into<String>, hint: &str) {
        if tenths > 0 {
            let problem = Problem::new(place, cause, hint);
            self.losses.push(Loss { exposure: Exposure::tenths(tenths), problem });
        }
    }

    /// Loses what the profile does not say anything about, and which therefore stands nowhere.
    fn lose_unset(&mut self, tenths: u16, profile: &Profile, cause: &str, hint: &str) {
        let place = Place::outside(&profile.name, &self.name());
        self.lose(tenths, &place, cause, hint);
    }
}

/// Grades `profile`, whose system call policy is `policy`.
#[must_use]
pub fn score(profile: &Profile, policy: &Policy) -> Score {
    let mut points = agent::points(profile);
    points.extend(environment::points(profile));
    points.extend(filesystem::points(profile));
    points.push(network(profile));
    points.extend(limits::points(profile));
    points.extend(calls::points(profile, policy));
    points.push(terminal(profile));
    points.extend(walls::points(profile));
    Score { profile: profile.name.clone(), points }
}

/// A loss that is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'s> {
    /// How much.
    pub grade: Grade,
    /// The point it belongs to.
    pub point: &'s Point,
    /// What is given up.
    pub loss: &'s Loss,
}

/// The dangerous losses of `score`, the worst first.
#[must_use]
pub fn findings(score: &Score) -> Vec<Finding<'_>> {
    let graded = score.losses().into_iter();
    graded
        .filter_map(|(point, loss)| loss.grade().map(|grade| Finding { grade, point, loss }))
        .collect()
}

/// What listens on a host trusts whoever is on it, and data leaves by it.
const HOSTS_NETWORK: u16 = 25;
/// Those whom its rules name get what the agent gives them.
const ALLOWLIST: u16 = 3;
/// Its processes can reach each other anyway; the kernel's network code comes within reach.
const LOOPBACK: u16 = 1;

fn network(profile: &Profile) -> Point {
    let mode = &profile.network;
    let mut point = Point::new("network", "mode", "no network but one of its own", HOSTS_NETWORK);
    let (tenths, cause) = match mode.value {
        Network::None => (0, ""),
        Network::Loopback => {
            (LOOPBACK, "is `loopback`: servers in the jail, on a network of its own")
        }
        Network::Allowlist => {
            (ALLOWLIST, "is `allowlist`: data can leave to those that its rules name")
        }
        Network::Host => (
            HOSTS_NETWORK,
            "is `host`: everything that listens on this host or its networks can be reached, and data \
             can leave",
        ),
    };
    point.lose(tenths, &mode.place, cause, "mode = \"none\"");
    point
}

fn terminal(profile: &Profile) -> Point {
    let own = &profile.terminal.own_config;
    let mut point =
        Point::new("terminal", "own_config", "tmux obeys the shipped configuration alone", 1);
    // The agent could replace its tmux server anyway; with this it need not even run for it.
    let cause = "is true: what an earlier agent left in ~/.tmux.conf runs in the session";
    point.lose(u16::from(own.value), &own.place, cause, "own_config = false");
    point
}
