"""Which encoder, with what options, for which pictures: chosen and checked before any work."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.codec import PixFmtLoss, find_best_pix_fmt_of_list
from av.container import OutputContainer

from derain.engines.errors import UsageError
from derain.pipeline.sinks import nvenc
from derain.pipeline.sinks.container import COUNT_FRAMES, MPEG_TS_CODECS
from derain.pipeline.sinks.hdr import encoder_words
from derain.pipeline.source import StreamInfo

log = logging.getLogger(__name__)

EIGHT_BIT = ("libx264", "libvpx-vp9", "mpeg4")
DEEPER = ("libx265", "libx264", "libsvtav1", "ffv1")
"""Encoders by preference, for 8-bit and deeper pictures; the first that is here and the container takes."""

CONSTANT_QUALITY = {"global_quality": str(2 * 118), "flags": "+qscale"}
LOOKS_LOSSLESS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "16", "preset": "veryfast"},
    "libx265": {"crf": "17", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "16", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"crf": "18", "preset": "8"},
    "mpeg4": CONSTANT_QUALITY,
    "mpeg2video": CONSTANT_QUALITY,
    "mjpeg": CONSTANT_QUALITY,
    **nvenc.LOOKS_LOSSLESS,
}
"""Options with which each encoder's picture can't be told by eye from what it got."""
RATE_OPTIONS = ("b", "qp", "crf", "cqp", "lossless", "global_quality")
"""Options of which any one, given by the user, takes the place of the default quality."""
PARAMETERS = {"libx264": "x264-params", "libx265": "x265-params", "libsvtav1": "svtav1-params"}
"""The option in which an encoder takes further ones, joined by colons."""
REORDERED = ("h264", "hevc", "vvc")
CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")


@dataclass(frozen=True)
class Encoding:
    """An encoder's name, its pixel format and options, all valid for the container.

    `why`: in words, why it is on the CPU where the card's was wanted.
    """

    codec: str
    pixel_format: str
    options: dict[str, str]
    why: str = ""


def choose(
    container: OutputContainer,
    path: Path,
    info: StreamInfo,
    size: tuple[int, int],
    codec: str | None,
    crf: float | None,
    options: Mapping[str, str],
    on_card: bool = False,
) -> Encoding:
    """The encoding of `size` (width, height) pictures like `info`'s. Raises UsageError where it can't be.

    `codec`: an encoder, "nvenc" for the card's, None for what fits, on the card where `on_card` wants it.
    """
    why = ""
    if codec == nvenc.NVENC or (codec is None and on_card):
        codec, why = card_codec(container, info, size, crf, options)
    encoder = encoder_named(codec or default_codec(container, path, info), container, path)
    wishes = all_options(encoder, container, info, crf, options)
    return Encoding(encoder.name, pixel_format(encoder, info, size), wishes, why)


def card_codec(
    container: OutputContainer,
    info: StreamInfo,
    size: tuple[int, int],
    crf: float | None,
    options: Mapping[str, str],
) -> tuple[str | None, str]:
    """The card's encoder for such pictures; where there is none, None and the reason in words."""
    why = nvenc.why_not(info, size)
    if why:
        return None, why
    reasons = []
    for name in nvenc.DEEPER if info.bit_depth > 8 else nvenc.EIGHT_BIT:
        if (
            container.format.name not in COUNT_FRAMES
            and name in av.codecs_available
            and takes(container, name)
        ):
            encoder = av.Codec(name, "w")
            try:
                wishes = all_options(encoder, container, info, crf, options)
            except UsageError as error:  # the options are for an encoder on the CPU
                return None, str(error)
            reasons.append(nvenc.trial(name, pixel_format(encoder, info, size), size, wishes))
            if not reasons[-1]:
                return name, ""
    return None, reasons[0] if reasons else f"no encoder of NVENC fits the {container.format.name} format"


def all_options(
    encoder: av.Codec,
    container: OutputContainer,
    info: StreamInfo,
    crf: float | None,
    options: Mapping[str, str],
) -> dict[str, str]:
    """What the user asked of an encoder, and what it is told besides. Raises UsageError."""
    asked = {**quality(encoder.name, crf), **options}
    check_options(encoder, asked)
    wishes = dict(LOOKS_LOSSLESS.get(encoder.name, {}))
    if any(name in asked for name in RATE_OPTIONS):
        wishes = {name: value for name, value in wishes.items() if name not in (*RATE_OPTIONS, "flags")}
    if container.format.name in COUNT_FRAMES:
        wishes["bf"] = "0"  # such a file keeps pictures in the order they are coded in
    wishes["chroma_sample_location"] = CHROMA_LOCATIONS[info.colour.chroma_location]
    wishes.update(asked)
    add_parameters(encoder.name, info, wishes)
    return wishes


def quality(codec: str, crf: float | None) -> dict[str, str]:
    """The options that --crf means."""
    if crf is None:
        return {}
    return nvenc.quality(codec, crf) if codec in nvenc.LOOKS_LOSSLESS else {"crf": f"{crf:g}"}


def takes(container: OutputContainer, codec: str) -> bool:
    """Whether a container can hold an encoder's video at the right times.

    MPEG-TS does not say by itself. What counts pictures tells nothing of reordered ones: H.264 and HEVC
    come out of such a file a picture late.
    """
    if container.format.name in COUNT_FRAMES and av.Codec(codec, "w").canonical_name in REORDERED:
        return False
    if container.format.name == "mpegts":
        return av.Codec(codec, "w").canonical_name in MPEG_TS_CODECS
    return codec in container.supported_codecs


def default_codec(container: OutputContainer, path: Path, info: StreamInfo) -> str:
    """The first encoder by preference that the container takes. Raises UsageError where none does."""
    for name in DEEPER if info.bit_depth > 8 else (*EIGHT_BIT, *DEEPER):
        if name in av.codecs_available and takes(container, name):
            return name
    raise UsageError(
        f"no encoder here fits {info.bit_depth}-bit pictures into the {container.format.name} format of "
        f"{path.name}; name the output .mp4 or .mkv, or choose an encoder with --codec"
    )


def encoder_named(name: str, container: OutputContainer, path: Path) -> av.Codec:
    """The encoder called `name`. Raises UsageError where it is unknown, or the container can't hold it."""
    others = ", ".join(alternatives(container)) or "none"
    try:
        encoder = av.Codec(name, "w")
    except ValueError as error:
        raise UsageError(f"there is no encoder named {name!r}; those for {path.name} are {others}") from error
    if encoder.type != "video":
        raise UsageError(f"the encoder {name!r} is for {encoder.type}, not video; take one of {others}")
    if not takes(container, encoder.name):
        raise UsageError(
            f"the {container.format.name} format of {path.name} can't hold video of the encoder {name!r}; "
            f"it takes {others}, and .mkv takes nearly every one"
        )
    return encoder


def alternatives(container: OutputContainer) -> list[str]:
    """The well-known encoders that are here and that a container takes."""
    known = dict.fromkeys((*LOOKS_LOSSLESS, "ffv1", "prores_ks"))
    return [name for name in known if name in av.codecs_available and takes(container, name)]


def check_options(encoder: av.Codec, options: Mapping[str, str]) -> None:
    """Raises UsageError for an option the encoder does not have."""
    known = encoder.create("video").supported_options
    names = {option.name for option in (*known.private, *known.generic)}
    for name in options:
        if name not in names:
            own = ", ".join(sorted(option.name for option in known.private)) or "none"
            raise UsageError(f"the encoder {encoder.name} has no option {name!r}; its own are {own}")


def add_parameters(codec: str, info: StreamInfo, wishes: dict[str, str]) -> None:
    """Adds the HDR description, and quietness, to an encoder's parameters; the user's come last and win."""
    words = {"log-level": "error"} if codec == "libx265" else {}
    if codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only; it takes that from nowhere else
    words |= encoder_words(codec, info.side_data)
    option = PARAMETERS.get(codec)
    if option is not None and words:
        joined = ":".join(f"{name}={value}" for name, value in words.items())
        wishes[option] = f"{joined}:{wishes[option]}" if wishes.get(option) else joined


def pixel_format(encoder: av.Codec, info: StreamInfo, size: tuple[int, int]) -> str:
    """The encoder's format nearest to the input's; a loss is logged. Raises UsageError where none is."""
    wanted = wanted_format(encoder, info, size)
    full_only = encoder.canonical_name == "mjpeg"  # JPEG knows no limited range
    offered = [f.name for f in encoder.video_formats or [] if f.name.startswith("yuvj") == full_only]
    if wanted in offered or not offered:
        return wanted
    best, loss = find_best_pix_fmt_of_list(offered, wanted)
    if best is None:
        raise UsageError(
            f"the encoder {encoder.name} takes no pictures like the input's ({wanted}); try --codec ffv1"
        )
    if loss & (PixFmtLoss.DEPTH | PixFmtLoss.RESOLUTION | PixFmtLoss.CHROMA):
        log.warning("%s can't keep %s pictures; they are written as %s", encoder.name, wanted, best.name)
    return best.name


def wanted_format(encoder: av.Codec, info: StreamInfo, size: tuple[int, int]) -> str:
    """The input's format in planes; with full chroma where x264 and x265 want even sizes for less."""
    planes = {"nv12": "yuv420p", "nv21": "yuv420p", "p010le": "yuv420p10le", "nv16": "yuv422p"}
    wanted = planes.get(info.pixel_format, info.pixel_format.replace("yuvj", "yuv"))
    if encoder.canonical_name == "mjpeg":
        return wanted.replace("yuv", "yuvj", 1)
    chroma = av.VideoFormat(wanted, 2, 2)
    if encoder.name not in ("libx264", "libx265") or chroma.is_rgb:
        return wanted
    odd_width = size[0] % 2 and chroma.chroma_width(2) < 2
    odd_height = size[1] % 2 and chroma.chroma_height(2) < 2
    return wanted.replace("420p", "444p").replace("422p", "444p") if odd_width or odd_height else wanted
