"""A compiled network against its reference: what is near enough, and what is taken where it is not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
from fake_engine import FakeEngine
from slow_builder import KEY, Cache, PlanEngine, SlowBuilder, reference

from derain.engines.card import Tiling
from derain.engines.engine import Engine, EngineOptions, Pixels, Scores, States
from derain.engines.errors import DerainError
from derain.engines.modelfile import open_model
from derain.engines.onnxruntime import OnnxRuntimeEngine
from derain.engines.parity import BARS, TILES, UP, Figures, Parity
from derain.engines.plans.ladder import near_enough
from derain.engines.plans.store import StoredPlan
from derain.engines.probes import probes
from derain.engines.selfcheck import check, width_for_tiles

SHAPE = (1, 32, 48)
OPTIONS = EngineOptions(threads=1)


def fake(function: Callable[[Pixels], Pixels], precision: str = "fp16", **card: Any) -> FakeEngine:
    engine = FakeEngine(replace(onnx_models.CARD, **card), function)
    engine.precision = precision
    return engine


def same(batch: Pixels) -> Pixels:
    return batch.copy()


def compared(function: Callable[[Pixels], Pixels], precision: str = "fp16", **card: Any) -> Parity:
    """With an engine that gives back what it gets."""
    return check(fake(function, precision, **card), fake(same, "fp32", **card), SHAPE)


def brighter(levels: int) -> Callable[[Pixels], Pixels]:
    """By so many levels, where there is room."""
    return lambda batch: np.minimum(batch.astype(int) + levels, 255).astype(np.uint8)


def test_probes_are_the_same_each_time_and_of_any_size() -> None:
    for size in ((1, 1), (4, 7), (32, 48)):
        made, again = probes(*size, "uint8"), probes(*size, "uint8")
        assert list(made) == ["flat", "noise", "photo", "rain"]
        assert all(frame.shape == (*size, 3) and frame.dtype == np.uint8 for frame in made.values())
        assert all(np.array_equal(made[name], again[name]) for name in made)


def test_probes_show_what_they_are_called() -> None:
    made = probes(120, 160, "uint16")
    assert np.ptp(made["flat"], axis=(0, 1)).max() == 0
    assert made["photo"].min() == 0
    assert made["photo"].max() == 65535
    steps = {name: np.abs(np.diff(frame.astype(float), axis=1)).mean() for name, frame in made.items()}
    assert steps["noise"] > 10 * steps["photo"] > 0, "neighbours in a photo are alike"
    assert (made["rain"] > made["photo"]).mean() > 0.05
    assert steps["rain"] > steps["photo"]


def test_an_engine_that_computes_the_same_passes() -> None:
    parity = compared(same)
    assert parity.passed
    assert [(one.probe, one.psnr, one.error) for one in parity.figures] == [
        (name, None, 0.0) for name in ("flat", "noise", "photo", "rain", TILES)
    ]
    assert parity.told().endswith("tiles no difference, greatest error 0 (to fake fp32, 48x32)")


@pytest.mark.parametrize(("precision", "levels"), [("fp16", 1), ("bf16", 1), ("int8", 3), ("fp8", 3)])
def test_the_bar_is_that_of_the_precision(precision: str, levels: int) -> None:
    """One level everywhere is 48.1 dB, two are 42.1, three 38.6, four 36.1."""
    assert compared(brighter(levels), precision).passed
    parity = compared(brighter(levels + 1), precision)
    assert not parity.passed
    (flat, *_) = parity.figures
    assert flat.error == levels + 1
    assert parity.failures[0] == (
        f"flat {flat.psnr:.1f} dB, greatest error {levels + 1}, where {BARS[precision]:g} dB are asked for"
    )


def test_pixels_of_16_bits_are_measured_in_the_same_levels() -> None:
    left = fake(lambda batch: np.minimum(batch.astype(int) + 257, 65535).astype(np.uint16))
    parity = check(left, fake(same, "fp32"), SHAPE, "uint16")
    assert parity.figures[0].error == 1
    assert parity.figures[0].psnr == pytest.approx(48.13, abs=0.01)


def test_black_frames_are_found() -> None:
    assert not compared(np.zeros_like).passed


def test_a_seam_is_found_though_the_psnr_is_high() -> None:
    """A network that sees farther than its card says: only where tiles meet is it wrong."""

    def sees_the_right_edge(batch: Pixels) -> Pixels:
        out = batch.copy()
        out[:, :, -1] ^= 8
        return out

    parity = check(fake(sees_the_right_edge), fake(sees_the_right_edge, "fp32"), (1, 64, 64))
    assert [one.probe for one in parity.figures if one.error] == [TILES]
    assert parity.worst.psnr is not None
    assert parity.worst.psnr > BARS["fp16"]
    assert parity.failures == (f"{parity.worst.told()}, where the seam may have 1",)
    right = replace(onnx_models.CARD, halo=1)
    ends = [FakeEngine(right, sees_the_right_edge) for _ in range(2)]
    for end in ends:
        end.precision = "fp16"
    assert check(ends[0], ends[1], (1, 64, 64)).passed, "with a halo the edge of a tile is not kept"


def test_the_seam_may_differ_by_what_the_precision_explains() -> None:
    def figures(seam: float) -> Parity:
        probe = Figures("rain", 50.0, 2.0)
        return Parity("openvino fp32", 45.0, (32, 48), (probe, Figures(TILES, 60.0, seam)))

    assert figures(5.0).passed
    assert figures(5.1).failures == ("tiles 60.0 dB, greatest error 5.1, where the seam may have 5",)


def test_tiles_are_of_the_size_that_the_plan_takes() -> None:
    engine = fake(same, halo=5, multiple_of=4)
    whole = fake(same, "fp32", halo=5, multiple_of=4)
    assert check(engine, whole, SHAPE).passed
    assert set(engine.shapes) == {(1, 32, 48, 3)}
    assert set(whole.shapes) == {(1, 32, 48, 3), (1, 32, 80, 3)}, "80 = 2 * (48 - 8)"
    least = width_for_tiles(engine.card)
    assert least == 20
    for width, tiles in ((least, True), (least - 4, False)):
        names = [one.probe for one in check(engine, whole, (1, 8, width)).figures]
        assert (TILES in names) is tiles


@pytest.mark.parametrize(
    "card", [{"tiling": Tiling.WHOLE_FRAME}, {"tiling": Tiling.APPROXIMATE}, {"halo": 24}]
)
def test_tiles_are_not_asked_for_where_they_are_not_the_same(card: dict[str, Any]) -> None:
    parity = compared(same, **card)
    assert [one.probe for one in parity.figures] == ["flat", "noise", "photo", "rain"]


def test_batches_are_of_moving_frames() -> None:
    """A network that mixes the frames of a batch up is found."""
    engine = fake(lambda batch: batch[::-1].copy())
    assert not check(engine, fake(same, "fp32"), (2, 32, 48)).passed
    assert set(engine.shapes) == {(2, 32, 48, 3)}
    assert check(fake(same), fake(same, "fp32"), (2, 32, 48)).passed


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Callable[..., tuple[Engine, Engine]]]:
    """Opens a made-up network twice."""
    opened: list[Engine] = []

    def two(path: Path, other: Path, options: EngineOptions) -> tuple[Engine, Engine]:
        opened.extend(reference(one, options) for one in (path, other))
        return opened[-2], opened[-1]

    yield two
    for engine in opened:
        engine.close()


def test_what_a_recurrent_network_remembers_counts(
    tmp_path: Path, network: Callable[..., tuple[Engine, Engine]]
) -> None:
    path = onnx_models.recurrent(tmp_path)
    one, other = network(path, path, OPTIONS)
    assert check(one, other, SHAPE).passed
    forgetful = FakeEngine(one.card, lambda batch: one.infer(batch, states=no_memory(one, batch)))
    forgetful.precision = "fp16"
    parity = check(forgetful, other, SHAPE)
    assert not parity.passed
    assert parity.figures[-1] == Figures(TILES, None, 0.0), "it is right for a first frame"


def no_memory(engine: Engine, batch: Pixels) -> list[tuple[Any, Any]]:
    shapes = [spec.shape(*batch.shape[:3]) for spec in engine.states]
    return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]


class Twisted(OnnxRuntimeEngine):
    """Restores as it should; what it says of rain goes through `twist`."""

    def __init__(self, path: Path, options: EngineOptions, twist: Callable[[Any], Any]) -> None:
        super().__init__(open_model(path), options)
        self.precision, self.twist = "int8", twist

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        super()._run(batch, out, states, scores)
        assert scores is not None
        out[..., 3:] = self.twist(out[..., 3:] / 255) * 255
        scores[...] = self.twist(scores)


@pytest.mark.parametrize(
    ("twist", "passed"),
    [
        (lambda maps: maps, True),
        (lambda maps: maps * 0.7, True),  # as rough as those of INT8 networks are
        (lambda maps: 1 - maps, False),
        (lambda maps: maps * 0, False),
    ],
)
def test_maps_and_scores_count_apart_from_the_pixels(
    tmp_path: Path, twist: Callable[[Any], Any], passed: bool
) -> None:
    path = onnx_models.mapped(tmp_path)
    options = replace(OPTIONS, attention=True, scores=True)
    with Twisted(path, options, twist) as engine, reference(path, options) as exact:
        parity = check(engine, exact, SHAPE)
    assert parity.passed is passed
    assert parity.worst.psnr is None, "the pixels are the same"
    kinds = [(one.probe, one.of) for one in parity.figures]
    assert kinds[:3] == [("flat", "pixels"), ("flat", "maps"), ("flat", "scores")]
    if not passed:
        assert any(text.startswith("photo (scores) ") for text in parity.failures)
        assert parity.failures[0].endswith(", where 13 dB are asked for")


def test_scores_that_are_no_numbers_are_found(cache: Cache, tmp_path: Path) -> None:
    path = onnx_models.mapped(tmp_path)
    options = replace(OPTIONS, scores=True)
    with Twisted(path, options, lambda scores: scores * np.nan) as engine, reference(path, options) as exact:
        parity = check(engine, exact, SHAPE)
    assert "flat (scores) 0.0 dB, greatest error 255, where 13 dB are asked for" in parity.failures
    assert cache.obtain(check=lambda stored: parity).manifest.parity == parity
    assert cache.obtain().manifest.parity == parity, "such figures can be kept"


def test_a_precision_below_its_bar_gives_way_to_the_next(cache: Cache, tmp_path: Path) -> None:
    """The INT8 plan is of another network, the fp16 plan is right."""
    right, wrong = onnx_models.conv(tmp_path, "right", seed=1), onnx_models.conv(tmp_path, "wrong", seed=2)
    graphs = {"int8": wrong, "fp16": right, "fp32": right}
    builders = {name: SlowBuilder(path.read_bytes(), 0.05) for name, path in graphs.items()}

    def measured(stored: StoredPlan) -> Parity:
        with PlanEngine(stored, OPTIONS, tmp_path) as engine, reference(right, OPTIONS) as exact:
            return check(engine, exact, SHAPE)

    def obtained(precision: str) -> StoredPlan:
        cache.builder = builders[precision]
        return cache.obtain(replace(KEY, precision=precision), check=measured)

    stored = near_enough("int8", obtained, cache.told.append)
    assert stored.manifest.key.precision == "fp16"
    assert stored.manifest.parity is not None
    assert stored.manifest.parity.passed
    (line,) = [line for line in cache.told if "too far" in line]
    assert line.startswith(
        f"the plan {replace(KEY, precision='int8')} is too far from onnxruntime fp32 (flat "
    )
    assert "where 38 dB are asked for" in line
    assert line.endswith("); taking fp16")
    near_enough("int8", obtained, cache.told.append)
    assert [builder.builds for builder in builders.values()] == [1, 1, 0], "what failed is remembered too"


def test_where_fp32_fails_as_well_it_is_an_error(cache: Cache) -> None:
    bad = Parity("openvino fp32", 45.0, (32, 48), (Figures("flat", 12.0, 60.0),))
    asked: list[str] = []

    def obtained(precision: str) -> StoredPlan:
        asked.append(precision)
        return cache.obtain(replace(KEY, precision=precision), check=lambda stored: bad)

    with pytest.raises(
        DerainError, match=r"rain in fp32 .* does not compute what its network does \(flat 12"
    ):
        near_enough("int8", obtained, cache.told.append)
    assert asked == ["int8", "fp16", "fp32"]


def test_a_plan_that_could_not_be_checked_is_taken_as_it_is(cache: Cache) -> None:
    obtained = near_enough("fp16", lambda precision: cache.obtain(), cache.told.append)
    assert obtained.manifest.parity is None


def test_each_precision_leads_up_to_fp32() -> None:
    for precision in BARS:
        seen = [precision]
        while seen[-1] in UP:
            seen.append(UP[seen[-1]])
        assert seen[-1] == "fp32"
        assert len(seen) == len(set(seen))
