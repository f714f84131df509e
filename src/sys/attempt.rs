//! Raw system calls for the escape battery, each announced to whoever traces this process.
//!
//! A probe must be able to make any call with any argument, also by another calling convention. What
//! keeps that sound: pointers are never given as numbers, only as bytes, which are copied into an arena
//! that belongs to nobody else; and calls that rearrange this process's memory are not made at all.

use super::{last_errno, result};
use rustix::io::Errno;
use std::sync::OnceLock;

/// An argument of a raw call.
#[derive(Debug)]
pub enum Argument<'a> {
    /// A number; never an address.
    Number(u64),
    /// The address of a copy of these bytes.
    Bytes(&'a [u8]),
    /// The address of as many bytes as these, copied in before the call and out after it.
    Room(&'a mut [u8]),
    /// The address of a copy of `bytes` in which 8 bytes at each offset of `inner` are the address of a
    /// copy of other bytes.
    Record {
        /// The bytes of the record.
        bytes: &'a [u8],
        /// Where in it addresses stand, and of what.
        inner: &'a [(usize, &'a [u8])],
    },
}

impl From<u64> for Argument<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// How the call enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// As every program of this machine does.
    Native,
    /// By `int 0x80`, with the numbers of i386 (x86_64 only).
    I386,
}

/// Room for one pointer's bytes; whatever the kernel writes beyond them stays inside it.
const SLOT: usize = 64 << 10;
const SLOTS: usize = 16;

/// Calls that change which memory this process has, or what happens to it behind its back: they would
/// make the rest of the program unsound, and no probe needs them.
const UNSOUND: &[libc::c_long] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_pkey_mprotect,
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_shmat,
    libc::SYS_shmdt,
    libc::SYS_remap_file_pages,
    libc::SYS_clone,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_io_submit,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
];

/// The memory that calls are given addresses of, below 4 GiB where the machine has such calls.
fn arena() -> Result<usize, Errno> {
    static ARENA: OnceLock<usize> = OnceLock::new();
    if let Some(start) = ARENA.get() {
        return Ok(*start);
    }
    #[cfg(target_arch = "x86_64")]
    let low = libc::MAP_32BIT;
    #[cfg(not(target_arch = "x86_64"))]
    let low = 0;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | low;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), SLOT * SLOTS, access, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(last_errno());
    }
    Ok(*ARENA.get_or_init(|| start as usize))
}

/// The slots that are in use for one call.
struct Slots {
    start: usize,
    used: usize,
}

impl Slots {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.len() > SLOT || self.used == SLOTS {
            return Err(Errno::TOOBIG);
        }
        let at = self.start + self.used * SLOT;
        self.used += 1;
        // SAFETY: `at` is the start of a slot of SLOT bytes of the arena, which nobody else has, and
        // `bytes` fits.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        Ok(at)
    }

    fn address(&mut self, argument: &Argument<'_>) -> Result<u64, Errno> {
        Ok(match argument {
            Argument::Number(number) => *number,
            Argument::Bytes(bytes) => self.put(bytes)? as u64,
            Argument::Room(room) => self.put(room)? as u64,
            Argument::Record { bytes, inner } => {
                let mut bytes = bytes.to_vec();
                for (offset, pointed) in *inner {
                    let address = self.put(pointed)? as u64;
                    let place = bytes.get_mut(*offset..offset + 8).ok_or(Errno::INVAL)?;
                    place.copy_from_slice(&address.to_ne_bytes());
                }
                self.put(&bytes)? as u64
            }
        })
    }
}

/// Makes system call `number` right after closing a descriptor called `mark`, which does not exist: who
/// traces this process knows by that which call is meant, and reads its answer from the kernel.
///
/// # Errors
/// The kernel's answer; `EINVAL` for a call that would make this process unsound, `E2BIG` for more than
/// 64 KiB or 16 pointers, `ENOSYS` for another convention than the machine has.
pub fn attempt(
    mark: i32,
    entry: Entry,
    number: libc::c_long,
    arguments: &mut [Argument<'_>],
) -> Result<u64, Errno> {
    if entry == Entry::Native && UNSOUND.contains(&number) {
        return Err(Errno::INVAL);
    }
    let mut slots = Slots { start: arena()?, used: 0 };
    let mut words = [0_u64; 6];
    let mut rooms = Vec::new();
    for (word, argument) in words.iter_mut().zip(&mut *arguments) {
        *word = slots.address(argument)?;
        if let Argument::Room(room) = argument {
            rooms.push((usize::try_from(*word).map_err(|_| Errno::OVERFLOW)?, room));
        }
    }
    // SAFETY: `mark` is no descriptor of this process: closing it changes nothing.
    unsafe { libc::syscall(libc::SYS_close, mark) };
    let answer = match entry {
        Entry::Native => native(number, words),
        Entry::I386 => i386(number, words),
    };
    for (at, room) in rooms {
        // SAFETY: `at` is the slot into which `room` was copied; it holds at least as many bytes.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, room.as_mut_ptr(), room.len()) };
    }
    answer
}

fn native(number: libc::c_long, words: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = words;
    // SAFETY: addresses among the arguments are those of slots of the arena, which holds nothing of this
    // program; calls that would change its other memory were sorted out by the caller.
    result(unsafe { libc::syscall(number, a, b, c, d, e, f) }).map(i64::cast_unsigned)
}

/// The call by `int 0x80`: the kernel takes it as one of a 32-bit program.
#[cfg(target_arch = "x86_64")]
fn i386(number: libc::c_long, words: [u64; 6]) -> Result<u64, Errno> {
    let mut answer = number;
    // SAFETY: as for the native call; rbx is the compiler's and is put back, r8 to r11 may be lost in
    // this entry.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) words[0] => _,
            inout("rax") answer,
            in("rcx") words[1],
            in("rdx") words[2],
            in("rsi") words[3],
            in("rdi") words[4],
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    // The answer is 32 bits wide, with its sign in the highest of them.
    let number = (answer << 32) >> 32;
    if (-4095..0).contains(&number) {
        let errno = i32::try_from(-number).unwrap_or(libc::EINVAL);
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(number.cast_unsigned())
}

#[cfg(not(target_arch = "x86_64"))]
fn i386(_number: libc::c_long, _words: [u64; 6]) -> Result<u64, Errno> {
    Err(Errno::NOSYS)
}

/// Makes a child by clone3(2) with `flags` (and nothing shared) right after closing `mark`; the child
/// ends at once. Its pid.
///
/// # Errors
/// The kernel's answer; `EINVAL` for flags that share memory.
pub fn attempt_clone3(mark: i32, flags: u64) -> Result<i32, Errno> {
    let mut arguments = [0_u64; 8];
    arguments[0] = flags;
    arguments[4] = libc::SIGCHLD.cast_unsigned().into();
    let pointer = arguments.as_ptr() as libc::c_long;
    let size = size_of_val(&arguments) as libc::c_long;
    child(mark, flags, libc::SYS_clone3, [pointer, size])
}

/// As [`attempt_clone3`], by clone(2).
///
/// # Errors
/// As there.
pub fn attempt_clone(mark: i32, flags: u64) -> Result<i32, Errno> {
    let all = (flags | u64::from(libc::SIGCHLD.cast_unsigned())).cast_signed();
    child(mark, flags, libc::SYS_clone, [all, 0])
}

/// Makes a child by call `number`, clone or clone3 with `flags` and no stack of its own.
fn child(
    mark: i32,
    flags: u64,
    number: libc::c_long,
    [first, second]: [libc::c_long; 2],
) -> Result<i32, Errno> {
    if flags & (libc::CLONE_VM as u64 | libc::CLONE_VFORK as u64) != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: `mark` is no descriptor of this process: closing it changes nothing.
    unsafe { libc::syscall(libc::SYS_close, mark) };
    // SAFETY: the arguments name no stack and no address of a thread's: the child gets a copy of this
    // process, as with fork(2). What clone3 is pointed to lives in the caller, and is only read.
    let answer = unsafe { libc::syscall(number, first, second, 0, 0, 0) };
    if answer == 0 {
        // SAFETY: _exit ends the child at once, without running anything of this program.
        unsafe { libc::_exit(0) };
    }
    result(answer).and_then(|pid| i32::try_from(pid).map_err(|_| Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_in_and_come_out() {
        let mut room = [0_u8; 390];
        let name = c"/proc/self/exe";
        attempt(-1, Entry::Native, libc::SYS_uname, &mut [Argument::Room(&mut room)]).unwrap();
        assert!(room.starts_with(b"Linux\0"));
        let mut link = [0_u8; 64];
        let arguments = &mut [
            Argument::Number(libc::AT_FDCWD as u64),
            Argument::Bytes(name.to_bytes_with_nul()),
            Argument::Room(&mut link),
            Argument::Number(64),
        ];
        let length = attempt(-1, Entry::Native, libc::SYS_readlinkat, arguments).unwrap();
        assert!(length > 0 && link[0] == b'/');
    }

    #[test]
    fn what_would_change_memory_is_not_made() {
        let refused = attempt(-1, Entry::Native, libc::SYS_munmap, &mut [0.into(), 4096.into()]);
        assert_eq!(refused, Err(Errno::INVAL));
        for child in [attempt_clone, attempt_clone3] {
            assert_eq!(child(-1, libc::CLONE_VM as u64), Err(Errno::INVAL));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_other_entry_answers_as_the_kernel_does() {
        // getpid has the number 20 there.
        let answer = attempt(-1, Entry::I386, 20, &mut []);
        assert!(
            matches!(answer, Ok(pid) if pid == u64::from(std::process::id()))
                || answer == Err(Errno::NOSYS)
        );
    }
}
