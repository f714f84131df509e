//! A finished filter: classic BPF instructions.

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
}
