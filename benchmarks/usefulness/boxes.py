"""Boxes found on rainy and restored frames beside those found on the clean ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.benchmarks.usefulness.views import RGB, Views
from derain.engines.errors import DerainError

Boxes: TypeAlias = npt.NDArray[np.float64]
"""(N, 5): x1, y1, x2, y2 in pixels (x2 and y2 are the first beyond the box) and the class, a number."""

Detect: TypeAlias = Callable[[RGB], npt.ArrayLike]
"""From a frame, (H, W, 3) uint8 RGB, to boxes: (N, 4) x1, y1, x2, y2 or (N, 5), the class last."""

SAME = 0.5
"""Two boxes are of one thing from this intersection over union on, as Pascal VOC counts."""

BLUR_HEIGHT = 576
"""The frame height at which OPENING and CLOSING are what they say; at others they grow and shrink with it."""
OPENING = (3, 3)
CLOSING = (9, 15)
"""Width and height in pixels of the ellipses that take specks away and join the parts of a person."""
SMALLEST = 0.001
"""Moving parts below this share of the picture are no people: 442 pixels of 768x576."""
SHADOW = 127
"""MOG2's mark for a shadow; moving things are marked 255."""


class MovingPeople:
    """Moving things before a still camera: MOG2 (history 500, threshold 16, its own learning rate).

    Shadows don't count; the moving pixels are opened (OPENING) and closed (CLOSING), and every 8-connected
    part of at least SMALLEST of the picture is a box. It learns with every frame: each view needs its own.
    """

    warm_up = 40
    """Frames before it has learnt what stands still."""

    def __init__(self) -> None:
        self._background = cv2.createBackgroundSubtractorMOG2(
            history=500, varThreshold=16, detectShadows=True
        )

    def __call__(self, frame: RGB) -> Boxes:
        """Boxes of the next frame, (N, 5) of class 0."""
        height, width = frame.shape[:2]
        moving = (self._background.apply(frame) > SHADOW).astype(np.uint8)
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, ellipse(OPENING, height))
        moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, ellipse(CLOSING, height))
        _, _, parts, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
        x, y, wide, high, area = parts[1:].T.astype(np.float64)
        boxes = np.stack([x, y, x + wide, y + high, np.zeros_like(x)], axis=1)
        return np.asarray(boxes[area >= SMALLEST * height * width])


def ellipse(size: tuple[int, int], height: int) -> Any:
    """The structuring element of `size` at BLUR_HEIGHT, scaled to a picture of `height`, at least 3x3."""
    odd = [max(3, 2 * round((side * height / BLUR_HEIGHT - 1) / 2) + 1) for side in size]
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, odd)


def checked(found: npt.ArrayLike) -> Boxes:
    """What a detector gave as (N, 5), class 0 where it gave none. Raises DerainError for another shape."""
    boxes = np.asarray(found, np.float64)
    if boxes.size == 0:
        return np.zeros((0, 5))
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5) or not np.isfinite(boxes).all():
        raise DerainError(
            f"the detector gave boxes of shape {boxes.shape}; it takes finite numbers of shape (N, 4), "
            "x1, y1, x2, y2, or (N, 5) with the class"
        )
    return boxes if boxes.shape[1] == 5 else np.column_stack([boxes, np.zeros(len(boxes))])


def overlaps(first: Boxes, second: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union of every two boxes, (len(first), len(second)); 0 for boxes of two classes."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:4], second[None, :, 2:4])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:4] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    same = first[:, None, 4] == second[None, :, 4]
    return np.asarray(np.where(same & (union > 0), shared / np.maximum(union, 1e-12), 0.0))


def pair(reference: Boxes, found: Boxes, least: float = SAME) -> list[tuple[int, int]]:
    """Which box of `reference` is which of `found`: one to one, greedy, the greatest overlap first.

    Indices into both; none overlap less than `least`.
    """
    overlap = overlaps(reference, found)
    order = np.argsort(-overlap, axis=None, kind="stable")
    pairs: list[tuple[int, int]] = []
    for index in order:
        row, column = divmod(int(index), overlap.shape[1])
        if overlap[row, column] < least:
            break
        if all(row != r and column != c for r, c in pairs):
            pairs.append((row, column))
    return pairs


@dataclass
class Tally:
    """Boxes of one view over all frames: there on the clean frames, found here, and in both."""

    reference: int = 0
    found: int = 0
    matched: int = 0

    def add(self, reference: Boxes, found: Boxes) -> None:
        """Counts one frame."""
        self.reference += len(reference)
        self.found += len(found)
        self.matched += len(pair(reference, found))

    @property
    def recall(self) -> float | None:
        """The share of the reference that is found; None where there is none."""
        return self.matched / self.reference if self.reference else None

    @property
    def precision(self) -> float | None:
        """The share of what is found that is in the reference; None where nothing is found."""
        return self.matched / self.found if self.found else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both, 2 matched / (reference + found)."""
        both = self.reference + self.found
        return 2 * self.matched / both if both else None


class BoxWatcher:
    """Boxes on each view against those on the clean frames.

    `new` makes a detector for each view, so that what one has learnt stays its own; for one that learns
    nothing `lambda: detect` will do. The clean view is looked at twice, for the reference and by a detector
    of its own: its row is 1.00 where the same is found again. The first `warm_up` frames don't count.
    """

    def __init__(self, name: str, new: Callable[[], Detect], warm_up: int = 0) -> None:
        self.name = name
        self.warm_up = warm_up
        self.seen = 0
        self.tallies = {view: Tally() for view in ("clean", "rainy", "restored")}
        self.best: tuple[Views, dict[str, Boxes]] | None = None
        self._reference = new()
        self._detectors = {view: new() for view in self.tallies}

    @property
    def needs(self) -> int:
        """Frames it must see at least."""
        return self.warm_up + 1

    def see(self, views: Views) -> None:
        """Looks at the next frame."""
        reference = checked(self._reference(views.clean))
        found = {view: checked(self._detectors[view](picture)) for view, picture in views.named()}
        self.seen += 1
        if self.seen <= self.warm_up:
            return
        for view, boxes in found.items():
            self.tallies[view].add(reference, boxes)
        if self.best is None or len(reference) > len(self.best[1]["clean"]):
            self.best = views, {**found, "clean": reference}

    def rows(self) -> list[dict[str, Any]]:
        """Counts and figures of each view, in the order of the table."""
        return [
            {
                "view": view,
                "frames": max(self.seen - self.warm_up, 0),
                "reference": tally.reference,
                "found": tally.found,
                "matched": tally.matched,
                "recall": tally.recall,
                "precision": tally.precision,
                "f1": tally.f1,
            }
            for view, tally in self.tallies.items()
        ]

    @property
    def note(self) -> str:
        """Why the figures say nothing; "" where they do."""
        if self.tallies["clean"].reference:
            return ""
        return f"{self.name} found no box on the clean frames, so there is nothing to find again"

    def sheet(self) -> list[RGB]:
        """The frame with the most boxes on clean, as rainy, restored and clean, with the boxes drawn.

        Green: also on clean; red: not on clean; blue: on clean and missed here.
        """
        if self.best is None:
            return []
        views, boxes = self.best
        pictures = dict(views.named())
        return [drawn(pictures[view], boxes["clean"], boxes[view]) for view in ("rainy", "restored", "clean")]


def drawn(picture: RGB, reference: Boxes, found: Boxes) -> RGB:
    """A copy of the picture with the boxes in their colours."""
    canvas = picture.copy()
    pairs = pair(reference, found)
    missed = set(range(len(reference))) - {row for row, _ in pairs}
    for row in missed:
        outline(canvas, reference[row], (70, 120, 255))
    for column, box in enumerate(found):
        right = any(column == c for _, c in pairs)
        outline(canvas, box, (40, 220, 60) if right else (255, 50, 40))
    return canvas


def outline(canvas: RGB, box: Boxes, colour: tuple[int, int, int]) -> None:
    """Draws one box into the picture."""
    x1, y1, x2, y2 = (round(float(side)) for side in box[:4])
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, max(1, canvas.shape[0] // 280))
