"""Qian 2018: layers against naive loops, shapes, gradients, reach, export, and each loss by hand."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import Tiling
from derain.train import export
from derain.train.losses import attentive_gan as losses
from derain.train.losses.vgg import VGG16Features
from derain.train.networks.attentive_discriminator import AttentiveDiscriminator, Discriminator, Judged
from derain.train.networks.attentive_gan import (
    AA,
    MULTIPLE_OF,
    NETWORKS,
    A,
    AttentiveRecurrent,
    ContextualAutoencoder,
    ConvLSTM,
    ResidualLayer,
    attention_maps,
    scales,
)
from derain.train.networks.network import Entry, Restored
from derain.train.reach import receptive_radius

WIDTH = 0.125


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[A, AA])
def network(request: pytest.FixtureRequest) -> nn.Module:
    built: nn.Module = request.param(WIDTH)
    return built


def drops(count: int, size: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Rainy, clean (`count`, 3, size, size) and mask: smooth pictures, a grey square on each."""
    clean = F.interpolate(torch.rand(count, 3, 4, 4), (size, size), mode="bilinear")
    mask = torch.zeros(count, 1, size, size)
    mask[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    return clean * (1 - mask) + 0.8 * mask, clean, mask


def parameters_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def convolutions(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


def test_the_four_variants_of_table_1() -> None:
    rows = {entry.name: (entry.build, entry.discriminator) for entry in NETWORKS}
    assert rows == {
        "attentive-gan": (AA, AttentiveDiscriminator),
        "attentive-gan-a": (A, None),
        "attentive-gan-a-d": (A, Discriminator),
        "attentive-gan-a-ad": (A, AttentiveDiscriminator),
    }
    assert {(entry.multiple_of, entry.tiling) for entry in NETWORKS} == {(MULTIPLE_OF, Tiling.EXACT)}


def test_full_width_has_the_layers_of_the_paper() -> None:
    with torch.device("meta"):
        attentive, judge = AA(), AttentiveDiscriminator()
    recurrent = attentive.attentive_recurrent
    assert sum(isinstance(layer, ResidualLayer) for layer in recurrent.modules()) == 5
    head, layers, lstm = 9 * 4 * 32 + 32, 5 * 2 * (9 * 32 * 32 + 32), 9 * 64 * 128 + 128 + 3 * 32
    assert parameters_of(recurrent) == head + layers + lstm + (9 * 32 * 32 + 32) + (9 * 32 + 1)
    blocks = [layer for layer in attentive.autoencoder.modules() if isinstance(layer, nn.ReLU)]
    assert len(blocks) == 16
    assert [c.dilation[0] for c in convolutions(attentive.autoencoder.dilated)] == [2, 4, 8, 16]
    seven = convolutions(judge.interior) + convolutions(judge.last)
    assert [layer.kernel_size for layer in seven] == [(3, 3)] * 7
    linear = [layer for layer in judge.decide if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [1024, 1]
    assert judge.map.in_channels == 128
    assert (parameters_of(attentive), parameters_of(judge)) == (6_253_706, 718_130)


def pixels(height: int, width: int) -> Iterator[tuple[int, int]]:
    return itertools.product(range(height), range(width))


def gate_at(lstm: ConvLSTM, seen: Tensor, gate: int, channel: int, y: int, x: int) -> float:
    """W_x * X + W_h * H + b of one gate in one pixel, term by term; `seen` (2c, H, W)."""
    weight, bias = (parameter.detach() for parameter in lstm.gates.parameters())
    row = gate * lstm.width + channel
    total = float(bias[row])
    for source, dy, dx in itertools.product(range(len(seen)), (-1, 0, 1), (-1, 0, 1)):
        if 0 <= y + dy < seen.shape[1] and 0 <= x + dx < seen.shape[2]:
            total += float(weight[row, source, dy + 1, dx + 1] * seen[source, y + dy, x + dx])
    return total


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_convolutional_lstm_equals_equation_3_pixel_by_pixel() -> None:
    lstm = ConvLSTM(2)
    for peephole in (lstm.w_ci, lstm.w_cf, lstm.w_co):
        nn.init.normal_(peephole)
    x, hidden, cell = (torch.randn(1, 2, 3, 4) for _ in range(3))
    lstm.requires_grad_(False)
    got_hidden, got_cell = lstm(x, hidden, cell)
    seen = torch.cat((x, hidden), dim=1)[0]
    for channel, (row, column) in itertools.product(range(2), pixels(3, 4)):
        raw = [gate_at(lstm, seen, gate, channel, row, column) for gate in range(4)]
        before = float(cell[0, channel, row, column])
        w_ci, w_cf, w_co = (float(w[channel, 0, 0]) for w in (lstm.w_ci, lstm.w_cf, lstm.w_co))
        i, f = sigmoid(raw[0] + w_ci * before), sigmoid(raw[1] + w_cf * before)
        after = f * before + i * math.tanh(raw[3])
        o = sigmoid(raw[2] + w_co * after)
        assert float(got_cell[0, channel, row, column]) == pytest.approx(after, abs=1e-5)
        assert float(got_hidden[0, channel, row, column]) == pytest.approx(o * math.tanh(after), abs=1e-5)


def test_attention_starts_at_a_half_and_each_map_is_seen_by_the_next_step() -> None:
    network = AttentiveRecurrent(WIDTH)
    seen: list[Tensor] = []
    network.head.register_forward_hook(lambda _module, given, _result: seen.append(given[0]))
    rainy = torch.rand(2, 3, 8, 12)
    maps = network(rainy)
    assert len(maps) == len(seen) == 4
    for step, before in enumerate((torch.full((2, 1, 8, 12), 0.5), *maps[:3])):
        assert torch.equal(seen[step], torch.cat((rainy, before), dim=1))


def test_attention_stays_within_0_and_1() -> None:
    network = AA(WIDTH)
    for parameter in network.attentive_recurrent.parameters():
        parameter.data.mul_(8)
    for attention in attention_maps(network(torch.rand(1, 3, 32, 32))):
        assert 0 <= attention.min().item() < attention.max().item() <= 1


@pytest.mark.parametrize("size", [(4, 4), (32, 48)])
def test_shapes_at_every_stage(network: nn.Module, size: tuple[int, int]) -> None:
    h, w = size
    restored = network(torch.rand(2, 3, h, w))
    assert restored.image.shape == (2, 3, h, w)
    assert restored.image is scales(restored)[2]
    assert [s.shape[2:] for s in scales(restored)] == [(h // 4, w // 4), (h // 2, w // 2), (h, w)]
    assert {s.shape[:2] for s in scales(restored)} == {(2, 3)}
    maps = attention_maps(restored)
    assert [a.shape for a in maps] == ([(2, 1, h, w)] * 4 if isinstance(network, AA) else [])
    assert restored.attention is (maps[-1] if maps else None)


@pytest.mark.parametrize("cut", ["deconv1", "deconv2"])
def test_the_autoencoder_skips_what_its_middle_would_lose(cut: str) -> None:
    network = ContextualAutoencoder(3, WIDTH)
    nn.init.zeros_(convolutions(network.get_submodule(cut))[0].weight)
    pictures = [network(picture) for picture in torch.rand(2, 1, 3, 16, 16)]
    for scale in (1, 2) if cut == "deconv1" else (2,):
        assert not torch.equal(pictures[0][scale], pictures[1][scale])


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (36, 100)])
@pytest.mark.parametrize("build", [Discriminator, AttentiveDiscriminator])
def test_a_discriminator_judges_pictures_of_any_size(
    build: type[Discriminator], size: tuple[int, int]
) -> None:
    judged = build(WIDTH)(torch.rand(2, 3, *size))
    assert judged.logit.shape == (2, 1)
    assert (judged.attention is None) == (build is Discriminator)
    if judged.attention is not None:
        assert judged.attention.shape == (2, 1, size[0] // 4, size[1] // 4)
        assert judged.attention.min().item() >= 0 and judged.attention.max().item() <= 1


def test_the_map_gates_what_the_discriminator_sees() -> None:
    network = AttentiveDiscriminator(WIDTH)
    assert network.map.bias is not None
    first, second = torch.rand(2, 1, 3, 64, 64)
    assert not torch.equal(network(first).logit, network(second).logit)
    nn.init.zeros_(network.map.weight)
    nn.init.constant_(network.map.bias, -1e9)
    assert torch.equal(network(first).logit, network(second).logit)


@pytest.mark.parametrize("build,radius", [(A, 153), (AA, 153 + 4 * 14)])
def test_a_pixel_reaches_no_farther_than_its_radius(build: type[nn.Module], radius: int) -> None:
    """Each of four steps looks 14 pixels farther: 1 + 5 * 2 to the LSTM, 1 in it and 2 behind it."""
    assert receptive_radius(build(0.03), MULTIPLE_OF, limit=232) == radius


def test_export_equals_torch_for_other_sizes_and_batches() -> None:
    network = AA(0.0625).eval()
    model = export.to_onnx(network, MULTIPLE_OF)
    assert export.parity(network, model, MULTIPLE_OF) <= export.PARITY


def vgg() -> VGG16Features:
    return VGG16Features(width=0.0625)


def backward(terms: dict[str, Tensor]) -> float:
    """The sum of the terms, its gradients left behind."""
    total = torch.stack([*terms.values()]).sum()
    torch.autograd.backward(total)
    return total.item()


def assert_gradients_reach(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_gradients_reach_every_parameter(entry: Entry) -> None:
    network = entry.build(width=WIDTH)
    judge = entry.discriminator(width=WIDTH) if entry.discriminator else None
    rainy, clean, mask = drops(2)
    restored = network(rainy)
    judged = None if judge is None else judge(restored.image)
    terms = losses.GeneratorLoss(vgg())(restored, clean, mask, judged)
    backward(terms)
    assert_gradients_reach(network)
    if judge is not None:
        judge.zero_grad()
        attention = mask if restored.attention is None else restored.attention
        found = losses.DiscriminatorLoss()(judge(restored.image.detach()), judge(clean), attention)
        backward(found)
        assert_gradients_reach(judge)


def test_the_attention_loss_by_hand() -> None:
    mask = torch.tensor([[[[1.0, 0.0]]]])
    maps = tuple(torch.full((1, 1, 1, 2), value) for value in (0.5, 0.0, 1.0, 0.25))
    # Mean squared errors: 0.25, 0.5, 0.5 and (0.5625 + 0.0625) / 2 = 0.3125.
    by_hand = 0.512 * 0.25 + 0.64 * 0.5 + 0.8 * 0.5 + 1.0 * 0.3125
    assert float(losses.attention_loss(maps, mask)) == pytest.approx(by_hand)


def test_the_multi_scale_loss_by_hand() -> None:
    truth = torch.zeros(1, 3, 4, 4)
    truth[..., 0, 0] = 1
    pictures = (torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 4))
    # The one white pixel is 1/16 of the quarter's only pixel, 1/4 of one of four, and 1 of one of sixteen.
    by_hand = 0.6 * (1 / 16) ** 2 + 0.8 * (1 / 4) ** 2 / 4 + 1.0 * 1 / 16
    assert float(losses.multiscale_loss(pictures, truth)) == pytest.approx(by_hand)


def test_the_map_loss_by_hand() -> None:
    attention = torch.zeros(1, 1, 8, 4)
    attention[..., :4, :2] = 1
    of_restored = torch.tensor([[[[0.75], [0.5]]]])
    of_clean = torch.tensor([[[[0.1], [0.3]]]])
    # A_N at a quarter of its size is 0.5 and 0.
    by_hand = (0.25**2 + 0.5**2) / 2 + (0.1**2 + 0.3**2) / 2
    assert float(losses.map_loss(of_restored, of_clean, attention)) == pytest.approx(by_hand)


def test_the_adversarial_losses_by_hand() -> None:
    restored, clean = Judged(torch.tensor([[0.0], [2.0]])), Judged(torch.tensor([[-1.0], [3.0]]))
    taken_for_clean = [sigmoid(value) for value in (0.0, 2.0)]
    log_of_rest = sum(math.log(1 - d) for d in taken_for_clean) / 2
    assert float(losses.gan_loss(restored.logit)) == pytest.approx(log_of_rest)
    terms = losses.DiscriminatorLoss()(restored, clean, torch.zeros(2, 1, 8, 8))
    assert set(terms) == {"clean", "restored"}
    assert float(terms["restored"]) == pytest.approx(-log_of_rest)
    assert float(terms["clean"]) == pytest.approx(-(math.log(sigmoid(-1)) + math.log(sigmoid(3))) / 2)


def test_a_sure_discriminator_gives_finite_losses() -> None:
    sure = torch.tensor([[500.0]])
    terms = losses.DiscriminatorLoss()(Judged(sure), Judged(-sure), torch.zeros(1, 1, 8, 8))
    assert math.isfinite(float(losses.gan_loss(sure)))
    assert math.isfinite(sum(term.item() for term in terms.values()))


def test_the_perceptual_loss_by_hand() -> None:
    network = VGG16Features("relu1_1", 0.0625)
    for layer in convolutions(network):
        nn.init.zeros_(layer.weight)
        layer.weight.data[:, :, 1, 1] = 1
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    # Each feature is the sum of the three normalised colours; both pictures' are above zero.
    white, light = torch.ones(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.9)
    by_hand = (0.1 / 0.229 + 0.1 / 0.224 + 0.1 / 0.225) ** 2
    assert float(losses.perceptual_loss(network, white, light)) == pytest.approx(by_hand, rel=1e-4)


def test_the_terms_of_the_whole_generator_loss() -> None:
    rainy, clean, mask = drops(1)
    stages = (*(F.avg_pool2d(rainy, n) for n in (4, 2, 1)), *(torch.zeros(1, 1, 32, 32) for _ in range(4)))
    restored, judged = Restored(rainy, stages[-1], stages), Judged(torch.zeros(1, 1))
    terms = losses.GeneratorLoss()(restored, clean, mask, judged)
    assert set(terms) == {"multiscale", "attention", "gan"}
    assert float(terms["gan"]) == pytest.approx(0.01 * math.log(0.5))
    assert float(terms["attention"]) == pytest.approx((1 + 0.8 + 0.64 + 0.512) / 16)
    alone = losses.GeneratorLoss(vgg())(Restored(rainy, stages=stages[:3]), clean, mask)
    assert set(alone) == {"multiscale", "perceptual"}


def test_the_map_loss_weighs_a_twentieth_and_does_not_move_the_generator() -> None:
    ones = torch.ones(1, 1, 8, 8, requires_grad=True)
    zero = Judged(torch.zeros(1, 1), torch.zeros(1, 1, 2, 2, requires_grad=True))
    terms = losses.DiscriminatorLoss()(zero, zero, ones)
    assert terms["map"].item() == pytest.approx(0.05)
    backward(terms)
    assert ones.grad is None


def descend(network: nn.Module, steps: int, pairs: tuple[Tensor, Tensor, Tensor], rate: float) -> list[float]:
    """The loss of each step of AdamW on the same pairs."""
    optimiser, loss = torch.optim.AdamW(network.parameters(), rate), losses.GeneratorLoss()
    rainy, clean, mask = pairs
    course: list[float] = []
    for _ in range(steps):
        optimiser.zero_grad()
        course.append(backward(loss(network(rainy), clean, mask)))
        optimiser.step()
    return course


def test_a_few_steps_lower_the_loss(network: nn.Module) -> None:
    course = descend(network, 12, drops(2), 2e-3)
    assert course[-1] < 0.6 * course[0]


def test_two_players_learn_what_sets_the_pictures_apart() -> None:
    rainy, clean, mask = drops(4)
    judge, loss = AttentiveDiscriminator(WIDTH), losses.DiscriminatorLoss()
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3)
    for _ in range(30):
        terms = loss(judge(rainy), judge(clean), mask)
        optimiser.zero_grad()
        backward(terms)
        optimiser.step()
    assert judge(clean).logit.min().item() > judge(rainy).logit.max().item()
