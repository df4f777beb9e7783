"""NVENC, the encoders of an NVIDIA card, where it has any: whether they take a video, or why not."""

from collections.abc import Mapping
from fractions import Fraction

import av

from derain.pipeline.gpu.words import listening, told
from derain.pipeline.source import StreamInfo

NVENC = "nvenc"
"""What a user writes for whichever of them fits."""
EIGHT_BIT = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")
DEEPER = ("hevc_nvenc", "av1_nvenc")
"""By preference."""
LOOKS_LOSSLESS = {
    "h264_nvenc": {"qp": "18", "preset": "p5"},
    "hevc_nvenc": {"qp": "18", "preset": "p5"},
    "av1_nvenc": {"qp": "72", "preset": "p5"},
}
"""Constant quantisers, which no encoder of theirs departs from; AV1's go to 255."""


def quality(codec: str, crf: float) -> dict[str, str]:
    """What --crf means for one of these encoders: a constant quantiser, in AV1 four times as fine."""
    return {"qp": str(round(crf * 4 if codec == "av1_nvenc" else crf))}


def why_not(info: StreamInfo, size: tuple[int, int]) -> str:
    """Why none of them is for pictures of `size` (width, height) like `info`'s; "" where one may be."""
    if size[0] % 2 or size[1] % 2:
        return f"NVENC takes no pictures of odd size, and these are {size[0]}x{size[1]}"
    if info.side_data:
        return "NVENC can't be given the HDR description of the input"
    return ""


def trial(codec: str, pixel_format: str, size: tuple[int, int], options: Mapping[str, str]) -> str:
    """Why `codec` does not begin such a video here, in words; "" where it does."""
    context: av.VideoCodecContext = av.CodecContext.create(codec, "w")  # type: ignore[assignment]
    context.width, context.height = size
    context.pix_fmt = pixel_format
    context.time_base = Fraction(1, 25)
    context.options = dict(options)
    with listening() as logs:
        try:
            context.open(strict=False)
        except (av.FFmpegError, ValueError) as error:
            return f"{codec}: {told(error, logs)}"
    return ""
