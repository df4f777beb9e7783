"""Training on clips: a network that remembers learns through them, another takes their frames as pictures."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from recurrent_network import ENTRY
from tiny_runs import PHOTOS, curves, here, kept, photographs, same, tiny
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.errors import UsageError
from derain.train.checkpoint import State, averaged, begin_with, read, save
from derain.train.clips import patches_of
from derain.train.losses.temporal import flicker
from derain.train.networks import registry
from derain.train.networks.recurrent import no_memory
from derain.train.objectives import objective_of
from derain.train.patches import ALONE, Batch
from derain.train.preview import CAPTION, rows, save_samples
from derain.train.recipe import LossRecipe, NetworkRecipe, Recipe
from derain.train.steps import Plan, step
from derain.train.trainer import fresh_state, train, training_photos
from derain.train.validation import fixed, input_psnr, psnr

pytestmark = pytest.mark.usefixtures("one_thread", "undrawn", "known")
FRAMES = 3


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is one of those that recipes name."""
    monkeypatch.setattr(registry, "NETWORKS", (*registry.NETWORKS, ENTRY))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("clips") / "data")


def remembering(frames: int = FRAMES, temporal: float = 0.5, **train: Any) -> Recipe:
    """A run of a few steps of a network that remembers."""
    recipe = tiny()
    return replace(
        recipe,
        network=NetworkRecipe(ENTRY.name, width=0.25),
        data=replace(PHOTOS, frames=frames),
        loss=LossRecipe("spanet", temporal=temporal if frames > 1 else 0.0),
        train=replace(recipe.train, **train),
        validation=replace(recipe.validation, every=2, patches=2),
    )


def begun(recipe: Recipe, data: Path) -> tuple[State, Plan, Iterator[Batch]]:
    state = fresh_state(recipe, here(data, data))
    plan = Plan(recipe, objective_of(recipe), "cpu", ALONE)
    apart = plan.objective.apart
    return state, plan, iter(patches_of(recipe, training_photos(recipe, data), apart=apart))


def by_hand(network: nn.Module, batch: Batch) -> Tensor:
    """(N, T, 3, H, W): each frame restored with the states that the one before left."""
    states, found = no_memory(network, batch.rainy[:, 0]), []
    for rainy in batch.rainy.unbind(1):
        restored = network(rainy, states)
        states = restored.states
        found.append(restored.image)
    return torch.stack(found, 1)


def test_the_loss_is_the_mean_over_frames_and_that_of_their_changes(data: Path) -> None:
    state, plan, batches = begun(remembering(), data)
    batch = next(batches)
    with torch.no_grad():
        restored = by_hand(state.network, batch)
    (figures,) = step(state, plan, [batch])
    assert set(figures.network) == {"l1", "ssim", "attention", "temporal"}
    assert figures.network["l1"] == pytest.approx(float(F.l1_loss(restored, batch.clean)), rel=1e-4)
    change, wanted = (clip[:, 1:] - clip[:, :-1] for clip in (restored, batch.clean))
    assert figures.network["temporal"] == pytest.approx(0.5 * float(F.l1_loss(change, wanted)), rel=1e-4)
    assert figures.restored == pytest.approx(float((restored - batch.clean).square().mean()), rel=1e-4)
    assert figures.rainy == pytest.approx(float((batch.rainy - batch.clean).square().mean()), rel=1e-4)


def test_gradients_go_back_through_the_whole_clip_to_all_weights(data: Path) -> None:
    """Those of the last frame's error alone reach the first frame's work."""
    recipe = replace(remembering(clip=0.0), loss=LossRecipe("spanet", {"attention": 0.0}, temporal=1.0))
    state, plan, batches = begun(recipe, data)
    batch = next(batches)
    twin = fresh_state(recipe, here(data, data)).network
    restored = by_hand(twin, batch)
    loss = flicker(restored, batch.clean)
    terms = plan.objective.terms(
        type(twin(batch.rainy[:, 0]))(restored.flatten(0, 1)), plan.moved(batch), None
    )
    (loss + torch.stack(list(terms.values())).sum()).backward()  # type: ignore[no-untyped-call]
    step(state, plan, [batch])
    for (name, got), expected in zip(state.network.named_parameters(), twin.parameters(), strict=True):
        if not name.startswith("map."):
            assert got.grad is not None and expected.grad is not None and got.grad.any(), name
            torch.testing.assert_close(got.grad, expected.grad, rtol=1e-3, atol=1e-6)


def test_a_network_without_memory_takes_the_frames_as_pictures(data: Path) -> None:
    recipe = replace(tiny(), data=replace(PHOTOS, frames=FRAMES))
    state, plan, batches = begun(recipe, data)
    batch = next(batches)
    one_by_one = replace(recipe, data=PHOTOS)
    other, its_plan, _ = begun(one_by_one, data)
    flat = batch.mapped(lambda part: part.flatten(0, 1))
    (got,), (expected,) = step(state, plan, [batch]), step(other, its_plan, [flat])
    assert got == expected
    assert same(state.network.state_dict(), other.network.state_dict())


def test_an_error_that_stays_does_not_flicker() -> None:
    clean = torch.rand(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(flicker(clean + 0.3, clean)) == pytest.approx(0, abs=1e-6)
    blinking = clean + torch.tensor([0.0, 0.1, 0.0, 0.1]).view(1, 4, 1, 1, 1)
    assert float(flicker(blinking, clean)) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_is_broken_off_equals_an_unbroken_one(precision: str, data: Path, tmp_path: Path) -> None:
    recipe = remembering(precision=precision, steps=4, accumulate=2, ema=0.9)
    train(recipe, here(data, tmp_path / "whole"))
    train(recipe, here(data, tmp_path / "broken", time_limit=0.0))
    train(recipe, here(data, tmp_path / "broken", resume=True))
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "broken"))
    assert curves(tmp_path / "whole") == curves(tmp_path / "broken")
    assert "temporal" in curves(tmp_path / "whole") and "validation_psnr" in curves(tmp_path / "whole")


def test_a_run_learns(data: Path, tmp_path: Path) -> None:
    """On clips it has not seen it restores better than it did."""
    recipe = remembering(steps=40, rate=5e-3, ema=0.9, patch=16)
    recipe = replace(recipe, validation=replace(recipe.validation, every=40, patches=6))
    state, batch = fresh_state(recipe, here(data, data)), fixed(recipe, data)
    assert batch is not None
    before = psnr(state, batch, "cpu")
    content = read(train(recipe, here(data, tmp_path / "run", log_every=40)))
    state.average.load_state_dict(content["average"])
    assert psnr(state, batch, "cpu") > before + 0.3


def test_validation_goes_through_whole_clips_of_pictures_held_out(data: Path) -> None:
    recipe = remembering()
    state, batch = fresh_state(recipe, here(data, data)), fixed(recipe, data)
    assert batch is not None and batch.rainy.shape == (2, FRAMES, 3, 32, 32)
    for name in ("correction", "remembered"):
        nn.init.normal_(state.average.get_submodule(name).weight, std=0.2)  # type: ignore[arg-type]
    with torch.no_grad():
        restored = by_hand(state.average, batch).clamp(0, 1)
        alone = state.average(batch.rainy.flatten(0, 1)).image.clamp(0, 1).view_as(restored)
    mine, forgetful = (-10 * float((one - batch.clean).square().mean().log10()) for one in (restored, alone))
    assert psnr(state, batch, "cpu") == pytest.approx(mine, abs=1e-3)
    assert abs(mine - forgetful) > 0.01
    rainy = -10 * float((batch.rainy - batch.clean).square().mean().log10())
    assert input_psnr(batch) == pytest.approx(rainy, abs=1e-3)


def test_samples_show_the_last_frames(data: Path, tmp_path: Path) -> None:
    recipe = remembering()
    state, batch = fresh_state(recipe, here(data, data)), fixed(recipe, data)
    assert batch is not None
    save_samples(state, batch, tmp_path / "samples.png")
    sheet = cv2.imread(str(tmp_path / "samples.png"))
    assert sheet is not None and sheet.shape == (5 * 32, CAPTION + 2 * 32, 3)
    shown = rows(state, batch)
    assert torch.equal(shown["clean"], batch.clean[:, -1])
    with torch.no_grad():
        np.testing.assert_allclose(shown["restored"], by_hand(state.average, batch)[:, -1], atol=1e-6)


def test_a_network_that_remembers_begins_with_the_weights_of_its_twin_that_does_not(
    data: Path, tmp_path: Path
) -> None:
    recipe = remembering()
    still: Any = fresh_state(replace(recipe, seed=2), here(data, data)).network
    del still.remembered
    save(State(still, averaged(still), torch.optim.AdamW(still.parameters())), recipe, tmp_path / "still.pt")
    state = fresh_state(recipe, here(data, data))
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    begin_with(state, tmp_path / "still.pt")
    for network in (state.network, state.average):
        now = network.state_dict()
        assert same(still.state_dict(), {name: now[name] for name in still.state_dict()})
        assert torch.equal(now["remembered.weight"], before["remembered.weight"])
    save(state, recipe, tmp_path / "remembers.pt")
    plain = fresh_state(tiny(), here(data, data))
    with pytest.raises(UsageError, match="of another network"):
        begin_with(plain, tmp_path / "remembers.pt")


def test_single_frames_teach_no_memory_and_the_run_says_so(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(remembering(frames=1, steps=1), here(data, tmp_path / "alone"))
        train(remembering(steps=1), here(data, tmp_path / "clips"))
    warned = [record.getMessage() for record in caplog.records if "remembers" in record.getMessage()]
    assert warned == [
        "remembering remembers the frames before, which samples of one frame don't teach it; "
        "give --set data.frames=6"
    ]
