//! Attacks that run programs.

use super::super::super::prober::NAME;
use crate::host::text;
use crate::verify::look::{Look, line};
use crate::verify::probe::{Attempted, Stop, broken};
use crate::verify::scene::Scene;
use rustix::fd::AsRawFd as _;
use rustix::fs::MemfdFlags;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

/// A small program that every system has, and that runs until its input ends.
const CAT: &str = "/bin/cat";

/// The dynamic loader, which runs what it is given.
#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(not(target_arch = "x86_64"))]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

/// Starts `program`, to be looked at as long as this process lives.
#[allow(clippy::disallowed_methods, reason = "the attack is to run a program")]
fn start(program: &str, words: &[&str]) -> Attempted {
    let mut command = std::process::Command::new(program);
    command.arg0("cat").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn()?;
    if let (Some(input), Some(output)) = (&mut child.stdin, &mut child.stdout) {
        // It says what it hears, or has ended.
        let said = input.write_all(b"?").and_then(|()| output.read_exact(&mut [0]));
        if let Err(error) = said {
            tracing::debug!(%error, "the program does not run");
        }
    }
    // Its input ends with this process, and with it the program.
    std::mem::forget(child);
    Ok(Vec::new())
}

/// Copies [`CAT`] to `path` and runs the copy.
pub(super) fn run_copy(path: &str) -> Attempted {
    std::fs::copy(CAT, path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    start(path, &[])
}

/// As [`run_copy`], and leaves no file.
pub(super) fn run_copy_and_remove(path: &str) -> Attempted {
    let run = run_copy(path);
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "nothing was left");
    }
    run
}

/// As [`run_copy`], by the dynamic loader, which only reads and maps it.
pub(super) fn load_copy(path: &str) -> Attempted {
    std::fs::copy(CAT, path)?;
    start(LOADER, &[path])
}

/// Runs [`CAT`] from a file in memory made with `flags`.
pub(super) fn run_from_memory(scene: &Scene, flags: MemfdFlags) -> Attempted {
    let program = std::fs::read(CAT)?;
    let memory = rustix::fs::memfd_create(&*scene.token, MemfdFlags::CLOEXEC | flags)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&program).map_err(broken("fill a file in memory"))?;
    let started = start(&format!("/proc/self/fd/{}", file.as_raw_fd()), &[]);
    drop(file);
    started
}

/// Runs a copy of this program that only waits.
pub(super) fn run_prober(path: &str) -> Attempted {
    start(path, &[NAME, "as", "repeat"])
}

/// The job of [`run_prober`]: says what it hears.
pub(super) fn repeat(_: &[&str]) -> Result<(), Stop> {
    let mut heard = [0; 64];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut heard)? {
            0 => return Ok(()),
            count => rustix::io::write(rustix::stdio::stdout(), &heard[..count])?,
        };
    }
}

/// A job: says what stands in a file.
pub(super) fn read(words: &[&str]) -> Result<(), Stop> {
    let path = words.first().ok_or_else(|| Stop::Broken("no file".to_owned()))?;
    let text = std::fs::read(path)?;
    std::fs::File::from(rustix::io::dup(rustix::stdio::stdout())?).write_all(&text)?;
    Ok(())
}

/// Whether a child of the prober runs code of the file whose path has `name` in it.
pub(super) fn is_run(look: &Look<'_>, name: &str) -> bool {
    let executable = |line: &str| {
        let rights = line.split_whitespace().nth(1);
        rights.is_some_and(|rights| rights.contains('x')) && line.contains(name)
    };
    let runs = |status: &String| {
        let maps = text::read(format!("/proc/{}/maps", line(status, "Pid"))).unwrap_or_default();
        maps.lines().any(executable)
    };
    look.children().iter().any(runs)
}

/// Whether a child of the prober has a capability.
pub(super) fn has_capability(look: &Look<'_>) -> bool {
    let some = |status: &String| line(status, "CapPrm").chars().any(|digit| digit != '0');
    look.children().iter().any(some)
}
