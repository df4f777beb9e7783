"""Files broken at random are read or refused in one sentence, never with another exception."""

import io
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Witness

from derain.engines.errors import DerainError
from derain.pipeline.images import FORMATS, read_image
from derain.pipeline.pictures import exif, jpeg, png
from derain.pipeline.pictures.metadata import PictureError


@cache
def saved(name: str) -> bytes:
    """A small picture with EXIF and a resolution."""
    tags = Witness.Exif()
    tags[274] = 6
    tags.get_ifd(34665)[33434] = 0.25
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 4), np.uint8)
    file = io.BytesIO()
    options = {"exif": tags, "icc_profile": bytes(300)}
    Witness.fromarray(pixels).convert("RGB" if name == "JPEG" else "RGBA").save(file, name, **options)
    return file.getvalue()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([known.name for known in FORMATS]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    length=st.floats(0.02, 1),
    early=st.booleans(),
)
def test_a_broken_file_is_read_or_refused(
    tmp_path: Path, name: str, changes: list[tuple[float, int]], length: float, early: bool
) -> None:
    data = bytearray(saved(name))
    reach = min(len(data), 400) if early else len(data)
    for place, value in changes:
        data[int(place * reach)] = value
    path = tmp_path / "picture"
    path.write_bytes(data[: max(1, int(len(data) * length))])
    try:
        image = read_image(path)
    except DerainError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert image.pixels.shape[:2] == (12, 9) or changes


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""]))
def test_any_bytes_are_a_directory_or_refused(data: bytes, start: bytes) -> None:
    try:
        order, directory, _ = exif.parse(start + data)
    except PictureError:
        return
    again = exif.parse(exif.block(directory, order))[1] if directory else directory
    assert again == directory


def test_directories_inside_one_another_without_end_are_refused() -> None:
    loop = b"II*\0" + struct.pack("<IHHHII", 8, 1, 34665, exif.LONG, 1, 8) + bytes(4)
    with pytest.raises(PictureError, match="without end"):
        exif.parse(loop)


def test_unusual_headers() -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 8, 12, 1, 1, 3) + b"\xff\xda\0\x02\xff\xd9"
    with pytest.raises(PictureError, match="12 bits a sample"):
        jpeg.inspect(b"\xff\xd8" + frame)
    with pytest.raises(PictureError, match="no picture in it"):
        jpeg.inspect(b"\xff\xd8\xff\xda\0\x02\xff\xd9")
    odd = png.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 5, 0, 0, 0)) + png.chunk(b"IEND", b"")
    with pytest.raises(PictureError, match="the colour type 5"):
        png.inspect(png.SIGNATURE + odd)
    with pytest.raises(PictureError, match="no header"):
        png.inspect(png.SIGNATURE + png.chunk(b"IEND", b""))
