"""Draws what `tmux capture-pane -e -p` gives as an SVG: standard input to standard output, as `svg.py TITLE DESCRIPTION COMMENT`."""

import html
import re
import sys
import unicodedata

CELL = (8.4, 18)
MARGIN = 14
PAPER, INK = "#1d1f21", "#c5c8c6"
COLORS = {31: "#e06c75", 32: "#8abf5a", 33: "#e5c07b", 36: "#56b6c2", 39: None}
FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"


class Style:
    """What the sequences so far make of text."""

    def __init__(self):
        self.color, self.bold, self.dim, self.reversed = None, False, False, False

    def key(self):
        return (self.color, self.bold, self.dim, self.reversed)

    def obey(self, codes):
        for code in [int(code or 0) for code in codes.split(";")]:
            if code == 0:
                self.__init__()
            elif code in (1, 2):
                self.bold, self.dim = self.bold or code == 1, self.dim or code == 2
            elif code == 22:
                self.bold = self.dim = False
            elif code in (7, 27):
                self.reversed = code == 7
            elif code == 49:  # the usual paper, on which all is drawn
                pass
            elif code in COLORS:
                self.color = COLORS[code]
            else:
                sys.exit(f"svg.py: what is SGR {code}?")


def runs(line, style):
    """Pieces of `line` in one style each: column, text, style."""
    column, found = 0, []
    for piece in re.split(r"(\x1b\[[0-9;]*m|\x0e|\x0f)", line):
        if piece.startswith("\x1b["):
            style.obey(piece[2:-1])
        elif piece not in ("", "\x0e", "\x0f"):
            found.append((column, piece, style.key()))
            column += sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in piece)
    return found


def drawn(row, column, text, style):
    """SVG elements of a piece of text."""
    color, bold, dim, turned = style
    left, top = MARGIN + column * CELL[0], MARGIN + row * CELL[1] + 2
    ink, out = color or INK, []
    if turned:
        out.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{len(text) * CELL[0]:.1f}" height="{CELL[1]}" fill="{ink}"/>')
        ink = PAPER
    for match in re.finditer(r"\S+(?: \S+)*", text):
        x, word = left + match.start() * CELL[0], match.group()
        marks = f' fill="{ink}"' if ink != INK else ""
        marks += ' font-weight="bold"' if bold else ""
        marks += ' opacity="0.6"' if dim and not turned else ""
        out.append(
            f'<text x="{x:.1f}" y="{top + 14:.0f}" textLength="{len(word) * CELL[0]:.1f}"{marks}>{html.escape(word)}</text>'
        )
    return out


def main():
    title, description, comment = sys.argv[1:4]
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style, body, width = Style(), [], 80
    for row, line in enumerate(lines):
        pieces = runs(line, style)
        width = max([width, *(column + len(text) for column, text, _ in pieces)])
        for column, text, key in pieces:
            body.extend(drawn(row, column, text, key))
    size = (round(2 * MARGIN + width * CELL[0]), 2 * MARGIN + len(lines) * CELL[1])
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}" role="img">')
    print(f"<title>{html.escape(title)}</title>\n<desc>{html.escape(description)}</desc>\n<!-- {comment} -->")
    print(f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>')
    print(f'<g font-family="{FONT}" font-size="14" fill="{INK}" xml:space="preserve">')
    print("\n".join(body))
    print("</g>\n</svg>")


main()
