"""Which encoder, with what options, for which pictures: chosen and checked before any work."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.codec import PixFmtLoss, find_best_pix_fmt_of_list
from av.container import OutputContainer

from derain.engines.errors import UsageError
from derain.pipeline.source import StreamInfo

log = logging.getLogger(__name__)

EIGHT_BIT = ("libx264", "libvpx-vp9", "mpeg4", "mpeg2video")
DEEPER = ("libx265", "libx264", "libsvtav1", "ffv1")
"""Encoders by preference, for 8-bit and deeper pictures; the first that the container takes and FFmpeg has."""

LOOKS_LOSSLESS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "16", "preset": "veryfast"},
    "libx265": {"crf": "17", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"crf": "20", "preset": "8"},
    "mpeg4": {"qscale": "2"},
    "mpeg2video": {"qscale": "2"},
    "mjpeg": {"qscale": "2"},
}
"""Options with which each encoder's picture can't be told from what it got."""


@dataclass(frozen=True)
class Encoding:
    """An encoder's name, its pixel format and options, all valid for the container."""

    codec: str
    pixel_format: str
    options: dict[str, str]


def choose(
    container: OutputContainer,
    path: Path,
    info: StreamInfo,
    codec: str | None,
    crf: float | None,
    options: Mapping[str, str],
) -> Encoding:
    """The encoding of pictures like `info`'s in `container`. Raises UsageError where the wishes can't be met."""
    name = codec or default_codec(container, path, info)
    encoder = encoder_named(name, container, path)
    wishes = dict(LOOKS_LOSSLESS.get(encoder.name, {}))
    if crf is not None:
        wishes["crf"] = f"{crf:g}"
    wishes.update(options)
    check_options(encoder, wishes)
    return Encoding(encoder.name, pixel_format(encoder, info), wishes)


def takes(container: OutputContainer, codec: str) -> bool:
    """Whether a container can hold a codec."""
    return codec in container.supported_codecs or container.format.name in ("mpegts", "mpeg")


def default_codec(container: OutputContainer, path: Path, info: StreamInfo) -> str:
    """The first encoder of the preference list that the container takes. Raises UsageError where none does."""
    for name in DEEPER if info.bit_depth > 8 else (*EIGHT_BIT, *DEEPER):
        if name in av.codecs_available and takes(container, name):
            return name
    raise UsageError(
        f"no encoder here fits {info.bit_depth}-bit pictures into the {container.format.name} format of {path.name}; "
        "name the output .mp4 or .mkv, or choose an encoder with --codec"
    )


def encoder_named(name: str, container: OutputContainer, path: Path) -> av.Codec:
    """The encoder called `name`. Raises UsageError where it is unknown, or the container can't hold it."""
    try:
        encoder = av.Codec(name, "w")
    except ValueError as error:
        raise UsageError(
            f"there is no encoder named {name!r}; encoders for {path.name}: {', '.join(alternatives(container))}"
        ) from error
    if encoder.type != "video":
        raise UsageError(
            f"{name} encodes {encoder.type}, not video; try {', '.join(alternatives(container))}"
        )
    if not takes(container, encoder.name):
        raise UsageError(
            f"the {container.format.name} format of {path.name} can't hold {name} video; "
            f"it takes {', '.join(alternatives(container))}, and .mkv takes nearly everything"
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
            private = sorted(option.name for option in known.private)
            raise UsageError(f"{encoder.name} has no option {name!r}; its own are {', '.join(private[:40])}")


def pixel_format(encoder: av.Codec, info: StreamInfo) -> str:
    """The encoder's format nearest to the input's; what is lost is logged."""
    wanted = info.pixel_format.replace("yuvj", "yuv")
    offered = [f.name for f in encoder.video_formats or [] if not f.name.startswith("yuvj")]
    offered = offered or [f.name for f in encoder.video_formats or []]
    if wanted in offered or not offered:
        return wanted
    best, loss = find_best_pix_fmt_of_list(offered, wanted)
    if best is None:
        raise UsageError(
            f"{encoder.name} takes none of the input's kind of pictures ({wanted}); try --codec ffv1"
        )
    if loss & (PixFmtLoss.DEPTH | PixFmtLoss.RESOLUTION | PixFmtLoss.CHROMA):
        log.warning("%s can't keep %s pictures; they are written as %s", encoder.name, wanted, best.name)
    return best.name
