"""The game's losses against cases computed by hand, and that playing it makes a network better."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.errors import UsageError
from derain.train.losses.adversarial import (
    Labels,
    accuracy,
    bce,
    discriminator_bce,
    generator_bce,
    targets,
)
from derain.train.losses.contrastive import EPSILON, ContrastiveLoss, Features, RandomFeatures
from derain.train.losses.vgg import VGG16Features
from derain.train.losses.water_gan import discriminator_loss, generator_loss
from derain.train.networks.network import Restored
from derain.train.networks.patch_gan import PatchGan
from derain.train.networks.pix2pix import Pix2Pix
from derain.train.networks.water_gan import WaterGan, WaterGanDiscriminator
from derain.train.objectives import Terms, objective_of
from derain.train.optimisers import judge_optimiser_of, optimiser_of
from derain.train.patches import Batch
from derain.train.recipe import load_recipe
from derain.train.steps import total

SOFT = Labels(0.9, 0.1)
STABILISED = Labels(0.9, 0.1, (0.05, 0.10))
"""Of experiment 3."""
SIDE = 64


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[math.log(3)], [-math.log(3)]])  # chances 3/4 and 1/4
    assert float(bce(logits, 1.0)) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2)
    assert float(bce(logits[:1], 0.9)) == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))
    assert float(generator_bce(logits[:1])) == pytest.approx(-math.log(3 / 4))


def test_the_discriminators_loss_by_hand() -> None:
    real, fake = torch.full((2, 1, 3, 3), math.log(3)), torch.full((2, 1, 3, 3), -math.log(4))
    hard = (-math.log(3 / 4) - math.log(4 / 5)) / 2
    assert float(discriminator_bce(real, fake)) == pytest.approx(hard)
    right, wrong = (
        -0.9 * math.log(3 / 4) - 0.9 * math.log(4 / 5),
        -0.1 * math.log(1 / 4) - 0.1 * math.log(1 / 5),
    )
    assert float(discriminator_bce(real, fake, SOFT)) == pytest.approx((right + wrong) / 2)
    everything = Labels(flips=(1.0, 1.0))
    told_wrong = (-math.log(1 / 4) - math.log(1 / 5)) / 2
    assert float(discriminator_bce(real, fake, everything, generator())) == pytest.approx(told_wrong)


def test_soft_labels_are_0_9_and_0_1() -> None:
    logits = torch.zeros(3, 1, 2, 2)
    assert torch.equal(targets(logits, SOFT, True, generator()), torch.full_like(logits, 0.9))
    assert torch.equal(targets(logits, SOFT, False, generator()), torch.full_like(logits, 0.1))


def flipped_shares(count: int, steps: int) -> Tensor:
    """The share of pictures told the other way round in each step of experiment 3."""
    rng, logits = generator(), torch.zeros(count, 1, 2, 2)
    told = torch.stack([targets(logits, STABILISED, True, rng) for _ in range(steps)])
    assert sorted(set(told.flatten().tolist())) == pytest.approx([0.1, 0.9])
    assert torch.equal(told.amin(dim=(2, 3, 4)), told.amax(dim=(2, 3, 4))), "a picture's patches are alike"
    return (told[:, :, 0, 0, 0] < 0.5).float().mean(dim=1)


def test_five_to_ten_percent_of_the_labels_are_flipped() -> None:
    shares = flipped_shares(4000, 40)
    assert 0.04 < float(shares.min()) < 0.06 and 0.09 < float(shares.max()) < 0.115
    assert float(shares.mean()) == pytest.approx(0.075, abs=0.01)


def test_the_generator_passed_in_decides_which_are_flipped() -> None:
    logits = torch.zeros(64, 1)
    half = Labels(flips=(0.5, 0.5))
    first, again, other = (targets(logits, half, True, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    with pytest.raises(UsageError, match="need a random generator"):
        discriminator_bce(logits, logits, half)


@pytest.mark.parametrize(
    "real,fake,flips", [(0.1, 0.9, (0, 0)), (1.1, 0, (0, 0)), (1, 0, (0.2, 0.1)), (1, 0, (0, 1.5))]
)
def test_impossible_labels_are_told(real: float, fake: float, flips: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match=r"labels take|flips takes"):
        Labels(real, fake, flips)


def test_accuracy_is_the_share_on_the_right_side() -> None:
    real, fake = (
        torch.tensor([1.0, 2, -1, 3]).view(1, 1, 2, 2),
        torch.tensor([-1.0, 1, 1, 1]).view(1, 1, 2, 2),
    )
    assert float(accuracy(real, fake)) == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert float(accuracy(torch.ones(2, 1), -torch.ones(2, 1))) == 1
    assert float(accuracy(torch.zeros(2, 1), torch.zeros(2, 1))) == 0.5


def pair(seed: int = 0, count: int = 2) -> tuple[Tensor, Tensor]:
    """(rainy, clean): smooth scenes, and bright discs on them."""
    rng = torch.Generator().manual_seed(seed)
    clean = F.interpolate(torch.rand(count, 3, 5, 5, generator=rng), SIDE, mode="bicubic").clamp(0, 1)
    places = F.interpolate(torch.rand(count, 1, 12, 12, generator=rng), SIDE, mode="bicubic")
    return torch.where(places > 0.8, 0.7 + 0.2 * clean, clean), clean


def constant(logit: float) -> nn.Module:
    """A judge of one opinion."""

    class Constant(nn.Module):
        def forward(self, rainy: Tensor, picture: Tensor) -> Tensor:
            return picture.new_full((len(picture), 1), logit)

    return Constant()


def generators_terms(recipe: str, judge: nn.Module, pictures: tuple[Tensor, Tensor, Tensor]) -> Terms:
    """The generator's loss by a recipe, of (rainy, restored, clean)."""
    rainy, restored, clean = pictures
    batch = Batch(rainy, clean, clean[:, :1])
    return objective_of(load_recipe(recipe)).terms(Restored(restored), batch, judge)


def test_pix2pix_weighs_l1_a_hundredfold() -> None:
    rainy, clean = pair()
    restored = clean + 0.05
    loss = generators_terms("pix2pix", constant(0.0), (rainy, restored, clean))
    assert list(loss) == ["adversarial", "l1"]
    assert float(loss["l1"]) == pytest.approx(100 * 0.05, rel=1e-4)
    assert float(loss["adversarial"]) == pytest.approx(math.log(2))
    plain = generators_terms("water-gan", constant(0.0), (rainy, restored, clean))
    assert list(plain) == ["adversarial"]
    assert float(plain["adversarial"]) == pytest.approx(math.log(2))


def test_the_discriminators_step_leaves_the_generator_alone() -> None:
    rainy, clean = pair()
    judge, restored = PatchGan(0.125), rainy.clone().requires_grad_()
    loss = discriminator_loss(judge, (rainy, restored, clean), STABILISED, generator())
    torch.autograd.backward(loss.total)
    assert restored.grad is None
    assert all(parameter.grad is not None for parameter in judge.parameters())
    assert 0 <= float(loss.accuracy) <= 1


def pixels(picture: Tensor) -> tuple[Tensor]:
    """The features that are the picture itself."""
    return (picture,)


def test_the_contrastive_loss_by_hand() -> None:
    clean, rainy = torch.full((1, 3, 4, 4), 0.2), torch.full((1, 3, 4, 4), 0.8)
    loss = ContrastiveLoss(pixels)
    assert float(loss(torch.full_like(clean, 0.4), clean, rainy)) == pytest.approx(
        (0.2 + EPSILON) / (0.4 + EPSILON), rel=1e-5
    )
    assert float(loss(clean, clean, rainy)) == pytest.approx(EPSILON / 0.6, rel=1e-2)
    weighted = ContrastiveLoss(lambda x: (x, 2 * x), weights=(1.0, 3.0))
    first, second = (0.2 + EPSILON) / (0.4 + EPSILON), (0.4 + EPSILON) / (0.8 + EPSILON)
    assert float(weighted(torch.full_like(clean, 0.4), clean, rainy)) == pytest.approx(
        first + 3 * second, rel=1e-5
    )


def at_depth(depth: int) -> Features:
    """One depth of the random features alone."""

    def features(picture: Tensor) -> Tensor:
        found: Tensor = RandomFeatures()(picture)[depth]
        return found

    return features


def test_deeper_features_count_for_more() -> None:
    rainy, clean = pair()
    halfway = (rainy + clean) / 2
    each = [float(ContrastiveLoss(at_depth(i))(halfway, clean, rainy)) for i in range(3)]
    whole = float(ContrastiveLoss()(halfway, clean, rainy))
    assert whole == pytest.approx(each[0] / 4 + each[1] / 2 + each[2], rel=1e-5)


def test_contrast_is_least_at_the_clean_picture_and_grows_towards_the_rainy_one() -> None:
    rainy, clean = pair()
    loss = ContrastiveLoss()
    values = [float(loss(clean + share * (rainy - clean), clean, rainy)) for share in (0, 0.3, 0.6, 0.9)]
    assert values == sorted(values) and values[0] < 0.01 < values[1]


def test_contrast_takes_the_features_of_vgg() -> None:
    torch.manual_seed(0)
    rainy, clean = pair()
    vgg = VGG16Features("relu1_2", width=0.1)
    halfway = ((rainy + clean) / 2).requires_grad_()
    loss = ContrastiveLoss(vgg)(halfway, clean, rainy)
    near, far = ((vgg(halfway) - vgg(other)).abs().mean() + EPSILON for other in (clean, rainy))
    torch.testing.assert_close(loss, near / far)
    torch.autograd.backward(loss)
    assert halfway.grad is not None and halfway.grad.any()


def test_contrast_of_a_dry_pair_stays_finite() -> None:
    _, clean = pair()
    restored = clean.clone().requires_grad_()
    loss = ContrastiveLoss()(restored, clean, clean)
    torch.autograd.backward(loss)
    assert restored.grad is not None and torch.isfinite(restored.grad).all()
    assert float(loss.detach()) == pytest.approx(1.75)


def test_the_random_features_are_fixed_by_their_seed() -> None:
    picture = torch.rand(1, 3, 32, 32)
    first, again, other = (RandomFeatures(seed)(picture)[-1] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert [tuple(f.shape[1:]) for f in RandomFeatures()(picture)] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert not any(parameter.requires_grad for parameter in RandomFeatures().parameters())


def test_contrast_joins_the_generators_loss() -> None:
    rainy, clean = pair()
    contrast, restored = ContrastiveLoss(), (rainy + clean) / 2
    loss = generators_terms("pix2pix-future", constant(0.0), (rainy, restored, clean))
    without = generators_terms("pix2pix-stabilised", constant(0.0), (rainy, restored, clean))
    assert float(loss["contrast"]) == pytest.approx(10 * float(contrast(restored, clean, rainy)))
    assert {name: float(loss[name]) for name in without} == pytest.approx(
        {name: float(term) for name, term in without.items()}
    )
    assert set(loss) == {*without, "contrast"}


def fit(network: nn.Module, steps: int, rate: float = 2e-3, count: int = 2) -> list[float]:
    """L1 at each step of training on the same pairs."""
    torch.manual_seed(0)
    rainy, clean = pair(count=count)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0)
    losses = []
    for _ in range(steps):
        loss = F.l1_loss(network(rainy).image, clean)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("build", [WaterGan, Pix2Pix])
def test_a_few_steps_lower_the_loss(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    losses = fit(build(0.25), steps=12)
    assert losses[-1] < 0.7 * losses[0]


def play(steps: int) -> list[tuple[float, float, float]]:
    """(generator's loss, discriminator's, L1) of a few steps of experiment 3."""
    torch.manual_seed(0)
    recipe, rng = load_recipe("pix2pix-stabilised"), generator()
    network, judge = Pix2Pix(0.125), PatchGan(0.125)
    adam, against = optimiser_of(network, recipe.train), judge_optimiser_of(judge, recipe)
    rainy, clean = pair()
    log = []
    for _ in range(steps):
        pictures = (rainy, network(rainy).image, clean)
        wrong = discriminator_loss(judge, pictures, STABILISED, rng)
        against.zero_grad()
        torch.autograd.backward(wrong.total)
        against.step()
        loss = generator_loss(judge, pictures)
        whole = total(loss)
        adam.zero_grad()
        torch.autograd.backward(whole)
        adam.step()
        log.append((float(whole.detach()), float(wrong.total.detach()), float(loss["l1"].detach())))
    return log


def test_the_game_is_played_and_l1_falls() -> None:
    log = play(24)
    assert log[-1][2] < 0.8 * log[0][2]
    assert log[:4] == play(4)
    assert np.isfinite(log).all()


def test_the_plain_gan_alone_has_nothing_that_asks_for_the_scene() -> None:
    """Experiment 1's loss is the same for the right picture and for another scene's."""
    rainy, clean = pair(count=4)
    torch.manual_seed(0)
    judge = WaterGanDiscriminator(0.25).eval()
    right = total(generators_terms("water-gan", judge, (rainy, clean, clean)))
    wrong = total(generators_terms("water-gan", judge, (rainy, clean.flip(0), clean)))
    torch.testing.assert_close(right, wrong)
