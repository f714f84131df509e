//! The prober: this program in the place of the agent's command, or of a helper.
//!
//! It shows that the jail lives, makes one attack when told, tells what it ended with, and stays until
//! the referee has looked. The referee never takes its word for success.

use super::battery;
use super::channel::{self, Link, MOST_LOOT, Order, Word};
use super::probe::{Attempted, Control, Stop};
use super::scene::Scene;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

/// The word by which the program knows that it is to be the prober.
pub const NAME: &str = crate::jail::init::STAND_IN;
/// The program as the prober itself reaches it, in and out of a jail: the descriptor it runs from.
pub const SELF: &str = "/proc/self/exe";
/// Where the prober stands as a positive control.
pub const CONTROL: &str = "control";

/// Whether `words` mean the prober: it has no path of its own in a jail, so the first word may be any.
#[must_use]
pub fn is_meant(words: &[OsString]) -> bool {
    let named = |word: &OsString| Path::new(word).file_name() == Some(OsStr::new(NAME));
    words.iter().take(2).any(named)
}

/// Does the prober's work; the status is 0 if it could do it.
#[must_use]
pub fn main(words: &[OsString]) -> u8 {
    let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
    let named = words.iter().take(2).rposition(|word| word.ends_with(NAME));
    let rest = named.map_or(0, |at| at + 1);
    match words.get(rest..).unwrap_or_default() {
        ["alive", file] => status(alive(file)),
        ["echo", text] => status(echo(text.as_bytes())),
        ["as", job, arguments @ ..] => status(battery::as_other_program(job, arguments)),
        ["by", directory] => {
            status_of(channel::find_pipes(Path::new(directory)).and_then(converse))
        }
        // As tmux is started: it is in tmux's place, and serves on its socket.
        ["-u", "-S", socket, ..] => {
            let listening = std::os::unix::net::UnixListener::bind(socket);
            let link = channel::find_pipes(Path::new(crate::plan::WORKSPACE));
            let done = status_of(link.and_then(converse));
            drop(listening);
            done
        }
        [..] => attack(rustix::stdio::stdin()),
    }
}

fn status(done: Result<(), Stop>) -> u8 {
    match done {
        Ok(()) => 0,
        Err(Stop::Refused(errno)) => u8::try_from(errno).unwrap_or(1),
        Err(Stop::Broken(_)) => 255,
    }
}

fn status_of(done: Result<(), Errno>) -> u8 {
    if done.is_ok() { 0 } else { 125 }
}

/// One attack, as told on `socket`; also in the place of who calls this.
#[must_use]
pub fn attack(socket: BorrowedFd<'_>) -> u8 {
    let socket = rustix::io::fcntl_dupfd_cloexec(socket, 3);
    status_of(socket.map(Link::Socket).and_then(converse))
}

fn converse(link: Link) -> Result<(), Errno> {
    let Some((Order::Scene(scene), _)) = link.hear()? else { return Err(Errno::PROTO) };
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    link.say(&Word::Alive(pid, prove_life(&scene).map_err(|stop| format!("{stop:?}"))))?;
    loop {
        match link.hear()? {
            Some((Order::Attack, _)) => {
                let mut told = perform(&scene);
                if let Ok(loot) = &mut told {
                    loot.truncate(MOST_LOOT);
                }
                link.say(&Word::Told(told))?;
            }
            Some((Order::Call, _)) => link.say(&Word::Here)?,
            Some((Order::End | Order::Scene(_), _)) | None => return Ok(()),
        }
    }
}

fn perform(scene: &Scene) -> Attempted {
    let probe = battery::find(&scene.id);
    let probe = probe.ok_or_else(|| Stop::Broken(format!("there is no probe {}", scene.id)))?;
    match probe.control {
        Control::Careless(control) if scene.place == CONTROL => control(scene),
        Control::Careless(_) | Control::Agent | Control::Root => (probe.run)(scene),
    }
}

/// Sends the challenge through what every agent needs: a file it may write, if there is a place for one,
/// and a program it starts.
fn prove_life(scene: &Scene) -> Result<String, Stop> {
    if scene.scratch.is_empty() {
        return start(&["echo", &scene.challenge]);
    }
    let file = scene.in_scratch(&format!("alive-{}", scene.challenge));
    std::fs::write(&file, &scene.challenge)?;
    let said = start(&["alive", &file])?;
    std::fs::remove_file(&file)?;
    Ok(said)
}

/// This program as a child, with `words`; what it says.
///
/// # Errors
/// [`Stop`].
pub(super) fn start(words: &[&str]) -> Result<String, Stop> {
    start_copy(SELF, words)
}

/// As [`start`], from a copy of this program at `path`.
///
/// # Errors
/// [`Stop`].
#[allow(clippy::disallowed_methods, reason = "the prober shows that programs can be started")]
pub(super) fn start_copy(path: &str, words: &[&str]) -> Result<String, Stop> {
    let mut child = std::process::Command::new(path);
    child.arg(NAME).args(words).stdin(Stdio::null()).stderr(Stdio::null());
    let output = child.output()?;
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Some(errno @ 1..255) => Err(Stop::Refused(errno)),
        status => Err(Stop::Broken(format!("the child ended with {status:?}"))),
    }
}

fn alive(file: &str) -> Result<(), Stop> {
    echo(&std::fs::read(file)?)
}

fn echo(text: &[u8]) -> Result<(), Stop> {
    rustix::io::write(rustix::stdio::stdout(), text)?;
    Ok(())
}
