"""The Python way in: open a derainer, give it arrays, pictures or a video."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2
import numpy as np

from derain.engines.card import ModelCard
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import DerainError, UsageError
from derain.engines.flight import Ticket
from derain.engines.registry import open_engine
from derain.pipeline.bypass import Bypass, BypassChoice, Watch, check_bypass, looks_for_rain, open_watch
from derain.pipeline.choosing import Pace, open_chosen
from derain.pipeline.continuity import Continuity
from derain.pipeline.frame import Frame
from derain.pipeline.images import Image
from derain.pipeline.restore import Restorer, TileChoice, attention_of, check_strength, rgb_of
from derain.pipeline.shortage import OnCpu
from derain.pipeline.sources.file import FileSource


class Begun(NamedTuple):
    """A frame that is being restored, and how many may be at a time."""

    ticket: Ticket
    in_flight: int


class Derainer:
    """A network made ready to take the rain out of arrays, pictures and videos. Use it in a `with`.

    `model`: a shipped name, the path of a .onnx file, or "auto": the best that is shipped, or with `rate` and
    `size` the best that keeps so many frames of (width, height) a second on this machine, which is measured
    now; `model_reason` tells. As arrays may come in any order, "auto" takes no recurrent network: name it.
    `backend`, `precision`, `threads`, `cache_dir`: see EngineOptions.
    `tile`: "auto", "none", or the pixels a side that a tile reads. `strength`: 0 gives back the rainy pixels,
    1 the restored ones. `attention`: True for `with_attention`. `keep`: names of attention maps on the
    network's card, such as "drops", whose rain stays in the picture.
    One thread at a time. Arrays and pictures stand alone, whatever came before, also where the network is a
    recurrent one, which remembers earlier frames; it does so in `video` and in `sequence`, each for itself.
    There, with the `bypass` "auto", frames without rain skip the network and stay as they are, where it has
    an attention map to tell by; "off" restores every frame.

    Raises UsageError for a value that can't be, an attention map that the model does not have for one, and
    DerainError where no backend runs the model.
    """

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        backend: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        cache_dir: Path | None = None,
        tile: TileChoice = "auto",
        strength: float = 1.0,
        attention: bool = False,
        keep: Sequence[str] = (),
        bypass: BypassChoice = "auto",
        rate: float | Fraction | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        check_strength(strength)
        check_bypass(bypass)
        pace = check_pace(rate, size)
        scores = bypass == "auto" and strength > 0 and looks_for_rain(model)
        self._bypass: BypassChoice = bypass
        kept = (keep,) if isinstance(keep, str) else tuple(keep)
        self._options = EngineOptions(
            backend, precision, threads, cache_dir, attention=attention, scores=scores, keep=kept
        )
        self._tile: TileChoice = tile
        self._strength = strength
        self._stack = ExitStack()
        self._restorers: dict[str, Restorer] = {}
        self._watches: dict[str, Watch] = {}
        self._closed = False
        chosen = open_chosen(model, self._options, pace, tile)
        self._stack.enter_context(chosen.engine)
        self._model, self.model_reason = chosen.path, chosen.why
        self._spares: dict[str, OnCpu] = {}
        self._restorers["uint8"] = self._made("uint8", chosen.engine)

    @property
    def card(self) -> ModelCard:
        """What the network removes, how well, what it was trained on, its licence."""
        return self._restorer("uint8").engine.card

    @property
    def backend(self) -> str:
        """The name of the backend that runs the network."""
        return self._restorer("uint8").engine.backend

    @property
    def precision(self) -> str:
        """The precision the backend runs it in."""
        return self._restorer("uint8").engine.precision

    @property
    def precision_reason(self) -> str:
        """Why it is that precision, in words; "" where it was asked for."""
        return self._restorer("uint8").engine.precision_reason

    @property
    def backend_reason(self) -> str:
        """Why no faster backend runs it, in words; "" where it was asked for, or is the fastest."""
        return self._restorer("uint8").engine.backend_reason

    def __call__(self, pixels: Pixels, out: Pixels | None = None) -> Pixels:
        """Restores `pixels`, (H, W, 3) RGB, uint8 in 0..255 or uint16 in 0..65535, of any size from 1x1.

        Gives a new array of the same shape and dtype, or `out`, C-contiguous, elsewhere in memory. Raises
        UsageError for arrays of another kind, DerainError where the network fails.
        """
        check_pixels("pixels", pixels)
        if out is not None:
            check_out(out, pixels)
        restorer = self._restorer(pixels.dtype.name)
        if not self._options.attention:
            return restorer(pixels, out)
        colours = rgb_of(restorer(pixels))
        if out is None:
            return colours
        np.copyto(out, colours)
        return out

    def with_attention(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        """Restores `pixels` as a call does, and tells where the network took rain to be.

        Gives the restored pixels and the attention map, (H, W) of the same dtype: from 0, no rain, to the
        dtype's greatest value. Raises UsageError where the derainer was made without `attention=True`.
        """
        check_pixels("pixels", pixels)
        if not self._options.attention:
            raise UsageError("this derainer gives no attention map; make one with attention=True")
        restored = self._restorer(pixels.dtype.name)(pixels)
        return rgb_of(restored), attention_of(restored)

    def restore_image(self, image: Image) -> Image:
        """Restores a picture; grey stays grey, alpha and metadata are the same."""
        if image.pixels.ndim == 3:
            return replace(image, pixels=self(image.pixels))
        restored = self(cv2.cvtColor(image.pixels, cv2.COLOR_GRAY2RGB))
        return replace(image, pixels=cv2.cvtColor(restored, cv2.COLOR_RGB2GRAY))

    def sequence(self, pictures: Iterable[Pixels]) -> Iterator[Pixels]:
        """Yields each of `pictures` restored: frames that follow one another, as a call takes and gives them.

        A recurrent network remembers those before, but not those before a cut or of another size.
        """
        begin = self._following(None)
        for pixels in pictures:
            check_pixels("pixels", pixels)
            restored = rgb_of(begin(Frame(pixels, None, Fraction(1))).ticket.wait())
            yield pixels.copy() if restored is pixels else restored

    def video(
        self,
        path: str | Path,
        start: float | Fraction | None = None,
        duration: float | Fraction | None = None,
        as_progressive: bool = False,
    ) -> Iterator[Frame]:
        """Yields the restored frames of a video file, each with its pts in its time base.

        `start`, `duration`: seconds. The file is closed when the iteration ends, however it does. Raises
        UsageError for a file that can't be worked on (interlaced, unless `as_progressive`).
        """
        return self._frames(FileSource(path, start, duration, as_progressive))

    def _frames(self, source: FileSource) -> Iterator[Frame]:
        begin = self._following(source.info.average_rate)
        flying: deque[tuple[Frame, Ticket]] = deque()
        with source:
            for frame in source:
                begun = begin(frame)
                flying.append((frame, begun.ticket))
                while len(flying) >= begun.in_flight:
                    yield _landed(*flying.popleft())
            while flying:
                yield _landed(*flying.popleft())

    def _following(self, rate: Fraction | None) -> Callable[[Frame], Begun]:
        """Begins to restore frames of one source, one after another, `rate` a second."""
        followers: dict[str, Restorer | Bypass] = {}
        continuity = Continuity()

        def begin(frame: Frame) -> Begun:
            dtype = frame.pixels.dtype.name
            self._restorer(dtype)  # which raises once this derainer is closed
            if dtype not in followers:
                followers[dtype] = self._follower(dtype, rate)
            if continuity.broken_at(frame):
                followers[dtype].reset()
            follower = followers[dtype]
            return Begun(follower.start(frame.pixels), follower.in_flight)

        return begin

    def _follower(self, dtype: str, rate: Fraction | None) -> Restorer | Bypass:
        """What restores frames of `dtype` that follow one another."""
        engine = self._restorer(dtype).engine
        restorer = self._made(dtype, engine, sequence=True)
        if not engine.gives_scores:
            return restorer
        if dtype not in self._watches:
            options = replace(self._options, dtype=dtype)
            self._watches[dtype] = open_watch(self._bypass, engine, options, self._stack)
        return Bypass(restorer, self._watches[dtype], rate)

    def _restorer(self, dtype: str) -> Restorer:
        """The restorer for pixels of `dtype`; the network is compiled when the first of them come."""
        if self._closed:
            raise DerainError("this derainer was closed")
        if dtype not in self._restorers:
            engine = self._stack.enter_context(open_engine(self._model, replace(self._options, dtype=dtype)))
            self._restorers[dtype] = self._made(dtype, engine)
        return self._restorers[dtype]

    def _made(self, dtype: str, engine: Engine, sequence: bool = False) -> Restorer:
        """A restorer of pixels of `dtype` with `engine`; all of one dtype share what goes on for it."""
        if dtype not in self._spares:
            self._spares[dtype] = OnCpu(self._model, replace(self._options, dtype=dtype), self._stack)
        spare = self._spares[dtype]
        return Restorer(engine, self._tile, self._strength, sequence=sequence, spare=spare)

    def close(self) -> None:
        """Frees the network; a second call does nothing."""
        self._closed = True
        self._restorers.clear()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _landed(frame: Frame, ticket: Ticket) -> Frame:
    """The frame, restored."""
    return replace(frame, pixels=rgb_of(ticket.wait()))


def check_pace(rate: float | Fraction | None, size: tuple[int, int] | None) -> Pace | None:
    """The pace to be kept, None where none is given. Raises UsageError for half of one, or none at all."""
    if rate is None and size is None:
        return None
    if rate is None or size is None:
        raise UsageError("rate and size (width, height) say together what pace is to be kept; give both")
    if not 0 < rate < float("inf") or min(size) < 1:
        raise UsageError(f"the pace is {rate} frames of {size} a second; each of them must be above 0")
    return Pace(*size, Fraction(rate))


def check_pixels(name: str, pixels: object) -> None:
    """Raises UsageError for anything but an array (H, W, 3) of uint8 or uint16."""
    takes = "derain takes (H, W, 3) RGB of uint8 or uint16"
    if not isinstance(pixels, np.ndarray):
        raise UsageError(f"{name} is of type {type(pixels).__name__}, not an array; {takes}")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UsageError(f"{name} has the shape {pixels.shape}; {takes}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"{name} has the dtype {pixels.dtype}; {takes}")


def check_out(out: Pixels, pixels: Pixels) -> None:
    """Raises UsageError for an array that can't receive the restored `pixels`."""
    check_pixels("out", out)
    if out.shape != pixels.shape or out.dtype != pixels.dtype or not out.flags.c_contiguous:
        layout = "" if out.flags.c_contiguous else ", not C-contiguous"
        raise UsageError(
            f"out is {out.shape} of {out.dtype}{layout}; "
            f"it has to be {pixels.shape} of {pixels.dtype}, C-contiguous"
        )
