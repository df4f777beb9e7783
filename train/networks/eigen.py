"""Eigen, Krishnan, Fergus: Restoring an Image Taken Through a Window Covered with Dirt or Rain, ICCV 2013.

Three layers (section 2.1): F_1 = tanh(W_1 * x + b_1) and F_2 = tanh(W_2 * F_1 + b_2) and
F(x) = 1/m (W_3 * F_2 + b_3), W_1 of 16x16x3x512 ("valid"), W_2 of 1x1x512x512, W_3 of 8x8x512x3 ("full"),
m the overlap mask. So each 16x16 patch of the picture becomes a clean patch of the 8x8 pixels in its middle,
and patches are averaged where they overlap (section 2.3): N x M pixels give N - 8 x M - 8.

`eigen2013` is trained on the average, `eigen2013-patch` (the non-convolutional network of the comparison) on
each patch for itself; at test time the two are one and the same.

Where the paper is silent:

- Values. Its thresholds (sections 4 and 5) are those of pictures in 0..1, and so are ours; inside, both
  pictures are shifted by a half to -0.5..0.5, because tanh units learn slowly from inputs of one sign: four
  pairs at a quarter of the width had 20.0 dB after 160 steps of Adam, and 13.1 dB without the shift.
- The start. Its N(0, 0.001) suits its millions of steps: three factors so small leave a plateau one direction
  at a time. A short training takes `deviation=0.1`: four 32x32 pairs at a quarter of the width, 25.2 dB from
  clean, had 40.0 dB after 1,400 steps of AdamW with rates up to 0.006; 240 steps from the paper's start
  ended at 21.6 dB, on such a plateau.
- b_3. The paper counts 1,216 biases, 512 + 512 + 192: the last layer's belong to the 8x8x3 values of a patch,
  and are summed and divided by m as its weights are.
- The border. A restored frame must be as large as the rainy one, so that one is continued by 4 pixels,
  reflected about its outermost ones (repeated ones would look like streaks). m stays the paper's: a corner
  is the prediction of one patch, pixels from the eighth on average 64. `valid=True` continues nothing.
- The smallest frame is then 8x8, one patch; `multiple_of` is 8 for that reason alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import Tiling
from derain.train.networks.network import Entry, Restored

P1, PL = 16, 8
"""p_1 and p_L: the side of the patches that are read and of those that are written."""
UNITS = 512
"""n_1 and n_2."""
BORDER = (P1 - PL) // 2
"""Pixels that "valid" restoration loses on each side."""
HALO = BORDER + PL - 1
"""Eleven: a pixel is in patches that were read up to so far away."""
MULTIPLE_OF = P1 - 2 * BORDER
DEVIATION = 0.001
MIDDLE = 0.5


def ones_of(last_input: Tensor) -> Tensor:
    """1_I of the paper's footnote: (1, 1, h, w), as large as the last layer's input (N, n, h, w)."""
    return torch.ones_like(last_input[:1, :1])


def overlap_mask(ones: Tensor) -> Tensor:
    """m = 1_K * 1_I, "full": (1, 1, h, w) -> (1, 1, h+7, w+7), the number of patches over each pixel."""
    return F.conv_transpose2d(ones, ones.new_ones(1, 1, PL, PL))


class FullConvolution(nn.Module):
    """W_L and b_L: (N, units, h, w) hidden -> (N, 3, h+7, w+7), overlapping patches summed, not yet divided.

    A "full" convolution adds a patch at each place: what torch calls a transposed one, whose weights are
    (units, 3, 8, 8). `bias` is (3, 8, 8), one for each value of a patch.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(units, 3, PL, PL))
        self.bias = nn.Parameter(torch.zeros(3, PL, PL))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.conv_transpose2d(hidden, self.weight) + F.conv_transpose2d(ones_of(hidden), self.bias[None])

    def patches(self, hidden: Tensor) -> Tensor:
        """f(x_p) for each place: (N, 192, h, w), the values of a patch by colour, row and column."""
        kernel = self.weight.flatten(1).t()[:, :, None, None]
        return F.conv2d(hidden, kernel, self.bias.flatten())


class Eigen2013(nn.Module):
    """F: (N, 3, H, W) rainy in 0..1 -> `Restored` without attention or stages.

    `width` multiplies the 512 units of both hidden layers, 4 at least; `deviation` is that of the weights at
    the start, as in `initialise`.
    """

    def __init__(self, width: float = 1.0, deviation: float = DEVIATION) -> None:
        super().__init__()
        units = max(4, round(UNITS * width))
        self.f1 = nn.Conv2d(3, units, P1)
        self.f2 = nn.Conv2d(units, units, 1)
        self.f3 = FullConvolution(units)
        initialise(self, deviation=deviation)

    def hidden(self, rainy: Tensor) -> Tensor:
        """F_2: (N, 3, h+15, w+15) in 0..1 -> (N, units, h, w) in -1..1."""
        first = torch.tanh(self.f1(rainy - MIDDLE))
        return torch.tanh(self.f2(first))

    def summed(self, rainy: Tensor) -> Tensor:
        """m F(x): (N, 3, H, W) -> (N, 3, H-8, W-8), about -0.5..0.5 once it is divided by m."""
        return torch.as_tensor(self.f3(self.hidden(rainy)))

    def forward(self, rainy: Tensor, valid: bool = False) -> Restored:
        """`valid`: the paper's F(x), the picture's middle (N, 3, H-8, W-8), for training (section 2.2)."""
        hidden = self.hidden(rainy if valid else continued(rainy))
        return Restored(self.f3(hidden) / overlap_mask(ones_of(hidden)) + MIDDLE)


class Eigen2013Patch(Eigen2013):
    """The same network for training on the error of each patch (sections 2.3 and 5.1, after Burger et al.).

    While it trains, `stages` is the patches f(x_p) before they are averaged, (N, 192, h, w) in 0..1, by
    colour, row and column of the patch; h, w are H-7, W-7, or H-15, W-15 where `valid`. A 16x16 crop,
    `valid`, is the paper's single patch. Later there are no stages: they take 64 times the picture's memory.
    """

    def forward(self, rainy: Tensor, valid: bool = False) -> Restored:
        if not self.training:
            return super().forward(rainy, valid)
        patches = self.f3.patches(self.hidden(rainy if valid else continued(rainy))) + MIDDLE
        return Restored(depatchify(patches), stages=(patches,))


def continued(rainy: Tensor) -> Tensor:
    """(N, 3, H, W) with 4 pixels more on each side, by reflection."""
    return F.pad(rainy, (BORDER,) * 4, "reflect")


def depatchify(patches: Tensor) -> Tensor:
    """The average of patches (N, 192, h, w) where they overlap: (N, 3, h+7, w+7)."""
    size = (patches.shape[2] + PL - 1, patches.shape[3] + PL - 1)
    return F.fold(patches.flatten(2), size, PL) / overlap_mask(ones_of(patches))


def initialise(
    network: Eigen2013, generator: torch.Generator | None = None, deviation: float = DEVIATION
) -> None:
    """Weights from N(0, 0.001), biases 0 (section 2.2); `generator`: None for torch's own."""
    for layer in (network.f1, network.f2, network.f3):
        assert layer.bias is not None
        nn.init.normal_(layer.weight, 0, deviation, generator)
        nn.init.zeros_(layer.bias)


NETWORKS: tuple[Entry, ...] = (
    Entry("eigen2013", "Eigen 2013", Eigen2013, MULTIPLE_OF, Tiling.EXACT),
    Entry("eigen2013-patch", "Eigen 2013", Eigen2013Patch, MULTIPLE_OF, Tiling.EXACT),
)
