"""Networks that remember: from torch to a model file that restores videos as torch does, in tiles too."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from recurrent_network import ENTRY, MULTIPLE_OF, Remembering, remembering
from tiny_runs import tiny
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import StatePair, read_card
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine
from derain.pipeline.restore import Restorer
from derain.pipeline.tiling import smallest_tile
from derain.train import export
from derain.train.checkpoint import State, averaged, save
from derain.train.networks import registry
from derain.train.networks.network import Restored
from derain.train.networks.recurrent import States, along, joined, no_memory
from derain.train.reach import receptive_radius
from derain.train.recipe import NetworkRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = 3


@pytest.fixture
def network() -> Remembering:
    return lively()


def lively() -> Remembering:
    """With weights by which a frame is seen in the next ones, and a seam in the picture."""
    torch.manual_seed(0)
    found = remembering(0.25)
    for layer in found.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="leaky_relu")
    nn.init.normal_(found.correction.weight, std=0.1)
    return found.eval()


def clip(height: int, width: int) -> npt.NDArray[np.uint8]:
    """(FRAMES, height, width, 3)."""
    return np.random.default_rng(1).integers(0, 256, (FRAMES, height, width, 3), dtype=np.uint8)


def planes(frames: npt.NDArray[np.uint8]) -> Tensor:
    """(1, T, 3, H, W) in 0..1."""
    return torch.from_numpy(frames.astype(np.float32) / 255).permute(0, 3, 1, 2)[None]


def by_torch(network: nn.Module, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(T, H, W, 3) in grey levels."""
    with torch.no_grad():
        pictures = joined(along(network, planes(frames))).image.clamp(0, 1)
    return np.asarray(pictures.permute(0, 2, 3, 1).numpy() * 255, np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The network's model file, by way of a checkpoint."""
    folder, network = tmp_path_factory.mktemp("exported"), lively()
    recipe = replace(tiny(), network=NetworkRecipe(ENTRY.name, width=0.25))
    state = State(network, averaged(network), torch.optim.AdamW(network.parameters()))
    save(state, recipe, folder / "checkpoint.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "NETWORKS", (*registry.NETWORKS, ENTRY))
        export.export(folder / "checkpoint.pt", folder / "model.onnx", export.ExportOptions(trained_at="abc"))
        yield folder / "model.onnx"


def test_the_card_names_the_states_and_how_far_they_look(exported: Path, network: Remembering) -> None:
    card = read_card(exported)
    assert card.states == (StatePair("state1", "state1_next", 4), StatePair("state2", "state2_next", 8))
    assert card.halo == receptive_radius(network, MULTIPLE_OF, limit=64)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_sequence_is_restored_as_torch_restores_it_whole_and_in_tiles(
    backend: str, exported: Path, network: Remembering
) -> None:
    card = read_card(exported)
    tile = smallest_tile(card.halo, card.multiple_of)
    frames = clip(tile + card.multiple_of, 2 * tile)
    expected = by_torch(network, frames)
    alone = by_torch(network, frames[-1:])
    with open_engine(exported, EngineOptions(backend=backend, precision="fp32")) as engine:
        for size in ("none", tile):
            restorer = Restorer(engine, size, sequence=True)
            got = np.stack([restorer(frame) for frame in frames]).astype(np.float32)
            assert np.abs(got - expected).max() <= 1
            assert restorer.plan is not None and restorer.plan.whole == (size == "none")
    assert np.abs(got[-1] - alone[0]).max() > 5, "the frames before are seen in the last"


def test_states_are_zero_for_a_first_frame(network: Remembering) -> None:
    rainy = planes(clip(16, 24))[:, 0]
    with torch.no_grad():
        nothing = no_memory(network, rainy)
        assert [tuple(state.shape) for state in nothing] == [(1, 4, 4, 6), (1, 3, 2, 3)]
        assert torch.equal(network(rainy).image, network(rainy, nothing).image)


def test_frames_of_several_clips_stand_one_after_another(network: Remembering) -> None:
    clips = torch.rand(2, FRAMES, 3, 16, 16)
    with torch.no_grad():
        together = joined(along(network, clips))
        second = joined(along(network, clips[1:]))
    torch.testing.assert_close(together.image[FRAMES:], second.image)
    assert together.attention is not None and together.attention.shape == (2 * FRAMES, 1, 16, 16)
    assert [len(state) for state in together.states] == [2, 2], "of the last frames alone"


class HalfPrecise(nn.Module):
    """Gives its one state in bfloat16, as a network in mixed precision does."""

    state_shapes = ((3, 1),)

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        (before,) = states or no_memory(self, rainy)
        assert before.dtype == torch.float32
        return Restored(rainy, states=((before + 0.25).bfloat16(),))


def test_what_is_remembered_in_half_precision_is_carried_in_float32() -> None:
    last = along(HalfPrecise(), torch.zeros(1, 4, 3, 8, 8))[-1]
    assert float(last.states[0].max()) == 1.0


class FarSeeing(nn.Module):
    """Looks 1 pixel around in a frame, and `reach` cells of 2 pixels in what it remembers of the last."""

    state_shapes = ((3, 2),)

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 3, 3, padding=1)
        self.far = nn.Conv2d(3, 3, 2 * reach + 1, padding=reach)

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        (before,) = states or no_memory(self, rainy)
        image = self.near(rainy)
        return Restored(image, states=(F.avg_pool2d(image, 2) + self.far(before),))


@pytest.mark.parametrize("reach", [1, 4])
def test_the_reach_is_that_of_the_states_too(reach: int) -> None:
    """A cell's first pixel counts with what its last sees, 2 * reach + 1 pixels off."""
    assert receptive_radius(FarSeeing(reach), 2, limit=32) == 2 * reach + 1


class KeepsTheRain(nn.Module):
    """Remembers just what it takes away: its picture and its state together are the rainy picture."""

    state_shapes = ((3, 1),)

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 3, 7, padding=3)

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        rain = self.look(rainy)
        return Restored(rainy - rain, states=(rain,))


def test_a_state_does_not_hide_how_far_the_picture_looks() -> None:
    assert receptive_radius(KeepsTheRain(), 1, limit=32) == 3


def test_parity_sees_what_only_later_frames_show(network: Remembering) -> None:
    model = export.to_onnx(network, MULTIPLE_OF)
    assert export.parity(network, model, MULTIPLE_OF) <= export.PARITY
    nn.init.normal_(network.remembered.weight)
    assert export.parity(network, model, MULTIPLE_OF) > export.PARITY


class LargeStates(nn.Module):
    """Remembers large numbers: it has learned to, and takes them back."""

    state_shapes = ((8, 1),)

    def __init__(self, more: float = 0.0) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 8, 7, padding=3)
        self.more = more

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        (before,) = states or no_memory(self, rainy)
        seen = 1e5 * self.look(rainy)
        return Restored(rainy + 1e-6 * before.mean(1, keepdim=True), states=(seen + self.more,))


def test_parity_of_large_states_is_by_their_size() -> None:
    network = LargeStates()
    model = export.to_onnx(network, MULTIPLE_OF)
    assert export.parity(network, model, MULTIPLE_OF) <= export.PARITY
    network.more = 1e3
    assert export.parity(network, model, MULTIPLE_OF) > export.PARITY


class FixedState(nn.Module):
    """A network whose state's size is burnt in."""

    state_shapes = ((3, 1),)

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        (before,) = states or no_memory(self, rainy)
        return Restored(rainy + before, states=(before[:, :, :32, :48],))


def test_a_static_state_is_refused() -> None:
    with pytest.raises(DerainError, match="static"):
        export.to_onnx(FixedState(), MULTIPLE_OF)
