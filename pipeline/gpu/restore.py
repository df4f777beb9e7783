"""Restores pictures where they lie: from the decoder's surface to the encoder's planes, all on the card."""

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame

from derain.engines.card import ModelCard
from derain.engines.device.seam import Buffer, Device, Event, HostArray, Stream
from derain.engines.errors import DerainError
from derain.engines.on_device import OnDevice
from derain.pipeline.gpu.convert import Converter
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.frame import Surface
from derain.pipeline.gpu.planes import Planes
from derain.pipeline.tiling import TilePlan

IN_FLIGHT = 2
"""Pictures on the card at a time: one computes while the one before it comes down."""


@dataclass(frozen=True)
class Room:
    """What a picture needs on its way. `down`: pinned, where its planes arrive."""

    stream: Stream
    done: Event
    rainy: Buffer
    restored: Buffer
    planes: Buffer
    down: HostArray


class Ticket:
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
    """Restores surfaces of one size, each standing alone, into pictures for the encoder on the host.

    `engine`: its network's card is `card`. `planes`: what the encoder takes. Pictures are continued to the
    network's multiple as a TilePlan does. All memory is taken on opening, and a first batch is run, so that
    what is too big is told before any picture is read: raises MemoryShortError, DerainError. One thread at
    a time; `close` before the engine is closed.
    """

    def __init__(self, engine: OnDevice, card: ModelCard, driver: Driver, planes: Planes) -> None:
        self._engine, self._planes = engine, planes
        plan = TilePlan.make(planes.height, planes.width, 0, card.multiple_of)
        self._padded = plan.padded
        self._dtype = np.dtype(np.uint8 if planes.bits == 8 else np.uint16)
        device = engine.device
        with ExitStack() as stack:
            capability = device.facts.capability
            self._converter = Converter(driver, capability, self._dtype == np.uint16)
            stack.callback(self._converter.close)
            self._free = deque(self._room(device, stack) for _ in range(IN_FLIGHT))
            self._warm_up(device)
            self._closing = stack.pop_all()

    def _room(self, device: Device, stack: ExitStack) -> Room:
        pixels = self._padded[0] * self._padded[1] * 3 * self._dtype.itemsize
        room = Room(
            stream=device.stream(),
            done=device.event(),
            rainy=device.allocate(pixels),
            restored=device.allocate(pixels),
            planes=device.allocate(self._planes.samples * self._dtype.itemsize),
            down=device.pinned((self._planes.samples,), self._dtype),
        )
        for buffer in (room.rainy, room.restored, room.planes):
            stack.callback(buffer.free)
        stack.callback(room.done.close)
        stack.callback(room.stream.close)
        return room

    def _warm_up(self, device: Device) -> None:
        for room in self._free:
            device.zero(room.rainy, room.stream)
            self._engine.enqueue(room.rainy, room.restored, (1, *self._padded), room.stream)
            room.stream.synchronize()

    @property
    def in_flight(self) -> int:
        """Pictures that may be started before the first is waited for."""
        return IN_FLIGHT

    def start(self, surface: Surface) -> Ticket:
        """Puts the whole way of `surface` into a stream; returns at once."""
        if not self._free:
            raise DerainError(f"{IN_FLIGHT} pictures are on the card already; wait for the first")
        room = self._free.popleft()
        handle, device = room.stream.handle, self._engine.device
        self._converter.to_rgb(surface, room.rainy.pointer, self._padded, handle)
        self._engine.enqueue(room.rainy, room.restored, (1, *self._padded), room.stream)
        argument = self._planes.argument(room.restored.pointer, self._padded[1], room.planes.pointer)
        self._converter.from_rgb(argument, handle)
        device.download(room.planes, room.down, room.stream)
        room.stream.record(room.done)
        return Ticket(self, room, surface)

    def __call__(self, surface: Surface) -> VideoFrame:
        """Restores one picture and waits for it."""
        return self.start(surface).wait()

    def finish(self, room: Room) -> VideoFrame:
        """The picture that has arrived in `room`, which is free again."""
        picture = self._planes.picture(room.down)
        self._free.append(room)
        return picture

    def close(self) -> None:
        """Frees what it took; a second call does nothing."""
        self._closing.close()
