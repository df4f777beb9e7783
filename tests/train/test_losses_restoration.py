"""The losses of our own networks, by hand."""

import math

import pytest
import torch

from derain.train.losses.restoration import NEAR, charbonnier, maps_loss, spectrum


def test_charbonnier_counts_more_where_the_mask_says() -> None:
    clean = torch.zeros(1, 3, 1, 2)
    restored = torch.tensor([0.3, 0.1]).expand(1, 3, 1, 2)
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    one, other = (math.sqrt(d * d + NEAR * NEAR) for d in (0.3, 0.1))
    expected = (5 * one + other) / 6
    assert float(charbonnier(restored, clean, mask, 4)) == pytest.approx(expected)
    assert float(charbonnier(clean, clean, mask, 4)) == pytest.approx(NEAR)


def test_the_spectrum_counts_a_grating_by_its_contrast() -> None:
    clean = torch.zeros(1, 3, 8, 8)
    grating = 0.1 * torch.cos(2 * math.pi * torch.arange(8) / 4).expand(1, 3, 8, 8)
    # One value of the half spectrum: 0.1 / 2 of an orthonormal transform of 8x8, in 2 of 8 x 5 x 2 parts
    # where both of +f and -f are kept, in one where one is.
    found = float(spectrum(grating.contiguous(), clean))
    assert found == pytest.approx(0.1 / 2 * 8 / (8 * 5 * 2), rel=1e-4)
    assert float(spectrum(clean, clean)) == 0


def test_a_cell_is_as_rainy_as_its_rainiest_pixel() -> None:
    logits = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1)
    masks = torch.zeros(1, 2, 4, 4)
    masks[0, 0, 1, 3] = 0.8
    one = -(0.8 * math.log(1 / (1 + math.exp(-2))) + 0.2 * math.log(1 - 1 / (1 + math.exp(-2))))
    other = -math.log(1 - 1 / (1 + math.exp(1)))
    assert float(maps_loss(logits, masks)) == pytest.approx((one + other) / 2, rel=1e-5)
