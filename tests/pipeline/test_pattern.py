"""The test pattern: what is burned into it is read back through codecs, and it keeps its own pace."""

import io
import threading
import time
from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions, open_live
from derain.pipeline.live.seam import State, Taken
from derain.pipeline.sources import marks
from derain.pipeline.sources.pattern import Scenery

RATE = Fraction(25)


def coded(pictures: list[Pixels], codec: str, pixel_format: str, options: dict[str, str]) -> list[Pixels]:
    """Pictures after a codec."""
    memory: Any = io.BytesIO()
    with av.open(memory, "w", format="matroska") as output:
        stream: Any = output.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode())
    memory.seek(0)
    with av.open(memory, "r") as container:
        return [cast(Pixels, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("codec", "pixel_format", "options"),
    [
        ("libx264", "yuv420p", {"crf": "34", "preset": "ultrafast", "threads": "1"}),
        ("mjpeg", "yuvj420p", {"qmin": "12", "qmax": "12", "strict": "unofficial"}),
    ],
)
@pytest.mark.parametrize("size", [(160, 120), (322, 182)])
def test_marks_survive_a_codec(
    codec: str, pixel_format: str, options: dict[str, str], size: tuple[int, int]
) -> None:
    scenery = Scenery(size, RATE)
    written = [marks.Mark(3 * number, 0xF0F0A5A5 + 40 * number) for number in range(6)]
    pictures = [scenery.rainy(mark.number) for mark in written]
    for picture, mark in zip(pictures, written, strict=True):
        marks.burn(picture, mark)
    back = coded(pictures, codec, pixel_format, options)
    assert [marks.read(picture) for picture in back] == written
    assert [marks.read(picture, "right") for picture in back] == written


def test_each_half_of_a_joined_picture_tells_its_own_frame_at_another_size_too() -> None:
    one, other = (np.full((360, 640, 3), 90, np.uint8) for _ in range(2))
    marks.burn(one, marks.Mark(7, 1000))
    marks.burn(other, marks.Mark(8, 1040))
    joined = np.concatenate([one[:, :320], other[:, 320:]], axis=1)
    small = np.asarray(cv2.resize(joined, (400, 225), interpolation=cv2.INTER_AREA))
    assert marks.read(small, "left", height=360) == marks.Mark(7, 1000)
    assert marks.read(small, "right", height=360) == marks.Mark(8, 1040)


def test_a_picture_without_a_mark_has_none() -> None:
    assert marks.read(Scenery((320, 240), RATE).rainy(0)) is None
    assert marks.read(np.zeros((120, 160, 3), np.uint8)) is None


def test_a_mark_tells_its_age_when_the_clock_has_begun_anew() -> None:
    assert marks.mark_at(5, marks.TURN / 1000 - 0.25).age(marks.TURN / 1000 + 0.25) == 0.5


def test_the_rain_is_the_same_each_time_and_moves() -> None:
    first, again = Scenery((160, 120), RATE), Scenery((160, 120), RATE)
    assert np.array_equal(first.rainy(10), again.rainy(10))
    assert not np.array_equal(first.rainy(10), first.rainy(11))
    assert (first.rainy(10) != first.clean(10)).any(axis=-1).mean() > 0.02


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 200), (200, 17)])
def test_a_pattern_of_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    picture = Scenery(size, RATE).rainy(3)
    marks.burn(picture, marks.Mark(1, 2))
    assert picture.shape == (size[1], size[0], 3)


def test_a_pattern_runs_at_its_own_pace_until_it_is_stopped() -> None:
    taken: list[Taken] = []
    enough = threading.Event()

    def give(one: Taken) -> None:
        taken.append(one)
        if len(taken) == 5:
            enough.set()

    source = open_live(parse_address("pattern:160x120@50"), "demo", SourceOptions())
    source.start(give)
    assert enough.wait(30)
    assert source.state is State.LIVE
    source.stop()
    source.stop()
    count = len(taken)
    assert (source.state, source.counts.decoded) == (State.ENDED, count)
    assert [one.number for one in taken] == list(range(count))
    assert source.info is not None and (source.info.width, source.info.height) == (160, 120)
    for one in taken:
        mark = marks.read(one.frame.pixels)
        assert mark is not None and mark.number == one.frame.pts
        assert mark.age(one.arrived) < 0.002
    # Never before its time, however late it may be.
    assert all(one.arrived - taken[0].arrived >= (one.frame.pts or 0) / 50 - 0.05 for one in taken)


@pytest.mark.parametrize("lossless", [True, False])
def test_a_pattern_leaves_frames_out_where_it_is_late_unless_it_must_not(lossless: bool) -> None:
    numbers: list[int] = []
    enough = threading.Event()

    def give(one: Taken) -> None:
        time.sleep(0.05)  # of frames that are 0.01 s apart
        numbers.append(one.frame.pts or 0)
        if len(numbers) == 5:
            enough.set()

    source = open_live(parse_address("pattern:160x120@100"), "demo", SourceOptions(lossless=lossless))
    source.start(give)
    assert enough.wait(30)
    source.stop()
    assert (numbers[:5] == [0, 1, 2, 3, 4]) == lossless


def test_size_and_rate_may_be_asked_for_beside_the_address() -> None:
    source = open_live(parse_address("pattern:@5"), "demo", SourceOptions(size=(64, 48), rate=Fraction(50)))
    info = source.info
    assert info is not None and (info.width, info.height) == (64, 48)
    assert info.average_rate == Fraction(5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": (0, 10)}, "size"),
        ({"rate": Fraction(0)}, "rate"),
        ({"fourcc": "toolong"}, "four characters"),
        ({"transport": "pigeon"}, "auto, tcp, udp"),
        ({"open_timeout": 0.0}, "open time-out"),
        ({"frozen": -1.0}, "frozen"),
        ({"retry_from": 9.0, "retry_most": 3.0}, "longest"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SourceOptions(**options)  # type: ignore[arg-type]
