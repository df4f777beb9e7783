"""What the backends have in common: checks of what they are fed, and opening and closing."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

from derain.engines.card import ModelCard
from derain.engines.engine import EngineOptions, Pixels, Scores, State, States
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.modelfile import ModelFile, StateSpec

SHORT = ("bad_alloc", "Failed to allocate memory", "out of memory", "can't allocate memory")
"""What runtimes say where memory runs short."""


class GraphEngine(ABC):
    """An Engine whose runtime takes (N, H, W, 3) pixels of one dtype. One thread at a time may use it."""

    backend: ClassVar[str]
    precision: str
    precision_reason: str = ""
    backend_reason: str = ""

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        self.card: ModelCard = model.card
        self.states: tuple[StateSpec, ...] = model.states
        self.channels = 3 + len(model.card.attention) * options.attention
        self.gives_scores = options.scores
        self._dtype: np.dtype[Any] = np.dtype(options.dtype)
        self._open = True

    @abstractmethod
    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        """Restores `batch` into `out`; all arrays are checked, C-contiguous and writeable.

        `scores`: an array where the engine gives them, None where it does not.
        """

    @abstractmethod
    def _free(self) -> None:
        """Lets the runtime go."""

    def infer(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> Pixels:
        """Restores `batch`, see Engine; neither `batch` nor the result is copied on the way."""
        batch, out, scores = self._checked(batch, out, states, scores)
        self._run(batch, out, states, scores)
        return out

    def _checked(
        self, batch: Pixels, out: Pixels | None, states: States | None, scores: Scores | None
    ) -> tuple[Pixels, Pixels, Scores | None]:
        """What `_run` takes, made where it was left out; raises DerainError where anything does not fit.

        `states`: None for those that the engine holds.
        """
        if not self._open:
            raise DerainError(f"the engine of the model {self.card.name!r} is closed; open a new one")
        self._check_batch(batch)
        if out is None:
            out = np.empty(self._given(batch), self._dtype)
        self._check_out(out, self._given(batch))
        if states is not None:
            self._check_states(states, batch)
        if scores is not None:
            self._check_scores(scores, batch)
        elif self.gives_scores:
            scores = np.empty(self._score_shape(batch), np.float32)
        return np.require(batch, requirements=["C", "W"]), out, scores

    def close(self) -> None:
        """Frees the runtime; a second call does nothing."""
        if self._open:
            self._open = False
            self._free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_batch(self, batch: Pixels) -> None:
        if batch.dtype != self._dtype or batch.ndim != 4 or batch.shape[3] != 3 or not batch.size:
            raise DerainError(
                f"the engine got {batch.dtype} pixels of shape {batch.shape}; "
                f"it takes {self._dtype} of shape (N, H, W, 3), none of them 0"
            )
        multiple = self.card.multiple_of
        if batch.shape[1] % multiple or batch.shape[2] % multiple:
            raise DerainError(
                f"the engine got pixels of shape {batch.shape}; the model {self.card.name!r} "
                f"takes heights and widths that are multiples of {multiple}"
            )

    def _given(self, batch: Pixels) -> tuple[int, ...]:
        """The shape of what comes back for `batch`."""
        return (*batch.shape[:3], self.channels)

    def _check_out(self, out: Pixels, shape: tuple[int, ...]) -> None:
        good = out.dtype == self._dtype and out.shape == shape
        if not (good and out.flags.c_contiguous and out.flags.writeable):
            raise DerainError(
                f"the engine was to write into {out.dtype} pixels of shape {out.shape}; it takes "
                f"{self._dtype} of shape {shape}, C-contiguous and writeable"
            )

    def _score_shape(self, batch: Pixels) -> tuple[int, int, int]:
        """The shape of the scores of `batch`."""
        count, height, width, _ = batch.shape
        scale = self.card.attention_scale
        return count, height // scale, width // scale

    def _check_scores(self, scores: Scores, batch: Pixels) -> None:
        if not self.gives_scores:
            raise DerainError(
                f"the engine of the model {self.card.name!r} gives no scores; open it with scores=True"
            )
        shape = self._score_shape(batch)
        good = scores.dtype == np.float32 and scores.shape == shape
        if not (good and scores.flags.c_contiguous and scores.flags.writeable):
            raise DerainError(
                f"the engine was to write scores into {scores.dtype} of shape {scores.shape}; it takes "
                f"float32 of shape {shape}, C-contiguous and writeable"
            )

    def _check_states(self, states: States, batch: Pixels) -> None:
        if len(states) != len(self.states):
            raise DerainError(
                f"the engine got {len(states)} pairs of states; the model {self.card.name!r} "
                f"has {len(self.states)} ({', '.join(spec.name for spec in self.states) or 'none'})"
            )
        for spec, (read, written) in zip(self.states, states, strict=True):
            shape = spec.shape(*batch.shape[:3])
            for state in (read, written):
                _check_state(spec.name, state, shape)
            if np.may_share_memory(read, written):
                raise DerainError(
                    f"the state {spec.name!r} can't be written where it is read; give two arrays that share "
                    "no memory"
                )


def _check_state(name: str, state: State, shape: tuple[int, ...]) -> None:
    good = state.dtype == np.float32 and state.shape == shape
    if not (good and state.flags.c_contiguous and state.flags.writeable):
        raise DerainError(
            f"the engine got the state {name!r} as {state.dtype} of shape {state.shape}; it takes float32 of "
            f"shape {shape}, C-contiguous and writeable"
        )


def precisions_of(card: ModelCard, able: tuple[str, ...]) -> tuple[str, ...]:
    """What a backend that is `able` to run fp32 networks in these can run this one in."""
    return able if card.precision == "fp32" else (card.precision,)


def choose_precision(backend: str, asked: str, takes: tuple[str, ...]) -> str:
    """The precision to run in: "auto" is the first of `takes`; raises UsageError for one not among them."""
    if asked == "auto":
        return takes[0]
    if asked not in takes:
        raise UsageError(
            f"the backend {backend} can't run in precision {asked!r} on this machine; "
            f"it takes {', '.join(('auto', *takes))}"
        )
    return asked


def failure(error: Exception, doing: str) -> DerainError:
    """What a runtime's `error` while `doing` something becomes; memory that ran short has its own kind."""
    text = one_line(error)
    if isinstance(error, MemoryError) or any(words in text for words in SHORT):
        return MemoryShortError(f"{doing}: there is not enough memory")
    return DerainError(f"{doing}: {text}")


def one_line(error: BaseException) -> str:
    """The error's text without its line breaks: runtimes send whole pages."""
    return " ".join(str(error).split())[:400]
