"""Pictures read and written with all that comes with them: depth, alpha, orientation, colour profile.

Pixels stay in the orientation they are stored in, and the EXIF block that tells viewers how to turn them is
copied. OpenCV decodes and encodes; what it does not keep is taken from the file and put back (`pictures`).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

import av
import cv2
import numpy as np
import psutil

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.pictures import coding, jpeg, png, tiff, webp
from derain.pipeline.pictures.metadata import Header, Metadata, PictureError
from derain.pipeline.sinks.publish import sync, taken

Insert: TypeAlias = Callable[[memoryview, Metadata], Iterable[bytes | memoryview]]

COPIES = 4
"""Copies of a picture's pixels that are in memory at once, about: read, restored, turned to BGR, encoded."""


@dataclass(frozen=True)
class Image:
    """A picture in memory.

    `pixels`: (H, W, 3) RGB or (H, W) grey, uint8 or uint16, C-contiguous, in stored orientation. `alpha`:
    (H, W) of the same dtype, None where the picture has no such channel.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    metadata: Metadata = field(default_factory=Metadata)


@dataclass(frozen=True)
class Format:
    """A file format: by what its files begin with, and what it can hold."""

    name: str
    extensions: tuple[str, ...]
    begins: Callable[[bytes], bool]
    inspect: Callable[[bytes], Header]
    insert: Insert | None
    most_bits: int
    alpha: bool
    most_side: int


PNG = Format(
    "PNG",
    (".png",),
    lambda start: start.startswith(png.SIGNATURE),
    png.inspect,
    png.insert,
    16,
    True,
    1 << 31,
)
JPEG = Format(
    "JPEG",
    (".jpg", ".jpeg", ".jpe", ".jfif"),
    lambda start: start.startswith(b"\xff\xd8\xff"),
    jpeg.inspect,
    jpeg.insert,
    8,
    False,
    65535,
)
WEBP = Format(
    "WebP",
    (".webp",),
    lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP",
    webp.inspect,
    webp.insert,
    8,
    True,
    webp.MOST_SIDE,
)
TIFF = Format(
    "TIFF",
    (".tif", ".tiff"),
    lambda start: start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    tiff.inspect,
    None,
    16,
    True,
    1 << 31,
)
FORMATS: tuple[Format, ...] = (PNG, JPEG, WEBP, TIFF)
EXTENSIONS = tuple(extension for known in FORMATS for extension in known.extensions)


def format_of(path: Path) -> Format:
    """The format of a file to be written, by its name; raises UsageError for an unknown one."""
    for known in FORMATS:
        if path.suffix.lower() in known.extensions:
            return known
    raise UsageError(f"{path} has the extension {path.suffix!r}; derain image writes {', '.join(EXTENSIONS)}")


def read_image(path: str | Path) -> Image:
    """Reads a PNG, JPEG, WebP or TIFF file of 8 or 16 bits, by its content, not its name.

    Raises UsageError where there is no such file or it is no picture, DerainError where it is broken, of an
    unusual kind (CMYK, animated, floating-point) or larger than the free memory.
    """
    path = Path(path)
    data = _bytes_of(path)
    known = next((known for known in FORMATS if known.begins(data[:16])), None)
    if known is None:
        names = ", ".join(known.name for known in FORMATS)
        raise UsageError(f"{path} is not a picture that derain image can read ({names})")
    try:
        header = known.inspect(data)
        _check_size(header)
        pixels = tiff.decode(data, header) if known is TIFF else coding.decode(data, header)
        if pixels.shape[:2] != (header.height, header.width):
            raise PictureError(f"says it has {header.width}x{header.height} pixels and has others")
    except PictureError as error:
        raise DerainError(f"{path} {error}") from error
    except (cv2.error, av.FFmpegError) as error:
        raise DerainError(f"{path} is broken: its pixels can't be decoded") from error
    return _image(pixels, header.metadata)


def write_image(image: Image, path: str | Path, quality: int | None = None, overwrite: bool = False) -> None:
    """Writes `image` in the format of the name of `path`, which appears only when it is whole.

    `quality`: 1 to 100, for JPEG (95 where None, never with reduced colour resolution) and WebP (lossless
    where None). Raises UsageError where the file exists, or the format can't hold the picture (see
    `check_fits`), DerainError where it can't be written.
    """
    path = Path(path)
    known = check_fits(image, path, quality)
    if taken(path) and not overwrite:
        raise UsageError(f"{path} exists; --overwrite replaces it")
    try:
        with _published(path) as file:
            _write(file, image, known, quality)
    except PictureError as error:
        raise DerainError(f"{path} {error}") from error
    except cv2.error as error:
        raise DerainError(f"{path} could not be encoded as {known.name}") from error
    except OSError as error:
        raise DerainError(f"{path} could not be written: {error.strerror}") from error


def check_fits(image: Image, path: Path, quality: int | None = None) -> Format:
    """The format of `path`; raises UsageError where it can't hold `image` as it is."""
    known = format_of(path)
    bits = 8 * image.pixels.dtype.itemsize
    height, width = image.pixels.shape[:2]
    if bits > known.most_bits:
        raise UsageError(f"{path} can't hold {bits} bits a sample: {known.name} has 8; write PNG or TIFF")
    if image.alpha is not None and not known.alpha:
        raise UsageError(f"{path} can't hold transparency: {known.name} has none; write PNG, WebP or TIFF")
    if image.alpha is not None and image.metadata.premultiplied and known is not TIFF:
        raise UsageError(f"{path} can't hold colours multiplied by alpha: {known.name} has none; write TIFF")
    if max(height, width) > known.most_side:
        raise UsageError(
            f"{path} can't hold {width}x{height} pixels: {known.name} has {known.most_side} a side at most"
        )
    check_quality(path, quality)
    return known


def check_quality(path: Path, quality: int | None) -> None:
    """Raises UsageError for a quality out of range, or of a format that has none."""
    if quality is None:
        return
    if format_of(path) not in (JPEG, WEBP):
        raise UsageError(f"{path} has no quality to choose: only JPEG and WebP lose any")
    if not 1 <= quality <= 100:
        raise UsageError(f"the quality is {quality}; it takes 1 to 100")


def _bytes_of(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a picture") from error
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    if not data:
        raise UsageError(f"{path} is an empty file")
    return data


def _check_size(header: Header) -> None:
    """A small file can claim any size: what would not fit into memory is refused before it is decoded."""
    needed = header.width * header.height * max(header.channels, 3) * header.bits // 8 * COPIES
    free = psutil.virtual_memory().available
    if needed > free:
        raise PictureError(
            f"has {header.width}x{header.height} pixels, which need about {needed / 2**30:.1f} GiB "
            f"of memory; {free / 2**30:.1f} GiB are free"
        )


def _image(pixels: Pixels, metadata: Metadata) -> Image:
    """Takes alpha and a single channel apart."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 1:
        return Image(pixels.reshape(pixels.shape[:2]), None, metadata)
    if channels == 3:
        return Image(pixels, None, metadata)
    colours = pixels[:, :, 0] if channels == 2 else pixels[:, :, :3]
    alpha = np.ascontiguousarray(pixels[:, :, channels - 1])
    return Image(np.ascontiguousarray(colours), alpha, metadata)


def _write(file: BinaryIO, image: Image, known: Format, quality: int | None) -> None:
    grey = image.pixels.ndim == 2
    if known is TIFF:
        tiff.write(file, _joined(image), image.metadata)
        return
    assert known.insert is not None
    if known is PNG and grey and image.alpha is not None:
        encoded = memoryview(png.encode_grey_alpha(_joined(image)))
    else:
        encoded = coding.encode(image.pixels, image.alpha, known.extensions[0], quality)
    for part in known.insert(encoded, image.metadata):
        file.write(part)


def _joined(image: Image) -> Pixels:
    """(H, W, channels), alpha last."""
    pixels = image.pixels[:, :, np.newaxis] if image.pixels.ndim == 2 else image.pixels
    return pixels if image.alpha is None else np.dstack((pixels, image.alpha))


@contextmanager
def _published(path: Path) -> Iterator[BinaryIO]:
    """A file that gets the name `path` when the block ends, and vanishes where the block fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
