//! What netlink sockets need beyond safe crates: filters in the kernel, and many messages at once.

use super::result;
use rustix::fd::{AsFd, AsRawFd as _};
use rustix::io::Errno;
use std::mem::{size_of, zeroed};

/// One instruction of a classic BPF program: operation, jumps, operand (linux/filter.h).
pub type Instruction = (u16, u8, u8, u32);

/// Messages that are received at once, at the most.
pub const MOST_AT_ONCE: usize = 64;

/// Has the kernel drop what `program` does not let pass; another one takes its place (socket(7), `SO_ATTACH_FILTER`).
///
/// # Errors
/// The kernel's answer.
pub fn attach_filter(socket: impl AsFd, program: &[Instruction]) -> Result<(), Errno> {
    let mut filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|(code, jt, jf, k)| libc::sock_filter { code: *code, jt: *jt, jf: *jf, k: *k })
        .collect();
    let len = libc::c_ushort::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    let size =
        libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).map_err(|_| Errno::INVAL)?;
    let (fd, value) = (socket.as_fd().as_raw_fd(), std::ptr::from_ref(&program).cast());
    // SAFETY: the kernel copies the program, whose instructions live until the call returns, and keeps no pointer.
    let set =
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, value, size) };
    result(set.into()).map(|_| ())
}

/// Receives messages without waiting, the first `each` bytes of each one after the other into `buffer`: their lengths, and for
/// each whether the kernel itself has sent it (netlink(7): port 0).
///
/// # Errors
/// The kernel's answer; `EAGAIN` where there is none, `ENOBUFS` where some were lost.
pub fn receive_many(
    socket: impl AsFd,
    buffer: &mut [u8],
    each: usize,
) -> Result<Vec<(usize, bool)>, Errno> {
    let count = (buffer.len() / each.max(1)).min(MOST_AT_ONCE);
    // SAFETY: these are structures of numbers and pointers, for which zero is a value.
    let mut names: [libc::sockaddr_nl; MOST_AT_ONCE] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut vectors: [libc::iovec; MOST_AT_ONCE] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; MOST_AT_ONCE] = unsafe { zeroed() };
    let name_size =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_nl>()).map_err(|_| Errno::INVAL)?;
    let chunks = buffer.chunks_exact_mut(each.max(1));
    let slots = headers.iter_mut().zip(&mut vectors).zip(&mut names);
    for (chunk, ((header, vector), name)) in chunks.zip(slots) {
        vector.iov_base = chunk.as_mut_ptr().cast();
        vector.iov_len = chunk.len();
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = name_size;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    let number = libc::c_uint::try_from(count).map_err(|_| Errno::INVAL)?;
    // SAFETY: each of the first `count` headers points to a name, a vector and a part of the buffer of its own, all of which
    // outlive the call.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            number,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let received = usize::try_from(result(received.into())?).map_err(|_| Errno::INVAL)?;
    let told = headers.iter().zip(&names).take(received);
    Ok(told.map(|(header, name)| ((header.msg_len as usize).min(each), name.nl_pid == 0)).collect())
}
