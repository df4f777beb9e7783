"""Every network of `derain networks` as a model file with random weights, to be built and timed, not used."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from derain.engines.card import ModelCard, weights_sha256, write_card
from derain.engines.modelfile import ATTENTION, ModelFile, open_model
from derain.train.export import attention_scale, state_pairs, to_onnx
from derain.train.networks.blocks import fold
from derain.train.networks.network import Entry
from derain.train.networks.registry import NETWORKS, build_network
from derain.train.recipe import load_recipe

SEED = 0


def exported(folder: Path, width: float) -> Iterator[ModelFile]:
    """Each network as it is needed: NAME.onnx in `folder`, written where it is not there yet."""
    for row in NETWORKS:
        path = folder / f"{row.name}.onnx"
        if not path.exists():
            write(row, width, path)
        yield open_model(path)


def write(row: Entry, width: float, path: Path) -> None:
    """Its small recipe's network, so wide. The halo on the card is none that was measured."""
    torch.manual_seed(SEED)
    recipe = load_recipe(f"{row.name}-small", [f"network.width={width}"])
    network = build_network(recipe.network).eval()
    model = to_onnx(fold(network), row.multiple_of)
    card = ModelCard(
        name=row.name,
        version="random weights",
        removes=recipe.removes,
        halo=0,
        multiple_of=row.multiple_of,
        tiling=row.tiling,
        licence=recipe.licence,
        states=state_pairs(network),
        sha256=weights_sha256(model),
    )
    if any(end.name == ATTENTION for end in model.graph.output):
        card = replace(card, attention=row.maps, attention_scale=attention_scale(network, row.multiple_of))
    write_card(model, card)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(model.SerializeToString())
    temporary.replace(path)
