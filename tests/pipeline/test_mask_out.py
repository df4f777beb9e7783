"""`--mask-out FILE`: where the picture was altered, as a video beside the result or as a PNG."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import media
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.pipeline.cli import run
from derain.pipeline.images import Image, read_image, write_image
from derain.pipeline.pictures.metadata import Metadata
from derain.pipeline.sources.file import FileSource

BLACK, SLIGHT, WHITE = np.s_[:, :20], np.s_[:, 20:40], np.s_[:, 40:]
"""Thirds of 60 columns that the network, which halves all values, changes by nothing, by 2 and by 100."""


def thirds(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[SLIGHT] = (0, 4, 0)
    picture[WHITE] = (200, 0, 0)
    return picture


def clip(**facts: Any) -> clips.Clip:
    lossless = clips.Clip(codec="ffv1", pixel_format="bgr0", picture=thirds, times=range(3), width=60)
    return replace(lossless, **facts)


def video(folder: Path, *options: str | Path, rainy: clips.Clip | None = None) -> int:
    """`derain video rainy.mkv clean.mkv --mask-out mask.mkv OPTIONS`."""
    (rainy or clip()).write(folder / "rainy.mkv")
    files = [folder / "rainy.mkv", folder / "clean.mkv", "--mask-out", folder / "mask.mkv"]
    words = ["video", *files, "--model", onnx_models.mapped(folder), "--codec", "ffv1", *options]
    return run([str(word) for word in words])


def pictures(path: Path) -> list[npt.NDArray[np.int64]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


@pytest.mark.parametrize(("options", "slight"), [([], 0), (["--mask-levels", "0"], 255)])
@pytest.mark.parametrize("further", [[], ["--tile", "24"], ["--compare", "side"]])
def test_it_is_white_where_the_picture_was_altered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], slight: int, further: list[str]
) -> None:
    assert video(tmp_path, *options, *further) == 0
    masks = pictures(tmp_path / "mask.mkv")
    assert [mask.shape for mask in masks] == [(48, 60, 3)] * 3
    for mask in masks:
        assert (mask[BLACK] == 0).all() and (mask[SLIGHT] == slight).all() and (mask[WHITE] == 255).all()
    assert capsys.readouterr().err.endswith(f"written to {tmp_path / 'clean.mkv'}, {tmp_path / 'mask.mkv'}\n")


def test_a_picture_left_as_it_is_gives_a_black_mask(tmp_path: Path) -> None:
    assert video(tmp_path, "--strength", "0", "--mask-levels", "0") == 0
    assert not any(mask.any() for mask in pictures(tmp_path / "mask.mkv"))


def test_time_stamps_time_base_and_sound_are_those_of_the_input(tmp_path: Path) -> None:
    times = [7, 8, 11, 12, 30, 31]
    uneven = clip(times=times, time_base=Fraction(1, 100), audio=["eng"], audio_codec="flac")
    assert video(tmp_path, rainy=uneven) == 0
    rainy, clean, mask = (media.read(tmp_path / f"{name}.mkv") for name in ("rainy", "clean", "mask"))
    assert mask.times == clean.times == rainy.times == [Fraction(time, 100) for time in times]
    assert [stream.packets for stream in mask.others()] == [stream.packets for stream in rainy.others()]


def test_of_ten_bits_the_levels_are_those_of_eight(tmp_path: Path) -> None:
    deep = clip(pixel_format="yuv444p10le")
    for levels, slight in (("3", 0), ("1", 65535)):
        assert video(tmp_path, "--mask-levels", levels, "--overwrite", rainy=deep) == 0
        assert media.read(tmp_path / "mask.mkv").pixel_format == "yuv444p10le"
        with FileSource(tmp_path / "mask.mkv") as source:
            mask = next(iter(source)).pixels.astype(int)
        assert mask.shape == (48, 60, 3) and mask[BLACK].max() == 0 and mask[WHITE].min() >= 65500
        assert np.abs(mask[SLIGHT] - slight).max() < 64


def test_json_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert video(tmp_path, "--rain-layer", tmp_path / "rain.mkv", "--json") == 0
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    files = [str(tmp_path / f"{name}.mkv") for name in ("clean", "rain", "mask")]
    assert events[0]["outputs"] == events[-1]["files"] == files


def test_a_mask_that_would_replace_a_file_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mask.mkv").write_text("mine")
    assert video(tmp_path) == 2
    assert f"{tmp_path / 'mask.mkv'} exists" in capsys.readouterr().err
    assert (tmp_path / "mask.mkv").read_text() == "mine" and not (tmp_path / "clean.mkv").exists()
    for option, other in (("clean.mkv", "output"), ("rainy.mkv", "input")):
        assert video(tmp_path, "--mask-out", tmp_path / option) == 2
        assert f"the mask {tmp_path / option} is the same file as the {other}" in capsys.readouterr().err


def test_levels_that_can_not_be_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert video(tmp_path, "--mask-levels", "255") == 2
    assert "--mask-levels takes a whole number from 0 to 254, not '255'" in capsys.readouterr().err


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture that a viewer turns, with a profile of its colours and a transparent corner."""
    alpha = np.full((48, 60), 255, np.uint8)
    alpha[:9, :9] = 0
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    write_image(Image(thirds(0, 60, 48), alpha, Metadata(exif=exif, dpi=(300, 300))), tmp_path / "a.png")
    return tmp_path / "a.png"


def image(folder: Path, *words: str | Path) -> int:
    return run(["image", *map(str, words), "--model", str(onnx_models.mapped(folder))])


@pytest.mark.parametrize(("options", "slight"), [([], 0), (["--mask-levels", "0"], 255)])
def test_of_a_picture_it_is_a_grey_png_turned_alike(
    photo: Path, tmp_path: Path, options: list[str], slight: int
) -> None:
    assert image(tmp_path, photo, tmp_path / "clean.png", "--mask-out", tmp_path / "mask.png", *options) == 0
    mask = read_image(tmp_path / "mask.png")
    assert mask.pixels.shape == (48, 60) and mask.pixels.dtype == np.uint8 and mask.alpha is None
    assert not mask.pixels[BLACK].any()
    assert (mask.pixels[SLIGHT] == slight).all() and (mask.pixels[WHITE] == 255).all()
    assert mask.metadata.exif == read_image(photo).metadata.exif


def test_of_a_deep_grey_picture_too(tmp_path: Path) -> None:
    grey = thirds(0, 60, 48).max(axis=2).astype(np.uint16) * 257
    write_image(Image(grey), tmp_path / "deep.png")
    assert image(tmp_path, tmp_path / "deep.png", tmp_path / "c.png", "--mask-out", tmp_path / "m.png") == 0
    mask = read_image(tmp_path / "m.png").pixels
    assert (mask == np.where(thirds(0, 60, 48).max(axis=2) == 200, 255, 0)).all()


def test_masks_of_a_folder_are_pngs_by_the_names_of_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("a.jpg", "more/b.tif"):
        write_image(Image(thirds(0, 60, 48)), tmp_path / "photos" / name)
    masks = tmp_path / "photos" / "masks"
    for _ in range(2):
        words = (tmp_path / "photos", tmp_path / "clean", "--mask-out", masks, "--overwrite")
        assert image(tmp_path, *words) == 0
    assert sorted(path.relative_to(masks) for path in masks.rglob("*.*")) == [
        Path("a.png"), Path("more/b.png"),
    ]  # fmt: skip
    assert (read_image(masks / "more/b.png").pixels[WHITE] == 255).all()
    assert image(tmp_path, tmp_path / "photos/a.jpg", tmp_path / "one.jpg", "--mask-out", tmp_path) == 0
    assert read_image(tmp_path / "a.png").pixels.shape == (48, 60)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mask.jpg", "mask.jpg is not a PNG by its name; give one that ends in .png"),
        ("clean.png", "clean.png would be written twice"),
        ("a.png", "a.png is the picture to be restored itself"),
        ("there.png", "there.png exists; --overwrite replaces it"),
        ("none/mask.png", "to write mask.png into"),
    ],
)
def test_masks_that_can_not_be_written_are_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    (tmp_path / "there.png").write_text("mine")
    assert image(tmp_path, photo, tmp_path / "clean.png", "--mask-out", tmp_path / name) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "clean.png").exists() and (tmp_path / "there.png").read_text() == "mine"
