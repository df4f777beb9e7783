"""`derain image`: files, folders and patterns; what is refused; what is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest

from derain.engines.engine import Pixels
from derain.pipeline.cli import run
from derain.pipeline.images import Image, read_image, write_image


@pytest.fixture(scope="module")
def negative(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that gives 1 - rainy."""
    weights = -np.eye(3, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    folder = tmp_path_factory.mktemp("models")
    bias = np.ones(3, np.float32)
    return str(onnx_models.conv(folder, "negative", weights=weights, bias=bias, multiple_of=4))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three pictures, one of them deeper, and a text."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.tif", "more/c.webp"):
        write_image(Image(noise(20, 30, 3)), folder / name)
    (folder / "notes.txt").write_text("rain")
    return folder


def noise(*shape: int, dtype: Any = np.uint8) -> Pixels:
    return np.random.default_rng(0).integers(0, int(np.iinfo(dtype).max) + 1, shape, dtype)


def same(one: Pixels, other: Pixels) -> bool:
    return bool(np.abs(one.astype(int) - other.astype(int)).max() <= 1)


def image(*arguments: str | Path) -> int:
    return run(["image", *map(str, arguments)])


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file(photos: Path, tmp_path: Path, negative: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert image(photos / "a.png", tmp_path / "clean.tif", "--model", negative) == 0
    assert same(read_image(tmp_path / "clean.tif").pixels, 255 - read_image(photos / "a.png").pixels)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("derain: model negative 1, ") and "1 picture\n" in told.err
    assert "clean.tif, 30x20" in told.err and "restored 1 picture" in told.err


def test_a_file_into_a_folder_keeps_its_name(photos: Path, tmp_path: Path, negative: str) -> None:
    (tmp_path / "out").mkdir()
    assert image(photos / "a.png", tmp_path / "out", "--model", negative, "--no-progress") == 0
    assert files_in(tmp_path / "out") == ["a.png"]


def test_a_folder_is_mirrored(
    photos: Path, tmp_path: Path, negative: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image(photos, tmp_path / "out", "--model", negative) == 0
    assert files_in(tmp_path / "out") == ["a.png", "b.tif", "more/c.webp"]
    assert "restored 3 pictures" in (told := capsys.readouterr().err)
    assert "; 1 other file left alone" in told
    for name in files_in(tmp_path / "out"):
        assert same(read_image(tmp_path / "out" / name).pixels, 255 - read_image(photos / name).pixels)


def test_a_folder_inside_the_input_is_not_restored_again(photos: Path, negative: str) -> None:
    for _ in range(2):
        assert image(photos, photos / "out", "--model", negative, "--overwrite") == 0
        assert files_in(photos / "out") == ["a.png", "b.tif", "more/c.webp"]


def test_a_pattern_keeps_the_places_below_what_is_fixed(photos: Path, tmp_path: Path, negative: str) -> None:
    assert image(photos / "*.[pt]*", tmp_path / "one", "--model", negative) == 0
    assert files_in(tmp_path / "one") == ["a.png", "b.tif"]
    assert image(photos / "**" / "*.webp", tmp_path / "two", "--model", negative) == 0
    assert files_in(tmp_path / "two") == ["more/c.webp"]


def test_a_folder_goes_on_past_bad_files(
    photos: Path, tmp_path: Path, negative: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "aa.jpg").write_bytes(b"rain")
    (photos / "ab.png").write_bytes((photos / "a.png").read_bytes()[:500])
    assert image(photos, tmp_path / "out", "--model", negative, "--no-progress") == 1
    assert files_in(tmp_path / "out") == ["a.png", "b.tif", "more/c.webp"]
    told = capsys.readouterr().err
    assert "aa.jpg is not a picture" in told and "ab.png is cut short" in told
    assert "derain: 2 of 5 pictures could not be restored" in told.splitlines()[-1]


def test_one_existing_result_stops_a_folder_before_it_begins(
    photos: Path, tmp_path: Path, negative: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out/more").mkdir(parents=True)
    (tmp_path / "out/more/c.webp").touch()
    assert image(photos, tmp_path / "out", "--model", negative) == 2
    assert files_in(tmp_path / "out") == ["more/c.webp"]
    assert "c.webp exists; --overwrite replaces it" in capsys.readouterr().err


def test_sixteen_bits_grey_and_alpha_survive(tmp_path: Path, negative: str) -> None:
    rainy = Image(noise(9, 13, dtype=np.uint16), noise(9, 13, dtype=np.uint16)[::-1])
    write_image(rainy, tmp_path / "rainy.png")
    assert image(tmp_path / "rainy.png", tmp_path / "clean.png", "--model", negative) == 0
    restored = read_image(tmp_path / "clean.png")
    assert same(restored.pixels, 65535 - rainy.pixels)
    assert np.array_equal(np.asarray(restored.alpha), np.asarray(rainy.alpha))


@pytest.mark.parametrize("alpha", [False, True])
def test_comparison_and_rain_layer(tmp_path: Path, negative: str, alpha: bool) -> None:
    rainy = Image(noise(10, 20, 3), noise(10, 20) if alpha else None)
    write_image(rainy, tmp_path / "rainy.png")
    layer = tmp_path / "layer.png"
    options = ["--model", negative, "--compare", "side", "--rain-layer", str(layer)]
    assert image(tmp_path / "rainy.png", tmp_path / "both.png", *options) == 0
    both = read_image(tmp_path / "both.png")
    assert np.array_equal(both.pixels[:, :20], rainy.pixels) and same(both.pixels[:, 20:], 255 - rainy.pixels)
    assert (both.alpha is not None) == alpha
    expected = np.clip(128 + 2 * rainy.pixels.astype(int) - 255, 0, 255)
    assert same(read_image(layer).pixels, expected.astype(np.uint8))


def test_rain_layers_of_a_folder(photos: Path, tmp_path: Path, negative: str) -> None:
    options = ["--model", negative, "--rain-layer", str(tmp_path / "rain")]
    assert image(photos, tmp_path / "out", *options) == 0
    assert files_in(tmp_path / "rain") == files_in(tmp_path / "out")


def test_strength_tiles_and_quality(photos: Path, tmp_path: Path, negative: str) -> None:
    options = ["--model", negative, "--tile", "16", "--strength", "0", "--quality", "30"]
    assert image(photos, tmp_path / "out", *options) == 0
    assert np.array_equal(read_image(tmp_path / "out/a.png").pixels, read_image(photos / "a.png").pixels)
    assert not np.array_equal(
        read_image(tmp_path / "out/more/c.webp").pixels, read_image(photos / "more/c.webp").pixels
    )


def test_programs_get_json(
    photos: Path, tmp_path: Path, negative: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "aa.jpg").write_bytes(b"rain")
    assert image(photos, tmp_path / "out", "--model", negative, "--json") == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["start", *["image"] * 4, "end"]
    assert events[0]["model"] == "negative" and events[0]["images"] == 4
    assert events[1]["files"] == [str(tmp_path / "out" / "a.png")] and events[1]["error"] is None
    assert events[2]["files"] == [] and "not a picture" in events[2]["error"]
    assert (events[-1]["status"], events[-1]["restored"], events[-1]["failed"]) == ("failed", 3, 1)


def test_programs_get_the_end_of_a_run_that_never_began(
    tmp_path: Path, negative: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image(tmp_path / "nothing.png", tmp_path / "out.png", "--model", negative, "--json") == 2
    told = capsys.readouterr()
    (end,) = [json.loads(line) for line in told.out.splitlines()]
    assert (end["event"], end["status"], end["exit_code"]) == ("end", "failed", 2)
    assert end["message"] in told.err


def test_no_name_is_not_the_current_folder(
    photos: Path, negative: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `derain image "$UNSET" out`."""
    monkeypatch.chdir(photos)
    before = files_in(photos)
    assert run(["image", "", "out", "--model", negative]) == 2
    assert run(["image", "a.png", "", "--overwrite", "--model", negative]) == 2
    assert capsys.readouterr().err.split(" is empty")[0] == "derain: INPUT"
    assert files_in(photos) == before


def no_change(folder: Path) -> None:
    """The folder as it is."""


BAD: tuple[tuple[str, Callable[[Path], object], list[str], int, str], ...] = (
    ("missing", no_change, ["no.png", "o.png"], 2, "there is no file {0}/no.png"),
    ("no output name", no_change, ["a.png", "o.png", "--rain-layer", ""], 2, "--rain-layer is empty"),
    ("nothing fits", no_change, ["*.tiff", "o"], 2, "there are no pictures in {0}/*.tiff"),
    ("empty", lambda f: (f / "e.png").touch(), ["e.png", "o.png"], 2, "{0}/e.png is an empty file"),
    ("text", lambda f: (f / "t.png").write_text("rain"), ["t.png", "o.png"], 2, "{0}/t.png is not a picture"),
    (
        "format",
        no_change,
        ["a.png", "o.gif"],
        2,
        "{0}/o.gif has the extension '.gif'; derain image writes .png",
    ),
    ("exists", lambda f: (f / "o.png").touch(), ["a.png", "o.png"], 2, "{0}/o.png exists; --overwrite"),
    ("itself", no_change, ["a.png", "a.png", "--overwrite"], 2, "{0}/a.png is the picture to be restored"),
    (
        "linked",
        lambda f: (f / "o.png").symlink_to(f / "a.png"),
        ["a.png", "o.png", "--overwrite"],
        2,
        "itself",
    ),
    ("no folder", no_change, ["a.png", "no/o.png"], 2, "there is no folder {0}/no to write o.png into"),
    ("many to a file", lambda f: (f / "o.png").touch(), ["*.png", "o.png"], 2, "which need a folder"),
    ("folder itself", no_change, ["", "", "--overwrite"], 2, "is the picture to be restored itself"),
    ("twice", no_change, ["a.png", "o.png", "--rain-layer", "o.png"], 2, "o.png would be written twice"),
    ("no model", no_change, ["a.png", "o.png", "--model", "no.onnx"], 2, "no.onnx"),
    ("tile", no_change, ["a.png", "o.png", "--tile", "big"], 2, "the tile is 'big'; it takes auto, none"),
    (
        "strength",
        no_change,
        ["a.png", "o.png", "--strength", "2"],
        2,
        "--strength takes a number from 0 to 1",
    ),
    ("quality", no_change, ["a.png", "o.png", "--quality", "9"], 2, "{0}/o.png has no quality to choose"),
    (
        "half a quality",
        no_change,
        ["a.png", "o.jpg", "--quality", "50.5"],
        2,
        "--quality takes a whole number from 1 to 100, not '50.5'",
    ),
    ("to 8 bits", no_change, ["deep.png", "o.jpg"], 2, "{0}/o.jpg can't hold 16 bits a sample: JPEG has 8"),
    ("broken", no_change, ["broken.png", "o.png"], 1, "{0}/broken.png is cut short"),
)


@pytest.mark.parametrize(
    ("make", "arguments", "exit_code", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)
def test_what_is_refused_leaves_nothing(
    tmp_path: Path,
    negative: str,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
    arguments: list[str],
    exit_code: int,
    words: str,
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    write_image(Image(noise(20, 30, 3)), folder / "a.png")
    write_image(Image(noise(20, 30, 3, dtype=np.uint16)), folder / "deep.png")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:300])
    make(folder)
    before = {name: (folder / name).read_bytes() for name in files_in(folder)}
    options = ["--model", negative, *arguments[2:]]
    if "--rain-layer" in options and options[-1]:
        options[-1] = str(folder / options[-1])
    assert image(folder / arguments[0], folder / arguments[1], *options) == exit_code
    told = capsys.readouterr().err
    last = told.splitlines()[-1]
    assert last.startswith("derain: ") and words.format(folder) in last
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == before
