//! Tells the keeper of refusals, without ever waiting for it and without flooding it.

use super::keeper::Keeper;
use super::protocol::Refused;
use super::state::Gate;
use crate::egress::rate::Bucket;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long the same refusal is counted before it is told again.
const WINDOW: Duration = Duration::from_secs(1);

/// The most different refusals that are told at once, and how many more each second; the others are counted. With more, an
/// agent that makes refusals up could have those that count fall out of a file that is bounded.
const MOST: (u32, u32) = (100, 2);

/// Tells refusals: the first of its kind at once, and how often it happened since at the end of the window.
pub(super) struct Teller {
    keeper: Keeper,
    told: RefCell<Vec<Refused>>,
    new: RefCell<Bucket>,
    lost: Cell<u64>,
    begun: Notify,
}

impl Default for Teller {
    fn default() -> Self {
        let new = RefCell::new(Bucket::holding(MOST.0, MOST.1, Instant::now()));
        let (told, lost, begun) = (RefCell::default(), Cell::default(), Notify::new());
        Self { keeper: Keeper::default(), told, new, lost, begun }
    }
}

impl Teller {
    /// Whom it tells.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Refusals that nobody was told of.
    pub(super) fn lost(&self) -> u64 {
        self.lost.get()
    }

    pub(super) fn refused(&self, refused: Refused) {
        let mut told = self.told.borrow_mut();
        let same = |known: &&mut Refused| {
            (&known.to, known.port, &known.word) == (&refused.to, refused.port, &refused.word)
        };
        if let Some(known) = told.iter_mut().find(same) {
            known.times = known.times.saturating_add(1);
            return;
        }
        if !self.new.borrow_mut().take(Instant::now()) {
            self.lost.set(self.lost.get() + 1);
            return;
        }
        self.send(Refused { times: 1, ..refused.clone() });
        told.push(Refused { times: 0, from: None, ..refused });
        self.begun.notify_one();
    }

    fn send(&self, refused: Refused) {
        self.lost.set(self.lost.get() + self.keeper.tell(refused));
    }

    /// Tells what happened again since it was told first.
    fn tell_again(&self) {
        for refused in self.told.take().into_iter().filter(|refused| refused.times > 0) {
            self.send(refused);
        }
    }
}

/// Ends a window after the other. Where nothing is refused, nothing wakes the gate.
pub(super) async fn repeatedly(gate: Rc<Gate>) {
    loop {
        gate.teller.begun.notified().await;
        tokio::time::sleep(WINDOW).await;
        gate.teller.tell_again();
    }
}
