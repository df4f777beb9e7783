"""Losses of the shipped networks."""

from torch import Tensor
from torch.nn import functional as F


def masked_l1(restored: Tensor, clean: Tensor, mask: Tensor, weight: float) -> Tensor:
    """Mean absolute error of (N, 3, H, W), counted 1 + `weight` times where `mask` (N, 1, H, W) is 1.

    Plain L1 over a mixture of rain leaves drops alone: they cover little, and the easy gain is elsewhere.
    """
    weights = 1 + weight * mask
    return ((restored - clean).abs() * weights).mean() / weights.mean()


def mask_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """The attention map's binary cross-entropy against the soft rain mask, both (N, 1, H, W)."""
    return F.binary_cross_entropy_with_logits(logits.float(), mask)
