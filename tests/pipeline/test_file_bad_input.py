"""Bad input ends in one sentence, or in what could be saved and a word about the rest; never in silence."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import media
import numpy as np
import pytest
from clips import Clip
from passing import pass_through

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource


def audio_only(path: Path) -> Path:
    """A clip without pictures."""
    with av.open(str(path), "w") as output:
        tone = clips.add_tone(output, "aac", "eng")
        clips.write_tone(output, tone, Fraction(0), 0.2, 440)
    return path


def no_pictures(path: Path) -> Path:
    """A clip whose video stream has no packet."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    return path


def interlaced(path: Path) -> Path:
    """A clip of fields."""
    return Clip(options={"x264-params": "interlaced=1"}).write(path)


def text(path: Path) -> Path:
    """Not a clip at all."""
    path.write_text("It rained all day. " * 200)
    return path


def cut_off(path: Path, share: float) -> Path:
    """Takes the end of a file away."""
    os.truncate(path, int(path.stat().st_size * share))
    return path


def made(make: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Gives the path that a maker wrote to."""

    def maker(path: Path) -> Path:
        make(path)
        return path

    return maker


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path, "there is no file"),
    "a folder": (made(lambda path: path.mkdir()), "is a folder"),
    "empty": (made(lambda path: path.touch()), "is empty (0 bytes)"),
    "text": (text, "is not a video that can be read"),
    "sound only": (audio_only, "has no video stream (it holds audio)"),
    "zero length": (no_pictures, "has no pictures (its length is zero)"),
    "zero length, with a header": (
        lambda path: no_pictures(path.with_suffix(".mkv")),
        "is not a video that can be read (end of file)",
    ),
    "index cut off": (
        lambda path: cut_off(Clip(audio=["eng"]).write(path), 0.7),
        "is not a video that can be read",
    ),
    "interlaced": (interlaced, "is interlaced; deinterlace it first, for example with ffmpeg"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_worked_on_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    path = make(tmp_path / "rainy.mp4")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError) as refused:
        FileSource(path)
    message = str(refused.value)
    assert words in message
    assert str(path) in message and "\n" not in message and message[-1] != "."
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = Clip().write(tmp_path / "rainy.mp4")
    path.chmod(0)
    with pytest.raises(UsageError, match="permission"):
        FileSource(path)


@pytest.mark.parametrize("codec, pixel_format, ending", [("ffv1", "yuva420p", "mkv"), ("png", "rgba", "mov")])
def test_transparent_pictures_are_refused(codec: str, pixel_format: str, ending: str, tmp_path: Path) -> None:
    path = Clip(codec=codec, pixel_format=pixel_format).write(tmp_path / f"rainy.{ending}")
    with pytest.raises(UsageError, match="transparent"):
        FileSource(path)


def test_interlaced_pictures_pass_when_the_user_says_so(tmp_path: Path) -> None:
    rainy = interlaced(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", as_progressive=True)
    assert media.read(tmp_path / "clean.mp4").times == media.read(rainy).times


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_a_truncated_file_gives_what_it_has_and_says_what_is_missing(ending: str, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if ending != "mkv" else {}
    clip = Clip(times=range(60), options={"g": "10", "bf": "0"}, container_options=options, audio=["eng"])
    rainy = clip.write(tmp_path / f"rainy.{ending}")
    if ending != "mkv":
        rainy = clips.remux(rainy, tmp_path / f"interleaved.{ending}", options=options)
    whole = media.read(rainy)
    cut_off(rainy, 0.6)
    source = pass_through(rainy, tmp_path / "clean.mp4")
    after = media.read(tmp_path / "clean.mp4")
    assert 10 < len(after.times) < 59
    tick = Fraction(1, 1000)
    assert all(abs(a - b) < tick for a, b in zip(after.times, whole.times, strict=False))
    assert source.shortfall is not None
    assert "ends early" in source.shortfall and "bytes are missing" in source.shortfall
    assert f"{len(after.times)} pictures were decoded" in source.shortfall
    assert len(after.others()[0].packets) > 5


def test_a_whole_file_falls_short_of_nothing(tmp_path: Path) -> None:
    for ending in ("mp4", "mkv", "mov", "ts", "avi", "webm"):
        codec = {"avi": "mpeg4", "webm": "libvpx-vp9"}.get(ending, "libx264")
        rainy = Clip(codec=codec).write(tmp_path / f"rainy.{ending}")
        with FileSource(rainy) as source:
            assert len(list(source)) == 12
        assert (source.shortfall, source.held) == (None, 0)


def damaged(source: Path, path: Path, numbers: set[int]) -> Path:
    """Copies a clip with the payload of some of its video packets made worthless."""

    def spoil(number: int, packet: Any) -> Any:
        if number not in numbers:
            return packet
        spoilt = av.Packet(b"\xff" * packet.size)
        spoilt.pts, spoilt.dts, spoilt.duration = packet.pts, packet.dts, packet.duration
        spoilt.time_base, spoilt.is_keyframe = packet.time_base, packet.is_keyframe
        return spoilt

    return clips.remux(source, path, change=spoil)


@pytest.mark.parametrize(
    "codec, ending", [("libx264", "mp4"), ("libx264", "mkv"), ("mpeg4", "mp4"), ("ffv1", "mkv")]
)
def test_corrupt_packets_hold_the_last_good_picture_at_its_time(
    codec: str, ending: str, tmp_path: Path
) -> None:
    options = {"bf": "0", "g": "1"} if codec != "ffv1" else {"g": "1"}
    whole = Clip(times=range(20), codec=codec, options=options).write(tmp_path / f"whole.{ending}")
    rainy = damaged(whole, tmp_path / f"rainy.{ending}", {7, 8, 13})
    with FileSource(whole) as good, FileSource(rainy) as source:
        wanted, found = list(good), list(source)
    assert [frame.time for frame in found] == [frame.time for frame in wanted]
    assert source.held == 3
    assert [number for number, frame in enumerate(found) if frame.held] == [7, 8, 13]
    for number, last_good in ((7, 6), (8, 6), (13, 12)):
        assert np.array_equal(found[number].pixels, found[last_good].pixels)
    for number in (6, 9, 14, 19):
        assert np.array_equal(found[number].pixels, wanted[number].pixels)
    passed = pass_through(rainy, tmp_path / "clean.mp4")
    assert (len(media.read(tmp_path / "clean.mp4").times), passed.held) == (20, 3)


def test_corrupt_packets_among_b_frames_lose_no_place(tmp_path: Path) -> None:
    whole = Clip(times=range(40), options={"bf": "2", "g": "10"}).write(tmp_path / "whole.mp4")
    rainy = damaged(whole, tmp_path / "rainy.mp4", {15, 16})
    source = pass_through(rainy, tmp_path / "clean.mp4")
    assert media.read(tmp_path / "clean.mp4").times == media.read(whole).times
    assert source.held >= 2
    assert source.shortfall is None


def test_a_held_picture_is_a_copy_of_its_own(tmp_path: Path) -> None:
    whole = Clip(times=range(12), options={"bf": "0", "g": "1"}).write(tmp_path / "whole.mp4")
    with FileSource(damaged(whole, tmp_path / "rainy.mp4", {5})) as source:
        frames = list(source)
    frames[4].pixels[:] = 0
    assert frames[5].pixels.any()


def test_a_change_of_size_is_an_error_that_says_when(tmp_path: Path) -> None:
    small = Clip(times=range(10), options={"bf": "0"}).write(tmp_path / "small.ts")
    large = Clip(times=range(10, 20), width=96, height=64, options={"bf": "0"}).write(tmp_path / "large.ts")
    rainy = tmp_path / "rainy.ts"
    rainy.write_bytes(small.read_bytes() + large.read_bytes())
    with (
        FileSource(rainy) as source,
        pytest.raises(DerainError) as failed,
        FileSink(tmp_path / "clean.mp4", source) as sink,
    ):
        for frame in source:
            sink.write(frame)
    assert "at 0:00:00.400 the pictures change from 64x48 to 96x64" in str(failed.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["large.ts", "rainy.ts", "small.ts"]


@pytest.mark.parametrize("size", [(1, 1), (1, 48), (2, 1), (3, 5), (17, 31), (63, 48), (64, 47)])
@pytest.mark.parametrize("codec, ending", [("png", "mov"), ("libvpx-vp9", "webm")])
def test_odd_and_tiny_sizes_work(size: tuple[int, int], codec: str, ending: str, tmp_path: Path) -> None:
    pixel_format = "rgb24" if codec == "png" else "yuv420p"
    clip = Clip(width=size[0], height=size[1], codec=codec, pixel_format=pixel_format)
    rainy = clip.write(tmp_path / f"rainy.{ending}")
    pass_through(rainy, tmp_path / "clean.mp4", options={"qp": "0"})
    with FileSource(rainy) as before, FileSource(tmp_path / "clean.mp4") as after:
        assert (after.info.width, after.info.height) == size
        one, other = list(before), list(after)
    assert len(other) == len(one) == 12
    assert all(np.abs(a.pixels.astype(int) - b.pixels).max() <= 2 for a, b in zip(one, other, strict=True))
