"""RTSP from a real server, which is killed, frozen, hung, changed and locked while it is watched."""

import logging
import time
from collections.abc import Iterator

import pytest
from live_sources import watched
from rtsp_server import Camera, camera

from derain.pipeline.live.seam import State


@pytest.fixture(scope="module")
def plain() -> Iterator[Camera]:
    """A camera with sound, for tests that leave it as it is."""
    with camera(audio=True) as one:
        yield one


def test_a_clean_run_gives_every_frame_with_its_time_and_the_packets_that_were_asked_for(
    plain: Camera,
) -> None:
    with watched(plain.url(), packets=True) as eye:
        eye.more(20)
        eye.until(lambda: {packet.kind for packet in eye.packets} == {"video", "audio"})
        source = eye.source
        assert (source.state, source.said, source.shown) == (State.LIVE, "", plain.url())
        assert source.info is not None
        assert (source.info.width, source.info.height, source.info.codec) == (160, 120, "h264")
        assert [(track.kind, track.codec, track.rate) for track in source.tracks] == [
            ("video", "h264", 0),
            ("audio", "pcm_alaw", 8000),
        ]
        assert source.tracks[0].extradata
    assert [one.number for one in eye.frames] == list(range(len(eye.frames)))
    assert {one.epoch for one in eye.frames} == {0}
    times = [one.frame.pts for one in eye.frames if one.frame.pts is not None]
    assert len(times) > 15 and times == sorted(set(times))
    assert next(packet for packet in eye.packets if packet.kind == "video").key
    assert source.counts.decoded >= len(eye.frames) and source.counts.held == 0


def test_a_wrong_path_is_told(plain: Camera) -> None:
    with watched(plain.url("/attic")) as eye:
        eye.state(State.AWAY)
        assert eye.source.said == "the server has nothing at this path (404)"


def test_a_server_without_tcp_is_read_through_udp() -> None:
    with camera(udp=True) as one:
        with watched(one.url()) as eye:
            eye.more(5)
        with watched(one.url(), transport="tcp") as eye:
            eye.state(State.AWAY)
            assert not eye.frames


def test_a_camera_killed_and_started_five_times_comes_back_with_whatever_it_has_then() -> None:
    kinds = [("mjpeg", 160), ("h264", 320), ("h264", 160), ("mjpeg", 320), ("h264", 160)]
    with camera() as one, watched(one.url()) as eye:
        eye.more(3)
        for epoch, (codec, width) in enumerate(kinds, 1):
            one.kill()
            eye.state(State.AWAY)
            one.start(codec=codec, width=width)
            eye.epoch(epoch)
            eye.state(State.LIVE)
            info = eye.source.info
            assert info is not None and (info.codec, info.width) == (codec, width)
            assert eye.frames[-1].frame.pixels.shape == (120, width, 3)
        assert eye.source.counts.reconnects == 5
    assert [one.number for one in eye.frames] == list(range(len(eye.frames)))


def test_a_frozen_picture_is_told_and_the_camera_opened_anew_only_once() -> None:
    with camera() as one, watched(one.url(), frozen=0.6) as eye:
        eye.more(3)
        one.say("freeze")
        eye.state(State.FROZEN)
        assert eye.source.said == "the picture is always the same for 0.6 s"
        eye.epoch(1)
        eye.more(15)
        assert (eye.source.state, eye.source.counts.reconnects) == (State.FROZEN, 1)
        one.say("thaw")
        eye.state(State.LIVE)
        assert eye.source.counts.reconnects == 1


def test_a_camera_that_pauses_is_waited_for_and_one_that_hangs_is_given_up() -> None:
    with camera() as one:
        with watched(one.url(), stall=0.4) as eye:
            eye.more(3)
            one.hang()
            eye.state(State.STALLED)
            assert eye.source.said == "no picture came for 0.4 s"
            one.hang(False)
            eye.state(State.LIVE)
            assert eye.source.counts.reconnects == 0
        with watched(one.url(), read_timeout=0.8, open_timeout=1.0) as eye:
            eye.more(3)
            one.hang()
            eye.state(State.AWAY)
            time.sleep(0.3)  # stopped while it tries again, with a server that takes calls and says nothing


def test_wrong_credentials_are_told_once_and_never_shown_and_right_ones_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with camera(user="bob", password="hunter2") as one:
        with caplog.at_level(logging.DEBUG, "derain"), watched(one.url(user="bob:qwerty9")) as eye:
            eye.state(State.AWAY)
            assert eye.source.said == "the server refuses the user name or the password (401)"
            time.sleep(1)  # it tries again meanwhile
            assert len(caplog.messages) == 1 and "401" in caplog.messages[0]
            one.kill()
            one.start(user="bob", password="qwerty9")
            eye.more(2)
        assert "qwerty9" not in caplog.text and "qwerty9" not in eye.source.said + eye.source.shown
