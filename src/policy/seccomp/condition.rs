//! Conditions on the arguments of a call.

use std::fmt;

/// The index of an argument, 0 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument(u8);

impl Argument {
    /// The argument at `index`; none above 5, since a call has six registers.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if index < 6 { Some(Self(index)) } else { None }
    }

    /// The index.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }
}

/// How much of an argument the kernel looks at. The registers hold 64 bits; where the kernel reads an
/// `int` and a filter compares 64 bits, garbage in the upper half walks past it (CVE-2019-10063).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The low 32 bits: `int`, `unsigned int`, and anything narrower.
    Bits32,
    /// All 64 bits: `long`, `size_t`, pointers.
    Bits64,
}

impl Width {
    /// The bits that count.
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::Bits32 => 0xffff_ffff,
            Self::Bits64 => u64::MAX,
        }
    }
}

/// A number, and the words it was written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// As in the file, such as `S_ISUID|S_ISGID`.
    pub text: String,
    /// What it stands for.
    pub value: u64,
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A comparison. All comparisons are unsigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Equal to one of these.
    OneOf(Vec<Constant>),
    /// Equal to none of these.
    NoneOf(Vec<Constant>),
    /// Less than this.
    Below(Constant),
    /// This or more.
    AtLeast(Constant),
    /// At least one of these bits is set.
    HasAny(Constant),
    /// None of these bits is set.
    HasNone(Constant),
}

/// One condition on one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument.
    pub argument: Argument,
    /// How much of it.
    pub width: Width,
    /// Bits to look at; without it, all of the width.
    pub mask: Option<Constant>,
    /// What to compare with.
    pub compare: Compare,
}

impl Condition {
    /// The bits of the argument that are compared.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.mask.as_ref().map_or(u64::MAX, |mask| mask.value) & self.width.mask()
    }

    /// Whether the condition holds for these arguments.
    #[must_use]
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let found = arguments[usize::from(self.argument.0)] & self.bits();
        let value = |constant: &Constant| constant.value & self.width.mask();
        match &self.compare {
            Compare::OneOf(values) => values.iter().any(|constant| found == value(constant)),
            Compare::NoneOf(values) => values.iter().all(|constant| found != value(constant)),
            Compare::Below(limit) => found < value(limit),
            Compare::AtLeast(limit) => found >= value(limit),
            Compare::HasAny(bits) => found & value(bits) != 0,
            Compare::HasNone(bits) => found & value(bits) == 0,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument {}", self.argument.0)?;
        if let Some(mask) = &self.mask {
            write!(f, " (bits {mask})")?;
        }
        let list = |values: &[Constant]| {
            values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join(", ")
        };
        match &self.compare {
            Compare::OneOf(values) if values.len() == 1 => write!(f, " is {}", list(values)),
            Compare::OneOf(values) => write!(f, " is one of {}", list(values)),
            Compare::NoneOf(values) if values.len() == 1 => write!(f, " is not {}", list(values)),
            Compare::NoneOf(values) => write!(f, " is none of {}", list(values)),
            Compare::Below(limit) => write!(f, " is below {limit}"),
            Compare::AtLeast(limit) => write!(f, " is at least {limit}"),
            Compare::HasAny(bits) => write!(f, " has any of {bits}"),
            Compare::HasNone(bits) => write!(f, " has none of {bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(value: u64) -> Constant {
        Constant { text: format!("{value:#x}"), value }
    }

    fn condition(width: Width, mask: Option<u64>, compare: Compare) -> Condition {
        Condition { argument: Argument::new(1).unwrap(), width, mask: mask.map(constant), compare }
    }

    fn holds(condition: &Condition, value: u64) -> bool {
        condition.holds(&[0, value, 0, 0, 0, 0])
    }

    #[test]
    fn there_is_no_seventh_argument() {
        assert_eq!(Argument::new(6), None);
    }

    #[test]
    fn a_narrow_condition_ignores_the_upper_half() {
        let is = || Compare::OneOf(vec![constant(0x5412)]);
        assert!(holds(&condition(Width::Bits32, None, is()), 0xdead_beef_0000_5412));
        assert!(!holds(&condition(Width::Bits64, None, is()), 0xdead_beef_0000_5412));
    }

    #[test]
    fn a_mask_selects_bits() {
        let masked = condition(Width::Bits32, Some(0xf), Compare::OneOf(vec![constant(3)]));
        assert!(holds(&masked, 0x80003));
        assert!(!holds(&masked, 0x80001));
    }

    #[test]
    fn limits_are_exact() {
        let below = condition(Width::Bits64, None, Compare::Below(constant(1 << 32)));
        assert!(holds(&below, (1 << 32) - 1));
        assert!(!holds(&below, 1 << 32));
        let at_least = condition(Width::Bits64, None, Compare::AtLeast(constant(1 << 32)));
        assert!(!holds(&at_least, (1 << 32) - 1));
        assert!(holds(&at_least, 1 << 32));
    }

    #[test]
    fn bits_are_tested_one_by_one() {
        let any = condition(Width::Bits32, None, Compare::HasAny(constant(6)));
        let none = condition(Width::Bits32, None, Compare::HasNone(constant(6)));
        for (value, expected) in [(0, false), (1, false), (2, true), (4, true), (7, true)] {
            assert_eq!((holds(&any, value), holds(&none, value)), (expected, !expected));
        }
    }

    #[test]
    fn reads_as_a_sentence() {
        let masked = condition(Width::Bits32, Some(0xf), Compare::OneOf(vec![constant(3)]));
        assert_eq!(masked.to_string(), "argument 1 (bits 0xf) is 0x3");
    }
}
