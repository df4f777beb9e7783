"""What a run leaves: curves, their picture, the card, hashes and machines, also of a run that goes on."""

import hashlib
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import here, photographs, small, tiny

from derain.engines.errors import DerainError
from derain.engines.machine import installed
from derain.train.checkpoint import read
from derain.train.recipe import Recipe
from derain.train.record import provenance
from derain.train.record.board import Board
from derain.train.record.chart import MOST, PANELS, by_name, chart, losses, psnr
from derain.train.record.curves import CURVES, Row, curve
from derain.train.record.files import write_whole
from derain.train.run_folder import read_curves
from derain.train.trainer import train


def short(recipe: Recipe, **changes: Any) -> Recipe:
    """Validated at each second of four steps."""
    return replace(
        recipe,
        train=replace(recipe.train, steps=4),
        validation=replace(recipe.validation, every=2, patches=2),
        **changes,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(short(tiny()), here(data, folder))
    return folder


@pytest.fixture(scope="module")
def begun(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped after its first step; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(short(tiny()), here(data, folder, time_limit=0.0))
    return folder


@pytest.fixture
def stopped(begun: Path, tmp_path: Path) -> Path:
    """A copy of the stopped run."""
    shutil.copytree(begun, tmp_path / "run")
    return tmp_path / "run"


def game_rows(count: int) -> list[Row]:
    """Curves as a generator and a discriminator leave them."""
    values = {"loss": 5.0, "adversarial": 1.0, "l1": 4.0, "psnr": 22.0, "gain_db": 2.0, "d_loss": 0.7}
    values |= {"d_accuracy": 0.75, "spread": 0.9, "rate": 2e-4, "d_won": 3.0, "alike": 1.0}
    return [(step, name, value + step % 7 / 100) for step in range(count) for name, value in values.items()]


def test_later_curves_are_dropped_where_a_run_goes_on(data: Path, stopped: Path, finished: Path) -> None:
    """The process was killed after steps that are in no checkpoint."""
    with (stopped / CURVES).open("a", encoding="utf-8") as file:
        file.write("2,loss,99.0\n3,loss,99.0\n")
    train(short(tiny()), here(data, stopped, resume=True))
    assert read_curves(stopped) == read_curves(finished)


def test_tensorboard_shows_each_step_once_after_a_run_has_gone_on(data: Path, stopped: Path) -> None:
    """The process was killed after a step that is in no checkpoint."""
    Board(stopped / "tensorboard", 0).add(3, {"loss": 99.0})
    train(short(tiny()), here(data, stopped, resume=True))
    shown = EventAccumulator(str(stopped / "tensorboard")).Reload().Scalars("loss")
    steps, losses_written = zip(*curve(read_curves(stopped), "loss"), strict=True)
    assert [event.step for event in shown] == list(steps) == [1, 2, 3, 4]
    assert [event.value for event in shown] == pytest.approx(losses_written)


def test_damaged_curves_are_told_once_and_stop_no_run(
    data: Path, stopped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = read_curves(stopped)
    with (stopped / CURVES).open("ab") as file:
        file.write(b"1,psnr\n\xff\xfe\x00,,\n1,lo")
    train(short(tiny()), here(data, stopped, resume=True))
    told = [record.message for record in caplog.records if "can't be read" in record.message]
    assert told == [f"{stopped / CURVES}: 3 lines can't be read and are left out"]
    assert [row for row in read_curves(stopped) if row[0] <= 1] == kept
    assert curve(read_curves(stopped), "loss")[-1][0] == 4


def test_the_chart_is_a_picture_and_the_same_each_time(finished: Path) -> None:
    rows = read_curves(finished)
    made = chart(rows, "tiny: 4 of 4 steps")
    assert made == (finished / "curves.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(made, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape[1] == 900
    assert (picture == 255).mean() > 0.8 and picture.min() < 100


def test_the_chart_of_a_game_shows_both_sides_and_who_wins() -> None:
    curves = by_name(game_rows(20))
    panels = {panel.unit: list(panel.draws(curves)) for panel in PANELS}
    assert panels == {
        "loss": ["generator", "adversarial", "l1", "discriminator"],
        "PSNR, dB": ["restored", "rainy"],
        "share, 0 to 1": ["discriminator's accuracy", "spread of restored beside clean"],
        "learning rate": ["rate"],
    }


def test_the_chart_of_a_network_alone(finished: Path) -> None:
    curves = by_name(read_curves(finished))
    assert list(losses(curves)) == ["loss", "charbonnier", "spectrum", "attention"]
    lines = psnr(curves)
    assert list(lines) == ["restored", "rainy", "validation, restored", "validation, rainy"]
    assert lines["rainy"][1] == pytest.approx(curves["psnr"][1] - curves["gain_db"][1])


def test_the_chart_takes_what_a_damaged_or_empty_file_leaves() -> None:
    whole = game_rows(5)
    for rows in (
        [],
        whole[:1],
        whole[:4],
        whole[1:],
        [*whole, (9, "loss", float("nan"))],
        [(1, "loss", -1.0)],
    ):
        assert chart(rows, "x").startswith(b"\x89PNG")


def test_of_many_points_neighbours_are_averaged() -> None:
    steps, values = by_name([(step, "loss", float(step % 2)) for step in range(10 * MOST)])["loss"]
    assert len(steps) == MOST and values == pytest.approx(0.5)


def test_the_card_of_a_finished_run(finished: Path) -> None:
    text, rows = (finished / "card.md").read_text(encoding="utf-8"), read_curves(finished)
    best = max(value for _, value in curve(rows, "validation_psnr"))
    ((_, rainy),) = curve(rows, "validation_input")
    digest = hashlib.sha256((finished / "data.json").read_bytes()).hexdigest()
    for told in (
        "# tiny\n", "removes streaks", "its training is finished", "`realtime-s`", "parameters",
        "4 of 4 steps", f"best {best:.2f} dB", f"rainy {rainy:.2f} dB", "photos: 3 files", digest,
        "Seed: 1", "fp32", "## Licence\n\n- MIT\n",
    ):  # fmt: skip
        assert told in text


def test_the_card_of_a_run_on_its_way(data: Path, begun: Path) -> None:
    text = (begun / "card.md").read_text(encoding="utf-8")
    assert "its training is not finished" in text and "1 of 4 steps" in text and "Not validated" in text


def test_the_card_tells_which_loss_fell_away_and_how_the_game_went(data: Path, tmp_path: Path) -> None:
    recipe = small("attentive-gan-small", steps=1)
    train(recipe, here(data, tmp_path / "run"))
    text = (tmp_path / "run" / "card.md").read_text(encoding="utf-8")
    assert "the perceptual loss (eq. 6) falls away" in text and "not the paper's" in text
    assert "against a discriminator of" in text and "judged nearly all right: " in text


def test_hashes_are_of_the_files_by_their_names_in_the_data_folder(data: Path, finished: Path) -> None:
    found = json.loads((finished / "data.json").read_text(encoding="utf-8"))
    assert list(found) == ["photos/1.png", "photos/2.png", "photos/3.png"]
    for name, digest in found.items():
        assert digest == hashlib.sha256((data / name).read_bytes()).hexdigest()


def test_files_outside_the_data_folder_tell_no_path(data: Path, tmp_path: Path) -> None:
    files = [tmp_path / folder / "rain" / "a.png" for folder in ("one", "two")]
    for number, path in enumerate(files):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes([number]))
    found = provenance.hashes([*files, data / "photos" / "1.png", *files], data)
    assert sorted(found) == ["outside/rain/a.png", "outside/rain/a.png (2)", "photos/1.png"]
    assert len(set(found.values())) == 3


def test_data_that_changed_since_the_run_began_is_told(
    stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = photographs(tmp_path / "changed")
    shutil.copy(changed / "photos" / "0.png", changed / "photos" / "2.png")
    train(short(tiny()), here(changed, stopped, resume=True))
    assert [
        r
        for r in caplog.records
        if "1 files were added, removed or changed, such as photos/2.png" in r.message
    ]


def test_every_start_of_a_run_is_told_with_its_machine(data: Path, stopped: Path) -> None:
    train(short(tiny()), here(data, stopped, resume=True))
    first, second = json.loads((stopped / "environment.json").read_text(encoding="utf-8"))
    assert (first["from_step"], second["from_step"]) == (0, 1)
    assert first["seconds"] > 0 and second["seconds"] > 0
    assert second["packages"]["torch"] == installed("torch")
    assert second["command"] and second["threads"]["torch"] >= 1 and second["device"] and second["seed"] == 1
    assert "2 starts" in (stopped / "card.md").read_text(encoding="utf-8")


def test_what_is_not_installed_or_damaged_stops_no_run(
    data: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("derain", "no-such-package"))
    (stopped / "environment.json").write_text("[{")
    (stopped / "data.json").write_text("[]")
    train(short(tiny()), here(data, stopped, resume=True))
    (only,) = json.loads((stopped / "environment.json").read_text(encoding="utf-8"))
    assert only["packages"]["no-such-package"] is None
    assert sum("is made anew" in record.message for record in caplog.records) == 2


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["samples.png", "card.md"])
def test_a_full_disk_ends_a_run_in_a_sentence_with_its_checkpoint(
    name: str, data: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's place is on a full disk from the second checkpoint on."""
    before = (stopped / name).read_bytes()
    options = here(data, stopped, resume=True, checkpoint_every=3)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        late = path.name == f".{name}.tmp" and read(stopped / "checkpoint.pt")["step"] == 3
        return write(FULL if late else path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DerainError, match="No space left on device; make room and go on with --resume"):
        train(short(tiny()), options)
    monkeypatch.undo()
    assert (stopped / name).read_bytes() == before
    train(short(tiny()), options)
    assert read(stopped / "checkpoint.pt")["step"] == 4


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_curves_on_a_full_disk_end_a_run_in_a_sentence(
    data: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread of a log writer tells of it by a traceback either."""
    place = Path.open

    def full(path: Path, *args: Any, **options: Any) -> Any:
        return place(FULL if "tfevents" in path.name else path, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DerainError, match="No space left on device"):
        train(short(tiny()), here(data, stopped, resume=True))
    assert read(stopped / "checkpoint.pt")["step"] == 1


def test_a_file_that_can_not_be_written_whole_is_as_before(tmp_path: Path) -> None:
    write_whole(tmp_path / "card.md", "before")
    (tmp_path / ".card.md.tmp").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "card.md", "after")
    assert (tmp_path / "card.md").read_text() == "before"


def test_a_new_run_forgets_what_one_without_a_checkpoint_left(
    data: Path, stopped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (stopped / "checkpoint.pt").unlink()
    with caplog.at_level(logging.WARNING):
        train(short(tiny()), here(data, stopped))
    assert [step for step, _ in curve(read_curves(stopped), "loss")] == [1, 2, 3, 4]
    assert len(json.loads((stopped / "environment.json").read_text(encoding="utf-8"))) == 1
