"""PReNet and its kin: the published figures, any size, and clean errors about weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from data_folder import data_folder

from derain.benchmarks.peers import prenet
from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import luma, psnr
from derain.train.datasets import read_pair, read_pairs


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On tiny pictures threads only wait for one another: seconds of it on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.data
@pytest.mark.parametrize(
    ("variant", "gain"), [("PReNet6", 15.69), ("PReNet6_r", 14.15), ("PRN6", 15.22), ("PRN6_r", 12.61)]
)
def test_each_variant_gains_what_it_did_when_the_published_figures_came_out(
    variant: str, gain: float
) -> None:
    """With this code every tenth pair of Rain100L gave 39.75, 39.09, 38.95 and 38.34 dB, as published."""
    data = data_folder()
    rainy, clean = (picture[:96, :96] for picture in read_pair(read_pairs(data / "pairs" / "rain100L")[0]))
    restored = prenet.load(data / "peers", "Rain100L", variant).restore(rainy.copy())
    before, after = (psnr(luma(picture), luma(clean), 255) for picture in (rainy, restored))
    assert after - before == pytest.approx(gain, abs=0.05)


def published(folder: Path, trained_on: str, variant: str) -> Path:
    """A weight file with random weights in the published layout."""
    path = folder / "prenet" / trained_on / variant / "net_latest.pth"
    path.parent.mkdir(parents=True)
    torch.manual_seed(3)
    network = prenet.ProgressiveNet(variant.startswith("PReNet"), variant.endswith("_r"))
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("variant", "layers"), [("PReNet6", 32), ("PReNet6_r", 16), ("PRN6", 24), ("PRN6_r", 8)]
)
def test_each_variant_loads_and_restores_any_size(tmp_path: Path, variant: str, layers: int) -> None:
    path = published(tmp_path, "Rain100H", variant)
    assert len(torch.load(path, weights_only=True)) == layers
    critic = prenet.load(tmp_path, "Rain100H", variant)
    assert critic.judges == ("rain100h",)
    assert critic.name == f"{variant.replace('6', '')} Rain100H"
    rainy = np.random.default_rng(0).integers(0, 256, (7, 13, 3)).astype(np.uint8)
    restored = critic.restore(rainy)
    assert restored.shape == rainy.shape and restored.dtype == np.uint8
    assert np.array_equal(restored, critic.restore(rainy))


def test_a_network_that_finds_nothing_gives_the_picture_back(tmp_path: Path) -> None:
    path = published(tmp_path, "Rain100L", "PRN6_r")
    torch.save({k: torch.zeros_like(v) for k, v in torch.load(path, weights_only=True).items()}, path)
    rainy = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    assert np.array_equal(prenet.load(tmp_path, "Rain100L", "PRN6_r").restore(rainy), rainy)


def test_missing_weights_are_told_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no weights prenet/Rain100L/PReNet6/net_latest.pth in .*--peers"):
        prenet.critics(tmp_path)


def test_a_file_with_other_weights_is_told(tmp_path: Path) -> None:
    path = published(tmp_path, "Rain100L", "PRN6")
    with pytest.raises(DerainError, match="does not hold the weights of PReNet6"):
        path.rename(tmp_path / "net")
        (tmp_path / "prenet/Rain100L/PReNet6").mkdir()
        (tmp_path / "net").rename(tmp_path / "prenet/Rain100L/PReNet6/net_latest.pth")
        prenet.load(tmp_path, "Rain100L")
    (tmp_path / "prenet/Rain100L/PReNet6/net_latest.pth").write_bytes(b"no weights")
    with pytest.raises(DerainError, match="does not hold the weights of PReNet6"):
        prenet.load(tmp_path, "Rain100L")
