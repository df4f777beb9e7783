"""What holds for every test: nothing is written outside pytest's own folders."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from derain.engines import models


@pytest.fixture(autouse=True, scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Compiled models go here, for the programs that tests start as well."""
    folder = tmp_path_factory.mktemp("cache-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="session")
def _signals_as_in_a_terminal() -> None:
    """A shell that starts the tests in the background makes them, and what they start, deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of that of the shipped networks."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setattr(models, "SHELF", folder)
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without a chart of their curves, which takes longer than they do."""
    monkeypatch.setattr("derain.train.run_folder.chart", lambda rows, title: b"")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch seeded and in one thread: on tiny pictures threads only wait for one another."""
    import torch  # noqa: PLC0415 - not every test needs it, and it is slow to import

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
