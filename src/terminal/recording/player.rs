//! What of a recording is shown when.
//!
//! Decides: everything about time: pauses, speed, places to begin at, what keys do. Must never: read a
//! clock, a file or a terminal: it is told what time it is, and says what to do next.
//!
//! Two times count. The recorded time is that of the events. The shown time is the same with every
//! pause cut to the longest that is shown; a seek goes by this one, as else it would end in a pause.

#![forbid(unsafe_code)]

use super::format::{Event, What};
use super::keys::Key;
use std::time::{Duration, Instant};

/// How far one seek goes, in shown time.
pub const SEEK: Duration = Duration::from_secs(10);
/// The speeds that can be reached, in shown seconds a second.
pub const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// How a recording is to be played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// Shown seconds a second; brought into [`SPEEDS`].
    pub speed: f64,
    /// The longest pause that is shown.
    pub idle_limit: Duration,
    /// The recorded time to begin at: all before is shown at once.
    pub at: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read the next event and call [`Player::offer`], or [`Player::no_more`] at the end.
    Read,
    /// Show this now.
    Show(String),
    /// Wait for keys, at most so long where there is a time.
    Wait(Option<Duration>),
    /// Clear the screen, and read from the beginning.
    Rewind,
    /// It is over.
    End,
}

/// Where everything in between is shown at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Recorded(Duration),
    Shown(Duration),
}

/// Output that was read and not shown.
#[derive(Clone, Debug)]
struct Due {
    text: String,
    /// Shown time.
    shown: Duration,
    /// Recorded time.
    recorded: Duration,
}

/// Plays one recording.
#[derive(Clone, Debug)]
pub struct Player {
    speed: f64,
    idle_limit: Duration,
    /// The times of the event read last.
    shown: Duration,
    recorded: Duration,
    next: Option<Due>,
    /// A moment, and the shown time it was at.
    anchor: (Instant, Duration),
    goal: Option<Goal>,
    paused: bool,
    step: bool,
    rewind: bool,
    ended: bool,
    left: bool,
}

impl Player {
    /// A player that begins `now`.
    #[must_use]
    pub fn new(wish: Wish, now: Instant) -> Self {
        Self {
            speed: within(wish.speed),
            idle_limit: wish.idle_limit,
            shown: Duration::ZERO,
            recorded: Duration::ZERO,
            next: None,
            anchor: (now, Duration::ZERO),
            goal: (!wish.at.is_zero()).then_some(Goal::Recorded(wish.at)),
            paused: false,
            step: false,
            rewind: false,
            ended: false,
            left: false,
        }
    }

    /// What to do at `now`. After each answer but [`Decision::Wait`] and [`Decision::End`] it is done and
    /// asked again.
    pub fn decide(&mut self, now: Instant) -> Decision {
        if self.left {
            return Decision::End;
        }
        if std::mem::take(&mut self.rewind) {
            (self.shown, self.recorded) = (Duration::ZERO, Duration::ZERO);
            (self.next, self.ended) = (None, false);
            return Decision::Rewind;
        }
        let Some(next) = &self.next else {
            return if self.ended { Decision::End } else { Decision::Read };
        };
        let (shown, recorded) = (next.shown, next.recorded);
        if let Some(goal) = self.goal {
            let Some(reached) = self.reached(goal, shown, recorded) else { return self.show() };
            (self.goal, self.anchor) = (None, (now, reached));
        }
        if self.paused {
            if !std::mem::take(&mut self.step) {
                return Decision::Wait(None);
            }
            self.anchor = (now, shown);
            return self.show();
        }
        let due = shown.saturating_sub(self.anchor.1);
        let due = Duration::try_from_secs_f64(due.as_secs_f64() / self.speed);
        let passed = now.saturating_duration_since(self.anchor.0);
        // A time beyond all bounds never comes.
        match due.unwrap_or(Duration::MAX).checked_sub(passed) {
            Some(left) if !left.is_zero() => Decision::Wait(Some(left)),
            Some(_) | None => self.show(),
        }
    }

    /// Whether the person wanted to leave.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Takes the event that was read.
    pub fn offer(&mut self, event: Event) {
        self.recorded = self.recorded.saturating_add(event.after);
        self.shown = self.shown.saturating_add(event.after.min(self.idle_limit));
        if let What::Output(text) = event.what {
            self.next = Some(Due { text, shown: self.shown, recorded: self.recorded });
        }
    }

    /// There is nothing more to read.
    pub fn no_more(&mut self) {
        self.ended = true;
    }

    /// The person pressed `key`.
    pub fn press(&mut self, now: Instant, key: Key) {
        let position = self.position(now);
        match key {
            Key::Pause => {
                self.anchor = (now, position);
                self.paused = !self.paused;
            }
            Key::Step => {
                self.anchor = (now, position);
                (self.paused, self.step) = (true, true);
            }
            Key::Faster | Key::Slower => {
                let times = if key == Key::Faster { 2.0 } else { 0.5 };
                self.anchor = (now, position);
                self.speed = within(self.speed * times);
            }
            Key::Forward => self.goal = Some(Goal::Shown(position.saturating_add(SEEK))),
            Key::Back => {
                self.goal = Some(Goal::Shown(position.saturating_sub(SEEK)));
                self.rewind = true;
            }
            Key::Leave => self.left = true,
        }
    }

    /// The shown time at `now`.
    fn position(&self, now: Instant) -> Duration {
        match self.goal {
            Some(Goal::Shown(goal)) => return goal,
            Some(Goal::Recorded(_)) => return self.shown,
            None if self.paused => return self.anchor.1,
            None => {}
        }
        let passed = now.saturating_duration_since(self.anchor.0).as_secs_f64() * self.speed;
        let passed = Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX);
        let position = self.anchor.1.saturating_add(passed);
        // Where the terminal was slow, no further than what it was given.
        self.next.as_ref().map_or(position, |next| position.min(next.shown))
    }

    /// The shown time of `goal`, where what is due at `shown` and `recorded` comes after it.
    fn reached(&self, goal: Goal, shown: Duration, recorded: Duration) -> Option<Duration> {
        match goal {
            Goal::Shown(goal) => (shown > goal).then_some(goal),
            Goal::Recorded(goal) => {
                let before = recorded.checked_sub(goal).filter(|before| !before.is_zero())?;
                Some(shown.saturating_sub(before.min(self.idle_limit)))
            }
        }
    }

    fn show(&mut self) -> Decision {
        self.next.take().map_or(Decision::Read, |next| Decision::Show(next.text))
    }
}

fn within(speed: f64) -> f64 {
    if speed.is_nan() { 1.0 } else { speed.clamp(*SPEEDS.start(), *SPEEDS.end()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs `a`, `b`, `c`… with these pauses before each, in seconds.
    struct Script {
        pauses: Vec<f64>,
        next: usize,
    }

    impl Script {
        /// Does what `player` decides at `now` until it waits or ends.
        fn turn(&mut self, player: &mut Player, now: Instant) -> (String, Decision) {
            let mut shown = String::new();
            loop {
                match player.decide(now) {
                    Decision::Read => match self.pauses.get(self.next) {
                        Some(pause) => {
                            let letter = char::from(b'a' + u8::try_from(self.next).unwrap());
                            self.next += 1;
                            player.offer(Event {
                                after: Duration::from_secs_f64(*pause),
                                what: What::Output(letter.to_string()),
                            });
                        }
                        None => player.no_more(),
                    },
                    Decision::Show(text) => shown.push_str(&text),
                    Decision::Rewind => {
                        self.next = 0;
                        shown.push('|');
                    }
                    decision @ (Decision::Wait(_) | Decision::End) => return (shown, decision),
                }
            }
        }
    }

    fn script(pauses: &[f64]) -> Script {
        Script { pauses: pauses.to_vec(), next: 0 }
    }

    fn wish() -> Wish {
        Wish { speed: 1.0, idle_limit: Duration::from_secs(2), at: Duration::ZERO }
    }

    fn wait(seconds: f64) -> Decision {
        Decision::Wait(Some(Duration::from_secs_f64(seconds)))
    }

    #[test]
    fn each_output_comes_at_its_time_and_no_pause_is_longer_than_the_limit() {
        let (begin, mut script) = (Instant::now(), script(&[0.5, 0.0, 100.0]));
        let mut player = Player::new(wish(), begin);
        let at = |seconds| begin + Duration::from_secs_f64(seconds);
        assert_eq!(script.turn(&mut player, begin), (String::new(), wait(0.5)));
        assert_eq!(script.turn(&mut player, at(0.25)), (String::new(), wait(0.25)));
        assert_eq!(script.turn(&mut player, at(0.5)), ("ab".to_owned(), wait(2.0)));
        assert_eq!(script.turn(&mut player, at(2.5)), ("c".to_owned(), Decision::End));
    }

    #[test]
    fn speed_counts_from_where_it_was_changed() {
        let (begin, mut script) = (Instant::now(), script(&[1.0, 2.0]));
        let mut player = Player::new(Wish { speed: 2.0, ..wish() }, begin);
        let at = |seconds| begin + Duration::from_secs_f64(seconds);
        assert_eq!(script.turn(&mut player, begin), (String::new(), wait(0.5)));
        assert_eq!(script.turn(&mut player, at(0.5)), ("a".to_owned(), wait(1.0)));
        player.press(at(1.0), Key::Slower);
        assert_eq!(script.turn(&mut player, at(1.0)), (String::new(), wait(1.0)));
        player.press(at(1.5), Key::Faster);
        player.press(at(1.5), Key::Faster);
        assert_eq!(script.turn(&mut player, at(1.5)), (String::new(), wait(0.125)));
    }

    #[test]
    fn a_pause_takes_no_time_and_steps_show_one_output_each() {
        let (begin, mut script) = (Instant::now(), script(&[1.0, 1.0, 1.0]));
        let mut player = Player::new(wish(), begin);
        let at = |seconds| begin + Duration::from_secs_f64(seconds);
        script.turn(&mut player, begin);
        player.press(at(0.5), Key::Pause);
        assert_eq!(script.turn(&mut player, at(50.0)), (String::new(), Decision::Wait(None)));
        player.press(at(50.0), Key::Step);
        assert_eq!(script.turn(&mut player, at(50.0)), ("a".to_owned(), Decision::Wait(None)));
        player.press(at(60.0), Key::Pause);
        assert_eq!(script.turn(&mut player, at(60.0)), (String::new(), wait(1.0)));
        player.press(at(60.0), Key::Step);
        assert_eq!(script.turn(&mut player, at(60.0)), ("b".to_owned(), Decision::Wait(None)));
    }

    #[test]
    fn a_place_to_begin_at_is_in_recorded_time() {
        let (begin, mut script) = (Instant::now(), script(&[1.0, 100.0, 1.0]));
        let at = Duration::from_secs(100);
        let mut player = Player::new(Wish { at, ..wish() }, begin);
        // In the long pause, one second before the next output.
        assert_eq!(script.turn(&mut player, begin), ("a".to_owned(), wait(1.0)));
        let mut player = Player::new(Wish { at: Duration::from_secs(999), ..wish() }, begin);
        script.next = 0;
        assert_eq!(script.turn(&mut player, begin), ("abc".to_owned(), Decision::End));
    }

    #[test]
    fn seeking_goes_both_ways_and_adds_up() {
        let (begin, mut script) = (Instant::now(), script(&[1.0; 26]));
        let mut player = Player::new(wish(), begin);
        let at = |seconds| begin + Duration::from_secs_f64(seconds);
        script.turn(&mut player, begin);
        player.press(at(0.5), Key::Forward);
        assert_eq!(script.turn(&mut player, at(0.5)), ("abcdefghij".to_owned(), wait(0.5)));
        player.press(at(0.75), Key::Forward);
        player.press(at(0.75), Key::Back);
        assert_eq!(script.turn(&mut player, at(0.75)), ("|abcdefghij".to_owned(), wait(0.25)));
        player.press(at(0.75), Key::Pause);
        player.press(at(9.0), Key::Back);
        assert_eq!(script.turn(&mut player, at(9.0)), ("|".to_owned(), Decision::Wait(None)));
        player.press(at(9.0), Key::Pause);
        assert_eq!(script.turn(&mut player, at(9.0)), (String::new(), wait(0.25)));
        player.press(at(9.0), Key::Leave);
        assert_eq!(script.turn(&mut player, at(9.0)), (String::new(), Decision::End));
    }

    #[test]
    fn no_speed_and_no_time_is_beyond_it() {
        let begin = Instant::now();
        for speed in [0.0, -1.0, f64::INFINITY, f64::NAN, 1e-300] {
            let longest = super::super::format::LONGEST;
            let mut player = Player::new(Wish { speed, idle_limit: longest, ..wish() }, begin);
            for _ in 0..3 {
                player.offer(Event { after: longest, what: What::Output(String::new()) });
                assert!(matches!(player.decide(begin), Decision::Wait(Some(_))), "{speed}");
            }
            for key in [Key::Slower, Key::Faster, Key::Forward, Key::Back, Key::Pause, Key::Step] {
                player.press(begin + longest, key);
            }
        }
    }
}
