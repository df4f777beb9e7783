"""A2Net as a critic: its own weights, or one sentence; any size; and it takes away what it was trained on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from data_folder import data_folder

from derain.benchmarks.peers import a2net
from derain.benchmarks.realism import heard, rained
from derain.engines.errors import DerainError, UsageError
from derain.train.datasets import pictures
from derain.train.degradations.presets import preset


def weights_in(folder: Path, state: object) -> Path:
    path = folder / "a2net" / "pretrained" / "latest_net_G.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return folder


def silent() -> a2net.A2NetNetwork:
    """A network that finds nothing to add."""
    network = a2net.A2NetNetwork()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return network


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (33, 47), (8, 5)])
def test_it_restores_pictures_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    critic = a2net.load(weights_in(tmp_path, silent().state_dict()))
    rainy = np.random.default_rng(1).integers(30, 225, (*size, 3), dtype=np.uint8)
    restored = critic.restore(rainy)
    assert restored.shape == rainy.shape and restored.dtype == np.uint8
    # Nothing is added, so what is left is the rounding of the way to YUV and back.
    assert np.abs(restored.astype(int) - rainy).max() <= 3


def test_chroma_and_luma_are_each_their_own_decoder_s(tmp_path: Path) -> None:
    network = silent()
    assert isinstance(network.outc_Y[0].bias, torch.Tensor)
    network.outc_Y[0].bias.data[:] = 0.2
    critic = a2net.load(weights_in(tmp_path, network.state_dict()))
    grey = np.full((16, 16, 3), 100, np.uint8)
    assert np.abs(critic.restore(grey).astype(float) - (100 + 255 * np.tanh(0.2))).max() <= 2


def test_missing_and_foreign_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no weights a2net/pretrained/latest_net_G\.pth"):
        a2net.load(tmp_path)
    with pytest.raises(DerainError, match=r"does not hold the weights of A2Net: .*") as told:
        a2net.load(weights_in(tmp_path, {"inc.0.weight": torch.zeros(2)}))
    assert "\n" not in str(told.value)


@pytest.fixture
def data() -> Path:
    return data_folder()


@pytest.mark.data
def test_published_weights_leave_a_dry_picture_nearly_alone(data: Path) -> None:
    y, x = np.mgrid[0:64, 0:64]
    dry = np.stack([100 + x, 120 + y // 2, np.full_like(x, 110)], axis=2).astype(np.uint8)
    assert cv2.PSNR(a2net.load(data / "peers").restore(dry), dry) > 24


@pytest.mark.data
@pytest.mark.parametrize("name", ["raindrops", "raindrops-soft"])
def test_the_expert_takes_our_drops_for_drops(data: Path, name: str) -> None:
    photos = pictures(data / "photos/camvid")[::60][:3]
    verdict = heard(a2net.load(data / "peers"), name, name, rained(preset(name), photos, 7, 160))
    assert verdict.gain > 5 and 15 < verdict.input < 22
