"""Frames of any size through an engine: padded, in tiles where they are too big, blended with the rainy."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import cv2
import numpy as np
import psutil

from derain.engines.card import ModelCard, Tiling
from derain.engines.engine import Engine, Pixels, Scores
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.flight import Ticket
from derain.engines.swapping import differs
from derain.pipeline.flying import Landing
from derain.pipeline.memory import Begin, Memory
from derain.pipeline.shortage import Allowance, Spare, no_spare
from derain.pipeline.tiling import Tile, TilePlan, round_up, smallest_tile

TileChoice: TypeAlias = Literal["auto", "none"] | int
"""Whole frames or tiles as memory allows, always whole frames, or tiles that read this many pixels a side."""

Skip: TypeAlias = Callable[[TilePlan], Sequence[bool]]
"""Says of each tile whether it is to be left as it is."""

WORKING_BYTES = 256
"""Memory a backend is taken to need for a pixel it restores: its activations in float, a few at a time."""
FREE_SHARE = 0.5
"""The share of the free memory that one call of the engine may be expected to take."""
MOST_BYTES = 5 << 29
"""No call is expected to take more than this, however much is free: 2.5 GiB, a frame of 4K and a little."""
USUAL_TILE = 1024
"""Pixels a side that automatic tiles read at least, where memory allows: so they share little."""

log = logging.getLogger(__name__)


class Restorer:
    """Restores pixels of any height and width with an engine that the caller opened and closes.

    Plans and buffers are kept for the last shape seen, so that a video pays for them once. One thread at
    a time. `sequence`: the pictures are frames of one source, one after another, and a recurrent network
    remembers those before, until `reset` or a frame of another size; otherwise each stands alone.

    `tile`: see TileChoice. `strength`: 0 gives back the rainy pixels, 1 the restored ones, between them a
    blend. `batch`: how many tiles the engine gets at a time. Where the memory runs short, less is done at a
    time, and where nothing is little enough `spare` goes on; the frame that failed is done again. Raises
    UsageError for values out of range, for tiles smaller than the network's halo allows and for tiles of a
    network that takes only whole frames.
    """

    def __init__(
        self,
        engine: Engine,
        tile: TileChoice = "auto",
        strength: float = 1.0,
        batch: int = 1,
        *,
        sequence: bool = False,
        spare: Spare = no_spare,
    ) -> None:
        check_strength(strength)
        check_tile(tile, engine.card)
        if batch < 1:
            raise UsageError(f"a batch of {batch} tiles was asked for; it takes 1 or more")
        self.engine = engine
        self.strength = strength
        self._tile = tile
        self._spare = spare
        self._allowance = Allowance(batch, fixed=tile == "none")
        self._memory = Memory(engine, sequence)
        self._flier = self._memory.flier
        self._scores: Scores | None = None
        self._skipped = 0
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[np.unsignedinteger] | None = None

    def __call__(self, pixels: Pixels, out: Pixels | None = None, dry: Skip | None = None) -> Pixels:
        """Restores `pixels`, (H, W, 3) RGB of the engine's dtype, of any size from 1x1.

        Gives a new array (H, W, engine.channels) of the same dtype, or `out`, which must not share memory
        with `pixels` and must be C-contiguous; see `rgb_of` and `attention_of`. The strength is for the
        colours, not for attention maps and scores. `dry`, asked where there are several tiles: those that it
        names come out as they came in, without rain in maps and scores; nobody asks where the network
        remembers, whose tiles need what was seen around them. Raises DerainError where the engine fails.
        """
        channels = self.engine.channels
        if out is None:
            out = np.empty((*pixels.shape[:2], channels), pixels.dtype)
        elif np.may_share_memory(pixels, out):
            raise UsageError("a frame can't be restored in its own memory; give another array as out")
        if self.strength == 0 and channels == 3 and not self.engine.gives_scores:
            np.copyto(out, pixels)
            return out
        self._restore(pixels, out, dry)
        if self.strength < 1:
            self._blend(pixels, out)
        return out

    @property
    def in_flight(self) -> int:
        """How many frames may be started before the first is waited for; 1 where that gains nothing."""
        return 1 if self._flier is None else self._flier.in_flight

    def start(self, pixels: Pixels) -> Ticket:
        """Begins to restore `pixels`; the ticket gives what a call gives, at once where nothing can be begun.

        Tickets are waited for in the order of their starts: `scores` and `skipped` are of the frame that was
        waited for last. `pixels` stay as they are until then.
        """
        self._prepare(pixels)
        flies = self._flier is not None and self._plan.whole and self.strength
        start = self._memory.starter() if flies else None
        if start is None:
            return self._at_once(pixels)
        try:
            return self._begin(start, pixels)
        except (MemoryError, MemoryShortError) as error:
            self._back_off(error)
            return self._at_once(pixels)

    def _at_once(self, pixels: Pixels) -> Ticket:
        out = self(pixels)
        scores, skipped = self._scores, self._skipped

        def finish() -> Pixels:
            self._scores, self._skipped = scores, skipped
            return out

        return Landing(finish)

    def _begin(self, start: Begin, pixels: Pixels) -> Ticket:
        """Gives the engine a whole frame, which is put into `out` once it is waited for."""
        plan, tile = self._plan, self._plan.tiles[0]
        rainy, out = pixels[np.newaxis], np.empty((*pixels.shape[:2], self.engine.channels), pixels.dtype)
        restored = out[np.newaxis]
        if not (plan.aligned and pixels.flags.c_contiguous):
            self._make_buffers()
            plan.read(pixels, tile, self._rainy[0])
            rainy, restored = self._rainy, np.empty_like(self._restored)
        scores = self._score_room(1, *plan.padded)
        begun = start(rainy, restored, scores)

        def finish() -> Pixels:
            try:
                begun.wait()
            except (MemoryError, MemoryShortError) as error:
                if plan is self._plan:  # nobody has backed off yet
                    self._back_off(error)
                return self(pixels, out)
            if restored.base is not out:
                plan.write(restored[0], tile, out)
            self._skipped = 0
            self._show(plan, scores)
            if self.strength < 1:
                self._blend(pixels, out)
            return out

        return Landing(finish)

    @property
    def plan(self) -> TilePlan | None:
        """How the last frame was cut; None before the first."""
        return self._plan if self._shape else None

    @property
    def scores(self) -> Scores | None:
        """How much rain the network saw in the last frame, 0..1, in each cell of `card.attention_scale`
        pixels a side: (ceil(H / scale), ceil(W / scale)), an array of its own for each frame.

        None before the first frame, and where the engine gives none.
        """
        return self._scores

    @property
    def skipped(self) -> int:
        """How many tiles of the last frame were not computed."""
        return self._skipped

    @property
    def remembers(self) -> bool:
        """Whether what it gives for a frame depends on those before."""
        return self._memory.lasts

    def reset(self) -> None:
        """Forgets the frames so far: the next is restored as a first one."""
        self._memory.reset()

    def exchange(self, engine: Engine) -> None:
        """Has `engine` restore from now on, of the same network; the caller closes both.

        What is remembered goes along. Raises DerainError where it is no twin of the one before.
        """
        if reason := differs(self.engine, engine):
            raise DerainError(f"{engine.backend} can't go on for {self.engine.backend}: {reason}")
        self._memory.exchange(engine)
        self._flier = self._memory.flier
        self.engine = engine
        self._allowance.reset()
        self._shape = ()

    def _blend(self, pixels: Pixels, out: Pixels) -> None:
        """Gives the colours of `out` what the strength leaves of the rainy ones."""
        if out.shape == pixels.shape:
            cv2.addWeighted(pixels, 1 - self.strength, out, self.strength, 0, dst=out)
        else:
            out[..., :3] = cv2.addWeighted(pixels, 1 - self.strength, rgb_of(out), self.strength, 0)

    def _restore(self, pixels: Pixels, out: Pixels, dry: Skip | None) -> None:
        while True:
            self._prepare(pixels)
            try:
                self._infer(pixels, out, dry)
            except (MemoryError, MemoryShortError) as error:
                self._back_off(error)
            else:
                self._memory.turn()
                return

    def _infer(self, pixels: Pixels, out: Pixels, dry: Skip | None) -> None:
        plan = self._plan
        self._skipped = 0
        scores = self._score_room(1, *plan.padded)
        if plan.aligned and pixels.flags.c_contiguous:
            self._memory.infer(plan, plan.tiles, pixels[np.newaxis], out[np.newaxis], scores)
        else:
            self._infer_tiles(pixels, out, scores, dry)
        self._show(plan, scores)

    def _show(self, plan: TilePlan, scores: Scores | None) -> None:
        """Gives whoever asks the scores of a frame, where there are any."""
        if scores is not None:
            scale = self.engine.card.attention_scale
            self._scores = scores[0, : -(-plan.height // scale), : -(-plan.width // scale)]

    def _infer_tiles(self, pixels: Pixels, out: Pixels, scores: Scores | None, dry: Skip | None) -> None:
        plan = self._plan
        self._make_buffers()
        wanted = self._leave(pixels, out, dry)
        batch = len(self._rainy)
        last = max(len(wanted) - batch, 0)
        for start in range(0, len(wanted), batch):
            # The last batch is moved back rather than made smaller, so that all have one shape.
            tiles = wanted[min(start, last) : start + batch]
            for tile, read in zip(tiles, self._rainy, strict=True):
                plan.read(pixels, tile, read)
            self._memory.infer(plan, tiles, self._rainy, self._restored, self._part_scores)
            self._keep_scores(tiles, scores)
            for tile, restored in zip(tiles, self._restored, strict=True):
                plan.write(restored, tile, out)

    def _leave(self, pixels: Pixels, out: Pixels, dry: Skip | None) -> Sequence[Tile]:
        """Leaves the dry tiles as they are; gives the others."""
        plan = self._plan
        if dry is None or plan.whole or self.remembers:
            return plan.tiles
        named = list(zip(plan.tiles, dry(plan), strict=True))
        wanted = [tile for tile, is_dry in named if not is_dry]
        left = [tile for tile, is_dry in named if is_dry]
        while 0 < len(wanted) < len(self._rainy):
            wanted.append(left.pop())  # batches have one shape
        self._skipped = len(left)
        for tile in left:
            out[tile.core][..., :3] = pixels[tile.core]
            out[tile.core][..., 3:] = 0
        return wanted

    def _prepare(self, pixels: Pixels) -> None:
        """Makes the plan and the buffers for the shape of `pixels`, unless they are there."""
        if pixels.shape == self._shape and pixels.dtype == self._dtype:
            return
        self._shape = ()
        card = self.engine.card
        height, width = pixels.shape[:2]
        side = self._side(height, width)
        tile = None if side is None else (side, side)
        self._plan = TilePlan.make(height, width, card.halo, card.multiple_of, tile)
        if not self._plan.whole:
            self._tell_tiles(height, width)
        self._memory.prepare(self._plan)
        self._rainy = np.empty((0, *self._plan.read_shape, 3), pixels.dtype)
        self._shape, self._dtype = pixels.shape, pixels.dtype

    def _make_buffers(self) -> None:
        if not len(self._rainy):
            held = min(self._allowance.batch, len(self._plan.tiles))
            self._rainy = np.empty((held, *self._rainy.shape[1:]), self._rainy.dtype)
            self._restored = np.empty((*self._rainy.shape[:3], self.engine.channels), self._rainy.dtype)
            self._part_scores = self._score_room(*self._rainy.shape[:3])

    def _score_room(self, count: int, height: int, width: int) -> Scores | None:
        """For the scores of `count` frames of that size, None where the engine gives none."""
        scale = self.engine.card.attention_scale
        shape = count, height // scale, width // scale
        return np.zeros(shape, np.float32) if self.engine.gives_scores else None

    def _keep_scores(self, tiles: Sequence[Tile], scores: Scores | None) -> None:
        """Puts the cores of the tiles' scores together, where there are any."""
        if scores is not None and self._part_scores is not None:
            for tile, part in zip(tiles, self._part_scores, strict=True):
                self._plan.state_write(part[np.newaxis], tile, self.engine.card.attention_scale, scores)

    def _side(self, height: int, width: int) -> int | None:
        """How many pixels a side a tile may read; None for whole frames."""
        if self._allowance.side is not None:
            return self._allowance.side
        if self._tile == "auto":
            return automatic_side(height, width, self.engine.card, psutil.virtual_memory().available)
        return None if self._tile == "none" else int(self._tile)

    def _back_off(self, error: Exception) -> None:
        """Takes less at a time after the memory ran short, or the spare; raises DerainError without one."""
        if less := self._allowance.less(self._plan, self.engine.card):
            self._shape = ()
            log.warning("the memory ran short: going on with %s", less)
        elif (spare := self._spare(self.engine)) is not None:
            self.exchange(spare)
        else:
            read, hint = max(self._plan.read_shape), "; --tile auto needs less" * (self._tile == "none")
            raise DerainError(
                f"the memory is too short for {self.engine.card.name} to restore {read} pixels a side at "
                f"once{hint}"
            ) from error

    def _tell_tiles(self, height: int, width: int) -> None:
        card = self.engine.card
        tall, wide = self._plan.read_shape
        nearly = ", nearly as it would restore it whole" if card.tiling is Tiling.APPROXIMATE else ""
        count = len(self._plan.tiles)
        log.info(
            "%s restores %dx%d in %d tiles of %dx%d%s", card.name, width, height, count, wide, tall, nearly
        )


def rgb_of(restored: Pixels) -> Pixels:
    """The colours (H, W, 3) of what a Restorer gave; C-contiguous, the array itself where that is all."""
    if restored.shape[2] <= 4:
        return restored if restored.shape[2] == 3 else cv2.cvtColor(restored, cv2.COLOR_RGBA2RGB)
    return np.ascontiguousarray(restored[..., :3])


def attention_of(restored: Pixels) -> Pixels:
    """The greatest of the attention maps of what a Restorer gave, (H, W): from 0, no rain, to the dtype's
    greatest value."""
    maps = [cv2.extractChannel(restored, number) for number in range(3, restored.shape[2])]
    greatest: Pixels = functools.reduce(cv2.max, maps)
    return greatest


def automatic_side(height: int, width: int, card: ModelCard, free_bytes: int) -> int | None:
    """How many pixels a side tiles should read with `free_bytes` of memory; None: the whole frame."""
    affordable = int(min(free_bytes * FREE_SHARE, MOST_BYTES)) // WORKING_BYTES
    if card.tiling is Tiling.WHOLE_FRAME or height * width <= affordable:
        return None
    usual = max(USUAL_TILE, 16 * round_up(card.halo, card.multiple_of))
    side = min(usual, int(affordable**0.5))
    return max(side, smallest_tile(card.halo, card.multiple_of))


def check_tile(tile: TileChoice, card: ModelCard) -> None:
    """Raises UsageError where a network can't be run in such tiles."""
    if tile in ("auto", "none"):
        return
    if isinstance(tile, str | bool):
        raise UsageError(f"the tile is {tile!r}; it takes auto, none or a number of pixels a side")
    if card.tiling is Tiling.WHOLE_FRAME:
        raise UsageError(f"{card.name} restores whole frames only, not tiles of {tile}; use auto or none")
    smallest = smallest_tile(card.halo, card.multiple_of)
    if tile < smallest:
        raise UsageError(f"tiles of {tile} pixels are too small for {card.name}; the smallest is {smallest}")


def check_strength(strength: float) -> None:
    """Raises UsageError for a strength that is not between 0 and 1."""
    if not 0 <= strength <= 1:
        raise UsageError(f"the strength is {strength}; it takes a number from 0 to 1")


def parse_tile(text: str) -> TileChoice:
    """What a user writes for a tile: auto, none or a number of pixels; anything else is a UsageError."""
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    if not text.isdecimal():
        raise UsageError(f"the tile is {text!r}; it takes auto, none or a number of pixels a side")
    return int(text)
