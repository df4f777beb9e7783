"""Pairs as they come from the disk, and everything that is wrong with them told by name."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import paired_sets
import pytest
from data_folder import data_folder
from paired_sets import RGB, plain, rained, scene, write

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.pictures.png import chunk
from derain.train.datasets import pictures, read_clean, read_pair, read_pairs, read_rgb, size_on_disk
from derain.train.sets import alignment
from derain.train.sets.alignment import align
from derain.train.sets.check import check_pairs
from derain.train.sets.layouts import Pair, Problem


def shifted(seed: int, dx: int, dy: int, size: tuple[int, int] = (96, 128)) -> tuple[RGB, RGB]:
    """(rainy, clean) where the rainy picture's content lies `dx` right of and `dy` below the clean one's."""
    height, width = size
    whole = scene(seed, height + 40, width + 40)
    clean = whole[20 : 20 + height, 20 : 20 + width]
    moved = whole[20 - dy : 20 - dy + height, 20 - dx : 20 - dx + width]
    return rained(moved, seed), np.ascontiguousarray(clean)


def test_a_pair_side_by_side_is_cut_in_its_middle(tmp_path: Path) -> None:
    pair = read_pairs(paired_sets.did_mdn(tmp_path))[0]
    rainy, clean = read_pair(pair)
    assert rainy.shape == clean.shape == (48, 64, 3)
    assert rainy.mean() > clean.mean() + 15
    assert np.array_equal(read_clean(pair), clean)


def test_a_pair_side_by_side_needs_an_even_width(tmp_path: Path) -> None:
    write(tmp_path / "odd.png", scene(1, 48, 65))
    with pytest.raises(DerainError, match="the pair odd lies side by side in 65x48, which has no middle"):
        read_pair(Pair("odd", tmp_path / "odd.png", tmp_path / "odd.png", halves=True))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tif"])
def test_a_size_is_known_from_the_file(ending: str, tmp_path: Path) -> None:
    write(tmp_path / f"a.{ending}", scene(1, 30, 50))
    assert size_on_disk(tmp_path / f"a.{ending}") == (50, 30)


def test_files_that_can_not_be_read_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(DerainError, match=r"empty\.png is not a picture"):
        read_rgb(tmp_path / "empty.png")
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    with pytest.raises(DerainError, match=r"huge\.png is not a picture that OpenCV reads: pixels <="):
        read_rgb(tmp_path / "huge.png")
    with pytest.raises(DerainError, match=r"none\.png can't be read: no such file"):
        read_rgb(tmp_path / "none.png")
    with pytest.raises(UsageError, match="has no pictures"):
        pictures(plain(tmp_path / "set"))


def test_a_sound_set_has_no_problems(tmp_path: Path) -> None:
    assert check_pairs(read_pairs(plain(tmp_path))) == []


def test_all_faults_of_a_set_are_told_at_once(tmp_path: Path) -> None:
    folder = plain(tmp_path, range(7))
    pairs = read_pairs(folder)
    whole = (folder / "clean" / "0.png").read_bytes()
    (folder / "clean" / "0.png").write_bytes(whole[: len(whole) // 2])
    (folder / "rainy" / "1.png").write_text("no picture")
    (folder / "rainy" / "2.png").unlink()
    write(folder / "rainy" / "3.png", rained(scene(3, 40, 40)))
    for place, picture in zip(("rainy", "clean"), shifted(4, 6, -3), strict=True):
        write(folder / place / "4.png", picture)
    write(folder / "rainy" / "5.png", rained(255 - scene(55)))
    problems = check_pairs(pairs)
    assert [(p.name, p.kind) for p in problems] == [
        ("0", "unreadable"),
        ("1", "unreadable"),
        ("2", "unreadable"),
        ("3", "size"),
        ("4", "misaligned"),
        ("5", "misaligned"),
    ]
    told = [p.text for p in problems]
    assert "cut short" in told[0] and "clean/0.png" in told[0]
    assert "rainy/1.png" in told[1]
    assert "no such file" in told[2]
    assert "rainy 40x40, clean 64x48" in told[3]
    assert "6.0 pixels right and 3.0 up" in told[4]
    assert "different scenes" in told[5]


@pytest.mark.parametrize("dx,dy", [(0, 0), (3, 0), (0, -3), (-2, 2), (11, 7), (-19, 15)])
def test_a_shift_is_measured_under_heavy_rain(dx: int, dy: int) -> None:
    rng = np.random.default_rng(5)
    for seed in range(3):
        rainy, clean = shifted(seed, dx, dy, (144, 192))
        noise = rng.uniform(-1, 1, (144, 192, 1)).astype(np.float32)
        streaks = cv2.blur(noise, (1, 15))[..., None] * 400  # brighter than all that is in the scene
        found = align(np.clip(rainy + np.maximum(streaks, 0), 0, 255).astype(np.uint8), clean)
        assert found is not None and found.peak > 20
        assert (found.dx, found.dy) == pytest.approx((dx, dy), abs=0.3)


def test_the_shift_of_a_large_picture_is_in_its_own_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "LONGEST", 96)
    found = align(*shifted(1, 12, -8, (144, 192)))
    assert found is not None and (found.dx, found.dy) == pytest.approx((12, -8), abs=0.6)


def test_pictures_without_anything_in_common_have_no_peak() -> None:
    found = align(scene(1, 96, 128), scene(2, 96, 128))
    assert found is not None and found.peak < 15


def test_pictures_too_small_or_flat_are_no_misaligned_pairs(tmp_path: Path) -> None:
    assert align(scene(1, 20, 40), scene(2, 20, 40)) is None
    flat = np.full((48, 64, 3), 90, np.uint8)
    for name, picture in (("rainy", flat + np.uint8(20)), ("clean", flat)):
        write(tmp_path / name / "0.png", picture)
    assert check_pairs(read_pairs(tmp_path)) == []


def test_a_problem_of_a_file_is_told_once(tmp_path: Path) -> None:
    """A picture with both halves is one file."""
    write(tmp_path / "a.png", scene(1))
    (tmp_path / "a.png").write_text("broken")
    problems = check_pairs([Pair("a", tmp_path / "a.png", tmp_path / "a.png", halves=True)])
    assert problems == [Problem("a", "unreadable", f"{tmp_path}/a.png is not a picture that OpenCV reads")]


@pytest.mark.data
def test_no_published_pair_is_taken_for_misaligned() -> None:
    pairs = read_pairs(data_folder() / "pairs")
    assert len(pairs) == 124
    assert check_pairs(pairs) == []
