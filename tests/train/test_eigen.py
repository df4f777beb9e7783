"""Eigen's network of 2013: the paper's counts, mask and patches by loops, sections, losses, export."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import Tiling
from derain.engines.errors import UsageError
from derain.train import export
from derain.train.losses import eigen as losses
from derain.train.networks import eigen
from derain.train.networks.eigen import Eigen2013, Eigen2013Patch
from derain.train.networks.eigen_sections import restore_in_sections
from derain.train.optimisers import optimiser_of, set_rates, share_of_rate
from derain.train.reach import receptive_radius
from derain.train.recipe import load_recipe

SMALL = 0.03
BOTH = pytest.mark.parametrize("kind", [Eigen2013, Eigen2013Patch])


pytestmark = pytest.mark.usefixtures("one_thread")


def awake(network: Eigen2013) -> Eigen2013:
    """Weights large enough that every layer counts."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return network


@BOTH
def test_the_papers_753664_weights_and_1216_biases(kind: type[Eigen2013]) -> None:
    sizes: dict[str, int] = {}
    for name, parameter in kind().named_parameters():
        what = name.split(".")[1]
        sizes[what] = sizes.get(what, 0) + parameter.numel()
    assert sizes == {"weight": 753_664, "bias": 1_216}


def test_every_stage_has_the_papers_shape() -> None:
    network = Eigen2013()
    assert [tuple(layer.weight.shape) for layer in (network.f1, network.f2, network.f3)] == [
        (512, 3, 16, 16),
        (512, 512, 1, 1),
        (512, 3, 8, 8),
    ]
    small, rainy = Eigen2013(SMALL), torch.rand(2, 3, 64, 64)
    assert small.hidden(rainy).shape == (2, 15, 49, 49)
    assert small(rainy, valid=True).image.shape == (2, 3, 56, 56)
    assert small(rainy).image.shape == (2, 3, 64, 64)
    assert small(rainy).attention is None
    assert Eigen2013(0.001).f1.out_channels == 4


def test_the_overlap_mask_counts_the_patches_over_each_pixel() -> None:
    rows, columns = 9, 3
    counted = torch.zeros(rows + 7, columns + 7)
    for top in range(rows):
        for left in range(columns):
            counted[top : top + 8, left : left + 8] += 1
    assert torch.equal(eigen.overlap_mask(torch.ones(1, 1, rows, columns))[0, 0], counted)
    assert eigen.overlap_mask(torch.ones(1, 1, 20, 20))[0, 0, 7:13, 7:13].eq(64).all()


def patchwise(network: Eigen2013, rainy: Tensor) -> Tensor:
    """Section 2.3 word by word: patchify, a fully connected network for each patch, the average."""
    height, width = rainy.shape[1] - 8, rainy.shape[2] - 8
    total, count = torch.zeros(3, height, width), torch.zeros(height, width)
    w1, w2, w3 = (layer.weight.flatten(1) for layer in (network.f1, network.f2, network.f3))
    assert network.f1.bias is not None
    assert network.f2.bias is not None
    for top in range(height - 7):
        for left in range(width - 7):
            patch = rainy[:, top : top + 16, left : left + 16].flatten() - 0.5
            first = torch.tanh(w1 @ patch + network.f1.bias)
            second = torch.tanh(w2 @ first + network.f2.bias)
            clean = (second @ w3).view(3, 8, 8) + network.f3.bias
            total[:, top : top + 8, left : left + 8] += clean
            count[top : top + 8, left : left + 8] += 1
    return total / count + 0.5


@torch.no_grad()
def test_the_convolution_is_patchify_a_network_depatchify() -> None:
    network, rainy = awake(Eigen2013(SMALL)), torch.rand(1, 3, 20, 27)
    restored = network(rainy, valid=True).image[0]
    assert restored.std() > 0.01
    assert torch.allclose(restored, patchwise(network, rainy[0]), atol=1e-5)


@torch.no_grad()
def test_the_border_is_restored_from_the_picture_reflected_by_four() -> None:
    network, rainy = awake(Eigen2013(SMALL)), torch.rand(1, 3, 16, 24)
    restored = network(rainy).image
    assert torch.equal(restored, network(F.pad(rainy, (4, 4, 4, 4), "reflect"), valid=True).image)
    # From 11 pixels inwards nothing of it is seen.
    rainy = torch.rand(1, 3, 40, 40)
    inner = network(rainy, valid=True).image[:, :, 7:-7, 7:-7]
    assert torch.allclose(network(rainy).image[:, :, 11:-11, 11:-11], inner, atol=1e-5)


def test_the_patch_network_shows_its_patches_only_while_it_trains() -> None:
    network, rainy = Eigen2013Patch(SMALL), torch.rand(2, 3, 24, 32)
    awake(network)
    trained = network(rainy, valid=True)
    (patches,) = trained.stages
    assert patches.shape == (2, 192, 9, 17)
    assert network(rainy).stages[0].shape == (2, 192, 17, 25)
    single = network(rainy[:, :, 5:21, 2:18], valid=True)
    assert torch.allclose(single.image.flatten(1), patches[:, :, 5, 2], atol=1e-5)
    network.eval()
    tested = network(rainy, valid=True)
    assert tested.stages == ()
    assert torch.allclose(tested.image, trained.image, atol=1e-5)
    same = Eigen2013(SMALL)
    same.load_state_dict(network.state_dict())
    assert torch.equal(same(rainy).image, network(rainy).image)


@pytest.mark.parametrize("section", [1, 7, 16, 1000])
def test_sections_summed_into_one_buffer_equal_the_whole_frame(section: int) -> None:
    network = awake(Eigen2013(SMALL))
    rainy = torch.rand(2, 3, 16, 24)
    whole = network(rainy).image
    in_sections = restore_in_sections(network, rainy, section)
    assert not in_sections.requires_grad
    assert (in_sections - whole).abs().max() < 1e-5


def test_a_section_reads_fifteen_pixels_more_and_no_patch_is_computed_twice() -> None:
    network = Eigen2013(SMALL)
    seen: list[tuple[int, int]] = []
    network.f2.register_forward_hook(lambda _, __, out: seen.append((out.shape[2], out.shape[3])))
    restore_in_sections(network, torch.rand(1, 3, 16, 16), 5)
    # 16 + 8 - 15 = 9 patches a side.
    assert seen == [(5, 5), (5, 4), (4, 5), (4, 4)]


def test_sections_of_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="sections of 0 patches"):
        restore_in_sections(Eigen2013(SMALL), torch.rand(1, 3, 16, 16), 0)


def test_weights_start_from_a_narrow_normal_distribution_and_biases_at_nought() -> None:
    network = Eigen2013(0.25)
    eigen.initialise(network, torch.Generator().manual_seed(1))
    for layer in (network.f1, network.f2, network.f3):
        assert layer.weight.std().item() == pytest.approx(0.001, rel=0.03)
        assert layer.weight.mean().item() == pytest.approx(0, abs=3e-5)
        assert layer.bias is not None
        assert not layer.bias.any()
    again = Eigen2013(0.25)
    eigen.initialise(again, torch.Generator().manual_seed(1))
    assert torch.equal(again.f3.weight, network.f3.weight)


def test_the_squared_error_is_half_the_sum_for_a_pair_over_the_middle() -> None:
    clean = torch.zeros(2, 3, 10, 12)
    clean[:, :, 4:6, 4:8] = 0.5
    restored = torch.full((2, 3, 2, 4), 0.75)
    restored[1] = 0.5
    # 24 values a quarter off in one of two pairs.
    assert losses.squared_error(restored, clean).item() == pytest.approx(24 * 0.0625 / 4)
    assert losses.middle(torch.rand(1, 3, 64, 64), 56, 56).shape == (1, 3, 56, 56)


def test_the_patch_error_compares_each_patch_with_its_own_place() -> None:
    clean = torch.rand(2, 3, 20, 21)
    patches = torch.rand(2, 192, 5, 6)
    total = torch.tensor(0.0)
    for pair in range(2):
        for top in range(5):
            for left in range(6):
                truth = clean[pair, :, 4 + top : 12 + top, 4 + left : 12 + left].flatten()
                total += (patches[pair, :, top, left] - truth).square().sum()
    assert losses.patch_error(patches, clean).item() == pytest.approx(total.item() / (2 * 2 * 30), rel=1e-5)


def test_opposite_errors_of_patches_cancel_in_the_average_only() -> None:
    """Section 2.3: why training the average decorrelates the patches."""
    clean = torch.full((1, 3, 16, 17), 0.5)
    patches = torch.full((1, 192, 1, 2), 0.5)
    patches[..., 0] += 0.1
    patches[..., 1] -= 0.1
    average = eigen.depatchify(patches)
    assert average[..., 1:8].sub(0.5).abs().max() < 1e-6
    assert losses.patch_error(patches, clean).item() == pytest.approx(192 * 0.01 / 2, rel=1e-4)
    # Alone are the 8 pixels of the first and of the last column, for each colour.
    assert losses.squared_error(average, clean).item() == pytest.approx(2 * 24 * 0.01 / 2, rel=1e-4)


def rate_at(step: int) -> float:
    """eta_t of the paper's recipe."""
    plan = load_recipe("eigen2013").train
    return plan.rate * share_of_rate(plan, step)


def test_the_learning_rate_halves_after_two_million_steps() -> None:
    assert rate_at(0) == 0.001
    assert rate_at(2_000_000) == pytest.approx(0.0005)
    assert rate_at(5_800_000) == pytest.approx(0.001 / 3.9)


def test_a_step_is_eta_times_the_error_times_the_gradient() -> None:
    """Of a network that gives 0.5, one patch: its biases move by eta (F(x) - y*)."""
    network = Eigen2013(SMALL)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    optimiser = optimiser_of(network, load_recipe("eigen2013").train)
    clean = torch.rand(1, 3, 16, 16)
    moved = torch.zeros(3, 8, 8)
    for step in range(2):
        error = 0.5 + network.f3.bias.detach() - clean[0, :, 4:12, 4:12]
        moved -= rate_at(step) * error
        set_rates(optimiser, rate_at(step))
        optimiser.zero_grad()
        torch.autograd.backward(
            losses.squared_error(network(torch.rand(1, 3, 16, 16), valid=True).image, clean)
        )
        optimiser.step()
        assert torch.allclose(network.f3.bias.detach(), moved, atol=1e-8)


def loss_of(network: Eigen2013, rainy: Tensor, clean: Tensor) -> Tensor:
    restored = network(rainy, valid=True)
    if restored.stages:
        return losses.patch_error(restored.stages[0], clean)
    return losses.squared_error(restored.image, clean)


@BOTH
def test_gradients_reach_every_parameter_from_the_papers_start(kind: type[Eigen2013]) -> None:
    network = kind(SMALL)
    torch.autograd.backward(loss_of(network, torch.rand(2, 3, 24, 24), torch.rand(2, 3, 24, 24)))
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def pairs(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Smooth pictures and the same with bright spots."""
    clean = F.interpolate(torch.rand(count, 3, 5, 5), (side, side), mode="bicubic").clamp(0, 1)
    spots = F.max_pool2d((torch.rand(count, 1, side, side) > 0.99).float(), 3, 1, 1)
    return (clean + 0.4 * spots).clamp(0, 1), clean


@BOTH
def test_a_few_steps_lower_the_loss(kind: type[Eigen2013]) -> None:
    rainy, clean = pairs(2, 32)
    network = kind(0.05)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    first = loss_of(network, rainy, clean).item()
    for _ in range(25):
        optimiser.zero_grad()
        loss = loss_of(network, rainy, clean)
        torch.autograd.backward(loss)
        optimiser.step()
    assert loss.item() < 0.6 * first


def test_the_halo_is_measured() -> None:
    assert receptive_radius(Eigen2013(SMALL).eval(), eigen.MULTIPLE_OF, limit=24) == eigen.HALO == 11


def test_both_names_are_listed_with_exact_tiles() -> None:
    kinds = {entry.name: type(entry.build(width=SMALL)) for entry in eigen.NETWORKS}
    assert kinds == {"eigen2013": Eigen2013, "eigen2013-patch": Eigen2013Patch}
    assert all(entry.tiling is Tiling.EXACT and entry.multiple_of == 8 for entry in eigen.NETWORKS)


def test_the_export_takes_any_size_and_equals_torch() -> None:
    """Of the patch network, which must leave its patches behind; else the two are one."""
    network = awake(Eigen2013Patch(SMALL)).eval()
    model = export.to_onnx(network, eigen.MULTIPLE_OF)
    assert export.parity(network, model, eigen.MULTIPLE_OF) < 1e-4
