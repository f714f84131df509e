//! A classic BPF machine as `kernel/seccomp.c` and `net/core/filter.c` have it: refuses what
//! `seccomp_check_filter` refuses.

use crate::policy::seccomp::{Action, Arch, Errno, Instruction};

/// `struct seccomp_data`, without the instruction pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) number: u32,
    pub(super) audit: u32,
    pub(super) arguments: [u64; 6],
}

impl Data {
    pub(super) fn new(arch: Arch, number: u32, arguments: [u64; 6]) -> Self {
        Self { number, audit: arch.audit(), arguments }
    }

    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64, index: u32| u32::try_from((value >> (32 * index)) & 0xffff_ffff);
        match offset {
            0 => self.number,
            4 => self.audit,
            16..64 if offset.is_multiple_of(4) => {
                let index = usize::try_from((offset - 16) / 8).unwrap();
                half(self.arguments[index], (offset / 4) % 2).unwrap()
            }
            _ => panic!("loads from offset {offset}"),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) action: Action,
    /// Instructions executed.
    pub(super) steps: usize,
    /// Instructions executed before the first load of an argument, if there was one.
    pub(super) steps_before_arguments: Option<usize>,
    /// Whether there was arithmetic.
    pub(super) arithmetic: bool,
}

pub(super) fn run(program: &[Instruction], data: &Data) -> Run {
    let (mut at, mut accumulator, mut steps) = (0, 0_u32, 0);
    let (mut steps_before_arguments, mut arithmetic) = (None, false);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        steps += 1;
        let branch = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            0x20 => {
                if k >= 16 && steps_before_arguments.is_none() {
                    steps_before_arguments = Some(steps - 1);
                }
                accumulator = data.word(k);
            }
            0x54 => {
                arithmetic = true;
                accumulator &= k;
            }
            0x05 => at += usize::try_from(k).unwrap(),
            0x15 => at += branch(accumulator == k),
            0x25 => at += branch(accumulator > k),
            0x35 => at += branch(accumulator >= k),
            0x45 => at += branch(accumulator & k != 0),
            0x06 => {
                return Run { action: action(k), steps, steps_before_arguments, arithmetic };
            }
            _ => panic!("unknown operation {code:#x}"),
        }
    }
}

fn action(value: u32) -> Action {
    let errno = |number: u32| Errno::ALL.into_iter().find(|e| u32::from(e.number()) == number);
    match value & 0xffff_0000 {
        0x7fff_0000 => Action::Allow,
        0x0005_0000 => Action::Refuse(errno(value & 0xffff).expect("a known errno")),
        _ => panic!("unknown action {value:#x}"),
    }
}

#[test]
fn reads_arguments_by_halves() {
    let data = Data::new(Arch::X86_64, 1, [0, 0x0123_4567_89ab_cdef, 0, 0, 0, 0]);
    assert_eq!((data.word(24), data.word(28)), (0x89ab_cdef, 0x0123_4567));
}
