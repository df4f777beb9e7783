"""Eigen's network on large pictures: in sections, summed into one output buffer (section 2.4)."""

from itertools import product

import torch
from torch import Tensor

from derain.engines.errors import UsageError
from derain.train.networks.eigen import MIDDLE, P1, Eigen2013, continued, overlap_mask


@torch.no_grad()
def restore_in_sections(network: Eigen2013, rainy: Tensor, section: int) -> Tensor:
    """What `network(rainy).image` is, (N, 3, H, W), to 1e-5, with the memory of a section's hidden layers.

    `section`: how many patches a side are restored at a time. No patch is computed twice: sections share the
    pixels they read, and add to the pixels they share in the output, which is divided by m at the end.
    """
    if section < 1:
        raise UsageError(f"sections of {section} patches were asked for; they take 1 or more")
    rainy = continued(rainy)
    rows, columns = (side - P1 + 1 for side in rainy.shape[2:])
    ones = rainy.new_ones(1, 1, rows, columns)
    mask = overlap_mask(ones)
    total = rainy.new_zeros(len(rainy), 3, *mask.shape[2:])
    reads = section + P1 - 1
    for top, left in product(range(0, rows, section), range(0, columns, section)):
        part = network.summed(rainy[:, :, top : top + reads, left : left + reads])
        total[:, :, top : top + part.shape[2], left : left + part.shape[3]] += part
    return total / mask + MIDDLE
