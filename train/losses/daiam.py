"""The losses of Zhang et al. 2021, eqs. 5 to 15, over what derain.train.networks.daiam gives.

What they need beside the clean picture: `mask_drops` and `mask_streaks` (N, 1, H, W) in 0..1, each the soft
mask of section 3.2 (derain.train.degradations.masks.daiam) of one kind of rain alone. For rain that is made,
derain.train.degradations.joint_masks gives both. For JRSRD on disk drops are Qian's rainy picture against the
clean one, streaks JRSRD's against Qian's. Where one kind is missing its mask is all 0.

Where the paper is silent, or says two things:

- Eqs. 5 to 7 print differences without a norm, which have no least value. Eqs. 9 and 15 have an absolute
  value, though the text says MSE. The absolute value is taken for pictures, the square for maps (eq. 5): a
  mask is 0 at most pixels, so that a map which is 0 everywhere has the least absolute error until it is
  nearly right, and ours stayed there, with nothing left to multiply the features by.
- The sums over X and Y are divided by the number of pixels, so that the loss does not depend on the crop;
  colours are summed. Both leave the balance of the terms as the equations have it.
- Eq. 15 has no loss for the branches of D-DAiAM, which alone would leave open what S+ is and which branch
  takes which rain. Its terms are the global losses of eq. 11, so each stage is given eq. 11 whole, with
  the same masks; `branches=False` is eq. 15 to the letter.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from derain.train.networks.dam import Attended, Stage, unpack
from derain.train.networks.network import Restored


def attention_loss(mask: Tensor, attention: Tensor) -> Tensor:
    """L_att (eq. 5) of M and S+, both (N, 1, H, W): the mean over pixels of (M - S+)²."""
    return (mask - attention).square().mean()


def picture_loss(clean: Tensor, picture: Tensor) -> Tensor:
    """L_heavy, L_light, L_global (eqs. 6, 7, 9) of (N, 3, H, W): the mean over pixels of the sum over colours
    of |I_c - I|."""
    return (clean - picture).abs().sum(1).mean()


@dataclass(frozen=True)
class Balance:
    """The weights of eqs. 10, 12 and 13 as section 4.1 sets them: alpha of L_att, beta1 of L_heavy, beta2 of
    L_light."""

    alpha: float = 0.8
    beta1: float = 1.0
    beta2: float = 0.3


def branch_loss(branch: Attended, clean: Tensor, mask: Tensor, balance: Balance) -> Tensor:
    """L_streak, L_drop (eqs. 12 and 13), without the terms of what DAM(odd) and DAM(zero) don't have."""
    loss = balance.beta1 * picture_loss(clean, branch.heavy)
    if branch.attention is not None:
        loss = loss + balance.alpha * attention_loss(mask, branch.attention)
    if branch.light is not None:
        loss = loss + balance.beta2 * picture_loss(clean, branch.light)
    return loss


def stage_loss(stage: Stage, clean: Tensor, masks: tuple[Tensor, ...], balance: Balance) -> Tensor:
    """L_DAM (eq. 10) with one branch and one mask; L_DAiAM (eq. 11) with two, in the branches' order."""
    loss = picture_loss(clean, stage.image)
    for branch, mask in zip(stage.branches, masks, strict=True):
        loss = loss + branch_loss(branch, clean, mask, balance)
    return loss


@dataclass(frozen=True)
class DAiAMLoss:
    """The loss of any network of the paper: eq. 10 or 11, summed over the stages of eq. 15.

    A network with one branch is given the larger of both masks, all the rain there is.
    """

    balance: Balance = Balance()
    branches: bool = True

    def __call__(self, restored: Restored, clean: Tensor, mask_drops: Tensor, mask_streaks: Tensor) -> Tensor:
        """`restored.stages` against `clean` (N, 3, H, W) and masks (N, 1, H, W), all in 0..1."""
        losses = []
        for packed in restored.stages:
            stage = unpack(packed.float())
            both = mask_streaks, mask_drops
            masks = both if len(stage.branches) == len(both) else (torch.maximum(*both),)
            stage = stage if self.branches else stage._replace(branches=())
            losses.append(stage_loss(stage, clean, masks if self.branches else (), self.balance))
        return torch.stack(losses).sum()
