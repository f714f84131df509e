//! Compiles the shipped system call policies, so that a launch need not: it takes milliseconds.
//!
//! The same code as in the program reads and compiles them; a test compares the results.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::all,
    reason = "the modules are the program's, which uses all of them"
)]

#[path = "src/document/mod.rs"]
mod document;
#[path = "src/policy"]
mod policy {
    pub mod seccomp;
}

use policy::seccomp::{Arch, OWN, Program, SHIPPED, compile, compile_told, load, shipped};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    for watched in ["build.rs", "src/document", "src/policy", "policies"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let arch = match std::env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => Arch::X86_64,
        "aarch64" => Arch::Aarch64,
        other => return Err(format!("no system call filter can be made for {other}").into()),
    };
    let folder = std::env::var("OUT_DIR")?;
    for name in SHIPPED.into_iter().chain(OWN) {
        let policy = load(name, &|name| shipped(name).map(str::to_owned))?;
        let allowed = policy.calls.values().filter(|call| call.can_be_allowed()).count();
        let mut bytes = u32::try_from(allowed)?.to_le_bytes().to_vec();
        bytes.extend(encoded(&compile(&policy, arch)?));
        std::fs::write(Path::new(&folder).join(format!("seccomp-{name}")), bytes)?;
        if SHIPPED.contains(&name) {
            let told = encoded(&compile_told(&policy, arch)?);
            std::fs::write(Path::new(&folder).join(format!("seccomp-{name}-told")), told)?;
        }
    }
    Ok(())
}

fn encoded(program: &Program) -> Vec<u8> {
    let mut bytes = Vec::new();
    for instruction in program.instructions() {
        bytes.extend(instruction.code.to_le_bytes());
        bytes.extend([instruction.jt, instruction.jf]);
        bytes.extend(instruction.k.to_le_bytes());
    }
    bytes
}
