//! System calls that no agent needs, and ways around a filter that refuses them.
//!
//! Where the kernel itself says no to everybody but root, another argument is chosen that it looks at
//! first: an error that only hears who got to the kernel shows that the filter let the call through.
//! Nothing here would do harm if it succeeded, and nothing makes the kernel load a module.

mod administration;
mod evasion;
mod interfaces;
mod sockets;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::raw;
use crate::plan::Plan;
use crate::policy::seccomp::Arch;
use crate::profile::Wall;
use crate::sys::Argument;
use crate::verify::probe::{Answer, Attempted, Claim, Family, Probe, Stop, broken, wall};
use crate::verify::scene::Scene;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

pub(super) use sockets::has_protocol;

/// The family.
pub const FAMILY: Family =
    Family { name: "syscalls", title: "system calls", probes: &PROBES, jobs: &[] };

const PARTS: &[&[Probe]] = &[
    #[cfg(target_arch = "x86_64")]
    x86::PROBES,
    evasion::PROBES,
    interfaces::PROBES,
    administration::PROBES,
    sockets::PROBES,
];

const COUNT: usize = {
    let (mut part, mut count) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// All parts, one after another.
static PROBES: [Probe; COUNT] = {
    let mut all = [Probe::NEW; COUNT];
    let (mut part, mut index, mut at) = (0, 0, 0);
    while at < COUNT {
        if index == PARTS[part].len() {
            (part, index) = (part + 1, 0);
        } else {
            all[at] = PARTS[part][index];
            (index, at) = (index + 1, at + 1);
        }
    }
    all
};

/// The filter refuses it, and says so.
const REFUSED: &[Claim] = &[wall(Wall::Seccomp, &[Answer::Error(Errno::PERM)])];

/// The filter refuses it as a kernel would that has no such call.
pub(super) const MISSING: &[Claim] = &[wall(Wall::Seccomp, &[Answer::Error(Errno::NOSYS)])];

/// A new user namespace, by a call that the filter refuses.
pub(super) const NO_NAMESPACE: &[Claim] = &[
    wall(Wall::Seccomp, &[Answer::Error(Errno::PERM)]),
    wall(Wall::NestedNamespaces, &[Answer::Error(Errno::NOSPC)]),
];
/// A new user namespace, by a call that the filter says does not exist.
const NO_SUCH_NAMESPACE: &[Claim] = &[
    wall(Wall::Seccomp, &[Answer::Error(Errno::NOSYS)]),
    wall(Wall::NestedNamespaces, &[Answer::Error(Errno::NOSPC)]),
];

/// No descriptor: what refers to it was let in and is wrong.
pub(super) const NOTHING: u64 = 0x7fff_fff0;
const USER: u64 = libc::CLONE_NEWUSER as u64;
/// `KEY_SPEC_SESSION_KEYRING`, -3.
const SESSION_KEYRING: u64 = word(-3);

/// A call that nobody but the filter refuses.
const fn refused<const NUMBER: i64>(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    source: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    let granted = allowed::<NUMBER>;
    Probe { id, title, attack, source, run, claims: REFUSED, granted, ..Probe::NEW }
}

/// Why it is no escape that the call gets through: the profile's own policy allows it.
pub(super) fn allows(plan: &Plan, number: i64, arguments: &[u64]) -> Option<String> {
    let number = u32::try_from(number).ok()?;
    let mut all = [0; 6];
    all.get_mut(..arguments.len())?.copy_from_slice(arguments);
    let seccomp = &plan.seccomp;
    let permits = seccomp.program.permits(Arch::native()?, number, all);
    permits.then(|| format!("the profile's policy `{}` allows the call", seccomp.policy))
}

/// As [`allows`], whatever the arguments are.
pub(super) fn allowed<const NUMBER: i64>(plan: &Plan) -> Option<String> {
    allows(plan, NUMBER, &[])
}

/// A number as a register holds it.
pub(super) const fn word(number: i32) -> u64 {
    number as i64 as u64
}

/// The call that decides, with numbers alone.
pub(super) fn numbers(scene: &Scene, number: i64, words: &[u64]) -> Attempted {
    let mut arguments: Vec<_> = words.iter().copied().map(Argument::Number).collect();
    call(scene, number, &mut arguments)
}

/// The call that decides.
pub(super) fn call(scene: &Scene, number: i64, arguments: &mut [Argument<'_>]) -> Attempted {
    scene.call(number, arguments)?;
    Ok(Vec::new())
}

/// Lays a filter of one's own over what there is: `action` for `calls`, and everything else allowed.
fn filter_oneself(calls: &[i64], action: u32) -> Result<(), Stop> {
    let instruction = |code, jf, k| seccompiler::sock_filter { code, jt: 0, jf, k };
    // Loads the number; compares it, and skips the return where it is another one.
    let mut program = vec![instruction(0x20, 0, 0)];
    for number in calls {
        let number = u32::try_from(*number).map_err(broken("make a filter"))?;
        program.push(instruction(0x15, 1, number));
        program.push(instruction(0x06, 0, action));
    }
    program.push(instruction(0x06, 0, 0x7fff_0000));
    seccompiler::apply_filter(&program).map_err(broken("install a filter"))
}

pub(super) fn descriptor(of: &impl AsRawFd) -> u64 {
    word(of.as_raw_fd())
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)
}
