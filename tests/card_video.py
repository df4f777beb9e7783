"""A card made of the host that decodes, computes and is launched on: for tests of video on the card.

Pictures are decoded by FFmpeg on the CPU and dressed as NVDEC leaves them; the kernels are those of
host_cuda; the device is the host's memory, whose work is done when somebody waits, and not before.
"""

import ctypes
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from clips import Clip
from host_cuda import HostCuda

from derain.engines.card import ModelCard
from derain.engines.device.host import HostDevice
from derain.engines.device.seam import Buffer, Stream
from derain.engines.engine import Engine, Pixels
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.sources import probe
from derain.pipeline.sources.decode import Decoded, Decoder

SURFACE_FORMATS = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


TIMES = (3, 5, 6, 11, 12)
"""Of a variable rate."""


class CardPicture:
    """A picture on the card, as PyAV shows it: its planes have addresses, and no bytes to read."""

    def __init__(self, picture: av.VideoFrame) -> None:
        self._picture = downloaded(picture)
        self.format = SimpleNamespace(name="cuda")
        self.sw_format = self._picture.format
        self.planes = [
            SimpleNamespace(buffer_ptr=plane.buffer_ptr, line_size=plane.line_size)
            for plane in self._picture.planes
        ]

    def __getattr__(self, name: str) -> Any:
        if name in ("width", "height", "pts", "dts", "interlaced_frame"):
            return getattr(self._picture, name)
        raise AttributeError(f"a picture on the card was asked for its {name}")


def downloaded(picture: av.VideoFrame) -> av.VideoFrame:
    """A decoded picture as it comes from the card to the host."""
    wanted = SURFACE_FORMATS[picture.format.name]
    full = 2 if picture.format.name.startswith("yuvj") else picture.color_range
    moved = VideoReformatter().reformat(picture, format=wanted, src_color_range=full, dst_color_range=full)
    moved.pts = picture.pts
    return moved


class Opening:
    """What stands for `open_input` of the file source; `asked`: the accelerators it was given."""

    def __init__(self) -> None:
        self.asked: list[HWAccel] = []

    def __call__(self, path: Any, accel: HWAccel | None = None) -> InputContainer:
        if accel is not None:
            self.asked.append(accel)
        return probe.open_input(path)

    def decoder(self, container: InputContainer, stream: Any) -> Decoder:
        """What stands for `Decoder` of the file source."""
        if not self.asked:
            return Decoder(container, stream)
        return CardDecoder(container, stream, self.asked[-1].is_hw_owned)


class CardDecoder(Decoder):
    """Gives pictures as the card does, left there or not."""

    def __init__(self, container: InputContainer, stream: Any, stay: bool) -> None:
        super().__init__(container, stream)
        self._dress: Any = CardPicture if stay else downloaded

    def __iter__(self) -> Iterator[Decoded]:
        for decoded in super().__iter__():
            picture = None if decoded.picture is None else self._dress(decoded.picture)
            yield Decoded(decoded.pts, decoded.duration, picture)


class CardDriver(Driver):
    """Launches when the stream comes to it."""

    def __init__(self, cuda: HostCuda, device: HostDevice) -> None:
        super().__init__(names=(cuda.driver,))
        self._device_of_streams = device

    def launch(
        self,
        function: ctypes.c_void_p,
        blocks: tuple[int, int],
        threads: tuple[int, int],
        stream: int,
        argument: ctypes.Structure,
    ) -> None:
        copied = type(argument).from_buffer_copy(argument)

        def work() -> None:
            super(CardDriver, self).launch(function, blocks, threads, stream, copied)

        self._device_of_streams.put(stream, work)


class CardEngine:
    """`inner` on a device of host memory; takes what lies there, and everything else as any engine."""

    backend = "tensorrt"

    def __init__(self, inner: Engine, device: HostDevice) -> None:
        self._inner, self.device = inner, device
        self.card: ModelCard = inner.card
        self.precision, self.precision_reason, self.backend_reason = inner.precision, "", ""
        self.channels, self.gives_scores, self.states = inner.channels, inner.gives_scores, inner.states
        self.enqueued = 0

    def enqueue(
        self,
        rainy: Buffer,
        restored: Buffer,
        shape: tuple[int, int, int],
        stream: Stream,
        scores: Buffer | None = None,
    ) -> None:
        taken, given = (pixels_at(buffer, shape) for buffer in (rainy, restored))
        cells: Any = None
        if scores is not None:
            scale = self.card.attention_scale
            raw: Any = (ctypes.c_float * (scores.nbytes // 4)).from_address(scores.pointer)
            cells = np.frombuffer(raw, np.float32).reshape(shape[0], shape[1] // scale, shape[2] // scale)
        self.enqueued += 1
        self.device.put(stream.handle, lambda: np.copyto(given, self._inner.infer(taken, scores=cells)))

    def infer(self, *arguments: Any, **named: Any) -> Pixels:
        return self._inner.infer(*arguments, **named)

    def close(self) -> None:
        self._inner.close()
        self.device.close()

    def __enter__(self) -> "CardEngine":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def pixels_at(buffer: Buffer, shape: tuple[int, int, int]) -> Pixels:
    """The device's memory as (N, H, W, 3)."""
    dtype: Any = np.uint8 if buffer.nbytes == 3 * np.prod(shape) else np.uint16
    raw: Any = (ctypes.c_uint8 * buffer.nbytes).from_address(buffer.pointer)
    return np.frombuffer(raw, dtype).reshape(*shape, 3)


def clip(folder: Path, name: str = "rainy.mkv", **wishes: Any) -> Path:
    defaults: dict[str, Any] = {"times": TIMES, "colour": (1, 1, 1, 1), "time_base": Fraction(1, 1000)}
    return Clip(**{**defaults, **wishes}).write(folder / name)


def pictures(path: Path) -> list[tuple[int | None, Any]]:
    """Every picture of a file with its time."""
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray()) for frame in container.decode(video=0)]
