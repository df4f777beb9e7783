"""Runs that begin well and end badly, and odd inputs that must end well."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.pipeline.cli import run

DERAIN = [sys.executable, "-m", "derain.pipeline"]


def arguments(source: Path, target: Path, *options: str | Path) -> list[str]:
    words = ["video", source, target, "--model", onnx_models.identity(target.parent), *options]
    return [str(word) for word in words]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def noisy(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Pictures that take many bytes."""
    shape = (height, width, 3)
    return np.random.default_rng(number).integers(0, 255, shape, np.uint8)


def test_a_truncated_file_is_restored_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = clips.Clip(times=range(50), picture=noisy, container_options={"movflags": "faststart"})
    whole = clip.write(tmp_path / "whole.mp4").read_bytes()
    source, target = tmp_path / "cut.mp4", tmp_path / "clean.mp4"
    source.write_bytes(whole[: len(whole) * 2 // 3])
    code = run(arguments(source, target))
    said = capsys.readouterr().err
    assert code == 1
    assert 10 < frames_in(target) < 50
    assert f"{frames_in(target)} frames in " in said
    assert said.splitlines()[-1].startswith(f"derain: {source} ends early")
    assert names(tmp_path) == {"whole.mp4", "cut.mp4", "clean.mp4", "identity.onnx"}


def test_damaged_packets_are_held_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = clips.Clip(times=range(30), codec="mjpeg", pixel_format="yuvj420p", picture=noisy)
    source, target = clip.write(tmp_path / "rainy.mkv"), tmp_path / "clean.mkv"
    damage(source, packets=(10, 20))
    assert run(arguments(source, target)) == 0
    assert frames_in(target) == 30
    assert "30 frames in" in (said := capsys.readouterr().err)
    assert "2 held because they were damaged" in said


def damage(path: Path, packets: Sequence[int]) -> None:
    """Overwrites some packets with noise."""
    with av.open(str(path)) as container:
        video = [packet for packet in container.demux(video=0) if packet.size]
        places = [(bytes(video[number]), number) for number in packets]
    content = path.read_bytes()
    for packet, number in places:
        noise = np.random.default_rng(number).bytes(len(packet))
        content = content.replace(packet, noise)
    path.write_bytes(content)


def test_a_change_of_size_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = clips.Clip().write(tmp_path / "small.ts").read_bytes()
    big = clips.Clip(times=range(12, 24), width=96, height=64).write(tmp_path / "big.ts").read_bytes()
    source, target = tmp_path / "both.ts", tmp_path / "clean.mp4"
    source.write_bytes(small + big)
    assert run(arguments(source, target)) == 1
    said = capsys.readouterr().err
    assert "change from 64x48 to 96x64" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert names(tmp_path) == {"small.ts", "big.ts", "both.ts", "identity.onnx"}


@pytest.mark.parametrize("size", [(1, 1), (1, 48), (64, 1), (3, 5), (63, 47), (17, 2)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_odd_sizes_and_single_pixels_work(size: tuple[int, int], ending: str, tmp_path: Path) -> None:
    width, height = size
    clip = clips.Clip(times=range(3), codec="libvpx-vp9", width=width, height=height)
    source, target = clip.write(tmp_path / "rainy.mkv"), tmp_path / f"clean.{ending}"
    model = str(onnx_models.unshuffle(tmp_path, factor=4))
    assert run(["video", str(source), str(target), "--model", model]) == 0
    with av.open(str(target)) as container:
        pictures = list(container.decode(video=0))
    assert [(picture.width, picture.height) for picture in pictures] == [size] * 3


@pytest.mark.skipif(os.name == "nt", reason="Windows can't limit the size of files")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    source = clips.Clip(times=range(60), picture=noisy).write(tmp_path / "rainy.mp4")
    line = arguments(source, tmp_path / "clean.mp4")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));"
    limited += "from derain.pipeline.cli import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", limited, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"derain: {tmp_path / 'clean.mp4'} can't be written")
    assert "Traceback" not in done.stderr
    assert names(tmp_path) == {"rainy.mp4", "identity.onnx"}


def interrupted(line: Sequence[str], by: str) -> tuple[int, list[dict[str, Any]]]:
    """Runs a long job with --json, sends a signal once frames were written; its exit code and events."""
    job = subprocess.Popen([*DERAIN, *line, "--json"], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    events, sent = [], False
    for told in job.stdout:
        events.append(json.loads(told))
        if events[-1]["event"] == "progress" and events[-1]["frames"] > 5 and not sent:
            job.send_signal(getattr(signal, by))
            sent = True
    job.stdout.close()
    return job.wait(60), events


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to the whole console")
@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_and_its_kin_keep_a_playable_partial_file(by: str, tmp_path: Path) -> None:
    source = clips.Clip(times=range(1000), audio=("eng",)).write(tmp_path / "rainy.mp4")
    target, partial = tmp_path / "clean.mp4", tmp_path / "clean.partial.mp4"
    slow = onnx_models.unshuffle(tmp_path, factor=1, channels=64, layers=8)
    code, events = interrupted(["video", str(source), str(target), "--model", str(slow)], by)
    assert code == 130
    assert names(tmp_path) == {"rainy.mp4", "unshuffle.onnx", "clean.partial.mp4"}
    assert events[-1]["event"] == "end"
    assert events[-1]["status"] == "interrupted"
    assert events[-1]["files"] == [str(partial)]
    assert 5 < frames_in(partial) == events[-1]["frames"]
    with av.open(str(partial)) as container:
        assert len(container.streams.audio) == 1


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
def test_closed_streams_are_no_reason_to_fail(tmp_path: Path) -> None:
    """As `2>&-` closes them: what a library says must not go into the video that gets their number."""
    source = clips.Clip().write(tmp_path / "rainy.mp4")
    line = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *DERAIN, *arguments(source, tmp_path / "clean.mp4")]
    assert subprocess.run(line, check=False).returncode == 0
    assert frames_in(tmp_path / "clean.mp4") == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_behind_stdout_is_told(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path)
    source = clips.Clip().write(tmp_path / "rainy.mp4")
    video = arguments(source, tmp_path / "clean.mp4", "--json")
    for line in (["models", str(model)], video):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*DERAIN, *line], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 1
        (said,) = done.stderr.splitlines()
        assert said.startswith("derain: ") and "no space left on device" in said.lower()
    assert names(tmp_path) == {"rainy.mp4", "identity.onnx"}


def test_a_failing_encoder_ends_the_run_without_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that fails mid-way: one sentence, no thread, no file."""
    source = clips.Clip(times=range(40)).write(tmp_path / "rainy.mp4")
    line = arguments(source, tmp_path / "clean.mp4")
    calls: list[int] = []

    def fails(self: object, pixels: object) -> None:
        calls.append(1)
        raise RuntimeError("the device is gone")

    monkeypatch.setattr("derain.pipeline.restore.Restorer.__call__", fails)
    assert run(line) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == (
        "derain: the restore stage failed after 0 frames written: RuntimeError: the device is gone"
    )
    assert calls == [1]
    assert names(tmp_path) == {"rainy.mp4", "identity.onnx"}
