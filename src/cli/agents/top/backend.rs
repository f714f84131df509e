//! What was drawn, as bytes for a terminal.
//!
//! Only what every terminal with ECMA-48 sequences knows is written: the cursor's place, four colours, bold, dim and
//! reversed. Must never: write a symbol that is a control, or one that the terminal's charset does not have.

use crate::terminal::filter::Charset;
use crate::terminal::size::Size;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size as Area};
use ratatui::style::{Color, Modifier};
use std::convert::Infallible;
use std::fmt::Write as _;

/// A terminal that takes bytes.
#[derive(Debug)]
pub(super) struct Ansi {
    out: String,
    size: Size,
    charset: Charset,
    colored: bool,
}

impl Ansi {
    pub(super) fn new(size: Size, charset: Charset, colored: bool) -> Self {
        Self { out: String::new(), size, charset, colored }
    }

    /// What there is to write since it was asked last.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// The terminal has another size.
    pub(super) fn fit(&mut self, size: Size) {
        self.size = size;
    }

    fn style(&self, cell: &Cell) -> String {
        let mut sequence = "\x1b[0".to_owned();
        for (modifier, code) in
            [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::REVERSED, ";7")]
        {
            if cell.modifier.contains(modifier) {
                sequence.push_str(code);
            }
        }
        if self.colored {
            sequence.push_str(color(cell.fg));
        }
        sequence.push('m');
        sequence
    }

    fn symbol<'c>(&self, cell: &'c Cell) -> &'c str {
        let symbol = cell.symbol();
        let shown = self.charset == Charset::Utf8 || symbol.is_ascii();
        if shown && !symbol.chars().any(char::is_control) { symbol } else { "?" }
    }
}

/// The colours that are used (ECMA-48 8.3.117); others are those of the terminal.
const COLORS: [(Color, &str); 4] =
    [(Color::Red, ";31"), (Color::Green, ";32"), (Color::Yellow, ";33"), (Color::Cyan, ";36")];

fn color(color: Color) -> &'static str {
    COLORS.iter().find(|(known, _)| *known == color).map_or("", |(_, code)| code)
}

/// Writing to a string does not fail.
macro_rules! add {
    ($self:expr, $($arguments:tt)*) => {{
        let written = write!($self.out, $($arguments)*);
        debug_assert!(written.is_ok());
    }};
}

impl Backend for Ansi {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let (mut next, mut style) = (None, String::new());
        for (column, row, cell) in content {
            if next != Some((column, row)) {
                add!(self, "\x1b[{};{}H", u32::from(row) + 1, u32::from(column) + 1);
            }
            let wanted = self.style(cell);
            if wanted != style {
                self.out.push_str(&wanted);
                style = wanted;
            }
            let symbol = self.symbol(cell);
            self.out.push_str(symbol);
            // Of what takes two cells nobody knows where this terminal puts what follows.
            next = symbol.is_ascii().then_some((column.saturating_add(1), row));
        }
        Ok(())
    }

    /// Whoever takes the terminal hides the cursor and shows it again.
    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, at: P) -> Result<(), Infallible> {
        let Position { x, y } = at.into();
        add!(self, "\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.out.push_str("\x1b[0m\x1b[2J");
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        self.clear()
    }

    fn size(&self) -> Result<Area, Infallible> {
        Ok(Area::new(self.size.columns, self.size.rows))
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Area::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::style::Style;

    fn drawn(charset: Charset, colored: bool, text: &str, style: Style) -> String {
        let size = Size { rows: 2, columns: 10 };
        let mut terminal = Terminal::new(Ansi::new(size, charset, colored)).unwrap();
        let put = |frame: &mut ratatui::Frame<'_>| {
            frame.buffer_mut().set_stringn(1, 1, text, 9, style);
        };
        terminal.draw(put).unwrap();
        terminal.backend_mut().take()
    }

    #[test]
    fn what_is_drawn_stands_where_it_belongs() {
        let of = |number| std::num::NonZero::new(number).unwrap();
        let mut parser = vt100::Parser::new(of(2), of(10), 0);
        let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        parser.process(drawn(Charset::Utf8, true, "a\u{2588}b漢c", style).as_bytes());
        assert_eq!(parser.screen().contents(), "\n a\u{2588}b漢c");
        let cell = parser.screen().cell(1, 1).unwrap();
        assert!(cell.bold() && cell.fgcolor() == vt100::Color::Idx(1));
    }

    #[test]
    fn without_colours_what_is_bold_stays_so() {
        let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let written = drawn(Charset::Utf8, false, "x", style);
        assert!(written.contains("\x1b[0;1m") && !written.contains("31"), "{written:?}");
    }

    #[test]
    fn nothing_but_ascii_reaches_a_terminal_without_utf8() {
        let written = drawn(Charset::Ascii, true, "a\u{2588}é", Style::new());
        assert!(written.is_ascii() && written.contains("a?"), "{written:?}");
    }
}
