"""What a run needs to go on, written whole or not at all."""

import copy
import errno
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from derain.engines.errors import DerainError, UsageError
from derain.train.networks.recurrent import state_shapes
from derain.train.recipe import Recipe, parse

PARTS = ("network", "average", "optimiser", "judge", "judge_optimiser")
"""What has weights or moments of its own."""
KEYS = ("recipe", "step", "origin", "best", "given", "since", "watch", *PARTS)
DIGEST = "sha256"
DAMAGED = (
    RuntimeError,
    EOFError,
    UnpicklingError,
    ValueError,
    LookupError,
    TypeError,
    AssertionError,
    AttributeError,
    struct.error,
)
"""What torch.load was seen to raise for files with some bytes changed."""


@dataclass
class State:
    """All a run needs to go on.

    Network, averaged network and optimiser, the discriminator and its optimiser where there is one, the steps
    done, the `origin` of the first weights in words ("" for random ones), the `best` PSNR in validation, what
    was `given` beside recipe and data (the number of "processes", the sha256 of "vgg16", the "teacher", the
    frames of its "calibration"), the figures `since` the last that was reported, and what the `watch` over
    the run has seen.
    """

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    judge: nn.Module | None = None
    judge_optimiser: torch.optim.Optimizer | None = None
    step: int = 0
    origin: str = ""
    best: float | None = None
    given: dict[str, str] = field(default_factory=dict)
    since: list[dict[str, Any]] = field(default_factory=list)
    watch: dict[str, Any] = field(default_factory=dict)

    def parts(self) -> dict[str, Any]:
        """The PARTS there are, by name."""
        return {name: getattr(self, name) for name in PARTS if getattr(self, name) is not None}


def averaged(network: nn.Module) -> nn.Module:
    """A copy of the network that holds the mean of its weights, and never drops anything out."""
    return copy.deepcopy(network).requires_grad_(False).eval()


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU, read without running any code that is in it; UsageError where
    it is none, or not as it was written."""
    if not path.is_file():
        raise UsageError(f"no checkpoint at {path}; give the checkpoint.pt of a run folder")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except DAMAGED as error:
        raise UsageError(f"{path} is not a checkpoint of derain train: {first_line(error)}") from error
    except OSError as error:
        # torch looks for a file's end where a truncated one has none.
        why = "it is cut off" if error.errno == errno.EINVAL else reason(error)
        raise UsageError(f"the checkpoint {path} can't be read: {why}") from error
    if not isinstance(content, dict) or set(content) != {*KEYS, DIGEST}:
        raise UsageError(
            f"{path} is not a checkpoint of this derain train, which has {', '.join((*KEYS, DIGEST))}; "
            f"take another one or begin anew"
        )
    if content.pop(DIGEST) != digest(content):
        raise UsageError(
            f"the checkpoint {path} is damaged or was changed: its content has another sha256; "
            f"take another checkpoint or begin anew"
        )
    return content


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def digest(content: object) -> str:
    """The sha256 (hex) of all values in a checkpoint, in their order."""
    found = hashlib.sha256()
    for part in pieces(content):
        found.update(part)
    return found.hexdigest()


def pieces(content: object) -> Iterator[bytes]:
    """Keys, plain values and tensors' bytes, one after another."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield f"{key!r}:".encode()
            yield from pieces(value)
    elif isinstance(content, list | tuple):
        yield f"[{len(content)}]".encode()
        for value in content:
            yield from pieces(value)
    elif isinstance(content, Tensor):
        yield f"{content.dtype}{tuple(content.shape)}".encode()
        yield content.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    else:
        yield repr(content).encode()


def save(state: State, recipe: Recipe, path: Path) -> None:
    """Writes a checkpoint whole or not at all; DerainError where it can't, the one before being intact."""
    content: dict[str, Any] = dict.fromkeys(KEYS)
    content |= {"recipe": asdict(recipe), "step": state.step, "origin": state.origin, "best": state.best}
    content |= {"given": state.given, "since": state.since, "watch": state.watch}
    content |= {name: part.state_dict() for name, part in state.parts().items()}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        torch.save({**content, DIGEST: digest(content)}, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        # torch's own writer tells of a full disk by a RuntimeError.
        raise DerainError(
            f"the checkpoint {path} can't be written at step {state.step}: {reason(error)}; "
            f"make room and go on with --resume"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def reason(error: Exception) -> str:
    """Why a file could not be written."""
    return (error.strerror if isinstance(error, OSError) else None) or first_line(error)


def restore(state: State, recipe: Recipe, path: Path) -> None:
    """Goes on from a checkpoint of the same recipe; UsageError where it was another."""
    content = read(path)
    # Parsed, as a key that this derain has and the one that wrote it had not is then at its default.
    before = asdict(parse(content["recipe"], str(path)))
    if before != asdict(recipe):
        changed = [k for k, v in asdict(recipe).items() if before[k] != v]
        raise UsageError(
            f"{path} was made by another recipe (differs in {', '.join(changed)}); use a new --output"
        )
    check_given(content["given"], state.given, path)
    try:
        for name, part in state.parts().items():
            part.load_state_dict(content[name])
    except DAMAGED as error:
        raise UsageError(
            f"{path} does not fit the networks of this derain, though its recipe does: {first_line(error)}; "
            f"use a new --output"
        ) from error
    state.step, state.origin, state.best = content["step"], content["origin"], content["best"]
    state.since, state.watch, state.given = content["since"], content["watch"], content["given"]


def check_given(before: dict[str, str], now: dict[str, str], path: Path) -> None:
    """UsageError where a run would go on with something else than it was begun with."""
    if before.get("vgg16") != now.get("vgg16"):
        raise UsageError(f"{path} was made with another --vgg16, or without; give the same one to go on")
    if before.get("teacher") != now.get("teacher"):
        raise UsageError(f"{path} learned from {before.get('teacher')}; give that --teacher to go on")
    if before.get("processes") != now.get("processes"):
        raise UsageError(
            f"{path} was made by {before['processes']} processes together, not {now['processes']}, "
            f"which would see other patches; start as many to go on"
        )


def begin_with(state: State, path: Path) -> None:
    """Takes the averaged weights of another run's checkpoint; UsageError where they don't fit. A network that
    remembers may have more than it is given: so it begins with those of its twin that does not."""
    content = read(path)
    if content["recipe"]["train"].get("quantised"):
        raise UsageError(f"{path} was trained under INT8's rounding; give the checkpoint that it began with")
    try:
        for network in (state.network, state.average):
            own = network.state_dict() if state_shapes(network) else {}
            network.load_state_dict(own | content["average"])
    except RuntimeError as error:
        raise UsageError(
            f"the weights of {path} are of another network, {content['recipe']['network']['name']}: "
            f"{first_line(error)}"
        ) from error
    earlier = f" from {content['origin']}" if content["origin"] else ""
    state.origin = f"{content['recipe']['name']} at {content['step']} steps{earlier}"
