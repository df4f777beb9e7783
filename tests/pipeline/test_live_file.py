"""A file as a live source: at its own pace, again and again, with every frame where that is asked for."""

import time
from itertools import pairwise
from pathlib import Path

import pytest
from clips import Clip
from live_sources import QUICK, Eye, watched

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.job import CameraJob, LiveJob, run_live
from derain.pipeline.live.opening import SourceOptions, open_live
from derain.pipeline.live.seam import LiveSource, State, Taken
from derain.pipeline.live.slots import Policy


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of pictures, with sound."""
    return Clip(times=tuple(range(12)), rate=12, audio=("eng",)).write(
        tmp_path_factory.mktemp("live") / "clip.mp4"
    )


def test_a_file_plays_once_at_its_own_pace_with_its_packets(tmp_path: Path) -> None:
    slow = Clip(times=tuple(range(0, 48, 4)), audio=("eng",)).write(tmp_path / "slow.mp4")
    with watched(str(slow), packets=True, lossless=True) as eye:
        eye.state(State.ENDED)
    assert [one.number for one in eye.frames] == list(range(12))
    pts = [one.frame.pts for one in eye.frames]
    base = eye.frames[0].frame.time_base
    assert None not in pts
    # Eleven pictures of 0.16 s lie between the first and the last: never faster, however late it may be.
    assert [float(at * base) for at in pts if at is not None] == pytest.approx([0.16 * n for n in range(12)])
    assert eye.frames[-1].arrived - eye.frames[0].arrived > 11 * 0.16 - 0.1
    assert {packet.kind for packet in eye.packets} == {"video", "audio"}
    assert sum(packet.kind == "video" for packet in eye.packets) == 12


def test_a_file_that_loops_begins_anew_and_its_time_goes_on(clip: Path) -> None:
    with watched(str(clip), packets=True, loop=True, lossless=True) as eye:
        eye.more(30)
        assert eye.source.state is State.LIVE and eye.source.counts.reconnects == 0
    pts = [one.frame.pts for one in eye.frames]
    steps = {later - one for one, later in pairwise(pts) if one is not None and later}
    assert min(steps) > 0 and {one.epoch for one in eye.frames} == {0}
    for kind in ("video", "audio"):
        times = [packet.dts for packet in eye.packets if packet.kind == kind]
        assert times == sorted(times, key=lambda dts: -1 if dts is None else dts) and len(times) > 20


def test_a_run_that_is_late_gets_every_frame_of_a_lossless_source_and_the_newest_of_another(
    clip: Path,
) -> None:
    counts = {}
    for lossless in (True, False):
        options = SourceOptions(**{**QUICK, "lossless": lossless})
        source = open_live(parse_address(str(clip)), "cam", options)
        eye = Eye(source)

        def slowly(taken: Taken, eye: Eye = eye) -> None:
            time.sleep(0.1)  # of frames that are 0.04 s apart
            eye.frames.append(taken)

        source.start(slowly)
        eye.state(State.ENDED)
        eye.stop()
        counts[lossless] = len(eye.frames)
        assert source.counts.decoded == 12
        assert eye.frames[-1].frame.pts is not None
        assert float(eye.frames[-1].frame.pts * eye.frames[-1].frame.time_base) == pytest.approx(0.44)
    assert counts[True] == 12 and counts[False] < 12


@pytest.mark.parametrize("policy", ["live", "lossless"])
def test_a_run_that_is_lossless_has_its_sources_wait(clip: Path, policy: Policy) -> None:
    asked: list[bool] = []

    def opened(camera: CameraJob) -> LiveSource:
        asked.append(camera.options.lossless)
        raise DerainError("enough")

    cameras = (CameraJob("cam", parse_address(str(clip))), CameraJob("demo", parse_address("pattern")))
    with pytest.raises(DerainError, match="enough"):
        run_live(LiveJob(cameras, policy=policy), open_source=opened)
    assert asked == [policy == "lossless"]


def test_a_file_that_is_not_there_or_no_video_is_refused_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("rain, rain, go away")
    for name, says in (("none.mp4", "there is no file"), ("notes.mp4", "is not a video")):
        with pytest.raises(UsageError, match=says):
            open_live(parse_address(str(tmp_path / name)), "cam", SourceOptions())


def test_interlaced_pictures_are_taken_as_they_are_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = Clip(options={"x264-params": "interlaced=1"}).write(tmp_path / "clip.mp4")
    with watched(str(clip), lossless=True) as eye:
        eye.state(State.ENDED)
    assert len(eye.frames) == 12
    assert sum("interlaced" in message for message in caplog.messages) == 1
