"""What each output format can hold beside the pictures; formats that do not say by themselves."""

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from math import lcm
from pathlib import Path

import av
from av.container import OutputContainer

from derain.engines.errors import UsageError
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.cut import Cut

MOV_FAMILY = frozenset(("mp4", "mov", "ipod", "3gp", "3g2", "f4v"))
MATROSKA = frozenset(("matroska", "webm"))
WRITTEN = MOV_FAMILY | MATROSKA | {"avi", "mpegts"}
ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts")
"""The usual names of what is written."""
HOLD_CHAPTERS = MOV_FAMILY | MATROSKA
HOLD_ROTATION = MOV_FAMILY | MATROSKA
HOLD_COVERS = frozenset(("mp4", "ipod", "matroska"))
MPEG_TS_CODECS = frozenset(
    (
        *("h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "cavs", "dirac"),
        *("aac", "mp1", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus", "s302m"),
        *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "hdmv_text_subtitle"),
        *("klv", "scte_35", "timed_id3", "smpte_2038"),
    )
)
"""The codecs that MPEG-TS has a name for."""
FINEST_MOVIE_CLOCK = 100_000_000
"""Ticks a second of a MOV family file that are within what readers were written for."""
COUNT_FRAMES = frozenset(("avi",))
"""Formats without time stamps: the n-th picture is due at n / rate, and every stream begins at zero."""

ITUNES_TAGS = frozenset(
    (
        "title",
        "author",
        "artist",
        "album",
        "album_artist",
        "comment",
        "copyright",
        "date",
        "creation_time",
        "description",
        "synopsis",
        "genre",
        "composer",
        "grouping",
        "lyrics",
        "show",
        "episode_id",
        "network",
        "keywords",
        "track",
        "disc",
        "encoder",
        "encoded_by",
        "make",
        "model",
        "location",
        "hd_video",
        "media_type",
        "gapless_playback",
        "compilation",
        "rating",
    )
)
"""Tags that the MOV family stores in its common way; for others its second way ("mdta") is needed."""
OLD_FILE_TAGS = frozenset(("major_brand", "minor_version", "compatible_brands", "encoder", "duration"))
"""Tags that describe the input's file rather than what is in it; the muxer writes its own."""
OLD_CODING_TAGS = (
    "encoder",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "_statistics",
    "vendor_id",
)
"""Beginnings of tags that tell of the old pictures' coding; copied they would be untrue."""


def open_container(temporary: Path, target: Path) -> OutputContainer:
    """Opens `temporary` for writing in the format of its name.

    Raises UsageError for an ending that is unknown or not of a format that was seen to keep every time stamp:
    FLV, ASF, MPEG-PS and raw streams move or lose them, playlists are many files.
    """
    container = None
    with suppress(ValueError):  # an unknown ending
        container = av.open(f"file:{temporary}", "w")
    if container is not None and container.format.name in WRITTEN:
        return container
    ending = f"the ending {target.suffix!r}" if target.suffix else "a name without an ending"
    raise UsageError(
        f"derain writes no video under {ending} of the output {target.name}; "
        f"use {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
    )


def muxer_options(
    format_name: str, info: StreamInfo, tags: dict[str, str], clocks: Sequence[Fraction]
) -> dict[str, str]:
    """Options with which a muxer leaves time stamps alone and keeps every tag.

    `clocks`: time bases in which beginnings of streams must be told. The MOV family tells them in ticks of
    its own, milliseconds by default: these are made fine enough for every one of `clocks`.
    """
    options = {"avoid_negative_ts": "disabled"}
    if format_name in MOV_FAMILY:
        options["video_track_timescale"] = str(info.time_base.denominator)
        common = lcm(*(clock.denominator for clock in clocks))
        if 1 < common <= FINEST_MOVIE_CLOCK:
            options["movie_timescale"] = str(common)
        if not ITUNES_TAGS.issuperset(key.lower().split("-")[0] for key in tags):
            options["movflags"] = "+use_metadata_tags"
    if format_name == "mpegts":
        options["mpegts_copyts"] = "1"
    return options


def check_begin(format_name: str, info: StreamInfo, cut: Cut) -> None:
    """Raises UsageError for pictures before zero, which only MPEG-TS carries without moving them."""
    if format_name == "mpegts" or cut.start is not None or not info.start_time or info.start_time > 0:
        return
    raise UsageError(
        f"the pictures of {info.path} begin at {float(info.start_time * info.time_base):.3f} s, before zero, "
        f"where {format_name} has no room; name the output .ts, or cut its beginning off with --start"
    )


def lacks(format_name: str, info: StreamInfo, chapters: int) -> list[str]:
    """What the input has beside its streams that the format can't hold, in words."""
    missing = []
    if chapters and format_name not in HOLD_CHAPTERS:
        missing.append(f"its {chapters} chapters")
    if info.display_matrix is not None and format_name not in HOLD_ROTATION:
        missing.append(f"its rotation by {info.rotation} degrees")
    return missing
