"""A card made of the host, see card_video: whoever asks for it finds one."""

from collections.abc import Iterator
from typing import Any

import host_cuda
import pytest
from card_video import CardDriver, CardEngine, Opening
from host_cuda import HostCuda

from derain.engines.device.host import HostDevice
from derain.pipeline.choosing import Chosen, open_chosen
from derain.pipeline.gpu import convert, nvrtc, way
from derain.pipeline.sources import file


@pytest.fixture(scope="session")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> HostCuda:
    return host_cuda.build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def device() -> Iterator[HostDevice]:
    with HostDevice() as opened:
        yield opened


@pytest.fixture
def opening(cuda: HostCuda, device: HostDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opening]:
    """A machine with a card: everything that asks for it finds it."""
    found = Opening()
    monkeypatch.setattr(file, "open_input", found)
    monkeypatch.setattr(file, "Decoder", found.decoder)
    monkeypatch.setattr(convert, "machine_code", cuda.machine_code)
    monkeypatch.setattr(nvrtc, "unavailable", lambda: "")
    monkeypatch.setattr(way, "Driver", lambda: CardDriver(cuda, device))
    monkeypatch.setattr(way, "why_not", lambda source, driver: "")
    yield found
    assert cuda.books()[1:] == (0, 0), "no context is left current, no module loaded"


@pytest.fixture
def driver(cuda: HostCuda, device: HostDevice, opening: Opening) -> Iterator[CardDriver]:
    with CardDriver(cuda, device) as opened:
        yield opened


@pytest.fixture
def on_card(device: HostDevice, opening: Opening, monkeypatch: pytest.MonkeyPatch) -> list[CardEngine]:
    """From now on videos are restored on a card; the engines that did."""
    engines: list[CardEngine] = []

    def open_there(*arguments: Any) -> Chosen:
        chosen = open_chosen(*arguments)
        engines.append(CardEngine(chosen.engine, device))
        return chosen._replace(engine=engines[-1])

    monkeypatch.setattr("derain.pipeline.job.open_chosen", open_there)
    return engines
