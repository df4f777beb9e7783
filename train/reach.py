"""How far a network looks: the radius that a tile's halo must have."""

import copy

import torch
from torch import nn


def receptive_radius(network: nn.Module, multiple_of: int, limit: int = 512) -> int:
    """The largest distance in pixels, along rows or columns, of an input pixel that changes an output pixel.

    Measured, not computed from a formula: with weights that are positive and not alike nothing cancels, not
    even a pair of maps that share a picture out, so the gradient of one output is non-zero exactly where it
    looks. Each phase of the strides is met once. `limit` bounds it.
    """
    probe = copy.deepcopy(network).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in probe.parameters():
        parameter.uniform_(5e-4, 2e-3, generator=generator)
    return max(radius_along(probe, axis, multiple_of, limit) for axis in (2, 3))


def radius_along(probe: nn.Module, axis: int, multiple_of: int, limit: int) -> int:
    """The radius along one axis of (N, 3, H, W), over all phases of `multiple_of`."""
    long = (2 * -(-limit // multiple_of) + 1) * multiple_of
    shape = [1, 3, 3 * multiple_of, 3 * multiple_of]
    shape[axis] = long
    strip = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    restored = probe(strip)[0]
    middle = (long - multiple_of) // 2
    radius = 0
    for position in range(middle, middle + multiple_of):
        output = restored.select(axis, position).sum()
        (gradient,) = torch.autograd.grad(output, strip, retain_graph=True)
        seen = gradient.abs().transpose(axis, 0).flatten(1).sum(1).nonzero().flatten()
        radius = max(radius, position - int(seen.min()), int(seen.max()) - position)
    return radius
