"""The card a model carries in its ONNX metadata: what it is, what it may be used for, how it must be fed."""

from dataclasses import dataclass, field
from enum import StrEnum


class Tiling(StrEnum):
    """EXACT: tiles with the card's halo equal the whole frame. APPROXIMATE: nearly. WHOLE_FRAME: no tiles."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    WHOLE_FRAME = "whole_frame"


@dataclass(frozen=True)
class ModelCard:
    """Facts about one network.

    `halo`: receptive-field radius in pixels. `multiple_of`: heights and widths it takes.
    `removes`: "streaks", "drops". `quality`: measured figures by set, e.g. {"Rain100L": "28.5 dB (+1.6)"}.
    `states`: (input, output) tensor names of a recurrent network, empty for a single-frame one.
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
    states: tuple[tuple[str, str], ...] = ()
    sha256: str = ""
