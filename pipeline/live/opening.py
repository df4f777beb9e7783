"""Opens live sources by their addresses, and all that can be asked of them."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from derain.engines.errors import UsageError
from derain.pipeline.live.address import Address, Kind
from derain.pipeline.live.seam import LiveSource

TRANSPORTS = ("auto", "tcp", "udp")
LONGEST = 86400.0
SIDE_MAX, RATE_MAX = 16384, 1000


@dataclass(frozen=True)
class SourceOptions:
    """What may be asked of a source. Times in seconds; `stall` and `frozen` may be 0, which is never.

    `size` (width, height), `rate`, `fourcc` ("MJPG"): of a webcam, which may give others; size and rate of
    the pattern too, where its address has none. `transport`: of RTSP, one of TRANSPORTS; "auto" is TCP, and
    UDP where the server has no TCP. `loop`: a file begins anew at its end. `lossless`: no frame is left out
    where the run is late; the source waits for it.

    `open_timeout`: until the first frame. `read_timeout`: without a frame, until the connection is given up.
    `stall`: without a frame, until that is told. `frozen`: of one and the same picture, or time stamp, until
    that is told and the source is opened anew, once.
    `retry_first`: from the end of a connection to the first new try; then `retry_from`, twice as much each
    time, up to `retry_most`; `retry_refused` where the credentials are wrong. Each is drawn from 3/4 to 5/4
    of that, by a generator begun with `seed`, None for another one each time.
    Raises UsageError for what makes no sense.
    """

    size: tuple[int, int] | None = None
    rate: Fraction | None = None
    fourcc: str | None = None
    transport: str = "auto"
    loop: bool = False
    lossless: bool = False
    open_timeout: float = 10.0
    read_timeout: float = 5.0
    stall: float = 2.0
    frozen: float = 20.0
    retry_first: float = 0.5
    retry_from: float = 1.0
    retry_most: float = 10.0
    retry_refused: float = 60.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= SIDE_MAX for side in self.size):
            raise UsageError(
                f"the size of a source is {self.size[0]}x{self.size[1]}; it takes 1 to {SIDE_MAX}"
            )
        if self.rate is not None and not 0 < self.rate <= RATE_MAX:
            raise UsageError(f"the rate of a source is {self.rate}; it takes more than 0, up to {RATE_MAX}")
        if self.fourcc is not None and not (len(self.fourcc) == 4 and self.fourcc.isascii()):
            raise UsageError(f"the fourcc of a webcam is {self.fourcc!r}; it has four characters, like MJPG")
        if self.transport not in TRANSPORTS:
            raise UsageError(f"the transport is {self.transport!r}; it takes {', '.join(TRANSPORTS)}")
        self._check_times()

    def _check_times(self) -> None:
        for name in (
            "open_timeout",
            "read_timeout",
            "retry_first",
            "retry_from",
            "retry_most",
            "retry_refused",
        ):
            check_seconds(name.replace("_timeout", " time-out").replace("_", " "), getattr(self, name), 0.01)
        check_seconds("stall", self.stall, 0.0)
        check_seconds("frozen", self.frozen, 0.0)
        if self.retry_from > self.retry_most:
            raise UsageError(
                f"retries of a source begin {self.retry_from:g} s apart, which is more than the longest, "
                f"{self.retry_most:g} s"
            )


def check_seconds(name: str, value: float, least: float) -> None:
    """Raises UsageError unless `value` is from `least` to a day."""
    if not least <= value <= LONGEST:
        raise UsageError(f"the {name} of a source is {value:g} s; it takes {least:g} to {LONGEST:g}")


def open_live(address: Address, name: str, options: SourceOptions) -> LiveSource:
    """The source at `address`, which does nothing yet; what can't be opened now may be there later.

    Raises UsageError for a file that is not there, and for SRT where FFmpeg has none.
    """
    if address.kind is Kind.PATTERN:
        from derain.pipeline.sources.pattern import RATE, SIZE, PatternSource  # noqa: PLC0415 - needs OpenCV

        size, rate = address.size or options.size or SIZE, address.rate or options.rate or RATE
        return PatternSource(name, address.shown, size, rate, options.lossless)
    if address.kind is Kind.FILE:
        from derain.pipeline.sources.probe import main_video, open_input  # noqa: PLC0415 - needs FFmpeg

        with open_input(Path(address.url)) as container:
            main_video(container, Path(address.url))
    if address.kind is Kind.SRT and not knows_srt():
        raise UsageError(
            f"the FFmpeg in this PyAV has no SRT for {address.shown}; build PyAV against one with libsrt "
            "(pip install --no-binary av av), or take RTSP, RTMP or UDP"
        )
    from derain.pipeline.sources.lasting import LastingSource  # noqa: PLC0415 - it imports this module

    return LastingSource(name, address, options)


def knows_srt() -> bool:
    """Whether FFmpeg was built with it, asked by an address where nobody is."""
    import av  # noqa: PLC0415 - only SRT needs it here

    try:
        av.open("srt://127.0.0.1:9?connect_timeout=1", timeout=1).close()
    except av.ProtocolNotFoundError:
        return False
    except (av.FFmpegError, OSError):
        return True
    return True
