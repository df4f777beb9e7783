"""DAM, DAiAM and D-DAiAM against the paper, loops, losses by hand and the exported graph."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.train import export
from derain.train.losses.daiam import DAiAMLoss
from derain.train.networks.daiam import NETWORKS, STREAKS, DAiAM
from derain.train.networks.dam import DAM, Attended, Branch, ConvLSTM, Decoder, Encoder, Stage, unpack
from derain.train.networks.differential import Cascade, Differential, DifferentialDriven, FilterNet
from derain.train.networks.network import Restored
from derain.train.reach import receptive_radius

NAMES = ("dam-zero", "dam-odd", "dam", "d-dam", "daiam", "daiam-daiam", "d-daiam", "d-daiam-3")
STAGES = dict(zip(NAMES, (1, 1, 1, 2, 1, 2, 2, 3), strict=True))
RADIUS = dict(zip(NAMES, (29, 30, 30, 62, 30, 60, 62, 94), strict=True))
NARROW = 1 / 16


def built(name: str, width: float = NARROW) -> nn.Module:
    torch.manual_seed(0)
    (entry,) = [entry for entry in NETWORKS if entry.name == name]
    network = entry.build(width=width)
    assert isinstance(network, nn.Module)
    return network.eval()


def lively(network: nn.Module) -> nn.Module:
    """Weights large enough that every part of the network shows in its output."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    return network


def given(module: nn.Module) -> list[tuple[Tensor, ...]]:
    """What the module is called with from now on."""
    calls: list[tuple[Tensor, ...]] = []

    def keep(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        calls.append(arguments)

    module.register_forward_pre_hook(keep)
    return calls


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# Operators against loops

Array = npt.NDArray[np.float64]


def naive_convolution(x: Array, layer: nn.Conv2d, before: int) -> Array:
    """Loops over pixels and taps, the size kept; `before`: rows and columns of zeros above and left."""
    weight = layer.weight.detach().numpy().astype(np.float64)
    bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.detach().numpy()
    (_, height, width), size = x.shape, weight.shape[2]
    out = np.zeros((len(weight), height, width))
    for row in range(height):
        for column in range(width):
            out[:, row, column] = bias
            for down in range(size):
                for right in range(size):
                    y, across = row + down - before, column + right - before
                    if 0 <= y < height and 0 <= across < width:
                        out[:, row, column] += weight[:, :, down, right] @ x[:, y, across]
    return out


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def test_filter_net_equals_loops() -> None:
    net = lively(FilterNet(4))
    assert isinstance(net, FilterNet)
    difference = torch.rand(1, 3, 5, 6) * 2 - 1
    x = difference[0].numpy().astype(np.float64)
    for layer, before in ((net.first, 0), (net.second, 1), (net.third, 0)):
        assert layer.kernel_size == (2, 2)
        x = naive_convolution(x, layer, before)
        x = x if layer is net.third else np.where(x > 0, x, 0.2 * x)
    got = net(difference).detach().numpy()
    assert got.shape == (1, 1, 5, 6)
    np.testing.assert_allclose(got[0], sigmoid(x), atol=1e-6)


@pytest.mark.parametrize("steps", [2, 3])
def test_conv_lstm_equals_loops(steps: int) -> None:
    lstm = lively(ConvLSTM(3, steps))
    assert isinstance(lstm, ConvLSTM)
    x = torch.rand(1, 3, 4, 5)
    hidden = cell = np.zeros((3, 4, 5))
    for _ in range(steps):
        gates = naive_convolution(x[0].numpy().astype(np.float64), lstm.seen, 1)
        i, f, o, candidate = np.split(gates + naive_convolution(hidden, lstm.state, 1), 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(candidate)
        hidden = sigmoid(o) * np.tanh(cell)
    np.testing.assert_allclose(lstm(x)[0].detach().numpy(), hidden, atol=1e-6)


def test_one_step_is_refused_as_it_has_no_state() -> None:
    with pytest.raises(ValueError, match=r"takes 2 steps and more, .* not 1"):
        ConvLSTM(3, 1)


# Structure


def test_parts_have_the_tables_sizes() -> None:
    def convolution(channels_in: int, channels_out: int) -> int:
        return 9 * channels_in * channels_out + channels_out

    encoder = convolution(3, 32) + 6 * convolution(32, 32) + convolution(64, 128)
    assert count(Encoder(3, 32, steps=4)) == encoder
    heavy = convolution(35, 64) + 10 * convolution(64, 64) + convolution(64, 3)
    assert count(Decoder(35, 64, 5)) == heavy
    d_global = convolution(9, 64) + 4 * convolution(64, 64) + convolution(64, 3)
    assert count(DAM()) == encoder + convolution(32, 1) + 2 * heavy + d_global == 1_067_690


def test_weights_start_as_the_paper_says() -> None:
    torch.manual_seed(0)
    network = DAM()
    weights = torch.cat([p.flatten() for n, p in network.named_parameters() if n.endswith("weight")])
    assert float(weights.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert not any(p.any() for n, p in network.named_parameters() if n.endswith("bias"))


def test_a_narrow_network_starts_with_maps_that_differ_and_small_corrections() -> None:
    torch.manual_seed(0)
    network, rainy = DAM(0.25), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        restored = network(rainy)
    assert restored.attention is not None and float(restored.attention.std()) > 0.01
    assert 0 < float((restored.image - rainy).abs().mean()) < 0.1


def test_decoders_start_from_the_picture_they_are_given() -> None:
    seen, base = torch.rand(1, 9, 8, 8), torch.rand(1, 3, 8, 8)
    network = Decoder(9, 4, 2)
    nn.init.zeros_(network.cnn2.weight)
    nn.init.constant_(network.cnn2.bias, 0.25)  # type: ignore[arg-type]
    torch.testing.assert_close(network(seen, base), base + 0.25)


def test_every_name_is_listed_once_with_its_tiling() -> None:
    assert tuple(entry.name for entry in NETWORKS) == NAMES
    assert {(entry.tiling, entry.multiple_of) for entry in NETWORKS} == {(Tiling.EXACT, 1)}


@pytest.mark.parametrize("name", NAMES)
def test_stages_have_their_shapes(name: str) -> None:
    branches = 2 if "daiam" in name else 1
    with torch.no_grad():
        got = built(name)(torch.rand(2, 3, 7, 9))
    assert got.image.shape == (2, 3, 7, 9)
    stages = [unpack(packed) for packed in got.stages]
    assert len(stages) == STAGES[name]
    assert torch.equal(stages[-1].image, got.image)
    for stage in stages:
        assert len(stage.branches) == branches
        for branch in stage.branches:
            assert branch.heavy.shape == stage.image.shape
            assert (branch.attention is None) == (name == "dam-zero")
            assert (branch.light is None) == (name in ("dam-zero", "dam-odd"))
            assert branch.attention is None or branch.attention.shape == (2, 1, 7, 9)
            assert branch.light is None or branch.light.shape == stage.image.shape


def picture(value: float, channels: int = 3) -> Tensor:
    return torch.full((1, channels, 2, 2), value)


@pytest.mark.parametrize(
    "branches",
    [
        (Attended(picture(0.1)),),
        (Attended(picture(0.1), picture(0.2, 1)),),
        (Attended(picture(0.1), picture(0.2, 1), picture(0.3)),),
        (
            Attended(picture(0.1), picture(0.2, 1), picture(0.3)),
            Attended(picture(0.4), picture(0.5, 1), picture(0.6)),
        ),
    ],
)
def test_a_stage_comes_out_of_its_tensor_as_it_went_in(branches: tuple[Attended, ...]) -> None:
    stage = Stage(picture(0.9), branches)
    back = unpack(stage.pack())
    assert torch.equal(back.image, stage.image)
    for got, expected in zip(back.branches, branches, strict=True):
        for one, other in zip(got, expected, strict=True):
            assert (one is None) == (other is None)
            assert one is None or other is None or torch.equal(one, other)


def test_heavy_and_light_share_the_features_out() -> None:
    branch = lively(Branch(2, 3, NARROW, 2))
    assert isinstance(branch, Branch) and branch.light is not None
    heavy, light = given(branch.heavy), given(branch.light)
    rainy = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        got = branch(rainy, rainy)
        features = branch.encoder(rainy)
    assert got.attention.min() > 0 and got.attention.max() < 1 and got.attention.std() > 1e-3
    channels = features.shape[1]
    positive, negative = heavy[0][0][:, :channels], light[0][0][:, :channels]
    torch.testing.assert_close(positive, features * got.attention)
    torch.testing.assert_close(positive + negative, features)
    for call in (*heavy, *light):
        assert torch.equal(call[0][:, channels:], rainy)


def test_the_global_decoder_sees_all_pictures_and_the_rainy_one() -> None:
    network = lively(DAiAM(NARROW))
    assert isinstance(network, DAiAM)
    seen = given(network.decoder)
    rainy = torch.rand(1, 3, 8, 8)
    streaks, drops = unpack(network(rainy).stages[0]).branches
    expected = [streaks.heavy, streaks.light, drops.heavy, drops.light, rainy]
    assert torch.equal(seen[0][0], torch.cat([part for part in expected if part is not None], 1))


def test_attention_is_the_larger_of_streaks_and_drops_as_the_first_stage_sees_them() -> None:
    got = lively(built("d-daiam"))(torch.rand(1, 3, 8, 8))
    streaks, drops = (branch.attention for branch in unpack(got.stages[0]).branches)
    assert streaks is not None and drops is not None
    assert torch.equal(got.attention, torch.maximum(streaks, drops))
    assert built("dam-zero")(torch.rand(1, 3, 8, 8)).attention is None


# The differential-driven module


def test_eq_14_fuses_output_and_rainy() -> None:
    module = lively(Differential(NARROW))
    assert isinstance(module, Differential)
    rainy, output, previous = torch.rand(3, 1, 3, 6, 6)
    expected = output * module.a(rainy - output) + 0.5 * rainy * module.b(previous - output)
    torch.testing.assert_close(module(rainy, output, previous), expected)


def test_the_differential_module_is_given_input_minus_output() -> None:
    network = lively(built("d-daiam-3"))
    assert isinstance(network, DifferentialDriven)
    modules = [module for module in network.differentials if isinstance(module, Differential)]
    filters = [(given(module.a), given(module.b)) for module in modules]
    rainy = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        first, second, _ = (unpack(packed).image for packed in network(rainy).stages)
    (a1, b1), (a2, b2) = filters
    assert (first - second).abs().max() > 1e-3
    torch.testing.assert_close(a1[0][0], rainy - first)
    torch.testing.assert_close(b1[0][0], rainy - first)
    torch.testing.assert_close(a2[0][0], rainy - second)
    torch.testing.assert_close(b2[0][0], first - second)


def test_a_later_stage_sees_the_fused_and_corrects_the_restored_picture() -> None:
    network = lively(built("d-daiam"))
    assert isinstance(network, DifferentialDriven)
    last = network.stages[-1]
    assert isinstance(last, DAiAM)
    seen = given(last.branches[STREAKS])
    rainy = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        output = unpack(network(rainy).stages[0]).image
        fused = network.differentials[0](rainy, output, rainy)
    torch.testing.assert_close(seen[0][0], torch.cat((fused, output), 1))
    torch.testing.assert_close(seen[0][1], output)


def test_daiam_daiam_is_one_after_the_other() -> None:
    network = lively(built("daiam-daiam"))
    assert isinstance(network, Cascade)
    rainy = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        expected = network.stages[1](network.stages[0](rainy).image).image
        torch.testing.assert_close(network(rainy).image, expected)


# Training


def scene(size: int, batch: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rainy, clean, mask of drops, mask of streaks: a slope with a dark square and light lines."""
    slope = torch.linspace(0.2, 0.8, size).expand(batch, 3, size, size)
    shift = torch.arange(batch).view(-1, 1, 1, 1) * 0.03
    clean = slope + shift
    drops, streaks = torch.zeros(2, batch, 1, size, size)
    drops[..., size // 8 : size // 2, size // 8 : size // 2] = 1
    streaks[..., size // 4 :, :: size // 8] = 1
    wet = clean * (1 - 0.6 * drops)
    return wet + 0.5 * streaks * (1 - wet), clean, drops, streaks


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    rainy, clean, drops, streaks = scene(16)
    network = built(name)
    torch.autograd.backward(DAiAMLoss()(network(rainy), clean, drops, streaks))
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def fit(network: nn.Module, steps: int, rate: float) -> tuple[float, float]:
    """The first and last loss of `steps` steps of AdamW over four pairs."""
    rainy, clean, drops, streaks = scene(16, batch=4)
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        loss = DAiAMLoss()(network(rainy), clean, drops, streaks)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


@pytest.mark.parametrize("name,steps", [("dam", 30), ("d-daiam", 12)])
def test_a_few_steps_lower_the_loss(name: str, steps: int) -> None:
    first, last = fit(built(name).train(), steps, 3e-3)
    assert last < 0.85 * first


# Tiles and export


@pytest.mark.parametrize("name", NAMES)
def test_a_tile_with_its_halo_equals_the_frame(name: str) -> None:
    network, radius = lively(built(name)).double(), RADIUS[name]
    frame = torch.rand(1, 3, 6, 2 * radius + 40, dtype=torch.float64)
    with torch.no_grad():
        whole = network(frame).image[..., radius + 20 : radius + 22]
        tile = network(frame[..., 20 : 2 * radius + 22]).image[..., radius : radius + 2]
    torch.testing.assert_close(tile, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["dam-zero", "dam", "d-dam"])
def test_no_smaller_halo_would_do(name: str) -> None:
    """Unequal weights: with equal ones S+ and S- cancel, and the map's own radius goes unseen."""
    assert receptive_radius(built(name), 1, limit=RADIUS[name] + 3) == RADIUS[name]


def check_export(network: nn.Module) -> None:
    model = export.to_onnx(lively(network), 1)
    assert export.parity(network, model, 1) <= export.PARITY


def test_daiam_exports() -> None:
    check_export(DAiAM(width=1 / 8, steps=2))


class OneDifferential(nn.Module):
    """The differential-driven module on two made-up outputs, as a network."""

    def __init__(self) -> None:
        super().__init__()
        self.module = Differential(1 / 8)

    def forward(self, rainy: Tensor) -> Restored:
        return Restored(self.module(rainy, rainy * rainy, rainy * 0.5))


def test_the_differential_module_exports() -> None:
    check_export(OneDifferential())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_name_exports(name: str) -> None:
    check_export(built(name, width=0.25))


@pytest.mark.parametrize(
    "build,message",
    [
        (lambda: DAM(maps=3), "0, 1 or 2 attention maps, not 3"),
        (lambda: DAM(steps=0), "not 0"),
        (lambda: DAM(steps=2.5), "not 2.5"),  # type: ignore[arg-type]
    ],
)
def test_impossible_sizes_are_named(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
