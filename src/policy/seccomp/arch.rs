//! Architectures: the kernel's number for each system call's name.

use std::fmt;
use std::str::FromStr;
use syscalls::{aarch64, x86_64};

/// An architecture a filter can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86; its i386 and x32 calls are refused.
    X86_64,
    /// 64-bit Arm; its 32-bit calls are refused.
    Aarch64,
}

impl Arch {
    /// Every supported architecture.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The architecture this program was built for, if a filter can be made for it.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Self::X86_64)
        } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// `AUDIT_ARCH_*`, as `struct seccomp_data` carries it (`include/uapi/linux/audit.h`): the ELF
    /// machine, with bits for 64-bit and little-endian.
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The first number that belongs to another way of calling the same kernel, if there is one:
    /// `__X32_SYSCALL_BIT` (`arch/x86/include/uapi/asm/unistd.h`).
    #[must_use]
    pub const fn foreign_from(self) -> Option<u32> {
        match self {
            Self::X86_64 => Some(0x4000_0000),
            Self::Aarch64 => None,
        }
    }

    /// The number of the call `name`; none where this architecture lacks it.
    #[must_use]
    pub fn number(self, name: &str) -> Option<u32> {
        let id = match self {
            Self::X86_64 => x86_64::Sysno::from_str(name).ok()?.id(),
            Self::Aarch64 => aarch64::Sysno::from_str(aarch64_name(name)?).ok()?.id(),
        };
        u32::try_from(id).ok()
    }

    /// All calls of this architecture, with their numbers, in the order of the numbers.
    pub fn calls(self) -> impl Iterator<Item = (&'static str, u32)> {
        let last = match self {
            Self::X86_64 => x86_64::Sysno::last().id(),
            Self::Aarch64 => aarch64::Sysno::last().id(),
        };
        (0..=u32::try_from(last).unwrap_or(0)).filter_map(move |number| {
            let id = usize::try_from(number).ok()?;
            let name = match self {
                Self::X86_64 => x86_64::Sysno::new(id)?.name(),
                Self::Aarch64 => match aarch64::Sysno::new(id)?.name() {
                    "fstatat" => "newfstatat",
                    name => name,
                },
            };
            Some((name, number))
        })
    }
}

/// The table calls 79 `fstatat`; the kernel, and x86_64, call it `newfstatat`
/// (`include/uapi/asm-generic/unistd.h`).
fn aarch64_name(name: &str) -> Option<&str> {
    match name {
        "newfstatat" => Some("fstatat"),
        "fstatat" => None,
        name => Some(name),
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_by_architecture() {
        assert_eq!(Arch::X86_64.number("openat"), Some(257));
        assert_eq!(Arch::Aarch64.number("openat"), Some(56));
        assert_eq!(Arch::X86_64.number("open"), Some(2));
        assert_eq!(Arch::Aarch64.number("open"), None);
    }

    #[test]
    fn newfstatat_has_one_name_on_both() {
        assert_eq!(Arch::X86_64.number("newfstatat"), Some(262));
        assert_eq!(Arch::Aarch64.number("newfstatat"), Some(79));
        assert_eq!(Arch::Aarch64.number("fstatat"), None);
    }

    #[test]
    fn every_listed_call_has_its_number() {
        for arch in Arch::ALL {
            for (name, number) in arch.calls() {
                assert_eq!(arch.number(name), Some(number), "{name} on {arch}");
            }
            assert!(
                arch.calls().any(|(name, _)| name == "file_setattr"),
                "the last one, on {arch}"
            );
        }
    }

    #[test]
    fn audit_numbers_are_those_of_seccompiler() {
        use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
        for (arch, other) in
            [(Arch::X86_64, TargetArch::x86_64), (Arch::Aarch64, TargetArch::aarch64)]
        {
            let rules = [].into_iter().collect();
            let (no, yes) = (SeccompAction::Trap, SeccompAction::Allow);
            let filter = SeccompFilter::new(rules, no, yes, other).unwrap();
            let program: seccompiler::BpfProgram = filter.try_into().unwrap();
            assert_eq!(program[1].k, arch.audit());
        }
    }
}
