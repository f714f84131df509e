//! What waits for one sink.

use super::super::protocol::Tell;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::Notify;

/// The most alerts that wait for one sink; where there are more, the oldest is given up.
const MOST: usize = 64;

/// A queue of alerts.
#[derive(Default)]
pub(super) struct Queue {
    all: RefCell<VecDeque<Rc<Tell>>>,
    more: Notify,
    /// Whether one is being told.
    busy: Cell<bool>,
}

impl Queue {
    /// Adds one, and gives what is given up for it.
    pub(super) fn put(&self, tell: Rc<Tell>) -> Option<Rc<Tell>> {
        let mut all = self.all.borrow_mut();
        all.push_back(tell);
        self.more.notify_one();
        if all.len() > MOST { all.pop_front() } else { None }
    }

    /// The next one, which is waited for.
    pub(super) async fn next(&self) -> Rc<Tell> {
        loop {
            let first = self.all.borrow_mut().pop_front();
            match first {
                Some(tell) => {
                    self.busy.set(true);
                    return tell;
                }
                None => self.more.notified().await,
            }
        }
    }

    /// The one that was taken is told.
    pub(super) fn rest(&self) {
        self.busy.set(false);
    }

    /// Whether nothing waits, and nothing is being told.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy.get() && self.all.borrow().is_empty()
    }
}
