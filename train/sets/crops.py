"""Random squares of paired sets: read on demand, the same crop of both twins, in bounded memory."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from derain.engines.errors import DerainError, UsageError
from derain.train.datasets import RGB, read_pair, size_of
from derain.train.degradations.rain import Map, Picture, compared
from derain.train.sets.layouts import Pair

MIB = 1 << 20


@dataclass(frozen=True)
class PatchOptions:
    """`batch` patches of `patch` pixels. `scales`: by how much a pair may be shrunk or enlarged. `flips`:
    half of the patches mirrored. `cache`: bytes of pictures each process keeps. Raises UsageError for values
    out of range."""

    patch: int
    batch: int
    seed: int = 1
    scales: tuple[float, float] = (0.6, 1.8)
    flips: bool = True
    cache: int = 256 * MIB

    def __post_init__(self) -> None:
        for name in ("patch", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} takes 1 and more, not {getattr(self, name)}")
        if self.seed < 0 or self.cache < 0:
            raise UsageError(f"seed and cache take 0 and more, not {self.seed} and {self.cache}")
        if not 0 < self.scales[0] <= self.scales[1]:
            raise UsageError(f"scales takes two factors above 0, the smaller first, not {self.scales}")


class PairCache:
    """The pairs read last, in `limit` bytes at most; a larger pair is read each time."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._kept: OrderedDict[Pair, tuple[RGB, RGB]] = OrderedDict()

    def read(self, pair: Pair) -> tuple[RGB, RGB]:
        """(rainy, clean), from memory or the disk; DerainError as read_pair."""
        if pair in self._kept:
            self._kept.move_to_end(pair)
            return self._kept[pair]
        both = read_pair(pair)
        size = sum(picture.nbytes for picture in both)
        if size > self.limit:
            return both
        while self.held + size > self.limit:
            _, old = self._kept.popitem(last=False)
            self.held -= sum(picture.nbytes for picture in old)
        self._kept[pair] = both
        self.held += size
        return both


class PairCrops:
    """Random squares of pairs, the same of both twins. Raises UsageError where there are no pairs."""

    def __init__(self, pairs: Sequence[Pair], options: PatchOptions) -> None:
        if not pairs:
            raise UsageError("there are no pairs to make patches of")
        self.pairs, self.options = tuple(pairs), options
        self._cache = PairCache(options.cache)

    def draw(self, rng: np.random.Generator, patch: int | None = None) -> tuple[Picture, Picture, Map]:
        """(rainy, clean, attention): (P, P, 3) twice and (P, P), P being `patch` or that of the options.
        DerainError names a pair that can't be read or is smaller than a patch."""
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        twins = self._cache.read(pair)
        patch = patch or self.options.patch
        if min(twins[1].shape[:2]) < patch:
            raise DerainError(
                f"the pair {pair.name} is {size_of(twins[1])}, smaller than a patch of {patch}x{patch}; "
                f"take a smaller patch or leave the pair out"
            )
        rainy, clean = self.squares(rng, twins, patch)
        return rainy, clean, compared(rainy, clean).attention

    def squares(self, rng: np.random.Generator, twins: tuple[RGB, RGB], patch: int) -> list[Picture]:
        """The same square of both, scaled to a patch and perhaps mirrored."""
        height, width = twins[0].shape[:2]
        low, high = (math.log(scale) for scale in self.options.scales)
        side = int(np.clip(patch / math.exp(rng.uniform(low, high)), 1, min(height, width)))
        y, x = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        mirrored = rng.uniform() < 0.5 and self.options.flips
        found = [scaled(picture[y : y + side, x : x + side], patch) for picture in twins]
        return [np.ascontiguousarray(square[:, ::-1] if mirrored else square) for square in found]


def scaled(square: RGB, size: int) -> Picture:
    """(size, size, 3) float32 in 0..1."""
    if square.shape[0] != size:
        way = cv2.INTER_AREA if square.shape[0] > size else cv2.INTER_CUBIC
        square = np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)
    return square.astype(np.float32) / np.float32(255)
