"""A network's attention maps put to use inside its graph: as channels, as scores, and for rain that stays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from derain.engines.card import ModelCard
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import ATTENTION, INPUT, OUTPUT, ModelFile

SCORES = "derain_scores"
"""The output of the scores, see Engine."""
NO_RAIN = 0.05
"""A map's value up to which there is no rain: networks gated by their maps leave such a pixel as it is."""

_CHANNELS, _KEPT, _LARGE = "derain_channels", "derain_kept", "derain_attention"
_TINY = 1e-6

Constants = dict[str, npt.NDArray[Any]]


def check_maps(model: ModelFile, options: EngineOptions) -> None:
    """Raises UsageError where `options` want of the model's attention maps what it does not have."""
    if options.attention and not model.attention:
        raise UsageError(
            f"the model {model.path} gives no attention map; leave out --show-attention (in Python: "
            "attention=True), or give a network that has one, such as spanet or attentive-gan"
        )
    if options.scores and not model.attention:
        raise UsageError(f"the model {model.path} gives no attention map, and so no scores")
    for name in options.keep:
        if name not in model.card.attention:
            raise UsageError(
                f"the model {model.path} can't keep {name}: it has {_told(model.card.attention)}; give a "
                f"network with an attention map of {name}"
            )


def planes_of(options: EngineOptions) -> str:
    """The tensor of all channels (N, channels, H, W) that is to come out."""
    return _CHANNELS if options.attention else _colours(options)


def is_used(options: EngineOptions) -> bool:
    """Whether anything is made of the maps."""
    return options.attention or options.scores or bool(options.keep)


def map_nodes(card: ModelCard, options: EngineOptions) -> list[onnx.NodeProto]:
    """What stands between a network's outputs and `planes_of` and SCORES."""
    names = [f"derain_map_{name}" for name in card.attention]
    nodes = []
    if options.scores or options.keep:
        nodes.append(helper.make_node("Split", [ATTENTION, "derain_ones"], names, axis=1))
    if options.scores:
        nodes += _scores(names)
    if options.keep:
        nodes += _keep(
            [name for name, of in zip(names, card.attention, strict=True) if of in options.keep],
            [name for name, of in zip(names, card.attention, strict=True) if of not in options.keep],
            card.attention_scale,
        )
    if options.attention:
        nodes += _enlarge(ATTENTION, _LARGE, card.attention_scale)
        nodes.append(helper.make_node("Concat", [_colours(options), _LARGE], [_CHANNELS], axis=1))
    return nodes


def map_constants(card: ModelCard, options: EngineOptions) -> Constants:
    """What those nodes read, by name; "derain_zero" and "derain_one" are there already."""
    if not is_used(options):
        return {}
    scale = card.attention_scale
    return {
        "derain_ones": np.ones(len(card.attention), np.int64),
        "derain_channel_axis": np.array([1], np.int64),
        "derain_enlarged": np.array([1, 1, scale, scale], np.float32),
        "derain_no_rain": np.array(NO_RAIN, np.float32),
        "derain_tiny": np.array(_TINY, np.float32),
    }


def _told(names: Sequence[str]) -> str:
    if not names:
        return "no attention map"
    return f"the attention map{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _colours(options: EngineOptions) -> str:
    return _KEPT if options.keep else OUTPUT


def _scores(maps: Sequence[str]) -> list[onnx.NodeProto]:
    """The greatest of `maps`, each (N, 1, H / scale, W / scale)."""
    return [
        helper.make_node("Max", maps, ["derain_greatest"]),
        helper.make_node(
            "Clip", ["derain_greatest", "derain_zero", "derain_one"], ["derain_greatest_clipped"]
        ),
        helper.make_node("Squeeze", ["derain_greatest_clipped", "derain_channel_axis"], [SCORES]),
    ]


def _keep(kept: Sequence[str], taken: Sequence[str], scale: int) -> list[onnx.NodeProto]:
    """The restored picture less what it does about rain of the maps `kept`.

    Its correction is weighted by how much of the rain above NO_RAIN is of the maps `taken`. A network that is
    gated by the greatest of its maps so does what it would do were it gated by the greatest of those alone.
    """
    return [
        helper.make_node("Max", kept, ["derain_kept_rain"]),
        helper.make_node("Max", taken or ["derain_zero"], ["derain_taken_rain"]),
        helper.make_node("Sub", ["derain_kept_rain", "derain_no_rain"], ["derain_kept_above"]),
        helper.make_node("Sub", ["derain_taken_rain", "derain_no_rain"], ["derain_taken_over"]),
        helper.make_node("Relu", ["derain_taken_over"], ["derain_taken_above"]),
        helper.make_node("Max", ["derain_taken_above", "derain_kept_above", "derain_tiny"], ["derain_above"]),
        helper.make_node("Div", ["derain_taken_above", "derain_above"], ["derain_share"]),
        helper.make_node("Greater", ["derain_kept_rain", "derain_no_rain"], ["derain_keeps"]),
        helper.make_node("Where", ["derain_keeps", "derain_share", "derain_one"], ["derain_weight"]),
        *_enlarge("derain_weight", "derain_large_weight", scale),
        helper.make_node("Sub", [OUTPUT, INPUT], ["derain_correction"]),
        helper.make_node("Mul", ["derain_correction", "derain_large_weight"], ["derain_weighted"]),
        helper.make_node("Add", [INPUT, "derain_weighted"], [_KEPT]),
    ]


def _enlarge(small: str, large: str, scale: int) -> list[onnx.NodeProto]:
    """Each value repeated `scale` times along both axes."""
    if scale == 1:
        return [helper.make_node("Identity", [small], [large])]
    nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return [
        helper.make_node("Resize", [small, "", "derain_enlarged"], [large], mode="nearest", **nearest),
    ]
