//! What every jail needs besides walls: for `doctor`.

use super::facts::Essentials;
use std::path::{Path, PathBuf};

/// Where the C library is, on Debian, Fedora, Arch and their kin.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib/aarch64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
];

/// Where a UTF-8 locale that needs no other file may be compiled.
const LOCALES: &[&str] = &["/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"];

/// Reads the facts of this host.
#[must_use]
pub fn probe() -> Essentials {
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    Essentials {
        tmux: super::tmux::find(),
        utf8: utf8(),
        ptmx: Path::new("/dev/ptmx").exists(),
        bus: std::os::unix::net::UnixStream::connect("/run/dbus/system_bus_socket").is_ok(),
        // With psi=0 the file is there and cannot be opened.
        pressure: super::text::read("/proc/pressure/memory").is_ok(),
        audit: super::audit::probe(),
        logs_seccomp: super::audit::logs_seccomp(),
        filesystems: filesystems.split_whitespace().map(str::to_owned).collect(),
    }
}

/// Which UTF-8 locale a program in a jail would find.
fn utf8() -> Option<String> {
    if let Some(found) = LOCALES.iter().find(|path| Path::new(path).exists()) {
        return Some((*found).to_owned());
    }
    if let Some((major, minor)) = glibc() {
        return ((major, minor) >= (2, 35)).then(|| format!("built into glibc {major}.{minor}"));
    }
    musl().then(|| "musl knows no other".to_owned())
}

fn musl() -> bool {
    let machines = ["x86_64", "aarch64"];
    machines.iter().any(|machine| PathBuf::from(format!("/lib/ld-musl-{machine}.so.1")).exists())
}

/// The version that the library says of itself.
fn glibc() -> Option<(u32, u32)> {
    LIBRARIES.iter().find_map(|path| parse(&std::fs::read(path).ok()?))
}

/// The number after `stable release version ` in the bytes of glibc.
fn parse(library: &[u8]) -> Option<(u32, u32)> {
    let mark = b"release version ";
    let at = library.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let text = library.get(at..at + 8)?;
    let end = text.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.'))?;
    let text = std::str::from_utf8(&text[..end]).ok()?.trim_end_matches('.');
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_says_its_version() {
        let text = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright";
        assert_eq!(parse(text), Some((2, 36)));
        assert_eq!(parse(b"stable release version 2.4"), None);
        assert_eq!(parse(b"nothing"), None);
    }
}
