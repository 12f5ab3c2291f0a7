"""Requests: frozen dataclasses of plain values, to and from plain dictionaries (JSON, TOML).

A field whose value is one of several dataclasses says so in its metadata, ``{"choices": "module:DICT"}``; in a
dictionary such a value is ``{"name": NAME, **numbers}`` or just the name. A user's own class is named
``module:Class``.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from foundation.refusal import BadUsage, unknown

T = TypeVar("T")


def load(reference: str) -> Any:
    """Return the object that ``module:attribute`` names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def own(flag: str, name: str) -> Any:
    """Return what a user names as ``module:attribute``, looked for where the command is called, too.

    Raises:
        BadUsage: if there is no such thing.
    """
    if os.getcwd() not in sys.path:  # a console script does not look where it is called, as python -m does
        sys.path.insert(0, os.getcwd())
    try:
        return load(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadUsage(f"--{flag} {name}: {error}", "give MODULE:NAME importable from here") from error


def choose(field: dataclasses.Field[Any], name: str) -> type:
    """Return the class that `name` stands for in a field with choices.

    Raises:
        BadUsage: if the name is neither a known one nor an importable ``module:Class``.
    """
    choices: dict[str, type] = load(field.metadata["choices"])
    if name in choices:
        return choices[name]
    if ":" in name:
        return own(field.name, name)
    raise unknown(field.name, name, choices)


def name_of(field: dataclasses.Field[Any], value: Any) -> str:
    """Return the name under which ``choose`` finds the class of `value`."""
    for name, kind in load(field.metadata["choices"]).items():
        if kind is type(value):
            return name
    return f"{type(value).__module__}:{type(value).__qualname__}"


def key_of(field: dataclasses.Field[Any]) -> str:
    """Return the key of a field in a dictionary: its name, without the underscore behind a word of Python's own."""
    return field.name.rstrip("_")


def to_dict(request: Any) -> dict[str, Any]:
    """Return a request as JSON-ready values; paths become strings, choices dictionaries with their name."""
    values = {}
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        plain = _plain(value)
        if "choices" in field.metadata and value is not None:
            plain = {"name": name_of(field, value), **plain}
        values[key_of(field)] = plain
    return values


def differing(asked: Any) -> dict[str, Any]:
    """Return the fields of a request that are not what they are by default."""
    fields = [field for field in dataclasses.fields(asked) if field.init]
    return {f.name: getattr(asked, f.name) for f in fields if getattr(asked, f.name) != f.default}


def flag(name: str, value: Any) -> list[str]:
    """Return the words on a command line that give a field a value."""
    words = f"--{name.rstrip('_').replace('_', '-')}"
    if isinstance(value, bool):
        return [words if value else words.replace("--", "--no-", 1)]
    return [words, *(str(part) for part in (value if isinstance(value, tuple) else (value,)))]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_dict(kind: type[T], values: dict[str, Any], *, where: str = "") -> T:
    """Return a request of class `kind` from plain values; absent keys keep their defaults.

    Raises:
        BadUsage: for a key that is no field (with the nearest), a value of the wrong type, or a missing field.
    """
    given = convert(kind, values, where=where)
    try:
        return kind(**given)
    except TypeError as error:
        raise BadUsage(f"{where or kind.__name__}: {error}") from error


def convert(kind: type, values: dict[str, Any], *, where: str = "") -> dict[str, Any]:
    """Return plain values as the types of the fields of `kind` they are named after; a dash counts as underscore."""
    fields = {key_of(field): field for field in dataclasses.fields(kind) if field.init}
    hints = typing.get_type_hints(kind)
    given = {}
    for key, value in values.items():
        field = fields.get(key.replace("-", "_"))
        if field is None:
            raise unknown(f"key{where and ' in ' + where}", key, fields)
        given[field.name] = _value(field, hints[field.name], value, where)
    return given


def _value(field: dataclasses.Field[Any], hint: Any, value: Any, where: str) -> Any:
    if "choices" in field.metadata and value is not None:
        numbers = dict(value) if isinstance(value, dict) else {"name": value}
        if "name" not in numbers:
            raise BadUsage(f"{where}: {field.name} has no name", f'write {field.name} = {{name = "…"}}')
        return from_dict(choose(field, numbers.pop("name")), numbers, where=f"{where} {field.name}".strip())
    try:
        return _convert(hint, value, where)
    except (TypeError, ValueError) as error:
        raise BadUsage(f"{where}: {field.name} = {value!r} is not {_words(hint)}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type `hint`; raises TypeError or ValueError where it cannot be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _convert(arguments[0], value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for argument in arguments:
            try:
                return _convert(argument, value, where)
            except (TypeError, ValueError):
                continue
        raise TypeError(value)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(value)
        return value
    if origin is tuple:
        if isinstance(value, str):
            raise TypeError(value)
        items = arguments if len(arguments) == len(value) and ... not in arguments else [arguments[0]] * len(value)
        return tuple(_convert(item, part, where) for item, part in zip(items, value, strict=True))
    if origin is dict:
        return {key: _convert(arguments[1], part, where) for key, part in dict(value).items()}
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where=where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is not Any and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise TypeError(value)
    return value


def _words(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
