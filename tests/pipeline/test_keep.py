"""`--keep-drops` and `--keep-streaks`: rain of one kind stays in videos, pictures and arrays."""

from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.engines.errors import UsageError
from derain.pipeline import Derainer
from derain.pipeline.cli import run
from derain.pipeline.images import Image, read_image, write_image

DRY, DROPS, STREAKS = np.s_[:, :20], np.s_[:, 20:40], np.s_[:, 40:]
"""Thirds of 60 columns in which the network, which halves all values, sees that rain; each cell is 4 wide."""


def thirds(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[DRY], picture[DROPS], picture[STREAKS] = (0, 0, 200), (200, 0, 0), (0, 200, 0)
    return picture


def check(restored: npt.NDArray[Any], keep: tuple[str, ...]) -> None:
    """What is kept is as it was to the last bit, all else is halved."""
    rainy = thirds(0, 60, 48)
    kept = {"drops": DROPS, "streaks": STREAKS}
    for name, third in kept.items():
        expected = rainy[third] if name in keep else rainy[third] // 2
        assert np.array_equal(restored[third], expected), name
    assert np.array_equal(restored[DRY], rainy[DRY] // 2)


KINDS = pytest.mark.parametrize("keep", [(), ("drops",), ("streaks",), ("drops", "streaks")])


def options(folder: Path, keep: tuple[str, ...]) -> list[str]:
    model = onnx_models.mapped(folder, kernel=1)
    return ["--model", str(model), *(f"--keep-{name}" for name in keep)]


@KINDS
def test_in_a_video(tmp_path: Path, keep: tuple[str, ...]) -> None:
    clip = clips.Clip(codec="ffv1", pixel_format="bgr0", picture=thirds, times=range(2), width=60)
    rainy, clean = clip.write(tmp_path / "rainy.mkv"), tmp_path / "clean.mkv"
    assert run(["video", str(rainy), str(clean), "--codec", "ffv1", *options(tmp_path, keep)]) == 0
    with av.open(str(clean)) as container:
        for frame in container.decode(video=0):
            check(frame.to_ndarray(format="rgb24"), keep)


@KINDS
def test_in_a_picture(tmp_path: Path, keep: tuple[str, ...]) -> None:
    write_image(Image(thirds(0, 60, 48)), tmp_path / "rainy.png")
    files = [str(tmp_path / "rainy.png"), str(tmp_path / "clean.png")]
    assert run(["image", *files, *options(tmp_path, keep)]) == 0
    check(read_image(tmp_path / "clean.png").pixels, keep)


@pytest.mark.parametrize("keep", ["drops", ("drops",), ["drops"]])
def test_in_an_array(tmp_path: Path, keep: str | list[str]) -> None:
    with Derainer(onnx_models.mapped(tmp_path, kernel=1), keep=keep, attention=True) as derainer:
        restored, attention = derainer.with_attention(thirds(0, 60, 48))
        check(restored, ("drops",))
    assert (attention[DROPS] == 200).all(), "the map tells of what is kept too"


@pytest.mark.parametrize("strength", ["0.5", "0"])
def test_strength_is_for_what_is_taken(tmp_path: Path, strength: str) -> None:
    write_image(Image(thirds(0, 60, 48)), tmp_path / "rainy.png")
    files = [str(tmp_path / "rainy.png"), str(tmp_path / "clean.png")]
    words = [*files, *options(tmp_path, ("drops",)), "--strength", strength]
    assert run(["image", *words]) == 0
    restored, rainy = read_image(tmp_path / "clean.png").pixels, thirds(0, 60, 48)
    assert np.array_equal(restored[DROPS], rainy[DROPS])
    assert np.array_equal(restored[STREAKS], rainy[STREAKS] * (1 - float(strength) / 2))


@pytest.mark.parametrize("command", ["video", "image"])
def test_a_network_without_such_a_map_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    rainy, clean = tmp_path / "rainy.png", tmp_path / "clean.png"
    if command == "video":
        rainy, clean = clips.Clip(times=range(2)).write(tmp_path / "rainy.mkv"), tmp_path / "clean.mkv"
    else:
        write_image(Image(thirds(0, 60, 48)), rainy)
    model = onnx_models.attentive(tmp_path)
    assert run([command, str(rainy), str(clean), "--model", str(model), "--keep-streaks"]) == 2
    assert capsys.readouterr().err == (
        f"derain: the model {model} can't keep streaks: it has the attention map rain; "
        "give a network with an attention map of streaks\n"
    )
    assert not clean.exists()
    with pytest.raises(UsageError, match="can't keep snow: it has the attention map rain"):
        Derainer(model, keep=("snow",))
