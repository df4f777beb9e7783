"""torch with a CUDA device that is the CPU: streams, events and graphs that are recorded, not run apart.

What is put into a stream is done at once, so that results are those of one thing after another; `said` has
who recorded and waited for what, and whatever a capture sees is run again, in place, by each replay.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class FakeDevice(str):
    """Is the CPU for torch's functions, and a CUDA device for who asks."""

    type = "cuda"


class FakeEvent:
    """One that was never recorded is done, as in CUDA."""

    def synchronize(self) -> None:
        """All is done at once."""


class FakeStream:
    def __init__(self, said: list[str], name: str) -> None:
        self._said, self.name = said, name

    def record_event(self, event: FakeEvent) -> None:
        self._said.append(f"{self.name} records {id(event)}")

    def wait_event(self, event: FakeEvent) -> None:
        self._said.append(f"{self.name} waits {id(event)}")

    def synchronize(self) -> None:
        self._said.append(f"{self.name} is waited for")


class Recording(TorchFunctionMode):
    """Notes every call of torch, to make it again with the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, given))
        return given


class Graph:
    def __init__(self) -> None:
        self.recording = Recording()
        self.launches = 0

    def replay(self) -> None:
        self.launches += 1
        for function, args, kwargs, before in self.recording.calls:
            given = function(*args, **kwargs)
            for old, new in zip(tree_leaves(before), tree_leaves(given), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def reset(self) -> None:
        self.recording.calls.clear()


class Cuda:
    """What `derain.engines.torch_shapes` takes of torch.cuda. `room`: captures before memory runs short."""

    OutOfMemoryError = RuntimeError

    def __init__(self) -> None:
        self.said: list[str] = []
        self.room = 1000
        self.graphs: list[Graph] = []
        self._names = iter(["up", "compute", "down"] * 100)

    def Stream(self) -> FakeStream:  # noqa: N802
        return FakeStream(self.said, next(self._names))

    def ExternalStream(self, handle: int) -> FakeStream:  # noqa: N802
        return FakeStream(self.said, f"stream {handle}")

    def Event(self, blocking: bool = False) -> FakeEvent:  # noqa: N802
        return FakeEvent()

    def CUDAGraph(self) -> Graph:  # noqa: N802
        self.graphs.append(Graph())
        return self.graphs[-1]

    def graph_pool_handle(self) -> int:
        return 1

    @contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.said.append(f"within {stream.name}")
        yield

    @contextmanager
    def graph(self, graph: Graph, **how: Any) -> Iterator[None]:
        assert how["capture_error_mode"] == "thread_local"
        if not self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB")
        self.room -= 1
        with graph.recording:
            yield

    def synchronize(self) -> None:
        self.said.append("all is waited for")

    def empty_cache(self) -> None:
        """Nothing is kept."""

    def get_device_capability(self, device: object) -> tuple[int, int]:
        return (9, 0)


class FakeTorch:
    """The package torch, but for its device."""

    def __init__(self) -> None:
        self.cuda = Cuda()

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def as_tensor(self, lent: Any, device: FakeDevice) -> torch.Tensor:
        """Memory of the host at the address that is said to be on the card."""
        told = lent.__cuda_array_interface__
        dtype = np.dtype(told["typestr"])
        size = int(np.prod(told["shape"])) * dtype.itemsize
        bytes_there = (ctypes.c_uint8 * size).from_address(told["data"][0])
        return torch.from_numpy(np.frombuffer(bytes_there, dtype).reshape(told["shape"]))

    def device(self, name: str) -> FakeDevice:
        assert name == "cuda"
        return FakeDevice("cpu")

    def empty(self, *args: Any, pin_memory: bool = False, **kwargs: Any) -> torch.Tensor:
        return torch.empty(*args, **kwargs)
