"""What is measured: pairs of pictures, and clips of moments that belong together."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import cv2
import numpy as np

from derain.engines.errors import DerainError
from derain.train.datasets import Pair, read_pair
from derain.train.evaluate import RGB, WINDOW, Mask, rain_mask

Kind: TypeAlias = Literal["picture", "clip"]
MASK_LEVEL = 127
"""A mask picture is rain where it is lighter."""


@dataclass(frozen=True)
class Moment:
    """One rainy picture, its clean twin and where the rain is. `at`: the time in a clip, "" for a picture."""

    rainy: RGB
    clean: RGB
    mask: Mask
    at: str = ""

    @property
    def dry(self) -> bool:
        """Whether there is nothing to restore."""
        return np.array_equal(self.rainy, self.clean)


class Case(Protocol):
    """One line of the report."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def masked(self) -> bool:
        """Whether the rain mask comes with the set, or else from the difference."""
        ...

    def fault(self) -> str:
        """Why it can't be measured, "" where it can; found without restoring anything."""
        ...

    def moments(self) -> Iterator[Moment]:
        """One moment of a picture, all of a clip in their order."""
        ...

    def left_out(self) -> str:
        """Once iterated: which moments had no twin, "" where all had one."""
        ...


@dataclass(frozen=True)
class PictureCase:
    """A pair of pictures; `mask`: a picture that is light where the rain is, None where there is none."""

    pair: Pair
    mask: Path | None = None
    kind: Kind = "picture"

    @property
    def name(self) -> str:
        return self.pair.name

    @property
    def masked(self) -> bool:
        return self.mask is not None

    def fault(self) -> str:
        try:
            next(self.moments())
        except DerainError as error:
            return str(error)
        return ""

    def moments(self) -> Iterator[Moment]:
        rainy, clean = read_pair(self.pair)
        if fault := small(self.name, clean):
            raise DerainError(fault)
        yield Moment(
            rainy, clean, rain_mask(rainy, clean) if self.mask is None else read_mask(self.mask, clean)
        )

    def left_out(self) -> str:
        return ""


def small(name: str, clean: RGB) -> str:
    """What is wrong with pictures of the size of `clean`, "" where nothing is."""
    height, width = clean.shape[:2]
    if min(height, width) >= WINDOW:
        return ""
    return f"{name} is {width}x{height}; SSIM needs {WINDOW}x{WINDOW} and more"


def read_mask(path: Path, clean: RGB) -> Mask:
    """(H, W), True where the picture is light. DerainError where it is unreadable or of another size."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if content.size else None
    if image is None:
        raise DerainError(f"{path} is not a picture that OpenCV reads")
    if image.shape != clean.shape[:2]:
        sizes = f"{image.shape[1]}x{image.shape[0]}, the pictures {clean.shape[1]}x{clean.shape[0]}"
        raise DerainError(f"the mask {path} is {sizes}")
    return np.asarray(image > MASK_LEVEL)
