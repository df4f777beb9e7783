"""What is lost between frames: a video flickers though each of its pictures is good."""

from torch import Tensor


def flicker(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute difference of how clips (N, T, 3, H, W) change from frame to frame.

    It is that of the error's change: an error that stays as it is counts nothing here.
    """
    error = restored - clean
    return error.diff(dim=1).abs().mean()
