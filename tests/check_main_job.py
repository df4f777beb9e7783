"""Checks what `derain video` made of the sample clip, from outside: frames, times, sound, and less rain.

    python tests/check_main_job.py RAINY RESTORED CLEAN

Exits 1 with a sentence where something is wrong. Needs only what the run-time install has.
"""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from derain.engines.quality import psnr

LEAST_GAIN = 3.0
"""PSNR in dB over the rainy clip, on RGB, as the mean over the frames."""


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """(presentation time in seconds, payload) of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        tick = stream.time_base or Fraction(0)
        return [(p.pts * tick, bytes(p)) for p in container.demux(stream) if p.pts is not None]


def frames(path: Path) -> Iterator[tuple[Fraction, Any]]:
    """(presentation time in seconds, RGB pixels) of each frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None and frame.time_base is not None
            yield frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")


def faults(rainy: Path, restored: Path, clean: Path) -> Iterator[str]:
    """What is wrong with the restored clip, one sentence each."""
    if packets(rainy, "audio") != packets(restored, "audio"):
        yield "the sound's packets or their times differ"
    before, after, wanted = (list(frames(path)) for path in (rainy, restored, clean))
    if [time for time, _ in before] != [time for time, _ in after]:
        yield f"the frames' times differ: {len(before)} frames in, {len(after)} out"
        return
    gains = [
        psnr(a, c, 255) - psnr(b, c, 255)
        for (_, b), (_, a), (_, c) in zip(before, after, wanted, strict=True)
    ]
    print(f"{len(after)} frames, {np.mean(gains):+.2f} dB over the rainy clip")  # noqa: T201 - a script
    if np.mean(gains) < LEAST_GAIN:
        yield f"the clip gained {np.mean(gains):.2f} dB, less than {LEAST_GAIN}"


if __name__ == "__main__":
    found = list(faults(*map(Path, sys.argv[1:4])))
    sys.exit("\n".join(found) if found else 0)
