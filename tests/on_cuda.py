"""Tests that need an NVIDIA GPU skip here, with the reason, and fail where DERAIN_EXPECT_GPU promises one."""

import os

import pytest

from derain.engines import torch_cuda


def needs_cuda() -> None:
    """Skips the test where torch can't compute on a GPU."""
    if reason := torch_cuda.unavailable():
        if os.environ.get("DERAIN_EXPECT_GPU"):
            pytest.fail(f"DERAIN_EXPECT_GPU promises a GPU: {reason}")
        pytest.skip(reason)
