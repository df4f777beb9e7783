"""NVDEC, the card's video decoder, through FFmpeg: whether it decodes a file, and its pictures as frames."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.video.frame import VideoFrame

from derain.engines.errors import DerainError
from derain.pipeline.colour import FULL, SWSCALE_MATRIX, known_matrix, known_range
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.frame import DeviceFrame, Surface
from derain.pipeline.gpu.words import first_of, listening, told
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.file import FileSource, Hardware, Reading
from derain.pipeline.sources.probe import first_frame

ON_CARD = "cuda"
"""FFmpeg's pixel format of a picture in a card's memory."""
NO_CUDA = "this FFmpeg was built without CUDA"
SURFACES = {"nv12": (8,), "p010le": (10,), "p016le": (10, 12)}
"""What those pictures hold there, with the bits that samples may have."""


def nvdec(driver: Driver, stay: bool) -> Hardware:
    """NVDEC of the driver's card; `stay`: pictures are left there, else brought to the host.

    FFmpeg is given the context that is current. It could take the primary one by itself, but not where
    somebody uses that already in another way of waiting, as all others do. It frees decoders and pictures
    when Python lets go of them, which nobody knows: the context is lent.
    """
    driver.lend()
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    return Hardware(HWAccel("cuda", str(driver.index), options=options, is_hw_owned=stay), driver.current)


def why_not(source: FileSource, driver: Driver) -> str:
    """Why the card can't decode `source`, in words; "" where it did decode the first picture as it should."""
    if ON_CARD not in hwdevices_available():
        return NO_CUDA
    card = nvdec(driver, stay=True)
    with listening() as logs, card.current():
        try:
            with opened(source.path, card.accel) as container:
                problem = _tried(container, source)
        except (av.FFmpegError, DerainError, OSError) as error:
            return told(error, logs)
    return f"{problem} ({first_of(logs)})" if problem and logs else problem


def opened(path: Path, accel: HWAccel) -> InputContainer:
    """A file that could be opened, opened again for `accel`."""
    return av.open(f"file:{path}", hwaccel=accel)


def _tried(container: InputContainer, source: FileSource) -> str:
    stream = next(one for one in container.streams.video if one.index == source.stream_index)
    if not stream.codec_context.is_hwaccel:
        return f"FFmpeg's decoder {stream.codec_context.name} can't use a card"
    stream.codec_context.thread_count = 1
    return differs(first_frame(container, stream, source.path), source.info)


def differs(picture: VideoFrame, info: StreamInfo) -> str:
    """What keeps a decoded picture from being the one that `info` tells of, on a card; "" where it is."""
    if picture.format.name != ON_CARD or picture.sw_format is None:
        return f"the card does not decode {info.codec} of {info.width}x{info.height} {info.pixel_format}"
    if info.bit_depth not in SURFACES.get(picture.sw_format.name, ()):
        return (
            f"the card gives {info.pixel_format} as {picture.sw_format.name}, which the kernels do not take"
        )
    if (picture.width, picture.height) != (info.width, info.height):
        return f"the card gives {picture.width}x{picture.height} pictures and not {info.width}x{info.height}"
    return ""


class CardSource:
    """The pictures of `file`, decoded on the card and left there; times, gaps and all else as FileSource
    gives them. `driver`: of the card; its owner closes it, and `file`'s owner that."""

    live = False

    def __init__(self, file: FileSource, driver: Driver) -> None:
        self._file, self._driver = file, driver
        info = file.info
        self._matrix = SWSCALE_MATRIX[known_matrix(info.colour, info.height)]
        self._full = known_range(info.colour, info.pixel_format) == FULL

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def info(self) -> StreamInfo:
        return self._file.info

    @property
    def held(self) -> int:
        return self._file.held

    @property
    def shortfall(self) -> str | None:
        return self._file.shortfall

    def __iter__(self) -> Iterator[DeviceFrame]:
        return self._file.read(Reading(self.surface, same, DeviceFrame, nvdec(self._driver, stay=True)))

    def surface(self, picture: VideoFrame) -> Surface:
        """A decoded picture where it lies, once it is there."""
        problem = differs(picture, self.info)
        if problem:
            raise DerainError(f"{self._file.path}: {problem}; say --decoder software")
        self._driver.wait_for_default_stream()
        # By addresses and not by DLPack, where an odd picture's last row and column of chroma are missing.
        luma, chroma = picture.planes
        return Surface(
            luma=luma.buffer_ptr,
            chroma=chroma.buffer_ptr,
            luma_pitch=luma.line_size,
            chroma_pitch=chroma.line_size,
            width=picture.width,
            height=picture.height,
            bits=self.info.bit_depth,
            matrix=self._matrix,
            full=self._full,
            owner=picture,
        )

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def same(surface: Surface) -> Surface:
    """A surface again, for a damaged picture: nobody writes into one."""
    return surface
