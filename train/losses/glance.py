"""What the glance minimises."""

import torch
from torch import Tensor
from torch.nn import functional as F


def cells_loss(logits: Tensor, mask: Tensor, miss: float) -> Tensor:
    """Binary cross-entropy of logits (N, 1, h, w) against the most rain in each cell of the soft mask
    (N, 1, H, W), where rain that is missed counts `miss` times."""
    cells = F.max_pool2d(mask, mask.shape[2] // logits.shape[2])
    weight = torch.tensor(miss, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits.float(), cells, pos_weight=weight)
