"""The backend "torch_cuda": torch's own kernels on an NVIDIA GPU, captured as a CUDA graph for each shape.

For cards that TensorRT does not serve, and for measuring. The ONNX graph is run as torch's functions, see
`torch_graph`, so that it runs what the other backends run.
"""

import importlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from derain.engines import halves, machine
from derain.engines.base import GraphEngine, choose_precision, failure, one_line, precisions_of
from derain.engines.device import opening
from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions, Pixels, Scores, State, States
from derain.engines.errors import DerainError, MemoryShortError
from derain.engines.flight import Held
from derain.engines.modelfile import ModelFile
from derain.engines.near import in_halves
from derain.engines.torch_graph import Network
from derain.engines.torch_operators import Tensor, Torch, dtype_of
from derain.engines.torch_shapes import IN_FLIGHT, Captured, Eager, End, Flight, Streams

KEPT_SHAPES = 4
"""Shapes that stay ready, each with its graph."""


def runtime() -> Torch:
    """The package torch."""
    return importlib.import_module("torch")


def unavailable() -> str:
    """Why this machine can't run it; "" where it can. Torch is imported where there is a GPU only."""
    if no_gpu := machine.nvidia_gpus()[1]:
        return no_gpu
    try:
        torch = runtime()
    except ModuleNotFoundError:
        return 'the package torch is not installed (pip install "derain[torch]")'
    except (ImportError, OSError) as error:
        return f"the package torch can't be loaded: {one_line(error)}"
    if torch.version.cuda is None:
        return f"the package torch {torch.__version__} has no CUDA (pip install torch brings one that has)"
    return _against_driver(torch) or against_card(torch)


def _against_driver(torch: Torch) -> str:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return ""
    return (
        f"torch {torch.__version__} sees no GPU: {one_line(told[0].message) if told else 'it says no more'}"  # type: ignore[arg-type]
    )


def against_card(torch: Torch) -> str:
    """Why torch can't compute on the first GPU: kernels are built for some cards only."""
    card = torch.cuda.get_device_capability()
    built = torch.cuda.get_arch_list()
    for name in built:
        kind, _, digits = name.partition("_")
        number = int("".join(letter for letter in digits if letter.isdigit()))
        made_for = divmod(number, 10)
        if made_for <= card and (kind == "compute" or made_for[0] == card[0]):
            return ""
    return (
        f"torch {torch.__version__} has no kernels for {torch.cuda.get_device_name()} "
        f"(sm_{card[0]}{card[1]}); it has {', '.join(built)}"
    )


def opened(model: ModelFile, options: EngineOptions, device: str = "cuda") -> "TorchEngine":
    """The engine of the registry: with the precision "auto" it runs in halves where they are near to fp32."""
    return in_halves(
        model,
        options,
        lambda chosen: _at_work(model, chosen, device),
        lambda chosen: TorchEngine(model, chosen, device, graphs=False),
    )


def _at_work(model: ModelFile, options: EngineOptions, device: str) -> "TorchEngine":
    """One that takes pictures from the card too, where there is a package for its memory."""
    if model.states or device == "cpu" or opening.unavailable():
        return TorchEngine(model, options, device)
    kind: type[TorchEngine] = importlib.import_module("derain.engines.torch_on_device").TorchOnDevice
    return kind(model, options)


def compiled(model: ModelFile, options: EngineOptions, device: str = "cuda") -> "InductorEngine":
    """The engine of the registry for `torch_inductor`; of its precision the same holds."""
    return in_halves(
        model,
        options,
        lambda chosen: InductorEngine(model, chosen, device),
        lambda chosen: TorchEngine(model, chosen, device, graphs=False),
    )


class TorchEngine(GraphEngine):
    """Each shape is captured when it first comes; see `flight` for `start` and `hold`."""

    backend = "torch_cuda"
    inductor = False
    """Whether torch's inductor compiles the network for each shape, which takes up to minutes."""

    def __init__(
        self, model: ModelFile, options: EngineOptions, device: str = "cuda", graphs: bool = True
    ) -> None:
        """`device`: "cpu" computes there, for tests. `graphs`: False calls one kernel after another."""
        super().__init__(model, options)
        self._torch = runtime()
        self._device = self._torch.device(device)
        takes = precisions_of(model.card, self._precisions())
        self.precision = choose_precision(self.backend, options.precision, takes)
        graph = with_pixel_edges(model, options)
        if self.precision in halves.KINDS:
            graph = halves.to_half(graph, self.precision)
        self._network = Network(self._torch, graph.graph, f"{self.backend} can't run the model {model.path}:")
        self._types = {
            end.name: dtype_of(self._torch, end.type.tensor_type.elem_type) for end in graph.graph.input
        }
        self._captures = graphs and self._device.type == "cuda"
        self._streams = Streams(self._torch) if self._captures else None
        self._shapes: OrderedDict[tuple[int, ...], Eager | Captured] = OrderedDict()
        self._held: list[TorchHeld] = []

    @property
    def in_flight(self) -> int:
        """See `flight.InFlight`."""
        return IN_FLIGHT if self._captures else 1

    def start(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> "TorchTicket":
        """See `flight.InFlight`."""
        batch, out, scores = self._checked(batch, out, states, scores)
        return TorchTicket(self, self._begin(batch, out, states, scores), out)

    def hold(self, count: int, height: int, width: int) -> Held:
        """See `flight.Holder`."""
        held = TorchHeld(self, self._no_states(count, height, width), (count, height, width))
        self._held.append(held)
        return held

    def begin(
        self,
        batch: Pixels,
        out: Pixels | None,
        states: Sequence[tuple[Tensor, Tensor]],
        scores: Scores | None,
    ) -> "TorchTicket":
        """`start` with states that are tensors on the device."""
        batch, out, scores = self._checked(batch, out, None, scores)
        return TorchTicket(self, self._begin(batch, out, states, scores), out)

    def wait_for(self, flight: Flight) -> None:
        """Until its results are written; raises DerainError where they can't be."""
        flight.settle()
        with self._told("restoring a batch"):
            flight.check()

    def to_host(self, tensors: Sequence[Tensor]) -> list[State]:
        """Copies of tensors on the device."""
        with self._told("reading states"), self._in_order():
            return [np.array(tensor.cpu().numpy()) for tensor in tensors]

    def to_device(self, states: Sequence[State], tensors: Sequence[Tensor]) -> None:
        """Fills tensors on the device."""
        with self._told("writing states"), self._in_order():
            for state, tensor in zip(states, tensors, strict=True):
                tensor.copy_(self._torch.from_numpy(state))

    def zero(self, tensors: Sequence[Tensor]) -> None:
        """Fills tensors on the device with 0."""
        with self._told("forgetting states"), self._in_order():
            for tensor in tensors:
                tensor.zero_()

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        """What is done now is done after what was begun, and before what is begun later."""
        if self._streams is None:
            yield
        else:
            with self._torch.cuda.stream(self._streams.compute):
                yield

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        self.wait_for(self._begin(batch, out, states, scores))

    def _begin(
        self, batch: Pixels, out: Pixels, states: Sequence[tuple[End, End]], scores: Scores | None
    ) -> Flight:
        reads = [batch, *(read for read, _ in states)]
        writes = [out, *(written for _, written in states), *([] if scores is None else [scores])]
        with self._told(f"restoring a batch of shape {batch.shape}"):
            return self._shape(batch.shape).start(reads, writes)

    def _shape(self, shape: tuple[int, ...]) -> Eager | Captured:
        ready = self._shapes.pop(shape, None)
        if ready is None:
            while len(self._shapes) >= KEPT_SHAPES:
                self._shapes.popitem(last=False)[1].free()
            ready = self._with_room(lambda: self._make(shape))
        self._shapes[shape] = ready
        return ready

    def _make(self, shape: tuple[int, ...]) -> Eager | Captured:
        sizes = [shape, *(spec.shape(*shape[:3]) for spec in self.states)]
        inputs = [
            self._torch.zeros(size, dtype=self._types[name], device=self._device)
            for name, size in zip(self._network.takes, sizes, strict=True)
        ]
        if self._streams is None:
            return Eager(self._torch, self._network, inputs, self.inductor)
        return Captured(self._torch, self._network, inputs, self._streams, self.inductor)

    def _with_room(self, make: Callable[[], Eager | Captured]) -> Eager | Captured:
        """What `make` gives; where memory runs short, once more without the other shapes."""
        try:
            return make()
        except RuntimeError as error:
            if not (self._shapes and isinstance(failure(error, ""), MemoryShortError)):
                raise
        self._free_shapes()
        return make()

    def _free_shapes(self) -> None:
        for shape in self._shapes.values():
            shape.free()
        self._shapes.clear()
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _free(self) -> None:
        lost = DerainError(f"the engine of the model {self.card.name!r} was closed meanwhile")
        for shape in self._shapes.values():
            shape.lose(lost)
        for held in self._held:
            held.close()
        self._free_shapes()
        del self._network, self._streams

    def _precisions(self) -> tuple[str, ...]:
        """The default first."""
        if self._device.type == "cpu":
            return "fp32", "bf16", "fp16"
        newer = self._torch.cuda.get_device_capability(self._device) >= (8, 0)
        return ("fp16", "bf16", "fp32") if newer else ("fp16", "fp32")

    def _no_states(self, count: int, height: int, width: int) -> list[tuple[Tensor, Tensor]]:
        with self._told(f"making room for states of {count} frames of {width}x{height}"), self._in_order():
            sizes = [spec.shape(count, height, width) for spec in self.states]
            both = [tuple(self._torch.zeros(size, device=self._device) for _ in range(2)) for size in sizes]
        return [(read, written) for read, written in both]

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """What torch raises while `doing` something becomes one sentence."""
        try:
            yield
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            told = f"{self.backend} failed {doing} with the model {self.card.name!r}"
            raise failure(error, told) from error


class InductorEngine(TorchEngine):
    """With kernels that torch's inductor makes of several operators at a time."""

    backend = "torch_inductor"
    inductor = True


class TorchTicket:
    """See `flight.Ticket`."""

    def __init__(self, engine: TorchEngine, flight: Flight, out: Pixels) -> None:
        self._engine, self._flight, self._out = engine, flight, out

    def wait(self) -> Pixels:
        """What was restored."""
        self._engine.wait_for(self._flight)
        return self._out


class TorchHeld:
    """See `flight.Held`."""

    def __init__(
        self, engine: TorchEngine, pairs: list[tuple[Tensor, Tensor]], size: tuple[int, int, int]
    ) -> None:
        self._engine, self._pairs, self._size = engine, pairs, size
        self._open = True

    def infer(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Pixels:
        """See `flight.Held`."""
        return self._begin(batch, out, scores).wait()

    def start(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> "TorchTicket":
        """See `flight.HeldInFlight`."""
        ticket = self._begin(batch, out, scores)
        self.turn()
        return ticket

    def _begin(self, batch: Pixels, out: Pixels | None, scores: Scores | None) -> "TorchTicket":
        self._check_open()
        if batch.shape[:3] != self._size:
            raise DerainError(
                f"the engine got pixels of shape {batch.shape} for states of {self._size[0]} frames of "
                f"{self._size[2]}x{self._size[1]}"
            )
        return self._engine.begin(batch, out, self._pairs, scores)

    def turn(self) -> None:
        """See `flight.Held`."""
        self._check_open()
        self._pairs = [(written, read) for read, written in self._pairs]

    def reset(self) -> None:
        """See `flight.Held`."""
        self._check_open()
        self._engine.zero([read for read, _ in self._pairs])

    def read(self) -> list[State]:
        """See `flight.Held`."""
        self._check_open()
        return self._engine.to_host([read for read, _ in self._pairs])

    def write(self, states: Sequence[State]) -> None:
        """See `flight.Held`."""
        self._check_open()
        self._engine.to_device(states, [read for read, _ in self._pairs])

    def close(self) -> None:
        """Frees the memory; a second call does nothing."""
        self._open = False
        self._pairs = []

    def _check_open(self) -> None:
        if not self._open:
            raise DerainError("the states of the network were let go; hold new ones")
