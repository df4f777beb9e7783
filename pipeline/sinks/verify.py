"""Whether a written file holds every picture at its time: read back before it gets its name."""

from array import array
from fractions import Fraction
from pathlib import Path

import av

from derain.engines.errors import DerainError
from derain.pipeline.sources.probe import reason


def verify(path: Path, name: Path, index: int, times: "array[int]", time_base: Fraction) -> None:
    """Compares the packets of stream `index` of the file `path` with the pictures' `times`, in `time_base`.

    Each must be there, within one tick of the container's clock. Raises DerainError, in `name`'s name.
    """
    try:
        with av.open(f"file:{path}") as container:
            stream = container.streams[index]
            base = stream.time_base or time_base
            found = array("q", sorted(p.pts for p in container.demux(stream) if p.size and p.pts is not None))
    except (av.FFmpegError, OSError) as error:
        raise DerainError(f"{name} was written but can't be read back: {reason(error)}") from error
    if len(found) != len(times):
        raise DerainError(f"{name} should hold {len(times)} pictures but holds {len(found)}; it is not kept")
    tick = max(base, time_base) if base != time_base else Fraction(0)
    for wanted, got in zip(times, found, strict=True):
        if abs(wanted * time_base - got * base) > tick:
            raise DerainError(
                f"{name} has a picture at {float(got * base):.6f} s that belongs at "
                f"{float(wanted * time_base):.6f} s; it is not kept: name the output .mkv or .mp4"
            )
