"""The processes that make patches for training."""

import multiprocessing
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import cv2
from torch.utils.data import DataLoader, IterableDataset

from derain.engines.errors import DerainError, UsageError
from derain.train.interrupt import unheard
from derain.train.patches import Batch


@dataclass(frozen=True)
class Fault:
    """An error's sentence on its way out of a worker, where an exception would bring its traceback along."""

    sentence: str


class Guarded(IterableDataset[Batch | Fault]):
    """The batches of `patches`; one that can't be made comes as a Fault and is the last."""

    def __init__(self, patches: IterableDataset[Batch]) -> None:
        self.patches = patches

    def __iter__(self) -> Iterator[Batch | Fault]:
        cv2.setNumThreads(1)
        try:
            yield from self.patches
        except DerainError as error:
            yield Fault(str(error))


def load(patches: IterableDataset[Batch], workers: int) -> Generator[Batch, None, None]:
    """The batches of `patches`, made by so many processes, in the same order whatever their number; 0 makes
    them here. Raises DerainError for a file that can't be read, once, with the file's name."""
    if workers < 0:
        raise UsageError(f"workers takes 0 and more, not {workers}")
    return load_here(patches) if workers == 0 else load_apart(patches, workers)


def load_here(patches: IterableDataset[Batch]) -> Generator[Batch, None, None]:
    yield from patches


def load_apart(patches: IterableDataset[Batch], workers: int) -> Generator[Batch, None, None]:
    # Spawned, not forked: a fork of a process whose OpenCV or torch has threads hangs.
    loader = DataLoader(
        Guarded(patches),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context=multiprocessing.get_context("spawn"),
    )
    try:
        with unheard():
            items = iter(loader)
        for item in items:
            if isinstance(item, Fault):
                raise DerainError(item.sentence)
            yield Batch(*item)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DerainError(
            f"one of {workers} processes that make patches died, perhaps for want of memory; try fewer"
        ) from error
