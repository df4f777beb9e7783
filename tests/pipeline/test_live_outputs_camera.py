"""A real camera, recorded, kept as evidence and streamed, through a restart: GStreamer's RTSP server."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import rtsp_server
from live_outputs import times
from live_sources import QUICK

from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions, open_live
from derain.pipeline.live.seam import Control, Figures, LiveSink, LiveSource, Packet, Shown, Taken
from derain.pipeline.sinks.evidence_book import verify
from derain.pipeline.sinks.live_outputs import Needs, open_output


class NoControl(Control):
    def figures(self) -> Figures:
        return Figures((), "", "", "", 0.0, 0)

    def set_strength(self, camera: str, strength: float) -> None: ...


class Run:
    """A camera whose frames are not altered, shown by outputs."""

    def __init__(self, source: LiveSource, outputs: Sequence[str]) -> None:
        self.source, self.count = source, 0
        needs = Needs([source.name], NoControl(), lambda camera: source.tracks)
        self.sinks: list[LiveSink] = [open_output(text, needs) for text in outputs]
        source.start(self.give, self.packet)

    def give(self, taken: Taken) -> None:
        self.count += 1
        for sink in self.sinks:
            sink.show(Shown(self.source.name, taken, taken.frame.pixels))

    def packet(self, packet: Packet) -> None:
        for sink in self.sinks:
            sink.packet(self.source.name, packet)

    def wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 40
        while not done():
            assert time.monotonic() < deadline, f"it does not happen: {self.source.said}"
            time.sleep(0.05)

    def close(self) -> None:
        self.source.stop()
        for sink in self.sinks:
            sink.close()


def pictures(path: Path) -> int:
    with av.open(str(path)) as container:
        return len(list(container.decode(video=0)))


def test_a_camera_is_recorded_and_kept_with_its_sound_through_a_restart(tmp_path: Path) -> None:
    outputs = [f"record:{tmp_path}/r", f"evidence:{tmp_path}/e?segment=1s", f"hls:{tmp_path}/h?most=100"]
    with rtsp_server.camera(audio=True) as camera:
        run = Run(open_live(parse_address(camera.url()), "front", SourceOptions(**QUICK)), outputs)
        run.wait(lambda: run.count >= 30)
        camera.kill()
        before = run.count
        time.sleep(3)
        camera.start(audio=True)
        run.wait(lambda: run.count >= before + 30)
        run.close()
    first, second = sorted((tmp_path / "r" / "front").glob("*.mkv"))
    for path in (first, second):
        seen, heard = times(path), times(path, "audio")
        assert len(seen) >= 20
        assert len(heard) > 10
        assert abs(heard[-1] - seen[-1]) < 0.5, "sound and picture end together"
    assert verify(tmp_path / "e").faults == ()
    segments = sorted(path for path in (tmp_path / "e" / "front").iterdir() if path.is_dir())
    assert len(segments) >= 3
    counts = [(pictures(path / "original.mkv"), pictures(path / "restored.mkv")) for path in segments]
    assert all(original >= restored > 0 for original, restored in counts), counts
    played = times(tmp_path / "h" / "front" / "live.m3u8")
    assert all(after > before for before, after in itertools.pairwise(played))
    assert max(np.diff(played)) < 2.5, "the stub goes on meanwhile"
