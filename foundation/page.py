"""The one HTML writer: a page that is a single file, opens anywhere and asks the network for nothing.

Style sheet, pictures and the few lines that sort a table are inside the file. Every text is escaped where it
enters the page, so no caller has to think of it. Pictures may have a second version for dark screens, and need
a text that says what they show to those who do not see them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from foundation import durable

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #ffffff; --line: #d9dee5; --tint: #f4f6f9;
  --mark: #0b62a8; --wrong: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9fabb9; --paper: #14181d; --line: #333c47;
  --tint: #1c2229; --mark: #7cbcf2; --wrong: #ff7b6b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.5rem 0 0.75rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0.6rem; padding-top: 0.9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 0.4rem; }
h4 { font-size: 0.95rem; margin: 1rem 0 0.2rem; }
p { margin: 0.5rem 0; max-width: 46rem; overflow-wrap: break-word; }
.soft, figcaption, caption { color: var(--soft); font-size: 0.9rem; }
.lead { font-size: 1.05rem; }
ul { margin: 0.4rem 0; padding-left: 1.2rem; max-width: 46rem; }
li { margin: 0.25rem 0; overflow-wrap: break-word; }
.frame { overflow-x: auto; margin: 0.8rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; min-width: 50%; }
caption { text-align: left; padding-bottom: 0.4rem; }
th, td { padding: 0.35rem 0.6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
td.number, td:first-child { white-space: nowrap; }
td:last-child:not(.number) { min-width: 10rem; } /* words in a wide table must not become a column of single ones */
th { border-bottom: 2px solid var(--line); font-weight: 600; vertical-align: bottom; white-space: nowrap; }
td.number, th.number { text-align: right; }
tbody tr:hover { background: var(--tint); }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--mark); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; display: block; }
pre { background: var(--tint); padding: 0.7rem 0.9rem; overflow-x: auto; font-size: 0.85rem; border-radius: 4px; }
summary { cursor: pointer; color: var(--mark); margin: 0.6rem 0; }
.line { display: grid; grid-template-columns: 6rem 1fr; gap: 0 0.8rem; margin: 0.45rem 0; }
.line > :first-child { color: var(--soft); font-size: 0.9rem; }
.line > :last-child { min-width: 0; overflow-wrap: anywhere; line-height: 1.75; }
.line.two > :last-child { line-height: 1.3; }
.piece { white-space: pre-wrap; border-radius: 3px; }
.piece:hover { outline: 1px solid var(--mark); }
.piece:has(small) { display: inline-block; vertical-align: top; line-height: 1.3;
  padding: 0 0.3em 0.35rem 0; }
.piece small { display: block; color: var(--mark); font-size: 0.85rem; }
.piece.special > span, .piece.border > span { color: var(--soft); font-size: 0.9em; }
.piece.mark { font-weight: 600; }
.piece.random, .piece.random small { color: var(--wrong); }
.piece.kept > span { text-decoration: underline 2px; text-underline-offset: 0.2em; }
.piece.mark, .piece.hit, .piece.said, .piece.border[class*=tint] { padding: 0 0.15em; color: var(--ink);
  background: hsl(var(--hue) 70% 50% / 0.22); }
.piece.hit { box-shadow: inset 0 -2px hsl(var(--hue) 70% 50% / 0.8); }
.tint-0 { --hue: 205; } .tint-1 { --hue: 40; } .tint-2 { --hue: 310; } .tint-3 { --hue: 120; } .tint-4 { --hue: 250; }
.tint-5 { --hue: 180; } .tint-6 { --hue: 15; } .tint-7 { --hue: 340; } .tint-8 { --hue: 80; } .tint-9 { --hue: 275; }
@media (max-width: 32rem) { figure { overflow-x: auto; } img { max-width: none; width: 38rem; }
  body { padding: 0.75rem 0.8rem 3rem; } h1 { font-size: 1.4rem; }
  th, td { padding: 0.3rem 0.5rem; } table { font-size: 0.85rem; } .line { grid-template-columns: 1fr; } }
@media print { th button { pointer-events: none; } body { max-width: none; } }
"""

# A click on a heading sorts by that column; cells carry their number in data-value, cells without one go last.
_SORT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = row => { const cell = row.cells[column], number = cell.dataset.value;
    return number === undefined ? cell.textContent.trim() : Number(number); };
  const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
    : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b);
  const rows = [...body.rows].map(row => [value(row), row]);
  const last = ([v]) => typeof v === "string" && head.classList.contains("number");
  rows.sort((x, y) => last(x) - last(y) || (up ? order(x[0], y[0]) : order(y[0], x[0])));
  body.append(...rows.map(([, row]) => row));
});
"""

Cell = str | int | float | tuple[str, float | None]


@dataclass(frozen=True)
class Piece:
    """A piece of a line of text, such as one token."""

    text: str
    look: str = ""
    """Names of looks that the style sheet has: special, border, mark, hit, said, kept, random, tint-0 …"""
    title: str = ""
    """What is told of it when it is pointed at."""
    below: str = ""
    """Words beneath it."""
    gap: bool = True
    """Whether white space stands before it."""


class Page:
    """A page written from top to bottom; each method adds one piece and returns the page."""

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self._pieces = [f"<h1>{escape(title)}</h1>"]
        self._sorts = False
        if lead:
            self._pieces.append(f'<p class="lead">{escape(lead)}</p>')

    def heading(self, text: str, *, level: int = 2) -> Page:
        """Add a heading; the title is level 1."""
        return self._add(f"<h{level}>{escape(text)}</h{level}>")

    def paragraph(self, text: str, *, soft: bool = False) -> Page:
        """Add a paragraph; `soft` is for remarks that can be skipped."""
        return self._add(f'<p class="soft">{escape(text)}</p>' if soft else f"<p>{escape(text)}</p>")

    def points(self, items: Sequence[str]) -> Page:
        """Add a list of points."""
        return self._add("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")

    def code(self, text: str) -> Page:
        """Add text as it would stand in a terminal."""
        return self._add(f"<pre><code>{escape(text)}</code></pre>")

    def line(self, label: str, pieces: Sequence[Piece], *, below: str = "") -> Page:
        """Add a line of text made of pieces, beside its label; `below` is the label of the words beneath them."""
        label = f"{label} / {below}" if below else label
        kind = "line two" if any(piece.below for piece in pieces) else "line"
        inner = "".join(map(_piece, pieces))
        return self._add(f'<div class="{kind}"><span>{escape(label)}</span><div>{inner}</div></div>')

    def folded(self, summary: str, text: str) -> Page:
        """Add text in a fixed-width face that opens on a click."""
        return self._add(f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str = "") -> Page:
        """Add a table whose headings sort it.

        A cell is a text, a number, or (text, number): shown as the text, sorted by the number, which may be None.
        A column that holds a number is set right-aligned.
        """
        return self._add(self._table(columns, rows, caption))

    def folded_table(self, summary: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Page:
        """Add a table that opens on a click."""
        return self._add(
            f"<details><summary>{escape(summary)}</summary>{self._table(columns, rows, summary)}</details>"
        )

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str) -> str:
        self._sorts = True
        numbers = [any(_value(row[place]) is not None for row in rows) for place in range(len(columns))]
        marks = [' class="number"' if number else "" for number in numbers]
        head = "".join(
            f'<th scope="col"{mark}><button type="button">{escape(name)}</button></th>'
            for name, mark in zip(columns, marks, strict=True)
        )
        body = "".join(
            "<tr>" + "".join(_cell(cell, mark) for cell, mark in zip(row, marks, strict=True)) + "</tr>\n"
            for row in rows
        )
        title = f"<caption>{escape(caption)}</caption>" if caption else ""
        # a frame that scrolls sideways must be reachable from the keyboard
        label = escape(caption or "table", quote=True)
        return (
            f'<div class="frame" tabindex="0" role="region" aria-label="{label}"><table>{title}<thead><tr>{head}</tr>'
            f"</thead>\n<tbody>\n{body}</tbody></table></div>"
        )

    def picture(self, png: bytes, *, says: str, caption: str = "", dark: bytes | None = None) -> Page:
        """Add a PNG, inside the page; `says` is its text alternative, `dark` its version for dark screens."""
        source = f'<source media="(prefers-color-scheme: dark)" srcset="{_data(dark)}">' if dark is not None else ""
        below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        image = f'<img src="{_data(png)}" alt="{escape(says, quote=True)}">'
        return self._add(f'<figure tabindex="0"><picture>{source}{image}</picture>{below}</figure>')

    def html(self) -> str:
        """Return the whole page."""
        script = f"<script>{_SORT}</script>\n" if self._sorts else ""
        pieces = "\n".join(self._pieces)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            # without an icon of its own a page asks its server for one
            '<link rel="icon" href="data:,">\n'
            f"<title>{escape(self.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{pieces}\n</main>\n"
            f"{script}</body>\n</html>\n"
        )

    def write(self, path: Path) -> Path:
        """Write the page, whole or not at all."""
        durable.write_text(path, self.html())
        return path

    def _add(self, piece: str) -> Page:
        self._pieces.append(piece)
        return self


def _piece(piece: Piece) -> str:
    look = f" {escape(piece.look, quote=True)}" if piece.look else ""
    title = f' title="{escape(piece.title, quote=True)}"' if piece.title else ""
    below = f"<small>{escape(piece.below)}</small>" if piece.below else ""
    return f'{" " if piece.gap else ""}<span class="piece{look}"{title}><span>{escape(piece.text)}</span>{below}</span>'


def _value(cell: Cell) -> float | None:
    """Return the number by which a cell is sorted."""
    if isinstance(cell, tuple):
        return cell[1]
    return None if isinstance(cell, str) else float(cell)


def _cell(cell: Cell, mark: str) -> str:
    value = _value(cell)
    data = "" if value is None else f' data-value="{value!r}"'
    return f"<td{mark}{data}>{escape(cell[0] if isinstance(cell, tuple) else str(cell))}</td>"


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
