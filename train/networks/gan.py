"""What the networks of "Deraining water drops with GAN" share: ranges and first weights."""

from torch import Tensor, nn

SLOPE = 0.2
"""Of the leaky ReLUs. The paper gives none; this is the one of the published pix2pix, whose code it took."""
DEVIATION = 0.02
"""Of the first weights, as in the published pix2pix; the paper gives none."""


def scaled(channels: int, width: float) -> int:
    """A channel count times the width factor; at least 2, so that a layer's channels can differ."""
    return max(2, round(channels * width))


def signed(picture: Tensor) -> Tensor:
    """0..1 to -1..1, the range of a tanh."""
    return picture * 2 - 1


def unsigned(picture: Tensor) -> Tensor:
    """-1..1 to 0..1."""
    return (picture + 1) / 2


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), those of the normalisations from N(1, 0.02), biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0, DEVIATION)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, DEVIATION)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
