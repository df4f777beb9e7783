"""Restores pictures where they lie: from the decoder's surface to the encoder's planes, all on the card."""

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from av.video.frame import VideoFrame

from derain.engines.device.seam import Buffer, Event, HostArray, Stream
from derain.engines.engine import Engine, Pixels, Scores
from derain.engines.errors import DerainError
from derain.engines.on_device import OnDevice
from derain.pipeline.continuity import Thumbnail, made_small, stride_of
from derain.pipeline.gpu.convert import Converter
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.frame import Surface
from derain.pipeline.gpu.planes import Planes
from derain.pipeline.tiling import TilePlan

IN_FLIGHT = 2
"""Pictures on the card at a time: one computes while the one before it comes down."""


class CardEngine(Engine, OnDevice, Protocol):
    """An engine that takes pictures from either side."""


@dataclass(frozen=True)
class Room:
    """What a picture needs on its way. `down`, `cells`: pinned, where planes and scores arrive; the latter
    None where the engine gives none."""

    stream: Stream
    done: Event
    rainy: Buffer
    restored: Buffer
    planes: Buffer
    down: HostArray
    scores: Buffer | None = None
    cells: HostArray | None = None


class CardTicket:
    """A picture that was started, see `flight.Ticket`."""

    def __init__(self, restorer: "CardRestorer", room: Room, surface: Surface) -> None:
        self._restorer, self._room, self._surface = restorer, room, surface
        self._given: VideoFrame | None = None

    def wait(self) -> VideoFrame:
        """The encoder's picture, once it is there."""
        if self._given is None:
            self._room.done.synchronize()
            self._given = self._restorer.finish(self._room)
        return self._given


class CardRestorer:
    """Restores surfaces of one size, each standing alone, into pictures for the encoder on the host: for them
    what a Restorer is for pixels.

    `planes`: what the encoder takes. Pictures are continued to the network's multiple as a TilePlan does. All
    memory is taken on opening, and a first batch is run, so that what is too big is told before any picture
    is read: raises MemoryShortError, DerainError. One thread at a time; close it before the engine.
    """

    skipped = 0
    """Tiles that were not computed; there are none."""

    def __init__(self, engine: CardEngine, driver: Driver, planes: Planes) -> None:
        self.engine, self._planes = engine, planes
        self.plan = TilePlan.make(planes.height, planes.width, 0, engine.card.multiple_of)
        self.scores: Scores | None = None
        """Of the last picture that was waited for, see `Restorer.scores`."""
        self._dtype = np.dtype(np.uint8 if planes.bits == 8 else np.uint16)
        with ExitStack() as stack:
            capability = engine.device.facts.capability
            self._converter = Converter(driver, capability, self._dtype == np.uint16)
            stack.callback(self._converter.close)
            self._aside = self._room(stack)
            self._free = deque(self._room(stack) for _ in range(IN_FLIGHT))
            self._warm_up()
            self._closing = stack.pop_all()

    def _room(self, stack: ExitStack) -> Room:
        device, each = self.engine.device, self._dtype.itemsize
        height, width = self.plan.padded
        cells = (1, height // self.engine.card.attention_scale, width // self.engine.card.attention_scale)
        room = Room(
            stream=device.stream(),
            done=device.event(),
            rainy=device.allocate(height * width * 3 * each),
            restored=device.allocate(height * width * 3 * each),
            planes=device.allocate(self._planes.samples * each),
            down=device.pinned((self._planes.samples,), self._dtype),
            scores=device.allocate(4 * cells[1] * cells[2]) if self.engine.gives_scores else None,
            cells=device.pinned(cells, np.float32) if self.engine.gives_scores else None,
        )
        for buffer in (room.rainy, room.restored, room.planes, room.scores):
            if buffer is not None:
                stack.callback(buffer.free)
        stack.callback(room.done.close)
        stack.callback(room.stream.close)
        return room

    def _warm_up(self) -> None:
        for room in (self._aside, *self._free):
            self.engine.device.zero(room.rainy, room.stream)
            self._infer(room)
            room.stream.synchronize()

    @property
    def in_flight(self) -> int:
        """Pictures that may be started before the first is waited for."""
        return IN_FLIGHT

    def start(self, surface: Surface) -> CardTicket:
        """Puts the whole way of `surface` into a stream; returns at once."""
        if not self._free:
            raise DerainError(f"{IN_FLIGHT} pictures are on the card already; wait for the first")
        room = self._free.popleft()
        self._take(surface, room)
        self._infer(room)
        self._give(room.restored, room)
        if room.scores is not None and room.cells is not None:
            self.engine.device.download(room.scores, room.cells, room.stream)
        room.stream.record(room.done)
        return CardTicket(self, room, surface)

    def __call__(self, surface: Surface, dry: object = None) -> VideoFrame:
        """Restores one picture and waits for it. `dry`: for tiles, of which there are none."""
        return self.start(surface).wait()

    def finish(self, room: Room) -> VideoFrame:
        """The picture that has arrived in `room`, which is free again."""
        picture = self._planes.picture(room.down)
        if room.cells is not None:
            scale = self.engine.card.attention_scale
            rows, columns = -(-self.plan.height // scale), -(-self.plan.width // scale)
            self.scores = room.cells[0, :rows, :columns].copy()
        self._free.append(room)
        return picture

    def untouched(self, surface: Surface) -> VideoFrame:
        """The encoder's picture of one that nothing is done to."""
        room = self._aside
        self._take(surface, room)
        self._give(room.rainy, room)
        room.stream.synchronize()
        return self._planes.picture(room.down)

    def rgb(self, surface: Surface) -> Pixels:
        """A picture on the host, (H, W, 3)."""
        return self._seen(surface, (surface.height, surface.width))

    def both(self, surface: Surface) -> tuple[Pixels, Pixels]:
        """A picture rainy and restored, on the host, each (H, W, 3)."""
        room = self._aside
        self._take(surface, room)
        self._infer(room)
        restored = np.empty((*self.plan.padded, 3), self._dtype)
        self.engine.device.download(room.restored, restored, room.stream)
        room.stream.synchronize()
        return self.rgb(surface), restored[: surface.height, : surface.width]

    def look(self, surface: Surface) -> Thumbnail:
        """What `continuity.thumbnail` makes of its pixels."""
        stride = stride_of(surface.height, surface.width)
        rows, columns = (len(range(stride // 2, side, stride)) for side in (surface.height, surface.width))
        return made_small(self._seen(surface, (rows, columns), stride))

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Frees what it took; a second call does nothing."""
        self._closing.close()

    def _take(self, surface: Surface, room: Room) -> None:
        self._converter.to_rgb(surface, room.rainy.pointer, self.plan.padded, room.stream.handle)

    def _infer(self, room: Room) -> None:
        self.engine.enqueue(room.rainy, room.restored, (1, *self.plan.padded), room.stream, room.scores)

    def _give(self, rgb: Buffer, room: Room) -> None:
        """The encoder's planes of `rgb` on their way down."""
        argument = self._planes.argument(rgb.pointer, self.plan.padded[1], room.planes.pointer)
        self._converter.from_rgb(argument, room.stream.handle)
        self.engine.device.download(room.planes, room.down, room.stream)

    def _seen(self, surface: Surface, size: tuple[int, int], stride: int = 1) -> Pixels:
        """Every `stride`-th pixel of a picture, `size` (height, width) of them, on the host."""
        room = self._aside
        self._converter.to_rgb(surface, room.rainy.pointer, size, room.stream.handle, stride)
        pixels = np.empty((*size, 3), self._dtype)
        self.engine.device.download(room.rainy, pixels, room.stream)
        room.stream.synchronize()
        return pixels
