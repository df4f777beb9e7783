"""torch -> ONNX, with the card filled and the parity shown."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError

from derain.engines.card import ModelCard, StatePair, weights_sha256, write_card
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import ATTENTION, INPUT, OUTPUT
from derain.train import figures
from derain.train.checkpoint import read
from derain.train.commit import commit
from derain.train.networks.blocks import fold
from derain.train.networks.facts import halo
from derain.train.networks.network import Restored
from derain.train.networks.recurrent import no_memory, state_shapes
from derain.train.networks.registry import build_network, entry
from derain.train.recipe import Recipe, parse
from derain.train.rounding import exact, rounding, with_rounding

log = logging.getLogger(__name__)
OPSET = 18
PARITY = 1e-4
"""The largest difference allowed between torch and ONNX, of the range 0..1."""
ROUNDED_PARITY = 1 / 255
"""The same of a network that rounds: what lies in the middle of two whole numbers may go either way."""
FRAMES = 3
"""After so many a recurrent network's states must still be those of torch."""


class Core(nn.Module):
    """The network as it is shipped: (N, 3, H, W) rainy in 0..1 -> restored, of the same shape and range.

    After it come the attention maps (N, K, H/scale, W/scale) in 0..1 where the network has any. A recurrent
    network takes its states after `rainy`, and gives those for the next frame after all else.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rainy: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        found: Restored = self.network(rainy, states) if states else self.network(rainy)
        attention = () if found.attention is None else (found.attention,)
        return (found.image.clamp(0, 1), *attention, *found.states)


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds: recipe, steps done, origin of the first weights, the averaged network, and
    what was given beside the recipe."""

    recipe: Recipe
    step: int
    origin: str
    network: nn.Module
    given: dict[str, str]

    @property
    def told(self) -> str:
        """How it came about."""
        origin = f" from {self.origin}" if self.origin else ""
        taught = f", taught by {self.given['teacher']}" if "teacher" in self.given else ""
        return f"{self.recipe.name}, {self.step} steps{origin}{taught}"


def load_checkpoint(path: Path) -> Trained:
    """Reads a checkpoint of the trainer; UsageError where it is none."""
    content = read(path)
    recipe = parse(content["recipe"], str(path))
    network = build_network(recipe.network)
    if recipe.train.quantised:
        rounding(network)
    network.load_state_dict(content["average"])
    return Trained(recipe, content["step"], content["origin"], network.eval(), content["given"])


def to_onnx(network: nn.Module, multiple_of: int) -> onnx.ModelProto:
    """ONNX of the network's core with dynamic N, H and W, asserted; float32, opset 18."""
    exported = traced(network, multiple_of)
    states = state_pairs(network)
    pictures = [OUTPUT, ATTENTION][: len(exported.graph_signature.user_outputs) - len(states)]
    with quiet():
        program = torch.onnx.export(
            exported,
            input_names=[INPUT, *(state.taken for state in states)],
            output_names=[*pictures, *(state.given for state in states)],
            opset_version=OPSET,
            verbose=False,
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
    rows, columns = (torch.export.Dim(name, min=1) for name in ("rows", "columns"))

    def open_at(scale: int) -> dict[int, Any]:
        return {0: batch, 2: rows * (multiple_of // scale), 3: columns * (multiple_of // scale)}

    examples = (example, *no_memory(network, example))
    states = tuple(open_at(shape.scale) for shape in state_shapes(network))
    # Of a parameter with a star and nothing for it torch takes no entry.
    shapes = (open_at(1), states) if states else (open_at(1),)
    try:
        return torch.export.export(Core(network).eval(), examples, dynamic_shapes=shapes)
    except UserError as error:
        raise DerainError(f"the network would be static: {str(error).splitlines()[0]}") from error


def state_pairs(network: nn.Module) -> tuple[StatePair, ...]:
    """The names of the states in the model file, in the network's order."""
    shapes = enumerate(state_shapes(network), 1)
    return tuple(StatePair(f"state{n}", f"state{n}_next", shape.scale) for n, shape in shapes)


def attention_scale(network: nn.Module, multiple_of: int) -> int:
    """What the height and width of a frame are divided by in the network's attention maps."""
    rainy = torch.zeros(1, 3, multiple_of, multiple_of)
    with torch.no_grad():
        _, maps, *_ = Core(network).eval()(rainy, *no_memory(network, rainy))
    return int(multiple_of // maps.shape[3])


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
    """The largest difference between torch and ONNX Runtime over three batches of other shapes, of 0..1; of a
    recurrent network, over FRAMES frames of each.

    Of all outputs: a network's attention map and its states are held to it as its picture is; states that go
    beyond 1 by the share of their largest value.
    """
    import onnxruntime  # noqa: PLC0415 - slow to import, and only used here

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng, core, worst = np.random.default_rng(seed), Core(network).eval(), 0.0
    frames = FRAMES if state_pairs(network) else 1
    for n, c, h, w in ((1, 3, 1, 1), (3, 3, 5, 2), (1, 3, 7, 9)):
        rainy = rng.random((frames, n, c, h * multiple_of, w * multiple_of), np.float32)
        worst = max(worst, furthest(session, core, rainy))
    return worst


def furthest(session: Any, core: Core, frames: npt.NDArray[np.float32]) -> float:
    """The largest difference over frames (T, N, 3, H, W) one after another, each side with its own states."""
    taken = [pair.taken for pair in state_pairs(core.network)]
    states = no_memory(core.network, torch.from_numpy(frames[0]))
    others, worst = [state.numpy() for state in states], 0.0
    for rainy in frames:
        with torch.no_grad():
            expected = core(torch.from_numpy(rainy), *states)
        got = session.run(None, {INPUT: rainy, **dict(zip(taken, others, strict=True))})
        for one, output in zip(got, expected, strict=True):
            beyond = max(1.0, float(output.abs().max()))
            worst = max(worst, float(np.abs(np.asarray(one) - output.numpy()).max()) / beyond)
        first = len(expected) - len(taken)
        states, others = expected[first:], got[first:]
    return worst


@dataclass(frozen=True)
class ExportOptions:
    """What the checkpoint does not say.

    `name`: None for the recipe's. `trained_at`: the commit it was trained with, None for the one checked out.
    `quality`, `speed`, `dryness`: files that derain evaluate, derain bench and derain bench dryness wrote
    with --json, for the card.
    """

    name: str | None = None
    trained_at: str | None = None
    quality: Path | None = None
    speed: Path | None = None
    dryness: Path | None = None


def onnx_of(trained: Trained, multiple_of: int) -> onnx.ModelProto:
    """The network as ONNX, rounding where it rounds, which branches do each for itself; else they are folded.
    DerainError where it differs from torch by more than PARITY, or ROUNDED_PARITY."""
    plain = exact(trained.network)
    if trained.recipe.train.quantised:
        model = with_rounding(to_onnx(plain, multiple_of), trained.network)
        allowed = ROUNDED_PARITY
    else:
        model, allowed = to_onnx(fold(plain), multiple_of), PARITY
    difference = parity(trained.network, model, multiple_of)
    if difference > allowed:
        raise DerainError(
            f"the exported network differs from torch by {difference:.2e}, more than {allowed:.3g}"
        )
    log.info("parity with torch: %.1e", difference)
    return model


def export(checkpoint: Path, output: Path, options: ExportOptions | None = None) -> ModelCard:
    """Writes `checkpoint` as ONNX with its card to `output`; returns the card.

    One that was trained under INT8's rounding is written as INT8, with Q/DQ nodes. Raises DerainError as
    `onnx_of`.
    """
    options = options or ExportOptions()
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent} for {output.name}; make it first")
    trained = load_checkpoint(checkpoint)
    recipe = trained.recipe
    row = entry(recipe.network.name)
    multiple_of = row.multiple_of
    rounds = recipe.train.quantised
    model = onnx_of(trained, multiple_of)
    attends = any(end.name == ATTENTION for end in model.graph.output)
    card = ModelCard(
        name=options.name or recipe.name,
        version=version("derain"),
        removes=recipe.removes,
        halo=halo(recipe.network),
        multiple_of=multiple_of,
        tiling=row.tiling,
        licence=recipe.licence,
        recipe=trained.told,
        seed=recipe.seed,
        commit=options.trained_at or commit(),
        data=recipe.data.terms,
        attention=row.maps if attends else (),
        attention_scale=attention_scale(trained.network, multiple_of) if attends else 1,
        quality=figures.quality(options.quality) if options.quality else {},
        speed=figures.speed(options.speed) if options.speed else {},
        dry_below=figures.dry_below(options.dryness) if options.dryness else ModelCard.dry_below,
        states=state_pairs(trained.network),
        precision="int8" if rounds else "fp32",
        calibration=f"{trained.given['calibration']}; then trained under its rounding" if rounds else "",
        sha256=weights_sha256(model),
    )
    write_card(model, card)
    temporary = output.with_name(f".{output.name}.tmp")
    temporary.write_bytes(model.SerializeToString())
    temporary.replace(output)
    return card
