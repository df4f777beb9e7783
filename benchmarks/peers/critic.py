"""What a published derainer is to us: a critic. Rain that its expert does not recognise is not yet rain."""

from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from derain.engines.errors import UsageError

RGB: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) RGB uint8."""


class Critic(Protocol):
    """`name` as tables show it, e.g. "PReNet Rain100L"; `judges`: names of the presets whose rain it was
    trained on; `restore` maps (H, W, 3) RGB uint8 of any size to the same shape."""

    @property
    def name(self) -> str: ...

    @property
    def judges(self) -> tuple[str, ...]: ...

    def restore(self, rainy: RGB) -> RGB: ...


def weights_file(peers: Path, *parts: str) -> Path:
    """A file of `peers`, the folder with one folder a published system; UsageError says what is not there."""
    path = peers.joinpath(*parts)
    if not path.is_file():
        raise UsageError(
            f"there are no weights {'/'.join(parts)} in {peers}; --peers names the folder they are in"
        )
    return path
