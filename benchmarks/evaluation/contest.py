"""The models of one run, side by side."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeAlias

from derain.benchmarks.evaluation.cases import Kind
from derain.benchmarks.peers.critic import Critic
from derain.engines.card import ModelCard
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.engines.registry import open_engine
from derain.pipeline.continuity import Continuity
from derain.pipeline.frame import Frame
from derain.pipeline.restore import Restorer
from derain.train.evaluate import RGB

Restore: TypeAlias = Callable[[RGB], Pixels]
TAKEN = ("rainy", "clean")
"""Labels that tables and reports use themselves."""


@dataclass(frozen=True)
class Entrant:
    """A model as the user named it, and the backend asked for it; "" for that of all."""

    model: str
    backend: str

    @property
    def text(self) -> str:
        """As the user would write it."""
        return f"{self.model}@{self.backend}" if self.backend else self.model


@dataclass(frozen=True)
class Contestant:
    """A model ready to restore: (H, W, 3) uint8 in, the same out. `label`: unlike any other's of the run.

    `restore` is for pictures, each of which stands alone. `sequence`, of a recurrent network, gives a way to
    restore the frames of one clip after another, as `derain video` does; None where that is the same.
    `card`: of a model file.
    """

    label: str
    backend: str
    precision: str
    restore: Restore
    sequence: Callable[[], Restore] | None = None
    card: ModelCard | None = None

    def begin(self, kind: Kind) -> Restore:
        """What restores the moments of a picture or of a clip, whose first has nothing before it."""
        return self.sequence() if kind == "clip" and self.sequence is not None else self.restore


def parse(text: str) -> Entrant:
    """NAME, FILE, NAME@BACKEND or FILE@BACKEND; a file whose own name has an @ is taken as it is."""
    model, at, backend = text.rpartition("@")
    if not at or Path(text).exists():
        return Entrant(text, "")
    if not model or not backend:
        raise UsageError(f"the model {text!r} takes the form NAME@BACKEND, with something on both sides")
    return Entrant(model, backend)


def entrants(model: str, against: Sequence[str]) -> list[Entrant]:
    """The model measured, then those beside it: each of `against` may name several, with commas between.

    Raises UsageError where one is named twice.
    """
    others = [text.strip() for texts in against for text in texts.split(",")]
    if not all(others):
        raise UsageError("--against takes models with commas between them; one of them is empty")
    named = [parse(text) for text in (model, *others)]
    if twice := [entrant.text for entrant, count in Counter(named).items() if count > 1]:
        raise UsageError(f"{', '.join(twice)} is named twice; each model is measured once")
    return named


def labels(named: Sequence[Entrant]) -> list[str]:
    """Short names, unlike one another: the file's without ending, or all that the user wrote."""
    short = [Path(e.model).stem if e.model.endswith(".onnx") else e.model for e in named]
    count = Counter(short)
    return [
        entrant.text if count[name] > 1 or name in TAKEN else name
        for entrant, name in zip(named, short, strict=True)
    ]


def published(folder: Path | None) -> dict[str, Critic]:
    """By name, the networks of others whose weights are in `folder`; none without one.

    Raises UsageError where they are not there, or torch, which runs them, is not installed.
    """
    if folder is None:
        return {}
    try:
        from derain.benchmarks.realism import PANELS  # noqa: PLC0415 - only these need torch
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("derain"):
            raise
        raise UsageError(
            f"--peers needs the package {error.name!r}, which is not installed; "
            'install it with: pip install "derain[train]"'
        ) from error
    return {critic.name: critic for critics in PANELS for critic in critics(folder)}


@contextmanager
def opened(
    named: Sequence[Entrant], options: EngineOptions, peers: Mapping[str, Critic] | None = None
) -> Iterator[list[Contestant]]:
    """All of them opened and ready, closed at the end; those of `peers` by their names.

    Raises UsageError and DerainError as `open_engine` does.
    """
    with ExitStack() as stack:
        contestants = []
        for entrant, label in zip(named, labels(named), strict=True):
            if peers and entrant.text in peers:
                contestants.append(Contestant(label, "torch", "fp32", peers[entrant.text].restore))
                continue
            chosen = replace(options, backend=entrant.backend or options.backend)
            engine = stack.enter_context(open_engine(entrant.model, chosen))
            contestants.append(contestant(label, engine))
        yield contestants


def contestant(label: str, engine: Engine) -> Contestant:
    """The network that `engine` runs, with a memory for clips where it is recurrent."""
    follow = partial(following, engine) if engine.states else None
    return Contestant(label, engine.backend, engine.precision, Restorer(engine), follow, engine.card)


def following(engine: Engine) -> Restore:
    """Restores the frames of one clip, one after another; a cut makes the network begin anew."""
    restorer, continuity = Restorer(engine, sequence=True), Continuity()

    def restore(pixels: RGB) -> Pixels:
        if continuity.broken_at(Frame(pixels, None, Fraction(1))):
            restorer.reset()
        return restorer(pixels)

    return restore
