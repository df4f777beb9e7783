"""The losses of DAiAM, each by hand: over 2x2 pictures of one value, or a few numbers."""

import pytest
import torch
from torch import Tensor

from derain.train.losses.daiam import (
    Balance,
    DAiAMLoss,
    attention_loss,
    branch_loss,
    picture_loss,
    stage_loss,
)
from derain.train.networks.daiam import DROPS, STREAKS
from derain.train.networks.dam import Attended, Stage
from derain.train.networks.network import Restored


def picture(value: float, channels: int = 3) -> Tensor:
    return torch.full((1, channels, 2, 2), value)


def test_eq_5_and_eq_9_by_hand() -> None:
    mask = torch.tensor([[[[0.0, 1.0], [0.5, 0.25]]]])
    attention = torch.tensor([[[[0.5, 0.5], [0.5, 0.5]]]])
    assert float(attention_loss(mask, attention)) == pytest.approx((0.25 + 0.25 + 0 + 0.0625) / 4)
    clean, restored = torch.zeros(1, 3, 1, 2), torch.tensor([[[[0.1, 0.0]], [[-0.2, 0.0]], [[0.3, 0.4]]]])
    assert float(picture_loss(clean, restored)) == pytest.approx((0.1 + 0.2 + 0.3 + 0.4) / 2)


def branch_of(heavy: float, attention: float, light: float) -> Attended:
    return Attended(picture(heavy), picture(attention, 1), picture(light))


CLEAN = picture(0.5)
EQ_12 = 0.8 * 0.3**2 + 1.0 * 3 * 0.1 + 0.3 * 3 * 0.2
"""Eq. 12 of branch_of(0.6, 0.7, 0.3) under a mask of 1: alpha L_att + beta1 L_heavy + beta2 L_light."""


def test_eqs_10_to_13_by_hand() -> None:
    one, other = branch_of(0.6, 0.7, 0.3), branch_of(0.5, 0.1, 0.5)
    masks, balance = (picture(1, 1), picture(0, 1)), Balance()
    assert float(branch_loss(one, CLEAN, masks[0], balance)) == pytest.approx(EQ_12)
    eq_10 = EQ_12 + 3 * 0.4
    assert float(stage_loss(Stage(picture(0.9), (one,)), CLEAN, masks[:1], balance)) == pytest.approx(eq_10)
    eq_11 = EQ_12 + 0.8 * 0.1**2 + 3 * 0.4
    both = stage_loss(Stage(picture(0.9), (one, other)), CLEAN, masks, balance)
    assert float(both) == pytest.approx(eq_11)


def test_what_the_ablations_lack_has_no_loss() -> None:
    mask, balance = picture(1, 1), Balance()
    assert float(branch_loss(Attended(picture(0.6)), CLEAN, mask, balance)) == pytest.approx(0.3)
    odd = Attended(picture(0.6), picture(0.7, 1))
    assert float(branch_loss(odd, CLEAN, mask, balance)) == pytest.approx(0.3 + 0.8 * 0.3**2)


def joint(*images: float) -> Restored:
    """Stages of DAiAM whose streak branch expects a mask of 1 and drop branch one of 0."""
    branches = branch_of(0.6, 0.7, 0.3), branch_of(0.5, 0.1, 0.5)
    stages = tuple(Stage(picture(image), branches).pack() for image in images)
    return Restored(picture(images[-1]), None, stages)


def test_eq_15_sums_the_stages() -> None:
    drops, streaks = picture(0, 1), picture(1, 1)
    of_branches = EQ_12 + 0.8 * 0.1**2
    loss = DAiAMLoss()(joint(0.9, 0.6), CLEAN, drops, streaks)
    assert float(loss) == pytest.approx(3 * 0.4 + 3 * 0.1 + 2 * of_branches)
    literal = DAiAMLoss(branches=False)(joint(0.9, 0.6), CLEAN, drops, streaks)
    assert float(literal) == pytest.approx(3 * 0.4 + 3 * 0.1)


def test_each_branch_is_held_to_the_mask_of_its_rain() -> None:
    assert (STREAKS, DROPS) == (0, 1)
    right = DAiAMLoss()(joint(0.5), CLEAN, mask_drops=picture(0, 1), mask_streaks=picture(1, 1))
    wrong = DAiAMLoss()(joint(0.5), CLEAN, mask_drops=picture(1, 1), mask_streaks=picture(0, 1))
    assert float(wrong - right) == pytest.approx(0.8 * (0.7**2 + 0.9**2 - 0.3**2 - 0.1**2))


def test_one_branch_is_held_to_all_the_rain() -> None:
    restored = Restored(CLEAN, None, (Stage(CLEAN, (branch_of(0.5, 0.7, 0.5),)).pack(),))
    loss = DAiAMLoss()(restored, CLEAN, picture(0.9, 1), picture(0.2, 1))
    assert float(loss) == pytest.approx(0.8 * 0.2**2)
