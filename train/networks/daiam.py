"""Joint removal of rain streaks and raindrops by Zhang et al. 2021: DAM, DAiAM, D-DAiAM and their ablations.

`Restored.stages` holds one packed tensor a stage, read by `derain.train.networks.dam.unpack`: I_o^t and, for
each branch, D_heavy's picture, S+ and D_light's picture; derain.train.losses.daiam compares them with the
clean picture and the masks. DAiAM's branches are streaks and drops, in this order.

Every network is local. A stage looks 30 pixels far (E 7 and 1 for each step of its LSTM, S+ 1, D_heavy 12,
D_global 6; DAM(zero) 29), a differential-driven module 2 more, and stages add up.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from derain.engines.card import Tiling
from derain.train.networks.dam import DAM, RGB, STEPS, Attentive
from derain.train.networks.differential import Cascade, DifferentialDriven, W
from derain.train.networks.network import Entry

PAPER = "Zhang 2021, DAiAM"
STREAKS, DROPS = range(2)
"""The branches of DAiAM, in their order."""


class DAiAM(Attentive):
    """The dual attention-in-attention model (section 3.4, fig. 5): a DAM for streaks and one for drops.

    Eqs. 11 to 13 have one global loss and none for a branch, so the branches have no D_global of their own:
    one joins the four pictures of both with the rainy one.
    """

    def __init__(self, width: float = 1.0, steps: int = STEPS, channels_in: int = RGB) -> None:
        super().__init__(2, 2, channels_in, width, steps)


def cascade(width: float = 1.0, steps: int = STEPS) -> nn.Module:
    """DAiAM-DAiAM (section 4.5): two, the second fed with what the first restored."""
    return Cascade([DAiAM(width, steps) for _ in range(2)])


def d_dam(width: float = 1.0, steps: int = STEPS, w: float = W) -> nn.Module:
    """D-DAM (sections 4.2 and 4.3): D-DAiAM for one kind of rain."""
    return DifferentialDriven([DAM(width, 2, steps), DAM(width, 2, steps, channels_in=2 * RGB)], width, w)


def d_daiam(stages: int, width: float = 1.0, steps: int = STEPS, w: float = W) -> nn.Module:
    """D-DAiAM (section 3.5) of `stages` DAiAMs: two, or three in D-DAiAM(3) (section 4.5)."""
    later = [DAiAM(width, steps, channels_in=2 * RGB) for _ in range(stages - 1)]
    return DifferentialDriven([DAiAM(width, steps), *later], width, w)


def network(name: str, build: Callable[..., nn.Module]) -> Entry:
    return Entry(name, PAPER, build, multiple_of=1, tiling=Tiling.EXACT)


NETWORKS: tuple[Entry, ...] = (
    network("dam-zero", partial(DAM, maps=0)),
    network("dam-odd", partial(DAM, maps=1)),
    network("dam", DAM),
    network("d-dam", d_dam),
    network("daiam", DAiAM),
    network("daiam-daiam", cascade),
    network("d-daiam", partial(d_daiam, 2)),
    network("d-daiam-3", partial(d_daiam, 3)),
)
