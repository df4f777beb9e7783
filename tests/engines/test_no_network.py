"""Opening and running a network sends nothing anywhere, whatever the user told other programs."""

import os
import subprocess
import sys
from pathlib import Path

import onnx_models
import pytest

from derain.engines.registry import ON_CPU

SCRIPT = """
import os, sys
record = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)  # forked processes write there too
def watch(event, arguments):
    if event.startswith("socket."):
        os.write(record, (event + "\\n").encode())
        raise PermissionError(event)
sys.addaudithook(watch)

import socket
try:
    socket.getaddrinfo("localhost", 80)  # shows that the watch works
except PermissionError:
    pass

import numpy as np
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine
with open_engine(sys.argv[1], EngineOptions(backend=sys.argv[2])) as engine:
    engine.infer(np.zeros((1, 8, 8, 3), np.uint8))
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module])
"""


@pytest.mark.parametrize("backend", ON_CPU)
def test_no_socket_is_opened(tmp_path: Path, backend: str) -> None:
    """Even for a user who once agreed to OpenVINO's telemetry, which then sends from its import on."""
    consent = tmp_path / "intel" / "openvino_telemetry"
    consent.parent.mkdir()
    consent.write_text("1")
    model, record = onnx_models.identity(tmp_path), tmp_path / "sockets.txt"
    quiet_in = ("CI", "TF_BUILD", "JENKINS_URL")  # where that telemetry would hold back by itself
    environment = {name: value for name, value in os.environ.items() if name not in quiet_in}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(model), backend, str(record)],
        env=environment | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert record.read_text().splitlines() == ["socket.getaddrinfo"]
    assert done.stdout.strip() == "[]", "a telemetry package was loaded"
