"""Commands: ``program [verb] --flags`` over frozen dataclasses, with one message and one exit code for each error.

A *verb* names its request (a dataclass whose field docstrings are the help) and its action (a function of that
request) as ``module:name``, so that help and usage errors need none of the heavy imports. Two things come before
tyro reads the flags: ``--config FILE`` (TOML or JSON, flags win) gives the defaults, and ``--objective NAME``
(any field with choices) picks the class whose fields then become flags, ``--objective.density 0.3``.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import sys
import tomllib
import traceback
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import request
from foundation.refusal import BadUsage, Refusal, unknown

DISTRIBUTION = "pretraining-objective-toolkit"


@dataclass(frozen=True)
class Verb:
    """One verb of a command: what it asks for, what it does, and how it is called."""

    request: str
    action: str
    summary: str
    example: str


def main(program: str, verbs: Mapping[str, Verb], argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the verb named ``""`` is the one meant when none is given."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        if words == ["--version"]:
            print(f"{program} {importlib.metadata.version(DISTRIBUTION)}")
            return 0
        verb, rest = _verb(program, verbs, words)
        if verb is None:
            return 0
        name = next(name for name, known in verbs.items() if known is verb)
        others = [f"{program} {other}  {known.summary}" for other, known in verbs.items() if other and not name]
        asked = parse(f"{program} {name}".strip(), verb, rest, others)
        request.load(verb.action)(asked)
    except Refusal as refusal:
        if debug:
            traceback.print_exc()
        print(f"{program}: {refusal}", file=sys.stderr)
        return refusal.code
    except SystemExit as left:  # tyro: 0 after --help, 2 after a usage error that it has already explained
        return left.code if isinstance(left.code, int) else 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone (… | head): nothing is wrong
        sys.stderr.close()
        return 0
    return 0


def _verb(program: str, verbs: Mapping[str, Verb], words: list[str]) -> tuple[Verb | None, list[str]]:
    """Return the verb that the first word selects and the words that are left; None after printing an overview."""
    if words and words[0] in verbs:
        return verbs[words[0]], words[1:]
    asks_help = not words or words[0] in ("-h", "--help")
    if "" in verbs and not (asks_help and len(verbs) > 1 and words):
        if words and not words[0].startswith("-") and len(verbs) > 1:
            raise unknown("verb", words[0], [name for name in verbs if name])
        return verbs[""], words
    if not asks_help:
        raise unknown("verb", words[0], verbs)
    if "" in verbs:
        return verbs[""], words
    print(f"usage: {program} VERB [--help]\n")
    for name, verb in verbs.items():
        print(f"  {name:<10} {verb.summary}\n  {'':<10} {verb.example}")
    return None, []


def parse(program: str, verb: Verb, words: list[str], others: Sequence[str] = ()) -> Any:
    """Return the request that the flags and the ``--config`` file ask for; `others` are lines more for the help.

    Raises:
        BadUsage: for an unreadable configuration, an unknown key or an unknown choice.
        SystemExit: as tyro leaves, after --help (0) or a usage error (2).
    """
    import tyro

    kind = request.load(verb.request)
    words, config = _take(words, "config")
    values = _read_config(Path(config)) if config is not None else {}
    choices = [field for field in dataclasses.fields(kind) if "choices" in field.metadata]
    for field in choices:
        words, name = _take(words, field.name)
        if name is not None and _name(values.get(field.name)) != name:
            values[field.name] = name
    defaults = request.convert(kind, values)
    for field in choices:
        if field.name not in defaults and field.default is not dataclasses.MISSING:
            defaults[field.name] = field.default
    names = [f"--{field.name} {{{','.join(request.load(field.metadata['choices']))}}}" for field in choices]
    before = "\n".join([*names, "--config FILE.toml|json  the same flags as keys; flags win", *others])
    try:
        read = tyro.cli(_narrow(kind, defaults), prog=program, description=f"{verb.summary}\n\n{before}", args=words)
    except SystemExit as left:
        if left.code == 0:
            print(f"\nexample:\n  {verb.example}")
        raise
    return kind(**{field.name: getattr(read, field.name) for field in dataclasses.fields(kind)})


def _name(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value


def _narrow(kind: type, defaults: dict[str, Any]) -> type:
    """Return `kind` with other defaults; a field with choices is narrowed to the class chosen, so that tyro sees it."""
    hints = typing.get_type_hints(kind, include_extras=True)
    body: dict[str, Any] = {"__doc__": kind.__doc__, "__module__": kind.__module__, "__annotations__": {}}
    for field in dataclasses.fields(kind):
        if field.name in defaults:
            value = defaults[field.name]
            chosen = "choices" in field.metadata and value is not None
            body["__annotations__"][field.name] = type(value) if chosen else hints[field.name]
            body[field.name] = dataclasses.field(default=value, metadata=dict(field.metadata))
    return dataclass(frozen=True, kw_only=True)(type(kind.__name__, (kind,), body))


def _take(words: list[str], flag: str) -> tuple[list[str], str | None]:
    """Return the words without ``--flag VALUE`` (or ``--flag=VALUE``), and the value, or None if it is not there."""
    rest: list[str] = []
    value: str | None = None
    position = 0
    while position < len(words):
        word = words[position]
        if word == f"--{flag}":
            if position + 1 >= len(words) or words[position + 1].startswith("--"):
                raise BadUsage(f"--{flag} needs a value")
            value = words[position + 1]
            position += 2
            continue
        if word.startswith(f"--{flag}="):
            value = word.partition("=")[2]
        else:
            rest.append(word)
        position += 1
    return rest, value


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BadUsage(f"--config {path}: {error.strerror}") from error
    except ValueError as error:  # a JSON or TOML syntax error says line and column itself
        raise BadUsage(f"--config {path}: {error}") from error
