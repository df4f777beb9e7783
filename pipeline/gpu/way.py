"""Which way the pictures of a video go: by the card all along, decoded there and brought to the host, or not
by the card at all; and why."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from av.codec.hwaccel import hwdevices_available

from derain.engines.engine import Engine
from derain.engines.errors import DerainError, UsageError
from derain.engines.on_device import OnDevice
from derain.engines.registry import ON_CPU
from derain.pipeline.bypass import Watch
from derain.pipeline.colour import FULL, SWSCALE_MATRIX, FromRGB, known_matrix, known_range
from derain.pipeline.gpu import nvrtc, planes
from derain.pipeline.gpu.bypass import CardBypass
from derain.pipeline.gpu.decoding import NO_CUDA, ON_CARD, CardSource, nvdec, why_not
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.planes import Planes
from derain.pipeline.gpu.restore import CardRestorer
from derain.pipeline.runner import Output, Report, Restore, Tell, run
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.source import Source
from derain.pipeline.sources.file import FileSource

DecoderChoice: TypeAlias = Literal["auto", "nvdec", "software"]
DECODERS: tuple[DecoderChoice, ...] = ("auto", "nvdec", "software")
"""The card where the network runs there and it can, the card or nothing, the CPU."""


@dataclass(frozen=True)
class Way:
    """`decoder`: "nvdec" or "software". `why`: in words, why pictures do not stay on the card, "" where that
    was not wanted or they do. `source` and `restorer`: where they stay there; else None."""

    decoder: str
    why: str = ""
    source: CardSource | None = None
    restorer: CardRestorer | None = None


@dataclass(frozen=True)
class Wishes:
    """What of a job bears on whether its pictures can stay on the card.

    `sink`: the main output's. `strength`: how much of the rain is taken. `tiles`: whether they were asked
    for. `against`: whatever else keeps pictures from staying, in words; "" where it does not.
    """

    sink: FileSink
    strength: float = 1.0
    tiles: bool = False
    against: Sequence[str] = ()


def unavailable() -> str:
    """Why no video can stay on a card here; "" where one may."""
    if ON_CARD not in hwdevices_available():
        return NO_CUDA
    try:
        Driver().close()
    except DerainError as error:
        return str(error)
    return nvrtc.unavailable()


def check_decoder(choice: DecoderChoice) -> None:
    """Raises UsageError for a choice that there is not."""
    if choice not in DECODERS:
        raise UsageError(f"the decoder is {choice!r}; it takes {', '.join(DECODERS[:-1])} or {DECODERS[-1]}")


def open_way(
    choice: DecoderChoice, source: FileSource, engine: Engine, wishes: Wishes, stack: ExitStack
) -> Way:
    """The best way that `choice` and the machine allow; `stack` closes what it opens.

    Where pictures are decoded on the card and brought to the host, `source` is made to do so. Raises
    UsageError where the card was asked for and can't decode.
    """
    if choice == "software" or (choice == "auto" and engine.backend in ON_CPU):
        return Way("software")
    try:
        driver = stack.enter_context(Driver())
        problem = why_not(source, driver)
    except DerainError as error:
        problem = str(error)
    if not problem:
        return _decoded_on_card(source, driver, engine, wishes, stack)
    if choice == "nvdec":
        raise UsageError(f"{source.path} can't be decoded on the card: {problem}; say --decoder auto")
    return Way("software", problem)


def _decoded_on_card(
    source: FileSource, driver: Driver, engine: Engine, wishes: Wishes, stack: ExitStack
) -> Way:
    problem = against(engine, wishes)
    if not problem and isinstance(engine, OnDevice):
        try:
            restorer = CardRestorer(engine, driver, planes_of(source, wishes.sink))
        except DerainError as error:
            problem = str(error)
        else:
            stack.callback(restorer.close)
            return Way("nvdec", source=CardSource(source, driver), restorer=restorer)
    source.hardware = nvdec(driver, stay=False)
    return Way("nvdec", f"brought to the host: {problem}")


def against(engine: Engine, wishes: Wishes) -> str:
    """What keeps pictures that are decoded on the card from staying there, in words; "" where nothing."""
    info, encoding = wishes.sink.source.info, wishes.sink.encoding
    reasons = (
        "" if isinstance(engine, OnDevice) else f"{engine.backend} takes them from there only",
        f"{engine.card.name} remembers frames" if engine.states else "",
        "it restores in tiles" if wishes.tiles else "",
        "the strength is less than 1" if wishes.strength < 1 else "",
        *wishes.against,
        planes.why_not(encoding.pixel_format, (info.width, info.height), info.bit_depth > 8),
        nvrtc.unavailable(),
    )
    return next((reason for reason in reasons if reason), "")


def planes_of(source: FileSource, sink: FileSink) -> Planes:
    """What the encoder of `sink` takes of pictures as large as the source's."""
    info, colour, pixel_format = source.info, sink.colour, sink.encoding.pixel_format
    return Planes(
        pixel_format=pixel_format,
        width=info.width,
        height=info.height,
        matrix=SWSCALE_MATRIX[known_matrix(colour, info.height)],
        full=known_range(colour, pixel_format) == FULL,
    )


def run_on_card(
    source: CardSource, restorer: CardRestorer, sink: FileSink, watch: Watch, expected: int | None, tell: Tell
) -> Report:
    """`runner.run` for pictures that stay on the card.

    The runner hands on what a source gives, a restorer makes of it and a sink takes, and looks into none of
    it: to say so in types would make every one of them generic for this one call.
    """
    judge = None
    if restorer.engine.gives_scores:
        encoded = FromRGB(sink.encoding.pixel_format, sink.colour, source.info.height)
        judge = CardBypass(restorer, watch, source.info.average_rate, encoded)
    return run(
        cast(Source, source),
        judge or cast(Restore, restorer),
        [Output(sink)],
        expected=expected,
        tell=tell,
        judge=judge,
        look=restorer.look,
    )
