"""Pictures out as they came in: depth, channels, alpha, orientation, profile, resolution; and bad ones."""

import io
import logging
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as Witness
from PIL import ImageCms

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.images import Image, read_image, write_image
from derain.pipeline.pictures.metadata import Metadata

ORIENTATION, MAKER, EXPOSURE, LATITUDE = 274, 271, 33434, 2
EXIF_DIRECTORY, GPS_DIRECTORY = 34665, 34853
RESOLUTION = 300


def noise(*shape: int, dtype: Any = np.uint8) -> Pixels:
    return np.random.default_rng(0).integers(0, int(np.iinfo(dtype).max) + 1, shape, dtype)


def exif_of_a_camera() -> bytes:
    exif = Witness.Exif()
    exif[ORIENTATION] = 6
    exif[MAKER] = "a maker of cameras"
    exif.get_ifd(EXIF_DIRECTORY)[EXPOSURE] = 0.25
    exif.get_ifd(GPS_DIRECTORY)[LATITUDE] = (48.0, 51.0, 30.0)
    return exif.tobytes().removeprefix(b"Exif\0\0")


@cache
def profile() -> bytes:
    """A colour profile; made once, for the time it is made at stands in it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def full() -> Metadata:
    return Metadata(exif_of_a_camera(), profile(), b"<x:xmpmeta/>", (300.0, 200.0))


def check_metadata(path: Path, dpi: bool) -> None:
    """Asks another library."""
    with Witness.open(path) as picture:
        exif = picture.getexif()
        assert exif[ORIENTATION] == 6
        assert exif[MAKER] == "a maker of cameras"
        assert exif.get_ifd(EXIF_DIRECTORY)[EXPOSURE] == 0.25
        assert exif.get_ifd(GPS_DIRECTORY)[LATITUDE] == (48.0, 51.0, 30.0)
        assert picture.info["icc_profile"] == profile()
        assert b"<x:xmpmeta/>" in picture.info["xmp"]
        if dpi:
            assert np.allclose([float(number) for number in picture.info["dpi"]], (300, 200), atol=0.01)


@pytest.mark.parametrize("extension", ["png", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_formats_give_back_every_sample(
    tmp_path: Path, extension: str, dtype: Any, channels: int, alpha: bool
) -> None:
    pixels = noise(37, 21, 3, dtype=dtype) if channels == 3 else noise(37, 21, dtype=dtype)
    transparency = noise(37, 21, dtype=dtype)[::-1] if alpha else None
    path = tmp_path / f"picture.{extension}"
    write_image(Image(pixels, transparency, full()), path)
    image = read_image(path)
    assert image.pixels.dtype == dtype
    assert np.array_equal(image.pixels, pixels)
    assert (image.alpha is None) == (transparency is None)
    assert transparency is None or np.array_equal(np.asarray(image.alpha), transparency)
    assert image.metadata.icc == profile()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_other_libraries_read_our_tiff(tmp_path: Path, channels: int, dtype: Any) -> None:
    pixels = noise(300, 1500, channels, dtype=dtype)
    colours = pixels[:, :, 0] if channels < 3 else pixels[:, :, :3]
    image = Image(np.ascontiguousarray(colours), pixels[:, :, -1] if channels in (2, 4) else None)
    write_image(image, tmp_path / "picture.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "picture.tif").reshape(pixels.shape), pixels)
    (place,) = struct.unpack_from("<I", (tmp_path / "picture.tif").read_bytes(), 4)
    assert place % 2 == 0


def test_other_libraries_read_our_grey_png_with_alpha(tmp_path: Path) -> None:
    pixels = noise(300, 21, 2)
    write_image(Image(pixels[:, :, 0], pixels[:, :, 1]), tmp_path / "picture.png")
    with Witness.open(tmp_path / "picture.png") as picture:
        assert picture.mode == "LA"
        assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_metadata_is_written_so_that_others_read_it(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"picture.{extension}"
    write_image(Image(noise(20, 30, 3), None, full()), path)
    check_metadata(path, dpi=extension != "webp")


@pytest.mark.parametrize("first", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("second", ["jpg", "png", "webp", "tif"])
def test_metadata_goes_from_every_format_to_every_other(tmp_path: Path, first: str, second: str) -> None:
    one, two = tmp_path / f"one.{first}", tmp_path / f"two.{second}"
    write_image(Image(noise(20, 30, 3), None, full()), one)
    write_image(read_image(one), two)
    check_metadata(two, dpi="webp" not in (first, second))


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_metadata_of_other_writers_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"picture.{extension}"
    options: dict[str, Any] = {} if extension == "webp" else {"dpi": (300, 200)}
    exif = b"Exif\0\0" + exif_of_a_camera()
    Witness.fromarray(noise(20, 30, 3)).save(path, exif=exif, icc_profile=profile(), **options)
    write_image(read_image(path), tmp_path / f"again.{extension}")
    with Witness.open(tmp_path / f"again.{extension}") as picture:
        assert picture.getexif()[ORIENTATION] == 6
        assert picture.info["icc_profile"] == profile()
        assert extension == "webp" or round(float(picture.info["dpi"][1])) == 200


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_pixels_stay_in_stored_orientation(tmp_path: Path, extension: str, orientation: int) -> None:
    path = tmp_path / f"picture.{extension}"
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10, :10] = 255
    exif = Witness.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"lossless": True} if extension == "webp" else {}
    Witness.fromarray(pixels).save(path, exif=exif, **options)
    image = read_image(path)
    assert np.abs(image.pixels.astype(int) - pixels).max() < 20


def test_a_profile_larger_than_a_jpeg_segment_is_kept_whole(tmp_path: Path) -> None:
    large = bytes(range(256)) * 600
    write_image(Image(noise(8, 8, 3), None, Metadata(icc=large)), tmp_path / "picture.jpg")
    assert read_image(tmp_path / "picture.jpg").metadata.icc == large


def test_png_keeps_its_chunks_of_colour_and_text(tmp_path: Path) -> None:
    chunks = ((b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Title\0rain"))
    write_image(Image(noise(8, 8, 3), None, Metadata(png_chunks=chunks)), tmp_path / "one.png")
    write_image(read_image(tmp_path / "one.png"), tmp_path / "two.png")
    with Witness.open(tmp_path / "two.png") as picture:
        assert picture.info["gamma"] == 0.45455
        assert picture.info["Title"] == "rain"


def test_resolution_in_centimetres_is_understood(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(8, 8), resolution=(100, 50), resolutionunit="CENTIMETER")
    assert read_image(tmp_path / "a.tif").metadata.dpi == (254.0, 127.0)


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_palettes_and_bits_become_samples(tmp_path: Path, mode: str, extension: str) -> None:
    picture = Witness.fromarray(noise(20, 30, 3)).convert("L" if mode == "LA" else mode).convert(mode)
    picture.save(tmp_path / f"a.{extension}")
    image = read_image(tmp_path / f"a.{extension}")
    plain = picture.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    expected = np.asarray(plain)
    if image.alpha is not None:
        assert np.array_equal(image.alpha, expected[:, :, -1])
        expected = expected[:, :, 0] if mode == "LA" else expected[:, :, :3]
    assert np.array_equal(image.pixels, expected)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_other_layouts(tmp_path: Path, planar: Any, dtype: Any, order: Any) -> None:
    pixels = noise(20, 30, 4, dtype=dtype)
    stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        planarconfig=planar,
        extrasamples=["unassalpha"],
        byteorder=order,
    )
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(np.dstack((image.pixels, np.asarray(image.alpha))), pixels)


def test_premultiplied_alpha_stays_so_in_tiff_and_is_refused_elsewhere(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(8, 8, 4), photometric="rgb", extrasamples=["assocalpha"])
    image = read_image(tmp_path / "a.tif")
    write_image(image, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages.first.extrasamples == (1,)
    with pytest.raises(UsageError, match="multiplied by alpha"):
        write_image(image, tmp_path / "b.png")


def test_webp_is_lossless_unless_asked_even_where_transparent(tmp_path: Path) -> None:
    pixels, alpha = noise(20, 30, 3), np.zeros((20, 30), np.uint8)
    write_image(Image(pixels, alpha), tmp_path / "a.webp")
    image = read_image(tmp_path / "a.webp")
    assert np.array_equal(image.pixels, pixels) and np.array_equal(np.asarray(image.alpha), alpha)
    write_image(Image(pixels), tmp_path / "b.webp", quality=50)
    assert not np.array_equal(read_image(tmp_path / "b.webp").pixels, pixels)
    assert (tmp_path / "b.webp").stat().st_size < (tmp_path / "a.webp").stat().st_size


def test_jpeg_keeps_the_resolution_of_its_colours(tmp_path: Path) -> None:
    write_image(Image(noise(16, 16, 3)), tmp_path / "a.jpg")
    with Witness.open(tmp_path / "a.jpg") as picture:
        assert [component[1:3] for component in picture.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
    write_image(Image(noise(16, 16)), tmp_path / "grey.jpg")
    assert read_image(tmp_path / "grey.jpg").pixels.shape == (16, 16)


@pytest.mark.parametrize(
    ("image", "name", "words"),
    [
        (Image(noise(4, 4, 3, dtype=np.uint16)), "a.jpg", "16 bits a sample: JPEG has 8"),
        (Image(noise(4, 4, 3, dtype=np.uint16)), "a.webp", "16 bits a sample: WebP has 8"),
        (Image(noise(4, 4, 3), noise(4, 4)), "a.jpg", "transparency: JPEG has none"),
        (Image(noise(1, 16384, 3)), "a.webp", "16384x1 pixels: WebP has 16383 a side"),
        (Image(noise(4, 4, 3)), "a.gif", "the extension '.gif'"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, image: Image, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write_image(image, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "quality"), [("a.png", 90), ("a.jpg", 0), ("a.jpg", 101)])
def test_a_quality_that_means_nothing_is_refused(tmp_path: Path, name: str, quality: int) -> None:
    with pytest.raises(UsageError, match="quality"):
        write_image(Image(noise(4, 4, 3)), tmp_path / name, quality)


def test_an_existing_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(Image(noise(4, 4, 3)), path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="exists; --overwrite replaces it"):
        write_image(Image(noise(5, 5, 3)), path)
    assert path.read_bytes() == before
    write_image(Image(noise(5, 5, 3)), path, overwrite=True)
    assert read_image(path).pixels.shape == (5, 5, 3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(DerainError, match=r"a\.png could not be written: No space left on device"):
        write_image(Image(noise(4, 4, 3)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def saved(format: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Witness.fromarray(noise(60, 80, 3)).convert(mode).save(file, format, **options)
    return file.getvalue()


def animation(format: str) -> bytes:
    frames = [Witness.fromarray(noise(8, 8, 3)), Witness.fromarray(noise(8, 8, 3)[::-1].copy())]
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:])
    return file.getvalue()


def tiff_of(pixels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def giant() -> bytes:
    """A PNG header that claims a picture of some exabytes."""
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    end = struct.pack(">I4sI", 0, b"IEND", 0xAE426082)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + header + bytes(4) + end


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", UsageError, "is an empty file"),
        (b"rain, rain, go away", UsageError, "is not a picture"),
        *[(saved(f)[:900], DerainError, "is cut short") for f in ("JPEG", "PNG", "WEBP")],
        (saved("TIFF")[:900], DerainError, "."),
        (tiff_of(noise(60, 80, 3), compression="zlib")[:-3000], DerainError, "is broken"),
        (saved("JPEG", "CMYK"), DerainError, "4 channels"),
        (saved("TIFF", "CMYK"), DerainError, "4 channels of TIFF's colour kind 5"),
        (animation("PNG"), DerainError, "is an animation"),
        (animation("WEBP"), DerainError, "is an animation"),
        (animation("TIFF"), DerainError, "has several pages"),
        (tiff_of(noise(32, 32, 3), tile=(16, 16)), DerainError, "stored in tiles"),
        (tiff_of(np.zeros((8, 8), np.float32)), DerainError, "floating-point samples of 32 bits"),
        (tiff_of(noise(8, 8, 3), bigtiff=True), DerainError, "BigTIFF"),
        (giant(), DerainError, "2147483647x2147483647 pixels, which need about"),
        (b"\xff\xd8\xff\xe0\0", DerainError, "cut short or broken in its header"),
        (b"II*\0\xff\xff\xff\x7f", DerainError, "beyond the file"),
    ],
)
def test_bad_files_are_told_in_one_sentence(
    tmp_path: Path, content: bytes, error: type[DerainError], words: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DerainError, match=words) as caught:
        read_image(path)
    assert type(caught.value) is error
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(UsageError, match="is a folder"):
        read_image(tmp_path)


def test_the_content_counts_not_the_name(tmp_path: Path) -> None:
    made, encoded = cv2.imencode(".png", noise(8, 8, 3))
    assert made
    (tmp_path / "a.jpg").write_bytes(encoded.tobytes())
    assert read_image(tmp_path / "a.jpg").pixels.shape == (8, 8, 3)


def test_broken_exif_does_not_stop_a_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = Image(noise(8, 8, 3), None, replace(full(), exif=b"II*\0\x08\0\0\0\xff\xff"))
    write_image(image, tmp_path / "a.jpg")
    with caplog.at_level(logging.WARNING):
        write_image(read_image(tmp_path / "a.jpg"), tmp_path / "a.tif")
    assert "the EXIF metadata has a directory that ends beyond the file: left out" in caplog.text
    assert read_image(tmp_path / "a.tif").metadata.icc == profile()
