"""Tests that build with the real TensorRT-RTX skip here, with the reason, and fail where DERAIN_EXPECT_RTX
promises it."""

import os

import pytest

from derain.engines import trt

_REASON = trt.unavailable("tensorrt_rtx")
_MAY_MISS = not os.environ.get("DERAIN_EXPECT_RTX")
needs_rtx = pytest.mark.skipif(bool(_REASON) and _MAY_MISS, reason=_REASON)
