"""What a window shows of a frame, and what its keys mean: plain functions, no window needed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np

from derain.engines.engine import Pixels, Scores
from derain.pipeline.compare import heat_map
from derain.pipeline.live.seam import Shown
from derain.pipeline.live.treatment import in_eight_bits

Action: TypeAlias = Literal["snapshot", "record", "next", "stronger", "weaker", "close"]
SWITCHES = {" ": "paused", "b": "side_by_side", "a": "attention", "h": "help", "?": "help"}
ACTIONS: dict[str, Action] = {
    **{"s": "snapshot", "r": "record", "\t": "next"},
    **{"+": "stronger", "=": "stronger", "-": "weaker", "_": "weaker"},
    **{"q": "close", "\x1b": "close"},
}
DIVIDER = 2
"""Width in pixels of the line between the halves."""
ROW = 22
STEP = 0.1
"""Of the strength, for one key."""
HELP = (
    "mouse: where before becomes after",
    "space: pause     b: side by side",
    "a: attention     + -: strength",
    "s: snapshot      r: record",
    "tab: next camera h: this help",
    "q: close the window",
)


@dataclass(frozen=True)
class View:
    """`split`: the share of the width that shows the rainy picture, 0..1."""

    split: float = 0.5
    side_by_side: bool = False
    attention: bool = False
    paused: bool = False
    help: bool = False


def pressed(view: View, key: int) -> tuple[View, Action | None]:
    """The view after a key, and what else is to be done; `key`: as OpenCV tells it, -1 for none."""
    letter = chr(key & 0xFF) if key >= 0 else ""
    if letter in SWITCHES:
        name = SWITCHES[letter]
        return replace(view, **{name: not getattr(view, name)}), None
    return view, ACTIONS.get(letter)


def compose(shown: Shown, view: View, words: str = "") -> Pixels:
    """The picture of a frame, (H, W, 3) RGB uint8, twice as wide side by side, with a row of `words`."""
    rainy, restored = in_eight_bits(shown.taken.frame.pixels), in_eight_bits(shown.restored)
    if view.attention and shown.attention is not None:
        restored = overlaid(rainy, shown.attention)
    if view.side_by_side:
        picture = np.concatenate((rainy, restored), axis=1)
    else:
        picture = divided(rainy, restored, view.split)
    lines = list(HELP) if view.help else []
    return lettered(picture, [*lines, words] if words else lines)


def divided(rainy: Pixels, restored: Pixels, split: float) -> Pixels:
    """Rainy up to `split` of the width, restored behind it, and a white line between them."""
    width = rainy.shape[1]
    column = round(min(1.0, max(0.0, split)) * width)
    picture = restored.copy()
    picture[:, :column] = rainy[:, :column]
    if 0 < column < width:
        picture[:, max(0, column - DIVIDER // 2) : column + DIVIDER // 2] = 255
    return picture


def overlaid(rainy: Pixels, attention: Scores) -> Pixels:
    """Where the network saw rain, as colours over the grey picture; `attention`: (h, w) 0..1 of any size."""
    height, width = rainy.shape[:2]
    levels = (np.clip(attention, 0, 1) * 255).astype(np.uint8)
    return heat_map(rainy, cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR))


def lettered(picture: Pixels, lines: Sequence[str]) -> Pixels:
    """With lines of words at its foot, white on what is behind them made dark."""
    if not lines:
        return picture
    high = min(len(picture), ROW * len(lines) + 6)
    foot = picture[-high:]
    foot[:] = foot // 3
    for number, line in enumerate(reversed(lines)):
        place = (8, len(picture) - 8 - ROW * number)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return picture
