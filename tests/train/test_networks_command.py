"""`derain networks`: every network, its operations counted, its reach measured, as in the documentation."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from derain.pipeline.cli import run
from derain.train.commands.networks import HEAD
from derain.train.networks.facts import FRAME, facts
from derain.train.networks.network import Restored
from derain.train.networks.published import PUBLISHED
from derain.train.networks.registry import NETWORKS, entry

DOCUMENT = Path(__file__).parents[2] / "docs" / "networks.md"


def said(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(["networks", *options]) == 0
    return capsys.readouterr().out


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(said(capsys, "--json"))}


def test_every_network_is_listed_with_what_it_is(listed: dict[str, Any]) -> None:
    assert list(listed) == [row.name for row in NETWORKS]
    assert listed["attentive-gan"] == {
        "name": "attentive-gan",
        "paper": "Qian 2018",
        "parameters": 6_253_706,
        "kmac": 1204.21,
        "radius": 209,
        "tiling": "exact",
        "multiple_of": 4,
        "discriminator": True,
        "attention": True,
        "published": [
            {"on": "Qian's raindrops", "psnr": 31.57, "ssim": 0.9023, "where": "Qian 2018, table 1"}
        ],
    }
    assert listed["spanet"]["radius"] is None and listed["spanet"]["tiling"] == "whole_frame"
    assert not listed["eigen2013"]["discriminator"] and not listed["eigen2013"]["attention"]


def test_the_table_is_the_one_in_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--markdown") in DOCUMENT.read_text(encoding="utf-8")


def test_the_plain_table_has_a_line_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    head, *lines = said(capsys).splitlines()
    assert head.split() == list(HEAD)
    assert [line.split()[0] for line in lines] == [row.name for row in NETWORKS]
    assert "     754,880       732.1           11  exact               8  no      no" in lines[0]


def test_operations_are_those_counted_by_hand() -> None:
    """Eigen's patches begin 4 pixels outside the frame, so that there are 7 fewer than pixels each way."""
    height, width = FRAME
    patches = (height - 7) * (width - 7)
    mask = 8 * 8
    layers = 16 * 16 * 3 * 512 + 512 * 512 + 8 * 8 * 512 * 3
    biases = 8 * 8 * 3
    assert layers == 753_664
    counted = patches * (layers + biases + mask) / (height * width) / 1000
    assert facts(entry("eigen2013")).kmac == pytest.approx(counted, rel=1e-9)


def test_an_irnn_that_is_only_counted_has_its_shape() -> None:
    network = entry("spanet").build(width=0.1)
    rainy = torch.rand(2, 3, 8, 12)
    restored, counted = network(rainy), network.to("meta")(rainy.to("meta"))
    assert isinstance(counted, Restored) and counted.attention is not None
    assert counted.image.shape == restored.image.shape == rainy.shape
    assert counted.attention.shape == restored.attention.shape


def test_what_papers_print_is_of_networks_that_are_there() -> None:
    assert PUBLISHED.keys() <= {row.name for row in NETWORKS}
