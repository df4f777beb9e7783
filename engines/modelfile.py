"""A model file read and checked: what a backend compiles."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import TensorProto

from derain.engines.card import ModelCard, StatePair, card_of, load_model
from derain.engines.errors import UsageError

INPUT, OUTPUT, ATTENTION = "rainy", "restored", "attention"
LEAST_OPSET = 13
ONE_MAP = ("rain",)
"""The map of a file from before cards named them."""


@dataclass(frozen=True)
class StateSpec:
    """A state of a recurrent network, float32 (N, `channels`, H / `scale`, W / `scale`).

    `name`: of the input it is read from.
    """

    name: str
    channels: int
    scale: int

    def shape(self, count: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Of the states of `count` frames of that size."""
        return count, self.channels, height // self.scale, width // self.scale


@dataclass(frozen=True)
class ModelFile:
    """`graph`: float32 core, `rainy` (N, 3, H, W) RGB in 0..1 -> `restored` of the same shape.

    Where the card names attention maps it also gives `attention` (N, maps, H / scale, W / scale) in 0..1,
    where it takes rain to be; scale is the card's `attention_scale`.
    `states`: of a recurrent network, one for each of the card's: an input after `rainy` and an output after
    all others, (N, channels, H / scale, W / scale), zero for the first frame of a source.
    """

    path: Path
    graph: onnx.ModelProto
    card: ModelCard
    states: tuple[StateSpec, ...] = ()

    @property
    def attention(self) -> bool:
        """Whether it gives attention maps."""
        return bool(self.card.attention)


def open_model(path: Path) -> ModelFile:
    """Reads the file, its card and its shapes; raises UsageError where it is not a model derain can feed."""
    model = load_model(path)
    card = card_of(model, path)
    inputs, outputs = _inputs(model), list(model.graph.output)
    attention = ATTENTION in [end.name for end in outputs[1:2]]
    _check_all_names(card, inputs, outputs, attention, path)
    _check_end("input", inputs[0], "RGB", 3, path)
    _check_end("output", outputs[0], "RGB", 3, path)
    if attention:
        card = _with_maps(card, outputs[1], path)
    news = outputs[len(outputs) - len(card.states) :]
    pairs = zip(card.states, inputs[1:], news, strict=True)
    states = tuple(_state(card, pair, taken, given, path) for pair, taken, given in pairs)
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < LEAST_OPSET:
        raise UsageError(f"the model {path} has ONNX opset {opset}; derain takes {LEAST_OPSET} and later")
    return ModelFile(path, model, card, states)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [end for end in model.graph.input if end.name not in weights]


def _with_maps(card: ModelCard, end: onnx.ValueInfoProto, path: Path) -> ModelCard:
    """The card, which names the maps of `end` now if it did not; raises UsageError where they don't fit."""
    names = card.attention or ONE_MAP
    what = f"attention ({', '.join(names)})" if card.attention else "attention"
    _check_end("output", end, what, len(names), path)
    if card.multiple_of % card.attention_scale:
        raise UsageError(
            f"the card of the model {path} gives attention_scale = {card.attention_scale}; "
            f"it must divide multiple_of, which is {card.multiple_of}"
        )
    return replace(card, attention=names)


def _check_all_names(
    card: ModelCard,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    attention: bool,
    path: Path,
) -> None:
    before, after = [state.taken for state in card.states], [state.given for state in card.states]
    by_card = ", then those that its card names as states ({})" if card.states else ""
    taken = f"one input named {INPUT!r}{by_card.format(', '.join(before))}"
    _check_names("input", inputs, [INPUT, *before], taken, path)
    if card.attention and not attention:
        raise UsageError(
            f"the card of the model {path} names the attention maps {', '.join(card.attention)}, and its "
            f"second output is not {ATTENTION!r}; export the model again"
        )
    taken = f"one output named {OUTPUT!r}, and {ATTENTION!r} after it where there is an attention map"
    names = [OUTPUT, ATTENTION] if attention else [OUTPUT]
    _check_names("output", outputs, [*names, *after], taken + by_card.format(", ".join(after)), path)


def _check_names(
    kind: str, ends: list[onnx.ValueInfoProto], wanted: list[str], taken: str, path: Path
) -> None:
    names = [end.name for end in ends]
    if names != wanted:
        raise UsageError(
            f"the model {path} has the {kind}s {', '.join(names) or 'none'}; derain takes {taken}"
        )


def _check_end(kind: str, end: onnx.ValueInfoProto, what: str, channels: int, path: Path) -> None:
    """`what`: the tensor holds, in so many channels."""
    _check_float(kind, end, path)
    sizes = _sizes(end)
    if sizes != [None, channels, None, None]:
        raise UsageError(
            f"the model {path} has the {kind} {end.name!r} of shape {_told(sizes)}; derain takes "
            f"(?, {channels}, ?, ?): batch, {what}, height and width, where ? is dynamic"
        )


def _state(
    card: ModelCard, pair: StatePair, taken: onnx.ValueInfoProto, given: onnx.ValueInfoProto, path: Path
) -> StateSpec:
    """The state of `pair`, its tensors checked."""
    if card.multiple_of % pair.scale:
        raise UsageError(
            f"the card of the model {path} gives its state {pair.taken!r} the scale {pair.scale}; "
            f"it must divide multiple_of, which is {card.multiple_of}"
        )
    channels = _state_channels("input", taken, path)
    written = _state_channels("output", given, path)
    if written != channels:
        raise UsageError(
            f"the model {path} has a state of {channels} channels in its input {taken.name!r} and of "
            f"{written} in its output {given.name!r}; they must be as many"
        )
    return StateSpec(pair.taken, channels, pair.scale)


def _state_channels(kind: str, end: onnx.ValueInfoProto, path: Path) -> int:
    _check_float(kind, end, path)
    match _sizes(end):
        case [None, int(channels), None, None]:
            return channels
        case sizes:
            raise UsageError(
                f"the model {path} has the {kind} {end.name!r} of shape {_told(sizes)}; derain takes a state "
                "of shape (?, C, ?, ?): batch, a fixed number of channels, height and width, "
                "where ? is dynamic"
            )


def _check_float(kind: str, end: onnx.ValueInfoProto, path: Path) -> None:
    found = end.type.tensor_type.elem_type
    if found != TensorProto.FLOAT:
        raise UsageError(
            f"the model {path} has the {kind} {end.name!r} of dtype {TensorProto.DataType.Name(found)}; "
            "derain takes FLOAT (32 bit)"
        )


def _sizes(end: onnx.ValueInfoProto) -> list[int | None]:
    """The tensor's shape, None for what is dynamic."""
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in end.type.tensor_type.shape.dim]


def _told(sizes: list[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in sizes)})"
