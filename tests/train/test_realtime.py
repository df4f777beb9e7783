"""The real-time family: sizes, the gate that leaves dry pixels alone, and blocks that fold."""

from dataclasses import replace

import pytest
import torch
from file_sizes import most
from torch import nn

from derain.engines.maps import NO_RAIN
from derain.train.networks.blocks import BLOCKS, Branched, fold
from derain.train.networks.network import Entry
from derain.train.networks.realtime import LEAST, NETWORKS, Realtime, Size, realtime
from derain.train.networks.recurrent import no_memory

TINY = Size(channels=(8, 8, 12), encoder=(1, 0, 0), decoder=(1, 0, 1))


def network(size: Size = TINY) -> Realtime:
    torch.manual_seed(0)
    return Realtime(size).eval()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_picture_keeps_its_size_and_each_cell_has_a_value_of_both_maps(block: str) -> None:
    made = network(replace(TINY, block=block))
    rainy = torch.rand(2, 3, 32, 48)
    restored = made(rainy)
    assert restored.image.shape == rainy.shape
    assert restored.attention is not None and restored.attention.shape == (2, 2, 8, 12)
    (restored.image.mean() + restored.stages[0].mean()).backward()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters())


def test_pixels_of_dry_cells_are_the_rainy_ones_exactly() -> None:
    made = network()
    rainy = torch.rand(1, 3, 32, 32)
    nn.init.zeros_(made.maps.weight)
    assert made.maps.bias is not None
    nn.init.constant_(made.maps.bias, -2.95)  # a sigmoid of 0.0497
    assert torch.equal(made(rainy).image, rainy)
    nn.init.constant_(made.maps.bias, -2.0)
    assert (made(rainy).image != rainy).any()
    assert LEAST == NO_RAIN, "what is no rain to the network is none where rain is kept"


def test_the_correction_may_be_of_one_cell_alone() -> None:
    rainy = torch.rand(1, 3, 32, 32)
    assert network(replace(TINY, last=1))(rainy).image.shape == rainy.shape


def test_either_map_opens_the_gate() -> None:
    made = network()
    rainy = torch.rand(1, 3, 32, 32)
    nn.init.zeros_(made.maps.weight)
    assert made.maps.bias is not None
    for logits in ((9.0, -9.0), (-9.0, 9.0)):
        made.maps.bias.data = torch.tensor(logits)
        assert (made(rainy).image != rainy).any()


def test_a_branched_network_folds_to_plain_blocks_that_compute_the_same() -> None:
    made = network(replace(TINY, block="branched"))
    rainy = torch.rand(1, 3, 32, 32)
    before = made(rainy).image
    folded = fold(made)
    assert not any(isinstance(module, Branched) for module in folded.modules())
    torch.testing.assert_close(folded(rainy).image, before, atol=1e-5, rtol=0)


def test_a_frame_before_is_remembered_and_the_first_has_none() -> None:
    made = network(replace(TINY, memory=4))
    first, second = torch.rand(2, 1, 3, 32, 32)
    nothing = no_memory(made, first)
    assert made.memory is not None
    assert torch.equal(made(second, made(first).states).image, made(second).image), "untrained, a still one"
    nn.init.normal_(made.memory.recall.weight)
    states = made(first).states
    assert [state.shape for state in states] == [state.shape for state in nothing] == [(1, 4, 8, 8)] * 2
    assert torch.equal(made(first).image, made(first, nothing).image)
    assert not torch.equal(made(second, states).image, made(second).image)
    assert not network().state_shapes and not network()(first).states


def test_sizes_are_told_by_what_is_wrong_with_them() -> None:
    with pytest.raises(ValueError, match="block takes plain, gated"):
        Size((8,), (1,), (1,), block="round")
    with pytest.raises(ValueError, match="a number for each level"):
        Size((8, 8), (1,), (1, 1))
    with pytest.raises(ValueError, match="last takes an odd number"):
        Size((8,), (1,), (1,), last=2)
    with pytest.raises(ValueError, match="even number"):
        Size((8,), (1,), (1,), cell=3)


def test_a_width_scales_the_channels_and_a_size_takes_their_place() -> None:
    narrow = realtime("realtime-s", 0.25)
    assert narrow.head.out_channels == 8
    assert realtime("realtime-s", channels=[16, 16], encoder=[0, 0], decoder=[1, 1]).head.out_channels == 16
    assert [entry.name for entry in NETWORKS] == [
        "realtime-s",
        "realtime-s-video",
        "realtime-m",
        "realtime-l",
    ]


@pytest.mark.parametrize("row", NETWORKS, ids=lambda row: str(row.name))
def test_its_file_has_room_where_it_will_be_shipped(row: Entry) -> None:
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in row.build().parameters())
    assert 4 * weights + 100_000 < most(row.name), "and 100 KB for its nodes and its card"
