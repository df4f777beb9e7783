"""How large the shipped model files may be: all of them are in the wheel, which everybody downloads."""

MOST = {
    "glance": 200_000,
    "realtime-s": 3_300_000,
    "realtime-s-video": 3_300_000,
    "realtime-m": 8_500_000,
    "realtime-l": 16_000_000,
}
"""Bytes of NAME.onnx."""
IN_8_BITS = 0.35
"""Of that, the share of NAME.int8.onnx: a quarter for the weights, the rest for the nodes that round."""
EIGHT_BITS = (".int8", ".fp8")


def most(stem: str) -> float:
    """Bytes that the file STEM.onnx may have; KeyError for one that has no limit yet."""
    for ending in EIGHT_BITS:
        if stem.endswith(ending):
            return MOST[stem.removesuffix(ending)] * IN_8_BITS
    return MOST[stem]
