"""Side-cars: every parameter there and back, bit by bit, and one sentence for what is wrong in one."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from derain.engines.errors import UsageError
from derain.train.degradations.compose import Shot
from derain.train.degradations.presets import PRESETS, Preset
from derain.train.degradations.sidecar import (
    Drawn,
    Fingerprint,
    Mask,
    Part,
    SideCar,
    Source,
    from_json,
    read_sidecar,
    to_json,
    write_sidecar,
)


def car(shot: Shot) -> SideCar:
    return SideCar(
        rain=Drawn("joint", 7, 0),
        source=Source("a.jpg", "ab", 64, 48),
        video=Part("1/3", None, 12, 17.5),
        mask=Mask("qian", "over 30"),
        pixels=Fingerprint("1", "2", "3", 0.1 + 0.2),
        shot=shot,
    )


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_comes_back_exactly(preset: Preset, tmp_path: Path) -> None:
    drawn = car(preset.sample(np.random.default_rng(5), 48, 64))
    write_sidecar(drawn, tmp_path / "a.json")
    assert read_sidecar(tmp_path / "a.json") == drawn


@dataclass(frozen=True)
class Inner:
    places: tuple[tuple[float, float], ...]
    kind: Literal["wide", "narrow"] = "wide"


@dataclass(frozen=True)
class Odd:
    small: float
    forever: float
    whole: float
    count: int
    yes: bool
    maybe: Inner | None
    either: int | str
    inner: Inner


ODD = Odd(0.1 + 0.2, -math.inf, 3, 2**70, True, None, "3", Inner(((1e-320, -0.0),), "narrow"))


def test_odd_numbers_come_back_bit_by_bit() -> None:
    back = from_json(Odd, json.loads(json.dumps(to_json(ODD, "odd"), allow_nan=False)), "odd")
    assert back == ODD
    assert repr(back) == repr(ODD)  # 3 and 3.0, 0.0 and -0.0 are equal, and not the same


@pytest.mark.parametrize(
    "bad", [math.nan, [1.0], np.float32(1), np.zeros(2)], ids=["nan", "list", "f32", "array"]
)
def test_what_would_not_come_back_is_not_written(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"odd\.small is .* a side-car can't hold"):
        to_json(replace(ODD, small=bad), "odd")


def broken(change: Callable[[Any], object], tmp_path: Path) -> Path:
    shot = next(p for p in PRESETS if p.name == "rain100l").sample(np.random.default_rng(5), 48, 64)
    write_sidecar(car(shot), tmp_path / "a.json")
    tree = json.loads((tmp_path / "a.json").read_text())
    change(tree)
    (tmp_path / "a.json").write_text(json.dumps(tree))
    return tmp_path / "a.json"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda t: t["shot"]["steps"][0].update(kind="hail"),
            r"steps\[0\] is of the unknown kind .hail.; there is strea",
        ),
        (
            lambda t: t["shot"]["steps"][0]["params"].update(wet=1),
            r"streaks has unknown keys wet; it takes layers, ",
        ),
        (lambda t: t["shot"]["steps"][0]["params"].pop("seed"), r"streaks lacks seed"),
        (lambda t: t["shot"]["steps"][0]["params"].update(haze="much"), r'haze takes a number, not "much"'),
        (lambda t: t["shot"]["steps"][0]["params"].update(seed=1.5), r"seed takes a whole number, not 1\.5"),
        (lambda t: t["shot"]["steps"][0]["params"].update(seed=True), r"seed takes a whole number, not true"),
        (
            lambda t: t["shot"]["steps"][0]["params"].update(layers=[3]),
            r"layers\[0\] takes a table of .*, not 3",
        ),
        (lambda t: t["shot"].update(steps={}), r"steps takes a list, not \{\}"),
        (lambda t: t.update(source=None), r"source takes a table of name, sha256, width, height, not null"),
        (lambda t: t.update(version=99), r"is a side-car of version 99; derain reads 1"),
        (lambda t: t.pop("version"), r"is not a side-car of derain synthesize"),
    ],
)
def test_a_wrong_side_car_says_where_and_what(change: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        read_sidecar(broken(change, tmp_path))
    assert "a.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "null", "[" * 100_000])
def test_what_is_no_side_car_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=r"a\.json is not (JSON|a side-car)"):
        read_sidecar(tmp_path / "a.json")
