"""How far a network looks: the radius that a tile's halo must have."""

import copy

import torch
from torch import Tensor, nn

from derain.train.networks.recurrent import Unrolled

LEAST_ACROSS = 8
"""Pixels that a strip is wide at least: as many as any network's border needs."""


def receptive_radius(network: nn.Module, multiple_of: int, limit: int = 512) -> int:
    """The largest distance in pixels, along rows or columns, of an input pixel that changes an output pixel.

    Measured, not computed from a formula: with weights that are positive and not alike nothing cancels, not
    even a pair of maps that share a picture out, so the gradient of one output is non-zero exactly where it
    looks. Each phase of the strides is met once. `limit` bounds it. The width of a network changes nothing.

    Of a recurrent network the radius holds for its states too, each value counted as all the pixels it is of:
    from one frame to the next, not of the whole clip before.
    """
    probe = Unrolled(copy.deepcopy(network)).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in probe.parameters():
        parameter.uniform_(5e-4, 2e-3, generator=generator)
    return max(radius_along(probe, axis, multiple_of, limit) for axis in (2, 3))


def radius_along(probe: Unrolled, axis: int, multiple_of: int, limit: int) -> int:
    """The radius along one axis of the probe's planes (N, C, H, W)."""
    cell, strip, image = seen_through(probe, axis, multiple_of, limit)
    # What a whole cell of `multiple_of` outputs sees bounds what each of them does, so that each need only be
    # asked in a strip that is no longer.
    first, last = extent(image.narrow(axis, cell, multiple_of), strip, axis)
    bound = max(cell + multiple_of - 1 - first, last - cell)
    cell, strip, image = seen_through(probe, axis, multiple_of, min(bound, limit))
    radius = 0
    for position in range(cell, cell + multiple_of):
        first, last = extent(image.select(axis, position), strip, axis)
        radius = max(radius, position - first, last - position)
    return radius


def seen_through(probe: Unrolled, axis: int, multiple_of: int, limit: int) -> tuple[int, Tensor, Tensor]:
    """Where the middle cell begins, a strip that goes on for `limit` pixels beyond it, and its picture."""
    cell = -(-limit // multiple_of) * multiple_of
    across = -(-LEAST_ACROSS // multiple_of) * multiple_of
    shape = [1, probe.channels, across, across]
    shape[axis] = 2 * cell + multiple_of
    strip = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    return cell, strip, probe(strip)[0]


def extent(outputs: Tensor, strip: Tensor, axis: int) -> tuple[int, int]:
    """The first and last place along `axis` of the strip that any of `outputs` sees."""
    (gradient,) = torch.autograd.grad(outputs.sum(), strip, retain_graph=True)
    seen = gradient.abs().transpose(axis, 0).flatten(1).sum(1).nonzero().flatten()
    return int(seen.min()), int(seen.max())
