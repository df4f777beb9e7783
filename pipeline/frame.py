"""A decoded picture and what must survive the trip with it: its time and its colour."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from derain.engines.engine import Pixels


@dataclass(frozen=True)
class Colour:
    """The colour description a picture was decoded with, in FFmpeg's numbers (2 is "unspecified").

    `matrix`, `primaries`, `transfer`: ITU-T H.273 code points. `range`: 1 limited, 2 full, 0 unspecified.
    `chroma_location`: FFmpeg's AVChromaLocation, 0 unspecified.
    """

    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2
    chroma_location: int = 0


@dataclass
class Frame:
    """One picture.

    `pixels`: (H, W, 3) RGB, uint8 or uint16 full range, C-contiguous, display-referred as decoded.
    `pts` and `duration` count `time_base` seconds; pts None where the stream has none. `held`: it stands in
    for a damaged one.
    """

    pixels: Pixels
    pts: int | None
    time_base: Fraction
    duration: int = 0
    colour: Colour = field(default_factory=Colour)
    side_data: dict[str, Any] = field(default_factory=dict)
    held: bool = False

    @property
    def time(self) -> float | None:
        """Presentation time in seconds, for people; arithmetic uses `pts` and `time_base`."""
        return None if self.pts is None else float(self.pts * self.time_base)
