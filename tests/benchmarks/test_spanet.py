"""SPANet as a critic: any size, its name, and clean errors about weights."""

from pathlib import Path

import numpy as np
import pytest
from data_folder import data_folder

from derain.benchmarks.peers import spanet
from derain.engines.errors import UsageError
from derain.train.networks.spanet import DESIGNS, SPANet


def test_a_critic_restores_pictures_of_any_size() -> None:
    critic = spanet.SPANet(SPANet(DESIGNS["spanet-bd"], 0.125).eval())
    rainy = np.random.default_rng(0).integers(0, 256, (7, 13, 3)).astype(np.uint8)
    restored = critic.restore(rainy)
    assert restored.shape == rainy.shape and restored.dtype == np.uint8
    assert np.array_equal(restored, critic.restore(rainy))
    assert critic.judges == ()


def test_missing_weights_are_told_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no weights spanet/latest in .*--peers"):
        spanet.critics(tmp_path)


@pytest.mark.data
def test_the_published_weights_make_the_critic() -> None:
    (critic,) = spanet.critics(data_folder() / "peers")
    grey = np.full((24, 24, 3), 128, np.uint8)
    assert critic.name == "SPANet SPA-Data"
    assert np.abs(critic.restore(grey)[8:16, 8:16].astype(int) - 128).max() <= 8
