"""The cache of plans: what is found, what is refused and by which field, and that nothing stops the work."""

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_models
import pytest
from slow_builder import KEY, PARITY, TARGET, Cache

from derain.engines.modelfile import open_model
from derain.engines.parity import Parity
from derain.engines.plans.key import PlanKey, Target, graph_sha256
from derain.engines.plans.store import Refusal, StoredPlan

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_plan_is_built_once(cache: Cache) -> None:
    first = cache.obtain()
    again = cache.obtain()
    assert cache.builder.builds == 1
    assert first.data == again.data == cache.builder.data
    assert first.manifest == again.manifest
    assert again.path == cache.plan
    assert cache.told == ["building the plan rain in fp16 for slow, 1x32x48"]


def test_the_manifest_tells_what_the_plan_hangs_on(cache: Cache) -> None:
    cache.obtain(check=lambda stored: PARITY)
    written = json.loads(cache.manifest.read_text())
    assert written["key"]["target"] == {
        "device": "NVIDIA Slow 1",
        "capabilities": ["89"],
        "driver": "13.1",
        "system": "linux x86_64",
    }
    assert (written["size"], written["details"]) == (400, {"layers": 3})
    assert written["built"].endswith("+00:00")
    rain = {"probe": "rain", "psnr": 51.5, "error": 1.0, "of": "pixels"}
    assert written["parity"]["figures"][1] == rain
    assert cache.obtain().manifest.parity == PARITY


@POSIX
def test_only_the_owner_may_read_it(cache: Cache) -> None:
    cache.obtain()
    assert mode(cache.plan.parent) == mode(cache.place) == 0o700
    assert mode(cache.plan) == mode(cache.manifest) == 0o600
    assert not list(cache.plan.parent.glob(".*")), "no half-written file stays"


STALE: dict[str, tuple[PlanKey, str]] = {
    "onnx": (replace(KEY, onnx="6" * 64), "the network it was built of has changed"),
    "version": (replace(KEY, version="1.8"), "it was built by slow 1.7, and here is 1.8"),
    "device": (
        replace(KEY, target=replace(TARGET, device="NVIDIA Slow 2")),
        "it was built on NVIDIA Slow 1, and here is NVIDIA Slow 2",
    ),
    "capability": (
        replace(KEY, target=replace(TARGET, capabilities=("90",))),
        "it is for compute capability 89, and here is 90",
    ),
    "driver": (
        replace(KEY, target=replace(TARGET, driver="13.2")),
        "it was built under the driver 13.1, and here is 13.2",
    ),
    "system": (
        replace(KEY, target=replace(TARGET, system="windows amd64")),
        "it was built for linux x86_64, and here is windows amd64",
    ),
}


@pytest.mark.parametrize("field", STALE)
def test_a_stale_or_foreign_plan_is_told_by_field_and_built_anew(cache: Cache, field: str) -> None:
    cache.obtain()
    key, reason = STALE[field]
    assert cache.store.find(key) == Refusal(field, reason)
    cache.builder.data = b"new plan"
    assert cache.obtain(key).data == b"new plan"
    assert f"the plan {KEY} is not used: {reason}; it is built anew" in cache.told
    assert cache.obtain(key).manifest.key == key
    assert cache.builder.builds == 2


@pytest.mark.parametrize("field", STALE)
def test_a_plan_put_where_another_belongs_is_told_by_field(cache: Cache, field: str) -> None:
    """As when a cache is copied together from several machines by hand."""
    key, reason = STALE[field]
    cache.obtain()
    target = cache.store.path_of(key)
    cache.plan.rename(target)
    cache.manifest.rename(target.with_suffix(".json"))
    assert cache.store.find(key) == Refusal(field, reason)
    assert cache.obtain(key).manifest.key == key


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, network="snow"),
        replace(KEY, backend="slower"),
        replace(KEY, precision="fp32"),
        replace(KEY, options=(("dtype", "uint16"),)),
        replace(KEY, shapes=("1x720x1280",)),
    ],
    ids=["network", "backend", "precision", "options", "shapes"],
)
def test_plans_for_other_purposes_lie_beside_each_other(cache: Cache, other: PlanKey) -> None:
    cache.obtain()
    cache.obtain(other)
    assert cache.builder.builds == 2
    assert not [line for line in cache.told if "not used" in line]
    assert cache.obtain().manifest.key == KEY
    assert cache.obtain(other).manifest.key == other


def test_the_nearest_of_several_stale_plans_is_told(cache: Cache) -> None:
    cache.obtain(replace(KEY, version="1.5", target=replace(TARGET, driver="12.0")))
    cache.obtain(replace(KEY, version="1.6"))
    cache.told.clear()
    cache.obtain()
    assert cache.told[0].endswith("not used: it was built by slow 1.6, and here is 1.7; it is built anew")


def test_a_portable_plan_serves_each_card_it_was_built_for(cache: Cache) -> None:
    portable = Target("", ("86", "89"), "", TARGET.system)
    cache.obtain(replace(KEY, target=portable))
    assert cache.obtain().manifest.key.target == portable
    assert cache.builder.builds == 1
    other = replace(KEY, target=replace(TARGET, capabilities=("120",)))
    reason = "it is for compute capability 86, 89, and here is 120"
    assert cache.store.find(other) == Refusal("capability", reason)


def touched(plan: Path) -> None:
    content = bytearray(plan.read_bytes())
    content[7] ^= 1
    plan.write_bytes(content)


def shortened(plan: Path) -> None:
    os.truncate(plan, 100)


def lengthened(plan: Path) -> None:
    with plan.open("ab") as file:
        file.write(b"more")


def reworded(plan: Path) -> None:
    """As if it had been measured, and built of another network."""
    path = plan.with_suffix(".json")
    path.write_text(path.read_text().replace(KEY.onnx, "7" * 64))


def unreadable(plan: Path) -> None:
    plan.with_suffix(".json").write_text("{")


def older(plan: Path) -> None:
    path = plan.with_suffix(".json")
    path.write_text(path.read_text().replace('"format": 1', '"format": 0'))


def incomplete(plan: Path) -> None:
    path = plan.with_suffix(".json")
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))


def mistyped(plan: Path) -> None:
    path = plan.with_suffix(".json")
    path.write_text(path.read_text().replace('"size": 400', '"size": "400"'))


def without_manifest(plan: Path) -> None:
    plan.with_suffix(".json").unlink()


def without_plan(plan: Path) -> None:
    plan.unlink()


def linked(plan: Path) -> None:
    plan.rename(plan.with_name("elsewhere"))
    plan.symlink_to(plan.with_name("elsewhere"))


DAMAGE = {
    touched: ("sha256", "it was changed after it was built: its sha256 is another"),
    shortened: ("size", "it is truncated: 100 of its 400 bytes are there"),
    lengthened: ("sha256", "it was changed after it was built: its sha256 is another"),
    reworded: ("onnx", "the network it was built of has changed"),
    unreadable: ("manifest", "its manifest can't be read: it is not JSON"),
    older: ("manifest", "its manifest can't be read: it is not a manifest of format 1"),
    incomplete: ("manifest", "its manifest can't be read: it has not just the entries built, by"),
    mistyped: ("manifest", "its manifest can't be read: its size has '400' where int is expected"),
    without_manifest: ("manifest", "it has no manifest: its build did not come to its end"),
    without_plan: ("plan", "its file is missing"),
    linked: ("plan", "it is a link to another place"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_plan_is_told_by_field_and_built_anew(cache: Cache, damage: Any) -> None:
    cache.obtain()
    damage(cache.plan)
    field, reason = DAMAGE[damage]
    found = cache.store.find(KEY)
    assert isinstance(found, Refusal)
    assert found.field == field
    assert reason in found.reason
    assert cache.obtain().data == cache.builder.data
    assert cache.told[1] == f"the plan {KEY} is not used: {found.reason}; it is built anew"
    assert isinstance(cache.store.find(KEY), StoredPlan)
    assert not cache.plan.is_symlink()
    assert cache.builder.builds == 2


def test_a_plan_whose_manifest_claims_more_than_it_was_built_for_is_not_taken(cache: Cache) -> None:
    """A portable plan is looked for under any name: one that was made so by hand must not be found."""
    cache.obtain(replace(KEY, target=replace(TARGET, device="NVIDIA Slow 2")))
    (manifest,) = cache.plan.parent.glob("*.json")
    manifest.write_text(manifest.read_text().replace('"NVIDIA Slow 2"', '""'))
    found = cache.store.find(KEY)
    assert isinstance(found, Refusal)
    assert found.field == "name"


def test_what_lies_in_an_entry_of_a_manifest_is_checked_deep_down(cache: Cache) -> None:
    cache.obtain(check=lambda stored: PARITY)
    cache.manifest.write_text(cache.manifest.read_text().replace("51.5", "true"))
    found = cache.store.find(KEY)
    assert isinstance(found, Refusal)
    assert "its psnr has True where float is expected" in found.reason


def test_parity_is_measured_once_and_kept(cache: Cache) -> None:
    calls: list[StoredPlan] = []

    def check(stored: StoredPlan) -> Parity:
        calls.append(stored)
        return PARITY

    cache.obtain()
    assert cache.obtain(check=check).manifest.parity == PARITY, "a plan that came unchecked is checked here"
    assert cache.obtain(check=check).manifest.parity == PARITY
    assert [stored.data for stored in calls] == [cache.builder.data]


def test_a_plan_that_is_built_anew_is_measured_anew(cache: Cache) -> None:
    cache.obtain(check=lambda stored: PARITY)
    touched(cache.plan)
    other = replace(PARITY, reference="openvino fp32")
    assert cache.obtain(check=lambda stored: other).manifest.parity == other


def test_the_graph_alone_is_what_a_plan_is_built_of(tmp_path: Path) -> None:
    one = open_model(onnx_models.conv(tmp_path, "one", seed=1))
    retold = open_model(onnx_models.conv(tmp_path, "one", seed=1, quality={"Rain100L": "30 dB"}))
    other = open_model(onnx_models.conv(tmp_path, "one", seed=2))
    assert graph_sha256(one.graph) == graph_sha256(retold.graph) != graph_sha256(other.graph)


def test_the_least_recently_used_go_first(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [replace(KEY, network=name) for name in ("one", "two", "three")]
    for age, key in enumerate(keys):
        path = cache.obtain(key).path
        assert path is not None
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    cache.obtain(keys[0])
    monkeypatch.setattr("derain.engines.plans.store.LIMIT", 1200)
    cache.obtain()
    kept = {entry.manifest.key.network for entry in cache.store.entries() if entry.manifest}
    assert kept == {"one", "three", "rain"}
    assert len(list(cache.plan.parent.glob("*.json"))) == 3
