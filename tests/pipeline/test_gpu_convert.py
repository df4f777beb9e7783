"""The kernels, compiled as C and launched by the driver's calls, give what colour.py gives, to the bit."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
import numpy.typing as npt
import pytest
from host_cuda import HostCuda

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline.colour import FULL, LIMITED, SWSCALE_MATRIX, FromRGB, ToRGB
from derain.pipeline.frame import Colour
from derain.pipeline.gpu import convert, nvrtc
from derain.pipeline.gpu.convert import Converter
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.frame import Surface
from derain.pipeline.gpu.planes import PACKED, PLANAR, Planes, why_not
from derain.pipeline.tiling import TilePlan

MATRICES, RANGES = (1, 5, 9), (LIMITED, FULL)
SIZES = ((64, 48), (1, 1), (2, 1), (1, 3), (17, 16), (16, 17), (35, 47), (99, 5))
"""Width and height, odd ones too."""
RARER = tuple(itertools.product((4, 7), RANGES))


@pytest.fixture
def driver(cuda: HostCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """Everything that was taken is given back after each test."""
    monkeypatch.setattr(convert, "machine_code", cuda.machine_code)
    before = cuda.books()
    with Driver(names=(cuda.driver,)) as opened:
        yield opened
    cuda.fail("", 0)
    assert cuda.books() == before


def decoded(size: tuple[int, int], bits: int, full: bool, seed: int = 0) -> av.VideoFrame:
    """A picture of noise in all its legal samples, NV12 or P010, whose rows have padding."""
    width, height = size
    frame = av.VideoFrame(width, height, "nv12" if bits == 8 else "p010le")
    low, high, chroma = (0, 255, 255) if full else (16, 235, 240)
    dtype, up = (np.uint8, 0) if bits == 8 else (np.uint16, 16 - bits)
    rng = np.random.default_rng(seed)
    for plane, top in zip(frame.planes, (high, chroma), strict=True):
        samples = rng.integers(low << (bits - 8), ((top + 1) << (bits - 8)) - 1, plane.buffer_size, np.uint16)
        rows = (samples << up).astype(dtype)[: plane.buffer_size // np.dtype(dtype).itemsize]
        plane.update(rows.tobytes())
    return frame


def surface_of(frame: av.VideoFrame, matrix: int, range_: int) -> Surface:
    luma, chroma = frame.planes
    bits = 8 if frame.format.name == "nv12" else 10
    return Surface(
        luma=luma.buffer_ptr,
        chroma=chroma.buffer_ptr,
        luma_pitch=luma.line_size,
        chroma_pitch=chroma.line_size,
        width=frame.width,
        height=frame.height,
        bits=bits,
        matrix=SWSCALE_MATRIX[matrix],
        full=range_ == FULL,
        owner=frame,
    )


def rgb_on_card(driver: Driver, surface: Surface, padded: tuple[int, int]) -> Pixels:
    """What `to_rgb` leaves; around it nothing is touched."""
    deep = surface.bits > 8
    out = np.full((padded[0] + 2, padded[1], 3), 77, np.uint16 if deep else np.uint8)
    converter = Converter(driver, (9, 0), deep)
    converter.to_rgb(surface, out[1:].ctypes.data, padded, stream=0)
    converter.close()
    assert (out[[0, -1]] == 77).all()
    return out[1:-1]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix, range_", [*itertools.product(MATRICES, RANGES), *RARER])
def test_a_decoded_picture_becomes_the_same_rgb_as_on_the_cpu(
    driver: Driver, bits: int, matrix: int, range_: int
) -> None:
    for size in SIZES if matrix in MATRICES else SIZES[:1]:
        frame = decoded(size, bits, range_ == FULL)
        on_cpu = ToRGB()(frame, Colour(matrix, range_))
        on_card = rgb_on_card(driver, surface_of(frame, matrix, range_), (size[1], size[0]))
        np.testing.assert_array_equal(on_card, on_cpu, str(size))


def test_rgb_is_continued_by_reflection_as_tiles_are(driver: Driver) -> None:
    """To what the network takes, several times to and fro where the picture is small."""
    for size, multiple in (((35, 47), 16), ((3, 2), 8), ((1, 1), 8), ((64, 48), 16)):
        frame = decoded(size, 8, full=False)
        plan = TilePlan.make(size[1], size[0], 0, multiple)
        expected = next(plan.split(ToRGB()(frame, Colour(1, LIMITED))))
        np.testing.assert_array_equal(
            rgb_on_card(driver, surface_of(frame, 1, LIMITED), plan.padded), expected
        )


def test_colours_beyond_what_the_range_allows_are_clipped(driver: Driver) -> None:
    """The brightest bluest sample is as blue as can be; sums that run over would make it black."""
    frame = av.VideoFrame(2, 2, "nv12")
    for plane, value in zip(frame.planes, (255, 255), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    rgb = rgb_on_card(driver, surface_of(frame, 1, LIMITED), (2, 2))
    assert (rgb[..., 0] == 255).all() and (rgb[..., 2] == 255).all()


def planes_on_card(driver: Driver, planes: Planes, rgb: Pixels) -> list[npt.NDArray[Any]]:
    """The encoder's planes of `rgb`, whose rows may be longer than the picture's."""
    out = np.zeros(planes.samples, rgb.dtype)
    converter = Converter(driver, (9, 0), rgb.dtype == np.uint16)
    converter.from_rgb(planes.argument(rgb.ctypes.data, rgb.shape[1], out.ctypes.data), stream=0)
    converter.close()
    return samples_of(planes.picture(out), rgb.dtype)


def samples_of(frame: av.VideoFrame, dtype: npt.DTypeLike) -> list[npt.NDArray[Any]]:
    """The samples of each plane without the padding of its rows."""
    each = 2 if frame.format.name in ("nv12", "p010le") else 1
    found = []
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        found.append(rows[:, : plane.width * (each if number else 1)])
    return found


@pytest.mark.parametrize("pixel_format", [*PLANAR, *PACKED])
@pytest.mark.parametrize("matrix, range_", [*itertools.product(MATRICES, RANGES), *RARER])
def test_restored_rgb_becomes_the_same_planes_as_on_the_cpu(
    driver: Driver, pixel_format: str, matrix: int, range_: int
) -> None:
    dtype: Any = np.uint16 if pixel_format.endswith("le") else np.uint8
    rng = np.random.default_rng(1)
    for size in SIZES:
        if why_not(pixel_format, size, dtype == np.uint16):
            continue
        rgb = rng.integers(0, np.iinfo(dtype).max, (size[1], size[0] + 3, 3), dtype, endpoint=True)
        planes = Planes(pixel_format, *size, SWSCALE_MATRIX[matrix], range_ == FULL)
        wanted = FromRGB(pixel_format, Colour(matrix, range_), size[1])(rgb[:, : size[0]])
        for got, expected in zip(planes_on_card(driver, planes, rgb), samples_of(wanted, dtype), strict=True):
            np.testing.assert_array_equal(got, expected, str(size))


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_picture_nothing_is_done_to_comes_back_as_it_was(driver: Driver, bits: int, matrix: int) -> None:
    pixels: Pixels = clips.picture(0, 64, 48)
    if bits == 10:
        pixels = pixels.astype(np.uint16) * 257
    frame = FromRGB("nv12" if bits == 8 else "p010le", Colour(matrix, LIMITED), 48)(pixels)
    rgb = rgb_on_card(driver, surface_of(frame, matrix, LIMITED), (48, 64))
    planes = Planes(frame.format.name, 64, 48, SWSCALE_MATRIX[matrix], full=False)
    for got, was in zip(planes_on_card(driver, planes, rgb), samples_of(frame, rgb.dtype), strict=True):
        np.testing.assert_array_equal(got, was)


def test_formats_the_kernels_do_not_make_are_refused_with_the_reason() -> None:
    assert why_not("yuv420p", (64, 48), deep=False) == ""
    assert "yuv422p" in why_not("yuv422p", (64, 48), deep=False)
    assert "65x48 is odd" in why_not("yuv420p", (65, 48), deep=False)
    assert why_not("yuv444p", (65, 47), deep=False) == ""
    assert "not as deep" in why_not("yuv420p", (64, 48), deep=True)


@pytest.mark.parametrize("call", ["cuModuleLoadData", "cuLaunchKernel"])
def test_a_call_that_fails_is_told_by_name_and_leaves_no_context_behind(
    cuda: HostCuda, driver: Driver, call: str
) -> None:
    frame = decoded((4, 4), 8, full=False)
    converter = Converter(driver, (9, 0), deep=False)
    cuda.fail(call, 2)
    with pytest.raises(DerainError, match=rf"{call}: out of memory \(2\)"):
        if call == "cuModuleLoadData":
            driver.load(cuda.kernels[0].encode())
        else:
            converter.to_rgb(surface_of(frame, 1, LIMITED), 0, (0, 0), stream=0)
    cuda.fail("", 0)
    assert cuda.books()[1] == 0
    converter.close()


def test_a_driver_that_is_not_there_or_given_back_is_told_of(cuda: HostCuda) -> None:
    with pytest.raises(DerainError, match="no NVIDIA driver here"):
        Driver(names=("libno-such-library.so.1",))
    with pytest.raises(DerainError, match="invalid device ordinal"):
        Driver(index=3, names=(cuda.driver,))
    before = cuda.books()
    driver = Driver(names=(cuda.driver,))
    driver.close()
    driver.close()
    with pytest.raises(DerainError, match="given back"):
        driver.wait_for_default_stream()
    assert cuda.books() == before


needs_nvrtc = pytest.mark.skipif(bool(nvrtc.unavailable()), reason=nvrtc.unavailable())


@needs_nvrtc
@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)])
@pytest.mark.parametrize("deep", [False, True])
def test_the_kernels_compile_for_every_card(capability: tuple[int, int], deep: bool) -> None:
    code = convert.machine_code(capability, deep)
    assert code.startswith(b"\x7fELF")
    assert b"to_rgb" in code and b"from_rgb" in code


@needs_nvrtc
def test_what_can_t_be_compiled_is_told_in_nvrtcs_words() -> None:
    with pytest.raises(DerainError, match=r"NVRTC_ERROR_COMPILATION.*undefined_name"):
        nvrtc.compiled("__global__ void wrong() { undefined_name(); }", (9, 0), {})


def test_nvrtc_is_looked_for_in_its_wheel_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "nvidia" / "cu13" / "lib"
    wheel.mkdir(parents=True)
    for name in ("libnvrtc.so.13", "libnvrtc-builtins.so.13.5"):
        (wheel / name).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    found = list(nvrtc.candidates())
    assert found[0] == str(wheel / "libnvrtc.so.13")
    assert "libnvrtc.so" in found and not [name for name in found if "builtins" in name]
