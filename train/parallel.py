"""Processes that train one network together, started by torch's launcher (torchrun).

Each makes its share of every batch; gradients are averaged before each step. torch's DistributedDataParallel
would do it for a network alone; a generator and a discriminator that are called several times between steps
need it done after the last backward pass, for both alike. Statistics of batch normalisation stay each
process's own, and the first process's are kept, as there.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn

from derain.engines.errors import DerainError, UsageError
from derain.train.patches import ALONE, Share


class AgreedError(DerainError):
    """An error that all processes raise at the same step, with the same sentence."""


def launched() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def first() -> bool:
    """Whether this process speaks for all: the first of them, or the only one."""
    return not launched() or os.environ["RANK"] == "0"


@contextmanager
def one_voice() -> Iterator[None]:
    """What all processes find, the first one tells; the others end with the exit code alone."""
    try:
        yield
    except (UsageError, AgreedError) as error:
        if first():
            raise
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        if first():
            raise
        raise SystemExit(130) from error


@contextmanager
def together(device: str) -> Iterator[Share]:
    """Joins the processes torchrun started, and parts from them at the end; alone where there are none."""
    if not launched():
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Share(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def average_gradients(network: nn.Module, share: Share) -> None:
    """The mean over all processes of every gradient, in place."""
    if share.size == 1:
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    heard(lambda: distributed.all_reduce(flat))
    flat /= share.size
    means = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def any_of(flag: bool, share: Share, device: str) -> bool:
    """Whether any process says so: all of them stop at the same step."""
    if share.size == 1:
        return flag
    told = torch.tensor(float(flag), device=device)
    heard(lambda: distributed.all_reduce(told, distributed.ReduceOp.MAX))
    return bool(told > 0)


def heard(say: Callable[[], object]) -> None:
    """Talks to the other processes; DerainError where one of them has ended."""
    try:
        say()
    except RuntimeError as error:
        raise DerainError(
            "another process of this run has ended before its time; see what it says, and go on with --resume"
        ) from error
