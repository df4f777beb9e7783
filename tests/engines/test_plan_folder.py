"""Where plans are kept: no room, a folder that is not the user's own, one that can only be read."""

import errno
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slow_builder import KEY, PARITY, Cache

from derain.engines.plans import folder
from derain.engines.plans.store import Store

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def no_room(path: Path, content: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_without_room_the_plan_is_used_and_not_kept(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "write", no_room)
    stored = cache.obtain(check=lambda stored: PARITY)
    assert (stored.data, stored.path, stored.manifest.parity) == (cache.builder.data, None, PARITY)
    assert cache.told[-1] == (
        f"the plan {KEY} is used but not kept: {cache.plan.parent}: No space left on device"
    )


def test_room_that_ends_in_the_midst_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert cache.obtain().path is None
    assert [path.suffix for path in cache.plan.parent.iterdir()] == [".lock"]


def test_the_manifest_not_fitting_leaves_no_plan(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "note", lambda store, manifest: no_room(store.place, b""))
    assert cache.obtain().path is None
    assert not cache.plan.exists()


@POSIX
def test_a_cache_that_can_only_be_read_still_serves(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.obtain()
    reason = f"{cache.plan.parent} can't be written: Read-only file system"
    monkeypatch.setattr(folder, "against_writing", lambda place: reason)
    assert cache.obtain().data == cache.builder.data
    assert cache.builder.builds == 1
    other = replace(KEY, precision="fp32")
    stored = cache.obtain(other, check=lambda stored: PARITY)
    assert (stored.path, stored.manifest.parity) == (None, PARITY)
    assert cache.told[1] == f"plans are not kept: {reason}"
    assert [path.suffix for path in sorted(cache.plan.parent.iterdir())] == [".json", ".lock", ".plan"]


def test_a_folder_that_says_no_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**where: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    assert folder.against_writing(tmp_path) == ""
    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert folder.against_writing(tmp_path) == f"{tmp_path} can't be written: Read-only file system"


def used_without_being_kept(cache: Cache, reason: str) -> None:
    assert cache.obtain().data == cache.builder.data
    assert cache.obtain().path is None
    assert cache.builder.builds == 2
    assert f"plans are not kept, and those there are not used: {reason}" in cache.told


@POSIX
def test_a_cache_of_somebody_else_is_not_used(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.obtain()
    place, owner = cache.plan.parent, os.geteuid()
    cache.builder.builds = 0
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    used_without_being_kept(cache, f"{place} belongs to user {owner}, not to you")


@POSIX
def test_a_link_in_its_place_is_not_followed(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    cache.place.mkdir()
    place = cache.place / folder.NAME
    place.symlink_to(tmp_path / "theirs")
    used_without_being_kept(cache, f"{place} is a link to another place")
    assert not list((tmp_path / "theirs").iterdir())


def test_a_file_in_its_place_is_told(cache: Cache) -> None:
    cache.place.mkdir()
    place = cache.place / folder.NAME
    place.write_text("in the way")
    used_without_being_kept(cache, f"{place} is not a folder")


@POSIX
def test_a_folder_that_others_may_write_into_is_closed(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.obtain()
    place = cache.plan.parent
    place.chmod(0o777)
    cache.obtain()
    assert mode(place) == 0o700
    assert cache.builder.builds == 1
    place.chmod(0o770)
    cache.builder.builds = 0

    def refused(self: Path, mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "chmod", refused)
    used_without_being_kept(cache, f"others may write into {place}")


def test_a_folder_that_can_not_be_made_is_told(cache: Cache) -> None:
    cache.place.write_text("in the way")
    used_without_being_kept(cache, f"{cache.place / folder.NAME} is not a folder")


@POSIX
def test_a_plan_of_somebody_else_is_built_anew(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that is the user's own: somebody with more rights left it there."""
    cache.obtain()
    own, theirs = os.fstat, cache.plan.stat().st_ino

    def fstat(number: int) -> Any:
        facts = own(number)
        return SimpleNamespace(st_mode=facts.st_mode, st_uid=12345) if facts.st_ino == theirs else facts

    monkeypatch.setattr(os, "fstat", fstat)
    assert cache.obtain().data == cache.builder.data
    assert cache.builder.builds == 2
    assert f"{cache.plan} belongs to user 12345, not to you; it is built anew" in cache.told[1]


@POSIX
def test_what_is_no_file_is_built_anew(cache: Cache) -> None:
    cache.obtain()
    cache.manifest.unlink()
    os.mkfifo(cache.manifest)
    assert cache.obtain().data == cache.builder.data
    assert "is not a file" in cache.told[1]


def test_a_parity_that_can_not_be_kept_is_used_and_measured_again(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.obtain()
    monkeypatch.setattr(folder, "write", no_room)
    assert cache.obtain(check=lambda stored: PARITY).manifest.parity == PARITY
    assert cache.told[-1].startswith("what was measured of the plan is not kept: ")
    assert cache.obtain().manifest.parity is None
