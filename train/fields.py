"""Typed dataclasses of the tables a file holds: every key known, every value of its type and in its range."""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from math import inf
from sys import float_info
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from derain.engines.errors import UsageError

T = TypeVar("T")
GIVEN = {"given": True}
"""Metadata of a field that no file sets: whoever builds the object gives it later."""
WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


class WrongError(Exception):
    """What a key takes, where the value was something else."""


def ranged(low: float, high: float = inf, default: Any = MISSING) -> Any:
    """A field of numbers from `low` to `high`, both of them allowed."""
    return field(default=default, metadata={"range": (low, high)})


def build(kind: type[T], table: object, where: str) -> T:
    """The dataclass `kind` of a table; UsageError names the key of `where` that is unknown, missing or has a
    value it can't have, with what it takes."""
    known, hints = keys_of(kind), get_type_hints(kind)
    entries = of_known(table, known, where)
    needed = {name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(needed - entries.keys()):
        raise UsageError(f"{where} lacks the key {', '.join(missing)}")
    return kind(**{key: valued(value, hints[key], known[key], where) for key, value in entries.items()})


def check(kind: type, table: object, where: str) -> None:
    """UsageError as from `build`, for a part of a table: keys it lacks may stand in another part."""
    known, hints = keys_of(kind), get_type_hints(kind)
    for key, value in of_known(table, known, where).items():
        if is_dataclass(hints[key]):
            check(hints[key], value, f"{where} [{key}]")
        else:
            valued(value, hints[key], known[key], where)


def keys_of(kind: type) -> dict[str, Field[Any]]:
    """The fields that files set, by their keys."""
    return {f.name: f for f in fields(kind) if not f.metadata.get("given")}


def of_known(table: object, known: Mapping[str, object], where: str) -> dict[str, Any]:
    """The table; UsageError where it is none, or has a key that is not known."""
    if not isinstance(table, dict):
        raise UsageError(f"{where} is a table of keys and values, not {table!r}")
    if unknown := sorted(table.keys() - known.keys()):
        raise UsageError(f"{where} has no key {', '.join(unknown)}; it takes {', '.join(sorted(known))}")
    return table


def valued(value: object, hint: Any, known: Field[Any], where: str) -> Any:
    """The value of one key; UsageError says what the key takes."""
    if is_dataclass(hint):
        return build(hint, value, f"{where} [{known.name}]")  # type: ignore[arg-type]
    if is_dataclass(kind := next(iter(get_args(hint)), None)):
        return rows(kind, value, f"{where} {known.name}")  # type: ignore[arg-type]
    low, high = known.metadata.get("range", (-inf, inf))
    try:
        return checked(value, hint, (low, high))
    except WrongError as takes:
        raise UsageError(f"{where} {known.name} takes {takes}, not {value!r}") from takes


def rows(kind: type[T], value: object, where: str) -> tuple[T, ...]:
    """The dataclasses of a list of tables, counted from 1 in errors."""
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where} takes a list of tables with {', '.join(keys_of(kind))}, not {value!r}")
    return tuple(build(kind, one, f"{where} {number}") for number, one in enumerate(value, 1))


def checked(value: object, hint: Any, allowed: tuple[float, float]) -> Any:
    """The value as `hint` has it, lists made tuples; WrongError says what it takes."""
    if hint is Any or (value is None and type(None) in get_args(hint)):
        return value
    if hint in WORDS:
        return plain(value, hint, allowed)
    checks: dict[Any, Callable[..., Any]] = {Literal: choice, tuple: sequence, dict: mapping}
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return checked(value, next(arg for arg in get_args(hint) if arg is not type(None)), allowed)
    return checks[origin](value, get_args(hint), allowed)


def plain(value: object, kind: type, allowed: tuple[float, float]) -> Any:
    good = type(value) is kind or (kind is float and type(value) is int)
    if good and isinstance(value, int | float) and kind is not bool:
        good = abs(value) <= float_info.max and allowed[0] <= value <= allowed[1]
    if not good:
        raise WrongError(WORDS[kind] + span(allowed))
    return float(value) if kind is float else value  # type: ignore[arg-type]


def span(allowed: tuple[float, float]) -> str:
    """The range in words, "" where there is none."""
    low, high = allowed
    if low == -inf:
        return ""
    return f" from {low:g} up" if high == inf else f" from {low:g} to {high:.12g}"


def choice(value: object, choices: tuple[str, ...], allowed: tuple[float, float]) -> Any:
    if value not in choices:
        raise WrongError(f"{', '.join(choices[:-1])} or {choices[-1]}")
    return value


def sequence(value: object, kinds: tuple[Any, ...], allowed: tuple[float, float]) -> tuple[Any, ...]:
    endless = kinds[-1] is Ellipsis
    many = f"{WORDS[kinds[0]].split(' ', 1)[1]}s{span(allowed)}"
    what = f"a list of {many}" if endless else f"a list of {len(kinds)} {many}"
    if not isinstance(value, list | tuple) or not (endless or len(value) == len(kinds)):
        raise WrongError(what)
    try:
        return tuple(checked(item, kinds[0], allowed) for item in value)
    except WrongError as one:
        raise WrongError(what) from one


def mapping(value: object, kinds: tuple[Any, ...], allowed: tuple[float, float]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongError("a table of keys and values")
    try:
        return {str(key): checked(item, kinds[1], allowed) for key, item in value.items()}
    except WrongError as takes:
        raise WrongError(f"{takes} for each of its keys") from takes
