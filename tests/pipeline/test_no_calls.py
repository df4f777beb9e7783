"""A whole run talks to nobody, not even where the file it reads names an address."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clips
import cv2
import numpy as np
import onnx_models
import pytest

from derain.pipeline.cli import run

WATCHED = """
import sys
def watch(event, arguments):
    if event.startswith("socket.") or event == "urllib.Request":
        print("called:", event)
sys.addaudithook(watch)
from derain.pipeline.cli import run
sys.exit(run(sys.argv[1:]))
"""

NAMES_AN_ADDRESS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://{}/a.ts\n#EXT-X-ENDLIST\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://{}/a.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile http://{}/a.mp4\n",
}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Waits for a call on this machine; `accept` fails where none came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.mark.parametrize("name", NAMES_AN_ADDRESS)
def test_an_address_inside_a_file_is_not_called(
    name: str, listener: socket.socket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host, port = listener.getsockname()
    rainy = tmp_path / name
    rainy.write_text(NAMES_AN_ADDRESS[name].format(f"{host}:{port}"))
    model = onnx_models.identity(tmp_path)
    assert run(["video", str(rainy), str(tmp_path / "clean.mp4"), "--model", str(model)]) == 2
    assert "be read" in capsys.readouterr().err
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("command", ["video", "image"])
def test_a_run_opens_no_socket(command: str, tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path)
    clips.Clip().write(tmp_path / "rainy.mp4")
    cv2.imwrite(str(tmp_path / "rainy.png"), np.zeros((9, 9, 3), np.uint8))
    ending = {"video": ".mp4", "image": ".png"}[command]
    line = [
        command,
        str(tmp_path / f"rainy{ending}"),
        str(tmp_path / f"clean{ending}"),
        "--model",
        str(model),
    ]
    done = subprocess.run([sys.executable, "-c", WATCHED, *line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / f"clean{ending}").exists()
