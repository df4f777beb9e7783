"""`derain engine` as a user or a wrapper runs it: what is kept, whether it is as it was built, and away."""

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slow_builder import KEY, PARITY, TARGET, Cache

from derain.engines.parity import Figures
from derain.engines.plans import aside, folder
from derain.engines.plans.key import Target
from derain.engines.plans.store import Store, StoredPlan
from derain.pipeline.cli import run

NAME = KEY.digest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """The user's, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return Cache(tmp_path / "xdg" / "derain")


@pytest.fixture
def three(cache: Cache) -> Cache:
    """With a plan that passed, a portable one that nobody checked, and one that is truncated."""
    cache.obtain(check=lambda stored: PARITY)
    cache.obtain(replace(KEY, network="snow", target=Target("", ("86", "89"), "", TARGET.system)))
    broken = cache.obtain(replace(KEY, network="hail")).path
    assert broken is not None
    os.truncate(broken, 99)
    return cache


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(["engine", *arguments]) == code
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    return json.loads(answer(capsys, *arguments, "--json", code=code))


def test_nothing_is_kept_at_first_and_looking_makes_no_folder(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(capsys, "list") == f"no plans in {cache.place / 'plans'}\n"
    assert as_json(capsys, "list") == []
    assert answer(capsys, "verify") == "0 plans, 0 of them not as built\n"
    assert answer(capsys, "clean") == "0 plans removed (0.0 MiB), 0 left\n"
    assert not cache.place.exists()


def test_list_tells_each_plan(three: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    lines = answer(capsys, "list").splitlines()
    assert len(lines) == 3
    assert (
        f"{NAME[:12]}  rain in fp16 for slow, 1x32x48, 1.7, NVIDIA Slow 1 of capability 89, 0.0 MiB, "
        "51.5 dB at worst"
    ) in lines
    (portable,) = [line for line in lines if "snow" in line]
    assert portable.endswith("1.7, any device of capability 86, 89, 0.0 MiB, not checked yet")
    (broken,) = [line for line in lines if "hail" in line]
    assert broken.endswith("; not used: it is truncated: 99 of its 400 bytes are there")
    listed = {one["name"]: one for one in as_json(capsys, "list")}
    assert listed[NAME]["manifest"]["parity"]["bar"] == 45
    assert [one["refusal"]["field"] for one in listed.values() if one["refusal"]] == ["size"]


def test_inspect_tells_all_of_one(three: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "inspect", NAME[:6])
    for line in (
        str(three.plan),
        "  backend: slow 1.7",
        "  options: dtype uint8",
        "  device: NVIDIA Slow 1 of capability 89, driver 13.1, linux x86_64",
        "  layers: 3",
        f"  parity: {PARITY.told()}",
        "  passed: all at 45 dB or above",
    ):
        assert line in told.splitlines()
    assert as_json(capsys, "inspect", three.plan.name)["path"] == str(three.plan)


def test_inspect_tells_which_bar_was_missed(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    bad = replace(PARITY, figures=(Figures("rain", 31.04, 17.0),))
    cache.obtain(check=lambda stored: bad)
    missed = "rain 31.0 dB, greatest error 17"
    assert f"  passed: {missed}, where 45 dB are asked for\n" in answer(capsys, "inspect", NAME)
    assert answer(capsys, "list").endswith(f"below its bar: {missed}, where 45 dB are asked for\n")


@pytest.mark.parametrize("name", ["", "xyz", NAME[:3], "0000000"])
def test_a_name_that_is_nobodys_is_one_sentence(
    three: Cache, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(["engine", "inspect", name]) == 2
    assert "give 4 letters or more of one that derain engine list shows" in capsys.readouterr().err


def test_verify_finds_what_was_touched(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cache.obtain()
    assert answer(capsys, "verify") == "1 plan, 0 of them not as built\n"
    cache.plan.write_bytes(cache.plan.read_bytes()[:-1] + b"!")
    told = answer(capsys, "verify", code=1)
    assert f"{NAME[:12]}  rain in fp16" in told
    assert "not used: it was changed after it was built: its sha256 is another\n" in told
    assert told.endswith("1 plan, 1 of them not as built\n")
    found = as_json(capsys, "verify", code=1)
    assert found["plans"] == 1
    assert found["touched"][0]["refusal"]["field"] == "sha256"


def test_verify_finds_plans_without_manifest_and_manifests_of_others(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.obtain()
    other = replace(KEY, network="snow")
    cache.obtain(other)
    cache.store.path_of(other).with_suffix(".json").write_bytes(cache.manifest.read_bytes())
    assert "under the name of another plan" in answer(capsys, "verify", code=1)
    cache.manifest.unlink()
    told = answer(capsys, "verify", code=1)
    assert f"{NAME[:12]}  not used: it has no manifest: its build did not come to its end\n" in told


def test_clean_takes_what_is_not_as_it_was_built(three: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    half = three.plan.parent / ".half.part"
    half.write_bytes(b"half")
    fresh = three.plan.parent / ".fresh.part"
    fresh.write_bytes(b"just being written")
    os.utime(half, (1_000_000, 1_000_000))
    assert answer(capsys, "clean") == "1 plan removed (0.0 MiB), 2 left\n"
    left = sorted(path.suffix for path in three.plan.parent.iterdir() if path != fresh)
    assert left == [".json", ".json", ".plan", ".plan"]
    assert fresh.exists()


def test_clean_takes_what_is_named_or_all(three: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "clean", NAME[:8]) == {"removed": [NAME], "bytes": 400}
    assert not three.plan.exists()
    aside.keep(aside.timings_of(three.store, "slow", "1.7", TARGET), b"timings")
    assert answer(capsys, "clean", "--all") == "2 plans removed (0.0 MiB), 0 left\n"
    assert not list(three.plan.parent.iterdir())
    assert run(["engine", "clean", "--all", NAME]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_cache_that_is_not_ones_own_is_one_sentence(
    cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.place.mkdir(parents=True)
    (cache.place / "plans").symlink_to(tmp_path)
    for command in ("list", "verify", "clean"):
        assert run(["engine", command]) == 1
        told = capsys.readouterr().err
        assert told == (
            f"derain: the cache of plans is not used: {cache.place / 'plans'} is a link to another place\n"
        )


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A plan that another machine built."""
    other = Cache(tmp_path / "other")
    other.obtain(check=lambda stored: PARITY)
    carried = tmp_path / "carried.plan"
    other.plan.rename(carried)
    other.manifest.rename(carried.with_suffix(".json"))
    return carried


def test_a_plan_from_elsewhere_needs_trust(
    cache: Cache, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["engine", "add", str(elsewhere)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"derain: the plan {elsewhere} was not built here, and a plan is a program")
    assert "give --trust" in told
    assert not cache.place.exists()
    assert answer(capsys, "add", str(elsewhere), "--trust").startswith(f"{NAME[:12]}  rain in fp16 for slow")
    found = cache.obtain()
    assert cache.builder.builds == 0
    assert found.manifest.origin == str(elsewhere)
    assert found.manifest.parity is None, "it is measured where it runs"
    assert f"  added from: {elsewhere}\n" in answer(capsys, "inspect", NAME)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda plan: os.truncate(plan, 7), "is not taken: it is truncated: 7 of its 400 bytes are there"),
        (lambda plan: plan.with_suffix(".json").unlink(), "a plan is two files, NAME.plan and NAME.json"),
        (lambda plan: plan.unlink(), "can't be read (No such file or directory); a plan is two files"),
        (lambda plan: plan.with_suffix(".json").write_text("[]"), "can't be read: it is not a manifest"),
    ],
)
def test_a_plan_from_elsewhere_that_is_not_whole_is_not_taken(
    cache: Cache, elsewhere: Path, capsys: pytest.CaptureFixture[str], harm: Any, told: str
) -> None:
    harm(elsewhere)
    assert run(["engine", "add", str(elsewhere), "--trust"]) == 2
    assert told in capsys.readouterr().err
    assert not cache.place.exists()


def test_an_added_plan_for_another_card_is_kept_and_not_used(
    cache: Cache, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, "add", str(elsewhere), "--trust")
    key = replace(KEY, target=replace(TARGET, device="NVIDIA Slow 2"))
    assert cache.obtain(key).manifest.key == key
    assert "it was built on NVIDIA Slow 1, and here is NVIDIA Slow 2" in cache.told[0]
    assert isinstance(Store.open(cache.place).find(KEY), StoredPlan)


def test_nothing_is_removed_from_or_added_to_a_cache_that_can_only_be_read(
    cache: Cache, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.obtain(replace(KEY, network="snow"))
    monkeypatch.setattr(folder, "against_writing", lambda place: f"{place} can't be written: Read-only")
    assert run(["engine", "clean", "--all"]) == 1
    assert "derain: nothing can be removed: " in capsys.readouterr().err

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    assert run(["engine", "add", str(elsewhere), "--trust"]) == 1
    assert capsys.readouterr().err == f"derain: the plan {elsewhere} can't be kept: Read-only file system\n"
    monkeypatch.setattr(folder, "against_writing", lambda place: "")
    assert run(["engine", "clean", "--all"]) == 1
    assert "can't be removed: Read-only file system\n" in capsys.readouterr().err


def test_nothing_is_added_to_a_cache_that_is_not_ones_own(
    cache: Cache, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.place.mkdir(parents=True)
    (cache.place / "plans").write_text("in the way")
    assert run(["engine", "add", str(elsewhere), "--trust"]) == 1
    assert f"can't be kept: {cache.place / 'plans'} is not a folder\n" in capsys.readouterr().err


def test_inspect_tells_of_a_plan_that_is_not_used(three: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    broken = three.store.path_of(replace(KEY, network="hail"))
    told = answer(capsys, "inspect", broken.stem)
    assert told.splitlines()[1] == "  not used: it is truncated: 99 of its 400 bytes are there"
    broken.with_suffix(".json").write_text("{")
    assert answer(capsys, "inspect", broken.stem).splitlines()[1:] == [
        "  not used: its manifest can't be read: it is not JSON"
    ]
