"""SSIM that can be trained on, equal to `train.evaluate`'s (Wang et al. 2004): docs/evaluation.md."""

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, SIGMA = 11, 1.5
STEADY = (0.01**2, 0.03**2)
"""The constants C1 and C2, for a peak of 1."""


def gaussian(like: Tensor) -> Tensor:
    """The window's weights along one axis, (11,), that sum to 1."""
    places = torch.arange(WINDOW, dtype=like.dtype, device=like.device) - WINDOW // 2
    weights = torch.exp(-places.square() / (2 * SIGMA**2))
    return weights / weights.sum()


def blur(planes: Tensor) -> Tensor:
    """Gaussian means of (N, 1, H, W) where the window fits: (N, 1, H - 10, W - 10)."""
    window = gaussian(planes)
    return F.conv2d(F.conv2d(planes, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))


def ssim(pictures: Tensor, others: Tensor) -> Tensor:
    """(N,) the mean SSIM of each pair of (N, C, H, W) in 0..1, over its channels; H and W 11 at least.

    Counted in float32 or wider: the variances are small differences of large numbers.
    """
    x, y = (p.flatten(0, 1).unsqueeze(1) for p in (pictures, others))
    x, y = (p if p.dtype == torch.float64 else p.float() for p in (x, y))
    with torch.autocast(x.device.type, enabled=False):
        mean_x, mean_y = blur(x), blur(y)
        variances = blur(x * x) - mean_x.square() + blur(y * y) - mean_y.square()
        covariance = blur(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + STEADY[0]) * (2 * covariance + STEADY[1])
    below = (mean_x.square() + mean_y.square() + STEADY[0]) * (variances + STEADY[1])
    return torch.as_tensor((above / below).reshape(len(pictures), -1).mean(1))
