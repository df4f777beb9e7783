"""The whole numbers by which yuv.cu turns YUV to RGB and back, as swscale makes them of a matrix and a range.

They are computed in whole numbers too, and rounded where swscale rounds, so that pictures converted on a card
are those that colour.py converts on the CPU. Matrices go by swscale's numbers (SWSCALE_MATRIX).
"""

from dataclasses import dataclass

ONE = 1 << 16

MATRICES = {
    1: (117489, 138438, 13975, 34925),
    4: (104448, 132798, 24759, 53109),
    5: (104597, 132201, 25675, 53279),
    7: (117579, 136230, 16907, 35559),
    9: (110013, 140363, 12277, 42626),
}
"""How much V adds to red, U to blue, and U and V take from green, in 65536ths, limited range to full."""
BT601 = 5
BT601_WEIGHTS = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.500), (0.500, -0.419, -0.081))
"""Of red, green and blue in Y, U and V: for this matrix swscale takes these, of three digits."""

Three = tuple[int, int, int]


@dataclass(frozen=True)
class ToRGBNumbers:
    """Of YUV to RGB: `black` is Y's zero in 17 bits, the others are what a sample is multiplied by."""

    black: int
    luma_weight: int
    v_red: int
    v_green: int
    u_green: int
    u_blue: int


@dataclass(frozen=True)
class FromRGBNumbers:
    """Of RGB to YUV: weights of red, green and blue that give limited range, in 32768ths; then, for full
    range, a scale in 16384ths and an offset for Y and for U and V. The scales of limited range are 0."""

    y_weights: Three
    u_weights: Three
    v_weights: Three
    luma_scale: int = 0
    luma_offset: int = 0
    chroma_scale: int = 0
    chroma_offset: int = 0


def to_rgb_numbers(matrix: int, full: bool) -> ToRGBNumbers:
    """Of pictures of a matrix and a range, 8 bits deep or more."""
    red, blue, green_u, green_v = MATRICES[matrix]
    if full:
        red, blue, green_u, green_v = (value * 224 // 255 for value in (red, blue, green_u, green_v))
    luma, black = (ONE, 0) if full else (ONE * 255 // 219, 16 << 9)
    return ToRGBNumbers(black, _in_8192ths(luma), *map(_in_8192ths, (red, -green_v, -green_u, blue)))


def from_rgb_numbers(matrix: int, full: bool, bits: int) -> FromRGBNumbers:
    """Of pictures of `bits` bits to be made in a matrix and a range."""
    weights = _rounded_weights() if matrix == BT601 else _weights(*MATRICES[matrix])
    if not full:
        return FromRGBNumbers(*weights)
    return FromRGBNumbers(*weights, *_to_full(235, bits), *_to_full(240, bits))


def _in_8192ths(value: int) -> int:
    """A number of 65536ths."""
    return (value * 8192 + ONE // 2) // ONE


def _weights(red: int, blue: int, green_u: int, green_v: int) -> tuple[Three, Three, Three]:
    """The matrix the other way round."""
    from_blue = _divided(ONE * ONE * -green_u, blue)
    from_red = _divided(ONE * ONE * -green_v, red)
    rest = ONE * ONE - from_blue - from_red
    y, u, v = (_divided(value * rest, ONE) for value in (ONE * 255 // 219, blue, red))
    parts = (
        ((-from_red, y), (ONE * ONE, y), (-from_blue, y)),
        ((from_red, u), (-ONE * ONE, u), (rest + from_blue, u)),
        ((rest + from_red, v), (-ONE * ONE, v), (from_blue, v)),
    )
    of_y, of_u, of_v = (tuple(_divided(part << 15, whole) for part, whole in row) for row in parts)
    return _three(of_y), _three(of_u), _three(of_v)


def _rounded_weights() -> tuple[Three, Three, Three]:
    spans = (219, 224, 224)
    rows = (
        tuple(_nearest(weight * span / 255 * 32768) for weight in weights)
        for weights, span in zip(BT601_WEIGHTS, spans, strict=True)
    )
    of_y, of_u, of_v = rows
    return _three(of_y), _three(of_u), _three(of_v)


def _three(values: tuple[int, ...]) -> Three:
    red, green, blue = values
    return red, green, blue


def _to_full(top: int, bits: int) -> tuple[int, int]:
    """Scale and offset of values in 15 bits that reach from 16 to `top` in 8 bits and are to fill all
    `bits`; the offset holds the half that rounds."""
    unit, shift = 1 << (bits - 8), 15 - bits
    greatest = (1 << bits) - 1
    exact = (greatest << (14 + shift)) // ((top - 16) * unit)
    scale = -(-exact // (1 << shift))
    return scale, (greatest << (14 + shift)) - (top * unit << shift) * scale + (1 << 13)


def _divided(one: int, other: int) -> int:
    """The nearest whole number to one / other, for a positive `other`."""
    half = other // 2
    return (one + half) // other if one >= 0 else -((half - one) // other)


def _nearest(value: float) -> int:
    return int(value + 0.5) if value >= 0 else -int(0.5 - value)
