"""Streams that go wrong: hosts that say nothing, or nonsense; packets that are lost on the way."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from live_sources import watched

from derain.engines.errors import UsageError
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions, knows_srt, open_live
from derain.pipeline.live.seam import State
from derain.pipeline.sources import marks
from derain.pipeline.sources.pattern import Scenery

SIZE, RATE = (160, 120), Fraction(15)


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A port where every caller gets `answer` and is left hanging; None: where nobody answers at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    call, _ = server.accept()
                except OSError:
                    return
                calls.append(call)
                call.sendall(answer or b"")

        thread = threading.Thread(target=take, daemon=True)
        if answer is not None:
            thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for call in calls:
                call.close()
            if answer is not None:
                thread.join()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_takes_the_call_and_says_nothing_is_given_up_in_time(scheme: str) -> None:
    with answering(None) as port, watched(f"{scheme}://127.0.0.1:{port}/live", open_timeout=0.5) as eye:
        eye.state(State.AWAY)
        assert eye.source.said == "no answer within 0.5 s"


def test_a_source_is_stopped_while_it_waits_for_an_answer() -> None:
    with answering(None) as port, watched(f"rtsp://127.0.0.1:{port}/live") as eye:
        assert eye.source.state is State.OPENING


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("rtsp", os.urandom(4096)),
        ("http", b"HTTP/1.0 200 OK\r\nContent-Type: video/mp4\r\n\r\n" + bytes(range(256)) * 64),
    ],
)
def test_a_host_that_talks_nonsense_is_away(scheme: str, answer: bytes) -> None:
    with answering(answer) as port, watched(f"{scheme}://127.0.0.1:{port}/live", open_timeout=1.0) as eye:
        eye.state(State.AWAY)
        assert eye.source.said and not eye.frames


def test_where_nothing_listens_is_told_and_tried_again_and_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with watched(f"rtsp://bob:hunter2@127.0.0.1:{port}/live") as eye:
        eye.state(State.AWAY)
        assert eye.source.said == "nothing listens at this address (connection refused)"


def test_a_host_that_has_no_address_is_told() -> None:
    host = f"{'a' * 64}.invalid"  # too long to be asked for
    with watched(f"rtsp://bob:hunter2@{host}/live") as eye:
        eye.state(State.AWAY)
        assert eye.source.said.startswith(f"failed to resolve hostname {host}")


class Sender(threading.Thread):
    """Sends the test pattern as MPEG-TS over UDP to a port. While `harm` is set every seventh packet of 188
    bytes is lost, or noise is sent in its place."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.harm, self.over = threading.Event(), threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._sent = 0

    def write(self, data: bytes) -> int:
        """What FFmpeg writes to."""
        for at in range(0, len(data), 188):
            self._sent += 1
            part = data[at : at + 188]
            if self.harm.is_set() and self._sent % 7 == 0:
                part = os.urandom(188) if self._sent % 3 == 0 else b""
            with suppress(ConnectionRefusedError):  # nobody listens yet
                self._socket.send(part)
        return len(data)

    def run(self) -> None:
        """Sends until it is over."""
        scenery = Scenery(SIZE, RATE)
        to: Any = self
        options = {"tune": "zerolatency", "preset": "ultrafast", "g": "10", "threads": "1"}
        with av.open(to, "w", format="mpegts", options={"flush_packets": "1"}) as output:
            stream: Any = output.add_stream("libx264", rate=int(RATE), options=options)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            number = 0
            while not self.over.wait(1 / float(RATE)):
                pixels = scenery.rainy(number)
                marks.burn(pixels, marks.Mark(number, 0))
                output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
                number += 1
        self._socket.close()


@pytest.fixture
def sender() -> Iterator[tuple[Sender, int]]:
    """One that sends, and its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = Sender(port)
    one.start()
    yield one, port
    one.over.set()
    one.join()


def test_of_a_stream_that_loses_packets_no_damaged_picture_is_shown(sender: tuple[Sender, int]) -> None:
    one, port = sender
    with watched(f"udp://127.0.0.1:{port}") as eye:
        eye.more(8)
        one.harm.set()
        eye.until(lambda: eye.source.counts.held >= 8)
        one.harm.clear()
        eye.until(lambda: not eye.frames[-1].frame.held)
        eye.more(8)
        assert eye.source.counts.reconnects == 0
    errors: list[float] = []
    scenery, before = Scenery(SIZE, RATE), eye.frames[0].frame.pixels
    for taken in eye.frames:
        pixels = taken.frame.pixels
        if taken.frame.held:
            assert np.array_equal(pixels, before)
        else:
            mark = marks.read(pixels)
            assert mark is not None
            top = marks.marked_height(SIZE[1])
            error = np.abs(scenery.rainy(mark.number)[top:].astype(int) - pixels[top:]).mean()
            errors.append(float(error))
        before = pixels
    assert max(errors) < 6


@pytest.mark.skipif(knows_srt(), reason="this FFmpeg has SRT")
def test_srt_is_refused_before_the_start_where_ffmpeg_has_none() -> None:
    with pytest.raises(UsageError, match=r"no SRT for srt://host:9000\?passphrase=\*\*\*; build PyAV"):
        open_live(parse_address("srt://host:9000?passphrase=hunter2"), "cam", SourceOptions())


class Pages(SimpleHTTPRequestHandler):
    """A folder, and at /camera the MJPEG stream that web cameras give, ten pictures of it."""

    def do_GET(self) -> None:
        if self.path != "/camera":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for number in range(10):
            pixels = Scenery(SIZE, RATE).rainy(number)[..., ::-1]
            data = cv2.imencode(".jpg", pixels)[1].tobytes()
            self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            self.wfile.write(data + b"\r\n")
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server with an HLS stream of two seconds, cut into pieces."""
    options = {"tune": "zerolatency", "preset": "ultrafast", "g": "8", "threads": "1"}
    with av.open(
        str(tmp_path / "live.m3u8"), "w", format="hls", options={"hls_time": "0.5", "hls_list_size": "0"}
    ) as output:
        stream: Any = output.add_stream("libx264", rate=int(RATE), options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(30):
            picture = av.VideoFrame.from_ndarray(Scenery(SIZE, RATE).rainy(number), "rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    handler = partial(Pages, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_mjpeg_over_http_is_read_and_begun_anew_when_it_ends(site: str) -> None:
    with watched(f"{site}/camera") as eye:
        eye.epoch(1)
        info = eye.source.info
        assert info is not None and (info.codec, info.width) == ("mjpeg", 160)
        assert eye.source.counts.reconnects == 1 and eye.source.counts.held == 0


def test_hls_comes_in_pieces_and_is_played_at_its_own_pace(site: str) -> None:
    with watched(f"{site}/live.m3u8") as eye:
        eye.more(20)
        assert {one.epoch for one in eye.frames} == {0}
    first, last = eye.frames[0], eye.frames[19]
    assert first.frame.pts is not None and last.frame.pts is not None
    seconds = float((last.frame.pts - first.frame.pts) * first.frame.time_base)
    assert last.arrived - first.arrived > seconds - 0.2
