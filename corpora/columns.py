"""Which column of a table, or key of a record, holds the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from foundation.refusal import BadData

USUAL = "text"


def chosen(where: str, asked: str, found: Mapping[str, bool]) -> str:
    """Return the column asked for, else "text", else the only one of text; `found` says of each whether it is text.

    Raises:
        BadData: if there is no such column, it holds no text, or there are several.
    """
    name = asked or (USUAL if USUAL in found else "")
    if name:
        if name not in found:
            raise missing(where, name, found)
        if not found[name]:
            raise BadData(f'{where}: column "{name}" holds no text', _remedy(found))
        return name
    texts = [name for name, text in found.items() if text]
    if len(texts) != 1:
        raise missing(where, USUAL, found)
    return texts[0]


def prose(asked: str, header: Sequence[str], row: Sequence[str]) -> dict[str, bool]:
    """Return the columns of a table without types, each with whether its first row holds no number there.

    A column that is asked for, or called "text", holds text, whatever its first row looks like.
    """
    found = dict.fromkeys(header, True)
    for name, value in zip(header, row, strict=False):
        if name in (asked, USUAL):
            continue
        try:
            float(value)
            found[name] = False
        except ValueError:
            pass
    return found


def missing(where: str, name: str, found: Iterable[str]) -> BadData:
    """Return the refusal of a column that is not there."""
    return BadData(f'{where}: no column "{name}"; found: {", ".join(found) or "nothing"}', _remedy(found))


def _remedy(found: Iterable[str]) -> str:
    likely = [name for name in found if not isinstance(found, Mapping) or found[name]]
    return f"--column NAME says which one holds the text, for example --column {next(iter(likely), 'body')}"
