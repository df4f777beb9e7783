"""YUV to RGB and back on the card: yuv.cu compiled for it, and what its kernels are given."""

import ctypes
from dataclasses import astuple
from importlib.resources import files

from derain.pipeline.gpu import nvrtc
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.frame import Surface
from derain.pipeline.gpu.numbers import to_rgb_numbers

THREADS = (32, 8)

_Three = ctypes.c_int * 3


class ToRGBArgument(ctypes.Structure):
    """`ToRGB` of yuv.cu."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("luma", "chroma", "rgb")),
        *((name, ctypes.c_longlong) for name in ("luma_pitch", "chroma_pitch")),
        *((name, ctypes.c_int) for name in ("width", "height", "padded_width", "padded_height")),
        *((name, ctypes.c_int) for name in ("first", "stride", "step_x", "step_y", "shift", "bits")),
        *((name, ctypes.c_int) for name in ("black", "luma_weight", "v_red", "v_green", "u_green", "u_blue")),
    )


class FromRGBArgument(ctypes.Structure):
    """`FromRGB` of yuv.cu."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rgb", "luma", "u", "v")),
        *((name, ctypes.c_int) for name in ("width", "height", "padded_width", "side", "bits")),
        *((name, _Three) for name in ("y_weights", "u_weights", "v_weights")),
        *((name, ctypes.c_int) for name in ("luma_scale", "luma_offset", "chroma_scale", "chroma_offset")),
    )


def to_rgb_argument(surface: Surface, rgb: int, padded: tuple[int, int], stride: int = 1) -> ToRGBArgument:
    """What `to_rgb` needs to put `surface` at the address `rgb`, continued to `padded` (height, width).

    Of `stride` pixels one is taken, along each axis, the middle one of the first so many first.
    """
    return ToRGBArgument(
        *(surface.luma, surface.chroma, rgb, surface.luma_pitch, surface.chroma_pitch),
        *(surface.width, surface.height, padded[1], padded[0], stride // 2, stride),
        *(_step(surface.width), _step(surface.height), 0 if surface.bits == 8 else 16 - surface.bits),
        surface.bits,
        *astuple(to_rgb_numbers(surface.matrix, surface.full)),
    )


def _step(size: int) -> int:
    """How far chroma goes on for a pixel along an axis of `size`, in 65536ths, as swscale rounds it."""
    return (((size + 1) // 2 << 16) + size // 2) // size


class Converter:
    """The kernels on a card, for pictures of 8 bits or, `deep`, of more. Closing frees them, once.

    Raises DerainError where they can't be compiled or loaded.
    """

    def __init__(self, driver: Driver, capability: tuple[int, int], deep: bool) -> None:
        self._driver = driver
        self._module = driver.load(machine_code(capability, deep))
        self._to_rgb = self._module.function("to_rgb")
        self._from_rgb = self._module.function("from_rgb")

    def to_rgb(
        self, surface: Surface, rgb: int, padded: tuple[int, int], stream: int, stride: int = 1
    ) -> None:
        """Puts the work into `stream`: `surface` as RGB at the address `rgb`, see `to_rgb_argument`."""
        argument = to_rgb_argument(surface, rgb, padded, stride)
        self._launch(self._to_rgb, padded, stream, argument)

    def from_rgb(self, argument: FromRGBArgument, stream: int) -> None:
        """Puts the work into `stream`: RGB as planes; see `Planes.argument`."""
        side = argument.side
        self._launch(self._from_rgb, (argument.height // side, argument.width // side), stream, argument)

    def _launch(
        self,
        function: ctypes.c_void_p,
        size: tuple[int, int],
        stream: int,
        argument: ctypes.Structure,
    ) -> None:
        blocks = (-(-size[1] // THREADS[0]), -(-size[0] // THREADS[1]))
        self._driver.launch(function, blocks, THREADS, stream, argument)

    def close(self) -> None:
        """Frees the kernels; a second call does nothing."""
        self._module.close()


def source() -> str:
    """The kernels in CUDA C."""
    return files("derain.pipeline.gpu").joinpath("yuv.cu").read_text(encoding="utf-8")


def machine_code(capability: tuple[int, int], deep: bool) -> bytes:
    """The kernels compiled for cards of a compute capability."""
    return nvrtc.compiled(source(), capability, {"DEEP": int(deep)})
