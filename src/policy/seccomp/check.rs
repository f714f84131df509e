//! The part of a filter that looks at arguments, for calls whose rules have conditions.

use super::assemble::{Assembler, Jump, Label};
use super::rules::Branches;
use super::{Compare, Condition, Constant, Width};

/// Offset of the first argument in `struct seccomp_data` (`include/uapi/linux/seccomp.h`). Arguments are 64
/// bits wide and loaded by halves; on little-endian machines the low half comes first.
pub(super) const ARGUMENTS: u32 = 16;

/// Writes the rules of one call: the first that applies decides.
pub(super) fn rules(assembler: &mut Assembler, call: &Branches<'_>) -> Label {
    let mut next = assembler.end(call.otherwise);
    for (when, action) in call.rules.iter().rev() {
        let mut matched = assembler.end(*action);
        for condition in when.iter().rev() {
            matched = Check { assembler, condition, yes: matched, no: next }.write();
        }
        next = matched;
    }
    next
}

/// The upper and the lower 32 bits.
const fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// One condition to be written, and where to go on.
struct Check<'a> {
    assembler: &'a mut Assembler,
    condition: &'a Condition,
    yes: Label,
    no: Label,
}

impl Check<'_> {
    fn write(mut self) -> Label {
        let negated = matches!(
            self.condition.compare,
            Compare::NoneOf(_) | Compare::AtLeast(_) | Compare::HasNone(_)
        );
        if negated {
            std::mem::swap(&mut self.yes, &mut self.no);
        }
        let narrow = self.condition.width == Width::Bits32;
        match &self.condition.compare {
            Compare::OneOf(values) | Compare::NoneOf(values) if narrow => self.is_narrow(values),
            Compare::OneOf(values) | Compare::NoneOf(values) => self.is_wide(values),
            Compare::Below(limit) | Compare::AtLeast(limit) => self.is_below(limit.value),
            Compare::HasAny(bits) | Compare::HasNone(bits) => self.has_any(bits.value),
        }
    }

    /// Loads the lower half of the argument.
    fn low(&mut self, then: Label) -> Label {
        let offset = ARGUMENTS + 8 * u32::from(self.condition.argument.index());
        self.assembler.load(offset, halves(self.condition.bits()).1, then)
    }

    /// Loads the upper half of the argument.
    fn high(&mut self, then: Label) -> Label {
        let offset = ARGUMENTS + 8 * u32::from(self.condition.argument.index()) + 4;
        self.assembler.load(offset, halves(self.condition.bits()).0, then)
    }

    fn is_narrow(&mut self, values: &[Constant]) -> Label {
        let mut next = self.no;
        for value in values.iter().rev() {
            let low = halves(value.value).1;
            next = self.assembler.jump(Jump::Equal, low, self.yes, next);
        }
        self.low(next)
    }

    fn is_wide(&mut self, values: &[Constant]) -> Label {
        let mut next = self.no;
        for value in values.iter().rev() {
            let (high, low) = halves(value.value);
            let lower = self.assembler.jump(Jump::Equal, low, self.yes, next);
            let lower = self.low(lower);
            let upper = self.assembler.jump(Jump::Equal, high, lower, next);
            next = self.high(upper);
        }
        next
    }

    fn is_below(&mut self, limit: u64) -> Label {
        let (high, low) = halves(limit);
        let lower = self.assembler.jump(Jump::AtLeast, low, self.no, self.yes);
        let lower = self.low(lower);
        if self.condition.width == Width::Bits32 {
            return lower;
        }
        let same = self.assembler.jump(Jump::Equal, high, lower, self.no);
        let upper = self.assembler.jump(Jump::AtLeast, high, same, self.yes);
        self.high(upper)
    }

    fn has_any(&mut self, bits: u64) -> Label {
        let (high, low) = halves(bits);
        let lower = self.assembler.jump(Jump::AnyBit, low, self.yes, self.no);
        let lower = self.low(lower);
        if self.condition.width == Width::Bits32 {
            return lower;
        }
        let upper = self.assembler.jump(Jump::AnyBit, high, self.yes, lower);
        self.high(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_upper_and_lower() {
        assert_eq!(halves(0x0123_4567_89ab_cdef), (0x0123_4567, 0x89ab_cdef));
    }
}
