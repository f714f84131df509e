//! Messages between processes of cellblock: JSON, one a datagram, over a pair of sockets that keeps them apart and in order
//! (unix(7), `SOCK_SEQPACKET`).
//!
//! A message may bring descriptors along, and one that is too long for a datagram is a sealed file in memory. What a
//! message may say is for the protocols, as [`crate::jail::protocol`] and [`crate::gate::protocol`].
//!
//! Bounds what it reads; takes nothing for true. Who is on the other side is for the caller to know. Descriptors that nobody
//! here wants are not received: to close what somebody else has made may take as long as they like (socket(7), `SO_LINGER`).

#![forbid(unsafe_code)]

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recv,
    recvmsg, send, sendmsg, socketpair, sockopt,
};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::Arc;

/// The longest message of one datagram, in bytes.
pub const LONGEST: usize = 96 << 10;

/// The longest message in a sealed file, in bytes.
const LONGEST_SEALED: u64 = 16 << 20;

/// The most descriptors of one message: what the kernel takes (unix(7), `SCM_RIGHTS`).
const MOST_DESCRIPTORS: usize = 253;

/// The most messages that are taken from a side that says no more: more than a socket holds. And the most bytes of a stream at
/// once.
const MOST_UNREAD: usize = 1024;
const READ: usize = 16 << 10;

/// Two sockets that are connected.
///
/// # Errors
/// The kernel's answer.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends one message.
///
/// # Errors
/// The kernel's answer; `EPIPE` where the other side is gone.
pub fn say<T: Serialize>(socket: impl AsFd, message: &T) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    send(socket, &bytes, SendFlags::NOSIGNAL).map(|_| ())
}

/// Sends one message to who may not be reading.
///
/// # Errors
/// As [`say`]; `EAGAIN` where the other side has too much unread.
pub fn say_now<T: Serialize>(socket: impl AsFd, message: &T) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    send(socket, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(|_| ())
}

/// Receives one message; `None` where the other side is gone.
///
/// # Errors
/// The kernel's answer, `EPROTO` for what is no message, or `EBADMSG` for one that brings descriptors. That one stays where it
/// is: nothing is heard on this socket any more.
pub fn hear<T: for<'de> Deserialize<'de>>(socket: impl AsFd) -> Result<Option<T>, Errno> {
    hear_by(socket, RecvFlags::empty())
}

/// As [`hear`], without waiting.
///
/// # Errors
/// As [`hear`]; `EAGAIN` where there is none yet.
pub fn hear_now<T: for<'de> Deserialize<'de>>(socket: impl AsFd) -> Result<Option<T>, Errno> {
    hear_by(socket, RecvFlags::DONTWAIT)
}

fn hear_by<T: for<'de> Deserialize<'de>>(
    socket: impl AsFd,
    flags: RecvFlags,
) -> Result<Option<T>, Errno> {
    // The length first: most messages are a few bytes long.
    let (length, brings) = next_unread(&socket, flags)?;
    if brings {
        return Err(Errno::BADMSG);
    }
    let mut buffer = vec![0; length.min(LONGEST)];
    let (count, whole) = recv(socket, &mut buffer[..], flags | RecvFlags::TRUNC)?;
    if count == 0 {
        return Ok(None);
    }
    if whole > count {
        return Err(Errno::PROTO);
    }
    serde_json::from_slice(&buffer[..count]).map(Some).map_err(|_| Errno::PROTO)
}

/// Sends one message and `descriptors` with it, to who may not be reading.
///
/// # Errors
/// As [`say_now`].
pub fn hand<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    send_with(socket, &bytes, descriptors, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn send_with(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<(), Errno> {
    let mut space = vec![MaybeUninit::uninit(); space_for(descriptors.len())];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags).map(|_| ())
}

/// Receives one message and the descriptors that come with it; `None` where the other side is gone.
///
/// # Errors
/// As [`hear_now`].
pub fn take<T: for<'de> Deserialize<'de>>(
    socket: impl AsFd,
) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let peek = RecvFlags::DONTWAIT | RecvFlags::PEEK | RecvFlags::TRUNC;
    let (_, length) = recv(&socket, &mut [0; 1][..], peek)?;
    let mut buffer = vec![0; length.min(LONGEST)];
    let (count, whole, descriptors) =
        receive_with(socket, &mut buffer, MOST_DESCRIPTORS, RecvFlags::DONTWAIT)?;
    if count == 0 {
        return Ok(None);
    }
    if !whole {
        return Err(Errno::PROTO);
    }
    let message = serde_json::from_slice(&buffer[..count]).map_err(|_| Errno::PROTO)?;
    Ok(Some((message, descriptors)))
}

/// Reads one message and leaves it where it is; `None` where the other side is gone.
///
/// # Errors
/// As [`hear_now`].
pub fn look_at<T: for<'de> Deserialize<'de>>(socket: impl AsFd) -> Result<Option<T>, Errno> {
    let (length, _) = next_unread(&socket, RecvFlags::DONTWAIT)?;
    if length > LONGEST {
        return Err(Errno::PROTO);
    }
    let mut buffer = vec![0; length];
    let (count, _) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT | RecvFlags::PEEK)?;
    if count == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&buffer[..count]).map(Some).map_err(|_| Errno::PROTO)
}

/// Whether descriptors come with the next message. They stay where they are: what is not taken nobody here has to close.
///
/// # Errors
/// The kernel's answer; `EAGAIN` where there is no message yet.
pub fn brings_descriptors(socket: impl AsFd) -> Result<bool, Errno> {
    next_unread(socket, RecvFlags::DONTWAIT).map(|(_, brings)| brings)
}

/// Takes the next bytes of a stream, where no descriptors come with them or right after (unix(7), `SOCK_STREAM`); how many, and
/// none where the other side has ended.
///
/// # Errors
/// The kernel's answer; `EAGAIN` where there are none yet, `EBADMSG` where descriptors come with them: those stay where they
/// are, with the bytes.
pub fn read(socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut none = RecvAncillaryBuffer::default();
    let peek = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    let came = recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut none, peek)?;
    if came.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::BADMSG);
    }
    // Exactly those: what comes after them nobody has looked at.
    recv(socket, &mut buffer[..came.bytes], RecvFlags::DONTWAIT).map(|(count, _)| count)
}

/// How long the next message is, and whether more comes with it: without room for that the kernel only tells that there is
/// some (recvmsg(2), `MSG_CTRUNC`).
fn next_unread(socket: impl AsFd, flags: RecvFlags) -> Result<(usize, bool), Errno> {
    let flags = flags | RecvFlags::PEEK | RecvFlags::TRUNC;
    let mut none = RecvAncillaryBuffer::default();
    let came = recvmsg(socket, &mut [IoSliceMut::new(&mut [0; 1])], &mut none, flags)?;
    Ok((came.bytes, came.flags.contains(ReturnFlags::CTRUNC)))
}

/// Has the other side say no more, and takes what it has said, which nobody reads. Whether that was all: descriptors that came
/// are not taken, and who closes `socket` closes them, too.
///
/// # Errors
/// The kernel's answer.
pub fn take_rest(socket: impl AsFd) -> Result<bool, Errno> {
    rustix::net::shutdown(&socket, Shutdown::Read)?;
    for _ in 0..MOST_UNREAD {
        // An end and an empty message look the same, but for this: who sent it is told of a message alone.
        sockopt::set_socket_passcred(&socket, true)?;
        let (_, is_message) = next_unread(&socket, RecvFlags::DONTWAIT)?;
        sockopt::set_socket_passcred(&socket, false)?;
        if !is_message {
            return Ok(true);
        }
        if brings_descriptors(&socket)? {
            return Ok(false);
        }
        recv(&socket, &mut [0; 1][..], RecvFlags::DONTWAIT)?;
    }
    Ok(false)
}

/// As [`take_rest`], of a stream.
///
/// # Errors
/// The kernel's answer.
pub fn read_rest(socket: impl AsFd) -> Result<bool, Errno> {
    rustix::net::shutdown(&socket, Shutdown::Read)?;
    let mut bytes = vec![0; READ];
    for _ in 0..MOST_UNREAD {
        match read(&socket, &mut bytes) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(Errno::BADMSG) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
    Ok(false)
}

/// How many bytes came, whether that was all, and the descriptors.
fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
    most: usize,
    flags: RecvFlags,
) -> Result<(usize, bool, Vec<OwnedFd>), Errno> {
    let mut space = vec![MaybeUninit::uninit(); space_for(most)];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let came = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let whole = !came.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
    Ok((came.bytes, whole, descriptors))
}

/// Sends a message of any length, as a sealed file in memory, and `descriptors` with it. Nobody is waited for.
///
/// # Errors
/// The kernel's answer; `EAGAIN` where the other side has too much unread.
pub fn send_sealed<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[OwnedFd],
) -> Result<(), Errno> {
    let text = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("cellblock-order", flags)?;
    let mut rest = &text[..];
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = &rest[written..];
    }
    fcntl_add_seals(&file, SEALS)?;
    let descriptors: Vec<BorrowedFd<'_>> =
        std::iter::once(&file).chain(descriptors).map(AsFd::as_fd).collect();
    send_with(socket, b"o", &descriptors, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

fn space_for(descriptors: usize) -> usize {
    SendAncillaryMessage::ScmRights(&vec![rustix::stdio::stdin(); descriptors]).size()
}

/// Receives what [`send_sealed`] sends from who is trusted with the descriptors that come along; nothing where the other side
/// is gone.
///
/// # Errors
/// The kernel's answer, or `EPROTO` for what is no such message.
pub fn receive_sealed<T: for<'de> Deserialize<'de>>(
    socket: impl AsFd,
) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let received = receive_with(socket, &mut [0; 1], MOST_DESCRIPTORS, RecvFlags::empty())?;
    let (count, whole, mut descriptors) = received;
    if count == 0 {
        return Ok(None);
    }
    if !whole || descriptors.is_empty() {
        return Err(Errno::PROTO);
    }
    let message = read_sealed(&descriptors.remove(0))?;
    Ok(Some((message, descriptors)))
}

/// The message in a file that cannot change any more.
fn read_sealed<T: for<'de> Deserialize<'de>>(file: &OwnedFd) -> Result<T, Errno> {
    if !fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS)) {
        return Err(Errno::PROTO);
    }
    let length = rustix::fs::fstat(file)?.st_size;
    let length = u64::try_from(length).ok().filter(|length| *length <= LONGEST_SEALED);
    let length = length.ok_or(Errno::PROTO)?;
    let mut text = vec![0; usize::try_from(length).map_err(|_| Errno::PROTO)?];
    let mut filled = 0;
    while filled < text.len() {
        match rustix::io::pread(file, &mut text[filled..], filled as u64)? {
            0 => return Err(Errno::PROTO),
            count => filled += count,
        }
    }
    serde_json::from_slice(&text).map_err(|_| Errno::PROTO)
}

thread_local! {
    /// What was left. It is not closed with the thread either.
    static LEFT: RefCell<ManuallyDrop<Vec<Arc<OwnedFd>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Has nobody close `socket` before this thread takes it from [`left`], or the process ends: the kernel does not let that linger.
pub fn leave(socket: OwnedFd) {
    leave_shared(Arc::new(socket));
}

fn leave_shared(socket: Arc<OwnedFd>) {
    LEFT.with_borrow_mut(|left| left.push(socket));
}

/// What this thread has left since it asked last.
#[must_use]
pub fn left() -> Vec<OwnedFd> {
    let left = LEFT.with_borrow_mut(|left| std::mem::take(&mut **left));
    left.into_iter().filter_map(Arc::into_inner).collect()
}

/// A socket that leads to who has fewer rights than this process. Where they have sent descriptors that nobody took, it is left
/// ([`leave`]) and not closed.
#[derive(Debug)]
pub struct Link(Arc<OwnedFd>);

impl From<OwnedFd> for Link {
    fn from(socket: OwnedFd) -> Self {
        Self(Arc::new(socket))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if take_rest(&*self.0).is_ok_and(|clean| clean) {
            return;
        }
        // The other side hears of the end all the same.
        if let Err(errno) = rustix::net::shutdown(&*self.0, Shutdown::Both) {
            tracing::debug!(%errno, "the other side is gone already");
        }
        leave_shared(Arc::clone(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_and_hears() {
        let (one, other) = pair().unwrap();
        assert_eq!(hear_now::<String>(&other), Err(Errno::AGAIN));
        say(&one, &"a").unwrap();
        say_now(&one, &"b").unwrap();
        assert_eq!(hear::<String>(&other).unwrap().as_deref(), Some("a"));
        assert_eq!(hear_now::<String>(&other).unwrap().as_deref(), Some("b"));
        drop(one);
        assert_eq!(hear::<String>(&other).unwrap(), None);
        assert_eq!(say(&other, &"c"), Err(Errno::PIPE));
    }

    #[test]
    fn what_is_no_message_or_too_long_is_refused() {
        let (one, other) = pair().unwrap();
        send(&one, b"{\"Ended\":7}", SendFlags::empty()).unwrap();
        assert_eq!(hear::<String>(&other), Err(Errno::PROTO));
        let long = format!("\"{}\"", "x".repeat(LONGEST));
        send(&one, long.as_bytes(), SendFlags::empty()).unwrap();
        assert_eq!(hear::<String>(&other), Err(Errno::PROTO));
        send(&one, long.as_bytes(), SendFlags::empty()).unwrap();
        assert_eq!(take::<String>(&other).unwrap_err(), Errno::PROTO);
        send(&one, b"o", SendFlags::empty()).unwrap();
        assert_eq!(receive_sealed::<String>(&other).unwrap_err(), Errno::PROTO);
    }

    #[test]
    fn descriptors_come_along() {
        let (one, other) = pair().unwrap();
        let (near, far) = pair().unwrap();
        hand(&one, &7, &[near.as_fd()]).unwrap();
        drop(near);
        let (number, mut descriptors) = take::<u32>(&other).unwrap().unwrap();
        assert_eq!((number, descriptors.len()), (7, 1));
        say(descriptors.remove(0), &"through").unwrap();
        assert_eq!(hear::<String>(&far).unwrap().as_deref(), Some("through"));
        say(&one, &8).unwrap();
        assert!(matches!(take::<u32>(&other), Ok(Some((8, none))) if none.is_empty()));
        assert_eq!(take::<u32>(&other).unwrap_err(), Errno::AGAIN);
    }

    #[test]
    fn what_brings_descriptors_is_read_without_them() {
        let (one, other) = pair().unwrap();
        assert_eq!(look_at::<u32>(&other), Err(Errno::AGAIN));
        assert_eq!(brings_descriptors(&other), Err(Errno::AGAIN));
        say(&one, &6).unwrap();
        let (end, far) = rustix::pipe::pipe().unwrap();
        hand(&one, &7, &[far.as_fd()]).unwrap();
        drop(far);
        let look = || (look_at::<u32>(&other), brings_descriptors(&other));
        assert_eq!(look(), (Ok(Some(6)), Ok(false)));
        assert_eq!(hear::<u32>(&other), Ok(Some(6)));
        for _ in 0..2 {
            assert_eq!(look(), (Ok(Some(7)), Ok(true)));
        }
        let (_, descriptors) = take::<u32>(&other).unwrap().unwrap();
        rustix::io::write(&descriptors[0], b"x").unwrap();
        assert_eq!(rustix::io::read(end, &mut [0; 2]), Ok(1));
        drop(one);
        assert_eq!(look_at::<u32>(&other), Ok(None));
    }

    #[test]
    fn the_rest_is_taken_but_not_what_brings_descriptors() {
        let (near, _far) = rustix::pipe::pipe().unwrap();
        let empty = |socket: &OwnedFd| {
            assert_eq!(send(socket, b"", SendFlags::empty()), Ok(0));
        };
        let (one, other) = pair().unwrap();
        for _ in 0..3 {
            say(&one, &1).unwrap();
            empty(&one);
        }
        assert_eq!(take_rest(&other), Ok(true));
        assert_eq!(say(&one, &1), Err(Errno::PIPE), "it can say no more");
        say(&other, &2).unwrap();
        assert_eq!(hear::<u32>(&one), Ok(Some(2)), "and hears what it is told");
        // Behind whatever they are.
        let (one, other) = pair().unwrap();
        say(&one, &1).unwrap();
        empty(&one);
        send_with(&one, b"", &[near.as_fd()], SendFlags::empty()).unwrap();
        drop(one);
        assert_eq!(take_rest(&other), Ok(false));
        // However many: a socket holds fewer than are looked at.
        let (one, other) = pair().unwrap();
        while send(&one, b"", SendFlags::DONTWAIT).is_ok() {}
        assert_eq!(take_rest(&other), Ok(true));
    }

    #[test]
    fn descriptors_that_nobody_wants_stay_where_they_are() {
        let (end, sent) = rustix::pipe::pipe().unwrap();
        let (one, other) = pair().unwrap();
        say(&one, &1).unwrap();
        hand(&one, &2, &[sent.as_fd()]).unwrap();
        assert_eq!(hear_now::<u32>(&other), Ok(Some(1)));
        for _ in 0..2 {
            assert_eq!(hear_now::<u32>(&other), Err(Errno::BADMSG));
            assert_eq!(hear::<u32>(&other), Err(Errno::BADMSG));
        }
        drop((one, sent));
        // It is there still: nobody has closed it.
        rustix::io::ioctl_fionbio(&end, true).unwrap();
        assert_eq!(rustix::io::read(&end, &mut [0; 1]), Err(Errno::AGAIN));
        drop(other);
        assert_eq!(rustix::io::read(&end, &mut [0; 1]), Ok(0));
    }

    #[test]
    fn what_is_sent_out_of_band_is_seen_as_all_else_is() {
        let kind = (SocketType::STREAM, SocketFlags::CLOEXEC);
        let (end, sent) = rustix::pipe::pipe().unwrap();
        rustix::io::ioctl_fionbio(&end, true).unwrap();
        for brings in [false, true] {
            let (one, other) = socketpair(AddressFamily::UNIX, kind.0, kind.1, None).unwrap();
            sockopt::set_socket_oobinline(&other, true).unwrap();
            let along = [sent.as_fd()];
            let along = if brings { &along[..] } else { &[] };
            match send_with(&one, b"x", along, SendFlags::OOB) {
                Ok(()) => {}
                // Before Linux 5.15 there is nothing of the kind.
                Err(Errno::OPNOTSUPP) => return,
                Err(errno) => panic!("{errno}"),
            }
            send(&one, b"y", SendFlags::empty()).unwrap();
            let mut bytes = [0; 8];
            if brings {
                assert_eq!(read(&other, &mut bytes), Err(Errno::BADMSG));
                assert_eq!(read_rest(&other), Ok(false));
            } else {
                let counts = (read(&other, &mut bytes), read(&other, &mut bytes[1..]));
                assert!(
                    [(Ok(2), Err(Errno::AGAIN)), (Ok(1), Ok(1))].contains(&counts),
                    "{counts:?}"
                );
                assert_eq!(&bytes[..2], b"xy");
            }
        }
        drop(sent);
    }

    #[test]
    fn a_stream_with_which_descriptors_come_is_not_read() {
        let kind = (SocketType::STREAM, SocketFlags::CLOEXEC);
        let (one, other) = socketpair(AddressFamily::UNIX, kind.0, kind.1, None).unwrap();
        let (_end, sent) = rustix::pipe::pipe().unwrap();
        let mut bytes = [0; 8];
        assert_eq!(read(&other, &mut bytes), Err(Errno::AGAIN));
        send(&one, b"ab", SendFlags::empty()).unwrap();
        send(&one, b"cd", SendFlags::empty()).unwrap();
        assert_eq!(read(&other, &mut bytes[..3]), Ok(3));
        assert_eq!((read(&other, &mut bytes[3..]), &bytes[..4]), (Ok(1), &b"abcd"[..]));
        send(&one, b"e", SendFlags::empty()).unwrap();
        send_with(&one, b"f", &[sent.as_fd()], SendFlags::empty()).unwrap();
        // With the second: the kernel may tell so when the first is looked at.
        assert_eq!(read(&other, &mut bytes), Err(Errno::BADMSG));
        assert_eq!(read_rest(&other), Ok(false));
        let (one, other) = socketpair(AddressFamily::UNIX, kind.0, kind.1, None).unwrap();
        send(&one, b"rest", SendFlags::empty()).unwrap();
        assert_eq!(read_rest(&other), Ok(true));
        assert_eq!(send(&one, b"x", SendFlags::NOSIGNAL), Err(Errno::PIPE));
        drop(one);
        assert_eq!(read(&other, &mut bytes), Ok(0));
    }

    #[test]
    fn a_link_with_descriptors_unread_is_left_and_not_closed() {
        let (end, sent) = rustix::pipe::pipe().unwrap();
        let (one, other) = pair().unwrap();
        let (second, another) = pair().unwrap();
        say(&one, &1).unwrap();
        hand(&second, &2, &[sent.as_fd()]).unwrap();
        drop((Link::from(other), Link::from(another), sent));
        assert_eq!(say(&one, &1), Err(Errno::PIPE), "the first is closed");
        assert_eq!(hear::<u32>(&second), Ok(None), "and so the second seems to be");
        rustix::io::ioctl_fionbio(&end, true).unwrap();
        assert_eq!(rustix::io::read(&end, &mut [0; 1]), Err(Errno::AGAIN));
        assert_eq!(left().len(), 1);
        assert_eq!(rustix::io::read(&end, &mut [0; 1]), Ok(0));
    }

    #[test]
    fn a_file_that_could_still_change_is_not_read() {
        let (one, other) = pair().unwrap();
        let file = memfd_create("x", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::io::write(&file, b"\"text\"").unwrap();
        send_with(&one, b"o", &[file.as_fd()], SendFlags::empty()).unwrap();
        assert_eq!(receive_sealed::<String>(&other).unwrap_err(), Errno::PROTO);
        fcntl_add_seals(&file, SEALS).unwrap();
        send_with(&one, b"o", &[file.as_fd()], SendFlags::empty()).unwrap();
        assert_eq!(receive_sealed::<String>(&other).unwrap().unwrap().0, "text");
    }
}
