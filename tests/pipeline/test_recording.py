"""Recordings: segments that play, whatever ended them, and a folder that stays within what it was given."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import pytest
from live_outputs import Clock, numbers, shown, sound, times

from derain.engines.errors import UsageError
from derain.pipeline.live.seam import Packet, Track
from derain.pipeline.sinks.recording import (
    LOOK,
    Recorder,
    Recording,
    folder_for,
    open_file,
    open_recording,
)
from derain.pipeline.sinks.retention import FREE_LEAST, Keep

PLENTY = FREE_LEAST * 2


def no_tracks(camera: str) -> Sequence[Track]:
    return ()


class Desk:
    """A recorder with a clock, a wall and a disk that obey."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock, self.free, self.opened = Clock(), PLENTY, 0
        self.open_file = open_file
        self.folder = folder
        self.recorder = Recorder(
            folder,
            "front",
            Recording(folder, **options),
            no_tracks,
            lambda _: self.free,
            lambda path: self.open_file(path),  # noqa: PLW0108 - another one may be put there
            self.clock,
            lambda: 1_700_000_000 + self.clock.now,
        )

    def record(self, first: int, last: int, **frame: Any) -> None:
        for number in range(first, last):
            self.recorder.frame(shown(number, **frame))
            self.recorder.tick()
            self.clock.pass_(0.04)

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.mkv"))


def test_segments_end_by_time_and_hold_every_frame(tmp_path: Path) -> None:
    desk = Desk(tmp_path, seconds=1)
    desk.record(0, 60)
    desk.recorder.end()
    assert [len(times(path)) for path in desk.files()] == [25, 25, 10]
    assert [number for path in desk.files() for number in numbers(path)] == [n % 30 for n in range(60)]
    assert times(desk.files()[1])[:3] == pytest.approx([0, 0.04, 0.08], abs=1e-3)


def test_segments_end_by_size(tmp_path: Path) -> None:
    desk = Desk(tmp_path, most_bytes=100_000)
    for number in range(100):
        one = shown(number, size=(256, 128))
        one.restored[:] = np.random.default_rng(number).integers(0, 255, one.restored.shape)
        desk.recorder.frame(one)
    desk.recorder.end()
    assert len(desk.files()) > 3
    assert all(path.stat().st_size < 900_000 for path in desk.files())


def test_a_new_connection_or_size_begins_a_segment(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.record(0, 5)
    desk.record(0, 5, epoch=1)
    desk.record(5, 9, epoch=1, size=(33, 31))
    desk.recorder.end()
    assert [len(times(path)) for path in desk.files()] == [5, 5, 4]


def test_a_gap_of_the_camera_is_a_gap_of_the_times(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.record(0, 3)
    desk.record(53, 56)
    desk.recorder.end()
    (path,) = desk.files()
    assert times(path) == pytest.approx([0, 0.04, 0.08, 2.12, 2.16, 2.2], abs=1e-3)


def test_sound_is_copied_in_sync(tmp_path: Path) -> None:
    track, packets = sound(2.0)
    recorder = Recorder(tmp_path, "front", Recording(tmp_path), lambda camera: [track], lambda _: PLENTY)
    recorder.frame(shown(0))
    for number in range(1, 50):
        for packet in packets[number * len(packets) // 50 : (number + 1) * len(packets) // 50]:
            recorder.packet(packet)
        recorder.frame(shown(number))
    recorder.end()
    (path,) = tmp_path.glob("*.mkv")
    heard = times(path, "audio")
    assert len(heard) == len(packets) - 1, "the first one is due before the picture"
    assert heard[9] == pytest.approx(float((packets[10].pts or 0) * packets[10].time_base), abs=2e-3)
    assert len(times(path)) == 50


def record_sound(folder: Path, track: Track, packets: Sequence[Packet]) -> Path:
    recorder = Recorder(folder, "front", Recording(folder), lambda camera: [track], lambda _: PLENTY)
    recorder.frame(shown(0))
    for number, packet in enumerate(packets, 1):
        recorder.packet(packet)
        recorder.frame(shown(number))
    recorder.end()
    (path,) = folder.glob("*.mkv")
    return path


def test_g711_is_kept_as_pcm_sample_by_sample(tmp_path: Path) -> None:
    base = Fraction(1, 8000)
    data = [bytes([(17 * n + k) % 256 for k in range(320)]) for n in range(25)]
    packets = [Packet(1, "audio", one, n * 320, n * 320, 320, base, True, 0) for n, one in enumerate(data)]
    path = record_sound(tmp_path, Track(1, "audio", "pcm_alaw", b"", base, 8000, "mono"), packets)
    decoder: Any = av.CodecContext.create("pcm_alaw", "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    wanted = [frame.to_ndarray() for one in data for frame in decoder.decode(av.Packet(one))]
    with av.open(str(path)) as container:
        got = [frame.to_ndarray() for frame in container.decode(audio=0)]
    assert np.array_equal(np.concatenate(got, axis=1), np.concatenate(wanted, axis=1))


def test_sound_that_is_spoilt_or_unknown_harms_no_picture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    track, packets = sound(1.0)
    spoilt = [replace(packet, data=b"\xff\xf1\x00\x00\x00\x00\x00" * 3) for packet in packets]
    (tmp_path / "spoilt").mkdir()
    assert len(numbers(record_sound(tmp_path / "spoilt", track, spoilt))) == len(packets) + 1
    (tmp_path / "unknown").mkdir()
    unknown = record_sound(tmp_path / "unknown", replace(track, codec="adpcm_g726"), packets)
    assert len(numbers(unknown)) == len(packets) + 1
    assert "front is recorded without its sound: adpcm_g726 is not copied" in caplog.text


def test_the_oldest_go_by_bytes_and_by_age_and_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "holiday.mkv").write_bytes(bytes(10**6))
    for day in (1, 2, 3):
        old = tmp_path / f"2023-11-0{day}T00-00-00.000Z.mkv"
        old.write_bytes(bytes(100_000))
        os.utime(old, (1_700_000_000 - 86400 * (5 - day),) * 2)
    desk = Desk(tmp_path, keep=Keep(seconds=86400 * 3.5, most_bytes=200_500))
    assert [path.name[:10] for path in desk.files()] == ["2023-11-02", "2023-11-03", "holiday.mk"]
    desk.record(0, 60)
    desk.clock.pass_(LOOK)
    desk.recorder.tick()
    assert [path.name[:10] for path in desk.files()] == ["2023-11-03", "2023-11-14", "holiday.mk"]
    desk.recorder.end()


def test_a_full_disk_takes_the_oldest_then_pauses_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, seconds=1)
    desk.record(0, 100)
    before = desk.files()
    assert len(before) == 4
    desk.free = 0
    desk.clock.pass_(LOOK)
    desk.record(100, 110)
    assert desk.files() == before[-1:], "the newest that is whole stays"
    lost = desk.recorder.lost
    assert lost > 5
    assert "not recorded: there is no room on the disk" in caplog.text
    desk.free = PLENTY
    desk.clock.pass_(LOOK)
    desk.record(110, 120)
    desk.recorder.end()
    assert desk.recorder.lost == lost + 1
    assert [len(numbers(path)) for path in desk.files()] == [25, 9]
    assert "recorded again" in caplog.text


class Full:
    """A file on a disk that has `room` bytes left."""

    def __init__(self, file: IO[bytes], room: list[int]) -> None:
        self._file, self._room = file, room
        self.fileno, self.tell, self.seek, self.close = file.fileno, file.tell, file.seek, file.close

    def write(self, data: bytes) -> int:
        self._room[0] -= len(data)
        if self._room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)


def test_what_was_written_before_the_disk_said_no_plays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, seconds=3)
    room: list[Any] = [20_000]
    desk.open_file = lambda path: Full(open_file(path), room)  # type: ignore[assignment,return-value]
    desk.record(0, 100)
    while room[0] > 0:
        desk.record(100, 150)
    whole = desk.files()
    room[0] = 10**9
    desk.clock.pass_(LOOK)
    desk.record(150, 180)
    desk.recorder.end()
    assert len(desk.files()) >= 2
    assert desk.files()[0] in whole
    assert all(numbers(path) for path in desk.files())
    assert desk.recorder.lost


def test_a_folder_that_is_taken_away_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    desk = Desk(folder, seconds=1)
    desk.record(0, 10)
    folder.rename(tmp_path / "gone")
    desk.record(10, 40)
    assert "not recorded: no such file" in caplog.text
    folder.mkdir()
    desk.clock.pass_(LOOK)
    desk.record(40, 50)
    desk.recorder.end()
    assert len(numbers(desk.files()[0])) == 10


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from live_outputs import shown, sound
from derain.pipeline.sinks.recording import Recording, open_recording
track, packets = sound(20)
sink = open_recording(Recording(Path({folder!r})), "front", lambda camera: [track])
for number in range(500):
    sink.show(shown(number))
    for packet in packets[number * len(packets) // 500 : (number + 1) * len(packets) // 500]:
        sink.packet("front", packet)
    time.sleep(0.004)
    if number == 300:
        print("now", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is not known there")
def test_after_kill_9_what_was_written_plays(tmp_path: Path) -> None:
    script = KILLED.format(tests=str(Path(__file__).parent.parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    (path,) = (tmp_path / "front").glob("*.mkv")
    assert max(times(path)) > 10, "all but the last second or so of 12"
    assert numbers(path)
    assert max(times(path, "audio")) > 10


LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import numpy as np
from live_outputs import Clock, shown
from derain.pipeline.sinks.recording import Recorder, Recording
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
clock = Clock()
recorder = Recorder(Path({folder!r}), "front", Recording(Path({folder!r})), lambda camera: (), clock=clock)
generator = np.random.default_rng(0)
for number in range(150):
    one = shown(number, size=(128, 64))
    one.restored[:] = generator.integers(0, 255, one.restored.shape)
    recorder.frame(one)
    recorder.tick()
    clock.pass_(0.04)
recorder.end()
"""


@pytest.mark.skipif(os.name == "nt", reason="such limits are not known there")
def test_where_the_system_refuses_to_write_on_the_rest_goes_into_files_that_play(tmp_path: Path) -> None:
    script = LIMITED.format(tests=str(Path(__file__).parent.parent), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", script], check=True)
    files = sorted(tmp_path.glob("*.mkv"))
    assert len(files) >= 2
    assert all(len(times(path)) > 0 for path in files)


def test_a_thread_of_its_own_holds_up_nobody(tmp_path: Path) -> None:
    sink = open_recording(Recording(tmp_path), "front", no_tracks)
    for number in range(200):
        sink.show(shown(number))
    sink.show(shown(0, camera="another"))
    began = time.monotonic()
    sink.close()
    sink.close()
    assert time.monotonic() - began < 5
    (path,) = (tmp_path / "front").glob("*.mkv")
    assert len(times(path)) + sink.dropped == 200


def test_what_makes_no_sense_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has 0.1 s; it takes 1 s"):
        Recording(tmp_path, seconds=0.1)
    with pytest.raises(UsageError, match="100kB or more"):
        Recording(tmp_path, most_bytes=10)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"can't be written to \(.*\); name another"):
        folder_for(tmp_path / "file", "front")
