"""fp32 -> INT8 or FP8 after training: the same network with Q/DQ nodes, calibrated on real frames.

What comes out is plain ONNX that OpenVINO compiles to INT8 and ONNX Runtime runs. All is symmetric (no zero
point but 0), weights by channel, as TensorRT needs it (which takes no uint8: `engines/trt_graph.py` makes
int8 of it). What lies between the last convolutions and what the network gives (the gate, the residual, the
clipping) stays fp32: it costs little, and its errors are the picture's. So do the states that a recurrent
network gives; what convolutions take of them is rounded, by ranges of the states that it comes to when it
follows clips.
"""

import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from derain.engines import openvino
from derain.engines.card import ModelCard, weights_sha256, write_card
from derain.engines.engine import Engine, EngineOptions, Pixels, State
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import ModelFile, open_model
from derain.engines.quality import psnr
from derain.engines.registry import open_engine
from derain.train.calibration import Remembered, feeds
from derain.train.calibration_clips import Clip, Clips, choose_clips, remembering
from derain.train.fp8 import to_fp8

HEAVY = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""What INT8 is for; NNCF quantises other nodes between them as far as they pass the integers on."""


@dataclass(frozen=True)
class Quantised:
    """What was written. `decibels`: PSNR on RGB to the fp32 network, the mean over the held-out frames; a
    recurrent network restores each of them with the states that it has come to itself.

    `worst`: that of the worst frame.
    """

    card: ModelCard
    decibels: float
    worst: float


@dataclass(frozen=True)
class QuantiseOptions:
    """`frames`: to calibrate on, chosen by `seed`. `least`: PSNR to fp32 in dB, or nothing is written.
    `precision`: "int8" or "fp8"."""

    frames: int = 32
    seed: int = 0
    least: float = 38.0
    precision: str = "int8"


def quantise(
    model: Path, output: Path, calibration: Path, options: QuantiseOptions | None = None
) -> Quantised:
    """Writes `model` in 8 bits to `output`, calibrated on frames of `calibration`, a folder or a video.

    The same frames give the same file. Raises UsageError where the model, the frames or the output won't do,
    DerainError where the result is further from fp32 than allowed, on frames that it was not calibrated on.
    """
    options = options or QuantiseOptions()
    file = open_model(model)
    check(file, output)
    multiple_of, recurrent, kind = file.card.multiple_of, bool(file.states), options.precision
    chosen = choose_clips(calibration, options.frames, options.seed, multiple_of, recurrent)
    frames = [frame for clip in chosen.calibration for frame in remembering(clip)]
    states = remembered(model, chosen.calibration) if recurrent else ()
    quantised = (to_fp8 if kind == "fp8" else to_int8)(file.graph, frames, states)
    temporary = output.with_name(f".{output.name}.tmp")
    try:
        card = write(quantised, file.card, temporary, kind)
        decibels = nearness(model, temporary, chosen.held_out, kind)
        mean, worst = float(np.mean(decibels)), float(min(decibels))
        if mean < options.least:
            raise DerainError(
                f"{model} in {kind.upper()} is at {mean:.1f} dB to fp32, less than {options.least:g} dB, and "
                "was not written; calibrate it on more frames, or on frames more like those it will restore"
            )
        card = write(quantised, replace(card, calibration=told(chosen, options.seed, mean)), temporary, kind)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return Quantised(card, mean, worst)


def check(file: ModelFile, output: Path) -> None:
    """Raises UsageError for a network that can't be quantised, or an output that can't be written."""
    if file.card.precision != "fp32":
        raise UsageError(f"the model {file.path} is {file.card.precision} already; give the fp32 one")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent} for {output.name}; make it first")
    if output.resolve() == file.path.resolve():
        raise UsageError(f"{output} is the model itself; give what is made of it a name of its own")


def to_int8(
    graph: onnx.ModelProto, frames: Sequence[Pixels], states: Sequence[Remembered] = ()
) -> onnx.ModelProto:
    """A copy of `graph` with Q/DQ nodes; `frames`: (H, W, 3) uint8 to calibrate on, `states`: what a
    recurrent network remembers before each of them."""
    nncf = quantiser()
    core = onnx.ModelProto()
    core.CopyFrom(graph)
    for number, node in enumerate(core.graph.node):
        node.name = f"{node.op_type}_{number}"  # the ignored ones are told by name, and a name may be missing
    light = [node.name for node in behind_the_last(core.graph, HEAVY)]
    if len(light) == len(core.graph.node):
        raise UsageError(f"the network has nothing to quantise: none of its nodes is {', '.join(HEAVY)}")
    with quiet():
        quantised: onnx.ModelProto = nncf.quantize(
            core,
            nncf.Dataset(feeds(frames, states)),
            subset_size=len(frames),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            # The slow one comes 2 dB nearer, and fails where a tensor goes to two last ones (nncf 3.4).
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=light),
        )
    return quantised


def behind_the_last(graph: onnx.GraphProto, kinds: Sequence[str]) -> Iterator[onnx.NodeProto]:
    """The nodes that something is given out of with no node of `kinds` between."""
    given = {end.name for end in graph.output}
    for node in reversed(graph.node):
        if node.op_type not in kinds and given.intersection(node.output):
            given.update(node.input)
            yield node


def write(model: onnx.ModelProto, card: ModelCard, path: Path, precision: str = "int8") -> ModelCard:
    """Writes `model` with `card` as that of a network in `precision`; returns the card as written."""
    card = replace(card, precision=precision, sha256=weights_sha256(model))
    write_card(model, card)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return card


def remembered(model: Path, clips: Sequence[Clip]) -> list[Remembered]:
    """For each frame of `clips` that is calibrated on the states that the network has come to before it."""
    with open_engine(model, EngineOptions(backend="cpu", precision="fp32")) as engine:
        names = [spec.name for spec in engine.states]
        return [
            dict(zip(names, taken, strict=True))
            for clip in clips
            for taken, _ in list(followed(engine, clip))[len(clip) - len(remembering(clip)) :]
        ]


def followed(engine: Engine, clip: Clip) -> Iterator[tuple[list[State], Pixels]]:
    """For each frame in turn the states that the network takes, none kept before the first, and what it makes
    of it."""
    shapes = [spec.shape(1, *clip[0].shape[:2]) for spec in engine.states]
    states = [np.zeros(shape, np.float32) for shape in shapes]
    for frame in clip:
        news = [np.empty(shape, np.float32) for shape in shapes]
        restored = engine.infer(frame[np.newaxis], states=list(zip(states, news, strict=True)))
        yield states, restored
        states = news


def nearness(model: Path, quantised: Path, clips: Sequence[Clip], precision: str = "int8") -> list[float]:
    """PSNR in dB on RGB of what two files make of each frame, run as a user runs them on the CPU."""
    with (
        open_engine(model, EngineOptions(backend="cpu", precision="fp32")) as exact,
        open_engine(quantised, EngineOptions(backend="cpu", precision=precision)) as rough,
    ):
        pairs = [zip(followed(rough, clip), followed(exact, clip), strict=True) for clip in clips]
        return [psnr(made, meant, 255) for pair in pairs for (_, made), (_, meant) in pair]


def told(chosen: Clips, seed: int, decibels: float) -> str:
    """For the card: what it was calibrated on, and how near to fp32 it came."""
    held = sum(map(len, chosen.held_out))
    return f"{chosen.told}, seed {seed}; {decibels:.2f} dB to fp32 on {held} others"


def quantiser() -> Any:
    """The package nncf without its telemetry; UsageError where it is not installed."""
    openvino.runtime()  # makes the telemetry's package impossible to import, for nncf too
    try:
        return importlib.import_module("nncf")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"derain quantise needs the package {error.name!r}, which is not installed; "
            'install it with: pip install "derain[train]"'
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what NNCF says of each step it takes; its bars go to stderr."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)
