//! An assembler for classic BPF that works from the last instruction to the first.
//!
//! Classic BPF jumps forward only, by at most 255 instructions where it compares. Written backwards,
//! every target is known when a jump to it is written; a target that is too far gets a copy (of a
//! return) or a stepping stone (an unconditional jump, which has 32 bits) near by.

use super::{Action, Arch, Instruction};
use std::collections::BTreeMap;

/// `BPF_LD | BPF_W | BPF_ABS`: loads 32 bits of `struct seccomp_data`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JA`.
pub(super) const JUMP: u16 = 0x05;

/// `SECCOMP_RET_ALLOW` (`include/uapi/linux/seccomp.h`).
pub(super) const RETURN_ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO`; the low 16 bits are the errno.
const RETURN_ERRNO: u32 = 0x0005_0000;

/// Offset of `nr` in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
/// Offset of `arch`.
pub(super) const ARCH: u32 = 4;

/// A comparison with a jump.
#[derive(Clone, Copy, Debug)]
pub(super) enum Jump {
    Equal,
    AtLeast,
    AnyBit,
}

impl Jump {
    /// `BPF_JMP | BPF_K` with `BPF_JEQ`, `BPF_JGE`, `BPF_JSET`.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Equal => 0x15,
            Self::AtLeast => 0x35,
            Self::AnyBit => 0x45,
        }
    }
}

/// The position of an instruction, counted from the end of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label(usize);

/// A program being written from its end.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// The last instruction of the program first.
    reversed: Vec<Instruction>,
    returns: BTreeMap<u32, Label>,
    /// The copy of, or stepping stone to, a label that was written last.
    nearest: BTreeMap<Label, Label>,
}

impl Assembler {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }

    /// How many instructions lie between the next one and `target`.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - target.0 - 1
    }

    /// The end of a path.
    pub(super) fn end(&mut self, action: Action) -> Label {
        let value = match action {
            Action::Allow => RETURN_ALLOW,
            Action::Refuse(errno) => RETURN_ERRNO | u32::from(errno.number()),
        };
        if let Some(label) = self.returns.get(&value) {
            return *label;
        }
        let label = self.push(RETURN, 0, 0, value);
        self.returns.insert(value, label);
        label
    }

    /// A way to `target` that a comparison can reach, even after `more` further instructions.
    fn reachable(&mut self, target: Label, more: usize) -> Label {
        let nearest = self.nearest.get(&target).copied().unwrap_or(target);
        if self.distance(nearest) + more <= usize::from(u8::MAX) {
            return nearest;
        }
        let far = self.reversed[target.0];
        let label = if far.code == RETURN {
            self.push(RETURN, 0, 0, far.k)
        } else {
            // A program of 2^32 instructions does not fit in memory, so the offset does in k.
            let offset = u32::try_from(self.distance(target)).unwrap_or(u32::MAX);
            self.push(JUMP, 0, 0, offset)
        };
        self.nearest.insert(target, label);
        label
    }

    /// Compares what was loaded with `k`.
    pub(super) fn jump(&mut self, jump: Jump, k: u32, yes: Label, no: Label) -> Label {
        // The way to `no` may take one instruction, which moves `yes` away by one.
        let yes = self.reachable(yes, 1);
        let no = self.reachable(no, 0);
        let offset = |target| u8::try_from(self.distance(target)).unwrap_or(u8::MAX);
        let (jt, jf) = (offset(yes), offset(no));
        self.push(jump.code(), jt, jf, k)
    }

    /// Loads 32 bits at `offset`, keeps the bits of `mask`, and goes on at `then`.
    pub(super) fn load(&mut self, offset: u32, mask: u32, then: Label) -> Label {
        if self.distance(then) > 0 {
            let far = u32::try_from(self.distance(then)).unwrap_or(u32::MAX);
            self.push(JUMP, 0, 0, far);
        }
        if mask != u32::MAX {
            self.push(AND, 0, 0, mask);
        }
        self.push(LOAD, 0, 0, offset)
    }

    /// Puts the check of the architecture in front and turns the program round.
    pub(super) fn finish(mut self, arch: Arch, foreign: Action, start: Label) -> Vec<Instruction> {
        let start = self.load(NUMBER, u32::MAX, start);
        let foreign = self.end(foreign);
        let check = self.jump(Jump::Equal, arch.audit(), start, foreign);
        self.load(ARCH, u32::MAX, check);
        self.reversed.reverse();
        self.reversed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::seccomp::Errno;

    /// A far target must be reached by way of a stepping stone, not by an offset that was cut off.
    #[test]
    fn far_targets_get_copies_and_stepping_stones() {
        let mut assembler = Assembler::default();
        let allow = assembler.end(Action::Allow);
        let refuse = assembler.end(Action::Refuse(Errno::Eperm));
        let far = assembler.jump(Jump::Equal, 1, allow, refuse);
        for _ in 0..300 {
            assembler.push(AND, 0, 0, 0);
        }
        let before = assembler.reversed.len();
        assembler.jump(Jump::Equal, 2, far, allow);
        let added = &assembler.reversed[before..];
        assert_eq!(added[0], Instruction { code: JUMP, jt: 0, jf: 0, k: 300 });
        assert_eq!(added[1], Instruction { code: RETURN, jt: 0, jf: 0, k: RETURN_ALLOW });
        assert_eq!(added[2], Instruction { code: Jump::Equal.code(), jt: 1, jf: 0, k: 2 });
        assembler.jump(Jump::Equal, 3, far, allow);
        assert_eq!(assembler.reversed.len(), before + 4, "what was near is used again");
    }

    /// Where a jump over `skip` instructions from the one at `from` ends, stepping stones followed.
    fn landing(assembler: &Assembler, from: Label, skip: u8) -> Label {
        let label = Label(from.0 - 1 - usize::from(skip));
        let stone = assembler.reversed[label.0];
        if stone.code != JUMP {
            return label;
        }
        Label(label.0 - 1 - usize::try_from(stone.k).unwrap())
    }

    /// The stepping stone for one way moves the other target away, perhaps over the limit.
    #[test]
    fn both_ways_arrive_at_every_distance() {
        for distance in 240..270 {
            for between in 0..4 {
                let mut assembler = Assembler::default();
                let older = assembler.push(LOAD, 0, 0, 0);
                for _ in 0..between {
                    assembler.push(AND, 0, 0, 0);
                }
                let newer = assembler.push(LOAD, 0, 0, 4);
                for _ in 0..distance {
                    assembler.push(AND, 0, 0, 0);
                }
                for (yes, no) in [(older, newer), (newer, older)] {
                    let label = assembler.jump(Jump::Equal, 1, yes, no);
                    let Instruction { jt, jf, .. } = assembler.reversed[label.0];
                    let landings = [jt, jf].map(|skip| landing(&assembler, label, skip));
                    assert_eq!(landings, [yes, no], "{distance} {between}");
                }
            }
        }
    }
}
