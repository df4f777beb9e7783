"""A graph made ready for batches of one shape: run as it is, or captured as a CUDA graph to launch again."""

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from derain.engines.torch_graph import Fitted, Network
from derain.engines.torch_operators import Tensor, Torch

IN_FLIGHT = 3
"""Batches of one shape at a time: one that goes up, one that is computed, one that comes down."""
WARM_UP = 2
"""Runs before a graph is captured, in which libraries take the memory that they keep."""

End = npt.NDArray[Any] | Tensor
"""An array of the host, C-contiguous and writeable, or a tensor where the network computes."""


class Flight(Protocol):
    """A batch on its way."""

    def settle(self) -> None:
        """Waits until what it gives is written; an error is kept for `check`."""
        ...

    def check(self) -> None:
        """Raises what went wrong."""
        ...


class Landed:
    """A batch that was done when it was begun."""

    def settle(self) -> None:
        """It is."""

    def check(self) -> None:
        """All went well."""


class Eager:
    """Calls torch's functions one after another."""

    def __init__(self, torch: Torch, network: Network, inputs: Sequence[Tensor], inductor: bool) -> None:
        self._torch, self._device = torch, inputs[0].device
        with exactly(torch):
            self._run = prepared(torch, network, inputs, inductor)

    def start(self, reads: Sequence[End], writes: Sequence[End]) -> Flight:
        """From all inputs to all outputs, in the graph's order."""
        with exactly(self._torch):
            given = self._run(*(self._tensor(end).to(self._device) for end in reads))
            for result, end in zip(given, writes, strict=True):
                self._tensor(end).copy_(result)
        return Landed()

    def free(self) -> None:
        """There is nothing in flight."""

    def lose(self, error: Exception) -> None:
        """There is nothing in flight."""

    def _tensor(self, end: End) -> Tensor:
        return self._torch.from_numpy(end) if isinstance(end, np.ndarray) else end


class Streams:
    """Those of an engine: uploads, computing and downloads run beside one another."""

    def __init__(self, torch: Torch) -> None:
        self.up, self.compute, self.down = (torch.cuda.Stream() for _ in range(3))
        self.pool = torch.cuda.graph_pool_handle()
        """Of the memory between a graph's nodes: one is launched after another, so that they can share it."""
        self.idle = torch.cuda.Event()
        """Recorded behind each launch: the next one waits for it, whatever stream it is in."""


class Captured:
    """A CUDA graph between tensors that stay where they are, and IN_FLIGHT places for batches around it."""

    def __init__(
        self, torch: Torch, network: Network, inputs: Sequence[Tensor], streams: Streams, inductor: bool
    ) -> None:
        self._torch, self._streams, self._inputs = torch, streams, inputs
        torch.cuda.synchronize()  # the inputs were filled on another stream
        with exactly(torch), torch.cuda.stream(streams.compute):
            run = prepared(torch, network, inputs, inductor)
            for _ in range(WARM_UP):
                run(*inputs)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may go on with work of their own on the device.
        capture = torch.cuda.graph(
            self._graph, pool=streams.pool, stream=streams.compute, capture_error_mode="thread_local"
        )
        with exactly(torch), capture:
            self._outputs = [given.contiguous() for given in run(*inputs)]
        self._run = run  # its weights are those that the graph reads
        self._places = [Place(torch, inputs, self._outputs) for _ in range(IN_FLIGHT)]

    def start(self, reads: Sequence[End], writes: Sequence[End]) -> Flight:
        """From all inputs to all outputs, in the graph's order; waits where all places are taken."""
        place = self._places.pop(0)
        self._places.append(place)
        if place.flight is not None:
            place.flight.settle()
        self._upload(place, reads)
        compute = self._streams.compute
        with self._torch.no_grad(), self._torch.cuda.stream(compute):
            compute.wait_event(place.uploaded)
            compute.wait_event(self._streams.idle)
            for given, fixed, end in zip(place.above.inputs, self._inputs, reads, strict=True):
                fixed.copy_(given if isinstance(end, np.ndarray) else end)
            self._graph.replay()
            for fixed, taken, end in zip(self._outputs, place.above.outputs, writes, strict=True):
                (taken if isinstance(end, np.ndarray) else end).copy_(fixed)
            compute.record_event(self._streams.idle)
            compute.record_event(place.computed)
        self._download(place, writes)
        place.flight = Descending(self._torch, place, writes)
        return place.flight

    def enqueue(self, reads: Sequence[Tensor], writes: Sequence[Tensor | None], stream: Any) -> None:
        """From all inputs to all outputs that are wanted, in a stream of others; returns at once."""
        with self._torch.no_grad(), self._torch.cuda.stream(stream):
            stream.wait_event(self._streams.idle)
            for tensor, fixed in zip(reads, self._inputs, strict=True):
                fixed.copy_(tensor)
            self._graph.replay()
            for fixed, wanted in zip(self._outputs, writes, strict=True):
                if wanted is not None:
                    wanted.copy_(fixed)
            stream.record_event(self._streams.idle)

    def free(self) -> None:
        """Waits for what is in flight; the graph can't be launched any more."""
        for place in self._places:
            if place.flight is not None:
                place.flight.settle()
        self._streams.compute.synchronize()
        self._streams.idle.synchronize()
        self._graph.reset()

    def lose(self, error: Exception) -> None:
        """What nobody has waited for is not written any more; `error` is told in its place."""
        for place in self._places:
            if place.flight is not None:
                place.flight.lose(error)
        self._streams.down.synchronize()

    def _upload(self, place: "Place", reads: Sequence[End]) -> None:
        with self._torch.no_grad(), self._torch.cuda.stream(self._streams.up):
            for pinned, there, end in zip(place.here.inputs, place.above.inputs, reads, strict=True):
                if isinstance(end, np.ndarray):
                    pinned.copy_(self._torch.from_numpy(end))
                    there.copy_(pinned, non_blocking=True)
            self._streams.up.record_event(place.uploaded)

    def _download(self, place: "Place", writes: Sequence[End]) -> None:
        down = self._streams.down
        with self._torch.no_grad(), self._torch.cuda.stream(down):
            down.wait_event(place.computed)
            for there, pinned, end in zip(place.above.outputs, place.here.outputs, writes, strict=True):
                if isinstance(end, np.ndarray):
                    pinned.copy_(there, non_blocking=True)
            down.record_event(place.downloaded)


class Ends:
    """Tensors like a graph's inputs and outputs, elsewhere."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], like: Callable[[Tensor], Tensor]):
        self.inputs = [like(end) for end in inputs]
        self.outputs = [like(end) for end in outputs]


class Place:
    """Where a batch is between the host and the graph. `here`: page-locked, `above`: on the device."""

    def __init__(self, torch: Torch, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.here = Ends(
            inputs, outputs, lambda end: torch.empty(end.shape, dtype=end.dtype, pin_memory=True)
        )
        self.above = Ends(inputs, outputs, torch.empty_like)
        # Who waits for a blocking event sleeps, and leaves the processor to decoding.
        self.uploaded, self.computed, self.downloaded = (torch.cuda.Event(blocking=True) for _ in range(3))
        self.flight: Descending | None = None


class Descending:
    """A batch whose results come down into `place`, and from there into `writes`."""

    def __init__(self, torch: Torch, place: Place, writes: Sequence[End]) -> None:
        self._torch, self._place, self._writes = torch, place, writes
        self._settled = False
        self._error: Exception | None = None

    def settle(self) -> None:
        """Waits until what it gives is written; an error is kept for `check`."""
        if self._settled:
            return
        self._settled = True
        try:
            self._place.downloaded.synchronize()
            for pinned, end in zip(self._place.here.outputs, self._writes, strict=True):
                if isinstance(end, np.ndarray):
                    self._torch.from_numpy(end).copy_(pinned)
        except RuntimeError as error:
            self._error = error

    def check(self) -> None:
        """Raises what went wrong."""
        if self._error is not None:
            raise self._error

    def lose(self, error: Exception) -> None:
        """What it gives is never written, if it was not yet."""
        if not self._settled:
            self._settled, self._error = True, error


def prepared(
    torch: Torch, network: Network, inputs: Sequence[Tensor], inductor: bool
) -> Callable[..., Sequence[Tensor]]:
    """The network for inputs of those sizes; compiled by torch's inductor where that is wanted."""
    fitted = network.fitted(dict(zip(network.takes, inputs, strict=True)))
    return compiled(torch, fitted, inputs) if inductor else fitted.__call__


def compiled(torch: Torch, fitted: Fitted, inputs: Sequence[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """The calls traced to one graph of torch's, and that compiled; takes from seconds to minutes."""
    tracer = importlib.import_module("torch.fx.experimental.proxy_tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what it does itself
        traced = tracer.make_fx(fitted.__call__)(*inputs)
        faster: Callable[..., Sequence[Tensor]] = torch.compile(traced, fullgraph=True, dynamic=False)
        faster(*inputs)
    return faster


@contextmanager
def exactly(torch: Torch) -> Iterator[None]:
    """fp32 is fp32, not TF32, and cuDNN takes what gives the same bits in each run."""
    cudnn = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.deterministic, cudnn.benchmark
    cudnn.conv.fp32_precision, cudnn.deterministic, cudnn.benchmark = "ieee", True, False
    try:
        with torch.no_grad():
            yield
    finally:
        cudnn.conv.fp32_precision, cudnn.deterministic, cudnn.benchmark = before
