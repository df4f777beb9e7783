"""Cameras in a file: what it may say, and one sentence with file and line where it is wrong."""

import time
from fractions import Fraction
from pathlib import Path

import pytest

from derain.engines.errors import UsageError
from derain.pipeline.live.config import MOST_BYTES, read_config

GOOD = """\
# two cameras
policy: live
max_latency: 80ms
bypass: off
strength: 0.9
output: [a.mkv, rtsp://host/out]
web: 127.0.0.1:8080
cameras:
  - name: front
    source: rtsp://user:secret@host/path
    transport: tcp
    read_timeout: 3
    output: front/
  - name: "no"
    source: 0
    size: 1280x720
    rate: 30000/1001
    strength: 0.5
    loop: yes
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "cameras.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_file_says_all_of_a_run(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD))
    front, other = config.cameras
    assert (front.camera.name, front.camera.address.shown) == ("front", "rtsp://***@host/path")
    assert front.camera.options.transport == "tcp" and front.camera.options.read_timeout == 3
    assert front.outputs == ("front/",) and front.camera.strength is None
    assert (other.camera.name, other.camera.address.url, other.camera.strength) == ("no", "0", 0.5)
    assert other.camera.options.size == (1280, 720) and other.camera.options.loop
    assert other.camera.options.rate == Fraction(30000, 1001)
    assert config.outputs == ("a.mkv", "rtsp://host/out") and config.web == "127.0.0.1:8080"
    assert config.settings == {"policy": "live", "max_latency": 0.08, "bypass": "off", "strength": 0.9}


ONE = "cameras:\n  - name: a\n    source: pattern\n"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (ONE + "    colour: red\n", 4, "a camera has no key 'colour'; it takes name, source, strength"),
        (ONE + "polices: live\n", 4, "a file of cameras has no key 'polices'; it takes cameras, output"),
        (ONE + "policy: lossy\n", 4, "policy takes live or lossless, not lossy (a text)"),
        (ONE + "    strength: 2\n", 4, "strength takes a number from 0 to 1, not 2"),
        (ONE + "    strength: .inf\n", 4, "strength takes a number from 0 to 1, not .inf (a number)"),
        (ONE + "    strength: 1:30\n", 4, "strength takes a number from 0 to 1, not 1:30 (a whole number)"),
        (ONE + "    strength: strong\n", 4, "strength takes a number from 0 to 1, not strong (a text)"),
        (ONE + "    loop: 1\n", 4, "loop takes true or false, not 1 (a whole number)"),
        (ONE + "    size: 1280\n", 4, "size takes a size such as 1280x720, not 1280 (a whole number)"),
        (ONE + "    size: 1280*720\n", 4, "the size takes WIDTHxHEIGHT"),
        (ONE + "    rate: fast\n", 4, "the rate takes frames a second"),
        (ONE + "    read_timeout: 5parsec\n", 4, "takes a time such as 80ms"),
        (ONE + "    read_timeout: 0\n", 2, "read time-out of a source is 0 s"),
        (ONE + "    name: b\n", 4, "name is there twice"),
        (ONE + "  - name: a\n    source: 0\n", 4, "two cameras have the name 'a'"),
        (
            ONE + "  - name: no\n    source: 0\n",
            4,
            "name takes a text, not no (true or false); a text of that",
        ),
        (ONE + "  - name: b\n", 4, "a camera lacks its source"),
        (ONE + "  - name: b\n    source: [0, 1]\n", 5, "source takes an address"),
        (ONE + "  - name: b\n    source: ftp://u:p@host/x\n", 5, "ftp://***@host/x can't be opened"),
        (ONE + "  - just a text\n", 4, "a camera takes keys and values (name: value), not a text"),
        (ONE + "<<: {a: 1}\n", 4, "has no key '<<'"),
        (ONE + "output: [a, 3]\n", 4, "takes a text, not 3"),
        (ONE + "output: ''\n", 4, "output takes a text that is not empty"),
        (ONE + "model: !!python/object:os.system x\n", 4, "model takes a text"),
        ("cameras: 3\n", 1, "cameras takes a list of cameras"),
        ("- a\n", 1, "a file of cameras takes keys and values"),
        ("policy: live\n", 1, "there is no list named cameras"),
        ("cameras:\n  - name: a\n   source: 0\n", 3, "this is no YAML"),
        ("cameras: [\n", 2, "this is no YAML"),
        ("cameras: 'a\n", 2, "this is no YAML"),
        ("a: &x [1]\nb: *x\n", 1, "anchors (&) and aliases (*) are not taken"),
        ("cameras: *x\n", 1, "anchors (&) and aliases (*) are not taken"),
        ("a: " + "[" * 100 + "]" * 100, 1, "too deep"),
        ("cameras: []\n---\ncameras: []\n", 2, "this is no YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_config(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}, line {line}: "), sentence
    assert told in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the file of cameras is empty"),
        (b"\xff\xfe\x00", "line 1: this is not UTF-8"),
        (b"a: \x01\n", "is no YAML"),
        (b"#" * (MOST_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_no_text_at_all(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_config(written(tmp_path, data))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read: no such file"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="can't be read: is a directory"):
        read_config(tmp_path)


def test_passwords_are_not_told(tmp_path: Path) -> None:
    for bad in ("rtsp://user:secret@host:99999/x", "rtsp://user:secret@/x", "xyz://user:secret@host"):
        with pytest.raises(UsageError) as caught:
            read_config(written(tmp_path, f"cameras:\n  - name: a\n    source: {bad}\n"))
        assert "secret" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        read_config(written(tmp_path, "rtsp://user:secret@host/x: 1\n"))
    assert "secret" not in str(caught.value)


def test_a_bomb_is_refused_at_once(tmp_path: Path) -> None:
    """Nine levels of nine aliases would be a thousand million texts."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    began = time.process_time()
    with pytest.raises(UsageError, match="line 1: anchors"):
        read_config(written(tmp_path, "\n".join(levels)))
    assert time.process_time() - began < 2
