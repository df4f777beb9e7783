"""SPANet (Wang et al., CVPR 2019) with the weights its authors published: `FOLDER/spanet/latest`.

Trained on SPA-Data, real rain in videos of still scenes. No preset imitates that, so it is an expert of none.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from derain.benchmarks.peers.critic import RGB, weights_file
from derain.train.networks import spanet


@dataclass(frozen=True)
class SPANet:
    """A critic: the network of `train`, without the branch that its published weights never used."""

    network: spanet.SPANet
    name: str = "SPANet SPA-Data"
    judges: tuple[str, ...] = ()

    def restore(self, rainy: RGB) -> RGB:
        """`rainy` (H, W, 3) RGB uint8 of any size, restored."""
        batch = torch.from_numpy(rainy.transpose(2, 0, 1)[None].astype(np.float32)) / 255
        with torch.inference_mode():
            restored = self.network(batch).image[0].clamp(0, 1).permute(1, 2, 0)
        return np.asarray((restored * 255).round().to(torch.uint8).numpy())


def load(peers: Path) -> SPANet:
    """The critic of `peers`/spanet. UsageError: no such file; DerainError: not its weights."""
    network = spanet.SPANet(spanet.DESIGNS["spanet-bd"])
    spanet.load_published(network, weights_file(peers, "spanet", "latest"))
    return SPANet(network.eval())


def critics(peers: Path) -> list[SPANet]:
    """The one training there is."""
    return [load(peers)]
