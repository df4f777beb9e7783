"""Every published network that can be measured beside ours, and those whose weights are there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from derain.benchmarks.peers import a2net, prenet, spanet
from derain.benchmarks.peers.critic import Critic
from derain.engines.errors import DerainError


@dataclass(frozen=True)
class Peer:
    """`load` takes the folder of all peers; it raises UsageError where the weights are missing, DerainError
    where they do not fit."""

    name: str
    load: Callable[[Path], Critic]


PEERS: tuple[Peer, ...] = (
    *(
        Peer(prenet.title(variant, training), partial(prenet.load, trained_on=training, variant=variant))
        for training in prenet.TRAINED_ON
        for variant in prenet.VARIANTS
    ),
    Peer("A2Net", a2net.load),
    Peer("SPANet SPA-Data", spanet.load),
)
"""By the names that their critics have."""


def loaded(peers: Sequence[Peer], folder: Path) -> tuple[list[Critic], dict[str, str]]:
    """(those whose weights are in `folder` and fit, why the others are left out by their names)."""
    critics, left_out = [], {}
    for peer in peers:
        try:
            critics.append(peer.load(folder))
        except DerainError as error:
            left_out[peer.name] = str(error)
    return critics, left_out
