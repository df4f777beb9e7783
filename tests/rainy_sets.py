"""Pairs whose figures can be worked out by hand, and `derain evaluate` run on them."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx_models

from derain.pipeline.cli import run
from derain.train.evaluate import RGB

RAIN = 40
"""Grey levels that the rain of these sets adds."""


def write(path: Path, pixels: RGB) -> None:
    """(H, W, 3), or a mask (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def scene(seed: int, height: int = 24, width: int = 32) -> RGB:
    small = np.random.default_rng(seed).integers(50, 200, (4, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def rained(clean: RGB, columns: int = 8) -> RGB:
    """RAIN on the first columns."""
    rainy = clean.copy()
    rainy[:, :columns] += RAIN
    return rainy


def darker(folder: Path, levels: int, name: str) -> Path:
    """A network that takes so many levels from every pixel."""
    weights = np.eye(3, dtype=np.float32)[..., None, None]
    bias = np.full(3, -levels / 255, np.float32)
    return onnx_models.conv(folder, name, weights=weights, bias=bias)


def evaluate(*words: object) -> list[Any]:
    """The rows of --json of a run that ends well."""
    file = next(Path(str(word)) for word in words if isinstance(word, Path)).parent / "figures.json"
    assert run(["evaluate", *map(str, words), "--backend", "onnxruntime", "--json", str(file)]) == 0
    rows: list[Any] = json.loads(file.read_text())
    return rows


def psnr(levels: float, share: float = 1.0) -> float:
    """On Y, of grey that is `levels` off in a share of the pixels."""
    return 20 * math.log10(255 / (levels * 219 / 255)) - 10 * math.log10(share)
