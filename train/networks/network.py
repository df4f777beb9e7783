"""What every network keeps to, so that one trainer, one export and one evaluation serve them all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from derain.engines.card import Tiling


class Restored(NamedTuple):
    """What a network gives for `rainy` (N, 3, H, W) in 0..1.

    `image` (N, 3, H, W), about 0..1, not clipped. `attention` (N, K, H/scale, W/scale) in 0..1:
    where the network sees rain, one map a kind (`Entry.maps`), None where it has none. `stages`: what else
    the paper's losses look at, as the network's own docstring says. `states`: what a recurrent network takes
    for the next frame (recurrent.py).
    """

    image: Tensor
    attention: Tensor | None = None
    stages: tuple[Tensor, ...] = ()
    states: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A network that can be trained.

    `build` takes `width`, a factor on every channel count (1 is the paper's), and sizes of its own by name;
    it returns a module whose forward maps rainy to `Restored`. `discriminator`: builds what judges it, None
    where nothing does. `multiple_of`: heights and widths it takes. `maps`: the names of its attention maps
    where it gives any.
    """

    name: str
    paper: str
    build: Callable[..., nn.Module]
    multiple_of: int
    tiling: Tiling
    discriminator: Callable[..., nn.Module] | None = None
    maps: tuple[str, ...] = ("rain",)
