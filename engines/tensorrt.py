"""The backend "tensorrt", and what "tensorrt_rtx" has in common with it: plans run on an NVIDIA GPU.

Several batches are in flight, see `lanes`, and the states of a recurrent network stay on the device. Plans
are built for the usual shapes when an engine is opened, and for others when they come.
"""

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from derain.engines import trt
from derain.engines.base import GraphEngine, choose_precision, precisions_of
from derain.engines.build import LEAST_CAPABILITY, Shape
from derain.engines.device import opening
from derain.engines.device.seam import Buffer, Device, DeviceFacts, Stream
from derain.engines.engine import EngineOptions, Pixels, Scores, State, States
from derain.engines.errors import DerainError
from derain.engines.flight import Held, Ticket
from derain.engines.lanes import HeldOnDevice, Layout, StateEnd, Ways
from derain.engines.machine import installed
from derain.engines.modelfile import ModelFile
from derain.engines.plans import aside
from derain.engines.plans.key import capability
from derain.engines.plans.planning import ends_of
from derain.engines.plans.store import StoredPlan
from derain.engines.trt import Runtime
from derain.engines.trt_context import LoadedPlan
from derain.engines.trt_plans import Plans
from derain.engines.trt_shapes import Landing, Shaped, Traffic

PRECISIONS = ("fp16", "fp32", "bf16")
"""Of fp32 files, the default first; INT8 and FP8 are files of their own."""
CUDA_MAJORS = (13, 12)
"""What the packages are built for, told by the names of their wheels."""


def unavailable() -> str:
    """Why this machine can't run it; "" where it can."""
    return why_not("tensorrt")


def why_not(name: str) -> str:
    """Why this machine can't run the backend `name`; "" where it can."""
    if reason := trt.unavailable(name) or opening.unavailable():
        return reason
    try:
        return against_card(trt.load(name), facts_by(opening.open_device))
    except DerainError as error:
        return str(error)


@functools.cache
def facts_by(open_device: Callable[[], Device]) -> DeviceFacts:
    """The card's, asked once: opening it takes a good part of a second."""
    with open_device() as device:
        return device.facts


def against_card(runtime: Runtime, facts: DeviceFacts) -> str:
    """Why `runtime` can't use that card under that driver; "" where it can."""
    known, found = runtime.quirks.capabilities, capability(facts.capability)
    if known and found not in known:
        return (
            f"{runtime.told} does not serve {facts.name} (compute capability {found}); it serves "
            f"{', '.join(known)}; take tensorrt or torch_cuda"
        )
    needed = cuda_of(runtime.name)
    if facts.driver[0] < needed:
        return (
            f"the NVIDIA driver speaks CUDA {facts.driver[0]}.{facts.driver[1]}, and the installed "
            f"{runtime.told} needs CUDA {needed}; install a newer driver"
        )
    return ""


def cuda_of(name: str) -> int:
    """The CUDA that the installed package `name` needs; 0 where the names of its wheels do not tell."""
    wheel = name.replace("_", "-")
    return next((major for major in CUDA_MAJORS if installed(f"{wheel}-cu{major}") is not None), 0)


def able(facts: DeviceFacts) -> tuple[str, ...]:
    """What a card can run fp32 networks in, the default first."""
    number = int(capability(facts.capability))
    return tuple(name for name in PRECISIONS if number >= LEAST_CAPABILITY.get(name, 0))


class PlanEngine(GraphEngine):
    """Runs plans on `device`, which its owner closes later. `stored`: the plan that it begins with; `plans`:
    where others come from, None where that one is all."""

    backend = "tensorrt"

    def __init__(
        self,
        model: ModelFile,
        options: EngineOptions,
        runtime: Runtime,
        device: Device,
        stored: StoredPlan,
        plans: Plans | None = None,
    ) -> None:
        super().__init__(model, options)
        self.precision = stored.manifest.key.precision
        self._key = stored.manifest.key
        self._runtime, self._device, self._plans = runtime, device, plans
        self._loaded: list[tuple[StoredPlan, LoadedPlan, bytes]] = []
        self._held: list[HeldHere] = []
        with device.current(), ExitStack() as stack:
            self._ways = stack.enter_context(Ways.opened(device))
            stack.callback(self._unload)
            self._load(stored)
            self._stack = stack.pop_all()
        self._traffic = Traffic(self._ways, self._ready)

    @property
    def in_flight(self) -> int:
        """See flight.InFlight; fewer once the device had no room for more."""
        return self._traffic.depth

    def start(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> Ticket:
        """See flight.InFlight."""
        batch, out, scores = self._checked(batch, out, states, scores)
        return self._begin(batch, out, states, scores)

    def hold(self, count: int, height: int, width: int) -> Held:
        """See flight.Holder."""
        if not self._open:
            raise DerainError(f"the engine of the model {self.card.name!r} is closed; open a new one")
        with self._device.current():
            held = HeldHere(self, HeldOnDevice(self._ways, self._state_ends((count, height, width))))
        self._held.append(held)
        return held

    @property
    def device(self) -> Device:
        """See on_device.OnDevice."""
        return self._device

    def enqueue(
        self, rainy: Buffer, restored: Buffer, shape: Shape, stream: Stream, scores: Buffer | None = None
    ) -> None:
        """See on_device.OnDevice."""
        self._check_room(rainy, restored, shape, scores)
        with self._device.current():
            direct = self._traffic.direct(shape)
            with self._traffic.giving_back(shape):
                direct.enqueue(rainy, restored, stream, scores)

    def run_held(
        self, batch: Pixels, out: Pixels | None, held: HeldOnDevice, scores: Scores | None
    ) -> Pixels:
        """`infer` with states that lie on the device."""
        return self._begin_held(batch, out, held, scores).wait()

    def start_held(
        self, batch: Pixels, out: Pixels | None, held: HeldOnDevice, scores: Scores | None
    ) -> Ticket:
        """Begins that, and has what is written read by what is begun after it."""
        landing = self._begin_held(batch, out, held, scores)
        held.turn()
        return landing

    def _begin_held(
        self, batch: Pixels, out: Pixels | None, held: HeldOnDevice, scores: Scores | None
    ) -> Landing:
        batch, out, scores = self._checked(batch, out, None, scores)
        if tuple(held.ends) != self._state_ends(_shape(batch)):
            raise DerainError(f"the engine got a batch of shape {batch.shape}, and holds states of another")
        return self._begin(batch, out, (), scores, held)

    def let_go(self, held: "HeldHere") -> None:
        """It is closed already."""
        self._held.remove(held)

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        self._begin(batch, out, states, scores).wait()

    def _check_room(self, rainy: Buffer, restored: Buffer, shape: Shape, scores: Buffer | None) -> None:
        """Raises DerainError where a batch of `shape` can't be had from there to there."""
        if not self._open:
            raise DerainError(f"the engine of the model {self.card.name!r} is closed; open a new one")
        name, multiple = self.card.name, self.card.multiple_of
        if self.states:
            raise DerainError(f"the model {name!r} remembers frames; they can't be restored on the device")
        if min(shape) < 1 or any(side % multiple for side in shape[1:]):
            raise DerainError(f"the batch is {shape}; the model {name!r} takes sides that {multiple} divides")
        if scores is not None and not self.gives_scores:
            raise DerainError(f"the engine of the model {name!r} gives no scores; open it with scores=True")
        pixels, cells = math.prod(shape) * self._dtype.itemsize, self._layout(shape).scores
        needs = [(rainy, 3 * pixels), (restored, self.channels * pixels)]
        needs += [] if scores is None or cells is None else [(scores, 4 * math.prod(cells))]
        for buffer, needed in needs:
            if buffer.nbytes < needed:
                raise DerainError(f"the batch {shape} takes {needed} bytes; the buffer has {buffer.nbytes}")

    def _begin(
        self,
        batch: Pixels,
        out: Pixels,
        states: States,
        scores: Scores | None,
        held: HeldOnDevice | None = None,
    ) -> Landing:
        with self._device.current():
            lane = self._traffic.lane(_shape(batch))
            with self._traffic.giving_back(_shape(batch)):
                lane.begin(batch, states, None if held is None else held.buffers)
            return self._traffic.start(lane, out, states, scores)

    def _ready(self, shape: Shape) -> Shaped:
        """The best plan there is for a shape, made ready for it."""
        exact = None if self._plans is None else self._plans.kept(self._key, shape)
        if exact is not None and exact.manifest not in [stored.manifest for stored, *_ in self._loaded]:
            self._load(exact)
        if self._plans is not None and self._taker(shape) is None:
            self._load(self._plans.only_for(shape, self.precision))
        taker = self._taker(shape)
        if taker is None:
            raise DerainError(f"the plan {self._key} does not take batches of shape {shape}")
        return Shaped(self._ways, *taker, self._layout(shape))

    def _taker(self, shape: Shape) -> tuple[LoadedPlan, int] | None:
        """The plan loaded last that takes a shape, and its profile for it."""
        for _, plan, _ in reversed(self._loaded):
            profile = plan.profile_of(shape)
            if profile is not None:
                return plan, profile
        return None

    def _load(self, stored: StoredPlan) -> None:
        kernels = aside.kept(aside.kernels_of(stored))
        plan = LoadedPlan(self._runtime, stored.data, ends_of(stored.manifest), kernels)
        self._loaded.append((stored, plan, kernels))

    def _layout(self, shape: Shape) -> Layout:
        count, height, width = shape
        scale = self.card.attention_scale
        scores = (count, height // scale, width // scale) if self.gives_scores else None
        return Layout(shape, self._dtype, self.channels, self._state_ends(shape), scores)

    def _state_ends(self, shape: Shape) -> tuple[StateEnd, ...]:
        pairs = zip(self.card.states, self.states, strict=True)
        return tuple(StateEnd(pair.taken, pair.given, spec.shape(*shape)) for pair, spec in pairs)

    def _free(self) -> None:
        with self._device.current():
            lost = DerainError(f"the engine of the model {self.card.name!r} was closed with this in flight")
            self._traffic.close(lost)
            with suppress(DerainError):  # what failed on the device was told to those who waited for it
                for held in tuple(self._held):
                    held.close()
                self._stack.close()

    def _unload(self) -> None:
        """Keeps what the runtimes compiled, and lets them go."""
        for stored, plan, before in self._loaded:
            kernels = plan.kernels()
            if kernels != before:
                aside.keep(aside.kernels_of(stored), kernels)
            plan.close()
        self._loaded.clear()


class HeldHere:
    """States that an engine holds on its device. See flight.HeldInFlight."""

    def __init__(self, engine: PlanEngine, held: HeldOnDevice) -> None:
        self._engine, self._held = engine, held
        self._open = True

    def infer(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Pixels:
        """The frame after those before."""
        return self._engine.run_held(batch, out, self._opened(), scores)

    def start(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Ticket:
        """The frame after those before, without waiting for it."""
        return self._engine.start_held(batch, out, self._opened(), scores)

    def turn(self) -> None:
        """What was written is read for the next."""
        self._opened().turn()

    def reset(self) -> None:
        """Zero again."""
        self._opened().reset()

    def read(self) -> list[State]:
        """Copies of what would be read now."""
        return self._opened().read()

    def write(self, states: Sequence[State]) -> None:
        """They are what is read next."""
        self._opened().write(states)

    def close(self) -> None:
        """Frees their memory; a second call does nothing."""
        if self._open:
            self._open = False
            self._engine.let_go(self)
            self._held.close()

    def _opened(self) -> HeldOnDevice:
        if not self._open:
            raise DerainError("these states are closed, or the engine that held them is")
        return self._held


class TensorRTEngine(PlanEngine):
    """Opens the device and has the plans for it made."""

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        runtime = trt.load(self.backend)
        with ExitStack() as stack:
            device = stack.enter_context(opening.open_device())
            if reason := against_card(runtime, device.facts):
                raise DerainError(reason)
            takes = precisions_of(model.card, able(device.facts))
            precision = choose_precision(self.backend, options.precision, takes)

            def run(file: ModelFile, stored: StoredPlan) -> PlanEngine:
                return PlanEngine(file, options, runtime, device, stored)

            plans = Plans(model, options, runtime, device.facts, run)
            stored = plans.usual(precision)
            file = plans.file_of(stored.manifest.key.precision)
            super().__init__(file, options, runtime, device, stored, plans)
            if self.precision != precision:
                self.precision_reason = f"{precision} is too far from the network here"
            self._owned = stack.pop_all()

    def _free(self) -> None:
        with self._owned:
            super()._free()


def _shape(batch: Pixels) -> Shape:
    count, height, width, _ = batch.shape
    return count, height, width
