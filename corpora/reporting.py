"""The report on a corpus: what it holds, what it was made from, what was left out and why."""

from __future__ import annotations

from typing import Any

from corpora import lengths
from corpora.overlap import WIDTH
from corpora.store import Corpus
from foundation.page import Page

_LEFT_OUT = {
    "empty": "empty",
    "duplicates": "duplicates of one before",
    "overlapping": "overlapping with evaluation files",
    "over_budget": "over the budget",
}


def summary(corpus: Corpus) -> str:
    """Return the report as lines."""
    found = facts(corpus) | {"sources": ", ".join(corpus.meta["request"]["sources"])}
    lines = [f"{name:<12} {value}" for name, value in found.items()]
    read = corpus.meta["read"]
    if len(read) > 1 or any(_notable(told) for told in read):
        lines += ["", *(f"{told['name']}: {_source(told, corpus.meta)}" for told in read)]
    return "\n".join([*lines, *(f"{path}: {_overlap(found)}" for path, found in corpus.meta["overlap"].items())])


def facts(corpus: Corpus) -> dict[str, str]:
    """Return what is said of the whole corpus."""
    meta, held = corpus.meta, corpus.meta["parts"]["held-out"]
    tokens, words = max(1, meta["tokens"]), max(1, meta["words"])
    dropped = {key: sum(told[key] for told in meta["read"]) for key in _LEFT_OUT}
    if not meta["request"]["drop_overlap"]:
        dropped["overlapping"] = 0
    why = ", ".join(f"{count:,} {_LEFT_OUT[key]}" for key, count in dropped.items() if count)
    repeated = sum(told["repeated"] for told in meta["read"])
    more = {"repeated": f"{repeated:,} documents"} if repeated else {}
    return {
        "corpus": str(corpus.folder),
        "fingerprint": corpus.fingerprint,
        "documents": f"{meta['documents']:,} ({held['documents']:,} held out)",
        "words": f"{meta['words']:,}",
        "sentences": f"{meta['sentences']:,}",
        "bytes": f"{meta['bytes']:,} ({meta['bytes'] / tokens:.2f} a token)",
        "tokens": f"{meta['tokens']:,} ({meta['tokens'] / words:.2f} a word)",
        "held out": f"{held['tokens']:,} tokens ({held['tokens'] / tokens:.2%})",
        "vocabulary": f"{meta['vocabulary']:,} pieces",
        "unknown": f"{meta['unknown']:,} tokens ({meta['unknown'] / tokens:.2%})",
        "left out": f"{sum(dropped.values()):,} documents{': ' if why else ''}{why}",
        "truncated": f"{meta['truncated']:,} documents, by the budget",
        **more,
    }


def page(corpus: Corpus) -> Page:
    """Return the report as a page."""
    meta = corpus.meta
    found = facts(corpus)
    made = Page(f"Corpus {corpus.folder.resolve().name}", f"{meta['words']:,} words, {meta['tokens']:,} tokens")
    made.table(("what", "value"), list(found.items()))
    made.heading("How long the texts are")
    for what, counts in zip(("documents", "sentences"), lengths.counted(corpus), strict=True):
        says = lengths.told(counts, what)
        light, dark = (lengths.drawn(counts, what, colours) for colours in (lengths.LIGHT, lengths.DARK))
        made.picture(light, says=says, caption=f"{says}.", dark=dark)
        made.folded_table(f"The numbers: {what}", ("tokens", what), lengths.bins(counts))
    made.heading("What it was made from")
    columns = ("documents", "words", "bytes", *_LEFT_OUT, "taken", "taken_words", "repeated", "passes")
    rows = [(told["name"], *((f"{told[column]:,}", told[column]) for column in columns)) for told in meta["read"]]
    made.table(("source", *(column.replace("_", " ") for column in columns)), rows)
    made.paragraph(
        "documents, words and bytes are what was read of a source, without empty documents; taken is what stands in "
        "the corpus, repeated documents counted each time. A source is read no further than the budget needs.",
        soft=True,
    )
    if meta["overlap"]:
        made.heading(f"Overlap: {WIDTH} words in a row")
        made.table(
            ("evaluation file", "runs of words", "found in the sources", "share"),
            [
                (path, told["runs"], told["met"], (f"{_share(told):.2%}", _share(told)))
                for path, told in meta["overlap"].items()
            ],
        )
    made.heading("What was asked")
    asked = {name: value for name, value in meta["request"].items() if value not in (None, "", [], False)}
    made.table(("flag", "value"), [(name.replace("_", "-"), _said(value)) for name, value in asked.items()])
    return made


def _notable(told: dict[str, Any]) -> bool:
    return any(told[key] for key in ("duplicates", "overlapping", "over_budget", "repeated")) or not told["whole"]


def _source(told: dict[str, Any], meta: dict[str, Any]) -> str:
    """Return what became of a source in a line."""
    dropping = meta["request"]["drop_overlap"]
    parts = [f"{told['taken']:,} documents, {told['taken_words']:,} words"]
    parts += [f"{told[key]:,} {_LEFT_OUT[key]}" for key in _LEFT_OUT if told[key] and key != "overlapping"]
    if told["overlapping"]:
        parts.append(f"{told['overlapping']:,} {_LEFT_OUT['overlapping']}, {'left out' if dropping else 'kept'}")
    if told["passes"] > 1:
        parts.append(f"read {told['passes']:.2f} times")
    return "; ".join([*parts, *([] if told["whole"] else ["not read to its end"])])


def _overlap(told: dict[str, int]) -> str:
    return f"{told['met']:,} of {told['runs']:,} runs of {WIDTH} words found in the sources ({_share(told):.2%})"


def _share(told: dict[str, int]) -> float:
    return told["met"] / max(1, told["runs"])


def _said(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "yes" if value is True else str(value)
