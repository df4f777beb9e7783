"""The stream that never dies: its stub picture, its times, its far end that goes and comes."""

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import pytest
from live_outputs import Clock, shown, sound

from derain.pipeline.live.seam import Packet, Shown, Track
from derain.pipeline.sinks.lasting import FIRST, LATE, UNKNOWN_PACE, UNKNOWN_SIZE, Lasting
from derain.pipeline.sinks.stub import in_words, stub
from derain.pipeline.sinks.wrapping import Sound


class End:
    """A far end that obeys."""

    def __init__(self, size: tuple[int, int], sounds: Sequence[Sound]) -> None:
        self.size, self.sounds = size, list(sounds)
        self.works, self.room, self.broken, self.closed = True, True, False, False
        self.packets: list[Any] = []
        self.heard: list[float] = []

    def ready(self) -> bool:
        if self.broken:
            raise OSError("it hung up")
        return self.room

    def picture(self, packet: Any) -> None:
        self.packets.append(packet)

    def sound(self, packet: Packet, seconds: float) -> None:
        self.heard.append(seconds)

    def close(self) -> None:
        self.closed = True

    @property
    def times(self) -> list[float]:
        return [float((packet.pts or 0) * packet.time_base) for packet in self.packets]


class Stream:
    """A stream of one camera, with a clock and far ends that obey."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.clock = Clock()
        self.ends: list[End] = []
        self.tracks: list[Track] = []
        self.refuse = False
        self.work = Lasting(
            "the stream",
            "front",
            self.connect,
            lambda camera: self.tracks,
            size,
            clock=self.clock,
            generator=np.random.default_rng(1),
        )

    def connect(self, size: tuple[int, int], sounds: Sequence[Sound]) -> End:
        if self.refuse:
            raise ConnectionRefusedError(111, "Connection refused")
        self.ends.append(End(size, sounds))
        return self.ends[-1]

    def send(self, frames: Sequence[Shown]) -> None:
        for one in frames:
            self.work.frame(one)
            self.work.tick()
            self.clock.pass_(0.04)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.work.tick()
            self.clock.pass_(0.02)


def frames(first: int, last: int, **what: Any) -> list[Shown]:
    return [shown(number, **what) for number in range(first, last)]


def test_a_stub_goes_on_at_the_pace_before_and_times_only_go_forward() -> None:
    stream = Stream()
    stream.send(frames(0, 50))
    stream.wait(LATE + 2)
    (end,) = stream.ends
    assert 40 <= stream.work.stubs <= 52, "two seconds of 25 a second"
    stream.send(frames(0, 25, epoch=1))
    assert len(end.packets) == 75 + stream.work.stubs
    steps = [after - before for before, after in itertools.pairwise(end.times)]
    assert min(steps) > 0
    assert max(steps) <= LATE + 0.1, "nobody waits for long"
    assert end.times[-1] == pytest.approx(stream.clock.now - 100 - 0.04, abs=0.1)


def test_the_stub_begins_where_there_was_never_a_frame() -> None:
    stream = Stream()
    stream.wait(FIRST - 0.1)
    assert not stream.ends
    stream.wait(1.1)
    (end,) = stream.ends
    assert end.size == UNKNOWN_SIZE
    assert len(end.packets) == pytest.approx(1 / UNKNOWN_PACE, abs=2)
    stream.send(frames(0, 2))
    assert len(end.packets) == stream.work.stubs + 2, "later pictures are fitted into it"


def test_a_far_end_that_goes_is_tried_again_and_begins_with_a_key_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = Stream()
    stream.send(frames(0, 30))
    stream.ends[0].broken = True
    stream.refuse = True
    stream.send(frames(30, 130))
    assert stream.ends[0].closed
    refused = stream.work.connections - 1
    assert 1 <= refused <= 4, "the waiting time grows"
    stream.refuse = False
    stream.send(frames(130, 330))
    again = stream.ends[1]
    assert again.packets[0].is_keyframe
    assert again.times[0] > stream.ends[0].times[-1]
    assert stream.work.lost == 330 - len(stream.ends[0].packets) - len(again.packets)
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [
        "the stream of front is away and is tried again: it hung up",
        "the stream of front is away and is tried again: connection refused",
        "the stream of front goes on",
    ]


def test_a_slow_network_loses_frames_before_they_are_coded() -> None:
    stream = Stream()
    stream.send(frames(0, 5))
    stream.ends[0].room = False
    stream.send(frames(5, 15))
    stream.ends[0].room = True
    stream.send(frames(15, 20))
    assert stream.work.lost == 10
    assert len(stream.ends[0].packets) == 10
    decoder: Any = av.CodecContext.create("h264", "r")
    pictures = [
        frame for packet in stream.ends[0].packets for frame in decoder.decode(av.Packet(bytes(packet)))
    ]
    pictures += decoder.decode(None)
    assert len(pictures) == 10, "what is coded refers to nothing that was left out"


def test_sound_lies_beside_the_pictures_of_its_connection() -> None:
    stream = Stream()
    track, packets = sound(1.0)
    stream.tracks = [track]
    stream.work.packet(packets[0])
    stream.send(frames(0, 5))
    for packet in packets[1:6]:
        stream.work.packet(packet)
    (end,) = stream.ends
    stamps = [float((packet.pts or 0) * packet.time_base) for packet in packets[1:6]]
    assert end.heard == pytest.approx([stamp + end.times[0] for stamp in stamps], abs=1e-3)
    stream.clock.pass_(20)
    late = sound(1.0, epoch=1)[1]
    stream.work.packet(late[3])
    assert len(end.heard) == 5, "not before a picture of its connection"
    stream.send(frames(0, 1, epoch=1))
    stream.work.packet(late[3])
    assert end.heard[-1] > 20


def test_another_sound_begins_the_stream_anew() -> None:
    stream = Stream()
    stream.send(frames(0, 3))
    stream.tracks = [sound(0.1)[0]]
    stream.send(frames(0, 3, epoch=1))
    assert [len(end.sounds) for end in stream.ends] == [0, 1]
    assert stream.ends[0].closed


def test_the_stub_is_the_last_picture_without_colours_and_says_since_when() -> None:
    last = np.zeros((120, 160, 3), np.uint8)
    last[:, :80] = (250, 40, 40)
    picture = stub(last, (320, 180), "front", 42.0)
    assert picture.shape == (180, 320, 3)
    assert np.array_equal(picture[..., 0], picture[..., 2])
    assert picture[20, 60, 0] > picture[20, 280, 0] + 10, "what was seen is seen"
    later = stub(last, (320, 180), "front", 43.0)
    assert not np.array_equal(picture, later)
    assert stub(None, (32, 16), "Küche", 1).max() > 200
    assert [in_words(s) for s in (7.9, 750, 10800)] == ["0:07", "12:30", "3:00:00"]
