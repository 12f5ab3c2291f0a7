"""What all shards of a corpus need: the sources opened, surveyed and planned, and a vocabulary."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from corpora import shards, survey, taking, vocabulary
from corpora.documents import Source
from corpora.overlap import Against
from corpora.planning import Plan
from corpora.progress import Progress
from corpora.requests import ELSEWHERE, Build
from corpora.sources import INSTALLED, sources
from corpora.store import META, read_meta
from corpora.survey import TOLD, Argument, Survey
from foundation import durable
from foundation.refusal import BadData, BadUsage
from foundation.request import to_dict

SURVEY, REQUEST, ADDED = "survey", "request.json", "added.json"


@dataclass
class Prepared:
    """What the shards are made from."""

    told: dict[str, Any]
    """The survey and the plan."""
    sources: list[Source]


def prepare(request: Build, work: Path) -> Prepared | None:
    """Make, or find, what all shards need; None if the corpus is there already.

    Raises:
        BadUsage: if DIR, or the unfinished build beside it, is of another request.
        BadData: if the sources cannot be read or hold no text.
    """
    work.mkdir(parents=True, exist_ok=True)
    arguments = [
        Argument(name, sources([name], request.reading, work / "spool", request.words)) for name in request.sources
    ]
    against = Against(request.against, request.reading, work / "spool")
    identity = _identity(request, arguments, against)
    if _finished(request, identity):
        print(f"{request.out}: the corpus of this request is there, re-used", file=sys.stderr)
        shutil.rmtree(work, ignore_errors=True)
        return None
    _own(request, work, identity)
    if not (work / SURVEY).exists():
        if INSTALLED in request.sources:
            from corpora import installed

            installed.prepare(request.words)
        _made(work / SURVEY, lambda folder: _survey(request, arguments, against, folder))
    if not (work / shards.CORPUS).exists():
        _made(work / shards.CORPUS, lambda folder: _vocabulary(request, work / SURVEY, folder))
    told = json.loads((work / SURVEY / TOLD).read_text(encoding="utf-8"))
    return Prepared(told, list(chain.from_iterable(argument.sources for argument in arguments)))


def _made(path: Path, fill: Callable[[Path], None]) -> None:
    """Let a folder be filled; it is whole or absent. Where locks do not hold, the first of several is taken."""
    temporary = Path(tempfile.mkdtemp(prefix=f"{path.name}-", dir=path.parent))
    try:
        fill(temporary)
        for file in temporary.iterdir():
            durable.sync(file)
        durable.sync(temporary)
        temporary.chmod(0o777 & ~_mask())
        try:
            temporary.rename(path)
        except OSError:
            if not path.exists():
                raise
        durable.sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _survey(request: Build, arguments: list[Argument], against: Against, folder: Path) -> None:
    found = Survey(request, arguments, against, folder)
    found.read()
    told = found.told()
    if not told["rows"]:
        empty = sum(argument.empty for argument in arguments)
        blank = f" ({empty:,} empty documents)" if empty else ""
        raise BadData(f"{', '.join(request.sources)}: an empty corpus{blank}", "give sources that hold text")
    plan = Plan(request, told, folder)
    told["plan"] = plan.write()
    told["report"] = plan.report()
    if not told["plan"]["documents"]:
        raise BadData(f"{', '.join(request.sources)}: an empty corpus: all documents are left out", "see --against")
    durable.write_json(folder / TOLD, told)


def _vocabulary(request: Build, found: Path, folder: Path) -> None:
    durable.write_json(folder.parent / ADDED, [])
    if request.tokenizer is not None:
        taken = taking.taken(request.tokenizer, folder, request.add_special)
        print(f"tokenizer: {taken.told()}", file=sys.stderr)
        durable.write_json(folder.parent / ADDED, taken.added)
        return
    with Progress("vocabulary", unit="documents") as progress, all_cores():

        def counted() -> Iterator[str]:
            for text in survey.sample(found):
                progress.add(1)
                yield text

        tokenizer = vocabulary.train(counted(), request.vocabulary, request.kind)
    vocabulary.save(tokenizer, folder)


@contextmanager
def all_cores() -> Iterator[None]:
    """Let `tokenizers` use its threads, whatever TOKENIZERS_PARALLELISM says outside; it asks at each call."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _identity(request: Build, arguments: list[Argument], against: Against) -> dict[str, Any]:
    """Return what must be equal for a corpus, finished or not, to be the one that is asked for."""
    asked = {name: value for name, value in to_dict(request).items() if name not in ELSEWHERE}
    if request.tokenizer is not None:
        asked["tokenizer"] = vocabulary.Vocabulary.of(taking.opened(request.tokenizer)).sha256
    found = {source.name: source.identity() for argument in arguments for source in argument.sources}
    packages: dict[str, str] = {}
    for told in found.values():
        packages |= told.pop("packages", {})
    return {"request": asked, "sources": found, "against": against.identity, "packages": packages}


def _differences(there: dict[str, Any], identity: dict[str, Any]) -> list[str]:
    """Return what is not equal, one line each."""
    found = [
        f"{name}: {there.get(group, {}).get(name)} there, {value} asked for"
        for group in identity
        for name, value in identity[group].items()
        if there.get(group, {}).get(name) != value
    ]
    return found or (["other sources"] if there.get("sources") != identity["sources"] else [])


def _finished(request: Build, identity: dict[str, Any]) -> bool:
    """Say whether the folder already holds what is asked for.

    Raises:
        BadUsage: if it holds another corpus and is not to be overwritten, or anything that is no corpus.
    """
    out = request.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not ((out / META).is_file() and any(out.glob("train*.tokens"))):
        raise BadUsage(f"--out {out} exists and is no corpus", "name another folder; this one is never overwritten")
    try:
        meta = read_meta(out)
    except BadData:
        meta = {}
    wrong = durable.problems(out) or _differences(meta, identity)
    if wrong and not request.overwrite:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise BadUsage(f"--out {out} holds another corpus:\n{lines}", "name another folder, or give --overwrite")
    return not wrong


def _own(request: Build, work: Path, identity: dict[str, Any]) -> None:
    """Make an unfinished build that of this request.

    Raises:
        BadUsage: if it is of another one, and not to be overwritten.
    """
    path = work / REQUEST
    identity = json.loads(json.dumps(identity))
    there = json.loads(path.read_text(encoding="utf-8"))["identity"] if path.exists() else identity
    wrong = _differences(there, identity)
    if wrong:
        if (work / SURVEY).exists() and not request.overwrite:
            lines = "\n".join(f"  {line}" for line in wrong)
            remedy = "finish it with its own command, name another folder, or give --overwrite"
            raise BadUsage(f"{work} is the unfinished build of another corpus:\n{lines}", remedy)
        for name in (SURVEY, shards.CORPUS, shards.SHARDS):
            shutil.rmtree(work / name, ignore_errors=True)
    if wrong or not path.exists():
        durable.write_json(path, {"identity": identity, "asked": to_dict(request)})
