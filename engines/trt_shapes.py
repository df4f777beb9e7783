"""The shapes that plans are made ready for, and the batches in flight, as many as the device has room for."""

import logging
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from derain.engines.build import Shape
from derain.engines.device.seam import Buffer, DeviceMemoryError, Stream
from derain.engines.edges import PIXELS_IN, PIXELS_OUT
from derain.engines.engine import Pixels, Scores, States
from derain.engines.errors import DerainError
from derain.engines.lanes import Lane, Layout, Ways, allocated
from derain.engines.maps import SCORES
from derain.engines.trt_context import LoadedPlan, Repeated

FLIGHT = 3
"""Batches in flight: one goes up, one is computed, one comes down."""
KEPT_SHAPES = 4
"""Shapes that stay ready, the last ones used."""

KEPT_ADDRESSES = 8
"""Of batches that lie on the device: so many may be on their way there at a time."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Landing:
    """A batch in flight: the lane that it is in, and what is to be filled. See flight.Ticket."""

    def __init__(self, traffic: "Traffic", lane: Lane, out: Pixels, states: States, scores: Scores | None):
        self._traffic, self.lane = traffic, lane
        self._out, self._states, self._scores = out, states, scores
        self._failure: DerainError | None = None

    def wait(self) -> Pixels:
        """What the work gives; batches that were started before it are brought to their ends first."""
        self._traffic.land(self)
        if self._failure is not None:
            raise self._failure
        return self._out

    def finish(self) -> None:
        """Its end; a failure is kept for who waits."""
        try:
            self.lane.finish(self._out, self._states, self._scores)
        except DerainError as error:
            self._failure = error

    def lose(self, failure: DerainError) -> None:
        """Nothing comes of it any more."""
        self._failure = failure


class Direct:
    """A plan made ready for batches that lie on the device, in streams of whoever has them there.

    They work in the same scratch memory, so each begins after the one before it. What comes to the same
    addresses again has a context of its own, and a graph. Raises DeviceMemoryError.
    """

    def __init__(self, ways: Ways, plan: LoadedPlan, profile: int, layout: Layout) -> None:
        self._ways, self._plan, self._profile, self._layout = ways, plan, profile, layout
        self._works: OrderedDict[tuple[int, ...], Repeated] = OrderedDict()
        self._scratch: Buffer | None = None
        self._scores: dict[str, int] = {}
        with ExitStack() as stack:
            if layout.scores is not None:
                buffer = allocated(ways.device, 4 * math.prod(layout.scores), stack)
                self._scores[SCORES] = buffer.pointer
            self._last = ways.device.event()
            stack.callback(self._last.close)
            self._stack = stack.pop_all()

    def enqueue(self, rainy: Buffer, restored: Buffer, stream: Stream, scores: Buffer | None = None) -> None:
        """Puts the work on a batch into `stream`. `scores`: where they are wanted."""
        given = self._scores if scores is None else {SCORES: scores.pointer}
        addresses = {PIXELS_IN: rainy.pointer, PIXELS_OUT: restored.pointer, **given}
        work = self._work(tuple(addresses.values()))
        stream.wait(self._last)
        work.run(addresses, stream)
        stream.record(self._last)

    def close(self) -> None:
        """Gives everything back, once the last batch is done or has failed."""
        with suppress(DerainError):
            self._last.synchronize()
        while self._works:
            self._works.popitem()[1].close()
        self._stack.close()

    def _work(self, key: tuple[int, ...]) -> Repeated:
        work = self._works.pop(key, None)
        if work is None:
            if len(self._works) >= KEPT_ADDRESSES:
                self._last.synchronize()
                self._works.popitem(last=False)[1].close()
            work = self._one_more()
        self._works[key] = work
        return work

    def _one_more(self) -> Repeated:
        ways, layout = self._ways, self._layout
        context = self._plan.context(self._profile, layout.inputs(), layout.outputs(), ways.through)
        with ExitStack() as stack:
            stack.callback(context.close)
            if self._scratch is None:
                self._scratch = allocated(ways.device, max(1, context.scratch), self._stack)
            context.lend(self._scratch)
            ways.through.synchronize()  # where its profile is set
            stack.pop_all()
        return Repeated(context, ways.device.graphs and not self._plan.own_graphs)


class Shaped:
    """A plan made ready for one layout. Its lanes work in the same scratch memory: one stream computes."""

    def __init__(self, ways: Ways, plan: LoadedPlan, profile: int, layout: Layout) -> None:
        self._ways, self._plan, self._profile, self._layout = ways, plan, profile, layout
        self._stack = ExitStack()
        self._scratch: Buffer | None = None
        self._direct: Direct | None = None
        self.lanes: list[Lane] = []

    def direct(self) -> Direct:
        """For batches that lie on the device already. Raises DeviceMemoryError, DerainError."""
        if self._direct is None:
            self._direct = Direct(self._ways, self._plan, self._profile, self._layout)
            self._stack.callback(self._direct.close)
        return self._direct

    def add(self) -> Lane:
        """One more lane. Raises DeviceMemoryError, DerainError; nothing has changed then."""
        layout, ways = self._layout, self._ways
        with ExitStack() as stack:
            context = self._plan.context(self._profile, layout.inputs(), layout.outputs(), ways.through)
            stack.callback(context.close)
            scratch = self._scratch or allocated(ways.device, max(1, context.scratch), stack)
            context.lend(scratch)
            work = Repeated(context, ways.device.graphs and not self._plan.own_graphs)
            lane = Lane(ways, layout, work)
            stack.callback(lane.close)
            self._stack.push(stack.pop_all())
        self._scratch = scratch
        self.lanes.append(lane)
        return lane

    def close(self) -> None:
        """Gives everything back; nothing of it is at work."""
        self._stack.close()


class Traffic:
    """Batches of any shape in flight, at most `depth`. `ready`: gives a shape's Shaped, without a lane."""

    def __init__(self, ways: Ways, ready: Callable[[Shape], Shaped]) -> None:
        self._ways, self._ready = ways, ready
        self._shapes: OrderedDict[Shape, Shaped] = OrderedDict()
        self._flying: deque[Landing] = deque()
        self.depth = FLIGHT

    def lane(self, shape: Shape) -> Lane:
        """One that is free, for a batch of `shape`; waits for the first batch where all are taken.

        Raises DeviceMemoryError, DerainError.
        """
        while len(self._flying) >= self.depth:
            self.land(self._flying[0])
        shaped = self._shaped(shape)
        taken = [landing.lane for landing in self._flying]
        free = [lane for lane in shaped.lanes if lane not in taken]
        return free[0] if free else self._one_more(shaped)

    def direct(self, shape: Shape) -> Direct:
        """For batches of `shape` that lie on the device already. Raises DeviceMemoryError, DerainError."""
        return self._with_room(self._shaped(shape).direct)

    @contextmanager
    def giving_back(self, shape: Shape) -> Iterator[None]:
        """Where the device has no memory to compute a batch of `shape`, its room is for less."""
        try:
            yield
        except DeviceMemoryError:
            self._settled()
            self._shapes.pop(shape).close()
            raise

    def start(self, lane: Lane, out: Pixels, states: States, scores: Scores | None) -> Landing:
        """What was begun in `lane` is in flight."""
        landing = Landing(self, lane, out, states, scores)
        self._flying.append(landing)
        return landing

    def land(self, landing: Landing) -> None:
        """Brings it and all before it to their ends, unless that was done."""
        while landing in self._flying:
            self._flying.popleft().finish()

    def close(self, failure: DerainError) -> None:
        """Gives everything back; of what is in flight comes `failure`."""
        for landing in self._flying:
            landing.lose(failure)
        self._flying.clear()
        self._ways.settle()
        while self._shapes:
            with suppress(DerainError):  # what failed on the device was told to those who waited for it
                self._shapes.popitem()[1].close()

    def _shaped(self, shape: Shape) -> Shaped:
        shaped = self._shapes.pop(shape, None)
        if shaped is None:
            while len(self._shapes) >= KEPT_SHAPES:
                self._let_go()
            shaped = self._ready(shape)
        self._shapes[shape] = shaped
        return shaped

    def _one_more(self, shaped: Shaped) -> Lane:
        """A further lane; without room for it that of the shape's first batch, or other shapes go."""
        if not shaped.lanes:
            return self._with_room(shaped.add)
        try:
            return shaped.add()
        except DeviceMemoryError:
            self.depth = len(shaped.lanes)
            log.info("the device has room for %d batches in flight", self.depth)
            return self._soonest(shaped.lanes)

    def _with_room(self, make: Callable[[], T]) -> T:
        """What `make` gives; where there is no room for it other shapes go, one after another."""
        while True:
            try:
                return make()
            except DeviceMemoryError:
                if len(self._shapes) == 1:
                    raise
                self._let_go()

    def _soonest(self, lanes: Sequence[Lane]) -> Lane:
        """Of lanes that are all taken the first that comes free."""
        first = next(landing for landing in self._flying if landing.lane in lanes)
        self.land(first)
        return first.lane

    def _let_go(self) -> None:
        """Of the shapes that are ready the one that was not used for longest."""
        self._settled()
        self._shapes.popitem(last=False)[1].close()

    def _settled(self) -> None:
        """Brings all that is in flight to its end."""
        while self._flying:
            self.land(self._flying[0])
        self._ways.settle()
