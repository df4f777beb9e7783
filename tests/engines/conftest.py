"""Machines with a card that is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trt_run_fake
from trt_machine import KINDS, RTX_VERSION, VERSION, Machine


@pytest.fixture(params=KINDS)
def machine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Machine]:
    """With either of the packages; in the end all that the card gave must have come back."""
    version = RTX_VERSION if request.param == "tensorrt_rtx" else VERSION
    package = trt_run_fake.attach(monkeypatch, version)
    made = Machine(request.param, package, tmp_path / "cache")
    yield made
    for engine in made.engines:
        engine.close()
    assert package.broken == ""
    assert all(not gpu.given for gpu in package.devices), "all that a device gave came back"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """With tensorrt, which leaves graphs to us."""
    return Machine("tensorrt", trt_run_fake.attach(monkeypatch), tmp_path / "cache")
