//! How many rows and columns a terminal has.
//!
//! Decides: nothing; carries a size from one terminal to another (`ioctl_tty(2)`).
//! Does not protect against a storm of changes: the outer loop reads the size once for each turn of
//! the loop, however many `SIGWINCH` came in between.

use super::TerminalError;
use rustix::fd::AsFd;
use rustix::termios::Winsize;
use serde::{Deserialize, Serialize};

/// A terminal's size in character cells. Pixels are not carried: a jail has no use for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines from top to bottom.
    pub rows: u16,
    /// Cells from left to right.
    pub columns: u16,
}

impl Size {
    /// What a VT100 had; used where a terminal says 0.
    pub const DEFAULT: Self = Self { rows: 24, columns: 80 };

    /// `self`, with [`Self::DEFAULT`] in the place of each 0.
    #[must_use]
    pub fn or_default(self) -> Self {
        let or = |value, default| if value == 0 { default } else { value };
        Self {
            rows: or(self.rows, Self::DEFAULT.rows),
            columns: or(self.columns, Self::DEFAULT.columns),
        }
    }
}

/// The size of the terminal `fd`.
///
/// # Errors
/// [`TerminalError::ReadSize`]; `ENOTTY` where `fd` is no terminal.
pub fn get(fd: impl AsFd) -> Result<Size, TerminalError> {
    let size = rustix::termios::tcgetwinsize(fd).map_err(TerminalError::ReadSize)?;
    Ok(Size { rows: size.ws_row, columns: size.ws_col })
}

/// Gives the terminal `fd` the size `size`; the kernel tells its foreground processes by `SIGWINCH`.
///
/// # Errors
/// [`TerminalError::SetSize`].
pub fn set(fd: impl AsFd, size: Size) -> Result<(), TerminalError> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(fd, size).map_err(TerminalError::SetSize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::testing::Pty;

    #[test]
    fn a_size_set_on_the_master_is_read_on_the_slave() {
        let pty = Pty::open();
        set(&pty.master, Size { rows: 33, columns: 101 }).unwrap();
        assert_eq!(get(&pty.slave).unwrap(), Size { rows: 33, columns: 101 });
    }

    #[test]
    fn a_terminal_without_a_size_counts_as_a_vt100() {
        assert_eq!(Size { rows: 0, columns: 0 }.or_default(), Size::DEFAULT);
        let narrow = Size { rows: 0, columns: 40 };
        assert_eq!(narrow.or_default(), Size { rows: 24, columns: 40 });
    }

    #[test]
    fn a_pipe_has_no_size() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        assert_eq!(get(&read), Err(TerminalError::ReadSize(rustix::io::Errno::NOTTY)));
    }
}
