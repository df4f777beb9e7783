"""The same scene is found in two sets whatever was done to it, and two scenes are not taken for one."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import paired_sets
import pytest
from data_folder import data_folder
from paired_sets import RGB, scene, write

from derain.engines.errors import UsageError
from derain.train.sets.layouts import Problem
from derain.train.sets.scenes import Fingerprint, clean_pictures, fingerprint, fingerprint_of, same_scenes

SIZE = (120, 160)


def coded(picture: RGB, quality: int = 40) -> RGB:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def cropped(picture: RGB, share: float, corner: tuple[float, float]) -> RGB:
    """Without `share` of its sides; `corner` says which (0..1 from left and top)."""
    height, width = picture.shape[:2]
    y, x = (int(side * share * at) for side, at in zip((height, width), corner, strict=True))
    return np.ascontiguousarray(picture[y : y + int(height * (1 - share)), x : x + int(width * (1 - share))])


def halved(picture: RGB) -> RGB:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def brighter(picture: RGB) -> RGB:
    return np.asarray(np.clip(picture * 0.8 + 40.0, 0, 255), np.uint8)


PLANTS: dict[str, Callable[[RGB], RGB]] = {
    "itself": lambda p: p,
    "coded again": lambda p: coded(p, 25),
    "half the size": halved,
    "brighter": brighter,
    "cropped in a corner": lambda p: cropped(p, 0.08, (0, 0)),
    "cropped more": lambda p: cropped(p, 0.12, (0, 1)),
    "cropped all around": lambda p: cropped(p, 0.08, (0.5, 0.5)),
    "all of it": lambda p: coded(halved(cropped(p, 0.06, (1, 0.3)))),
}


@pytest.fixture(scope="module")
def photographs() -> list[Fingerprint]:
    return [fingerprint(str(n), scene(n, *SIZE)) for n in range(40)]


@pytest.mark.parametrize(
    "turned,code", [("as it is", None), ("mirrored", 1), ("upside down", 0), ("turned by half", -1)]
)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_scene_is_found(
    plant: str, turned: str, code: int | None, photographs: list[Fingerprint]
) -> None:
    planted = scene(17, *SIZE) if code is None else np.asarray(cv2.flip(scene(17, *SIZE), code), np.uint8)
    others = [fingerprint("other", scene(900, *SIZE)), fingerprint("planted", PLANTS[plant](planted))]
    (found,) = same_scenes(others, photographs)
    assert (found.a, found.b, found.turned) == ("planted", "17", turned)
    (back,) = same_scenes(photographs, others)
    assert (back.a, back.b) == ("17", "planted")


def test_different_scenes_are_different(photographs: list[Fingerprint]) -> None:
    others = [fingerprint(str(n), scene(n, *SIZE)) for n in range(100, 140)]
    assert same_scenes(others, photographs) == []


def test_flat_pictures_are_not_one_scene() -> None:
    flat = [fingerprint(str(level), np.full((40, 60, 3), level, np.uint8)) for level in (20, 200)]
    assert same_scenes(flat, flat) == []


def test_each_clean_picture_of_a_set_counts_once(tmp_path: Path) -> None:
    found, problems = clean_pictures(paired_sets.rain1400(tmp_path))
    assert len(found) == 2 and not problems


def test_a_set_side_by_side_gives_its_clean_halves(tmp_path: Path) -> None:
    pairs, _ = clean_pictures(paired_sets.did_mdn(tmp_path))
    assert len(pairs) == 6
    found = fingerprint_of(pairs[0])
    assert isinstance(found, Fingerprint)
    assert same_scenes([found], [fingerprint("0", scene(0))])


def test_photographs_are_found_in_folders_below(tmp_path: Path) -> None:
    write(tmp_path / "a.png", scene(1))
    write(tmp_path / "more" / "b.jpg", scene(2))
    pairs, _ = clean_pictures(tmp_path)
    assert [pair.name for pair in pairs] == ["a.png", "more/b.jpg"]


def test_folders_without_pictures_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no pictures"):
        clean_pictures(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        clean_pictures(tmp_path / "nowhere")


def test_a_picture_that_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    pairs, _ = clean_pictures(tmp_path)
    found = fingerprint_of(pairs[0])
    assert isinstance(found, Problem) and found.name == "a.png" and "not a picture" in found.text


@pytest.mark.data
def test_rain100l_shares_no_scene_with_the_training_photographs() -> None:
    """And a scene of it that is planted among them, mirrored, cropped, shrunk and coded again, is found."""
    folder = data_folder()
    pairs, photos = (
        [fingerprint_of(p) for p in clean_pictures(folder / name)[0]]
        for name in ("pairs/rain100L", "photos/bsds500")
    )
    rain100l = [f for f in pairs if isinstance(f, Fingerprint)]
    bsds500 = [f for f in photos if isinstance(f, Fingerprint)]
    assert (len(rain100l), len(bsds500)) == (100, 409)
    assert same_scenes(rain100l, bsds500) == []
    clean = cv2.imread(str(folder / "pairs/rain100L/clean/042.webp"))
    assert clean is not None
    small = coded(halved(cropped(np.ascontiguousarray(clean[:, ::-1]), 0.05, (0.2, 0.9))))
    (found,) = same_scenes(
        rain100l, [*bsds500, fingerprint("planted", np.ascontiguousarray(small[..., ::-1]))]
    )
    assert (found.a, found.b, found.turned) == ("042", "planted", "mirrored")
