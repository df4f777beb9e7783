"""torch -> ONNX, with the card filled and the parity shown."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError

from derain.engines.card import ModelCard, weights_sha256, write_card
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import ATTENTION, INPUT, OUTPUT
from derain.train import figures
from derain.train.checkpoint import read
from derain.train.commit import commit
from derain.train.networks.facts import halo
from derain.train.networks.registry import build_network, entry
from derain.train.recipe import Recipe, parse

log = logging.getLogger(__name__)
OPSET = 18
PARITY = 1e-4
"""The largest difference allowed between torch and ONNX, of the range 0..1."""


class Core(nn.Module):
    """The network as it is shipped: (N, 3, H, W) rainy in 0..1 -> restored, of the same shape and range.

    After it come the attention maps (N, K, H/scale, W/scale) in 0..1 where the network has any.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rainy: Tensor) -> tuple[Tensor, ...]:
        image, attention, *_ = self.network(rainy)
        restored = image.clamp(0, 1)
        return (restored,) if attention is None else (restored, attention)


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds: recipe, steps done, origin of the first weights, the averaged network."""

    recipe: Recipe
    step: int
    origin: str
    network: nn.Module


def load_checkpoint(path: Path) -> Trained:
    """Reads a checkpoint of the trainer; UsageError where it is none."""
    content = read(path)
    recipe = parse(content["recipe"], str(path))
    network = build_network(recipe.network)
    network.load_state_dict(content["average"])
    return Trained(recipe, content["step"], content["origin"], network.eval())


def to_onnx(network: nn.Module, multiple_of: int) -> onnx.ModelProto:
    """ONNX of the network's core with dynamic N, H and W, asserted; float32, opset 18."""
    exported = traced(network, multiple_of)
    names = [OUTPUT, ATTENTION][: len(exported.graph_signature.user_outputs)]
    with quiet():
        program = torch.onnx.export(
            exported, input_names=[INPUT], output_names=names, opset_version=OPSET, verbose=False
        )
    assert program is not None
    model = without_traces(program.model_proto)
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if any(dims[axis].HasField("dim_value") for axis in (0, 2, 3)):
            raise DerainError(f"the export made {value.name} static: {[d.dim_value for d in dims]}")
    return model


def traced(network: nn.Module, multiple_of: int) -> torch.export.ExportedProgram:
    """The network's core as torch's graph with open sizes; DerainError where one would be fixed."""
    example = torch.rand(2, 3, 4 * multiple_of, 6 * multiple_of)
    batch = torch.export.Dim("batch", min=1)
    height, width = (torch.export.Dim(name, min=1) * multiple_of for name in ("rows", "columns"))
    shapes = ({0: batch, 2: height, 3: width},)
    try:
        return torch.export.export(Core(network).eval(), (example,), dynamic_shapes=shapes)
    except UserError as error:
        raise DerainError(f"the network would be static: {str(error).splitlines()[0]}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what the exporter says about itself: torchvision is missing, nodes are not folded."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch 2.13's exporter warns of its own use of a class it deprecated.
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes out the exporter's stack traces, which name files of the machine it ran on."""
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for part in (model.graph, model):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def parity(network: nn.Module, model: onnx.ModelProto, multiple_of: int, seed: int = 0) -> float:
    """The largest difference between torch and ONNX Runtime over three batches of other shapes, of 0..1.

    Of all outputs: a network's attention map is held to it as its picture is.
    """
    import onnxruntime  # noqa: PLC0415 - slow to import, and only used here

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng, core, worst = np.random.default_rng(seed), Core(network).eval(), 0.0
    for shape in ((1, 3, 1, 1), (3, 3, 5, 2), (1, 3, 7, 9)):
        n, c, h, w = shape
        rainy = rng.random((n, c, h * multiple_of, w * multiple_of), np.float32)
        with torch.no_grad():
            expected = core(torch.from_numpy(rainy))
        for got, output in zip(session.run(None, {INPUT: rainy}), expected, strict=True):
            worst = max(worst, float(np.abs(np.asarray(got) - output.numpy()).max()))
    return worst


@dataclass(frozen=True)
class ExportOptions:
    """What the checkpoint does not say.

    `name`: None for the recipe's. `trained_at`: the commit it was trained with, None for the one checked out.
    `quality`, `speed`: files that derain evaluate and derain bench wrote with --json, for the card.
    """

    name: str | None = None
    trained_at: str | None = None
    quality: Path | None = None
    speed: Path | None = None


def export(checkpoint: Path, output: Path, options: ExportOptions | None = None) -> ModelCard:
    """Writes `checkpoint` as ONNX with its card to `output`; returns the card.

    Raises DerainError where the ONNX differs from torch by more than PARITY.
    """
    options = options or ExportOptions()
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent} for {output.name}; make it first")
    trained = load_checkpoint(checkpoint)
    recipe = trained.recipe
    row = entry(recipe.network.name)
    multiple_of = row.multiple_of
    model = to_onnx(trained.network, multiple_of)
    attends = any(end.name == ATTENTION for end in model.graph.output)
    difference = parity(trained.network, model, multiple_of)
    if difference > PARITY:
        raise DerainError(
            f"the exported network differs from torch by {difference:.2e}, more than {PARITY:.0e}"
        )
    log.info("parity with torch: %.1e", difference)
    card = ModelCard(
        name=options.name or recipe.name,
        version=version("derain"),
        removes=recipe.removes,
        halo=halo(recipe.network),
        multiple_of=multiple_of,
        tiling=row.tiling,
        licence=recipe.licence,
        recipe=f"{recipe.name}, {trained.step} steps" + (f" from {trained.origin}" if trained.origin else ""),
        seed=recipe.seed,
        commit=options.trained_at or commit(),
        data=recipe.data.terms,
        attention=row.maps if attends else (),
        attention_scale=row.attention_scale if attends else 1,
        quality=figures.quality(options.quality) if options.quality else {},
        speed=figures.speed(options.speed) if options.speed else {},
        sha256=weights_sha256(model),
    )
    write_card(model, card)
    temporary = output.with_name(f".{output.name}.tmp")
    temporary.write_bytes(model.SerializeToString())
    temporary.replace(output)
    return card
