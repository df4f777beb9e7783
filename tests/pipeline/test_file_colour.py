"""Colours come back as they were, with the tags that say how to read them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import media
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Clip
from passing import pass_through

from derain.engines.errors import UsageError
from derain.pipeline.colour import FromRGB, ToRGB
from derain.pipeline.frame import Colour
from derain.pipeline.sources.file import FileSource

KR_KB = {5: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}
BARS = [(r, g, b) for r in (0.0, 0.75) for g in (0.0, 0.75) for b in (0.0, 0.75)]


def bar_levels(matrix: int, full: bool, bits: int) -> list[tuple[int, int, int]]:
    """Y, U and V of 75 % colour bars by the standard's own formulas."""
    kr, kb = KR_KB[matrix]
    scale = 1 << (bits - 8)
    found = []
    for r, g, b in BARS:
        y = kr * r + (1 - kr - kb) * g + kb * b
        u, v = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
        top = (1 << bits) - 1
        if full:
            levels = [y * top, u * top + 128 * scale, v * top + 128 * scale]
        else:
            levels = [x * scale for x in (16 + 219 * y, 128 + 224 * u, 128 + 224 * v)]
        found.append((round(levels[0]), round(levels[1]), round(levels[2])))
    return found


def bars(pixel_format: str, matrix: int, full: bool, bits: int) -> av.VideoFrame:
    """A picture of eight upright bars."""
    frame = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    levels = bar_levels(matrix, full, bits)
    for number, plane in enumerate(frame.planes):
        dtype = np.uint8 if bits == 8 else np.uint16
        row = np.repeat([bar[number] for bar in levels], plane.width // len(levels))
        rows = np.zeros((plane.height, plane.line_size // np.dtype(dtype).itemsize), dtype)
        rows[:, : plane.width] = row
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "pixel_format, bits",
    [("yuv420p", 8), ("yuv422p", 8), ("yuv444p", 8), ("yuv420p10le", 10), ("yuv422p10le", 10)],
)
def test_bars_become_the_standards_rgb_and_come_back(
    pixel_format: str, bits: int, full: bool, matrix: int
) -> None:
    colour = Colour(matrix=matrix, range=2 if full else 1)
    frame = bars(pixel_format, matrix, full, bits)
    rgb = ToRGB()(frame, colour)
    assert rgb.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert rgb.shape == (HEIGHT, WIDTH, 3) and rgb.flags.c_contiguous
    middles = rgb[HEIGHT // 2, WIDTH // 16 :: WIDTH // 8].astype(float) / np.iinfo(rgb.dtype).max
    assert np.abs(middles - np.array(BARS)).max() < 2 / 255
    back = media.planes(FromRGB(pixel_format, colour, HEIGHT)(rgb))
    for before, after in zip(media.planes(frame), back, strict=True):
        assert np.abs(before - after).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_chroma_is_the_average_of_its_pixels(dtype: Any) -> None:
    top = int(np.iinfo(dtype).max)
    pixels = np.full((8, 8, 3), top // 2, dtype)
    pixels[:, 0::2, 0] = top // 4
    pixels[:, 1::2, 0] = top * 3 // 4
    pixel_format = "yuv420p" if dtype == np.uint8 else "yuv420p10le"
    grey = 128 if dtype == np.uint8 else 512
    found = media.planes(FromRGB(pixel_format, Colour(matrix=1, range=1), 8)(pixels))
    assert np.abs(found[1] - grey).max() <= 1 and np.abs(found[2] - grey).max() <= 1


@pytest.mark.parametrize("matrix, primaries, transfer", [(5, 5, 6), (6, 6, 6), (1, 1, 1), (9, 9, 14)])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
def test_bars_through_files_keep_colour_and_tags(
    bits: int, full: bool, matrix: int, primaries: int, transfer: int, tmp_path: Path
) -> None:
    known = 5 if matrix == 6 else matrix
    pixel_format, codec = ("yuv420p", "libx264") if bits == 8 else ("yuv420p10le", "libx265")
    lossless = {"qp": "0"} if bits == 8 else {"x265-params": "lossless=1:log-level=none"}
    tags = (matrix, 2 if full else 1, primaries, transfer)
    rainy = Clip(
        times=range(3),
        codec=codec,
        pixel_format=pixel_format,
        options=lossless,
        colour=tags,
        frames=lambda n: bars(pixel_format, known, full, bits),
    ).write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", codec=codec, options=lossless)
    before, after = media.pixels(rainy), media.pixels(tmp_path / "clean.mp4")
    for one, other in zip(before, after, strict=True):
        assert np.abs(one - other).max() <= 2
    with FileSource(tmp_path / "clean.mp4") as clean:
        colour = clean.info.colour
        assert (colour.matrix, colour.range, colour.primaries, colour.transfer) == tags
        assert clean.info.bit_depth == bits and clean.info.pixel_format == media.read(rainy).pixel_format


def test_untagged_stays_untagged(tmp_path: Path) -> None:
    rainy = Clip().write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4")
    with FileSource(rainy) as before, FileSource(tmp_path / "clean.mp4") as after:
        assert (before.info.colour.matrix, before.info.colour.range) == (2, 0)
        assert after.info.colour == before.info.colour


@pytest.mark.parametrize("height, matrix", [(576, 5), (720, 1)])
def test_untagged_is_read_as_players_do(height: int, matrix: int) -> None:
    frame = av.VideoFrame(64, height, "yuv420p")
    for plane, value in zip(frame.planes, (120, 90, 200), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    tagged, untagged = Colour(matrix=matrix, range=1), Colour()
    assert np.array_equal(ToRGB()(frame, untagged), ToRGB()(frame, tagged))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("deep", [False, True])
def test_chroma_sampling_and_depth_stay(pixel_format: str, deep: bool, tmp_path: Path) -> None:
    wanted = pixel_format + "10le" * deep
    codec = "libx265" if deep else "libx264"
    options = {"x265-params": "log-level=none"} if deep else {}
    rainy = Clip(codec=codec, pixel_format=wanted, options=options).write(tmp_path / "rainy.mkv")
    pass_through(rainy, tmp_path / "clean.mkv")
    assert media.read(tmp_path / "clean.mkv").pixel_format == wanted


@pytest.mark.parametrize("location", [1, 2, 3, 4])
def test_the_place_of_chroma_samples_stays(location: int, tmp_path: Path) -> None:
    rainy = Clip(options={"chroma_sample_location": str(location)}).write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4")
    with FileSource(rainy) as before, FileSource(tmp_path / "clean.mp4") as after:
        assert before.info.colour.chroma_location == location
        assert after.info.colour.chroma_location == location


def geometry(stream: Any) -> None:
    """Turns a clip by 90 degrees and makes its pixels wide."""
    stream.set_display_rotation(90)
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_rotation_and_pixel_shape_stay(ending: str, tmp_path: Path) -> None:
    rainy = Clip(edit=geometry).write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / f"clean.{ending}")
    with FileSource(rainy) as before, FileSource(tmp_path / f"clean.{ending}") as after:
        assert before.info.rotation == after.info.rotation == 90
        assert after.info.display_matrix == before.info.display_matrix
        assert after.info.sample_aspect_ratio == before.info.sample_aspect_ratio == Fraction(4, 3)
        assert (after.info.width, after.info.height) == (WIDTH, HEIGHT)


HDR = (
    "hdr10=1:log-level=none:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1"])
def test_hdr_description_stays(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "0")
    rainy = Clip(
        codec="libx265", pixel_format="yuv420p10le", options={"x265-params": HDR}, colour=(9, 1, 9, 16)
    ).write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", codec=codec)
    with FileSource(rainy) as before, FileSource(tmp_path / "clean.mp4") as after:
        assert set(before.info.side_data) == {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
        assert light(after) == light(before) == (1000, 400)
        assert np.allclose(display(after), display(before), rtol=1e-3, atol=2e-4)
        assert after.info.colour.transfer == 16


def light(source: FileSource) -> tuple[int, int]:
    """The content light level of a source."""
    from derain.pipeline.sinks.hdr import light_level  # noqa: PLC0415

    return light_level(source.info.side_data["CONTENT_LIGHT_LEVEL"])


def display(source: FileSource) -> list[float]:
    """The mastering display of a source as ten numbers."""
    from derain.pipeline.sinks.hdr import mastering  # noqa: PLC0415

    found = mastering(source.info.side_data["MASTERING_DISPLAY_METADATA"])
    assert found.primaries is not None and found.luminance is not None
    return [float(x) for point in found.primaries for x in point] + [float(x) for x in found.luminance]


def test_an_encoder_that_cannot_carry_hdr_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rainy = Clip(
        codec="libx265", pixel_format="yuv420p10le", options={"x265-params": HDR}, colour=(9, 1, 9, 16)
    ).write(tmp_path / "rainy.mkv")
    pass_through(rainy, tmp_path / "clean.mkv", codec="ffv1")
    assert "HDR" in caplog.text


def test_ten_bits_keep_more_than_eight_would(tmp_path: Path) -> None:
    def ramp(number: int, width: int, height: int) -> Any:
        grey = np.linspace(20000, 24000, width)[None, :, None]
        return np.broadcast_to(grey, (height, width, 3)).astype(np.uint16)

    lossless = {"x265-params": "lossless=1:log-level=none"}
    rainy = Clip(codec="libx265", pixel_format="yuv420p10le", options=lossless, picture=ramp)
    rainy.write(tmp_path / "rainy.mp4")
    pass_through(tmp_path / "rainy.mp4", tmp_path / "clean.mp4", options=lossless)
    before, after = media.pixels(tmp_path / "rainy.mp4")[0], media.pixels(tmp_path / "clean.mp4")[0]
    assert len(np.unique(before)) > 40
    assert np.array_equal(before, after)


def test_a_matrix_without_coefficients_is_refused(tmp_path: Path) -> None:
    rainy = Clip(colour=(14, 1, 9, 16)).write(tmp_path / "rainy.mp4")
    with pytest.raises(UsageError, match="ICtCp"):
        FileSource(rainy)


@pytest.mark.parametrize("codec, ending", [("ffv1", "mkv"), ("png", "mov")])
def test_rgb_pictures_get_a_matrix_and_say_which(codec: str, ending: str, tmp_path: Path) -> None:
    pixel_format = "bgr0" if codec == "ffv1" else "rgb24"
    rainy = Clip(codec=codec, pixel_format=pixel_format).write(tmp_path / f"rainy.{ending}")
    pass_through(rainy, tmp_path / "clean.mp4", options={"qp": "0"})
    with FileSource(rainy) as before, FileSource(tmp_path / "clean.mp4") as after:
        assert after.info.colour.matrix == 6 and after.info.colour.range == 1
        one, other = next(iter(before)).pixels, next(iter(after)).pixels
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 2
