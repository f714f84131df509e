//! The lines of a recording, written and read.
//!
//! Decides: the form of a line, and what a line means. Must never: take a number for a time or a size
//! that it cannot be.

#![forbid(unsafe_code)]

use crate::terminal::size::Size;
use serde_json::Value;
use std::time::Duration;

/// The end of the year 9999 in seconds since 1970-01-01 UTC: nothing begins later.
const LAST_SECOND: u64 = 253_402_300_799;
/// The version of the format.
pub const VERSION: u64 = 3;
/// The longest time between two events; a longer one is no recording of ours, nor of anybody.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Rows and columns, at most: the bound of [`super::super::filter::policy`] on places on a screen.
const MOST_CELLS: u64 = 9999;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The size of the terminal at the beginning.
    pub size: Size,
    /// What the terminal takes, such as `xterm-256color`; empty where nobody says.
    pub terminal: String,
    /// When it began, in seconds since 1970-01-01 UTC, by a clock that may have been set.
    pub begun: Option<u64>,
    /// What it shows; empty where nobody says.
    pub title: String,
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time since the event before, or since the beginning.
    pub after: Duration,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `o`: the terminal was written to.
    Output(String),
    /// `i`: somebody typed. Never written by cellblock.
    Input(String),
    /// `m`: a place to find again.
    Marker(String),
    /// `r`: the terminal has another size.
    Resize(Size),
    /// `x`: the session ended with this status.
    Exit(i32),
    /// Something that is not known here.
    Unknown(String),
}

impl Header {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let Size { columns, rows } = self.size;
        let text = |text: &str| Value::from(text).to_string();
        let begun = self.begun.map_or_else(String::new, |begun| format!("\"timestamp\":{begun},"));
        format!(
            "{{\"version\":{VERSION},\"term\":{{\"cols\":{columns},\"rows\":{rows},\"type\":{}}},{begun}\"title\":{}}}\n",
            text(&self.terminal),
            text(&self.title)
        )
    }

    /// Reads the line.
    ///
    /// # Errors
    /// A clause that says what is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|_| NO_HEADER.to_owned())?;
        match value.get("version").map(Value::as_u64) {
            Some(Some(VERSION)) => {}
            Some(Some(other)) => {
                return Err(format!("says version {other}, and version {VERSION} alone is read"));
            }
            Some(None) | None => return Err(NO_HEADER.to_owned()),
        }
        let term = &value["term"];
        let size = size(term["cols"].as_u64(), term["rows"].as_u64());
        let size = size.ok_or("has no size of a terminal in `term`")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            size,
            terminal: text(&term["type"]),
            begun: value["timestamp"].as_u64().filter(|begun| *begun <= LAST_SECOND),
            title: text(&value["title"]),
        })
    }
}

const NO_HEADER: &str = "is not the header of an asciicast";

impl Event {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let (code, data) = match &self.what {
            What::Output(text) => ("o", text.clone()),
            What::Input(text) => ("i", text.clone()),
            What::Marker(text) => ("m", text.clone()),
            What::Resize(Size { columns, rows }) => ("r", format!("{columns}x{rows}")),
            What::Exit(status) => ("x", status.to_string()),
            What::Unknown(code) => (code.as_str(), String::new()),
        };
        let (seconds, micros) = (self.after.as_secs(), self.after.subsec_micros());
        let (code, data) = (Value::from(code), Value::from(data));
        format!("[{seconds}.{micros:06}, {code}, {data}]\n")
    }

    /// Reads the line.
    ///
    /// # Errors
    /// A clause that says what is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line)
            .map_err(|error| format!("is not JSON: {error}").replace(" at line 1 column", " at"))?;
        let parts = value.as_array().map(Vec::as_slice);
        let Some([after, Value::String(code), data]) = parts else {
            return Err("is not [seconds, \"code\", data]".to_owned());
        };
        let seconds = after.as_f64().ok_or("does not begin with a number of seconds")?;
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST);
        let time = time.ok_or_else(|| format!("has no time that can be: {after} s"))?;
        Ok(Self { after: time, what: what(code, data)? })
    }
}

fn what(code: &str, data: &Value) -> Result<What, String> {
    let text = || {
        let text = data.as_str().ok_or_else(|| format!("has no text for `{code}`"));
        text.map(str::to_owned)
    };
    Ok(match code {
        "o" => What::Output(text()?),
        "i" => What::Input(text()?),
        "m" => What::Marker(text()?),
        "r" => {
            let cells = |part: &str| part.parse().ok();
            let text = text()?;
            let found = text.split_once('x').and_then(|(c, r)| size(cells(c), cells(r)));
            What::Resize(found.ok_or("has no size such as \"100x30\"")?)
        }
        "x" => What::Exit(text()?.parse().map_err(|_| "has no status that is a number")?),
        _ => What::Unknown(code.to_owned()),
    })
}

fn size(columns: Option<u64>, rows: Option<u64>) -> Option<Size> {
    let cells = |number: Option<u64>| {
        let number = number.filter(|number| (1..=MOST_CELLS).contains(number))?;
        u16::try_from(number).ok()
    };
    Some(Size { columns: cells(columns)?, rows: cells(rows)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_format() {
        let size = Size { columns: 80, rows: 24 };
        let header = Header {
            size,
            terminal: "xterm-256color".to_owned(),
            begun: Some(1_504_467_315),
            title: "a \"b\"".to_owned(),
        };
        assert_eq!(
            header.line(),
            "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24,\"type\":\"xterm-256color\"},\
             \"timestamp\":1504467315,\"title\":\"a \\\"b\\\"\"}\n"
        );
        assert_eq!(Header::parse(&header.line()), Ok(header));
        let after = Duration::from_micros(248_001);
        for (what, line) in [
            (What::Output("\x1b[mé\n".to_owned()), "[0.248001, \"o\", \"\\u001b[mé\\n\"]\n"),
            (What::Input("x".to_owned()), "[0.248001, \"i\", \"x\"]\n"),
            (What::Marker(String::new()), "[0.248001, \"m\", \"\"]\n"),
            (What::Resize(size), "[0.248001, \"r\", \"80x24\"]\n"),
            (What::Exit(-1), "[0.248001, \"x\", \"-1\"]\n"),
        ] {
            let event = Event { after, what };
            assert_eq!(event.line(), line);
            assert_eq!(Event::parse(line), Ok(event));
        }
    }

    #[test]
    fn the_example_of_the_format_is_understood() {
        let header = "{\"version\": 3, \"term\": {\"cols\": 80, \"rows\": 24, \"theme\": {\"fg\": \"#fff\"}}, \
                      \"env\": {\"SHELL\": \"/bin/zsh\"}, \"tags\": [\"x\"]}";
        let header = Header::parse(header).unwrap();
        assert_eq!((header.size, header.begun), (Size::DEFAULT, None));
        let event = Event::parse("[1, \"z\", {\"any\": [1]}]").unwrap();
        assert_eq!((event.after.as_secs(), event.what), (1, What::Unknown("z".to_owned())));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        for (line, cause) in [
            ("{\"version\":2,\"width\":80}", "says version 2, and version 3 alone is read"),
            ("{\"version\":\"3\"}", NO_HEADER),
            ("[]", NO_HEADER),
            ("hello", NO_HEADER),
            ("{\"version\":3}", "has no size of a terminal in `term`"),
            (
                "{\"version\":3,\"term\":{\"cols\":0,\"rows\":1}}",
                "has no size of a terminal in `term`",
            ),
            (
                "{\"version\":3,\"term\":{\"cols\":80,\"rows\":70000}}",
                "has no size of a terminal in `term`",
            ),
        ] {
            assert_eq!(Header::parse(line), Err(cause.to_owned()), "{line}");
        }
        for (line, cause) in [
            ("[1,\"o\",\"x\"", "is not JSON: EOF while parsing a list at 10"),
            ("[1,\"o\"]", "is not [seconds, \"code\", data]"),
            ("{}", "is not [seconds, \"code\", data]"),
            ("[\"1\",\"o\",\"\"]", "does not begin with a number of seconds"),
            ("[-0.5,\"o\",\"\"]", "has no time that can be: -0.5 s"),
            ("[1e300,\"o\",\"\"]", "has no time that can be: 1e+300 s"),
            ("[31622401,\"o\",\"\"]", "has no time that can be: 31622401 s"),
            ("[1,\"o\",7]", "has no text for `o`"),
            ("[1,\"r\",\"80\"]", "has no size such as \"100x30\""),
            ("[1,\"r\",\"80x0\"]", "has no size such as \"100x30\""),
            ("[1,\"x\",\"ok\"]", "has no status that is a number"),
        ] {
            assert_eq!(Event::parse(line), Err(cause.to_owned()), "{line}");
        }
    }
}
