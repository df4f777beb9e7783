"""What the shipped network does for a user: the sample clip gets cleaner, and tiles leave no seam."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from derain.engines.quality import psnr
from derain.engines.registry import open_engine
from derain.pipeline import Derainer
from derain.pipeline.restore import Restorer
from derain.pipeline.sources.file import FileSource

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def test_the_sample_clip_comes_out_cleaner() -> None:
    with (
        Derainer() as derainer,
        FileSource(SAMPLES / "dashcam-rain.mp4") as rainy,
        FileSource(SAMPLES / "dashcam-clean.mp4") as clean,
    ):
        for wet, dry in islice(zip(rainy, clean, strict=True), 3):
            before, after = (psnr(p, dry.pixels, 255) for p in (wet.pixels, derainer(wet.pixels)))
            assert after > before + 3


def test_a_dry_frame_stays_as_it_is() -> None:
    """Above 38 dB the change is not seen."""
    with Derainer() as derainer, FileSource(SAMPLES / "dashcam-clean.mp4") as clean:
        dry = next(iter(clean)).pixels
        assert psnr(derainer(dry), dry, 255) > 38


@pytest.mark.parametrize("height,width", [(432, 768), (417, 461)])
def test_tiles_of_the_shipped_network_equal_the_whole_frame(height: int, width: int) -> None:
    with FileSource(SAMPLES / "dashcam-rain.mp4") as rainy:
        frame = np.ascontiguousarray(next(iter(rainy)).pixels[:height, :width])
    with open_engine("auto") as engine:
        whole = Restorer(engine, "none")(frame)
        tiled = Restorer(engine, 416)(frame)
    assert not np.array_equal(whole, frame)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
