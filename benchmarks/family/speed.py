"""Milliseconds of networks that nobody has trained: what a candidate costs is known before it learns."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from derain.benchmarks.evaluation.contest import contestant
from derain.benchmarks.turns import seconds_in_turns
from derain.engines.card import ModelCard, Tiling, write_card
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.modelfile import ATTENTION
from derain.engines.registry import open_engine
from derain.train.evaluate import RGB
from derain.train.export import attention_scale, to_onnx
from derain.train.networks.realtime import MAPS
from derain.train.quantise import to_int8, write

FRAME = (1280, 720)
"""Width and height of the frame that is timed."""
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class Untrained:
    """A network with first weights drawn by a seed. `radius`: of its receptive field."""

    build: Callable[[], nn.Module]
    multiple_of: int
    radius: int


@dataclass(frozen=True)
class Speed:
    """Milliseconds a frame at the median, in fp32 and in INT8."""

    fp32: float
    int8: float


def speeds(
    networks: Mapping[str, Untrained], frames: Sequence[Pixels], rounds: int, threads: int, folder: Path
) -> dict[str, Speed]:
    """By name, of all networks in both precisions in turns; `frames`: what INT8 is calibrated on, the first
    is timed. The model files are written into `folder`."""
    frame: RGB = np.asarray(cv2.resize(frames[0], FRAME), np.uint8)
    with ExitStack() as stack:
        contestants = []
        for name, network in networks.items():
            files = model_files(name, network, frames, folder)
            for precision, path in zip(PRECISIONS, files, strict=True):
                options = EngineOptions(precision=precision, threads=threads, cache_dir=folder)
                engine = stack.enter_context(open_engine(str(path), options))
                contestants.append(contestant(label(name, precision), engine))
        taken = seconds_in_turns(contestants, frame, rounds)
    ms = {label: float(np.median(times)) * 1e3 for label, times in taken.items()}
    return {name: Speed(*(ms[label(name, precision)] for precision in PRECISIONS)) for name in networks}


def label(name: str, precision: str) -> str:
    return f"{name} {precision}"


def model_files(
    name: str, network: Untrained, frames: Sequence[Pixels], folder: Path, seed: int = 0
) -> tuple[Path, Path]:
    """The network as users would have it, written in fp32 and in INT8."""
    torch.manual_seed(seed)
    built = network.build().eval()
    model = to_onnx(built, network.multiple_of)
    attends = any(end.name == ATTENTION for end in model.graph.output)
    card = ModelCard(
        name=name,
        version=version("derain"),
        removes=(),
        halo=network.radius,
        multiple_of=network.multiple_of,
        tiling=Tiling.EXACT,
        licence="Never trained.",
        attention=MAPS if attends else (),
        attention_scale=attention_scale(built, network.multiple_of) if attends else 1,
    )
    exact, rough = (folder / f"{name}-{precision}.onnx" for precision in PRECISIONS)
    write_card(model, card)
    exact.write_bytes(model.SerializeToString())
    write(to_int8(model, frames), card, rough)
    return exact, rough
