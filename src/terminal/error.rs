//! What can go wrong with a terminal, by verb, object and errno.

use rustix::io::Errno;

/// A terminal or a pty refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TerminalError {
    /// `tcgetattr(3)` failed; `ENOTTY` where the descriptor is no terminal.
    #[error("cannot read the settings of the terminal: {0}")]
    ReadSettings(#[source] Errno),
    /// `tcsetattr(3)` failed on the way into raw mode.
    #[error("cannot put the terminal into raw mode: {0}")]
    EnterRaw(#[source] Errno),
    /// `tcsetattr(3)` reported success, yet echo, lines or signals are still on.
    #[error("cannot put the terminal into raw mode: it took only a part of the settings")]
    PartlyRaw,
    /// `tcsetattr(3)` failed on the jail's pty.
    #[error("cannot keep the jail's pty from showing what is typed: {0}")]
    Echo(#[source] Errno),
    /// `tcsetattr(3)` failed on the way back.
    #[error("cannot restore the settings of the terminal: {0}")]
    Restore(#[source] Errno),
    /// `TIOCGWINSZ` failed.
    #[error("cannot read the size of the terminal: {0}")]
    ReadSize(#[source] Errno),
    /// `TIOCSWINSZ` failed.
    #[error("cannot set the size of the terminal: {0}")]
    SetSize(#[source] Errno),
    /// `FIONBIO` failed.
    #[error("cannot make the descriptor non-blocking: {0}")]
    Nonblocking(#[source] Errno),
    /// `open(2)` of the terminal's device failed; `EACCES` after a change of user.
    #[error("cannot open the terminal once more: {0}")]
    Reopen(#[source] Errno),
    /// `read(2)` failed on the person's terminal.
    #[error("cannot read from the terminal: {0}")]
    ReadTerminal(#[source] Errno),
    /// `write(2)` failed on the person's terminal.
    #[error("cannot write to the terminal: {0}")]
    WriteTerminal(#[source] Errno),
    /// `read(2)` failed on the jail's pty.
    #[error("cannot read from the jail's pty: {0}")]
    ReadPty(#[source] Errno),
    /// `signalfd(2)` or `poll(2)` failed.
    #[error("cannot wait for the terminal: {0}")]
    Wait(#[source] Errno),
    /// `write(2)` failed on the jail's pty.
    #[error("cannot write to the jail's pty: {0}")]
    WritePty(#[source] Errno),
}
