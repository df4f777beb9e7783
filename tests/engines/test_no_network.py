"""Opening and running a network sends nothing anywhere, whatever the user told other programs."""

import os
import subprocess
import sys
from pathlib import Path

import onnx_models
import pytest

from derain.engines.registry import BACKENDS

SCRIPT = """
import sys
touched = []
def watch(event, arguments):
    if event.startswith("socket."):
        touched.append(event)
        raise PermissionError(event)
sys.addaudithook(watch)

import socket
try:
    socket.getaddrinfo("localhost", 80)
except PermissionError:
    touched.clear()  # the watch works
else:
    sys.exit("the watch does not see sockets")

import numpy as np
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine
with open_engine(sys.argv[1], EngineOptions(backend=sys.argv[2])) as engine:
    engine.infer(np.zeros((1, 8, 8, 3), np.uint8))

import atexit, threading
atexit._run_exitfuncs()
senders = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
for thread in senders:
    thread.join(5)
loaded = [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
sys.exit(f"touched {touched}, loaded {loaded}" if touched or loaded else 0)
"""


@pytest.mark.parametrize("backend", [backend.name for backend in BACKENDS])
def test_no_socket_is_opened(tmp_path: Path, backend: str) -> None:
    """Even for a user who once agreed to OpenVINO's telemetry, which then sends from its import on."""
    consent = tmp_path / "intel" / "openvino_telemetry"
    consent.parent.mkdir()
    consent.write_text("1")
    path = onnx_models.identity(tmp_path)
    environment = os.environ | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), backend],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
