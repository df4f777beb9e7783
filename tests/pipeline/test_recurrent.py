"""Networks that remember the frames before: in tiles, through videos, never from picture to picture."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest
from fakes import FakeSink, FakeSource, negative
from holding_engine import HoldingEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.engines.engine import Engine, EngineOptions, Pixels, Scores, States
from derain.engines.errors import MemoryShortError
from derain.engines.registry import open_engine
from derain.pipeline import Derainer
from derain.pipeline.cli import run as derain
from derain.pipeline.images import Image, read_image, write_image
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.restore import Restorer
from derain.pipeline.runner import Output, run
from derain.pipeline.sources.file import FileSource
from derain.pipeline.tiling import TilePlan, smallest_tile


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_models.recurrent(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[Engine]:
    with open_engine(model, EngineOptions("onnxruntime")) as engine:
        yield engine


def frames(height: int, width: int, count: int = 6) -> npt.NDArray[np.uint8]:
    """Noise bright enough that nothing is clipped when the network takes its share."""
    return np.random.default_rng(0).integers(200, 256, (count, height, width, 3), np.uint8)


def follow(engine: Engine, pictures: npt.NDArray[np.uint8], **options: Any) -> npt.NDArray[np.int64]:
    restorer = Restorer(engine, sequence=True, **options)
    return np.stack([restorer(picture) for picture in pictures]).astype(int)


def near(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.abs(one.astype(int) - other).max() <= 1)


@pytest.mark.parametrize("size", [(1, 1), (3, 90), (20, 20), (40, 24), (61, 45), (33, 70)])
@pytest.mark.parametrize("tile", [20, 24, 28, 32])
def test_a_clip_in_tiles_equals_whole_frames(engine: Engine, size: tuple[int, int], tile: int) -> None:
    clip = frames(*size)
    whole = follow(engine, clip, tile="none")
    assert near(whole, follow(engine, clip, tile=tile))
    assert near(whole, follow(engine, clip, tile=tile, batch=3))


def test_seams_show_where_the_halo_is_too_small(engine: Engine, tmp_path: Path) -> None:
    """So the comparison above means something."""
    path = onnx_models.recurrent(tmp_path, halo=0)
    clip = np.where(np.arange(64)[:, np.newaxis, np.newaxis] % 16 < 8, frames(64, 64), 120).astype(np.uint8)
    with open_engine(path, EngineOptions("onnxruntime")) as careless:
        assert not near(follow(engine, clip), follow(careless, clip, tile=16))


@settings(deadline=None, max_examples=150)
@given(
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    halo=st.integers(0, 9),
    multiple_of=st.sampled_from([1, 2, 4, 6, 8, 16]),
    extra=st.integers(0, 40),
    data=st.data(),
)
def test_the_cores_of_states_partition_them_and_keep_their_halo(
    size: tuple[int, int], halo: int, multiple_of: int, extra: int, data: st.DataObject
) -> None:
    """Each cell is written once, by a tile that reads a halo to each side of all its pixels."""
    scale = data.draw(st.sampled_from([n for n in range(1, multiple_of + 1) if multiple_of % n == 0]))
    side = smallest_tile(halo, multiple_of) + extra
    plan = TilePlan.make(*size, halo, multiple_of, (side, side))
    high, wide = (length // scale for length in plan.padded)
    distance = np.full((1, high, wide), -1.0, np.float32)
    for tile in plan.tiles:
        written = np.full_like(distance, np.nan)
        plan.state_write(to_edges(plan, tile.top, tile.left, scale), tile, scale, written)
        fresh = ~np.isnan(written)
        assert (distance[fresh] == -1).all()
        distance[fresh] = written[fresh]
    assert (distance >= halo).all()


def to_edges(plan: TilePlan, top: int, left: int, scale: int) -> npt.NDArray[np.float32]:
    """Pixels from each cell (1, h, w) of what a tile reads to the nearest edge that is not the frame's."""
    sides = []
    for start, read, whole in zip((top, left), plan.read_shape, plan.padded, strict=True):
        begins = np.arange(0, read, scale)
        before = begins if start else np.full(len(begins), 1e6)
        behind = read - scale - begins if start + read < whole else np.full(len(begins), 1e6)
        sides.append(np.minimum(before, behind))
    nearest: npt.NDArray[np.float32] = np.minimum(sides[0][:, np.newaxis], sides[1]).astype(np.float32)
    return nearest[np.newaxis]


def test_a_reset_and_another_size_begin_anew(engine: Engine) -> None:
    restorer = Restorer(engine, sequence=True)
    clip, small = frames(22, 30), frames(12, 30)
    first, second = restorer(clip[0]), restorer(clip[0])
    assert not near(first, second)
    restorer.reset()
    assert np.array_equal(restorer(clip[0]), first)
    fresh = Restorer(engine, sequence=True)(small[0])
    assert np.array_equal(restorer(small[0]), fresh)
    assert np.array_equal(restorer(clip[0]), first)


@pytest.mark.parametrize("tile", ["none", 20])
def test_pictures_that_stand_alone_know_nothing_of_one_another(engine: Engine, tile: Any) -> None:
    restorer = Restorer(engine, tile, batch=2)
    clip = frames(45, 30)
    alone = [restorer(picture) for picture in clip]
    assert all(near(one, follow(engine, clip[n : n + 1])[0]) for n, one in enumerate(alone))
    assert not restorer.remembers
    assert Restorer(engine, sequence=True).remembers


class ShortOfMemory:
    """An engine that has no memory for tiles of more than `most` pixels a side."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.most = engine, 1000

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> Pixels:
        if max(batch.shape[1:3]) > self.most:
            raise MemoryShortError("the memory is gone")
        return self._engine.infer(batch, out, states, scores)


def test_what_is_remembered_outlives_short_memory(engine: Engine) -> None:
    clip, short = frames(61, 45), ShortOfMemory(engine)
    restorer = Restorer(short, sequence=True)
    restored = []
    for number, picture in enumerate(clip):
        short.most = 32 if number > 2 else 1000
        restored.append(restorer(picture))
    assert restorer.plan is not None and not restorer.plan.whole
    assert near(np.stack(restored), follow(engine, clip))


@pytest.mark.parametrize("size", [(22, 30), (61, 45)])
def test_an_engine_that_holds_states_gets_none_from_the_host(engine: Engine, size: tuple[int, int]) -> None:
    """(22, 30) is no multiple of what the network takes: the frame is padded."""
    holding = HoldingEngine(engine)
    assert near(follow(holding, frames(*size)), follow(engine, frames(*size)))
    assert (holding.opened, holding.given) == (1, 0)


def test_held_states_begin_anew_at_a_reset_and_at_another_size(engine: Engine) -> None:
    holding = HoldingEngine(engine)
    restorer = Restorer(holding, sequence=True)
    clip, small = frames(22, 30), frames(12, 30)
    first = restorer(clip[0])
    assert not near(first, restorer(clip[0]))
    restorer.reset()
    assert np.array_equal(restorer(clip[0]), first)
    assert np.array_equal(restorer(small[0]), Restorer(engine)(small[0]))
    assert np.array_equal(restorer(clip[0]), first)
    assert (holding.opened, holding.closed) == (3, 2)


def test_what_is_held_goes_on_in_tiles_where_memory_is_short(engine: Engine) -> None:
    clip, holding = frames(61, 45), HoldingEngine(engine)
    restorer = Restorer(holding, sequence=True)
    restored = []
    for number, picture in enumerate(clip):
        holding.most = 32 if number > 2 else 1000
        restored.append(restorer(picture))
    assert restorer.plan is not None and not restorer.plan.whole
    assert near(np.stack(restored), follow(engine, clip))
    assert (holding.opened, holding.closed) == (1, 1)


@pytest.mark.parametrize("options", [{"tile": 24}, {}])
def test_states_lie_on_the_host_for_tiles_and_where_the_device_has_no_room(
    engine: Engine, options: dict[str, Any]
) -> None:
    holding = HoldingEngine(engine, room=bool(options))
    assert near(follow(holding, frames(61, 45), **options), follow(engine, frames(61, 45)))
    assert holding.opened == 0 and holding.given


def test_a_run_without_memory_counts_no_resets() -> None:
    assert run(FakeSource(5), negative, [Output(FakeSink())]).resets is None


def scenes(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Quiet, but for a cut before frame 5."""
    return np.full((height, width, 3), 150 + number if number < 5 else 240 - number, np.uint8)


TIMES = (0, 40, 80, 120, 160, 200, 240, 280, 400, 440, 480, 520)
"""With a gap before frame 8."""


@pytest.fixture
def rainy(tmp_path: Path) -> Path:
    clip = clips.Clip(TIMES, Fraction(1, 1000), codec="ffv1", pixel_format="bgr0", picture=scenes)
    return clip.write(tmp_path / "rainy.mkv")


def in_parts(engine: Engine, path: Path) -> npt.NDArray[np.int64]:
    """The frames of a video restored with a memory of each scene's own."""
    with FileSource(path) as source:
        clip = np.stack([frame.pixels for frame in source])
    return np.concatenate([follow(engine, part) for part in np.split(clip, [5, 8])])


def test_a_video_is_restored_scene_by_scene(
    model: Path, engine: Engine, rainy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = rainy.with_name("clean.mkv")
    line = ["video", rainy, clean, "--model", model, "--codec", "ffv1", "--json"]
    assert derain([str(word) for word in line]) == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert end["resets"] == 2
    assert "12 frames in" in end["message"] and ", the network begun anew 2 times, written" in end["message"]
    with FileSource(clean) as source:
        assert near(np.stack([frame.pixels for frame in source]), in_parts(engine, rainy))


def test_a_network_of_single_frames_has_no_resets(
    tmp_path: Path, rainy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, clean = onnx_models.identity(tmp_path), rainy.with_name("clean.mkv")
    assert derain(["video", str(rainy), str(clean), "--model", str(model), "--json"]) == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "resets" not in end and "anew" not in end["message"]


def test_after_damage_it_begins_anew(model: Path, rainy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames_of = FileSource.__iter__

    def damaged(source: FileSource) -> Iterator[Any]:
        for number, frame in enumerate(frames_of(source)):
            yield replace(frame, held=number in (2, 10))

    monkeypatch.setattr(FileSource, "__iter__", damaged)
    report = derain_video(VideoJob(rainy, rainy.with_name("clean.mkv"), str(model)))
    assert report.resets == 4


def test_python_videos_and_sequences_remember_each_for_itself(
    model: Path, engine: Engine, rainy: Path
) -> None:
    clip = frames(22, 30)
    with Derainer(model, backend="onnxruntime") as derainer:
        assert near(derainer(clip[1]), Restorer(engine)(clip[1]))
        one, other = derainer.sequence(clip), derainer.video(rainy)
        together = [(a, b.pixels, derainer(clip[0])) for a, b in zip(one, other, strict=False)]
        assert near(np.stack([a for a, _, _ in together]), follow(engine, clip))
        assert near(np.stack([b for _, b, _ in together]), in_parts(engine, rainy)[:6])
        assert all(near(alone, Restorer(engine)(clip[0])) for _, _, alone in together)


def test_a_sequence_begins_anew_at_a_cut_and_takes_both_depths(model: Path, engine: Engine) -> None:
    shot = np.stack([scenes(number, 30, 22) for number in range(8)])
    with Derainer(model, backend="onnxruntime") as derainer:
        restored = list(derainer.sequence(shot))
        deep = list(derainer.sequence([picture.astype(np.uint16) * 257 for picture in shot[:3]]))
    assert near(np.stack(restored), np.concatenate([follow(engine, part) for part in np.split(shot, [5])]))
    assert near(np.stack(deep) // 257, follow(engine, shot[:3]))


def test_pictures_of_a_folder_stand_alone(model: Path, engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    clip = frames(45, 61, 3)
    for number, picture in enumerate(clip):
        write_image(Image(picture), folder / f"{number}.png")
    for target, tile in (("whole", "auto"), ("tiled", "24")):
        line = ["image", folder, tmp_path / target, "--model", model, "--tile", tile]
        assert derain([str(word) for word in line]) == 0
        for number, picture in enumerate(clip):
            restored = read_image(tmp_path / target / f"{number}.png").pixels
            assert near(restored, Restorer(engine)(picture))
