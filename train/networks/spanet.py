"""SPANet (Wang et al., CVPR 2019): rain is seen by a spatial attentive module (SAM) and then taken away.

Three residual blocks (RB), four spatial attentive blocks (SAB) of three spatial attentive residual blocks
(SARB) that one SAM guides, two RBs (figure 5). Of what follows the paper says nothing, and it is as in its
published code:

- 32 channels, half as many in the attention branch; a block is 1x1, 3x3 of dilation 2, 1x1, ReLUs between;
- zeros around the picture in every convolution, no normalisation; the last one gives the picture itself;
- the branch's four maps, one a direction, weigh the IRNN's four in both rounds;
- the identity that the IRNN starts from is scaled by 0.2. By 1, sums grow with the length of a line, twice:
  the map was stuck at 0 or 1 after sixty steps of Adam. `start=1` gives it all the same.

In the published code the product with the branch's maps is thrown away, so that the published weights are
those of a SAM without a branch. Here the branch acts, as the text has it. `attention` is the first SAM's map,
which eq. 7 supervises; `stages` are the maps in the order they were made, (N, 1, H, W) each.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.engines.errors import DerainError
from derain.train.networks.irnn import IRNN
from derain.train.networks.network import Entry, Restored

CHANNELS = 32
BLOCKS, SABS, SARBS, LAST_BLOCKS = 3, 4, 3, 2
DILATION = 2
DIRECTIONS = ("up", "right", "down", "left")
"""The order of the IRNN's outputs."""
START = 0.2
"""Of the IRNN's alpha: the scale of the identity."""


class Sams(Enum):
    """Table 4: no SAM; one whose only map serves all SABs; one a SAB; one for all, asked again by each."""

    NONE = 0
    SINGLE = 1
    OWN = 2
    SHARED = 3


@dataclass(frozen=True)
class Design:
    """A column of table 4 but its loss; `branch`: the attention branch is there."""

    sams: Sams = Sams.SHARED
    branch: bool = True


DESIGNS: Mapping[str, Design] = {
    "spanet-ba": Design(Sams.NONE),
    "spanet-bb": Design(Sams.SINGLE),
    "spanet-bc": Design(Sams.OWN),
    "spanet-bd": Design(branch=False),
    "spanet-be": Design(),
    "spanet": Design(),
}
"""Table 4, Ba to Bf. Be is the whole network trained without eq. 7: its recipe says so."""


def conv(before: int, after: int, size: int, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(before, after, size, padding=dilation * (size // 2), dilation=dilation, bias=bias)


class ResidualBlock(nn.Module):
    """RB, and SARB (figure 5c) where a map weighs what it adds: the learned negative residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 1)
        self.conv2 = conv(channels, channels, 3, DILATION)
        self.conv3 = conv(channels, channels, 1)

    def forward(self, x: Tensor, attention: Tensor | None = None) -> Tensor:
        residual = self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x)))))
        return torch.relu(x + (residual if attention is None else residual * attention))


class AttentionBranch(nn.Module):
    """(N, C, H, W) -> (N, 4, H, W) in 0..1: how much each direction counts at each pixel (figure 5d)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 2)
        self.conv1 = conv(channels, narrow, 3, bias=True)
        self.conv2 = conv(narrow, narrow, 3, bias=True)
        self.conv3 = conv(narrow, len(DIRECTIONS), 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x))))))


class SAM(nn.Module):
    """(N, C, H, W) -> the attention map (N, 1, H, W) in 0..1, by two rounds of IRNN (figures 5d and 6)."""

    def __init__(self, channels: int, branch: bool, start: float) -> None:
        super().__init__()
        self.conv_in = conv(channels, channels, 3)
        self.irnn1, self.irnn2 = IRNN(channels, start), IRNN(channels, start)
        self.conv2, self.conv3 = (conv(4 * channels, channels, 3) for _ in range(2))
        self.branch = AttentionBranch(channels) if branch else None
        self.conv_out = conv(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = None if self.branch is None else self.branch(x)
        first = self.conv2(weighed(self.irnn1(self.conv_in(x)), weights))
        second = torch.relu(self.conv3(weighed(self.irnn2(first), weights)))
        return torch.sigmoid(self.conv_out(second))


def weighed(directions: Tensor, weights: Tensor | None) -> Tensor:
    """(4, N, C, H, W), each times its map of `weights` (N, 4, H, W), side by side: (N, 4C, H, W)."""
    if weights is not None:
        directions = directions * weights.transpose(0, 1).unsqueeze(2)
    return torch.cat(tuple(directions.unbind(0)), 1)


class SPANet(nn.Module):
    """Rainy (N, 3, H, W) in 0..1 -> `Restored`, for one `design`. `start`: of the IRNN's alpha."""

    def __init__(self, design: Design, width: float = 1.0, start: float = START) -> None:
        super().__init__()
        channels = max(2, round(CHANNELS * width))
        count = {Sams.NONE: 0, Sams.OWN: SABS}.get(design.sams, 1)
        self.design = design
        self.conv_in = conv(3, channels, 3)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(BLOCKS))
        self.sams = nn.ModuleList(SAM(channels, design.branch, start) for _ in range(count))
        self.sabs = nn.ModuleList(
            nn.ModuleList(ResidualBlock(channels) for _ in range(SARBS)) for _ in range(SABS)
        )
        self.last_blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(LAST_BLOCKS))
        self.conv_out = conv(channels, 3, 3)

    def forward(self, rainy: Tensor) -> Restored:
        x = torch.relu(self.conv_in(rainy))
        for block in self.blocks:
            x = block(x)
        maps: list[Tensor] = []
        for index, sab in enumerate(self.sabs):
            maps += self.looked(x, index, maps)
            for sarb in sab.children():
                x = sarb(x, maps[-1] if maps else None)
        for block in self.last_blocks:
            x = block(x)
        return Restored(self.conv_out(x), maps[0] if maps else None, tuple(maps))

    def looked(self, x: Tensor, index: int, maps: list[Tensor]) -> list[Tensor]:
        """The map of SAB `index`, none where there is no SAM or where the first SAB's map serves."""
        if self.design.sams is Sams.NONE or (self.design.sams is Sams.SINGLE and maps):
            return []
        return [self.sams[index if self.design.sams is Sams.OWN else 0](x)]


Weights = Mapping[str, Tensor]


def load_published(network: SPANet, path: Path) -> None:
    """Loads the weights their authors published into `network`: full width, one shared SAM.

    They take BGR; here they take RGB. Their branch was never trained: where `network` has one, its last layer
    becomes 0, each of its maps 1/2, and the convolutions after twice as large, which gives the same pictures
    and leaves a branch that can be trained. DerainError where the file holds something else.
    """
    try:
        network.load_state_dict(renamed(torch.load(path, "cpu", weights_only=True)["net"], network))
    except (pickle.UnpicklingError, RuntimeError, TypeError, EOFError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or ["it is empty"])[0]
        raise DerainError(f"{path} does not hold the weights of SPANet: {first}") from error


def renamed(published: Weights, network: SPANet) -> dict[str, Tensor]:
    """The published weights by the names of `network`."""
    numbers = iter(range(1, 1 + BLOCKS + SABS * SARBS + LAST_BLOCKS))
    places = [f"blocks.{i}" for i in range(BLOCKS)]
    places += [f"sabs.{i}.{j}" for i in range(SABS) for j in range(SARBS)]
    places += [f"last_blocks.{i}" for i in range(LAST_BLOCKS)]
    weights = {
        "conv_in.weight": published["conv_in.0.weight"].flip(1),
        "conv_out.weight": published["conv_out.0.weight"].flip(0),
    }
    for place, number in zip(places, numbers, strict=True):
        for layer in ("conv1", "conv2", "conv3"):
            weights[f"{place}.{layer}.weight"] = published[f"res_block{number}.group1.{layer}.weight"]
    return weights | {f"sams.0.{key}": value for key, value in renamed_sam(published, network).items()}


def renamed_sam(published: Weights, network: SPANet) -> dict[str, Tensor]:
    """The published SAM by the names of ours."""
    layers = ("conv_in", "conv2", "conv3", "conv_out")
    weights = {f"{layer}.weight": published[f"SAM1.{layer}.weight"] for layer in layers}
    for irnn in ("irnn1", "irnn2"):
        for ours, theirs in (("alpha", "weight"), ("bias", "bias")):
            rows = [published[f"SAM1.{irnn}.{name}_weight.{theirs}"].flatten() for name in DIRECTIONS]
            weights[f"{irnn}.{ours}"] = torch.stack(rows)
    if network.design.branch:
        prefix = "SAM1.attention_layer."
        branch = {key.removeprefix(prefix): value for key, value in published.items() if prefix in key}
        weights |= {f"branch.{key}": value * ("conv3" not in key) for key, value in branch.items()}
        weights |= {key: 2 * weights[key] for key in ("conv2.weight", "conv3.weight")}
    return weights


PAPER = "Wang et al. 2019, SPANet"

NETWORKS: tuple[Entry, ...] = tuple(
    Entry(
        name, PAPER, partial(SPANet, design), 1, Tiling.EXACT if name == "spanet-ba" else Tiling.WHOLE_FRAME
    )
    for name, design in DESIGNS.items()
)
"""An IRNN carries what it saw through the whole frame; Ba, without, reaches 36 pixels."""
