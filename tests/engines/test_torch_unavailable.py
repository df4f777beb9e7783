"""Why torch can't compute on a card: no GPU, no CUDA in it, a driver that is too old, no kernels."""

import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from derain.engines import machine, torch_cuda


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A machine with a GPU and a torch that the test makes what it likes."""
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: (("NVIDIA X",), ""))
    cuda = SimpleNamespace(
        is_available=lambda: True,
        get_device_capability=lambda: (9, 0),
        get_arch_list=lambda: ["sm_80", "sm_90a", "compute_120"],
        get_device_name=lambda: "NVIDIA X",
    )
    found = SimpleNamespace(__version__="9.9", version=SimpleNamespace(cuda="13.0"), cuda=cuda)
    monkeypatch.setattr(torch_cuda, "runtime", lambda: found)
    yield found


def test_a_card_that_torch_serves_is_taken(card: SimpleNamespace) -> None:
    assert torch_cuda.unavailable() == ""


@pytest.mark.parametrize(
    ("capability", "works"), [((8, 6), True), ((7, 5), False), ((10, 0), False), ((12, 1), True)]
)
def test_kernels_for_other_cards_are_of_no_use(
    card: SimpleNamespace, capability: tuple[int, int], works: bool
) -> None:
    card.cuda.get_device_capability = lambda: capability
    reason = torch_cuda.unavailable()
    assert reason == "" if works else "has no kernels for NVIDIA X (sm_" in reason


def test_a_torch_without_cuda_is_told(card: SimpleNamespace) -> None:
    card.version.cuda = None
    assert torch_cuda.unavailable().startswith("the package torch 9.9 has no CUDA")


def test_a_driver_that_is_too_old_is_told_as_torch_tells_it(
    card: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_old() -> bool:
        warnings.warn("The NVIDIA driver on your system is too old (found version 12020).", stacklevel=1)
        return False

    card.cuda.is_available = too_old
    assert "sees no GPU: The NVIDIA driver on your system is too old" in torch_cuda.unavailable()


def test_without_a_gpu_torch_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: ((), "no NVIDIA driver"))
    monkeypatch.setattr(torch_cuda, "runtime", lambda: pytest.fail("it was imported"))
    assert torch_cuda.unavailable() == "no NVIDIA driver"
