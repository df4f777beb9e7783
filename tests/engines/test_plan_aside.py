"""What is kept beside plans is read only as it was written, and goes with its plan."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from slow_builder import KEY, TARGET, Cache

from derain.engines.plans import aside, folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_is_kept_comes_back_until_it_is_damaged(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    path = aside.kernels_of(cache.obtain())
    assert path is not None
    assert aside.kept(path) == b""
    aside.keep(path, b"kernels")
    assert aside.kept(path) == b"kernels"
    path.write_bytes(path.read_bytes()[:-1])
    assert aside.kept(path) == b""
    assert f"not used: {path} is truncated or was changed; it is made again" in caplog.text


def test_kernels_go_with_the_plan_they_were_compiled_for(cache: Cache) -> None:
    stored = cache.obtain()
    path = aside.kernels_of(stored)
    aside.keep(path, b"kernels")
    cache.plan.write_bytes(b"touched")
    cache.obtain()
    assert aside.kept(path) == b"", "the plan is another now"


def test_timings_are_those_of_a_device_and_a_version(cache: Cache) -> None:
    places = {
        aside.timings_of(cache.store, "slow", version, target)
        for version in ("1.7", "1.8")
        for target in (TARGET, replace(TARGET, device="NVIDIA Slow 2"), replace(TARGET, driver="13.2"))
    }
    assert len(places) == 6
    one, *others = places
    aside.keep(one, b"timings")
    assert [aside.kept(path) for path in (one, *others)] == [b"timings"] + [b""] * 5


def test_without_room_nothing_happens(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    path = aside.kernels_of(cache.obtain())

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder, "write", full)
    aside.keep(path, b"kernels")
    assert aside.kept(path) == b""
    unkept = cache.obtain(replace(KEY, network="snow"))
    assert aside.kernels_of(unkept) is None
    assert aside.kept(None) == b""


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_is_not_followed(cache: Cache, tmp_path: Path) -> None:
    path = aside.kernels_of(cache.obtain())
    assert path is not None
    aside.keep(path, b"kernels")
    path.rename(tmp_path / "theirs")
    path.symlink_to(tmp_path / "theirs")
    assert aside.kept(path) == b""
