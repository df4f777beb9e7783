"""The folder of published sets, clips and weights that some tests measure on."""

import os
from pathlib import Path

import pytest


def data_folder() -> Path:
    """What DERAIN_DATA names; skips the test where it names nothing."""
    folder = os.environ.get("DERAIN_DATA")
    if not folder:
        pytest.skip("DERAIN_DATA does not name the data folder")
    return Path(folder)
