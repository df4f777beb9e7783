"""The pictures a report shows: the worst or best of a set, kept small while the rest pass by."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import cv2
import numpy as np

from derain.benchmarks.evaluation.figures import Result
from derain.benchmarks.evaluation.run import Restored
from derain.train.evaluate import RGB

Show: TypeAlias = Literal["worst", "best", "both"]
WIDTH, HEIGHT = 320, 240
"""Of a thumbnail, at most."""
ERROR_LEVELS = 64
"""Grey levels of error that an error map shows brightest."""


@dataclass(frozen=True)
class Sample:
    """Thumbnails of one case, at most WIDTH x HEIGHT: by contestant what it made and its error map."""

    case: int
    result: Result
    at: str
    rainy: RGB
    clean: RGB
    restored: tuple[RGB, ...]
    errors: tuple[RGB, ...]


@dataclass
class Shelf:
    """Keeps `size` samples, those whose first model gained least ("worst"), most, or half of each."""

    size: int
    show: Show = "worst"
    _least: list[tuple[float, int, Sample]] = field(default_factory=list)
    _most: list[tuple[float, int, Sample]] = field(default_factory=list)

    def offer(self, case: int, result: Result, restored: Restored) -> None:
        """Takes the case if it belongs here: `restored` is its moment to show."""
        places = {
            "worst": (self.size, 0),
            "best": (0, self.size),
            "both": (-(-self.size // 2), self.size // 2),
        }
        least, most = places[self.show]
        gain = result.gain()
        wanted = [
            (kept, order, size)
            for kept, order, size in ((self._least, gain, least), (self._most, -gain, most))
            if size and (len(kept) < size or order < kept[-1][0])
        ]
        sample = make_sample(case, result, restored) if wanted else None
        for kept, order, size in wanted if sample else []:
            assert sample is not None
            insort(kept, (order, case, sample))
            del kept[size:]

    @property
    def samples(self) -> list[Sample]:
        """Least gain first, none twice."""
        both = {sample.case: sample for _, _, sample in (*self._least, *self._most)}
        return sorted(both.values(), key=lambda sample: (sample.result.gain(), sample.case))


def make_sample(case: int, result: Result, restored: Restored) -> Sample:
    """The thumbnails of a moment."""
    moment = restored.moment
    return Sample(
        case,
        result,
        moment.at,
        thumbnail(moment.rainy),
        thumbnail(moment.clean),
        tuple(thumbnail(picture) for picture in restored.pictures),
        tuple(error_map(picture, moment.clean) for picture in restored.pictures),
    )


def thumbnail(picture: RGB) -> RGB:
    """The picture no larger than WIDTH x HEIGHT."""
    height, width = picture.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height, 1)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def error_map(picture: RGB, clean: RGB) -> RGB:
    """A thumbnail of the largest difference of the three colours: black for none, yellow for ERROR_LEVELS."""
    grey = cv2.absdiff(picture, clean).max(axis=2)
    small = thumbnail(np.repeat(grey[..., np.newaxis], 3, axis=2))[..., 0]
    bright = np.minimum(small.astype(np.float32) * (255 / ERROR_LEVELS), 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(bright, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def contact_sheet(samples: Sequence[Sample]) -> RGB:
    """A row for each sample: rainy, restored by the first model, clean, each in its box on black."""
    rows = []
    for sample in samples:
        gain, psnr = sample.result.gain(), sample.result.restored[0].score.psnr_y
        label = f"{sample.result.name[-28:]} {psnr:.1f} dB ({gain:+.1f})"
        rows.append(np.hstack([boxed(p) for p in (sample.rainy, sample.restored[0], sample.clean)]))
        cv2.putText(rows[-1], label, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return np.vstack(rows)


def boxed(picture: RGB) -> RGB:
    """The thumbnail in the corner of a box of WIDTH; its row is as high as it is."""
    return np.pad(picture, ((0, 0), (0, WIDTH - picture.shape[1]), (0, 0)))
