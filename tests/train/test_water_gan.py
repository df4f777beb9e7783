"""The GANs for water drops: the paper's layers, what each pixel and each patch sees, and what is exported."""

import copy
from dataclasses import replace
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.train.export import parity, to_onnx
from derain.train.networks import patch_gan, pix2pix, water_gan
from derain.train.networks.network import Entry
from derain.train.networks.patch_gan import PatchGan, confidence_map, confidence_sheet, spread
from derain.train.networks.pix2pix import Pix2Pix
from derain.train.networks.water_gan import WaterGan, WaterGanDiscriminator
from derain.train.recipe import LossRecipe, load_recipe

ENTRIES = (*water_gan.NETWORKS, *pix2pix.NETWORKS)
GENERATORS = (WaterGan, Pix2Pix)
TINY = 0.125
Net = TypeVar("Net", bound=nn.Module)


pytestmark = pytest.mark.usefixtures("one_thread")


def trained(network: Net) -> Net:
    """As if trained: statistics of its own in every normalisation, and weights that make a difference."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
    return network.eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_three_experiments_are_listed_with_their_judges() -> None:
    assert [entry.name for entry in ENTRIES] == ["water-gan", "pix2pix", "pix2pix-stabilised"]
    assert [entry.discriminator for entry in ENTRIES] == [WaterGanDiscriminator, PatchGan, PatchGan]
    assert {entry.tiling for entry in ENTRIES} == {Tiling.EXACT}


def test_the_hyper_parameters_are_those_of_the_experiments() -> None:
    first, second, third = (load_recipe(entry.name) for entry in ENTRIES)
    for recipe, betas, l1 in ((first, (0.9, 0.999), 0.0), (second, (0.5, 0.999), 100.0)):
        assert (recipe.train.rate, recipe.discriminator.rate) == (2e-4, 2e-4)
        assert recipe.train.betas == recipe.discriminator.betas == betas
        assert recipe.loss == LossRecipe("pix2pix", {"l1": l1})
        assert (recipe.discriminator.real, recipe.discriminator.fake) == (1.0, 0.0)
        assert recipe.discriminator.flips == (0.0, 0.0)
        # 860 pairs in batches of 16 are 54 steps, and epochs are 200.
        assert (recipe.train.batch, recipe.train.steps, recipe.train.patch) == (16, 54 * 200, 256)
    assert (third.train.rate, third.discriminator.rate) == (5e-4, 2e-4)
    assert (third.discriminator.real, third.discriminator.fake) == (0.9, 0.1)
    assert third.discriminator.flips == (0.05, 0.10)
    assert (third.loss, third.train) == (second.loss, replace(second.train, rate=5e-4))


def test_every_weight_of_pix2pix_is_accounted_for() -> None:
    down = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    up = [(512, 512), (1024, 512), (1024, 256), (512, 128), (256, 64)]
    weights = sum(16 * a * b for a, b in (*down, *up, (128, 3)))
    norms = 2 * (128 + 256 + 512 + 512) + 2 * (512 + 512 + 256 + 128 + 64)
    assert count(Pix2Pix()) == weights + norms + 64 + 512 + 3 == 29_244_611


def test_the_patch_gan_has_the_published_number_of_parameters() -> None:
    assert count(PatchGan()) == 2_768_705


def test_every_weight_of_the_plain_gan_is_accounted_for() -> None:
    encoder = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (32 + 32 + 64 + 64)
    latent = (16 * 64 * 128 + 128) + (128 * 64 * 16 * 16 + 64)
    decoder = 9 * (64 * 64 + 64 * 32 + 32 * 32 + 32 * 3) + (64 + 32 + 32 + 3) + 2 * (64 + 64 + 32 + 32)
    assert count(WaterGan()) == encoder + latent + decoder
    assert count(WaterGanDiscriminator()) == encoder + 16 * 64 + 1


def shapes_of(network: nn.Module, *inputs: Tensor) -> dict[str, tuple[int, ...]]:
    """The shape that comes out of every layer, by its name."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, result: Tensor) -> None:
        found[name] = tuple(result.shape[1:])

    for name, layer in network.named_modules():
        if not isinstance(layer, nn.ModuleList) and name:
            layer.register_forward_hook(lambda _, __, result, name=name: note(name, result))
    network(*inputs)
    return found


def test_shapes_at_every_stage_of_the_u_net() -> None:
    shapes = shapes_of(Pix2Pix(TINY), torch.rand(2, 3, 128, 64))
    assert [shapes[f"down.{i}"] for i in range(6)] == [
        (8, 64, 32), (16, 32, 16), (32, 16, 8), (64, 8, 4), (64, 4, 2), (64, 2, 1),
    ]  # fmt: skip
    assert [shapes[f"up.{i}"] for i in range(5)] == [
        (64, 4, 2), (64, 8, 4), (32, 16, 8), (16, 32, 16), (8, 64, 32),
    ]  # fmt: skip
    assert shapes["output"] == (3, 128, 64)


def test_shapes_at_every_stage_of_the_plain_gan() -> None:
    shapes = shapes_of(WaterGan(), torch.rand(1, 3, 64, 64))
    assert [shapes[f"encoder.{i}"] for i in range(4)] == [
        (32, 64, 64), (32, 32, 32), (64, 32, 32), (64, 16, 16),
    ]  # fmt: skip
    assert (shapes["pool"], shapes["to_latent"], shapes["from_latent"]) == (
        (64, 4, 4), (128, 1, 1), (64, 16, 16),
    )  # fmt: skip
    assert [shapes[f"decoder.{i}"] for i in range(4)] == [
        (64, 32, 32), (32, 32, 32), (32, 64, 64), (3, 64, 64),
    ]  # fmt: skip


@pytest.mark.parametrize("build", GENERATORS)
@pytest.mark.parametrize("height,width", [(64, 64), (128, 192)])
def test_any_multiple_of_the_cell_is_restored(build: type[nn.Module], height: int, width: int) -> None:
    restored = trained(build(TINY))(torch.rand(1, 3, height, width))
    image = restored.image.detach()
    assert image.shape == (1, 3, height, width)
    assert restored.attention is None
    assert float(image.min()) >= 0 and float(image.max()) <= 1
    assert float(image.std()) > 0.01


def test_a_64x64_picture_is_restored_from_128_numbers() -> None:
    latent = WaterGan()(torch.rand(2, 3, 64, 64)).stages[0]
    assert latent.flatten(1).shape == (2, 128)


def test_the_latent_numbers_are_a_linear_layers() -> None:
    network = trained(WaterGan(TINY))
    features = network.pool(network.encoder(torch.rand(1, 3, 64, 64)))
    expected = features.flatten() @ network.to_latent.weight.flatten(1).T + network.to_latent.bias
    torch.testing.assert_close(network.to_latent(features).flatten(), expected)


@pytest.mark.parametrize("build", GENERATORS)
def test_gradients_reach_every_parameter_of_the_generators(build: type[nn.Module]) -> None:
    network = build(TINY)
    network(torch.rand(2, 3, 64, 64)).image.square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("build", [WaterGanDiscriminator, PatchGan])
def test_gradients_reach_every_parameter_of_the_judges(build: type[nn.Module]) -> None:
    network = build(TINY)
    network(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)).sigmoid().log().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_only_pix2pix_judges_with_a_look_at_the_rainy_picture() -> None:
    picture, one, other = torch.rand(3, 2, 3, 64, 64)
    plain, patch = trained(WaterGanDiscriminator(TINY)), trained(PatchGan(TINY))
    assert torch.equal(plain(one, picture), plain(other, picture))
    assert not torch.allclose(patch(one, picture), patch(other, picture))
    assert plain(one, picture).shape == (2, 1)
    assert not torch.allclose(plain(one, picture), plain(one, other))


def positive(network: nn.Module) -> nn.Module:
    """A copy in which nothing cancels: the gradient is non-zero exactly where an output looks."""
    probe = copy.deepcopy(network).double().eval().requires_grad_(False)
    for parameter in probe.parameters():
        parameter.fill_(1e-2)
    return probe


def seen_rows(output: Tensor, picture: Tensor) -> tuple[int, int]:
    """The first and last row of `picture` that a value looks at."""
    (gradient,) = torch.autograd.grad(output, picture, retain_graph=True)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    return int(rows.min()), int(rows.max())


def test_each_logit_of_the_patch_gan_sees_70_pixels_that_lie_8_apart() -> None:
    picture = torch.ones(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    logits = positive(PatchGan(TINY))(picture, picture)
    assert logits.shape == (1, 1, 18, 18)
    for i in (6, 7, 8):
        first, last = seen_rows(logits[0, 0, i, 9], picture)
        assert last - first + 1 == patch_gan.FIELD
        assert (first + last) / 2 == 11.5 + patch_gan.STRIDE * i


@pytest.mark.parametrize("build,radius", [(WaterGan, 78), (Pix2Pix, 189)])
def test_how_far_a_pixel_looks(build: type[nn.Module], radius: int) -> None:
    rainy = torch.ones(1, 3, 64 * 9, 64, dtype=torch.float64, requires_grad=True)
    image = positive(build(TINY / 2))(rainy).image
    reach = []
    for row in range(256, 320):
        first, last = seen_rows(image[0, :, row].sum(), rainy)
        reach.append(max(row - first, last - row))
    assert max(reach) == radius


@pytest.mark.parametrize("build", GENERATORS)
def test_a_trained_network_does_not_look_at_the_whole_frame(build: type[nn.Module]) -> None:
    network = trained(build(TINY / 2))
    rainy = torch.rand(1, 3, 64, 64 * 8)
    changed = rainy.clone()
    changed[..., -64:] = 1 - changed[..., -64:]
    difference = (network(rainy).image - network(changed).image).abs().amax(dim=(0, 1, 2))
    assert difference[-64:].max() > 1e-3 and difference[: 64 * 4].max() == 0


def test_the_noise_is_on_in_training_and_off_afterwards() -> None:
    network, rainy = Pix2Pix(TINY), torch.rand(2, 3, 64, 64)
    assert not torch.equal(network(rainy).image, network(rainy).image)
    network.eval()
    assert torch.equal(network(rainy).image, network(rainy).image)
    silent = Pix2Pix(TINY, dropout=0.0)
    assert torch.equal(silent(rainy).image, silent(rainy).image)


@pytest.mark.parametrize("entry", (ENTRIES[0], ENTRIES[1]), ids=lambda entry: entry.name)
def test_the_export_equals_torch_at_other_sizes_and_has_no_noise(entry: Entry) -> None:
    network = trained(entry.build(width=TINY / 2)).train()
    model = to_onnx(network, entry.multiple_of)
    assert parity(network, model, entry.multiple_of) <= 1e-3
    assert not {node.op_type for node in model.graph.node} & {"Dropout", "RandomUniformLike", "Bernoulli"}


def test_confidence_is_the_chance_of_being_real() -> None:
    logits = torch.tensor([0.0, 3.0, -3.0]).view(1, 1, 1, 3)
    torch.testing.assert_close(confidence_map(logits).flatten(), torch.tensor([0.5, 0.95257, 0.04743]))


def test_each_confidence_lies_in_the_middle_of_its_patch() -> None:
    ramp = torch.arange(6.0).expand(1, 1, 4, 6)
    row = spread(ramp, 48, 64)[0, 0, 20]
    columns = torch.arange(64.0)
    torch.testing.assert_close(row, ((columns - 11.5) / 8).clamp(0, 5))


@pytest.mark.parametrize("height,width", [(24, 24), (70, 45)])
def test_the_confidence_covers_a_picture_of_any_size(height: int, width: int) -> None:
    picture = torch.rand(1, 3, height, width)
    logits = PatchGan(TINY)(torch.rand(1, 3, height, width), picture)
    assert spread(logits, height, width).shape == (1, 1, height, width)
    assert confidence_sheet(picture, logits).shape == picture.shape


def test_the_sheet_is_yellow_where_a_patch_seems_real_and_blue_where_not() -> None:
    picture = torch.full((1, 3, 24, 64), 0.4)
    logits = torch.tensor([50.0, 50, 50, -50, -50, -50]).view(1, 1, 1, 6)
    sheet = confidence_sheet(picture, logits)
    torch.testing.assert_close(sheet[0, :, 5, 0], torch.tensor([0.7, 0.7, 0.2]))
    torch.testing.assert_close(sheet[0, :, 5, -1], torch.tensor([0.2, 0.2, 0.7]))
