"""Joining: an unfinished corpus that has all its shards gets meta.json and a manifest, and then its name.

Nothing is copied and no shard is read: each has left its counts and digests.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

from corpora import shards
from corpora.encoding import token_kind
from corpora.preparing import ADDED, REQUEST, SURVEY
from corpora.requests import Build
from corpora.store import FORMAT, KINDS, META, PARTS
from corpora.survey import TOLD
from corpora.vocabulary import Vocabulary
from foundation import durable, request
from foundation.refusal import BadData, BadUsage, RunFailed


def unfinished(out: Path) -> Path:
    """Return the folder in which a corpus is built."""
    return out.absolute().with_name(f".{out.absolute().name}.building")


def join(out: Path, overwrite: bool = False) -> Path:
    """Finish the corpus whose shards have been made; a finished one stays as it is.

    Raises:
        BadData: if nothing was begun there, or shards are missing.
        BadUsage: if a corpus stands there and is not to be overwritten.
    """
    work = unfinished(out)
    if not (work / SURVEY).exists():
        if (out / META).is_file():
            return out
        raise BadData(f"{out}: no shards are there to join", f"make them: corpora build … --shard 1/4 --out {out}")
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise BadUsage(f"{out} holds something already", "name another folder, or give --overwrite")
    finish(out, work)
    return out


def finish(out: Path, work: Path) -> None:
    """Give an unfinished corpus its last files and its name.

    Raises:
        BadData: if shards are missing.
        RunFailed: if they do not hold what the survey has found.
    """
    survey = json.loads((work / SURVEY / TOLD).read_text(encoding="utf-8"))
    asked = json.loads((work / REQUEST).read_text(encoding="utf-8"))
    total = len(survey["plan"]["shards"]) - 1
    found = [shards.told(work, number) for number in range(total)]
    if missing := [number for number, told in enumerate(found) if told is None]:
        raise BadData(_missing(out, missing, total), _commands(asked["asked"], missing, total))
    made = [told for told in found if told is not None]
    corpus = work / shards.CORPUS
    added = json.loads((work / ADDED).read_text(encoding="utf-8"))
    meta = {"format": FORMAT, **_meta(survey, made, Vocabulary.open(corpus)), "added": added, **asked["identity"]}
    if (meta["documents"], meta["words"]) != (survey["plan"]["documents"], survey["plan"]["words"]):
        raise RunFailed(f"{work}: its shards do not hold what was surveyed", "delete it and build again")
    durable.write_json(corpus / META, meta)
    durable.seal(corpus, {name: entry for told in made for name, entry in told["files"].items()})
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    durable.publish(corpus, out.absolute())
    shutil.rmtree(work, ignore_errors=True)


def _missing(out: Path, missing: list[int], total: int) -> str:
    named = ", ".join(str(number) for number in missing[:20]) + (" …" if len(missing) > 20 else "")
    return f"{out}: {len(missing):,} of {total:,} shards are missing: {named}"


def _commands(asked: dict[str, Any], missing: list[int], total: int) -> str:
    """Return the commands that make some shards: shard s is part s + 1 of as many parts as there are shards."""
    given = request.differing(request.from_dict(Build, asked))
    flags = [
        request.flag(name, value) for name, value in given.items() if name not in ("sources", "shard", "overwrite")
    ]
    words = [*asked["sources"], *chain.from_iterable(flags)]
    lines = [shlex.join(["corpora", "build", *words, "--shard", f"{number + 1}/{total}"]) for number in missing[:3]]
    rest = ["…"] if len(missing) > 3 else []
    return "\n  ".join(
        ["make them, each on any machine:", *lines, *rest, "or without --shard, all of them and the rest"]
    )


def _meta(survey: dict[str, Any], made: list[dict[str, Any]], vocabulary: Vocabulary) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for part in PARTS:
        counts = [told["parts"][part] for told in made]
        parts[part] = {name: sum(count[name] for count in counts) for name in counts[0]}
        parts[part]["shards"] = [{kind: count[kind] for kind in KINDS} for count in counts]
    digest = hashlib.sha256(vocabulary.sha256.encode())
    for told in made:
        for name, entry in sorted(told["files"].items()):
            digest.update(f"{name} {entry['sha256']}".encode())
    totals = {name: sum(parts[part][name] for part in PARTS) for name in ("words", "documents", "tokens", "sentences")}
    return {
        "fingerprint": digest.hexdigest(),
        **totals,
        "unknown": sum(parts[part]["unknown"] for part in PARTS),
        "bytes": sum(told["bytes"] for told in made),
        "empty": sum(argument["empty"] for argument in survey["arguments"]),
        "truncated": len(survey["plan"]["cuts"]),
        "vocabulary": vocabulary.size,
        "dtype": token_kind(vocabulary.size).str,
        "parts": parts,
        "read": [
            {**told, "empty": argument["empty"], "whole": argument["whole"]}
            for told, argument in zip(survey["report"], survey["arguments"], strict=True)
        ],
        "overlap": survey["overlap"],
    }
