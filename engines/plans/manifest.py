"""What is written beside a plan: what it hangs on, how it came about, and how near it is to its reference."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from derain.engines.parity import Parity
from derain.engines.plans.key import PlanKey

FORMAT = 1
"""Of the file; another is not read."""


@dataclass(frozen=True)
class Manifest:
    """`sha256` (hex) and `size`: of the plan. `built`: when, ISO 8601 in UTC; `seconds`: how long it took.

    `by`: the version of derain. `origin`: the file it was added from, "" where it was built here.
    `details`: what the builder tells of it. `parity`: None until it was checked on its device.
    """

    key: PlanKey
    sha256: str
    size: int
    built: str
    seconds: float
    by: str
    origin: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    parity: Parity | None = None


def plain(manifest: Manifest) -> dict[str, Any]:
    """As it is written, for people and programs."""
    return {"format": FORMAT, **asdict(manifest)}


def written(manifest: Manifest) -> bytes:
    """The file's content."""
    return (json.dumps(plain(manifest), indent=2, allow_nan=False) + "\n").encode()


def parsed(content: bytes) -> Manifest:
    """Reads what `written` gave; raises ValueError, in words, where it is something else."""
    try:
        values = json.loads(content)
    except ValueError as error:  # not JSON, or not UTF-8
        raise ValueError("it is not JSON") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"it is not a manifest of format {FORMAT}")
    manifest: Manifest = _read(Manifest, values, "it")
    return manifest


def _read(hint: Any, value: Any, name: str) -> Any:
    """`value`, from JSON, as the type `hint` has it."""
    if isinstance(hint, UnionType):
        return None if value is None else _read(get_args(hint)[0], value, name)
    if is_dataclass(hint):
        return _dataclass(hint, value, name)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), value, name)
    kind = get_origin(hint) or hint
    taken: Any = {float: (int, float), Mapping: dict}.get(kind, kind)
    if kind is not Any and (isinstance(value, bool) or not isinstance(value, taken)):
        raise ValueError(f"{name} has {value!r} where {kind.__name__} is expected")
    return value


def _dataclass(hint: Any, value: Any, name: str) -> Any:
    wanted = {one.name for one in fields(hint)}
    if not isinstance(value, dict) or value.keys() != wanted:
        raise ValueError(f"{name} has not just the entries {', '.join(sorted(wanted))}")
    hints = get_type_hints(hint)
    return hint(**{key: _read(hints[key], entry, f"its {key}") for key, entry in value.items()})


def _tuple(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {value!r} where a list is expected")
    each = (kinds[0],) * len(value) if kinds[1:] == (...,) else kinds
    if len(each) != len(value):
        raise ValueError(f"{name} has {len(value)} entries where {len(each)} are expected")
    return tuple(_read(kind, entry, name) for kind, entry in zip(each, value, strict=True))
