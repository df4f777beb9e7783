"""The maker of the sample clip: rainy with a sound track, and its clean twin."""

from fractions import Fraction
from pathlib import Path

import clips
import media
import numpy as np
import pytest

from derain.pipeline.sources.file import FileSource
from derain.train import sample_clip


def test_the_sample_clip_is_made_of_a_dry_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_clip, "SIZE", (96, 64))
    monkeypatch.setattr(sample_clip, "FRAMES", 4)
    sample_clip.main(clips.Clip(times=range(6)).write(tmp_path / "dry.mp4"), tmp_path)
    rainy, clean = (media.read(tmp_path / f"dashcam-{name}.mp4") for name in ("rain", "clean"))
    assert [s.kind for s in rainy.streams] == ["video", "audio"]
    assert [s.kind for s in clean.streams] == ["video"]
    assert rainy.times == clean.times == [Fraction(n, 25) for n in range(4)]
    with FileSource(tmp_path / "dashcam-rain.mp4") as source:
        wet = [frame.pixels.astype(int) for frame in source]
    with FileSource(tmp_path / "dashcam-clean.mp4") as source:
        dry = [frame.pixels.astype(int) for frame in source]
    assert all(np.abs(a - b).mean() > 3 for a, b in zip(wet, dry, strict=True))
    assert np.abs((wet[1] - dry[1]) - (wet[0] - dry[0])).mean() > 3  # the rain falls
