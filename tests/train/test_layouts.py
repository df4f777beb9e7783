"""Every published layout is told from the folder, and every picture in it has its own twin or is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import paired_sets
import pytest
from paired_sets import plain, scene, twins, write

from derain.engines.errors import UsageError
from derain.train.datasets import read_pair, read_pairs
from derain.train.sets.layouts import read_sets

Maker = Callable[[Path], Path]

SHAPES: tuple[tuple[Maker, str, list[str]], ...] = (
    (plain, "plain", ["0", "1", "2"]),
    (paired_sets.inputs, "plain", ["0", "1", "2"]),
    (paired_sets.qian, "Qian", [f"{s}/{n}" for s in ("test_a", "test_b", "train") for n in (0, 1)]),
    (paired_sets.jrsrd, "JRSRD", [f"train/{n}_rain_{k}" for n in (0, 1) for k in (1, 2, 3, 4)]),
    (paired_sets.rain100_folders, "Rain100", ["001", "002"]),
    (paired_sets.rain100_x2, "Rain100", ["1", "2"]),
    (paired_sets.rain100_rainy, "Rain100", ["001", "002"]),
    (paired_sets.rain100_one_folder, "Rain100", ["1", "2"]),
    (paired_sets.rain12, "Rain12", ["001", "002"]),
    (paired_sets.rain1400, "Rain1400", sorted(f"{n}_{k}" for n in (1, 2) for k in range(1, 15))),
    (
        paired_sets.did_mdn,
        "DID-MDN",
        [f"Rain_{d}/train2018new/{n}" for d in ("Heavy", "Light", "Medium") for n in (0, 1)],
    ),
    (paired_sets.spa_data, "SPA-Data", [f"real_world/000/000-{n}/000-{n}_1_1" for n in (0, 1)]),
    (paired_sets.spa_test, "SPA-Data", ["000", "001"]),
    (
        paired_sets.rain_ds,
        "RainDS",
        [
            *(f"RainDS_real/train_set/{k}/2" for k in ("raindrop", "rainstreak", "rainstreak_raindrop")),
            *(
                f"RainDS_syn/train/{k}/{n}"
                for k in ("raindrop", "rainstreak", "rainstreak_raindrop")
                for n in ("1", "pie-1")
            ),
        ],
    ),
)


@pytest.mark.parametrize("make,layout,names", SHAPES, ids=[m.__name__ for m, _, _ in SHAPES])
def test_a_published_layout_is_read(make: Maker, layout: str, names: list[str], tmp_path: Path) -> None:
    folder = make(tmp_path / "set")
    assert {one.layout for one in read_sets(folder)} == {layout}
    pairs = read_pairs(folder)
    assert [pair.name for pair in pairs] == names
    for pair in pairs:
        rainy, clean = (picture.astype(float) for picture in read_pair(pair))
        # Of the same scene in that order: brighter by 20, and by 45 under the streaks.
        assert np.median(rainy - clean) == pytest.approx(20, abs=2)
        assert np.percentile(np.abs(rainy - clean - 20), 75) < 6


def test_one_split_is_a_set_of_its_own(tmp_path: Path) -> None:
    assert [p.name for p in read_pairs(paired_sets.qian(tmp_path) / "test_a")] == ["0", "1"]
    assert [p.name for p in read_pairs(paired_sets.did_mdn(tmp_path) / "Rain_Heavy" / "train2018new")] == [
        "0",
        "1",
    ]


def test_fourteen_rainy_pictures_share_a_clean_one(tmp_path: Path) -> None:
    pairs = read_pairs(paired_sets.rain1400(tmp_path))
    assert len(pairs) == 28 and len({pair.clean for pair in pairs}) == 2


def test_a_folder_that_is_no_set_tells_all_layouts_and_what_it_has(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "a.png", scene(1))
    (tmp_path / "notes.txt").write_text("nothing of use")
    with pytest.raises(UsageError) as caught:
        read_pairs(tmp_path)
    said = str(caught.value)
    assert "it has photos/ (1 pictures), 1 .txt files and needs" in said
    for name in ("plain", "Qian", "JRSRD", "Rain100", "Rain12", "Rain1400", "DID-MDN", "SPA-Data", "RainDS"):
        assert f"({name})" in said
    assert "\n" not in said


def test_folders_without_pairs_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is not a folder"):
        read_pairs(tmp_path / "nowhere")
    (tmp_path / "rainy").mkdir()
    (tmp_path / "clean").mkdir()
    with pytest.raises(UsageError, match=r"it has clean/ \(0 pictures\), rainy/ \(0 pictures\) and needs"):
        read_pairs(tmp_path)


def test_all_pictures_without_a_twin_are_named_at_once(tmp_path: Path) -> None:
    folder = paired_sets.qian(tmp_path, ("train", "test_a"))
    (folder / "train/gt/1_clean.png").unlink()
    (folder / "test_a/data/0_rain.png").unlink()
    with pytest.raises(UsageError, match=r"2 pictures of .* have no twin: test_a/0_clean, train/1_rain"):
        read_pairs(folder)


def test_a_split_that_lost_a_half_is_not_passed_over(tmp_path: Path) -> None:
    folder = paired_sets.qian(tmp_path, ("train", "test_a"))
    for clean in (folder / "test_a/gt").iterdir():
        clean.unlink()
    with pytest.raises(UsageError, match="2 pictures in no known layout: test_a/data"):
        read_pairs(folder)


def test_one_missing_of_fourteen_is_named(tmp_path: Path) -> None:
    folder = paired_sets.rain1400(tmp_path)
    (folder / "rainy_image" / "2_7.jpg").unlink()
    with pytest.raises(UsageError, match="13 rainy pictures where others have 14: 2"):
        read_pairs(folder)


def test_files_that_a_list_names_must_be_there(tmp_path: Path) -> None:
    folder = paired_sets.spa_data(tmp_path)
    (folder / "real_world_gt/000/000_1_1.png").unlink()
    with pytest.raises(UsageError, match=r"no file, though real_world\.txt names it: .*000_1_1\.png"):
        read_pairs(folder)


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    write(folder / "rainy" / "1.jpg", scene(1))
    with pytest.raises(UsageError, match=r"more than two files: 1\.jpg, 1\.png, 1\.png: 1"):
        read_pairs(folder)


def test_a_name_of_another_pattern_is_told(tmp_path: Path) -> None:
    folder = paired_sets.qian(tmp_path, ("train",))
    twins(folder / "train/data/third.png", folder / "train/gt/third.png", 5)
    with pytest.raises(UsageError, match=r"a name that is not of this layout .*third\.png"):
        read_pairs(folder)


def test_a_set_beside_a_list_is_read_too(tmp_path: Path) -> None:
    """The training list of SPA-Data with the test set in a folder beside it."""
    paired_sets.spa_data(tmp_path)
    paired_sets.spa_test(tmp_path / "test" / "small")
    assert [(one.split, len(one.pairs)) for one in read_sets(tmp_path)] == [("", 2), ("test/small", 2)]


def test_links_that_lead_back_up_are_not_followed(tmp_path: Path) -> None:
    plain(tmp_path / "set")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "set")
    assert [one.split for one in read_sets(tmp_path)] == ["other", "set"]
