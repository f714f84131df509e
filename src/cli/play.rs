//! `cellblock play`: what a session showed, once more.

use super::error::CliError;
use super::output::{Output, Tone};
use super::verify::date;
use crate::exit::Exit;
use crate::host;
use crate::limits::Unit;
use crate::limits::hits::amount;
use crate::planning::{self, wrong};
use crate::terminal::filter::{Charset, TextFilter};
use crate::terminal::plain::plain_within;
use crate::terminal::recording::catalog::Summary;
use crate::terminal::recording::format::LONGEST;
use crate::terminal::recording::player::{SPEEDS, Wish};
use crate::terminal::recording::stage::Ending;
use crate::terminal::recording::{Catalog, FOLDER, Player, Recording, Stage, Tape, What};
use crate::terminal::size::{self, Size};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most characters of a line of text; a longer one becomes several.
const WIDEST: usize = 4096;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Play {
    /// List the agent's recordings
    #[arg(long, conflicts_with_all = ["text", "number", "speed", "idle_limit", "at"])]
    list: bool,
    /// List them as JSON
    #[arg(long, requires = "list")]
    json: bool,
    /// Which recording of the agent; the newest where none is named
    #[arg(long, short = 'n', value_name = "NUMBER")]
    number: Option<u64>,
    /// How many times as fast as it was
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = speed)]
    speed: f64,
    /// The longest pause that is shown
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    idle_limit: Duration,
    /// Begin there: what came before is shown at once
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    at: Duration,
    /// Print the text alone, without waiting; so it is where standard output is no terminal
    #[arg(long, conflicts_with_all = ["speed", "idle_limit", "at"])]
    text: bool,
    /// The installation's configuration instead of /etc/cellblock/config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The agent, or the file of a recording: with `/` in its name, or ending in .cast
    #[arg(value_name = "NAME")]
    name: String,
}

const EXAMPLES: &str = "\
Sessions are recorded where the profile says `record = true` in [terminal], in
/var/log/cellblock/recordings/NAME, out of the agent's reach. Other players of asciicast v3 show the
files, too.

Keys while it plays:
  space  pause and go on     + -  twice and half as fast     → ← or > <  10 seconds on and back
  .      the next output     q or Ctrl-C  end

Examples:
  sudo cellblock play claude
  sudo cellblock play claude --list
  sudo cellblock play claude --number 12 --speed 4 --at 600
  sudo cellblock play claude --text | grep -n error
  cellblock play ./session.cast";

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| SPEEDS.contains(speed));
    speed.ok_or_else(|| format!("a speed is from {} to {}", SPEEDS.start(), SPEEDS.end()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| *time <= LONGEST);
    time.ok_or_else(|| format!("a time is from 0 to {} seconds", LONGEST.as_secs()))
}

impl Play {
    /// Plays it, or prints what there is.
    ///
    /// # Errors
    /// Where there is nothing to play, it cannot be read, or the terminal fails.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        if self.is_file() {
            if self.list || self.number.is_some() {
                let cause = format!("`{}` is a file, and holds one recording", self.name);
                return Err(wrong("NAME", cause, "name the agent").into());
            }
            return self.show(Tape::new(PathBuf::from(&self.name), Vec::new())?, out);
        }
        if let Err(cause) = crate::profile::types::AgentName::parse(&self.name) {
            let hint = "name an agent, or a file with `/` in its name or ending in .cast";
            return Err(wrong("NAME", cause, hint).into());
        }
        let config = planning::config(self.config.as_deref(), &host::probe::caller())?;
        let folder = Path::new(&config.paths.log.value).join(FOLDER);
        let catalog = Catalog::read(&folder, &self.name)?;
        if self.list {
            return Ok(list(&catalog, self.json, out));
        }
        let recording = catalog.find(self.number)?;
        if recording.lacks_beginning() {
            let number = recording.number;
            out.complain(&format_args!(
                "the beginning of recording {number} was removed to make room"
            ));
        }
        self.show(catalog.tape(recording)?, out)
    }

    fn is_file(&self) -> bool {
        self.name.contains('/') || self.name.ends_with(".cast")
    }

    fn show(&self, mut tape: Tape, out: &mut Output) -> Result<Exit, CliError> {
        let on_terminal = rustix::termios::isatty(rustix::stdio::stdout());
        let shown = if self.text || !on_terminal {
            text(&mut tape, out).map(|()| Exit::Success)
        } else {
            self.play(&mut tape, out)
        };
        for file in tape.cut() {
            out.complain(&format_args!(
                "{file} ends in the middle of a line, as where its recorder was killed"
            ));
        }
        shown
    }

    fn play(&self, tape: &mut Tape, out: &mut Output) -> Result<Exit, CliError> {
        let recorded = tape.header().size;
        let here = size::get(rustix::stdio::stdout())?.or_default();
        if here.columns < recorded.columns || here.rows < recorded.rows {
            let text = |size: Size| format!("{}x{}", size.columns, size.rows);
            out.complain(&format_args!(
                "this terminal has {} and the recording {}: lines will be in wrong places",
                text(here),
                text(recorded)
            ));
        }
        let mut stage = Stage::open(Charset::of_environment())?;
        let wish = Wish { speed: self.speed, idle_limit: self.idle_limit, at: self.at };
        let ending = stage.play(tape, &mut Player::new(wish, Instant::now()));
        // Before what failed is told: it would be told to a terminal in raw mode.
        stage.close()?;
        Ok(match ending? {
            Ending::Done => Exit::Success,
            Ending::Signal(signal) => Exit::Signal(u8::try_from(signal as i32).unwrap_or(u8::MAX)),
        })
    }
}

/// Prints the text of `tape`, as far as somebody reads it.
fn text(tape: &mut Tape, out: &mut Output) -> Result<(), CliError> {
    let mut filter = TextFilter::new();
    let mut text = String::new();
    while let Some(event) = tape.next_event()? {
        match event.what {
            What::Output(bytes) => filter.feed(bytes.as_bytes(), &mut text),
            What::Marker(marker) => {
                end_line(&mut text);
                text.push_str(&format!("-- {}\n", plain_within(&marker, WIDEST)));
            }
            What::Input(_) | What::Resize(_) | What::Exit(_) | What::Unknown(_) => {}
        }
        let whole = match text.rfind('\n') {
            Some(at) => at + 1,
            None if text.len() > WIDEST => text.len(),
            None => 0,
        };
        print(&text[..whole], out);
        text.drain(..whole);
        if out.has_failed() {
            break;
        }
    }
    print(&text, out);
    Ok(())
}

fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

fn print(text: &str, out: &mut Output) {
    text.lines().for_each(|line| out.line(&plain_within(line, WIDEST)));
}

/// A recording in the list.
#[derive(Debug, Serialize)]
struct Row {
    number: u64,
    /// Seconds since 1970-01-01 UTC.
    begun: Option<u64>,
    /// From the first event to the last.
    seconds: Option<f64>,
    /// The status that the session ended with.
    status: Option<i32>,
    bytes: u64,
    /// Whether its beginning was removed to make room.
    lacks_beginning: bool,
}

/// Prints what `catalog` has. What cannot be read is told, and the others are listed all the same.
fn list(catalog: &Catalog, json: bool, out: &mut Output) -> Exit {
    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    for recording in &catalog.recordings {
        let summary = catalog.summary(recording).map_err(|error| {
            out.complain(&CliError::from(error));
            exit = Exit::FoundProblems;
        });
        rows.push(row(recording, summary.ok()));
    }
    if json {
        out.json(&rows);
    } else {
        out.line("NUMBER  BEGUN                     LENGTH      SIZE");
        rows.iter().for_each(|row| print_row(row, out));
    }
    exit
}

fn row(recording: &Recording, summary: Option<Summary>) -> Row {
    Row {
        number: recording.number,
        begun: summary.and_then(|summary| summary.begun),
        seconds: summary.map(|summary| summary.time.as_secs_f64()),
        status: summary.and_then(|summary| summary.status),
        bytes: recording.length(),
        lacks_beginning: recording.lacks_beginning(),
    }
}

fn print_row(row: &Row, out: &mut Output) {
    let begun = row.begun.map_or_else(|| "?".to_owned(), date);
    let length = row.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let length = length.map_or_else(|| "?".to_owned(), clock);
    let size = amount(Unit::Bytes, row.bytes);
    let status = row.status.map(|status| format!("  status {status}")).unwrap_or_default();
    let lacks = if row.lacks_beginning { "  its beginning was removed" } else { "" };
    let cells = format!("{:>6}  {begun:<20}  {length:>10}  {size:>8}{status}{lacks}", row.number);
    out.cells(&[(Tone::Plain, cells)]);
}

/// Hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_command_line_are_bounded() {
        assert_eq!((speed("0.5"), speed("16")), (Ok(0.5), Ok(16.0)));
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "inf", "nan", "1e9", "fast", ""] {
            assert!(speed(text).is_err(), "{text}");
        }
        for text in ["-1", "inf", "nan", "1e9", "soon", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_length_is_that_of_a_clock() {
        assert_eq!(clock(Duration::from_millis(59_999)), "0:00:59");
        assert_eq!(clock(Duration::from_secs(100 * 3600 + 61)), "100:01:01");
    }
}
