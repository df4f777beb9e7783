"""Rain on photos: twins that fit, the same again from a side-car, and nothing left where something fails."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from derain.pipeline.cli import run
from derain.pipeline.images import Image, write_image
from derain.pipeline.pictures.exif import SHORT, block, integers
from derain.pipeline.pictures.metadata import Metadata
from derain.train.degradations.presets import PRESETS
from derain.train.synthesis.twins import Twins, write_twins

ORIENTATION = 274


def photo(path: Path, seed: int = 1, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(40, 200, (4, 4, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png", "c.bmp")):
        photo(tmp_path / "photos" / name, number)
    return tmp_path / "photos"


def read(path: Path) -> npt.NDArray[np.int16]:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return np.asarray(pixels, np.int16)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make(*arguments: object) -> int:
    return run(["synthesize", *map(str, arguments), "--no-progress"])


def test_twins_lie_side_by_side_and_the_mask_marks_the_rain(photos: Path, tmp_path: Path) -> None:
    assert make(photos, tmp_path / "out", "--rain", "rain100h") == 0
    names = {f"{kind}/{name}.png" for kind in ("rainy", "clean", "mask") for name in "abc"}
    assert set(files(tmp_path / "out")) == names | {f"params/{name}.json" for name in "abc"}
    for name, original in (("a", "a.png"), ("c", "c.bmp")):
        rainy, clean, mask = (
            read(tmp_path / "out" / kind / f"{name}.png") for kind in ("rainy", "clean", "mask")
        )
        assert (clean == read(photos / original)).all()
        assert mask.shape == (48, 64) and set(np.unique(mask)) == {0, 255}
        changed = np.abs(rainy - clean).max(axis=2)
        assert changed[mask == 0].max() <= 31 and changed[mask == 255].min() >= 30


def test_the_seed_and_the_name_make_the_rain(photos: Path, tmp_path: Path) -> None:
    photo(photos / "b.png", 0)  # the same pixels as a.png
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        assert make(photos, tmp_path / name, "--rain", "joint", "--seed", seed) == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert (tmp_path / "one/mask/a.png").read_bytes() != (tmp_path / "one/mask/b.png").read_bytes()
    assert (tmp_path / "one/rainy/a.png").read_bytes() != (tmp_path / "three/rainy/a.png").read_bytes()
    photo(photos / "0.png", 9)
    assert make(photos, tmp_path / "more", "--rain", "joint", "--seed", 3) == 0
    assert make(photos / "b.png", tmp_path / "alone", "--rain", "joint", "--seed", 3) == 0
    before, more, alone = (files(tmp_path / name) for name in ("one", "more", "alone"))
    assert before.items() <= more.items() and alone.items() <= before.items()


@pytest.mark.parametrize("rain", [preset.name for preset in PRESETS])
def test_the_same_pixels_come_of_the_side_car(rain: str, tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg")
    assert make(path, tmp_path / "out", "--rain", rain, "--seed", 2**64 - 1, "--mask", "attention") == 0
    assert make(path, tmp_path / "again", "--from-sidecar", tmp_path / "out/params/a.json") == 0
    assert files(tmp_path / "again") == files(tmp_path / "out")


def test_a_folder_of_side_cars_makes_a_folder_again(photos: Path, tmp_path: Path) -> None:
    assert make(photos, tmp_path / "out", "--rain", "joint", "--count", 2) == 0
    assert len(list((tmp_path / "out/rainy").iterdir())) == 6
    one, two = (files(tmp_path / "out")[f"rainy/a-{number}.png"] for number in (1, 2))
    assert one != two
    photo(photos / "unasked.png")
    assert make(photos, tmp_path / "again", "--from-sidecar", tmp_path / "out/params") == 0
    assert files(tmp_path / "again") == files(tmp_path / "out")


def test_a_changed_photo_is_not_rained_on_again(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(photos, tmp_path / "out", "--rain", "joint") == 0
    photo(photos / "b.png", 77)
    (photos / "c.bmp").unlink()
    assert make(photos, tmp_path / "again", "--from-sidecar", tmp_path / "out/params") == 2
    said = capsys.readouterr().err
    assert "b.png" in said and "c.bmp" in said and "a.png" not in said
    assert not (tmp_path / "again").exists()


def test_pixels_that_come_out_otherwise_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(photos / "a.png", tmp_path / "out", "--rain", "joint") == 0
    side_car = tmp_path / "out/params/a.json"
    tree = json.loads(side_car.read_text())
    tree["pixels"]["rainy"] = "0" * 64
    side_car.write_text(json.dumps(tree))
    assert make(photos / "a.png", tmp_path / "rounded", "--from-sidecar", side_car) == 0
    assert "a.png came out as its side-car says but for single grey levels" in capsys.readouterr().err
    tree["pixels"]["mean"] += 0.01
    side_car.write_text(json.dumps(tree))
    assert make(photos / "a.png", tmp_path / "again", "--from-sidecar", side_car) == 1
    assert "a.png came out other than its side-car says" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_the_soft_mask_has_levels(photos: Path, tmp_path: Path) -> None:
    assert make(photos / "a.png", tmp_path / "out", "--rain", "rain100h", "--mask", "attention") == 0
    assert len(np.unique(read(tmp_path / "out/mask/a.png"))) > 10


def test_a_photo_is_taken_as_it_is_shown(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 200
    exif = block({ORIENTATION: integers("<", SHORT, 6)}, "<")
    write_image(Image(pixels, None, Metadata(exif=exif)), tmp_path / "a.jpg")
    assert make(tmp_path / "a.jpg", tmp_path / "out", "--rain", "rain100l") == 0
    clean = read(tmp_path / "out/clean/a.png")
    assert clean.shape == (40, 20, 3) and clean[:18].min() > 190 and clean[22:].max() < 10


def test_what_eight_bits_of_rgb_lose_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.full((20, 20, 3), 40_000, np.uint16)
    write_image(Image(pixels, pixels[..., 0]), tmp_path / "a.png")
    assert make(tmp_path / "a.png", tmp_path / "out", "--rain", "rain100l") == 0
    said = capsys.readouterr().err
    assert "a.png is transparent" in said and "a.png has 16 bits a sample" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rain", "hail"], "no rain 'hail'; there is rain100l, "),
        (
            ["--rain", "joint", "--seed", "-3"],
            "--seed takes a whole number from 0 to 18446744073709551615, not '-3'",
        ),
        (["--rain", "joint", "--seed", "many"], "--seed takes a whole number"),
        (["--rain", "joint", "--seed", str(2**64)], "--seed takes a whole number"),
        (["--rain", "joint", "--mask", "hard"], "no mask 'hard'; there is qian, attention"),
        (["--rain", "joint", "--count", "0"], "--count takes a whole number from 1 to 1000"),
        (["--rain", "joint", "--start", "1"], "--start, --duration and --crf are for videos"),
        ([], "name the rain with --rain (rain100l, "),
        (["--from-sidecar", "no.json"], "the side-car no.json can't be read"),
        (["--from-sidecar", "a.json", "--seed", "1", "--rain", "joint"], "leave out --rain, --seed"),
    ],
)
def test_bad_options_are_one_sentence(
    arguments: list[str], sentence: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(photos, tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert make(*arguments, "--rain", "joint") == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


def test_places_in_each_others_way_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    assert "photos is the input itself" in refused(capsys, photos, photos)
    assert "photos lies inside" in refused(capsys, photos, tmp_path)
    assert "there exists; name a new folder" in refused(capsys, photos, tmp_path / "there")
    assert "there is no folder" in refused(capsys, photos, tmp_path / "far/away")
    assert "there is no file or folder" in refused(capsys, tmp_path / "nowhere", tmp_path / "out")
    assert "has no pictures" in refused(capsys, tmp_path / "there", tmp_path / "out")
    photo(photos / "A.jpg")
    assert "A.jpg, " in (said := refused(capsys, photos, tmp_path / "out")) and "same name" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "there"]


def test_all_bad_photos_are_named_before_the_work(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(photos / "small.png", size=(15, 40))
    (photos / "text.png").write_text("no picture")
    whole = photo(photos / "cut.jpg", size=(64, 64)).read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.webp").touch()
    said = refused(capsys, photos, tmp_path / "out")
    for name in ("small.png is 15x40", "text.png", "cut.jpg is cut short", "empty.webp"):
        assert name in said
    assert "a.png" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "out was not made: no space left on device"),
        (KeyboardInterrupt(), 130, "interrupted after 1 frame"),
        (MemoryError(), 1, "b.png needs more memory"),
    ],
)
def test_a_broken_run_leaves_nothing(
    error: BaseException,
    code: int,
    sentence: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails_on_the_second(folder: Path, name: str, twins: Twins) -> None:
        write_twins(folder, name, twins)
        if name == "b":
            raise error

    monkeypatch.setattr("derain.train.synthesis.job.write_twins", fails_on_the_second)
    assert make(photos, tmp_path / "out", "--rain", "rain100l") == code
    said = capsys.readouterr().err
    assert sentence in said and ".tmp-" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_files_that_are_no_pictures_are_left_alone_and_counted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "notes.txt").touch()
    assert make(photos, tmp_path / "out", "--rain", "rain100l") == 0
    assert "rain on 3 photos" in (said := capsys.readouterr().err) and "1 other file left alone" in said


def test_json_tells_the_end(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(photos, tmp_path / "out", "--rain", "rain100l", "--json") == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert end["event"] == "end" and end["status"] == "done" and end["frames"] == 3
    assert end["files"] == [str(tmp_path / "out")]


def test_making_data_needs_no_torch() -> None:
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'skimage', 'tensorboard'), None))\n"
        "from derain.pipeline.cli import run\n"
        "sys.exit(run(['synthesize', '--help']) or run(['benchmark-set', '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(preset.name in done.stdout for preset in PRESETS)
