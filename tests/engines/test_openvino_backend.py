"""What OpenVINO's backend does beyond the contract: compile cache, kept shapes, precisions."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model
from derain.engines.openvino import KEPT_SHAPES, OpenVINOEngine, core, runtime


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Collects every compiled model, whichever engine asked for it."""
    models: list[Any] = []
    core = runtime().Core
    compile_model = core.compile_model

    def spy(self: Any, *arguments: Any) -> Any:
        models.append(compile_model(self, *arguments))
        return models[-1]

    monkeypatch.setattr(core, "compile_model", spy)
    yield models
    models.clear()


def opened(path: Path, **options: Any) -> OpenVINOEngine:
    return OpenVINOEngine(open_model(path), EngineOptions(**options))


def black(height: int, width: int) -> Any:
    return np.zeros((1, height, width, 3), np.uint8)


def test_the_second_start_loads_from_the_cache(tmp_path: Path, compiled: list[Any]) -> None:
    path = onnx_models.unshuffle(tmp_path)
    for _ in range(2):
        with opened(path, cache_dir=tmp_path / "cache") as engine:
            engine.infer(black(8, 8))
    assert [model.get_property("LOADED_FROM_CACHE") for model in compiled] == [False, False, True, True]


def test_spoilt_cache_files_are_compiled_anew(tmp_path: Path) -> None:
    path = onnx_models.unshuffle(tmp_path)
    batch = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    with opened(path, cache_dir=tmp_path / "cache") as engine:
        expected = engine.infer(batch)
    for blob in (tmp_path / "cache").rglob("*.blob"):
        blob.chmod(0o600)
        os.truncate(blob, blob.stat().st_size // 2)
    with opened(path, cache_dir=tmp_path / "cache") as engine:
        assert np.array_equal(engine.infer(batch), expected)


def test_a_shape_is_compiled_once_while_it_is_in_use(tmp_path: Path, compiled: list[Any]) -> None:
    with opened(onnx_models.identity(tmp_path)) as engine:
        at_start = len(compiled)
        for height in (2, 3, 2, 3, 2):
            engine.infer(black(height, 4))
        assert len(compiled) - at_start == 2
        for height in range(4, 4 + KEPT_SHAPES):
            engine.infer(black(height, 4))
        at_end = len(compiled)
        engine.infer(black(2, 4))
        assert len(compiled) - at_end == 1, "the oldest shape must have gone"


def test_big_shapes_are_not_kept_side_by_side(
    tmp_path: Path, compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derain.engines.openvino.KEPT_PIXELS", 100)
    with opened(onnx_models.identity(tmp_path)) as engine:
        at_start = len(compiled)
        for height in (8, 12, 8):
            engine.infer(black(height, 8))
        assert len(compiled) - at_start == 3


def test_precision_is_set_and_reported(tmp_path: Path, compiled: list[Any]) -> None:
    with opened(onnx_models.identity(tmp_path)) as engine:
        assert engine.precision == "fp32"
    assert compiled[0].get_property("INFERENCE_PRECISION_HINT") == runtime().Type.f32


def test_bf16_is_taken_where_the_processor_has_it(tmp_path: Path, compiled: list[Any]) -> None:
    path = onnx_models.unshuffle(tmp_path)
    able = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if not able:
        with pytest.raises(UsageError, match=r"takes auto, fp32$"):
            opened(path, precision="bf16")
        return
    with opened(path, precision="bf16") as engine:
        assert engine.precision == "bf16"
    assert compiled[0].get_property("INFERENCE_PRECISION_HINT") == runtime().Type.bf16


def test_fp16_is_refused_rather_than_replaced(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="openvino can't run in precision 'fp16'"):
        opened(onnx_models.identity(tmp_path), precision="fp16")


def test_threads_reach_the_runtime(tmp_path: Path, compiled: list[Any]) -> None:
    with opened(onnx_models.identity(tmp_path), threads=1):
        assert compiled[0].get_property("INFERENCE_NUM_THREADS") == 1


def test_engines_closed_in_any_order_leave_signals_alive(tmp_path: Path) -> None:
    """A signal stack that the runtime freed would kill the process at its next signal."""
    script = (
        "import gc, os, signal, sys\n"
        "from derain.engines.registry import open_engine\n"
        "first, second = (open_engine(sys.argv[1]) for _ in range(2))\n"
        "first.close(), second.close()\n"
        "del first, second\n"
        "gc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('heard'))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    arguments = [sys.executable, "-c", script, str(onnx_models.identity(tmp_path))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
