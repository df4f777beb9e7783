"""A2Net (Lin et al., "Adjacent Aggregation Networks for Image Raindrop Removal", 2020) with its weights.

Written from the paper's architecture; the names of the layers are those of the published weight file,
`FOLDER/a2net/pretrained/latest_net_G.pth`. It was trained on real drops: published gain on them about 7 dB.
The network works on luma and chroma (OpenCV's full-range YUV in 0..1), with fewer channels for chroma.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from derain.benchmarks.peers.critic import RGB, weights_file
from derain.engines.errors import DerainError

LUMA = 32
"""Channels of the encoder and of luma's decoder."""
CHROMA = 24
MULTIPLE = 8
"""Three halvings: pictures are padded to this."""


def convolution(enter: int, leave: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(enter, leave, 3, padding=1), nn.ReLU())


def halving() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(LUMA, LUMA, 4, stride=2, padding=1), nn.ReLU())


def doubling(enter: int, leave: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(enter, leave, 2, stride=2), nn.ReLU())


class Down(nn.Module):
    """Aggregates a layer with its neighbour: both halved, side by side, mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = convolution(LUMA, LUMA), convolution(2 * LUMA, LUMA)
        self.down1, self.down2 = halving(), halving()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(half the size, the layer that the decoder is handed at full size)."""
        skip = self.conv1(x)
        return self.conv2(torch.cat((self.down1(x), self.down2(skip)), 1)), skip


class Up(nn.Module):
    """The same on the way up, with the encoder's layer of that size beside."""

    def __init__(self, enter: int, leave: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = convolution(enter, leave), convolution(2 * leave + LUMA, leave)
        self.up1, self.up2 = doubling(leave, leave), doubling(enter, leave)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return torch.as_tensor(self.conv2(torch.cat((self.up1(self.conv1(x)), self.up2(x), skip), 1)))


class A2NetNetwork(nn.Module):
    """One encoder, a decoder each for luma and chroma; both add what they find to what they were given."""

    def __init__(self) -> None:
        super().__init__()
        self.inc = convolution(3, LUMA)
        for level in (1, 2, 3):
            self.add_module(f"down{level}", Down())
            self.add_module(f"up{level}", Up(LUMA, LUMA))
            self.add_module(f"up_UV{level}", Up(LUMA if level == 1 else CHROMA, CHROMA))
        self.outc_Y = nn.Sequential(nn.Conv2d(LUMA, 1, 3, padding=1), nn.Tanh())
        self.outc_UV = nn.Sequential(nn.Conv2d(CHROMA, 2, 3, padding=1), nn.Tanh())

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) float32 YUV in 0..1, H and W multiples of MULTIPLE; the same, restored."""
        skips: list[Tensor] = []
        x = self.inc(rainy)
        for level in (1, 2, 3):
            x, skip = self.get_submodule(f"down{level}")(x)
            skips.insert(0, skip)
        luma = chroma = x
        for level, skip in enumerate(skips, 1):
            luma = self.get_submodule(f"up{level}")(luma, skip)
            chroma = self.get_submodule(f"up_UV{level}")(chroma, skip)
        return rainy + torch.cat((self.outc_Y(luma), self.outc_UV(chroma)), 1)


@dataclass(frozen=True)
class A2Net:
    """A critic of drops."""

    network: A2NetNetwork
    name: str = "A2Net"
    judges: tuple[str, ...] = ("raindrops", "raindrops-soft")

    def restore(self, rainy: RGB) -> RGB:
        """`rainy` (H, W, 3) RGB uint8 of any size, restored."""
        height, width = rainy.shape[:2]
        padded = np.pad(rainy, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), mode="edge")
        yuv = np.asarray(cv2.cvtColor(padded, cv2.COLOR_RGB2YUV), np.float32) / 255
        with torch.inference_mode():
            restored = self.network(torch.from_numpy(yuv.transpose(2, 0, 1)[None].copy()))[0].permute(1, 2, 0)
        levels = (restored.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        rgb = np.asarray(cv2.cvtColor(levels, cv2.COLOR_YUV2RGB), np.uint8)
        return np.ascontiguousarray(rgb[:height, :width])


def load(peers: Path) -> A2Net:
    """The critic of `peers`/a2net. UsageError: no such file; DerainError: not its weights."""
    path = weights_file(peers, "a2net", "pretrained", "latest_net_G.pth")
    network = A2NetNetwork()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, TypeError, EOFError, ValueError) as error:
        first = (str(error).splitlines() or ["it is empty"])[0]
        raise DerainError(f"{path} does not hold the weights of A2Net: {first}") from error
    return A2Net(network.eval())


def critics(peers: Path) -> list[A2Net]:
    """A2Net as it was published."""
    return [load(peers)]
