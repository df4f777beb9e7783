"""Networks that remember, measured: clips as `derain video` restores them, pictures each alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
from clips import Clip
from rainy_sets import evaluate, write

from derain.benchmarks.evaluation.contest import contestant
from derain.benchmarks.usefulness.command import Look, measured
from derain.benchmarks.usefulness.views import NO_RAIN, Take, Views
from derain.engines.engine import Engine, EngineOptions
from derain.engines.quality import luma
from derain.engines.registry import open_engine
from derain.pipeline.restore import Restorer
from derain.train.datasets import read_rgb
from derain.train.evaluate import RGB


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_models.recurrent(tmp_path)


@pytest.fixture
def engine(model: Path) -> Iterator[Engine]:
    with open_engine(model, EngineOptions("onnxruntime")) as engine:
        yield engine


def frames(seed: int, count: int = 4, dark: int = 0) -> list[RGB]:
    """A quiet scene with a little noise, `dark` grey levels darker."""
    rng = np.random.default_rng(seed)
    return [rng.integers(200 - dark, 220 - dark, (24, 32, 3), np.uint8) for _ in range(count)]


def put(folder: Path, pictures: list[RGB]) -> None:
    for number, one in enumerate(pictures):
        write(folder / f"{number:03d}.png", one)


def follow(engine: Engine, pictures: list[RGB]) -> list[RGB]:
    restorer = Restorer(engine, sequence=True)
    return [np.asarray(restorer(one)) for one in pictures]


def written(folder: Path) -> list[RGB]:
    return [read_rgb(path) for path in sorted(folder.glob("*.png"))]


def equal(ones: list[RGB], others: list[RGB]) -> bool:
    return len(ones) == len(others) and all(map(np.array_equal, ones, others))


def test_a_clip_is_followed_and_the_next_one_begins_anew(tmp_path: Path, model: Path, engine: Engine) -> None:
    """Also where clean twins are fed between its frames."""
    rainy, place = frames(1), tmp_path / "set"
    for name in ("walk", "walk again"):
        put(place / "clean" / name, frames(2))
        put(place / "rainy" / name, rainy)
    evaluate(model, place, "--output", tmp_path / "out", "--no-harm", "all")
    restored = follow(engine, rainy)
    assert not equal(restored, [Restorer(engine)(one) for one in rainy]), "it remembers"
    for name in ("walk", "walk again"):
        assert equal(written(tmp_path / "out" / "set" / "recurrent" / name), restored)


def test_a_cut_inside_a_clip_begins_anew(tmp_path: Path, model: Path, engine: Engine) -> None:
    shots = frames(1), frames(2, dark=120)
    put(tmp_path / "set" / "clean" / "walk", [*frames(3), *frames(4, dark=120)])
    put(tmp_path / "set" / "rainy" / "walk", [*shots[0], *shots[1]])
    evaluate(model, tmp_path / "set", "--output", tmp_path / "out")
    restored = [*follow(engine, shots[0]), *follow(engine, shots[1])]
    assert equal(written(tmp_path / "out" / "set" / "recurrent" / "walk"), restored)


def test_pictures_and_clean_twins_stand_alone(tmp_path: Path, model: Path, engine: Engine) -> None:
    rainy, clean = frames(1), frames(2)
    for kind in ("set", "moving"):
        under = "walk" if kind == "moving" else ""
        put(tmp_path / kind / "clean" / under, clean)
        put(tmp_path / kind / "rainy" / under, rainy)
    stills, moving = evaluate(model, tmp_path / "set", tmp_path / "moving", "--output", tmp_path / "out")
    alone = [Restorer(engine)(one) for one in rainy]
    assert equal(written(tmp_path / "out" / "set" / "recurrent"), [np.asarray(one) for one in alone])
    for row, fed in ((stills, clean), (moving, clean[:1])):
        errors = np.stack([luma(Restorer(engine)(one)) - luma(one) for one in fed])
        assert row["no_harm"]["pictures"] == len(fed)
        assert row["no_harm"]["psnr_y"] == pytest.approx(10 * np.log10(255**2 / np.square(errors).mean()))


class Eye:
    """Keeps what it is shown."""

    name, needs, note = "eye", 1, ""

    def __init__(self) -> None:
        self.seen: list[Views] = []

    def see(self, views: Views) -> None:
        self.seen.append(views)

    def rows(self) -> list[dict[str, Any]]:
        return []

    def sheet(self) -> list[RGB]:
        return [self.seen[0].clean]


@pytest.mark.parametrize("every", [1, 2])
def test_machines_look_at_clips_that_were_followed_unless_frames_are_left_out(
    tmp_path: Path, engine: Engine, every: int
) -> None:
    clip = Clip(tuple(range(6))).write(tmp_path / "road.mp4")
    eyes = [Eye(), Eye()]
    look = Look(Take(clip, 3, every), lambda: [eyes[0] if not eyes[0].seen else eyes[1]])
    list(measured([look], [NO_RAIN, NO_RAIN], 1, contestant("x", engine)))
    for eye in eyes:
        rainy = [views.rainy for views in eye.seen]
        alone = [np.asarray(Restorer(engine)(one)) for one in rainy]
        followed = follow(engine, rainy)
        assert not equal(alone, followed)
        assert equal([views.restored for views in eye.seen], followed if every == 1 else alone)
