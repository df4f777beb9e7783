"""The cache of compiled models is the owner's alone, does not grow, and is never needed."""

import logging
import os
import stat
import sys
from pathlib import Path

import numpy as np
import onnx_models
import pytest

from derain.engines import cache
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("{tmp}/xdg", "{tmp}/xdg/derain"), ("", "{home}/.cache/derain"), ("odd/one", "{home}/.cache/derain")],
)
def test_it_lies_where_xdg_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, expected: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", setting.format(tmp=tmp_path))
    assert cache.folder() == Path(expected.format(tmp=tmp_path, home=Path.home()))
    assert cache.folder(tmp_path) == tmp_path


@POSIX
def test_it_is_for_the_owner_only(tmp_path: Path) -> None:
    chosen = tmp_path / "not" / "there"
    place = cache.prepare(chosen, "openvino")
    assert place == chosen / "openvino"
    assert mode(chosen) == mode(place) == 0o700
    place.chmod(0o755)
    cache.prepare(chosen, "openvino")
    assert mode(place) == 0o700


@POSIX
def test_a_folder_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with caplog.at_level(logging.WARNING):
        assert cache.prepare(tmp_path, "openvino") is None
    assert f"compiled models are not kept: the cache {tmp_path / 'openvino'}: belongs to user" in caplog.text


def test_the_work_goes_on_without_a_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    batch = np.full((1, 4, 4, 3), 9, np.uint8)
    with (
        caplog.at_level(logging.WARNING),
        open_engine(onnx_models.identity(tmp_path), EngineOptions("openvino", cache_dir=blocked)) as engine,
    ):
        assert np.array_equal(engine.infer(batch), batch)
    assert f"compiled models are not kept: the cache {blocked / 'openvino'}" in caplog.text


def test_the_oldest_go_first(tmp_path: Path) -> None:
    for age in range(5):
        path = tmp_path / f"{age}.blob"
        path.write_bytes(bytes(100))
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    cache.thin_out(tmp_path, limit=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.blob", "1.blob"]
    assert cache.size(tmp_path) == 200


def test_each_start_thins_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = cache.prepare(tmp_path, "openvino")
    assert place is not None
    (place / "old.blob").write_bytes(bytes(100))
    monkeypatch.setattr(cache, "LIMIT", 50)
    cache.prepare(tmp_path, "openvino")
    assert cache.size(tmp_path) == 0


def test_what_is_not_there_has_no_size(tmp_path: Path) -> None:
    assert cache.size(tmp_path / "none") == 0
