"""A frame cut into tiles that a network can restore one at a time, and put together again without a seam.

Networks fill in something of their own (zeros, mostly) beyond the border of what they are given. So a tile
reads `core + halo`, the halo being the network's receptive field, and only the core is kept. Where a tile
touches the border of the frame it has no halo: the network fills in there what it would for the whole frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels, State
from derain.engines.errors import UsageError

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Tile:
    """One tile, in pixels of the frame.

    It reads `TilePlan.read_shape` pixels from (`top`, `left`), in part beyond the frame's right and bottom
    border, and keeps the rows `keep_top` to `keep_bottom` and the columns `keep_left` to `keep_right`, the
    last ones not included.
    """

    top: int
    left: int
    keep_top: int
    keep_bottom: int
    keep_left: int
    keep_right: int

    @property
    def core(self) -> tuple[slice, slice]:
        """What it keeps, as indices of the frame."""
        return slice(self.keep_top, self.keep_bottom), slice(self.keep_left, self.keep_right)


@dataclass(frozen=True)
class TilePlan:
    """The tiles of every frame of (`height`, `width`): all read one shape, their cores partition the frame.

    A network takes only multiples of some size, so the frame is continued by reflection at its right and
    bottom border; tiles begin at multiples of that size, so that a network sees each pixel in the phase in
    which it would see it in the whole frame. The states of a recurrent network are of the padded frame, at
    1/scale of its size, where scale divides `multiple_of`; they are cut and put together as the frame is.
    """

    height: int
    width: int
    read_shape: tuple[int, int]
    tiles: tuple[Tile, ...]
    rows: Indices
    columns: Indices

    @classmethod
    def make(
        cls, height: int, width: int, halo: int, multiple_of: int, tile: tuple[int, int] | None = None
    ) -> "TilePlan":
        """Plans tiles that read at most `tile` (height, width) pixels, or one tile for the whole frame.

        Raises UsageError for a `tile` smaller than `smallest_tile(halo, multiple_of)`.
        """
        if tile is not None and min(tile) < (smallest := smallest_tile(halo, multiple_of)):
            raise UsageError(
                f"a tile of {tile[1]}x{tile[0]} pixels is too small; the smallest side is {smallest}"
            )
        padded = (round_up(height, multiple_of), round_up(width, multiple_of))
        wanted = padded if tile is None else tile
        reads = [
            min(round_down(side, multiple_of), whole) for side, whole in zip(wanted, padded, strict=True)
        ]
        rows = _spans(height, padded[0], reads[0], halo, multiple_of)
        columns = _spans(width, padded[1], reads[1], halo, multiple_of)
        tiles = tuple(Tile(top, left, *keep, *across) for top, *keep in rows for left, *across in columns)
        return cls(
            height, width, (reads[0], reads[1]), tiles, _mirror(height, padded[0]), _mirror(width, padded[1])
        )

    @property
    def whole(self) -> bool:
        """True where one tile covers the frame."""
        return len(self.tiles) == 1

    @property
    def aligned(self) -> bool:
        """True where one tile is exactly the frame, so that the frame can be used in its place."""
        return self.read_shape == (self.height, self.width)

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) of the frame continued to multiples of what the network takes."""
        return len(self.rows), len(self.columns)

    def read(self, frame: Pixels, tile: Tile, out: Pixels) -> None:
        """Copies what `tile` reads of `frame` (height, width, 3) into `out` (*read_shape, 3)."""
        rows = self.rows[tile.top : tile.top + self.read_shape[0]]
        columns = self.columns[tile.left : tile.left + self.read_shape[1]]
        high = min(len(rows), self.height - tile.top)
        wide = min(len(columns), self.width - tile.left)
        out[:high, :wide] = frame[tile.top : tile.top + high, tile.left : tile.left + wide]
        if wide < len(columns):
            out[:high, wide:] = frame[np.ix_(rows[:high], columns[wide:])]
        if high < len(rows):
            out[high:] = frame[np.ix_(rows[high:], columns)]

    def write(self, restored: Pixels, tile: Tile, out: Pixels) -> None:
        """Copies the core of `restored` (*read_shape, 3) to where `tile` lies in `out` (height, width, 3)."""
        out[tile.core] = restored[
            tile.keep_top - tile.top : tile.keep_bottom - tile.top,
            tile.keep_left - tile.left : tile.keep_right - tile.left,
        ]

    def state_read(self, state: State, tile: Tile, scale: int) -> State:
        """What `tile` reads of the padded frame's `state` (C, height / scale, width / scale); a view."""
        top, left = tile.top // scale, tile.left // scale
        return state[:, top : top + self.read_shape[0] // scale, left : left + self.read_shape[1] // scale]

    def state_write(self, part: State, tile: Tile, scale: int, state: State) -> None:
        """Copies the core of `part`, as large as what `state_read` gives, to where it lies in `state`."""
        top, left = tile.top // scale, tile.left // scale
        rows = _scaled(tile.keep_top, tile.keep_bottom, self.height, self.padded[0], scale)
        columns = _scaled(tile.keep_left, tile.keep_right, self.width, self.padded[1], scale)
        state[:, slice(*rows), slice(*columns)] = part[
            :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left
        ]

    def split(self, frame: Pixels) -> Iterator[Pixels]:
        """Yields what each tile reads, (*read_shape, 3), in the order of `tiles`."""
        for tile in self.tiles:
            out = np.empty((*self.read_shape, frame.shape[2]), frame.dtype)
            self.read(frame, tile, out)
            yield out

    def stitch(self, restored: Iterator[Pixels]) -> Pixels:
        """Puts restored tiles, in the order of `tiles`, together to a frame (height, width, 3)."""
        frame: Pixels | None = None
        for tile, pixels in zip(self.tiles, restored, strict=True):
            if frame is None:
                frame = np.empty((self.height, self.width, pixels.shape[2]), pixels.dtype)
            self.write(pixels, tile, frame)
        assert frame is not None, "a plan has one tile at least"
        return frame


def smallest_tile(halo: int, multiple_of: int) -> int:
    """The smallest side, in pixels, of a tile with a halo on both sides."""
    return 2 * round_up(halo, multiple_of) + multiple_of


def round_up(size: int, multiple_of: int) -> int:
    return -(-size // multiple_of) * multiple_of


def round_down(size: int, multiple_of: int) -> int:
    return size // multiple_of * multiple_of


def _spans(size: int, padded: int, read: int, halo: int, multiple_of: int) -> list[tuple[int, int, int]]:
    """Along one axis: (start of the read, start and end of the core) of each tile.

    The last tile is moved inwards rather than made smaller; cores meet in the middle of what two tiles
    share, which is never less than a halo from either's edge.
    """
    if read >= padded:
        return [(0, 0, size)]
    step = read - 2 * round_up(halo, multiple_of)
    starts = [*range(0, padded - read, step), padded - read]
    seams = [min((earlier + read + later) // 2, size) for earlier, later in pairwise(starts)]
    spans = zip(starts, pairwise([0, *seams, size]), strict=True)
    return [(start, begin, end) for start, (begin, end) in spans if begin < end]


def _scaled(begin: int, end: int, size: int, padded: int, scale: int) -> tuple[int, int]:
    """Where a core `begin` to `end` of an axis lies in a state: the last goes to the padded end.

    A seam that is no multiple of `scale` is rounded down. It still has a halo to both sides: it lies in the
    middle of an even number of halves of `multiple_of`, and only one more than twice the halo makes it odd.
    """
    return begin // scale, (padded if end == size else end) // scale


def _mirror(size: int, padded: int) -> Indices:
    """Indices 0..size-1, continued to `padded` by reflection about the last one, to and fro if need be."""
    if size == 1:
        return np.zeros(padded, np.intp)
    period = 2 * (size - 1)
    folded = np.arange(padded) % period
    return np.minimum(folded, period - folded)
