//! Bytes on their way, and a bound.
//!
//! Decides: how much room is left. Must never: grow beyond its bound but for one answer of the filter
//! that completes a sequence (see [`super::Relay`]).

#![forbid(unsafe_code)]

/// Bytes that were taken from one side and not yet given to the other.
#[derive(Debug)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    sent: usize,
    bound: usize,
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        Self { bytes: Vec::new(), sent: 0, bound }
    }

    /// How many more bytes it should take.
    pub(super) fn room(&self) -> usize {
        self.bound.saturating_sub(self.unsent().len())
    }

    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent().is_empty()
    }

    /// The first `count` unsent bytes are gone.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.bytes.len());
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Where new bytes are appended. What was sent is given up first, so the space is used again.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.sent);
        self.sent = 0;
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_and_make_room() {
        let mut queue = Queue::new(8);
        queue.end().extend_from_slice(b"abcdef");
        assert_eq!(queue.room(), 2);
        queue.advance(4);
        queue.end().extend_from_slice(b"gh");
        assert_eq!((queue.unsent(), queue.room()), (b"efgh".as_slice(), 4));
        queue.advance(100);
        assert!(queue.is_empty());
        assert_eq!(queue.room(), 8);
    }

    #[test]
    fn a_queue_beyond_its_bound_has_no_room() {
        let mut queue = Queue::new(2);
        queue.end().extend_from_slice(b"abc");
        assert_eq!(queue.room(), 0);
    }
}
