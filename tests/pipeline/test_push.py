"""Streams pushed to a far end that is another process: what comes out there, and what a bad one does."""

import itertools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import rtsp_server
from live_outputs import number_of, shown, sound, times

from derain.engines.errors import UsageError
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.seam import LiveSink, Packet, Shown, Track
from derain.pipeline.sinks.coder import LIVE, Coder
from derain.pipeline.sinks.hls import PLAYLIST, Hls, open_hls
from derain.pipeline.sinks.lasting import Lasting
from derain.pipeline.sinks.own_thread import OwnThread
from derain.pipeline.sinks.push import Line, open_push

TESTS = Path(__file__).parent.parent


def no_tracks(camera: str) -> Sequence[Track]:
    return ()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def receiver(address: str, options: dict[str, str], seconds: float) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(TESTS / "receiver.py"), address, json.dumps(options), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        try:
            yield process
        finally:
            process.kill()


def got(process: "subprocess.Popen[str]") -> tuple[list[tuple[float, int]], int]:
    """(time, number) of each picture, and how many packets of sound."""
    assert process.stdout is not None
    answer = json.loads(process.stdout.readline())
    return answer["seen"], answer["heard"]


def feed(sink: LiveSink, first: int, last: int, packets: Sequence[Packet] = ()) -> None:
    for number in range(first, last):
        sink.show(shown(number))
        for packet in packets[number * len(packets) // last : (number + 1) * len(packets) // last]:
            sink.packet("front", packet)
        time.sleep(0.04)


def begin(sink: OwnThread) -> None:
    """Sends frame 0 until the far end has it: a process must start for that."""
    assert isinstance(sink.work, Lasting)
    deadline = time.monotonic() + 30
    while not sink.work.works and time.monotonic() < deadline:
        sink.show(shown(0))
        time.sleep(0.04)
    assert sink.work.works


def whole(seen: list[tuple[float, int]], least: int) -> None:
    """The frames came in their order, at times that go forward."""
    assert len(seen) >= least
    assert all(after[0] > before[0] for before, after in itertools.pairwise(seen))
    steps = [(after[1] - before[1]) % 30 for before, after in itertools.pairwise(seen)]
    assert max(steps) <= 15, "numbers go on"


def test_mpeg_ts_over_udp_arrives_with_its_sound_and_its_stub() -> None:
    port = free_port(socket.SOCK_DGRAM)
    track, packets = sound(3.0)
    sink = open_push(parse_address(f"udp://127.0.0.1:{port}"), "front", lambda camera: [track])
    with receiver(f"udp://127.0.0.1:{port}?fifo_size=1000&overrun_nonfatal=1", {}, 5.0) as process:
        begin(sink)
        feed(sink, 1, 66, packets)
        seen, heard = got(process)
        sink.close()
    whole([one for one in seen if one[1] >= 0], 30)
    assert heard > 15
    stubs = [one for one in seen if one[1] < 0]
    assert stubs, "the stub is darker than any frame"


def test_rtmp_arrives() -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/front"
    track, packets = sound(3.0)
    with receiver(address, {"listen": "1"}, 2.0) as process:
        sink = open_push(parse_address(address), "front", lambda camera: [track])
        begin(sink)
        feed(sink, 1, 60, packets)
        sink.close()
        seen, heard = got(process)
    whole(seen, 25)
    assert heard > 10


def test_a_far_end_that_comes_back_gets_the_stream_again() -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/front"
    with receiver(address, {"listen": "1"}, 60):
        sink = open_push(parse_address(address), "front", no_tracks)
        begin(sink)
        feed(sink, 1, 20)
    with receiver(address, {"listen": "1"}, 1.0) as process:
        threading.Thread(target=feed, args=(sink, 50, 250), daemon=True).start()
        seen, _ = got(process)
    sink.close()
    assert len(seen) >= 10
    assert all(after[0] > before[0] for before, after in itertools.pairwise(seen))
    assert seen[0][0] > 1, "times go on"


@pytest.mark.skipif(
    bool(rtsp_server.what_is_missing()) and not os.environ.get("DERAIN_EXPECT_RTSP"),
    reason=f"no RTSP server here; apt install {rtsp_server.PACKAGES}",
)
def test_a_real_rtsp_server_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "taken.ts"
    command = [rtsp_server.PYTHON, str(TESTS / "rtsp_recorder.py"), str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split()[1])
        sink = open_push(parse_address(f"rtsp://user:secret@127.0.0.1:{port}/live"), "front", no_tracks)
        begin(sink)
        feed(sink, 1, 50)
        sink.close()
        time.sleep(0.5)
        server.communicate("")
    with av.open(str(file)) as container:
        numbers = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert len(numbers) >= 30
    assert len(times(file)) >= 30


@contextmanager
def silent_server() -> Iterator[int]:
    """It accepts, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    kept.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        for one in kept:
            one.close()


def noisy(number: int) -> Shown:
    """A frame that makes much to send."""
    one = shown(number, size=(320, 240))
    one.restored[:] = np.random.default_rng(number).integers(0, 255, one.restored.shape)
    return one


@pytest.mark.skipif(os.name == "nt", reason="such alarms are not known there")
def test_a_process_that_nobody_is_left_to_end_ends_by_itself() -> None:
    command = [sys.executable, "-m", "derain.pipeline.sinks.push_program"]
    with (
        silent_server() as port,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdin is not None
        begin: Any = (f"rtmp://127.0.0.1:{port}/live/x", "flv", (64, 48), (), {}, 1)
        pickle.dump(begin, process.stdin)
        for packet in Coder((64, 48), 25, LIVE).encode(shown(0).restored, 0.0):
            pickle.dump(("picture", bytes(packet), packet.pts, packet.dts, True), process.stdin)
        process.stdin.close()
        assert process.wait(30) == -signal.SIGALRM


def test_a_far_end_that_never_answers_holds_up_nobody() -> None:
    with silent_server() as port:
        sink = open_push(parse_address(f"rtmp://127.0.0.1:{port}/live/front"), "front", no_tracks)
        began = time.monotonic()
        for number in range(40):
            sink.show(noisy(number))
        assert time.monotonic() - began < 1, "show returns at once"
        deadline = time.monotonic() + 20
        while not sink.work.lost and time.monotonic() < deadline:  # type: ignore[attr-defined]
            sink.show(noisy(40))
            time.sleep(0.04)
        assert sink.work.lost, "what nobody takes is left out before it is coded"  # type: ignore[attr-defined]
        began = time.monotonic()
        sink.close()
        assert time.monotonic() - began < 5


def test_one_that_never_answers_is_given_up() -> None:
    with silent_server() as port:
        line = Line(parse_address(f"rtmp://127.0.0.1:{port}/live/x"), (64, 48), [], stall=1.0)
        for packet in Coder((64, 48), 25, LIVE).encode(shown(0).restored, 0.0):
            line.picture(packet)
        assert line.ready()
        deadline = time.monotonic() + 20
        with pytest.raises(OSError, match="the far end does not answer"):
            while time.monotonic() < deadline:
                line.ready()
                time.sleep(0.1)
        line.close()


def test_why_it_failed_is_told_without_credentials(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    sink = open_push(parse_address(f"rtsp://eve:hunter22@127.0.0.1:{port}/live"), "front", no_tracks)
    deadline = time.monotonic() + 20
    listed = ""
    while "is away" not in caplog.text and time.monotonic() < deadline:
        feed(sink, 0, 2)
        listed += "".join(str(process.info) for process in psutil.process_iter(["cmdline"]))
    sink.close()
    assert "push_program" in listed
    assert "hunter22" not in listed.replace(" ", "")
    assert (
        f"the stream to rtsp://***@127.0.0.1:{port}/live of front is away and is tried again" in caplog.text
    )
    assert "connection refused" in caplog.text
    assert "hunter22" not in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://host/x", "nothing is pushed to http://host/x; take rtsp"),
        ("udp://@:5000", "names no host to push to"),
    ],
)
def test_what_nothing_is_pushed_to_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_push(parse_address(text), "front", no_tracks)


def test_hls_plays_while_it_grows_and_keeps_few_segments(tmp_path: Path) -> None:
    sink = open_hls(Hls(tmp_path, seconds=0.5, most=3), "front", no_tracks)
    feed(sink, 0, 100)
    playlist = tmp_path / "front" / PLAYLIST
    assert "#EXT-X-ENDLIST" not in playlist.read_text()
    segments = sorted(path.name for path in (tmp_path / "front").glob("*.ts"))
    assert 3 <= len(segments) <= 6
    sink.close()
    with receiver(str(playlist), {}, 30) as process:
        seen, _ = got(process)
    whole(seen, 20)
    lengths = [float(line[8:-1]) for line in playlist.read_text().splitlines() if line.startswith("#EXTINF")]
    assert min(lengths) > 0
    sink = open_hls(Hls(tmp_path, seconds=0.5, most=20), "front", no_tracks)
    feed(sink, 0, 40)
    sink.close()
    text = playlist.read_text()
    assert "#EXT-X-DISCONTINUITY" in text, "a new run goes on"
    assert not {"live-000000.ts"} & {path.name for path in (tmp_path / "front").glob("*.ts")}


def test_what_makes_no_sense_of_hls_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"takes 0.5 s to 60 s"):
        Hls(tmp_path, seconds=0.1)
    with pytest.raises(UsageError, match="takes 2 to 10000"):
        Hls(tmp_path, most=1)
