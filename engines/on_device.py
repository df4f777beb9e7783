"""What an engine offers for pictures that lie on its device already: none of them crosses to the host.

Who uses an engine asks `isinstance(engine, OnDevice)`; others get their pictures as Engine says.
"""

from typing import Protocol, runtime_checkable

from derain.engines.device.seam import Buffer, Device, Stream


@runtime_checkable
class OnDevice(Protocol):
    """An engine that restores batches in its device's memory, of a network without states."""

    @property
    def device(self) -> Device:
        """Where it computes; the engine closes it. Buffers and streams come from there, in one thread."""
        ...

    def enqueue(
        self,
        rainy: Buffer,
        restored: Buffer,
        shape: tuple[int, int, int],
        stream: Stream,
        scores: Buffer | None = None,
    ) -> None:
        """Puts the work of `Engine.infer` for a batch of `shape` (N, H, W) into `stream`; returns at once.

        The first bytes of `rainy` are the (N, H, W, 3) pixels of the engine's dtype, those of `restored`
        become the (N, H, W, channels) ones, those of `scores`, of an engine that gives them, float32 as
        `Engine.infer` has them. What is not yet computed when the next batch is put into another stream is
        not disturbed. Raises DerainError, MemoryShortError.
        """
        ...
