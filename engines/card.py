"""The card a model carries in its ONNX metadata: what it is, what it may be used for, how it must be fed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from google.protobuf.message import DecodeError

from derain.engines.errors import UsageError

PREFIX = "derain."
"""Begins the name of each metadata entry that belongs to the card."""


PRECISIONS = ("fp32", "int8", "fp8")
"""What a model file may be in; fp32 is run in others too, as the backend takes."""


class Tiling(StrEnum):
    """EXACT: tiles with the card's halo equal the whole frame. APPROXIMATE: nearly. WHOLE_FRAME: no tiles."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    WHOLE_FRAME = "whole_frame"


class StatePair(NamedTuple):
    """A state of a recurrent network: the tensor it is read from, the one its successor is written to.

    `scale`: height and width are those of the frame divided by it.
    """

    taken: str
    given: str
    scale: int


@dataclass(frozen=True)
class ModelCard:
    """Facts about one network.

    `halo`: receptive-field radius in pixels. `multiple_of`: heights and widths it takes.
    `removes`: "streaks", "drops". `quality`: measured figures by set, e.g. {"Rain100L": "28.5 dB (+1.6)"}.
    `states`: those of a recurrent network, in the order of its tensors; empty for a single-frame one.
    `attention`: the names of its attention maps, in their order; empty where it has none.
    `attention_scale`: height and width of the maps are those of the frame divided by it.
    `dry_below`: a frame of a lower score, of the scores that the pipeline gives frames, has no rain in it.
    `precision`: of PRECISIONS, what its numbers are. `calibration`: what one in 8 bits was quantised on.
    `sha256`: of the weights (graph initialisers), filled on export.
    """

    name: str
    version: str
    removes: tuple[str, ...]
    halo: int
    multiple_of: int
    tiling: Tiling
    licence: str
    recipe: str = ""
    seed: int | None = None
    commit: str = ""
    data: tuple[str, ...] = ()
    quality: dict[str, str] = field(default_factory=dict)
    speed: dict[str, str] = field(default_factory=dict)
    states: tuple[StatePair, ...] = ()
    attention: tuple[str, ...] = ()
    attention_scale: int = 1
    dry_below: float = 0.1
    precision: str = "fp32"
    calibration: str = ""
    sha256: str = ""


def weights_sha256(model: onnx.ModelProto) -> str:
    """The sha256 (hex) of the initialisers in the order of their names: name, dtype, shape, values."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        values = onnx.numpy_helper.to_array(tensor)
        digest.update(f"{tensor.name}\0{values.dtype}\0{values.shape}\0".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Puts `card` into the metadata of `model`, in place of a card it had; other metadata stays."""
    others = {entry.key: entry.value for entry in model.metadata_props if not entry.key.startswith(PREFIX)}
    onnx.helper.set_model_props(model, others | card_metadata(card))


def read_card(path: Path) -> ModelCard:
    """The card of the model file at `path`; raises UsageError where it is not a model with a good card."""
    return card_of(load_model(path), path)


def load_model(path: Path) -> onnx.ModelProto:
    """Reads an ONNX file; raises UsageError where `path` is missing, a directory or not ONNX."""
    if path.is_dir():
        raise UsageError(f"the model {path} is a directory; give a .onnx file")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"the model {path} does not exist; give a .onnx file") from error
    except OSError as error:
        raise UsageError(f"the model {path} can't be read: {error.strerror}") from error
    except DecodeError as error:
        raise UsageError(
            f"the model {path} is not an ONNX file; give one that derain export wrote"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise UsageError(f"the model {path} is not an ONNX file; give one that derain export wrote")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise UsageError(f"the model {path} keeps weights in another file; export it as one file")
    return model


def card_of(model: onnx.ModelProto, path: Path) -> ModelCard:
    """The card in `model`, read from `path`; raises UsageError if it is missing, bad or of other weights."""
    metadata = {
        entry.key.removeprefix(PREFIX): entry.value
        for entry in model.metadata_props
        if entry.key.startswith(PREFIX)
    }
    if not metadata:
        raise UsageError(
            f"the model {path} has no derain card in its metadata; give a file that derain export wrote"
        )
    card = parse_card(metadata, path)
    found = weights_sha256(model)
    if card.sha256 and card.sha256 != found:
        raise UsageError(
            f"the model {path} is damaged or changed: its weights have sha256 {found[:16]}..., "
            f"its card says {card.sha256[:16]}...; fetch or export it again"
        )
    return card


def card_metadata(card: ModelCard) -> dict[str, str]:
    """The card as metadata entries: text as it is, everything else as JSON."""
    entries = {}
    for item in fields(card):
        value = getattr(card, item.name)
        entries[PREFIX + item.name] = str(value) if isinstance(value, str) else json.dumps(value)
    return entries


class _BadValueError(Exception):
    """What a field takes, where the value was something else."""


def _text(value: str) -> str:
    return value


def _name(value: str) -> str:
    if not value.strip():
        raise _BadValueError("a text that is not empty")
    return value


def _json(value: str, takes: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise _BadValueError(takes) from error


def _whole(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        takes = f"a whole number from {least} up"
        number = _json(value, takes)
        if type(number) is not int or number < least:
            raise _BadValueError(takes)
        return int(number)

    return parse


def _share(value: str) -> float:
    takes = "a number from 0 to 1"
    number = _json(value, takes)
    if type(number) not in (int, float) or not 0 <= number <= 1:
        raise _BadValueError(takes)
    return float(number)


def _seed(value: str) -> int | None:
    return None if value == "null" else _whole(0)(value)


def _texts(value: str) -> tuple[str, ...]:
    takes = 'a JSON list of texts such as ["streaks"]'
    items = _json(value, takes)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _BadValueError(takes)
    return tuple(items)


def _maps(value: str) -> tuple[str, ...]:
    takes = 'a JSON list of names, no two alike, such as ["drops", "streaks"]'
    names = _json(value, takes)
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise _BadValueError(takes)
    if len(set(names)) < len(names):
        raise _BadValueError(takes)
    return tuple(names)


def _figures(value: str) -> dict[str, str]:
    takes = 'a JSON object of texts such as {"Rain100L": "28.5 dB"}'
    items = _json(value, takes)
    if not isinstance(items, dict) or not all(isinstance(item, str) for item in items.values()):
        raise _BadValueError(takes)
    return items


def _states(value: str) -> tuple[StatePair, ...]:
    takes = 'a JSON list of states [input, output, scale] such as ["hidden", "hidden_next", 4]'
    items = _json(value, takes)
    if not isinstance(items, list):
        raise _BadValueError(takes)
    pairs = []
    for item in items:
        match item:
            case [str(taken), str(given), int(scale)] if scale >= 1 and not isinstance(scale, bool):
                pairs.append(StatePair(taken, given, scale))
            case _:
                raise _BadValueError(takes)
    return tuple(pairs)


def _tiling(value: str) -> Tiling:
    try:
        return Tiling(value)
    except ValueError as error:
        raise _BadValueError(", ".join(Tiling)) from error


def _precision(value: str) -> str:
    if value not in PRECISIONS:
        raise _BadValueError(" or ".join(PRECISIONS))
    return value


PARSERS: Mapping[str, Callable[[str], Any]] = {
    "name": _name,
    "version": _name,
    "removes": _texts,
    "halo": _whole(0),
    "multiple_of": _whole(1),
    "tiling": _tiling,
    "licence": _name,
    "recipe": _text,
    "seed": _seed,
    "commit": _text,
    "data": _texts,
    "quality": _figures,
    "speed": _figures,
    "states": _states,
    "attention": _maps,
    "attention_scale": _whole(1),
    "dry_below": _share,
    "precision": _precision,
    "calibration": _text,
    "sha256": _text,
}
"""How each field is read from its metadata text; a field that ModelCard has no default for must be there."""

REQUIRED = ("name", "version", "removes", "halo", "multiple_of", "tiling", "licence")


def parse_card(metadata: Mapping[str, str], path: Path) -> ModelCard:
    """The card from metadata entries without their prefix; unknown ones are left for later versions."""
    for name in REQUIRED:
        if name not in metadata:
            raise UsageError(f"the card of the model {path} lacks {name!r}; export the model again")
    values = {}
    for name, parse in PARSERS.items():
        if name not in metadata:
            continue
        try:
            values[name] = parse(metadata[name])
        except _BadValueError as bad:
            raise UsageError(
                f"the card of the model {path} has {name} = {metadata[name]!r}; it must be {bad}"
            ) from bad
    return ModelCard(**values)
