"""Sample pictures while a network trains: half of the bugs of this field are seen, not asserted."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from derain.engines.errors import DerainError
from derain.train.checkpoint import State
from derain.train.networks.patch_gan import PatchGan, confidence_sheet
from derain.train.networks.recurrent import of_sample
from derain.train.patches import Batch
from derain.train.record.files import write_whole

COLUMNS = 8
"""Patches of a batch that are shown, at most."""
CAPTION = 92
"""Width of the captions at the left, in pixels."""
FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


def to_pixels(batch: Tensor) -> npt.NDArray[np.uint8]:
    """(N, C, H, W) in 0..1 -> (H, N·W, 3) uint8 RGB, one picture beside the other."""
    array = batch.float().clamp(0, 1).expand(-1, 3, -1, -1).cpu().numpy().transpose(2, 0, 3, 1)
    return (array.reshape(array.shape[0], -1, 3) * 255).round().astype(np.uint8)


def captioned(pixels: npt.NDArray[np.uint8], caption: str) -> npt.NDArray[np.uint8]:
    """The row with what it shows at its left, black on white."""
    margin = np.full((pixels.shape[0], CAPTION, 3), 255, np.uint8)
    baseline = pixels.shape[0] // 2 + 4
    cv2.putText(margin, caption, (4, baseline), FONT, SIZE, (0, 0, 0), 1, cv2.LINE_AA)
    return np.hstack([margin, pixels])


def write_rgb(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Writes (H, W, 3) uint8 RGB; DerainError where it can't be coded."""
    done, coded = cv2.imencode(path.suffix, np.ascontiguousarray(pixels[..., ::-1]))
    if not done:
        raise DerainError(f"{path} could not be encoded")
    write_whole(path, coded.tobytes())


def save_samples(state: State, batch: Batch, path: Path, maps: Sequence[str] = ("rain",)) -> None:
    """Rows of rainy, restored, clean and mask as one picture; then the attention maps, and what a patch
    discriminator takes for real (yellow) or not (blue), where there are any. `maps`: see Entry."""
    first = batch.mapped(lambda t: t[:COLUMNS])
    shown = rows(state, first, maps)
    sheet = [captioned(to_pixels(pictures), caption) for caption, pictures in shown.items()]
    write_rgb(path, np.vstack(sheet))


@torch.no_grad()
def rows(state: State, batch: Batch, maps: Sequence[str] = ("rain",)) -> dict[str, Tensor]:
    """The pictures (N, 1 or 3, P, P) of each row by its caption, of clips their last frames; a sample at a
    time, as memory is the training's."""
    device = next(state.average.parameters()).device
    found = [of_sample(state.average, rainy.to(device)) for rainy in batch.rainy]
    batch = batch.mapped(lambda t: t if t.dim() == 4 else t[:, -1])
    restored = torch.cat([one.image[-1:] for one in found])
    shown = {"rainy": batch.rainy, "restored": restored, "clean": batch.clean, "mask": batch.mask}
    if found[0].attention is not None:
        small = torch.cat([one.attention[-1:] for one in found if one.attention is not None])
        large = functional.interpolate(small, restored.shape[2:], mode="nearest")
        shown |= {"attention" if len(maps) == 1 else name: large[:, n : n + 1] for n, name in enumerate(maps)}
    if isinstance(state.judge, PatchGan):
        shown["discriminator"] = judged(state.judge, batch.rainy.to(device), restored)
    return shown


def judged(judge: PatchGan, rainy: Tensor, restored: Tensor) -> Tensor:
    """The restored pictures under what the discriminator thinks of them; its statistics stay as they are."""
    training = judge.training
    picture = restored.float().clamp(0, 1)
    try:
        return confidence_sheet(picture, judge.eval()(rainy, picture))
    finally:
        judge.train(training)
