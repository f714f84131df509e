//! A compiled system call filter, with what is told of it.

use crate::policy::seccomp::{Arch, CompileError, Instruction, Policy, Program, compile};

/// A filter ready to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Program,
    /// How many calls it allows, some only with certain arguments.
    pub allowed: usize,
    /// Absolute paths of the policy files it was made from; the shipped ones have none.
    pub files: Vec<String>,
}

impl Filter {
    /// Compiles `policy`.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(policy: &Policy, arch: Arch) -> Result<Self, CompileError> {
        let allowed = policy.calls.values().filter(|call| call.can_be_allowed()).count();
        Ok(Self { program: compile(policy, arch)?, allowed, files: Vec::new() })
    }

    /// The shipped policy called `name`, compiled when the program was built.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Self> {
        let bytes: &[u8] = match name {
            "minimal" => include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-minimal")),
            "agent" => include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-agent")),
            "alerts" => include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-alerts")),
            "gate" => include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-gate")),
            "shim" => include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-shim")),
            "watch" => include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-watch")),
            _ => return None,
        };
        decode(bytes)
    }
}

/// The number of allowed calls, then 8 bytes an instruction, as `build.rs` writes them.
fn decode(bytes: &[u8]) -> Option<Filter> {
    let (allowed, instructions) = bytes.split_first_chunk()?;
    let (instructions, []) = instructions.as_chunks::<8>() else { return None };
    let instruction = |[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; 8]| Instruction {
        code: u16::from_le_bytes([*c0, *c1]),
        jt: *jt,
        jf: *jf,
        k: u32::from_le_bytes([*k0, *k1, *k2, *k3]),
    };
    Some(Filter {
        program: Program::compiled_before(instructions.iter().map(instruction).collect()),
        allowed: usize::try_from(u32::from_le_bytes(*allowed)).ok()?,
        files: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::seccomp::{OWN, SHIPPED, load, shipped};

    #[test]
    fn what_was_compiled_at_build_time_is_what_would_be_compiled_now() {
        let arch = Arch::native().unwrap();
        for name in SHIPPED.into_iter().chain(OWN) {
            let policy = load(name, &|name| shipped(name).map(str::to_owned)).unwrap();
            assert_eq!(Filter::shipped(name), Some(Filter::compile(&policy, arch).unwrap()));
        }
        assert_eq!(Filter::shipped("other"), None);
    }
}
