"""The blocks of a docstring: runs of lines that belong together, with code, headers and tables left out.

Docstrings come in four dialects, mixed at will: reStructuredText, numpydoc, Google's, Markdown. A line is judged by
its indentation and by what opens it.

    Compute the thing.            a block: the summary
                                  a blank line, or another indentation, ends a block
    Args:                         a heading: below it stands a list of entries
        x (`int`, *optional*):    an entry's header is dropped …
            How many.             … its description is a block
    Example::                     what is indented below is dropped
        >>> f(1)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_UNDERLINE = re.compile(r"([-=~^\"'*+#`.:])\1{2,}")
_BORDER = re.compile(r"=+(?:\s+=+)+|-+(?:\s+-+)+")
_TABLE = re.compile(r"[-=+|:\s]{4,}|\|.*|\+[-=+].*|.*\S\s*\|\s*\S.*\|.*|[─━│┃┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╦╩╬╭╮╰╯].*")
_FENCE = re.compile(r"```|~~~")
_DIRECTIVE = re.compile(r"\.\.(\s|$)|__ http")
_SPOKEN = re.compile(r"\.\. (?:note|warning|tip|important|attention|caution|hint|danger)::\s*(.*)", re.IGNORECASE)
_PROMPT = re.compile(r">>>|\.\.\. |[$%] |In \[\d+\]:|Out\[\d+\]:")
_BULLET = re.compile(r"(?:[-*+•·]|\(?(?:[0-9a-z][.)]|[A-Z]\))|\(?\d\d[.)]|#\.)\s+(?=\S)")
_FIELD = re.compile(r":(\w+)[^:\n]*:(?:\s+|$)|@(\w+)[^:\n]*:\s+")
_SPOKEN_FIELDS = {"param", "parameter", "arg", "argument", "keyword", "return", "returns", "raises", "raise", "yields"}
_TITLE = re.compile(r"[A-Za-z][\w/-]*(?: [\w/-]+){0,3}:{1,2}")
_DROPPED = {
    "references", "reference", "see also", "see", "examples", "example", "example usage", "usage", "usage example",
    "usage examples", "usages", "sample usage", "bibliography", "demo", "code example", "citation", "todo", "doctest",
    "shape", "shapes", "authors", "author", "links", "license", "copyright", "docstring references", "test",
}  # fmt: skip
_LISTS = {
    "parameters", "other parameters", "attributes", "returns", "return", "yields", "raises", "warns", "receives",
    "args", "arguments", "keyword args", "keyword arguments", "kwargs", "inputs", "outputs", "methods", "properties",
    "members", "fields", "optional", "required", "options", "params", "return value", "return values", "input",
    "output", "class attributes", "parameter", "argument", "attribute", "optional parameters",
}  # fmt: skip
_NAME = r"[*`\"']{0,3}[\w.]+[`*\"']{0,3}"
_INSIDE = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*"
# "x : int", "x, y : float, optional": the header of a numpydoc entry.
_TYPED = re.compile(rf"{_NAME}(?:\s*[,/]\s*{_NAME})*\s*:|{_NAME}(?:\s*[,/]\s*{_NAME})*\s+:(?:\s.*)?")
# "x (`int`, *optional*): description", "x: description", "x (int) – description".
_GOOGLE = re.compile(rf"{_NAME}(?:\s*[,/]\s*{_NAME})*(?:\s*\({_INSIDE}\)|\[[^\]]*\])?\s*(?::+|\s--?|\s–|\s—)(?:\s+|$)")
# "**x** - description", "`x` (int): description", "x -- description", wherever it stands.
_MARKED = re.compile(
    rf"(?:\*\*[\w.=\" ]+\*\*|`+[\w.=\"' ]+`+|\*\w+\*)\s*(?:\({_INSIDE}\))?\s*(?:--?|–|—|:)(?:\s+|$)|\w+\s+--\s+"
)


def blocks(docstring: str) -> list[str]:
    """Return the blocks of a docstring, each on one line; the first is its summary line, or empty if there is none."""
    lines = docstring.expandtabs(4).splitlines()
    sorter = _Sorter()
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        sorter.feed(line, following)
    sorter.flush()
    return sorter.found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@dataclass
class _Sorter:
    """The state between two lines of a docstring."""

    found: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    hang: int = 0  # indentation of the held block's lines
    opened: bool = False  # by a bullet or a header, so that deeper lines go on with it
    fence: str = ""  # what closes the fenced code that we are in
    prompt: bool = False  # in a doctest, until a blank line
    table: bool = False  # between two borders
    skip: int = -1  # lines deeper than this are dropped; −1: none
    section: str = ""
    below: int = -1  # a line that is no deeper than this ends the section; −1: only another heading does
    entry: int = -1  # indentation of the section's entries; −1: none has come yet

    def flush(self) -> None:
        """End the held block."""
        if self.held:
            self.found.append(" ".join(self.held))
        self.held, self.opened = [], False

    def feed(self, line: str, following: str) -> None:
        """Take the next line; `following` is the one after it."""
        body, indent = line.strip(), _indent(line)
        if self._dropped(body, indent, following.strip()):
            self.flush()
            self._no_summary(body)
            return
        deeper = indent > self.hang
        goes_on = indent == self.hang or (len(self.held) == 1 and deeper and self._unfinished())
        if self.held and not goes_on:
            self.flush()
        if self._heads(body, indent, following.strip()) or self._directs(body, indent):
            self._no_summary(body)
            return
        rest = self._opens(body, indent, _indent(following) > indent)
        if rest is not None:
            self.flush()
            self._no_summary(body)
            if rest:
                self._hold(rest, indent, opened=True)
            return
        self._hold(body, indent, opened=self.opened)

    def _no_summary(self, body: str) -> None:
        """Let an empty block stand first if something else than a summary does."""
        if body and not self.found and not self.held:
            self.found.append("")

    def _hold(self, text: str, indent: int, *, opened: bool) -> None:
        self.held.append(text.removesuffix("::") + ":" if text.endswith("::") else text)
        self.hang, self.opened = indent, opened
        if text.endswith("::"):
            self.flush()
            self.skip = indent

    def _unfinished(self) -> bool:
        return self.opened or not self.held[0].endswith((".", ":"))

    def _dropped(self, body: str, indent: int, following: str) -> bool:
        """Say whether a line is blank or inside something that is dropped."""
        if self.fence or _FENCE.match(body):
            mark = body[:3]
            if self.fence:
                self.fence = "" if body.startswith(self.fence) else self.fence
            elif body.count(mark) == 1:
                self.fence = mark
            return True
        if not body:
            self.prompt = False
            return True
        if self.prompt:
            return True
        if self.skip >= 0 and indent > self.skip:
            return True
        self.skip = -1
        if _BORDER.fullmatch(body):
            self.table = bool(following)
            return True
        if _PROMPT.match(body):
            self.prompt = True
            return True
        return self.table or _TABLE.fullmatch(body) is not None

    def _heads(self, body: str, indent: int, following: str) -> bool:
        """Take a heading, or a line of a section that is dropped as a whole."""
        if _UNDERLINE.fullmatch(body):
            self.flush()
            return True
        plain = body.strip("*# ")
        title = plain.rstrip(":").lower()
        underlined = len(following) >= len(body) - 2 and _UNDERLINE.fullmatch(following) is not None
        if underlined or (body.startswith(("# ", "##")) and len(body) < 60):
            self.flush()
            self.section, self.below, self.entry = title, -1, -1
            return True
        if _TITLE.fullmatch(plain) and title in _DROPPED | _LISTS:
            self.flush()
            self.section, self.below, self.entry = title, indent, -1
            self.skip = indent if title in _DROPPED else -1
            return True
        if self.below >= 0 and indent <= self.below:
            self.section, self.below = "", -1
        return self.section in _DROPPED and self.below < 0

    def _directs(self, body: str, indent: int) -> bool:
        """Take the line of a directive; only notes and warnings are read on."""
        spoken = _SPOKEN.match(body)
        if spoken is None and not _DIRECTIVE.match(body):
            return False
        self.flush()
        self._no_summary(body)
        if spoken is None:
            self.skip = indent
        elif spoken[1]:
            self._hold(spoken[1], indent, opened=True)
        return True

    def _opens(self, body: str, indent: int, deepens: bool) -> str | None:
        """Return what a line that opens an entry says after its header ("": nothing); None if it opens none."""
        named = _FIELD.match(body)
        if named:
            return body[named.end() :] if (named[1] or named[2]).lower() in _SPOKEN_FIELDS else ""
        bullet = _BULLET.match(body)
        rest = body[bullet.end() :] if bullet else body
        marked = _MARKED.match(rest)
        if marked:
            return rest[marked.end() :]
        if self.section in _LISTS:
            if self.entry < 0:
                self.entry = indent
            if indent <= self.entry or bullet:
                typed = _TYPED.fullmatch(rest) or (deepens and len(rest.split()) <= 3)
                header = None if typed else _GOOGLE.match(rest)
                if typed or header:
                    return rest[header.end() :] if header else ""
        return rest if bullet else None
