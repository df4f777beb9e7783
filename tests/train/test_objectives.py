"""Objectives: their terms are the losses of the papers, each side of a game learns from its own, and a loss
tells which networks it can train."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import here, photographs, small, tiny
from torch import Tensor, nn

from derain.engines.errors import UsageError
from derain.train.losses import adversarial, attentive_gan, daiam, eigen, spanet, water_gan
from derain.train.losses.contrastive import ContrastiveLoss
from derain.train.losses.restoration import charbonnier, maps_loss, spectrum
from derain.train.losses.vgg import VGG16Features
from derain.train.networks.network import Restored
from derain.train.networks.registry import NETWORKS, build_discriminator, build_network, entry
from derain.train.objectives import Game, missing, objective_of, refused
from derain.train.patches import ALONE, Batch
from derain.train.recipe import LossRecipe, NetworkRecipe, Recipe, load_recipe, shipped
from derain.train.steps import Plan, detached, gather, total
from derain.train.trainer import fresh_state, train


def batch_of(size: int = 64) -> Batch:
    """Two clean pictures, their rain, and the masks of both kinds."""
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand(2, 3, size, size, generator=generator) * 0.5
    drops, streaks = (
        (torch.rand(2, 1, size, size, generator=generator) > share).float() for share in (0.9, 0.8)
    )
    return Batch(
        clean + 0.4 * torch.maximum(drops, streaks), clean, torch.maximum(drops, streaks), drops, streaks
    )


def weighed(name: str, loss: str, **weights: Any) -> Recipe:
    """A tiny recipe of that network and loss."""
    return replace(tiny(), network=NetworkRecipe(name, width=0.0625), loss=LossRecipe(loss, weights))


def restored_of(recipe: Recipe) -> tuple[nn.Module, Restored]:
    torch.manual_seed(0)
    network = build_network(recipe.network)
    return network, objective_of(recipe).restore(network, batch_of().rainy)


def number(found: Tensor) -> float:
    return float(found.detach())


def sums(terms: dict[str, Tensor]) -> float:
    return number(total(terms))


def test_ours() -> None:
    weights = {"mask_weight": 3.0, "spectrum": 0.2, "attention": 0.5}
    recipe, batch = weighed("realtime-s", "restoration", **weights), batch_of()
    assert batch.drops is not None and batch.streaks is not None
    _, restored = restored_of(recipe)
    maps = torch.cat((batch.drops, batch.streaks), dim=1)
    expected = {
        "charbonnier": charbonnier(restored.image, batch.clean, batch.mask, 3.0),
        "spectrum": 0.2 * spectrum(restored.image, batch.clean),
        "attention": 0.5 * maps_loss(restored.stages[0], maps),
    }
    objective = objective_of(recipe)
    found = objective.terms(restored, batch, None)
    assert {name: number(term) for name, term in found.items()} == pytest.approx(
        {name: number(term) for name, term in expected.items()}
    )
    assert objective.apart, "both masks are asked for"


def test_eigens_of_the_picture_and_of_each_patch() -> None:
    batch = batch_of()
    recipe = weighed("eigen2013", "eigen")
    _, restored = restored_of(recipe)
    assert restored.image.shape[2:] == (56, 56), "the middle alone is compared"
    expected = number(eigen.squared_error(restored.image, batch.clean))
    assert sums(objective_of(recipe).terms(restored, batch, None)) == pytest.approx(expected)
    mean = objective_of(weighed("eigen2013", "eigen", mean=True)).terms(restored, batch, None)
    difference = restored.image - eigen.middle(batch.clean, 56, 56)
    assert sums(mean) == pytest.approx(number(difference.square().mean()), rel=1e-4), "per value"

    recipe = weighed("eigen2013-patch", "eigen", patches=True)
    _, restored = restored_of(recipe)
    expected = number(eigen.patch_error(restored.stages[0], batch.clean))
    assert sums(objective_of(recipe).terms(restored, batch, None)) == pytest.approx(expected)


def test_spanets() -> None:
    recipe, batch = weighed("spanet", "spanet", attention=0.25), batch_of()
    _, restored = restored_of(recipe)
    expected = spanet.SpanetLoss(0.25)(restored, batch.rainy, batch.clean)
    terms = objective_of(recipe).terms(restored, batch, None)
    assert terms.keys() == expected.keys() == {"l1", "ssim", "attention"}
    assert sums(terms) == pytest.approx(sums(expected))


@pytest.mark.parametrize("branches", [True, False])
def test_daiams(branches: bool) -> None:
    recipe, batch = weighed("daiam", "daiam", alpha=0.5, beta1=0.7, beta2=0.2, branches=branches), batch_of()
    assert batch.drops is not None and batch.streaks is not None
    _, restored = restored_of(recipe)
    loss = daiam.DAiAMLoss(daiam.Balance(0.5, 0.7, 0.2), branches)
    expected = number(loss(restored, batch.clean, batch.drops, batch.streaks))
    objective = objective_of(recipe)
    assert sums(objective.terms(restored, batch, None)) == pytest.approx(expected)
    assert objective.apart, "both masks are asked for"


def game(name: str, loss: str, **weights: Any) -> tuple[Game, Restored, nn.Module]:
    recipe = weighed(name, loss, **weights)
    objective = objective_of(recipe)
    assert isinstance(objective, Game)
    _, restored = restored_of(recipe)
    judge = build_discriminator(recipe.network)
    assert judge is not None
    return objective, restored, judge


def test_the_attentive_gans() -> None:
    weights = {"theta": 0.5, "scales": [0.1, 0.2, 0.3], "gan": 0.7, "gamma": 0.4}
    objective, restored, judge = game("attentive-gan", "attentive-gan", **weights)
    batch = batch_of()
    mask = spanet.rain_map(batch.rainy, batch.clean, 30 / 255)
    loss = attentive_gan.GeneratorLoss(None, 0.5, (0.1, 0.2, 0.3), 0.7)
    expected = loss(restored, batch.clean, mask, judge(restored.image))
    terms = objective.terms(restored, batch, judge)
    assert terms.keys() == expected.keys() == {"multiscale", "attention", "gan"}
    assert sums(terms) == pytest.approx(sums(expected))
    verdict = objective.verdict(restored, batch, judge, np.random.default_rng(0))
    fake, real = judge(restored.image), judge(batch.clean)
    assert restored.attention is not None
    against = attentive_gan.DiscriminatorLoss(0.4)(fake, real, restored.attention)
    assert sums(verdict.terms) == pytest.approx(sums(against))
    assert float(verdict.accuracy) == float(adversarial.accuracy(real.logit, fake.logit))


def test_the_rain_mask_is_shown_where_a_generator_has_no_map() -> None:
    objective, restored, judge = game("attentive-gan-a-ad", "attentive-gan")
    batch = batch_of()
    fake, real = judge(restored.image), judge(batch.clean)
    mask = spanet.rain_map(batch.rainy, batch.clean, 30 / 255)
    expected = attentive_gan.DiscriminatorLoss()(fake, real, mask)
    found = objective.verdict(restored, batch, judge, np.random.default_rng(0)).terms
    assert sums(found) == pytest.approx(sums(expected))


def test_pix2pixs_with_its_labels_and_its_future_work() -> None:
    recipe = replace(load_recipe("pix2pix-stabilised"), loss=LossRecipe("pix2pix", {"l1": 50, "contrast": 2}))
    recipe = replace(recipe, network=replace(recipe.network, width=0.0625))
    objective, batch = objective_of(recipe), batch_of()
    assert isinstance(objective, Game)
    _, restored = restored_of(recipe)
    judge = build_discriminator(recipe.network)
    assert judge is not None
    pictures = batch.rainy, restored.image, batch.clean
    expected = water_gan.generator_loss(judge, pictures, 50, 2, ContrastiveLoss())
    terms = objective.terms(restored, batch, judge)
    assert terms.keys() == expected.keys() == {"adversarial", "l1", "contrast"}
    assert sums(terms) == pytest.approx(sums(expected))
    labels = adversarial.Labels(0.9, 0.1, (0.05, 0.1))
    against = water_gan.discriminator_loss(judge, pictures, labels, np.random.default_rng(4))
    verdict = objective.verdict(restored, batch, judge, np.random.default_rng(4))
    assert sums(verdict.terms) == pytest.approx(number(against.total))


@pytest.mark.parametrize("name", ["pix2pix", "attentive-gan"])
def test_each_side_of_a_game_learns_from_its_own_loss(name: str, tmp_path: Path) -> None:
    """The gradients a step gathers are those of each loss alone."""
    recipe = small(name)
    recipe = replace(recipe, train=replace(recipe.train, patch=64))
    state = fresh_state(recipe, here(tmp_path, tmp_path))
    plan, batch = Plan(recipe, objective_of(recipe), "cpu", ALONE), batch_of()
    objective, judge = plan.objective, state.judge
    assert isinstance(objective, Game) and judge is not None
    torch.manual_seed(5)
    gather(state, plan, batch, plan.rng(0), 1.0)
    found = [[weight.grad.clone() for weight in one.parameters() if weight.grad is not None]
             for one in (state.network, judge)]  # fmt: skip
    torch.manual_seed(5)
    restored = objective.restore(state.network, batch.rainy)
    alone = torch.autograd.grad(
        total(objective.terms(restored, batch, judge)), list(state.network.parameters())
    )
    verdict = objective.verdict(detached(restored), batch, judge, plan.rng(0))
    against = torch.autograd.grad(total(verdict.terms), list(judge.parameters()))
    for expected, got in ((alone, found[0]), (against, found[1])):
        assert len(expected) == len(got)
        for one, other in zip(expected, got, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def vgg16(path: Path) -> Path:
    """A file of weights as torchvision has them."""
    torch.manual_seed(1)
    torch.save(VGG16Features().state_dict(), path)
    return path


def test_vgg16_makes_a_loss_whole_and_is_part_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    weights = vgg16(tmp_path / "vgg16.pt")
    recipe, batch = weighed("attentive-gan-a", "attentive-gan"), batch_of()
    whole, without = objective_of(recipe, weights), objective_of(recipe)
    assert not missing(whole) and "the figures are not the paper's" in missing(without)
    (helper,) = whole.helpers()
    assert isinstance(helper, VGG16Features) and not without.helpers()
    _, restored = restored_of(recipe)
    found = whole.terms(restored, batch, None)
    expected = attentive_gan.perceptual_loss(helper, restored.image, batch.clean)
    assert number(found["perceptual"]) == pytest.approx(number(expected))
    assert "perceptual" not in without.terms(restored, batch, None)

    monkeypatch.setattr("derain.train.run_folder.chart", lambda rows, title: b"")
    data, run = photographs(tmp_path / "data"), tmp_path / "run"
    recipe = replace(recipe, train=replace(recipe.train, steps=1))
    train(recipe, here(data, run, vgg16=weights))
    assert "figures are not the paper's" not in caplog.text
    with pytest.raises(UsageError, match="made with another --vgg16, or without; give the same one"):
        train(recipe, here(data, run, resume=True))
    train(recipe, here(data, run, resume=True, vgg16=weights))
    train(recipe, here(data, tmp_path / "other"))
    assert "figures are not the paper's" in caplog.text


def test_the_fixed_networks_of_a_loss_are_told() -> None:
    """So that the trainer takes them to the device."""
    (features,) = objective_of(weighed("pix2pix", "pix2pix", contrast=1)).helpers()
    assert isinstance(features, nn.Module) and not any(p.requires_grad for p in features.parameters())
    assert not objective_of(weighed("pix2pix", "pix2pix")).helpers()


@pytest.mark.parametrize(
    "network,loss,weights,told",
    [
        ("eigen2013", "pix2pix", {}, "pix2pix trains water-gan, pix2pix, pix2pix-stabilised, not eigen2013"),
        ("eigen2013", "daiam", {}, "daiam trains dam-zero, "),
        ("realtime-s", "eigen", {}, "eigen trains eigen2013, eigen2013-patch, not realtime-s"),
        ("eigen2013", "eigen", {"patches": True}, "eigen trains eigen2013-patch, not eigen2013"),
        ("spanet", "attentive-gan", {}, "attentive-gan trains attentive-gan, attentive-gan-a, "),
        ("daiam", "restoration", {}, "restoration trains realtime-s, realtime-s-video, "),
        ("pix2pix", "spanet", {}, "spanet has nothing for the discriminator of pix2pix; it takes pix2pix"),
        ("attentive-gan", "spanet", {}, "discriminator of attentive-gan; it takes attentive-gan"),
    ],
)
def test_a_network_a_loss_can_not_train_is_refused_before_data_is_read(
    network: str, loss: str, weights: dict[str, Any], told: str, tmp_path: Path
) -> None:
    recipe = replace(weighed(network, loss, **weights), train=replace(tiny().train, patch=64))
    with pytest.raises(UsageError) as error:
        train(recipe, here(tmp_path / "no data", tmp_path / "run"))
    assert str(error.value).startswith("the recipe tiny [loss] ") and told in str(error.value)
    assert not (tmp_path / "run").exists()


def test_every_shipped_recipe_has_a_loss_for_its_network() -> None:
    for name in shipped():
        recipe = load_recipe(name)
        assert refused(entry(recipe.network.name), objective_of(recipe), recipe.loss.name) == ""
    assert {load_recipe(name).network.name for name in shipped()} == {one.name for one in NETWORKS}
