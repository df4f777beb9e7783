"""Which device is opened, and what is said where there is none."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from derain.engines.device import cuda, opening, pycuda
from derain.engines.device.opening import open_device, unavailable
from derain.engines.errors import UsageError


def answering(monkeypatch: pytest.MonkeyPatch, **found: int | str) -> None:
    """Implementations that have so many GPUs, or say why they have none; they open strings."""

    def implementation(name: str) -> SimpleNamespace:
        def count() -> int:
            answer = found[name]
            if isinstance(answer, str):
                raise UsageError(answer)
            return answer

        return SimpleNamespace(count=count, open_device=lambda index: f"{name} {index}")

    monkeypatch.setattr(opening, "implementation", implementation)


@pytest.mark.parametrize(
    ("cuda_has", "pycuda_has", "expected"),
    [(1, 1, "cuda 0"), ("not installed", 2, "pycuda 0"), (0, 1, "pycuda 0")],
)
def test_auto_takes_the_first_that_has_a_gpu(
    cuda_has: int | str, pycuda_has: int | str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, cuda=cuda_has, pycuda=pycuda_has)
    assert unavailable() == ""
    assert str(open_device()) == expected


def test_where_there_is_none_each_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, cuda=0, pycuda="not installed")
    assert unavailable() == "cuda: the NVIDIA driver knows no GPU; pycuda: not installed"
    with pytest.raises(UsageError, match=r"no GPU can be used here \(cuda: .*; pycuda: not installed\)"):
        open_device()
    with pytest.raises(UsageError, match=r"no GPU can be used here \(pycuda: not installed\)"):
        open_device("pycuda")


def test_the_second_of_two_is_opened_and_a_third_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, cuda=2)
    assert str(open_device("cuda", 1)) == "cuda 1"
    with pytest.raises(UsageError, match="no device 2: cuda has 2 here, the first of which is 0"):
        open_device("cuda", 2)
    with pytest.raises(UsageError, match="no device -1"):
        open_device("cuda", -1)


def test_a_name_that_nobody_has_is_refused() -> None:
    with pytest.raises(UsageError, match="'rocm': take auto, host, cuda, pycuda"):
        open_device("rocm")


def test_the_host_is_opened_by_name_only() -> None:
    with open_device("host") as device:
        assert device.name == "host"


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cuda, pycuda):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert 'pip install "derain[cuda]"' in unavailable()
    assert 'pip install "derain[pycuda]"' in unavailable()


def test_without_a_driver_it_is_one_sentence() -> None:
    """Whatever of the packages and drivers is here."""
    script = (
        "import sys\n"
        "from derain.engines.device import cuda, opening, pycuda, seam\n"
        "assert not {'cuda.bindings', 'pycuda'} & set(sys.modules), 'imported too soon'\n"
        "print(opening.unavailable().count('\\n'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
