"""Devices for the tests in this folder."""

import os
import sys
from collections.abc import Iterator

import pytest
from devices import FAKE, UNDER_TEST, opened

from derain.engines.device.seam import Device

if FAKE:
    sys.setdlopenflags(os.RTLD_LAZY)  # the fake driver lacks most of the functions that pycuda names


@pytest.fixture(params=[UNDER_TEST])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """The implementation that this process tests."""
    with opened(request.param) as found:
        yield found
