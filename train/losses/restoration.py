"""Losses of the shipped networks."""

import torch
from torch import Tensor
from torch.nn import functional as F

NEAR = 1e-3
"""A difference, of the range 0..1, from which on the Charbonnier loss is nearly the absolute one."""


def masked_l1(restored: Tensor, clean: Tensor, mask: Tensor, weight: float) -> Tensor:
    """Mean absolute error of (N, 3, H, W), counted 1 + `weight` times where `mask` (N, 1, H, W) is 1.

    Plain L1 over a mixture of rain leaves drops alone: they cover little, and the easy gain is elsewhere.
    """
    weights = 1 + weight * mask
    return ((restored - clean).abs() * weights).mean() / weights.mean()


def charbonnier(restored: Tensor, clean: Tensor, mask: Tensor, weight: float) -> Tensor:
    """As `masked_l1`, of sqrt(d² + NEAR²) in place of |d|: smooth where the pictures all but agree."""
    weights = 1 + weight * mask
    return (((restored - clean).square() + NEAR**2).sqrt() * weights).mean() / weights.mean()


def spectrum(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute difference of the real and imaginary parts of both spectra (orthonormal), (N, 3, H, W):
    what is periodic or thin, as streaks are, counts by its contrast and not by its few pixels."""
    difference = torch.fft.rfft2((restored - clean).float(), norm="ortho")
    return torch.view_as_real(difference).abs().mean()


def maps_loss(logits: Tensor, maps: Tensor) -> Tensor:
    """The attention maps' binary cross-entropy, (N, K, h, w), against soft rain masks (N, K, H, W): of a
    cell counts its rainiest pixel, as a gate that is shut there loses it."""
    cells = F.adaptive_max_pool2d(maps.float(), logits.shape[2:])
    return F.binary_cross_entropy_with_logits(logits.float(), cells)
