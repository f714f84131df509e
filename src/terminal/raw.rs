//! A person's terminal in raw mode, and back.
//!
//! Decides: when the settings change and that they come back, whichever way the session ends.
//! Must never: wait for a terminal that takes no output (hence `TCSANOW`, not `TCSADRAIN`), or leave
//! unread input for the person's shell: what a hostile program made the terminal type as an answer
//! would be run there.
//!
//! Before: the profile and the plan are accepted. After: [`super::reset`] is written, then
//! [`RawMode::restore`]. Does not protect against being killed by `SIGKILL`: `stty sane` helps then.

use super::TerminalError;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, Termios, tcflush,
    tcgetattr, tcsetattr,
};

/// A terminal that is raw for as long as this value lives.
#[derive(Debug)]
#[must_use = "the terminal is restored as soon as this is dropped"]
pub struct RawMode<F: AsFd> {
    terminal: F,
    saved: Option<Termios>,
}

impl<F: AsFd> RawMode<F> {
    /// Saves the settings of `terminal` and makes it raw (`cfmakeraw(3)`): every key goes to the jail,
    /// Ctrl-C too.
    ///
    /// # Errors
    /// [`TerminalError::ReadSettings`], [`TerminalError::EnterRaw`], [`TerminalError::PartlyRaw`].
    pub fn enter(terminal: F) -> Result<Self, TerminalError> {
        let saved = tcgetattr(&terminal).map_err(TerminalError::ReadSettings)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw).map_err(TerminalError::EnterRaw)?;
        let guard = Self { terminal, saved: Some(saved) };
        // tcsetattr(3) succeeds when any one of the changes could be made.
        let now = tcgetattr(&guard.terminal).map_err(TerminalError::ReadSettings)?;
        if is_raw(&now) { Ok(guard) } else { Err(TerminalError::PartlyRaw) }
    }

    /// The settings that are brought back; none once they are.
    #[must_use]
    pub fn saved(&self) -> Option<&Termios> {
        self.saved.as_ref()
    }

    /// Throws unread input away and brings the saved settings back. A second call does nothing.
    ///
    /// # Errors
    /// [`TerminalError::Restore`]; the guard then tries once more when it is dropped.
    pub fn restore(&mut self) -> Result<(), TerminalError> {
        let Some(saved) = &self.saved else { return Ok(()) };
        let flushed = tcflush(&self.terminal, QueueSelector::IFlush);
        match flushed.and_then(|()| tcsetattr(&self.terminal, OptionalActions::Now, saved)) {
            // EIO: the terminal hung up, and has no settings any more (termios(3)).
            Ok(()) | Err(Errno::IO) => self.saved = None,
            Err(errno) => return Err(TerminalError::Restore(errno)),
        }
        Ok(())
    }
}

impl<F: AsFd> Drop for RawMode<F> {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tracing::warn!(%error, "the terminal stays raw; `stty sane` brings it back");
        }
    }
}

/// Whether nothing between the terminal and us interprets bytes.
fn is_raw(settings: &Termios) -> bool {
    let local = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
    let input = InputModes::ICRNL | InputModes::IXON;
    !settings.local_modes.intersects(local)
        && !settings.input_modes.intersects(input)
        && !settings.output_modes.contains(OutputModes::OPOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::testing::Pty;

    fn shape(pty: &Pty) -> (LocalModes, InputModes, OutputModes) {
        let settings = tcgetattr(&pty.slave).unwrap();
        (settings.local_modes, settings.input_modes, settings.output_modes)
    }

    #[test]
    fn a_terminal_is_raw_while_the_guard_lives_and_as_before_afterwards() {
        let pty = Pty::open();
        let before = shape(&pty);
        {
            let _guard = RawMode::enter(&pty.slave).unwrap();
            assert!(is_raw(&tcgetattr(&pty.slave).unwrap()));
        }
        assert_eq!(shape(&pty), before);
    }

    #[test]
    fn restoring_twice_is_the_same_as_once() {
        let pty = Pty::open();
        let before = shape(&pty);
        let mut guard = RawMode::enter(&pty.slave).unwrap();
        guard.restore().unwrap();
        assert_eq!(shape(&pty), before);
        guard.restore().unwrap();
    }

    #[test]
    fn what_was_typed_for_the_jail_does_not_reach_the_shell_afterwards() {
        let pty = Pty::open();
        let mut guard = RawMode::enter(&pty.slave).unwrap();
        rustix::io::write(&pty.master, b"rm -rf ~\r").unwrap();
        guard.restore().unwrap();
        crate::terminal::descriptor::set_nonblocking(&pty.slave).unwrap();
        assert_eq!(rustix::io::read(&pty.slave, &mut [0u8; 16]), Err(Errno::AGAIN));
    }

    #[test]
    fn a_pipe_cannot_be_raw() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let error = RawMode::enter(&read).unwrap_err();
        assert_eq!(error, TerminalError::ReadSettings(Errno::NOTTY));
        assert!(error.to_string().starts_with("cannot read the settings of the terminal: "));
    }
}
