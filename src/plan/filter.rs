//! A compiled system call filter, with what is told of it.

use crate::policy::seccomp::{
    Arch, CompileError, Instruction, Policy, Program, compile, compile_told,
};

/// A filter ready to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Program,
    /// The one that is installed after it for the kernel to record what it refuses; those of cellblock's own processes
    /// have none.
    pub told: Option<Program>,
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
        let told = Some(compile_told(policy, arch)?);
        Ok(Self { program: compile(policy, arch)?, told, allowed, files: Vec::new() })
    }

    /// The shipped policy called `name`, compiled when the program was built.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Self> {
        macro_rules! built {
            ($file:literal) => {
                include_bytes!(concat!(env!("OUT_DIR"), "/seccomp-", $file))
            };
        }
        let (bytes, told): (&[u8], Option<&[u8]>) = match name {
            "minimal" => (built!("minimal"), Some(built!("minimal-told"))),
            "agent" => (built!("agent"), Some(built!("agent-told"))),
            "alerts" => (built!("alerts"), None),
            "gate" => (built!("gate"), None),
            "shim" => (built!("shim"), None),
            "watch" => (built!("watch"), None),
            _ => return None,
        };
        let (allowed, program) = bytes.split_first_chunk()?;
        Some(Self {
            program: decode(program)?,
            told: told.and_then(decode),
            allowed: usize::try_from(u32::from_le_bytes(*allowed)).ok()?,
            files: Vec::new(),
        })
    }
}

/// 8 bytes an instruction, as `build.rs` writes them.
fn decode(bytes: &[u8]) -> Option<Program> {
    let (instructions, []) = bytes.as_chunks::<8>() else { return None };
    let instruction = |[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; 8]| Instruction {
        code: u16::from_le_bytes([*c0, *c1]),
        jt: *jt,
        jf: *jf,
        k: u32::from_le_bytes([*k0, *k1, *k2, *k3]),
    };
    Some(Program::compiled_before(instructions.iter().map(instruction).collect()))
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
            let mut compiled = Filter::compile(&policy, arch).unwrap();
            compiled.told = compiled.told.filter(|_| SHIPPED.contains(&name));
            assert_eq!(Filter::shipped(name), Some(compiled));
        }
        assert_eq!(Filter::shipped("other"), None);
    }
}
