"""Losses of SPANet (Wang et al. 2019, section 4.2)."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from derain.train.degradations.masks import ROUNDING, SPANET_DIFFERENCE
from derain.train.losses.ssim import ssim
from derain.train.networks.network import Restored


def rain_map(rainy: Tensor, clean: Tensor, threshold: float = SPANET_DIFFERENCE) -> Tensor:
    """M: 1 where a colour of (N, 3, H, W) differs by more than the threshold, else 0: (N, 1, H, W).

    As `degradations.masks.spanet`.
    """
    difference = (rainy - clean).abs().amax(1, keepdim=True)
    return (difference > threshold + ROUNDING).to(rainy.dtype)


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """L_1, the mean absolute error."""
    return F.l1_loss(restored.float(), clean.float())


def l_ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """L_SSIM = 1 - SSIM(P, C), the mean over the batch."""
    return 1 - ssim(restored, clean).mean()


def l_att(attention: Tensor, rain: Tensor) -> Tensor:
    """L_Att (eq. 7), a mean over pixels as in the published code: a sum would drown the other losses."""
    return F.mse_loss(attention.float(), rain.float())


@dataclass(frozen=True)
class SpanetLoss:
    """L_total = L_1 + L_SSIM + `attention` L_Att (eq. 6, where all count 1)."""

    attention: float = 1.0

    def __call__(self, restored: Restored, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Each part as it counts; their sum is L_total. A network without a map has no L_Att."""
        parts = {"l1": l1(restored.image, clean), "ssim": l_ssim(restored.image, clean)}
        if restored.attention is not None and self.attention:
            parts["attention"] = self.attention * l_att(restored.attention, rain_map(rainy, clean))
        return parts
