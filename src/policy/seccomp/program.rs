//! A finished filter: classic BPF instructions.

use super::Arch;
use super::assemble::{AND, ARCH, JUMP, Jump, LOAD, NUMBER, RETURN, RETURN_ALLOW};
use super::check::ARGUMENTS;

/// One instruction of classic BPF, laid out as `struct sock_filter` (`include/uapi/linux/filter.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jt: u8,
    /// Instructions to skip where it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

impl From<Instruction> for seccompiler::sock_filter {
    fn from(instruction: Instruction) -> Self {
        let Instruction { code, jt, jf, k } = instruction;
        Self { code, jt, jf, k }
    }
}

/// A filter ready to be installed: never empty, never longer than the kernel takes, and every path
/// ends in a return. Only [`super::compile`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Program(Vec<Instruction>);

impl Program {
    pub(super) const fn new(instructions: Vec<Instruction>) -> Self {
        Self(instructions)
    }

    /// A program that [`super::compile`] made before, when this program was built.
    pub(crate) const fn compiled_before(instructions: Vec<Instruction>) -> Self {
        Self(instructions)
    }

    /// The instructions, in order.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// The same as seccompiler and the kernel want it.
    #[must_use]
    pub fn to_sock_filters(&self) -> Vec<seccompiler::sock_filter> {
        self.0.iter().copied().map(Into::into).collect()
    }

    /// Whether a call of `arch` gets through, found as the kernel finds it (`kernel/seccomp.c`).
    #[must_use]
    pub fn permits(&self, arch: Arch, number: u32, arguments: [u64; 6]) -> bool {
        let (mut at, mut loaded) = (0, 0);
        while let Some(Instruction { code, jt, jf, k }) = self.0.get(at).copied() {
            let branch = |holds: bool| usize::from(if holds { jt } else { jf });
            at += 1 + match code {
                RETURN => return k == RETURN_ALLOW,
                LOAD => {
                    loaded = word(arch, number, arguments, k);
                    0
                }
                AND => {
                    loaded &= k;
                    0
                }
                JUMP => k as usize,
                code if code == Jump::Equal.code() => branch(loaded == k),
                code if code == Jump::AtLeast.code() => branch(loaded >= k),
                code if code == Jump::AnyBit.code() => branch(loaded & k != 0),
                // Nothing that is ever written.
                _ => return false,
            };
        }
        false
    }
}

/// The 32 bits at `offset` of a call's `struct seccomp_data`.
fn word(arch: Arch, number: u32, arguments: [u64; 6], offset: u32) -> u32 {
    match offset {
        NUMBER => number,
        ARCH => arch.audit(),
        _ => {
            let offset = offset.saturating_sub(ARGUMENTS);
            let (index, high) = (offset / 8, !offset.is_multiple_of(8));
            let argument = arguments.get(index as usize).copied().unwrap_or(0);
            let half = if high { argument >> 32 } else { argument & u64::from(u32::MAX) };
            u32::try_from(half).unwrap_or(u32::MAX)
        }
    }
}
