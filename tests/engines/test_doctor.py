"""The doctor's findings are those of the machine it looks at."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from derain.engines import doctor, machine, openvino, registry
from derain.engines.machine import Machine
from derain.engines.registry import BackendStatus


def machine_with(**facts: Any) -> Machine:
    none: dict[str, Any] = {"system": "", "cpu": "", "cores": 1, "threads": 1, "features": None}
    none |= {"memory": 0, "memory_free": 0, "gpus": (), "no_gpu": ""}
    return Machine(**(none | facts))


def test_it_reports_what_auto_will_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.examine().backend == "openvino"
    monkeypatch.setattr(openvino, "unavailable", lambda: "broken")
    report = doctor.examine()
    assert report.backend == "onnxruntime"
    found = {status.name: (status.usable, status.reason) for status in report.backends}
    assert found["openvino"] == (False, "broken")


def test_it_measures_the_cache(tmp_path: Path) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "a.blob").write_bytes(bytes(1234))
    report = doctor.examine(tmp_path)
    assert (report.cache, report.cache_bytes) == (tmp_path, 1234)


def test_it_lists_the_encoders_that_ship_with_pyav() -> None:
    found = {encoders.codec: encoders for encoders in doctor.examine().encoders}
    assert "libx264" in found["H.264"].software
    assert "libx265" in found["H.265"].software
    assert found["VP9"].software == ("libvpx-vp9",)
    assert set(found) == {"H.264", "H.265", "VP9", "AV1"}


def test_encoders_that_need_a_device_stand_apart() -> None:
    for found in doctor.examine().encoders:
        assert not [name for name in found.software if not name.startswith("lib")]
        assert not [name for name in found.hardware if name.startswith("lib")]


def against_nvidia(facts: Machine, *works: str) -> tuple[str, ...]:
    backends = [
        BackendStatus(backend.name, backend.name in works, "it is broken") for backend in registry.BACKENDS
    ]
    return {way.name: way.not_taken for way in doctor.faster_ways(facts, backends)}["An NVIDIA GPU"]


def test_a_gpu_that_is_there_is_not_denied() -> None:
    card = machine_with(gpus=("NVIDIA H200",))
    assert against_nvidia(card, "torch_cuda", "openvino") == ()
    assert against_nvidia(card, "openvino") == (
        "none of tensorrt, tensorrt_rtx, torch_cuda, onnxruntime-cuda works, see above",
    )


def test_without_a_gpu_that_is_all_there_is_to_say() -> None:
    assert against_nvidia(machine_with(no_gpu="no NVIDIA driver")) == ("no NVIDIA driver",)


def test_packages_for_gpus_are_told_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: "2.11" if name == "torch" else None)
    told = doctor.versions()
    assert (told["torch"], told["numpy"]) == ("2.11", None)
    assert "tensorrt" not in told


class Driver:
    """Stands in for libcuda: answers as one with `names` for GPUs, or one that fails with `error`."""

    def __init__(self, names: tuple[bytes, ...] = (), error: int = 0) -> None:
        self.names, self.error = names, error

    def __call__(self, library: str) -> "Driver":
        return self

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.names)
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name: Any, length: int, device: Any) -> int:  # noqa: N802
        name.value = self.names[device.value][: length - 1]
        return 0


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (Driver((b"NVIDIA H200", b"Tesla T4")), (("NVIDIA H200", "Tesla T4"), "")),
        (Driver(), ((), "the NVIDIA driver shows no GPU")),
        (Driver(error=100), ((), "the NVIDIA driver does not start (cuInit gives CUDA error 100)")),
    ],
)
def test_nvidia_gpus(monkeypatch: pytest.MonkeyPatch, driver: Driver, expected: Any) -> None:
    monkeypatch.setattr(ctypes, "CDLL", driver)
    assert machine.nvidia_gpus() == expected


def test_no_nvidia_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(library: str) -> None:
        raise OSError(library)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    names, reason = machine.nvidia_gpus()
    assert names == ()
    assert reason.startswith("no NVIDIA driver (") and reason.endswith("is not found)")


CPUINFO = """processor\t: 0
model name\t: Some CPU @ 3 GHz
flags\t\t: fpu avx2 avx512f avx512_vnni

processor\t: 1
model name\t: Another
"""


def test_the_processor_as_linux_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(CPUINFO)
    monkeypatch.setattr(machine, "_CPUINFO", info)
    assert machine.cpu_name() == "Some CPU @ 3 GHz"
    assert machine.cpu_features() == ("AVX2", "AVX-512", "AVX512-VNNI")


def test_the_processor_where_nothing_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    assert machine.cpu_name()
    assert machine.cpu_features() is None


@pytest.mark.parametrize(
    ("platform", "framework", "display", "expected"),
    [
        ("linux", "QT", ":0", "QT"),
        ("linux", "QT", "", ""),
        ("linux", "", ":0", ""),
        ("darwin", "COCOA", "", "COCOA"),
    ],
)
def test_windows_need_a_gui_and_a_display(
    monkeypatch: pytest.MonkeyPatch, platform: str, framework: str, display: str, expected: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("cv2.currentUIFramework", lambda: framework)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert doctor.window() == expected
