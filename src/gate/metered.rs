//! A stream whose bytes count.

use super::state::{End, Gate};
use crate::egress::refusal::Refusal;
use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection to the world. Where the agent has sent and received all that it may, the jail's own connection is told to
/// end, too.
pub(super) struct Metered {
    stream: TcpStream,
    gate: Rc<Gate>,
    end: Rc<End>,
}

impl Metered {
    pub(super) fn new(stream: TcpStream, gate: Rc<Gate>, end: Rc<End>) -> Self {
        Self { stream, gate, end }
    }

    fn spend(&self, sent: usize, received: usize) -> Result<(), Error> {
        self.gate.spend(sent as u64, received as u64).map_err(|refusal: Refusal| {
            let error = Error::other(refusal.to_string());
            self.end.now(refusal);
            error
        })
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        Poll::Ready(this.spend(0, into.filled().len() - before))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        Poll::Ready(this.spend(count, 0).map(|()| count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices))?;
        Poll::Ready(this.spend(count, 0).map(|()| count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
