"""The seam between frames and the runtime that restores them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from derain.engines.card import ModelCard
from derain.engines.errors import UsageError
from derain.engines.modelfile import StateSpec

Pixels: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
"""RGB pixels, uint8 in 0..255 or uint16 in 0..65535, C-contiguous; each use names its shape."""

State: TypeAlias = npt.NDArray[np.float32]
"""What a recurrent network remembers: (N, C, H / scale, W / scale), C-contiguous, zero for a first frame."""

States: TypeAlias = Sequence[tuple[State, State]]
"""For each state of a network the array it is read from and the one that its successor is written to."""

Scores: TypeAlias = npt.NDArray[np.float32]
"""How much rain there is, 0..1, in cells of `card.attention_scale` pixels: (N, H / scale, W / scale)."""


@dataclass(frozen=True)
class EngineOptions:
    """What the user may ask of an engine.

    `backend`: "auto" or a name of `registry.BACKENDS`. `precision`: "auto", "fp32", ... as the backend takes.
    `threads`: CPU threads, None for all cores. `cache_dir`: compiled models; None for
    `$XDG_CACHE_HOME/derain`. `dtype`: of the pixels at the graph's edges, "uint8" or "uint16".
    `attention`: the network's attention maps come as further channels of what it restores.
    `scores`: each call also tells how much rain there is where, see `Engine.infer`; next to nothing in time.
    `keep`: names of attention maps on the network's card, whose rain stays in the picture.
    Raises UsageError for a number of threads below 1.
    """

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    cache_dir: Path | None = None
    dtype: str = "uint8"
    attention: bool = False
    scores: bool = False
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"the number of threads is {self.threads}; it must be 1 or more")


class Engine(Protocol):
    """A network compiled and ready. Casting, scaling, layout and clipping are inside its graph."""

    @property
    def card(self) -> ModelCard: ...

    @property
    def backend(self) -> str: ...

    @property
    def precision(self) -> str: ...

    precision_reason: str
    """Why it runs in that precision, in words; "" where it was asked for."""

    backend_reason: str
    """Why no faster backend was taken, in a few words; "" where it was asked for, or is the fastest."""

    @property
    def channels(self) -> int:
        """Of what it gives: 3, and one for each map on its card where it was opened with its attention."""
        ...

    @property
    def gives_scores(self) -> bool:
        """Whether it was opened to give scores."""
        ...

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """What it remembers from frame to frame; nothing where it is not recurrent."""
        ...

    def infer(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> Pixels:
        """Restores `batch`, (N, H, W, 3) RGB of the engine's dtype; (N, H, W, channels) of it come back.

        The first three channels are RGB. Those after it are the attention maps, from 0 where the network sees
        no rain to the dtype's greatest value, each value repeated where the maps are smaller than the frame.
        H and W must be multiples of `card.multiple_of` (the tiler pads by reflection and crops). `out`, where
        given, receives the result and is returned. `states`: a pair for each of the engine's, of
        `StateSpec.shape(N, H, W)`, that share no memory; what is read stays as it is, so that a call that
        failed can be made again. `scores`, where given, receives the greatest of the maps at each place, in
        0..1, as small as the maps are. Raises DerainError on a failure.
        """
        ...

    def close(self) -> None:
        """Frees the runtime; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
