"""The reader's own process: killed, crashed, hung, orphaned; and the memory that frames come through."""

import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from clips import Clip
from live_sources import LONG, QUICK, SLACK, STOPS, Eye, readers, watched

from derain.engines.engine import Pixels
from derain.pipeline.frame import Colour
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.seam import State
from derain.pipeline.sources.apart import Apart
from derain.pipeline.sources.lasting import LastingSource
from derain.pipeline.sources.ring import Handing, Memory, look, new_memory
from derain.pipeline.sources.telling import Facts, Filled

CAMERA = "rtsp://bob:hunter2@127.0.0.1/live"


def facts(number: int) -> Facts:
    return Facts(number, Fraction(1, 25), 1, Colour(), False, 0.0, (number + 1, 0))


def grey(level: int, width: int = 40) -> Pixels:
    return np.full((30, width, 3), level, np.uint8)


class Sides:
    """Both sides of the memory, in one process."""

    def __init__(self, waits: bool = False) -> None:
        descriptor = new_memory()
        self.told: list[Filled] = []
        self.handing = Handing(Memory(descriptor, "derain-test"), self.told.append, waits)
        self._there = Memory(os.dup(descriptor), "derain-test")

    def take(self, number: int) -> Pixels:
        """Takes over the frame that was told of as the `number`th."""
        pixels = look(self._there, self.told[number])
        self.handing.taken_over()
        return pixels


def test_of_frames_that_nobody_takes_over_the_newest_is_kept() -> None:
    sides = Sides()
    for number in range(10):
        sides.handing.give(grey(number), facts(number))
    assert [one.facts.pts for one in sides.told] == [0, 1]
    assert [int(sides.take(0)[0, 0, 0]), int(sides.take(1)[0, 0, 0])] == [0, 1]
    assert [one.facts.pts for one in sides.told] == [0, 1, 9]
    assert (sides.take(2) == 9).all()


def test_frames_may_grow_and_shrink_and_change_their_depth() -> None:
    sides = Sides()
    for number, pixels in enumerate(
        (grey(1), grey(2, 400), grey(3, 7), grey(4, 400).astype(np.uint16) * 257)
    ):
        sides.handing.give(pixels, facts(number))
        assert np.array_equal(sides.take(number), pixels)


def test_who_must_not_lose_a_frame_waits_for_a_place() -> None:
    sides = Sides(waits=True)

    def give() -> None:
        for number in range(8):
            sides.handing.give(grey(number), facts(number))

    thread = threading.Thread(target=give)
    thread.start()
    for number in range(8):
        while len(sides.told) <= number:
            time.sleep(0.001)
        assert (sides.take(number) == number).all()
    thread.join(LONG)
    assert not thread.is_alive()


def lasting(program: str, **options: float) -> Eye:
    """A source whose reader is `program`, in Python."""
    starter = partial(Apart, program=(sys.executable, "-c", program))
    return Eye(LastingSource("cam", parse_address(CAMERA), SourceOptions(**{**QUICK, **options}), starter))


def children() -> set[int]:
    """Of this process; what other tests began may be among them, as the tracker of multiprocessing is."""
    return {child.pid for child in psutil.Process().children()}


def test_a_reader_that_crashes_is_told_with_its_last_words_but_not_the_password() -> None:
    eye = lasting("import sys; sys.exit('opening rtsp://bob:hunter2@127.0.0.1/live went wrong')")
    with eye:
        eye.source.start(eye.frames.append)
        eye.state(State.AWAY)
        assert eye.source.said.endswith(" the code 1: opening rtsp://***@127.0.0.1/live went wrong")
        eye.stop()


def test_a_reader_that_hears_nothing_and_says_nothing_is_killed() -> None:
    others = children()
    eye = lasting("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)")
    with eye:
        eye.source.start(eye.frames.append)
        eye.until(lambda: children() > others)
        eye.stop()
    assert children() <= others


def test_a_source_may_be_stopped_before_it_began_and_at_any_moment() -> None:
    others = children()
    eye = lasting("")
    eye.stop()
    eye.source.start(eye.frames.append)
    assert eye.source.state is State.ENDED
    for moment in (0.0, 0.05, 0.3):
        eye = lasting("import time; time.sleep(600)")
        eye.source.start(eye.frames.append)
        time.sleep(moment)
        eye.stop()
    assert children() <= others


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to be read again and again."""
    return Clip().write(tmp_path_factory.mktemp("apart") / "clip.mp4")


def test_a_reader_killed_from_outside_is_no_end_of_the_program(clip: Path) -> None:
    with watched(str(clip), loop=True) as eye:
        eye.more(2)
        os.kill(readers(os.getpid())[0], signal.SIGKILL)
        eye.state(State.ENDED)
        assert "ended with the code -9" in eye.source.said


PARENT = """
import sys, time
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions, open_live
source = open_live(parse_address(sys.argv[1]), "cam", SourceOptions(loop=True))
source.start(lambda taken: print("frame", flush=True))
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_reader_ends_with_a_parent_that_is_killed(clip: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(clip)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        (reader,) = readers(parent.pid)
        parent.kill()
    end = time.monotonic() + LONG
    while psutil.pid_exists(reader) and psutil.Process(reader).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
def test_nothing_stays_open_behind_sources(clip: Path) -> None:
    def once() -> int:
        with watched(str(clip), loop=True) as eye:
            eye.more(2)
        return len(list(Path("/proc/self/fd").iterdir()))

    shared = set(Path("/dev/shm").iterdir()) if Path("/dev/shm").exists() else set()
    first = once()
    assert once() == first
    assert not Path("/dev/shm").exists() or not {
        path for path in set(Path("/dev/shm").iterdir()) - shared if "derain" in path.name
    }


def test_many_sources_stop_at_once(clip: Path) -> None:
    eyes = [lasting("import time; time.sleep(600)") for _ in range(3)]
    for eye in eyes:
        eye.source.start(eye.frames.append)
    began = time.monotonic()
    threads = [threading.Thread(target=eye.source.stop) for eye in eyes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert time.monotonic() - began < STOPS + SLACK
