"""Masks and patch filters as the papers define them, on cases made by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from derain.pipeline.cli import run
from derain.train.degradations import masks
from derain.train.degradations.masks import Pixels
from derain.train.degradations.rain import compared

BASE = 100


def pair(*differences: tuple[int, int, int]) -> tuple[Pixels, Pixels]:
    """(rainy, clean): a row of pixels of level 100, and what differs by so many levels in R, G and B."""
    clean = np.full((1, len(differences), 3), BASE, np.float32)
    rainy = clean + np.array([differences], np.float32)
    return np.asarray(rainy / np.float32(255)), clean / np.float32(255)


def levels(values: Pixels) -> list[int]:
    return [round(float(value) * 255) for value in values.ravel()]


def test_the_difference_is_the_largest_of_the_colours_either_way() -> None:
    rainy, clean = pair((0, 0, 0), (3, -9, 5), (-1, 2, 0), (0, 0, 255 - BASE))
    assert levels(masks.difference(rainy, clean)) == [0, 9, 2, 155]


def test_qians_mask_is_over_thirty_and_not_thirty() -> None:
    rainy, clean = pair((30, 30, 30), (31, 0, 0), (0, -31, 0), (29, 29, 29), (-30, 0, 0))
    assert masks.qian(rainy, clean).tolist() == [[0, 1, 1, 0, 0]]


@pytest.mark.parametrize("base", range(0, 225, 7))
def test_thirty_levels_are_thirty_wherever_they_begin(base: int) -> None:
    clean = np.full((1, 1, 3), base, np.float32) / np.float32(255)
    for more, marked in ((30, 0.0), (31, 1.0)):
        rainy = np.full((1, 1, 3), base + more, np.float32) / np.float32(255)
        assert masks.qian(rainy, clean)[0, 0] == marked


def test_rain_is_marked_by_qians_mask() -> None:
    rainy, clean = pair((31, 0, 0), (30, 0, 0), (0, 0, 13), (0, 0, 0))
    marked = compared(rainy, clean)
    assert np.array_equal(marked.mask, masks.qian(rainy, clean))
    assert marked.attention.ravel() == pytest.approx([1, 1, 13 / 25.5, 0], abs=1e-5)


def test_spanets_map_marks_every_level_of_difference() -> None:
    rainy, clean = pair((0, 0, 0), (1, 0, 0), (0, 0, -1), (40, 40, 40))
    assert masks.spanet(rainy, clean).tolist() == [[0, 1, 1, 1]]
    assert masks.spanet(rainy, clean, threshold=10 / 255).tolist() == [[0, 0, 0, 1]]


def test_daiams_mask_tells_how_strong_rain_is() -> None:
    rainy, clean = pair((0, 0, 0), (10, 0, 0), (0, -20, 0), (5, 5, 40))
    assert masks.daiam(rainy, clean).ravel() == pytest.approx([0, 0.25, 0.5, 1], abs=1e-5)


def test_a_dry_picture_has_no_mask_at_all() -> None:
    rainy, clean = pair((0, 0, 0), (0, 0, 0))
    for mask in (masks.qian, masks.spanet, masks.daiam, masks.attention):
        made = mask(rainy, clean)
        assert made.dtype == np.float32 and made.tolist() == [[0, 0]]


def chequered(amplitude: float) -> Pixels:
    """A patch of variance amplitude^2 in every colour."""
    y, x = np.mgrid[0:8, 0:8]
    return np.repeat(0.5 + amplitude * np.where((x + y) % 2, 1.0, -1.0)[..., None], 3, axis=2).astype(
        np.float32
    )


def test_eigen_wants_detail_behind() -> None:
    assert masks.has_detail(chequered(0.0317))  # variance 0.001005
    assert not masks.has_detail(chequered(0.0315))  # 0.000992
    red = np.zeros((8, 8, 3), np.float32)
    red[..., 0] = 1.0  # colours differ, pixels do not
    assert not masks.has_detail(red)


@pytest.mark.parametrize(("alpha", "chosen"), [(0.03, True), (0.0299, False), (0.5, True), (0.0, False)])
def test_eigen_wants_a_pixel_of_dirt(alpha: float, chosen: bool) -> None:
    mask = np.zeros((8, 8), np.float32)
    mask[3, 4] = alpha
    assert masks.trains_dirt(chequered(0.1), mask) is chosen
    assert masks.trains_dirt(chequered(0.01), mask) is False


@pytest.mark.parametrize(
    ("difference", "chosen"), [(0.1, False), (0.101, True), (-0.101, True), (0.0, False)]
)
def test_eigen_wants_a_pixel_of_rain(difference: float, chosen: bool) -> None:
    clean = chequered(0.1)
    rainy = clean.copy()
    rainy[2, 2, 1] += difference
    assert masks.trains_rain(rainy, clean) is chosen
    assert masks.trains_rain(rainy * np.float32(0.01), clean * np.float32(0.01)) is False


@pytest.mark.parametrize("name", ["qian", "attention", "daiam", "spanet"])
def test_each_mask_can_be_written_beside_made_rain(name: str, tmp_path: Path) -> None:
    photo = np.full((32, 40, 3), 100, np.uint8)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", photo)[1].tobytes())
    line = ["synthesize", tmp_path / "a.png", tmp_path / "out", "--rain", "snow", "--mask", name]
    assert run([*map(str, line), "--no-progress"]) == 0
    rainy, clean, mask = (
        np.asarray(cv2.imread(str(tmp_path / "out" / twin / "a.png"), cv2.IMREAD_COLOR_RGB), np.float32)
        for twin in ("rainy", "clean", "mask")
    )
    expected = getattr(masks, name)(rainy / np.float32(255), clean / np.float32(255))
    # The mask is of the rain as it was made, which the pictures' 8 bits round.
    most = 255 * 0.5 / 25.5 if name == "attention" else 4
    agrees = np.abs(mask[..., 0] - 255 * expected) <= most + 1
    assert agrees.mean() > 0.97
    assert mask.max() == 255
