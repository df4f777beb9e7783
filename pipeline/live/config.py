"""Cameras in a file: YAML, looked at as a whole before anything starts, with file and line where it is wrong.

docs/live.md lists the keys. What the format has for programs is not taken: no anchors and aliases, no tags.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from derain.engines.errors import UsageError
from derain.pipeline.live.address import parse_address, redacted
from derain.pipeline.live.job import CameraJob, check_names
from derain.pipeline.live.opening import TRANSPORTS, SourceOptions
from derain.pipeline.live.quantities import parse_rate, parse_seconds, parse_size
from derain.pipeline.live.slots import POLICIES

MOST_BYTES = 256 << 10
DEEPEST = 8
"""What a file of cameras stays far below."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


class _WrongError(Exception):
    """`node` is wrong: `told` says what it is and takes."""

    def __init__(self, node: yaml.Node | yaml.Event, told: str) -> None:
        super().__init__(told)
        self.line = 1 if node.start_mark is None else node.start_mark.line + 1


class _NotTakenError(Exception):
    """A value is not of those that are taken, which it says."""


Read: TypeAlias = Callable[[yaml.Node], Any]


@dataclass(frozen=True)
class Entry:
    """A camera of a file. `outputs`: those that show it alone."""

    camera: CameraJob
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """What a file says. `settings`: options of the run by the names that LiveJob and EngineOptions have for
    them, those that are there."""

    cameras: tuple[Entry, ...]
    outputs: tuple[str, ...] = ()
    web: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_config(path: Path) -> Config:
    """Reads a file of cameras. Raises UsageError, one sentence that names the file and the line."""
    text = _text_of(path)
    try:
        _check_events(text)
        node = yaml.compose(text, yaml.SafeLoader)
        return _config(node)
    except _WrongError as wrong:
        raise UsageError(f"{path}, line {wrong.line}: {wrong}") from wrong
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        problem = redacted(error.problem or "something is wrong")
        raise UsageError(f"{path}, line {line}: this is no YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the file of cameras {path} can't be read: {(error.strerror or '').lower()}"
        ) from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} is larger than {MOST_BYTES >> 10} KiB; no file of cameras is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: this is not UTF-8; save the file so") from error


def _check_events(text: str) -> None:
    """Refuses what could make much of little, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _WrongError(event, "anchors (&) and aliases (*) are not taken; write it out, or in quotes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _WrongError(event, "this lies too deep in brackets or indents")


def _config(node: yaml.Node | None) -> Config:
    if node is None:
        raise UsageError("the file of cameras is empty; it takes a list named cameras")
    told = _mapping(node, RUN, "a file of cameras")
    if "cameras" not in told:
        raise _WrongError(node, "there is no list named cameras")
    settings = {name: told[name] for name in told if name not in ("cameras", "output", "web")}
    return Config(told["cameras"], told.get("output", ()), told.get("web"), settings)


def _mapping(node: yaml.Node, known: Mapping[str, Read], what: str) -> dict[str, Any]:
    """The values of a mapping by its keys, each read as `known` says."""
    if not isinstance(node, yaml.MappingNode):
        raise _WrongError(node, f"{what} takes keys and values (name: value), not {_kind(node)}")
    told: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
        if name not in known:
            raise _WrongError(key, f"{what} has no key {redacted(name)!r}; it takes {', '.join(known)}")
        if name in told:
            raise _WrongError(key, f"{name} is there twice; leave one out")
        told[name] = _read(name, known[name], value)
    return told


def _read(name: str, read: Read, node: yaml.Node) -> Any:
    """A value; what is wrong with it is told with its name."""
    try:
        return read(node)
    except UsageError as error:
        raise _WrongError(node, str(error)) from error
    except _NotTakenError as error:
        raise _WrongError(node, f"{name} takes {error}, not {_shown(node)}") from error


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return _KINDS.get(node.tag.removeprefix(_TAG), f"something of the kind {node.tag}")
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"


def _shown(node: yaml.Node) -> str:
    """A value as it may be told."""
    if not isinstance(node, yaml.ScalarNode) or node.tag == f"{_TAG}null":
        return _kind(node)
    in_quotes = "; a text of that kind stands in quotes" if node.tag == f"{_TAG}bool" else ""
    return f"{redacted(node.value)[:80]} ({_kind(node)}){in_quotes}"


def _scalar(node: yaml.Node, kinds: tuple[str, ...], what: str) -> str:
    """The text of a value of one of those kinds; raises _NotTakenError."""
    if not isinstance(node, yaml.ScalarNode) or node.tag.removeprefix(_TAG) not in kinds:
        raise _NotTakenError(what)
    return str(node.value)


def _text(node: yaml.Node) -> str:
    text = _scalar(node, ("str",), "a text")
    if not text.strip():
        raise _NotTakenError("a text that is not empty")
    return text


def _source(node: yaml.Node) -> str:
    return _scalar(node, ("str", "int"), "an address, or the number of a webcam")


def _flag(node: yaml.Node) -> bool:
    return _scalar(node, ("bool",), "true or false").lower() in ("true", "yes", "on")


def _share(node: yaml.Node) -> float:
    text = _scalar(node, ("int", "float"), "a number from 0 to 1")
    if not re.fullmatch(r"0*(0|1|0?\.\d+|[01]\.\d*)", text) or float(text) > 1:
        raise _NotTakenError("a number from 0 to 1")
    return float(text)


def _seconds(node: yaml.Node) -> float:
    return parse_seconds(_scalar(node, ("str", "int", "float"), "a time such as 80ms or 5s"), "a time")


def _size(node: yaml.Node) -> tuple[int, int]:
    return parse_size(_scalar(node, ("str",), "a size such as 1280x720"))


def _rate(node: yaml.Node) -> Fraction:
    return parse_rate(_scalar(node, ("str", "int", "float"), "a rate such as 25 or 30000/1001"))


def _one_of(*names: str) -> Read:
    def read(node: yaml.Node) -> str:
        # "off" is a boolean to YAML 1.1.
        text = _scalar(node, ("str", "bool"), " or ".join(names))
        if text not in names:
            raise _NotTakenError(" or ".join(names))
        return text

    return read


def _texts(node: yaml.Node) -> tuple[str, ...]:
    if isinstance(node, yaml.SequenceNode):
        return tuple(_read("each of the list", _text, one) for one in node.value)
    return (_text(node),)


def _cameras(node: yaml.Node) -> tuple[Entry, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise _NotTakenError("a list of cameras (- name: ...)")
    entries: list[Entry] = []
    for one in node.value:
        entries.append(_camera(one))
        _read("name", lambda _: check_names([entry.camera.name for entry in entries]), one)
    return tuple(entries)


def _camera(node: yaml.Node) -> Entry:
    told = _mapping(node, CAMERA, "a camera")
    for name in ("name", "source"):
        if name not in told:
            raise _WrongError(node, f"a camera lacks its {name}")
    options = {name: told[name] for name in told if name in SOURCE}
    made = _read("a camera", lambda _: SourceOptions(**options), node)
    camera = CameraJob(told["name"], told["source"], made, told.get("strength"))
    return Entry(camera, told.get("output", ()))


_TIMES = tuple(one.name for one in fields(SourceOptions) if one.type in (float, "float"))
SOURCE: dict[str, Read] = {
    "size": _size,
    "rate": _rate,
    "fourcc": _text,
    "transport": _one_of(*TRANSPORTS),
    "loop": _flag,
    **dict.fromkeys(_TIMES, _seconds),
}
CAMERA: dict[str, Read] = {
    "name": _text,
    "source": lambda node: parse_address(_source(node)),
    "strength": _share,
    "output": _texts,
    **SOURCE,
}
RUN: dict[str, Read] = {
    "cameras": _cameras,
    "output": _texts,
    "web": _text,
    "policy": _one_of(*POLICIES),
    "max_latency": _seconds,
    "strength": _share,
    "bypass": _one_of("auto", "off"),
    "model": _text,
    "backend": _text,
    "precision": _text,
}
