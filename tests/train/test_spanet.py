"""SPANet: the IRNN against a naive loop, table 4's designs, the losses by hand, the published weights."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from data_folder import data_folder
from torch import Tensor

from derain.engines.errors import DerainError
from derain.engines.quality import luma, psnr
from derain.train import evaluate, export
from derain.train.datasets import read_pair, read_pairs
from derain.train.degradations import masks
from derain.train.losses import spanet as losses
from derain.train.losses.ssim import ssim
from derain.train.networks import irnn
from derain.train.networks.network import Entry, Restored
from derain.train.networks.spanet import DESIGNS, NETWORKS, SPANet, load_published
from derain.train.objectives import objective_of
from derain.train.optimisers import share_of_rate
from derain.train.patches import Batch
from derain.train.recipe import load_recipe
from derain.train.steps import total

SMALL = 0.125


pytestmark = pytest.mark.usefixtures("one_thread")


def naive(x: Tensor, alpha: Tensor) -> Tensor:
    """Eq. 5 as it is written."""
    h = [torch.relu(x[0] + 0 * alpha)]
    for row in x[1:]:
        h.append(torch.relu(alpha * h[-1] + row))
    return torch.stack(h)


ALPHAS = torch.tensor([0.0, 1.0, 0.3, -0.6, 1.05, -1.0], dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 45])
def test_both_ways_of_the_recurrence_equal_the_naive_loop_with_their_gradients(length: int) -> None:
    x = torch.randn(length, 2, 6, 3, dtype=torch.float64, requires_grad=True)
    alpha = ALPHAS.view(1, 6, 1).clone().requires_grad_()
    grad = torch.randn_like(x)
    expected = naive(x, alpha)
    d_x, d_alpha = torch.autograd.grad(expected, (x, alpha), grad)
    h = irnn.recurrence(x, alpha)
    got_x, got_alpha = torch.autograd.grad(h, (x, alpha), grad)
    for got, right in ((h, expected), (got_x, d_x), (got_alpha, d_alpha)):
        torch.testing.assert_close(got, right, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        fast = irnn.doubled(x, alpha)
        torch.testing.assert_close(fast, expected.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(irnn.doubled_gradient(grad, fast, alpha), d_x, rtol=1e-9, atol=1e-9)


def test_doubling_in_float32_stays_near_the_loop_on_long_lines() -> None:
    x, alpha = torch.randn(700, 1, 6, 2), ALPHAS.float().view(1, 6, 1).clamp(-1, 1)
    torch.testing.assert_close(irnn.doubled(x, alpha), naive(x, alpha), rtol=1e-4, atol=1e-4)


def test_the_four_directions_come_in_their_order_and_the_bias_spares_the_first_pixel() -> None:
    network = irnn.IRNN(1, 1.0)
    x = torch.zeros(1, 1, 3, 4)
    x[..., 1, 2] = 1
    up, right, down, left = network(x)[:, 0, 0].int()
    column, row = torch.zeros(3, 4, dtype=torch.int32), torch.zeros(3, 4, dtype=torch.int32)
    column[:2, 2], row[1, :3] = 1, 1
    assert torch.equal(up, column) and torch.equal(down[:2], torch.flip(column, (0,))[:2])
    assert torch.equal(left, row)
    assert right.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    torch.nn.init.ones_(network.bias)
    assert network(torch.zeros(1, 1, 1, 4))[1].flatten().tolist() == [0, 1, 2, 3]
    assert network(torch.zeros(1, 1, 1, 4))[3].flatten().tolist() == [3, 2, 1, 0]


class Gathered(torch.nn.Module):
    """An IRNN as `export.to_onnx` takes a network: three channels, directions summed."""

    def __init__(self) -> None:
        super().__init__()
        self.irnn = irnn.IRNN(3, 0.5)
        torch.nn.init.uniform_(self.irnn.alpha, -0.7, 0.7)
        torch.nn.init.uniform_(self.irnn.bias, -0.3, 0.3)

    def forward(self, rainy: Tensor) -> Restored:
        return Restored(self.irnn(rainy).mean(0) / 4)


def test_the_recurrence_exports_with_its_lengths_open() -> None:
    network = Gathered()
    model = export.to_onnx(network, 1)
    assert [node.op_type for node in model.graph.node].count("Scan") == 2
    assert export.parity(network, model, 1) <= 1e-5
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rainy = torch.rand(1, 3, 37, 21)
    with torch.no_grad():
        expected = network(rainy).image.clamp(0, 1).numpy()
    assert np.abs(session.run(None, {"rainy": rainy.numpy()})[0] - expected).max() <= 1e-5


@pytest.mark.slow
def test_the_whole_network_exports() -> None:
    network = SPANet(DESIGNS["spanet"], SMALL).eval()
    model = export.to_onnx(network, 1)
    assert export.parity(network, model, 1) <= export.PARITY


COUNTS = {
    "spanet-ba": 193_216,
    "spanet-bb": 283_716,
    "spanet-bc": 555_216,
    "spanet-bd": 276_704,
    "spanet-be": 283_716,
    "spanet": 283_716,
}
"""Bb, Be and the whole have as many as the published weights."""


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_each_design_has_its_maps_its_parameters_and_gradients_everywhere(entry: Entry) -> None:
    name, build = entry.name, entry.build
    assert sum(p.numel() for p in build().parameters()) == COUNTS[name]
    network, rainy, clean = build(width=0.5), torch.rand(2, 3, 17, 20), torch.rand(2, 3, 17, 20)
    out = network(rainy)
    assert out.image.shape == rainy.shape
    assert len(out.stages) == {"spanet-ba": 0, "spanet-bb": 1}.get(name, 4)
    assert all(stage.shape == (2, 1, 17, 20) and 0 < stage.min() <= stage.max() < 1 for stage in out.stages)
    assert out.attention is (out.stages[0] if out.stages else None)
    parts = objective_of(load_recipe(name)).terms(out, Batch(rainy, clean, clean[:, :1]), None)
    assert set(parts) == {"l1", "ssim"} | ({"attention"} if name not in ("spanet-ba", "spanet-be") else set())
    torch.autograd.backward(total(parts))
    silent = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_a_shared_sam_is_asked_again_and_a_single_one_is_not() -> None:
    rainy = torch.rand(1, 3, 12, 12)
    maps = SPANet(DESIGNS["spanet"], SMALL)(rainy).stages
    assert not any(torch.equal(maps[0], later) for later in maps[1:])
    assert len(SPANet(DESIGNS["spanet-bc"], SMALL).sams) == 4


def test_a_few_steps_lower_the_loss() -> None:
    clean = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4), (24, 24), mode="bilinear") * 0.7
    rainy = clean + 0.25 * (torch.rand(2, 1, 24, 24) > 0.9)
    network, loss = SPANet(DESIGNS["spanet"], 0.25), losses.SpanetLoss()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    values = []
    for _ in range(15):
        value = total(loss(network(rainy), rainy, clean))
        optimiser.zero_grad()
        torch.autograd.backward(value)
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.85 * values[0]


def test_ssim_equals_the_one_we_evaluate_with_and_lets_a_gradient_through() -> None:
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (2, 23, 31, 3)).astype(np.uint8)
    other = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    expected = [evaluate.score(a, b).ssim_rgb for a, b in zip(other, clean, strict=True)]
    x, y = (torch.from_numpy(p.astype(np.float64) / 255).permute(0, 3, 1, 2) for p in (other, clean))
    assert ssim(x.requires_grad_(), y).tolist() == pytest.approx(expected, abs=1e-9)
    assert ssim(x.float(), y.float()).tolist() == pytest.approx(expected, abs=1e-5)
    torch.autograd.backward(ssim(x, y).sum())
    assert x.grad is not None and x.grad.abs().min() > 0


def test_the_losses_equal_a_case_by_hand() -> None:
    clean = torch.full((1, 3, 12, 12), 0.5, dtype=torch.float64)
    rainy = clean.clone()
    rainy[..., :3] += 0.25  # a quarter of the picture
    attention = torch.full((1, 1, 12, 12), 0.5)
    parts = losses.SpanetLoss(2.0)(Restored(clean + 0.25, attention), rainy, clean)
    # Flat pictures of 0.75 and 0.5: variances are 0, and only SSIM's first factor is left.
    flat = (2 * 0.75 * 0.5 + 1e-4) / (0.75**2 + 0.5**2 + 1e-4)
    assert float(parts["l1"]) == pytest.approx(0.25)
    assert float(parts["ssim"]) == pytest.approx(1 - flat, abs=1e-5)
    assert float(parts["attention"]) == pytest.approx(2 * 0.25)
    assert float(total(parts)) == pytest.approx(0.25 + 1 - flat + 0.5, abs=1e-5)
    tilted = torch.where(losses.rain_map(rainy, clean) > 0, 0.9, 0.2)
    assert float(losses.l_att(tilted, losses.rain_map(rainy, clean))) == pytest.approx(
        0.25 * 0.01 + 0.75 * 0.04
    )


def test_the_rain_map_is_that_of_the_masks() -> None:
    rng = np.random.default_rng(1)
    rainy, clean = (rng.integers(99, 102, (9, 8, 3)).astype(np.float32) / np.float32(255) for _ in range(2))
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None] for p in (rainy, clean))
    expected = masks.spanet(rainy, clean)
    assert 0 < expected.mean() < 1
    assert np.array_equal(losses.rain_map(x, y)[0, 0].numpy(), expected)


def test_the_learning_rate_falls_tenfold_after_each_milestone() -> None:
    steps = (0, 4_999, 5_000, 14_999, 15_000, 30_000, 50_000, 59_999)
    powers = (0, 0, 1, 1, 2, 3, 4, 4)
    plan = load_recipe("spanet").train
    rates = [plan.rate * share_of_rate(plan, step) for step in steps]
    assert rates == pytest.approx([0.005 / 10**power for power in powers])


def test_other_files_are_not_taken_for_the_published_weights(tmp_path: Path) -> None:
    network, path = SPANet(DESIGNS["spanet"]), tmp_path / "latest"
    torch.save({"net": {"conv_in.0.weight": torch.zeros(32, 3, 3, 3)}}, path)
    with pytest.raises(DerainError, match=r"latest does not hold the weights of SPANet"):
        load_published(network, path)
    path.write_bytes(b"none")
    with pytest.raises(DerainError, match=r"latest does not hold the weights of SPANet"):
        load_published(network, path)


@pytest.mark.data
def test_the_published_weights_restore_with_the_branch_as_without() -> None:
    """On this corner of Rain100L they gained 6.6 dB when they first loaded."""
    data = data_folder()
    rainy, clean = (picture[:128, :160] for picture in read_pair(read_pairs(data / "pairs" / "rain100L")[0]))
    batch, images = torch.from_numpy(rainy.transpose(2, 0, 1)[None].astype(np.float32)) / 255, []
    for name in ("spanet", "spanet-bd"):
        network = SPANet(DESIGNS[name]).eval()
        load_published(network, data / "peers" / "spanet" / "latest")
        with torch.inference_mode():
            images.append(network(batch).image[0].clamp(0, 1).permute(1, 2, 0))
    torch.testing.assert_close(images[0], images[1], rtol=0, atol=1e-4)
    restored = (images[0] * 255).round().to(torch.uint8).numpy()
    before, after = (psnr(luma(picture), luma(clean), 255) for picture in (rainy, restored))
    assert after - before == pytest.approx(6.63, abs=0.1)
