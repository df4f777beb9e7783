"""The training of Eigen et al. (ICCV 2013, sections 2.2 and 2.3): what is minimised."""

from torch import Tensor
from torch.nn import functional as F

from derain.train.networks.eigen import PL


def middle(picture: Tensor, height: int, width: int) -> Tensor:
    """The middle (N, 3, `height`, `width`) of (N, 3, H, W): what "valid" restoration is compared with."""
    top, left = (picture.shape[2] - height) // 2, (picture.shape[3] - width) // 2
    return picture[:, :, top : top + height, left : left + width]


def squared_error(restored: Tensor, clean: Tensor) -> Tensor:
    """J = 1/(2|D|) sum over i of ||F(x_i) - y_i*||^2, D being the batch.

    `restored` (N, 3, h, w) is compared with the middle of `clean` (N, 3, H, W): 56x56 of 64x64.
    """
    error = restored - middle(clean, *restored.shape[2:])
    return error.square().sum() / (2 * len(restored))


def patch_error(patches: Tensor, clean: Tensor) -> Tensor:
    """The error of each patch for itself: 1/(2|D|) sum of ||f(x_p) - y_p*||^2 (sections 2.3 and 5.1).

    `patches` (N, 192, h, w) are those of every place of the middle of `clean` (N, 3, H, W), as
    `Eigen2013Patch` gives them; D is all of them.
    """
    rows, columns = patches.shape[2:]
    truth = F.unfold(middle(clean, rows + PL - 1, columns + PL - 1), PL)
    return (patches.flatten(2) - truth).square().sum() / (2 * len(patches) * rows * columns)
