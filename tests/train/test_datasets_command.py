"""`derain datasets` as a user meets it: what it prints, its JSON, its exit codes, and JRSRD built whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import paired_sets
import pytest
from paired_sets import plain, scene, write

from derain.pipeline.cli import run
from derain.train.datasets import read_pair, read_pairs, read_rgb
from derain.train.degradations import jrsrd
from derain.train.sets import jrsrd as jrsrd_set
from derain.train.sets.layouts import read_sets


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_list_tells_splits_layouts_and_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paired_sets.qian(tmp_path / "qian", ("train", "test_a"))
    paired_sets.did_mdn(tmp_path / "did")
    assert run(["datasets", "list", str(tmp_path), "--json"]) == 0
    rows = {row["split"]: row for row in printed(capsys)}
    assert rows["qian/train"] == {
        "split": "qian/train",
        "layout": "Qian",
        "pairs": 2,
        "clean": 2,
        "sizes": {"64x48": 2},
        "problems": 0,
    }
    assert rows["did/Rain_Heavy/train2018new"]["sizes"] == {"64x48": 2}
    assert run(["datasets", "list", str(tmp_path)]) == 0
    assert "10 pairs in all" in capsys.readouterr().out


def test_list_tells_what_belongs_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain(tmp_path / "set")
    write(tmp_path / "other" / "a.png", scene(1))
    assert run(["datasets", "list", str(tmp_path)]) == 0
    assert (
        "other                            unknown         0       0    1 problems" in capsys.readouterr().out
    )


def test_check_of_a_sound_set_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "check", str(plain(tmp_path / "set"))]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'set'}: 3 pairs, 0 problems\n"


def test_check_names_every_fault_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plain(tmp_path / "set", range(30))
    for n in range(25):
        (folder / "clean" / f"{n}.png").unlink()
    (folder / "clean" / "25.png").write_text("no picture")
    assert run(["datasets", "check", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:25]) == sorted(f"{n}: no twin" for n in range(25))
    assert lines[25].startswith("25: ") and "25.png is not a picture" in lines[25]
    assert lines[26:] == [f"{folder}: 5 pairs, 26 problems"]
    assert run(["datasets", "check", str(folder), "--json"]) == 1
    assert len(printed(capsys)["problems"]) == 26


def test_check_of_two_sets_finds_a_planted_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, held = plain(tmp_path / "train", (0, 1)), tmp_path / "held-out"
    write(held / "new.png", scene(5))
    assert run(["datasets", "check", str(train), str(held)]) == 0
    assert "0 scenes in both, 0 problems" in capsys.readouterr().out
    write(held / "copy.jpg", np.ascontiguousarray(scene(1)[:46, ::-1]))
    assert run(["datasets", "check", str(train), str(held)]) == 1
    assert capsys.readouterr().out.startswith("1 is copy.jpg, mirrored (correlation ")
    assert run(["datasets", "check", str(train), str(held), "--json"]) == 1
    (same,) = printed(capsys)["same"]
    assert (same["a"], same["b"], same["turned"]) == ("1", "copy.jpg", "mirrored")


def test_what_can_not_be_compared_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "photos" / "a.png", scene(5))
    (tmp_path / "photos" / "b.png").write_text("no picture")
    assert run(["datasets", "check", str(plain(tmp_path / "set")), str(tmp_path / "photos")]) == 1
    assert "b.png is not a picture" in capsys.readouterr().out


def test_wrong_folders_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list", "nowhere"], ["check", "nowhere"], ["check", str(tmp_path), "nowhere"]):
        assert run(["datasets", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(["datasets", "check", ""]) == 2
    assert "A is empty; give the name of a file or folder" in capsys.readouterr().err
    assert run(["datasets", "jrsrd", str(tmp_path), str(tmp_path / "out"), "--seed", "-1"]) == 2
    assert "--seed takes a whole number from 0" in capsys.readouterr().err
    assert run(["datasets", "check", str(tmp_path)]) == 2
    assert "is not a set of pairs: it has nothing and needs rainy/ and clean/" in capsys.readouterr().err


def test_jrsrd_has_four_intensities_over_every_drop_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = paired_sets.qian(tmp_path / "qian")
    output = tmp_path / "jrsrd"
    assert run(["datasets", "jrsrd", str(folder), str(output), "--seed", "3"]) == 0
    assert capsys.readouterr().out == f"{output}: 24 pairs\n"
    assert [(s.layout, s.split, len(s.pairs)) for s in read_sets(output)] == [
        ("JRSRD", split, 8) for split in ("test_a", "test_b", "train")
    ]
    drops = {pair.name: read_pair(pair) for pair in read_pairs(folder)}
    for pair in read_pairs(output):
        source, _, intensity = pair.name.rsplit("_", 2)
        rainy, clean = read_pair(pair)
        assert np.array_equal(clean, drops[source][1])
        added = rainy.astype(int) - drops[source][0]
        assert added.min() >= -1 and added.max() > 4, intensity
    record = json.loads((output / "jrsrd.json").read_text())
    noise = [record["pictures"][f"train/0_rain_{k}"]["noise"] for k in (1, 2, 3, 4)]
    assert noise == sorted(noise) and (noise[0], noise[3]) == (0.2, 0.6)


def test_the_same_seed_builds_the_same_jrsrd_and_its_record_draws_it_again(tmp_path: Path) -> None:
    folder = paired_sets.qian(tmp_path / "qian", ("train",))
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert jrsrd_set.build(folder, tmp_path / name, seed, lambda done, total: None) == 8
    name = "train/data/1_rain_2.png"
    a, b, c = ((tmp_path / each / name).read_bytes() for each in "abc")
    assert a == b != c
    params = json.loads((tmp_path / "a/jrsrd.json").read_text())["pictures"]["train/1_rain_2"]
    again = jrsrd_set.rained_on(read_rgb(folder / "train/data/1_rain.png"), jrsrd.NoiseStreaks(**params))
    assert np.array_equal(again, read_rgb(tmp_path / "a" / name))


def test_jrsrd_is_built_from_the_raindrop_set_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["datasets", "jrsrd", str(plain(tmp_path / "set")), str(tmp_path / "out")]) == 2
    assert "set is plain; JRSRD is built from Qian's raindrop set" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_jrsrd_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = paired_sets.qian(tmp_path / "qian", ("train",))
    (tmp_path / "out").mkdir()
    assert run(["datasets", "jrsrd", str(folder), str(tmp_path / "out")]) == 2
    assert "exists; name a new folder" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_a_broken_build_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = paired_sets.qian(tmp_path / "qian", ("train",))
    (folder / "train/data/1_rain.png").write_text("no picture")
    assert run(["datasets", "jrsrd", str(folder), str(tmp_path / "out")]) == 1
    assert "1_rain.png is not a picture" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["qian"]
