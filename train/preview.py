"""Sample pictures while a network trains: half of the bugs of this field are seen, not asserted."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from derain.engines.errors import DerainError
from derain.train.checkpoint import State
from derain.train.networks.patch_gan import PatchGan, confidence_sheet
from derain.train.patches import Batch


def to_pixels(batch: Tensor) -> npt.NDArray[np.uint8]:
    """(N, C, H, W) in 0..1 -> (H, N·W, 3) uint8 RGB, one picture beside the other."""
    array = batch.float().clamp(0, 1).expand(-1, 3, -1, -1).cpu().numpy().transpose(2, 0, 3, 1)
    return (array.reshape(array.shape[0], -1, 3) * 255).round().astype(np.uint8)


def write_rgb(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Writes (H, W, 3) uint8 RGB; DerainError where it can't."""
    done, coded = cv2.imencode(path.suffix, np.ascontiguousarray(pixels[..., ::-1]))
    if not done:
        raise DerainError(f"{path} could not be encoded")
    path.write_bytes(coded.tobytes())


@torch.no_grad()
def save_samples(state: State, batch: Batch, path: Path) -> None:
    """Rows of rainy, restored, clean and mask as one picture; then the attention map, and what a patch
    discriminator takes for real (yellow) or not (blue), where there are any."""
    device = next(state.average.parameters()).device
    rainy = batch.rainy.to(device)
    restored = state.average(rainy)
    rows = [batch.rainy, restored.image, batch.clean, batch.mask]
    rows += [] if restored.attention is None else [restored.attention]
    if isinstance(state.judge, PatchGan):
        picture = restored.image.float().clamp(0, 1)
        rows.append(confidence_sheet(picture, state.judge(rainy, picture)))
    write_rgb(path, np.vstack([to_pixels(row) for row in rows]))
