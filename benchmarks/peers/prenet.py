"""PReNet and its simpler kin (Ren et al., CVPR 2019) with the weights their authors published.

Written from the paper's architecture; the names of the layers are those of the published weight files:
`FOLDER/prenet/{Rain100L,Rain100H,Rain1400}/{PReNet6,PReNet6_r,PRN6,PRN6_r}/net_latest.pth`.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from derain.benchmarks.peers.critic import RGB, weights_file
from derain.engines.errors import DerainError

CHANNELS = 32
STAGES = 6
BLOCKS = 5
VARIANTS = ("PReNet6", "PReNet6_r", "PRN6", "PRN6_r")
"""Recurrent or not (PReNet, PRN); `_r`: one residual block used five times. Each of six stages."""

TRAINED_ON: Mapping[str, tuple[str, ...]] = {
    "Rain100L": ("rain100l",),
    "Rain100H": ("rain100h",),
    "Rain1400": ("rain1400", "did-light", "did-medium", "did-heavy"),
}
"""The presets whose rain each weight file knows: DID's was made as Rain1400's was."""


def gate(activation: nn.Module) -> nn.Sequential:
    """A gate of the recurrent unit: of the features beside the state."""
    return nn.Sequential(nn.Conv2d(2 * CHANNELS, CHANNELS, 3, padding=1), activation)


def block() -> nn.Sequential:
    """What a residual block adds."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        nn.ReLU(),
    )


class ProgressiveNet(nn.Module):
    """Stages that share their weights, each fed the rainy picture and the last stage's estimate.

    `recurrent`: a convolutional LSTM carries features from stage to stage. `recursive`: one residual block is
    used five times over, in place of five.
    """

    def __init__(self, recurrent: bool, recursive: bool) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.conv0 = nn.Sequential(nn.Conv2d(6, CHANNELS, 3, padding=1), nn.ReLU())
        self.names = ["res_conv1"] * BLOCKS if recursive else [f"res_conv{i + 1}" for i in range(BLOCKS)]
        for name in dict.fromkeys(self.names):
            self.add_module(name, block())
        if recurrent:
            for name in ("conv_i", "conv_f", "conv_o"):
                self.add_module(name, gate(nn.Sigmoid()))
            self.add_module("conv_g", gate(nn.Tanh()))
        self.conv = nn.Sequential(nn.Conv2d(CHANNELS, 3, 3, padding=1))

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) float32 RGB in 0..1, restored to the same."""
        batch, _, height, width = rainy.shape
        hidden = cell = rainy.new_zeros(batch, CHANNELS, height, width)
        restored = rainy
        for _ in range(STAGES):
            features = self.conv0(torch.cat((rainy, restored), 1))
            if self.recurrent:
                hidden, cell = self.remember(features, hidden, cell)
                features = hidden
            for name in self.names:
                features = torch.relu(self.get_submodule(name)(features) + features)
            restored = rainy + self.conv(features)
        return restored.clamp(0, 1)

    def remember(self, features: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The LSTM's next (hidden, cell)."""
        seen = torch.cat((features, hidden), 1)
        enter, forget, show, new = (
            self.get_submodule(name)(seen) for name in ("conv_i", "conv_f", "conv_o", "conv_g")
        )
        cell = forget * cell + enter * new
        return show * torch.tanh(cell), cell


@dataclass(frozen=True)
class PReNet:
    """A critic: a progressive net with the weights of one published training."""

    name: str
    judges: tuple[str, ...]
    network: ProgressiveNet

    def restore(self, rainy: RGB) -> RGB:
        """`rainy` (H, W, 3) RGB uint8 of any size, restored."""
        batch = torch.from_numpy(rainy.transpose(2, 0, 1)[None].astype(np.float32)) / 255
        with torch.inference_mode():
            restored = self.network(batch)[0].permute(1, 2, 0)
        return np.asarray((restored * 255).round().to(torch.uint8).numpy())


def load(peers: Path, trained_on: str, variant: str = "PReNet6") -> PReNet:
    """The critic of `peers`/prenet/TRAINED_ON/VARIANT.

    Raises UsageError where that file is missing, DerainError where it holds something else.
    """
    path = weights_file(peers, "prenet", trained_on, variant, "net_latest.pth")
    network = ProgressiveNet(recurrent=variant.startswith("PReNet"), recursive=variant.endswith("_r"))
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, TypeError, EOFError, ValueError) as error:
        first = (str(error).splitlines() or ["it is empty"])[0]
        raise DerainError(f"{path} does not hold the weights of {variant}: {first}") from error
    return PReNet(title(variant, trained_on), TRAINED_ON.get(trained_on, ()), network.eval())


def title(variant: str, trained_on: str) -> str:
    """As tables show it: "PReNet_r Rain100L"."""
    return f"{variant.replace('6', '')} {trained_on}"


def critics(peers: Path) -> list[PReNet]:
    """PReNet with each of its three trainings."""
    return [load(peers, trained_on) for trained_on in TRAINED_ON]
