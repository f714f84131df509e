//! The only place that prints.
//!
//! Decides: what reaches standard output and error, and in which colour. Must never: let a character
//! through that moves the cursor or hides something (strings come from profiles, paths and agents),
//! colour what is not a terminal, or turn a closed pipe (`cellblock … | head`) into a message.
//!
//! Before: every verb. After: the person or program that reads.

use crate::terminal::plain::plain_message;
use crate::terminal::size::{self, Size};
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also where the output is not a terminal.
    Always,
    /// Nowhere.
    Never,
}

/// What a piece of text means, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// No colour.
    Plain,
}

impl Tone {
    /// The SGR sequence (ECMA-48 8.3.117).
    fn sequence(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Plain => "",
        }
    }
}

/// Standard output and error.
#[derive(Debug)]
pub struct Output {
    colored: bool,
    /// Whether a line that is to be replaced stands on standard error.
    passing: bool,
    /// The first failure to write; nothing is written after it.
    failed: Option<io::Error>,
}

/// Whether `choice` means colours on standard output.
fn is_colored(choice: ColorChoice) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let dumb = set("TERM").is_none_or(|term| term == "dumb");
            io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb
        }
    }
}

impl Output {
    /// For a person who wants colours as in `choice`.
    #[must_use]
    pub fn new(choice: ColorChoice) -> Self {
        Self { colored: is_colored(choice), passing: false, failed: None }
    }

    /// Whether colours are wanted.
    #[must_use]
    pub fn is_colored(&self) -> bool {
        self.colored
    }

    /// Prints `text` to standard output, line by line.
    pub fn text(&mut self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }

    /// Prints one line to standard output.
    pub fn line(&mut self, line: &str) {
        self.write(&format!("{}\n", plain_message(line)));
    }

    /// Prints the cells of one line, each in its tone, with a space between.
    pub fn cells(&mut self, cells: &[(Tone, String)]) {
        let shown = cells.iter().map(|(tone, text)| self.painted(*tone, text));
        let line = shown.collect::<Vec<_>>().join(" ");
        self.write(&format!("{}\n", line.trim_end()));
    }

    fn painted(&self, tone: Tone, text: &str) -> String {
        let text = plain_message(text);
        if !self.colored || tone == Tone::Plain {
            return text;
        }
        format!("{}{text}\x1b[0m", tone.sequence())
    }

    /// Prints `value` as JSON in ASCII alone: what is not is written as `\u` and four digits.
    pub fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.write(&format!("{}\n", ascii(&text))),
            Err(error) => self.failed = self.failed.take().or(Some(error.into())),
        }
    }

    /// The same on one line.
    pub fn json_line(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.write(&format!("{}\n", ascii(&text))),
            Err(error) => self.failed = self.failed.take().or(Some(error.into())),
        }
    }

    /// Prints bytes that cellblock made itself, such as a man page, as they are.
    pub fn generated(&mut self, bytes: &[u8]) {
        self.pass("");
        if self.failed.is_none() {
            self.failed = io::stdout().write_all(bytes).err();
        }
    }

    fn write(&mut self, text: &str) {
        self.generated(text.as_bytes());
    }

    /// Prints `message` to standard error, each unindented line of it as `cellblock: …`; hints follow
    /// their message indented.
    pub fn complain(&mut self, message: &impl fmt::Display) {
        let prefix = |line: &str| if line.starts_with(' ') { "" } else { "cellblock: " };
        let message = message.to_string();
        let lines = message.lines().map(|line| format!("{}{line}\n", prefix(line)));
        self.error_text(&lines.collect::<String>());
    }

    /// Whether standard error is a terminal on which a line can be replaced.
    #[must_use]
    pub fn has_passing_line(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        io::stderr().is_terminal() && !dumb
    }

    /// Shows `line` on standard error until something else is printed there or another line passes; an
    /// empty one takes it away. Only for a terminal ([`Output::has_passing_line`]).
    pub fn pass(&mut self, line: &str) {
        if line.is_empty() && !self.passing {
            return;
        }
        self.passing = !line.is_empty();
        let columns = size::get(io::stderr()).map_or(Size::DEFAULT, Size::or_default).columns;
        // A line that fills the last column would wrap, and could not be replaced.
        let width = usize::from(columns).saturating_sub(1);
        let shown: String = plain_message(line).chars().take(width).collect();
        // To the line's start, and nothing behind what is written now (ECMA-48 8.3.41). Where standard
        // error cannot be written nobody sees how far it is.
        drop(io::stderr().write_all(format!("\r{shown}\x1b[K").as_bytes()));
    }

    /// Prints `text` to standard error, line by line.
    pub fn error_text(&mut self, text: &str) {
        self.pass("");
        // Both go to the same terminal: what was printed before comes before.
        self.flush();
        let shown: String = text.lines().map(|line| plain_message(line) + "\n").collect();
        // Where standard error cannot be written there is nobody left to tell.
        drop(io::stderr().write_all(shown.as_bytes()));
    }

    /// Whether nothing that is printed to standard output is read or kept any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = io::stdout().flush().err();
        }
    }

    /// Ends the printing.
    ///
    /// # Errors
    /// What kept the output from being written; a reader who had enough is none.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush();
        match self.failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            Some(_) | None => Ok(()),
        }
    }
}

/// `json` with every character that is not plain ASCII escaped; outside strings JSON has none.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || (' '..='~').contains(&c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units).iter();
            out.extend(units.map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Shows warnings on standard error, and what cellblock does where `verbose` asks for it.
///
/// A service says what happens also where nobody asks for more: that is its log.
pub fn trace(verbose: u8, service: bool) {
    let level = match verbose {
        0 if service => tracing::Level::INFO,
        0 => tracing::Level::WARN,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    subscriber.with_target(false).without_time().with_writer(|| Visible).init();
}

/// Standard error for the tracing: every line is made visible.
struct Visible;

impl io::Write for Visible {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let shown = text.lines().map(|line| plain_message(line) + "\n").collect::<String>();
        io::stderr().write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_move_a_cursor_or_turn_text() {
        let text = serde_json::to_string("é\u{9b}2J\u{202e}🙂\u{7f}").unwrap();
        let shown = ascii(&text);
        assert!(shown.chars().all(|c| (' '..='~').contains(&c)), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "é\u{9b}2J\u{202e}🙂\u{7f}");
    }

    #[test]
    fn colours_only_where_wanted_and_never_around_nothing() {
        let with = Output { colored: true, passing: false, failed: None };
        let without = Output { colored: false, passing: false, failed: None };
        assert_eq!(with.painted(Tone::Bad, "x\x1b[0m"), "\x1b[31mx\\x1b[0m\x1b[0m");
        assert_eq!(with.painted(Tone::Plain, "x"), "x");
        assert_eq!(without.painted(Tone::Bad, "x"), "x");
    }
}
