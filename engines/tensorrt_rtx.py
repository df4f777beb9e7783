"""The backend "tensorrt_rtx": the same as "tensorrt" with a package that is smaller, builds in a second and
serves GeForce and RTX cards from Turing on."""

from derain.engines.tensorrt import TensorRTEngine, why_not


def unavailable() -> str:
    """Why this machine can't run it; "" where it can."""
    return why_not("tensorrt_rtx")


class TensorRTRTXEngine(TensorRTEngine):
    """See TensorRTEngine."""

    backend = "tensorrt_rtx"
