//! Turns a policy into a filter.
//!
//! The filter checks the architecture, then walks a balanced tree over ranges of system call numbers.
//! Neighbours with the same fate are one range, so that a call costs some eight comparisons and the
//! kernel, which runs the filter once for each number at installation to learn which calls it always
//! allows (`seccomp_cache_prepare`, kernel/seccomp.c), can follow it. Arguments are looked at only after
//! the tree, and only for calls whose rules have conditions.

use super::assemble::{Assembler, Jump, Label};
use super::check;
use super::rules::Branches;
use super::{Action, Arch, Call, Errno, Policy, Program};
use std::collections::BTreeMap;

/// `BPF_MAXINSNS` (`include/uapi/linux/bpf_common.h`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Why a policy has no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The kernel takes no longer ones.
    #[error(
        "cannot make a filter of policy `{policy}`: it needs {length} instructions, the kernel takes \
         {MAX_INSTRUCTIONS}"
    )]
    TooLong {
        /// The policy's name.
        policy: String,
        /// How many instructions it would need.
        length: usize,
    },
    /// All it allows belongs to other architectures; a process could not even exit.
    #[error("cannot make a filter of policy `{policy}`: it allows nothing on {arch}")]
    AllowsNothing {
        /// The policy's name.
        policy: String,
        /// The architecture asked for.
        arch: Arch,
    },
}

/// Compiles `policy` for `arch`. Calls that `arch` lacks are skipped.
///
/// # Errors
/// Where the filter would be too long for the kernel, or would allow nothing.
pub fn compile(policy: &Policy, arch: Arch) -> Result<Program, CompileError> {
    let numbered: BTreeMap<u32, &Call> =
        policy.calls.iter().filter_map(|(name, call)| Some((arch.number(name)?, call))).collect();
    if !numbered.values().any(|call| call.can_be_allowed()) {
        return Err(CompileError::AllowsNothing { policy: policy.name.clone(), arch });
    }
    let calls = numbered.into_iter().map(|(number, call)| (number, call.branches())).collect();
    build(policy, arch, calls)
}

/// Compiles what `policy` refuses and programs do not expect: a filter that refuses this alone, with the same errors, and
/// is installed after the one of [`compile()`] for the kernel to record what it refuses.
///
/// Of two filters that both refuse, the kernel acts on the one that was installed last (`seccomp_run_filters`,
/// kernel/seccomp.c). So this one decides what is recorded, and never what is refused.
///
/// # Errors
/// Where the filter would be too long for the kernel.
pub fn compile_told(policy: &Policy, arch: Arch) -> Result<Program, CompileError> {
    let calls = policy.calls.iter();
    let told = calls.filter_map(|(name, call)| Some((arch.number(name)?, call.told_branches())));
    build(policy, arch, told.collect())
}

fn build(
    policy: &Policy,
    arch: Arch,
    calls: BTreeMap<u32, Branches<'_>>,
) -> Result<Program, CompileError> {
    let mut builder = Builder::default();
    let ranges = builder.ranges(calls, Action::Refuse(policy.default), arch);
    let start = builder.tree(&ranges);
    let foreign = Action::Refuse(Errno::Enosys);
    let instructions = builder.assembler.finish(arch, foreign, start);
    match instructions.len() {
        length if length > MAX_INSTRUCTIONS => {
            Err(CompileError::TooLong { policy: policy.name.clone(), length })
        }
        _ => Ok(Program::new(instructions)),
    }
}

/// What becomes of a range of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Constant(Action),
    /// Decided by the arguments, by the code at this label.
    Checked(Label),
}

/// A range of numbers, up to the next one's first.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u32,
    fate: Fate,
}

#[derive(Default)]
struct Builder<'p> {
    assembler: Assembler,
    /// Argument checks written so far; calls with the same ones share them.
    checks: Vec<(Branches<'p>, Label)>,
}

fn add(ranges: &mut Vec<Range>, first: u32, fate: Fate) {
    if ranges.last().is_none_or(|last| last.fate != fate) {
        ranges.push(Range { first, fate });
    }
}

impl<'p> Builder<'p> {
    /// All numbers from 0 on, cut where the fate changes.
    fn ranges(
        &mut self,
        calls: BTreeMap<u32, Branches<'p>>,
        default: Action,
        arch: Arch,
    ) -> Vec<Range> {
        let mut ranges = Vec::new();
        let mut next = 0;
        for (number, call) in calls {
            if number > next {
                add(&mut ranges, next, Fate::Constant(default));
            }
            add(&mut ranges, number, self.fate(call));
            next = number + 1;
        }
        add(&mut ranges, next, Fate::Constant(default));
        if let Some(foreign) = arch.foreign_from() {
            add(&mut ranges, foreign, Fate::Constant(Action::Refuse(Errno::Enosys)));
        }
        ranges
    }

    fn fate(&mut self, call: Branches<'p>) -> Fate {
        if let Some(action) = call.constant() {
            return Fate::Constant(action);
        }
        if let Some((_, label)) = self.checks.iter().find(|(other, _)| *other == call) {
            return Fate::Checked(*label);
        }
        let label = check::rules(&mut self.assembler, &call);
        self.checks.push((call, label));
        Fate::Checked(label)
    }

    fn tree(&mut self, ranges: &[Range]) -> Label {
        if let [Range { fate, .. }] = ranges {
            return match fate {
                Fate::Constant(action) => self.assembler.end(*action),
                Fate::Checked(label) => *label,
            };
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let middle = high.first().map_or(0, |range| range.first);
        let high = self.tree(high);
        let low = self.tree(low);
        self.assembler.jump(Jump::AtLeast, middle, high, low)
    }
}
