"""What the rain does to the matches between successive frames, on which odometry and stabilising stand."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.benchmarks.usefulness.views import RGB, Views

Points: TypeAlias = npt.NDArray[np.float64]
"""(N, 2): x, y in pixels."""

Matches: TypeAlias = tuple[Points, Points]
"""Where each point is in the first frame and in the second, in the same order."""

Matrix: TypeAlias = npt.NDArray[np.float64]
"""(3, 3)."""

MOST_POINTS = 2000
"""Key points a frame: SIFT's strongest."""
RATIO = 0.75
"""A match's descriptor is at most this much as far as the second best one's (Lowe's ratio test)."""
LEAST = 20
"""Matches between two clean frames from which their geometry can be told."""
LEAST_SHARE = 0.5
"""The share of clean matches that must agree with their own geometry for it to be believed."""
EPIPOLAR_PX = 1.0
"""Sampson distance up to which a match agrees with the fundamental matrix."""
TRANSFER_PX = 2.0
"""Distance from where the homography puts it up to which a match agrees with it."""
AGAIN_PX = 2.0
"""A clean match is found again by one this near, the distances of both ends added in squares."""
STILL_PX = 0.5
"""A point that moves less stands still: far away, or a mark on the lens."""


@dataclass(frozen=True)
class Geometry:
    """How two clean frames lie to each other: `fundamental` q'Fp = 0 and `homography` q ~ Hp, pixels."""

    fundamental: Matrix
    homography: Matrix


@dataclass(frozen=True)
class Features:
    """SIFT's key points of a frame and their descriptors, (N, 2) and (N, 128)."""

    points: Points
    descriptors: npt.NDArray[np.float32]


def features(sift: Any, frame: RGB) -> Features:
    """The frame's, found on its grey picture."""
    keys, descriptors = sift.detectAndCompute(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None)
    if descriptors is None:
        return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    return Features(np.array([key.pt for key in keys], np.float64), descriptors)


def matched(before: Features, after: Features) -> Matches:
    """The points of both frames that belong together, by the nearest descriptor and the ratio test."""
    if not len(before.points) or len(after.points) < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    best = cv2.BFMatcher(cv2.NORM_L2).knnMatch(before.descriptors, after.descriptors, k=2)
    good = [first for first, second in best if first.distance < RATIO * second.distance]
    rows, columns = [one.queryIdx for one in good], [one.trainIdx for one in good]
    return before.points[rows], after.points[columns]


def geometry(before: Points, after: Points) -> Geometry | None:
    """Both matrices of matches between clean frames, by MAGSAC; None where there are too few that agree.

    OpenCV's estimator begins with the same seed each time: the same points give the same matrices.
    """
    if len(before) < LEAST:
        return None
    fundamental, _ = cv2.findFundamentalMat(before, after, cv2.USAC_MAGSAC, EPIPOLAR_PX, 0.999, 5000)
    homography, _ = cv2.findHomography(
        before, after, cv2.USAC_MAGSAC, TRANSFER_PX, maxIters=5000, confidence=0.999
    )
    if fundamental is None or homography is None or fundamental.shape != (3, 3):
        return None
    if (sampson(fundamental, before, after) <= EPIPOLAR_PX).mean() < LEAST_SHARE:
        return None
    return Geometry(fundamental, homography)


def sampson(fundamental: Matrix, before: Points, after: Points) -> npt.NDArray[np.float64]:
    """Each match's distance in pixels to the epipolar geometry, to the first order, (N,)."""
    p, q = homogeneous(before), homogeneous(after)
    lines, back = p @ fundamental.T, q @ fundamental
    slope = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    return np.asarray(np.abs((q * lines).sum(axis=1)) / np.maximum(slope, 1e-12))


def transfer(homography: Matrix, before: Points, after: Points) -> npt.NDArray[np.float64]:
    """Pixels between each point's match and where the homography puts it, (N,)."""
    moved = homogeneous(before) @ homography.T
    scale = np.where(np.abs(moved[:, 2:]) < 1e-12, 1e-12, moved[:, 2:])
    return np.asarray(np.linalg.norm(moved[:, :2] / scale - after, axis=1))


def homogeneous(points: Points) -> Points:
    """(N, 3): x, y, 1."""
    return np.column_stack([points, np.ones(len(points))])


def found_again(clean: Matches, view: Matches) -> npt.NDArray[np.bool_]:
    """Which of the matches `clean` have one of `view` in their place, (N,)."""
    if not len(view[0]) or not len(clean[0]):
        return np.zeros(len(clean[0]), bool)
    ends = [np.concatenate(matches, axis=1).astype(np.float32) for matches in (clean, view)]
    nearest = cv2.BFMatcher(cv2.NORM_L2).match(*ends)
    return np.array([one.distance <= AGAIN_PX for one in nearest], bool)


@dataclass
class Count:
    """Matches of one view over all pairs of frames, and how many of them agree with the clean geometry.

    `true`: the clean view's own that agree; `again`: those of them that this view has too.
    """

    matches: int = 0
    epipolar: int = 0
    planar: int = 0
    still: int = 0
    true: int = 0
    again: int = 0

    def add(self, truth: Geometry, view: Matches, clean: Matches) -> npt.NDArray[np.bool_]:
        """Counts one pair of frames; gives which of `view` agree with the fundamental matrix, (N,)."""
        agree = sampson(truth.fundamental, *view) <= EPIPOLAR_PX
        right = sampson(truth.fundamental, *clean) <= EPIPOLAR_PX
        before, after = view
        self.matches += len(before)
        self.epipolar += int(agree.sum())
        self.planar += int((transfer(truth.homography, before, after) <= TRANSFER_PX).sum())
        self.still += int((np.linalg.norm(after - before, axis=1) < STILL_PX).sum())
        self.true += int(right.sum())
        self.again += int(found_again((clean[0][right], clean[1][right]), view).sum())
        return agree


@dataclass(frozen=True)
class Tracks:
    """The matches of one pair of frames in one view, for drawing."""

    picture: RGB
    before: Points
    after: Points
    agree: npt.NDArray[np.bool_]


class MatchWatcher:
    """SIFT matches between successive frames, in each view, against the clean frames' geometry.

    What stands still agrees with the fundamental matrix of a camera that goes straight ahead, and marks on
    the lens stand still: they raise the number and the share of agreeing matches and are of no use. So it is
    also told how many of the clean view's agreeing matches are found again (`kept`), which marks on the lens
    don't raise, and the share of matches that stand still. Pairs of frames whose clean view does not tell
    its geometry are left out and counted.
    """

    name = "matches"
    needs = 2

    def __init__(self) -> None:
        self.counts = {view: Count() for view in ("clean", "rainy", "restored")}
        self.pairs = self.left_out = self.seen = 0
        self.best: tuple[int, dict[str, Tracks]] | None = None
        self._sift = cv2.SIFT.create(nfeatures=MOST_POINTS)
        self._before: dict[str, Features] = {}

    def see(self, views: Views) -> None:
        """Looks at the next frame."""
        now = {view: features(self._sift, picture) for view, picture in views.named()}
        before, self._before = self._before, now
        self.seen += 1
        if before:
            self._count(views, {view: matched(before[view], now[view]) for view in now})

    def _count(self, views: Views, pairs: dict[str, Matches]) -> None:
        truth = geometry(*pairs["clean"])
        if truth is None:
            self.left_out += 1
            return
        self.pairs += 1
        tracks = {
            view: Tracks(picture, *pairs[view], self.counts[view].add(truth, pairs[view], pairs["clean"]))
            for view, picture in views.named()
        }
        least = int(tracks["rainy"].agree.sum())
        if self.best is None or least < self.best[0]:
            self.best = least, tracks

    def rows(self) -> list[dict[str, Any]]:
        """Figures of each view: matches and agreeing ones a pair of frames, and the shares of matches that
        agree and that stand still; `kept`: the share of the clean view's agreeing ones that it has too."""
        return [
            {
                "view": view,
                "pairs": self.pairs,
                "left_out": self.left_out,
                "matches": share(count.matches, self.pairs),
                "agreeing": share(count.epipolar, self.pairs),
                "kept": share(count.again, count.true),
                "fundamental": share(count.epipolar, count.matches),
                "homography": share(count.planar, count.matches),
                "still": share(count.still, count.matches),
            }
            for view, count in self.counts.items()
        ]

    @property
    def note(self) -> str:
        """Why the figures say nothing; "" where they do."""
        if self.pairs:
            return ""
        return f"no two clean frames have the {LEAST} matches that tell how they lie to each other"

    def sheet(self) -> list[RGB]:
        """The pair of frames where fewest rainy matches agree, as rainy, restored and clean.

        Each match as a line from where the point was to where it is: green where it agrees with the
        fundamental matrix, red where not.
        """
        if self.best is None:
            return []
        return [drawn(self.best[1][view]) for view in ("rainy", "restored", "clean")]


def share(part: int, whole: int) -> float | None:
    """part / whole; None where there is no whole."""
    return part / whole if whole else None


def drawn(tracks: Tracks) -> RGB:
    """A copy of the picture with the matches as short lines."""
    canvas = tracks.picture.copy()
    thick = max(1, canvas.shape[0] // 400)
    for start, end, agrees in zip(tracks.before, tracks.after, tracks.agree, strict=True):
        colour = (40, 220, 60) if agrees else (255, 50, 40)
        cv2.line(canvas, rounded(start), rounded(end), colour, thick, cv2.LINE_AA)
        cv2.circle(canvas, rounded(end), 2 * thick, colour, -1, cv2.LINE_AA)
    return canvas


def rounded(point: Points) -> tuple[int, int]:
    """The pixel nearest to a point."""
    return round(float(point[0])), round(float(point[1]))
