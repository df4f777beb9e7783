"""torch_cuda for pictures that lie on the card already: buffers and streams of others as torch's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from derain.engines.device import opening
from derain.engines.device.seam import Buffer, Device, Stream
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.modelfile import ModelFile
from derain.engines.torch_cuda import TorchEngine
from derain.engines.torch_operators import Tensor
from derain.engines.torch_shapes import Captured


class TorchOnDevice(TorchEngine):
    """See `on_device.OnDevice`; for a network without states. Its device is of the context that torch has."""

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        super().__init__(model, options)
        self._memory = opening.open_device()

    @property
    def device(self) -> Device:
        """See `on_device.OnDevice`."""
        return self._memory

    def enqueue(
        self,
        rainy: Buffer,
        restored: Buffer,
        shape: tuple[int, int, int],
        stream: Stream,
        scores: Buffer | None = None,
    ) -> None:
        """See `on_device.OnDevice`."""
        count, height, width = shape
        pixels, cells = (*shape, 3), (count, *(side // self.card.attention_scale for side in (height, width)))
        with self._told(f"restoring a batch of shape {pixels}"):
            reads = [self._lent(rainy, pixels, self._dtype)]
            writes: list[Tensor | None] = [self._lent(restored, (*shape, self.channels), self._dtype)]
            if self.gives_scores:
                writes.append(None if scores is None else self._lent(scores, cells, np.dtype(np.float32)))
            ready = self._shape(pixels)
            assert isinstance(ready, Captured), "there are no others on a card"
            ready.enqueue(reads, writes, self._torch.cuda.ExternalStream(stream.handle))

    def _lent(self, buffer: Buffer, shape: Sequence[int], dtype: np.dtype[Any]) -> Tensor:
        """The buffer's first bytes as a tensor, where they are."""
        if buffer.nbytes < (needed := int(np.prod(shape)) * dtype.itemsize):
            raise DerainError(f"the engine got a buffer of {buffer.nbytes} bytes, where {needed} are needed")
        return self._torch.as_tensor(Lent(buffer.pointer, tuple(shape), dtype), device=self._device)

    def _free(self) -> None:
        super()._free()
        self._memory.close()


class Lent:
    """Memory on the card that torch uses without copying it, by the protocol that NumPy's is a model of."""

    def __init__(self, pointer: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (pointer, False),
            "version": 3,
        }
